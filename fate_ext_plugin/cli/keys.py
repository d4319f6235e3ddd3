"""``fate-ext key``: our own keys and our partners', and what is agreed with each partner."""
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.errors import CommandFailed
from fate_ext_plugin.cli.local import LocalBackend
from fate_ext_plugin.cli.options import AS_JSON, CONF, Moment
from fate_ext_plugin.cli.table import as_json_text, pairs, table
from fate_ext_plugin.errors import InvalidKey

# A key of 16384 bits takes 3 KiB.
MAX_FILE_BYTES = 1 << 16
HOURS = click.IntRange(0, 8760)
PARTY = click.option("--party", metavar="PARTY", help="Instead of this site's own party ID.")
SEND = "Send partners the party ID and this public key; let them compare the fingerprint by phone."


@click.group()
def key() -> None:
    """Keys that sites sign with: our own, and our partners'."""


@key.command()
@administered
@AS_JSON
@PARTY
def show(site: Backend, as_json: bool, party: Optional[str]) -> None:
    """Show our own public key: what partners need. After `rotate` also the coming one."""
    found = site.perform("keys.own", {"party": party})["keys"]
    if as_json:
        click.echo(as_json_text(found))
        return
    for own in found:
        signs = "now" if own["signs"] == "now" else f"from {own['valid_from']} on"
        click.echo(pairs({"party": own["party_id"], "fingerprint": own["fingerprint"], "signs": signs,
                          "ends": own["valid_until"] or "never"}))
        click.echo(f"{own['public_key']}\n")
    click.echo(SEND)


@key.command()
@CONF
@PARTY
@click.argument("file", type=Path)
@click.option("--coming", is_flag=True, help="The one that `rotate` made and that does not sign yet.")
def export(conf: Path, party: Optional[str], file: Path, coming: bool) -> None:
    """Write our own public key to a new FILE, in PEM."""
    from fate_ext_plugin.db.base import now_ms

    context = _open(conf)
    party = context.own_party(party)
    now = now_ms()
    chosen = next((own for own in context.keys.ring().own_keys(party, now) if own.valid(now) != coming), None)
    if chosen is None:
        raise InvalidKey(f"Party {party} has no key that signs {'later' if coming else 'now'}; see `key show`.")
    try:
        with open(file, "x", encoding="ascii") as written:
            written.write(f"{chosen.rsa.public_pem}\n")
    except OSError as error:
        raise CommandFailed(f"{file} can't be written: {error.strerror}.") from None
    click.echo(f"{file}: public key of party {party}, {_shown(chosen.fingerprint)}")


@key.command()
@administered
@click.argument("party")
@click.argument("file")
@click.option("--from", "start", type=Moment(), metavar="DATE|Nd", help="Not valid before.")
@click.option("--until", "end", type=Moment(), metavar="DATE|Nd", help="Not valid from then on.")
def add(site: Backend, party: str, file: str, start: Optional[str], end: Optional[str]) -> None:
    """Accept a partner's public key, beside those it has. FILE is PEM; - reads it from stdin."""
    before = site.perform("keys.list")["keys"]
    row = site.perform("keys.add", {
        "party_id": party, "public_key": _read(file), "valid_from": start, "valid_until": end})
    if row in before:
        click.echo(f"This key of party {party} is here already, {_span(row)}: {row['fingerprint']}")
        return
    click.echo(f"added a key of party {party}, {_span(row)}")
    click.echo(f"fingerprint {row['fingerprint']}")
    click.echo("Compare it by phone with what the partner reads out: whoever has this key can sign in its name.")


@key.command()
@CONF
@PARTY
def generate(conf: Path, party: Optional[str]) -> None:
    """Make our own first key."""
    from fate_ext_plugin.db.base import now_ms

    context = _open(conf)
    party = context.own_party(party)
    if _private_rows(context.keys, party):
        raise InvalidKey(f"Party {party} has a key of its own already; `fate-ext key rotate` makes its next.")
    if any(kind == "private" and owner == party for owner, kind, _ in context.host.site_keys()):
        raise InvalidKey(
            "FATE Flow has a key already, which partners know; `fate-ext key import-from-fate` takes it over.")
    with LocalBackend(conf).audited(f"key generate, party {party}"):
        context.keys.add_private(party)
    own, = context.keys.ring().own_keys(party, now_ms())
    click.echo(f"made a key of party {party}: {_shown(own.fingerprint)}\n{own.rsa.public_pem}\n{SEND}")


@key.command()
@CONF
@PARTY
@click.option("--starts-in-hours", "wait", default=24, show_default=True, type=HOURS,
              help="When it begins to sign; 0 if others may have the old one.")
@click.option("--overlap-hours", "overlap", default=24, show_default=True, type=HOURS,
              help="How long the old one is valid here after that.")
def rotate(conf: Path, party: Optional[str], wait: int, overlap: int) -> None:
    """Make our own next key, which signs from a later time on."""
    from fate_ext_plugin.auth.key_store import covered_until
    from fate_ext_plugin.db.base import date_of, now_ms

    context = _open(conf)
    party = context.own_party(party)
    now = now_ms()
    rows = _private_rows(context.keys, party)
    if not rows:
        raise InvalidKey(f"Party {party} has no key of its own yet; `fate-ext key generate` makes the first.")
    coming = next((row for row in rows if row["valid_from"] and row["valid_from"] > now), None)
    if coming:
        raise InvalidKey(
            f"The next key of party {party} is made already and signs from {date_of(coming['valid_from'])} on: "
            f"{_shown(coming['fingerprint'])}. To make another, remove it first.")
    start = now + wait * 3_600_000
    end = covered_until(((row["valid_from"], row["valid_until"]) for row in rows), now)
    if end is not None and start > end:
        raise InvalidKey(
            f"Party {party} has no key that signs after {date_of(end)}; let the new one start in "
            f"{(end - now) // 3_600_000} hours or less (--starts-in-hours).")
    with LocalBackend(conf).audited(f"key rotate, party {party}"):
        fingerprint = context.keys.rotate(party, start, overlap * 3_600_000)
    made = next(own for own in context.keys.ring().private[party] if own.fingerprint == fingerprint)
    when = f"from {date_of(start)} on" if wait else "from now on"
    click.echo(f"made a new key of party {party}: {_shown(fingerprint)}")
    click.echo(f"It signs {when}; the old one is valid here until {date_of(start + overlap * 3_600_000)} at most.")
    click.echo(f"Send this new public key to every partner now:\n{made.rsa.public_pem}")
    click.echo("A partner with this plugin adds it beside the old one, at once (fate-ext key add).")
    click.echo("A partner with a stock FATE Flow holds one key per party: it must switch at that very moment, "
               f"{date_of(start)}. Before and after, requests with the other key fail there.")


@key.command("list")
@administered
@AS_JSON
def list_keys(site: Backend, as_json: bool) -> None:
    """List all keys, public and private."""
    found = site.perform("keys.list")["keys"]
    names = ["party_id", "kind", "fingerprint", "valid_from", "valid_until", "created"]
    click.echo(as_json_text(found) if as_json else table(
        ["party", "kind", "fingerprint", "valid from", "valid until", "created"],
        [[row[name] for name in names] for row in found]))


@key.command()
@administered
@click.argument("party")
@click.argument("fingerprint")
def remove(site: Backend, party: str, fingerprint: str) -> None:
    """Revoke a key at once, by (the beginning of) its FINGERPRINT. One of our own only without --url."""
    gone = _one_key(site, party, fingerprint)
    if gone["kind"] == "private" and isinstance(site, LocalBackend):
        _remove_own(site, gone)
    else:
        site.perform("keys.remove", party_id=party, fingerprint=gone["fingerprint"])
    click.echo(f"removed the {gone['kind']} key {gone['fingerprint']} of party {party}")


def _one_key(site: Backend, party: str, fingerprint: str) -> Dict[str, Any]:
    wanted = fingerprint.lower()
    wanted = wanted[len("sha256:"):] if wanted.startswith("sha256:") else wanted
    found = [row for row in site.perform("keys.list")["keys"]
             if row["party_id"] == party and row["fingerprint"].startswith(f"SHA256:{wanted}")]
    if len(found) != 1 or len(wanted) < 8:
        raise InvalidKey(
            f"{len(found)} keys of party {party} begin with {fingerprint[:80]!r}; give at least 8 characters of one "
            "key's fingerprint, from `list`.")
    return dict(found[0])


def _remove_own(site: LocalBackend, gone: Dict[str, Any]) -> None:
    from fate_ext_plugin.auth.key_store import covered_until
    from fate_ext_plugin.db.base import date_of, now_ms

    keys, party = _open(site.conf).keys, gone["party_id"]
    with site.audited(f"key remove, private key {gone['fingerprint']} of party {party}"):
        keys.remove(party, gone["fingerprint"].replace("SHA256:", ""))
    now, left = now_ms(), _private_rows(keys, party)
    end = covered_until(((row["valid_from"], row["valid_until"]) for row in left), now)
    if end is not None:
        _warn(f"party {party} has no key that signs {'now' if end == now else 'after ' + date_of(end)}; see "
              f"`fate-ext key {'rotate' if left else 'generate'}`.")


@key.command("import-from-fate")
@CONF
def import_from_fate(conf: Path) -> None:
    """Take over FATE Flow's own keys, ours and our partners'; those that are here already stay."""
    context = _open(conf)
    with LocalBackend(conf).audited("key import-from-fate"):
        outcome: Dict[str, str] = context.keys.take_over(context.host.site_keys())
    if not outcome:
        click.echo("FATE Flow has no keys here; there is nothing to import.")
    for name, taken in outcome.items():
        click.echo(f"{name}: {taken if taken.startswith('refused') else _shown(taken)}")
    if any(taken.startswith("refused") for taken in outcome.values()):
        sys.exit(1)


@key.command()
@administered
@click.argument("party")
@click.option("--envelope", type=click.Choice(["auto", "require", "off"]),
              help="auto: required once one was seen; require: always; off: never looked at.")
@click.option("--md5/--no-md5", default=None, help="Accept MD5 signatures, which FATE Flow 1.9 and 1.10 make.")
def policy(site: Backend, party: str, envelope: Optional[str], md5: Optional[bool]) -> None:
    """Show or change what a partner's signatures must be like."""
    if envelope is None and md5 is None:
        agreed = site.perform("policies.show", party_id=party)
    else:
        agreed = site.perform("policies.change", {"envelope": envelope, "md5": md5}, party_id=party)
    click.echo(pairs({
        "party": party, "envelope": agreed["envelope"], "md5": "yes" if agreed["md5"] else "no",
        "envelope seen": agreed["envelope_seen"] or "never"}))
    if party not in {row["party_id"] for row in site.perform("keys.list")["keys"]}:
        _warn(f"no key of party {party} is here.")
    if md5:
        _warn("MD5 signatures can be forged. Let the partner go to FATE Flow 1.11, then say --no-md5.")


def _open(conf: Path) -> Any:
    """For what stores keys: under the right master key, or not at all."""
    from fate_ext_plugin.cli.context import open_context

    context = open_context(conf)
    context.prove()
    return context


def _private_rows(keys: Any, party: str) -> List[Dict[str, Any]]:
    return [row for row in keys.rows() if row["party_id"] == party and row["kind"] == "private"]


def _read(file: str) -> str:
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_FILE_BYTES)
        else:
            with open(file, "rb") as opened:
                content = opened.read(MAX_FILE_BYTES)
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}.") from None
    return content.decode("ascii", "replace")


def _shown(fingerprint: str) -> str:
    return f"SHA256:{fingerprint}"


def _span(row: Dict[str, Any]) -> str:
    start, end = row["valid_from"], row["valid_until"]
    return f"valid {f'from {start} ' if start else ''}until {end or 'it is removed'}"


def _warn(text: str) -> None:
    click.echo(f"warning: {text}", err=True)
