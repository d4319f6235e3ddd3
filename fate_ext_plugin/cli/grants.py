"""``fate-ext grant``: which party may run what on which data, when and how often."""
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.errors import CommandFailed
from fate_ext_plugin.cli.local import LocalBackend
from fate_ext_plugin.cli.options import AS_JSON, CONF
from fate_ext_plugin.cli.table import as_json_text, pairs, table

SOON = "running servers follow within 2 seconds"
DAY_SECONDS = 86400.0
NOT_SAID = ((), None, "")


@click.group()
def grant() -> None:
    """Which party may run what on which data, when and how often."""


@grant.command()
@administered
@click.option("--name", help="For messages and changes; one is made where none is given.")
@click.option("--party", required=True, help="Party ID of the partner, or * for all.")
@click.option("--role", help="Our role in the job: guest, host or arbiter; without it any.")
@click.option("--component", "components", metavar="PATTERN", multiple=True,
              help="Such as hetero_lr or 'hetero*' (also repeated).")
@click.option("--dataset", "datasets", metavar="NAMESPACE/NAME", multiple=True,
              help="Such as exp/ids or 'exp/*' (also repeated).")
@click.option("--from", "valid_from", metavar="DATE", help="Counts from then on: 2027-01-31, or '2027-01-31 18:00'.")
@click.option("--until", "valid_until", metavar="DATE", help="Counts no more from then on.")
@click.option("--weekday", "weekdays", metavar="DAY", multiple=True, help="mon, tue, ... (also repeated).")
@click.option("--hours", metavar="SPAN", help="Such as 08:00-18:00; 22:00-06:00 ends on the next day.")
@click.option("--max-uses", type=int, metavar="N", help="For so many FATE jobs in all.")
@click.option("--max-uses-per-day", type=int, metavar="N", help="For so many FATE jobs a day.")
@click.option("--initiator", "initiators", metavar="PARTY", multiple=True,
              help="Only for jobs that this party starts (also repeated).")
@click.option("--partner", "partners", metavar="PARTY", multiple=True,
              help="Only for jobs in which no others take part (also repeated).")
@click.option("--deny", is_flag=True, help="Forbid it, whatever other grants allow.")
@click.option("--note", default="", help="Why, for people.")
def add(site: Backend, deny: bool, **terms: Any) -> None:
    """Grant components, datasets or both to a party."""
    payload = {key: list(value) if isinstance(value, tuple) else value for key, value in terms.items()
            if value not in NOT_SAID}
    added = site.perform("grants.add", {**payload, "effect": "deny" if deny else "allow"})
    click.echo(f"added {added['name']}; {SOON}")


@grant.command("list")
@administered
@AS_JSON
@click.option("--party", help="Only those that may concern this party.")
def list_grants(site: Backend, as_json: bool, party: Optional[str]) -> None:
    """List grants."""
    found = list(site.pages("grants.list", "grants", party=party))
    click.echo(as_json_text(found) if as_json else table(
        ["name", "effect", "party", "role", "components", "datasets", "terms"],
        [[row["name"], row.get("effect", "allow"), row["party"], row.get("role", "any"),
          _short(row.get("components", ())), _short(map(_dataset_text, row.get("datasets", ()))), _terms(row)]
         for row in found]))


@grant.command()
@administered
@AS_JSON
@click.argument("name")
def show(site: Backend, as_json: bool, name: str) -> None:
    """Show all terms of one grant, how often it was used, and who made it."""
    found = site.perform("grants.show", name=name)
    click.echo(as_json_text(found) if as_json else pairs({
        key.replace("_", " "): _shown(key, value) for key, value in found.items()}))


def _shown(key: str, value: Any) -> Any:
    if key in ("uses", "uses_today") and value is None:
        return "not counted, as no term limits them"
    return list(map(_dataset_text, value)) if isinstance(value, list) else value


@grant.command()
@administered
@click.argument("name")
def remove(site: Backend, name: str) -> None:
    """Take a grant back, and forget its uses."""
    site.perform("grants.remove", name=name)
    click.echo(f"removed {name}; {SOON}")


@grant.command("import-from-fate")
@CONF
def import_from_fate(conf: Path) -> None:
    """Take over the permissions granted in FATE Flow itself (flow privilege grant)."""
    from fate_ext_plugin.permission.fate_import import PREFIX, take_over

    context = _open(conf)
    taken = take_over(context.host.permission_rules())
    now = {new.name for new in taken.grants}
    gone = [old.name for old in context.grants.all() if old.name.startswith(PREFIX) and old.name not in now]
    with LocalBackend(conf).audited("grant import-from-fate"):
        context.grants.replace(taken.grants, gone)
    for new in taken.grants:
        click.echo(f"{new.name}: {len(new.items)} components and datasets for party {new.party}")
    for name in gone:
        click.echo(f"{name}: removed, FATE Flow holds it no more")
    for reason in taken.left:
        click.echo(f"left out: {reason}")
    if not taken.grants:
        click.echo("FATE Flow holds no permissions.")


@grant.command()
@CONF
def export(conf: Path) -> None:
    """Print all grants as a policy file, which `apply` reads."""
    import yaml

    from fate_ext_plugin.schema.permission import grant_dict

    context = _open(conf)
    content = {"grants": [grant_dict(found, context.calendar) for found in context.grants.all()]}
    click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


@grant.command()
@CONF
@click.argument("file", type=Path)
@click.option("--days", default=7, show_default=True, type=click.IntRange(0, 3650),
              help="Try it on the requests that came to this server in the last so many days.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(conf: Path, file: Path, days: int, dry_run: bool, yes: bool) -> None:
    """Make the grants those of a policy FILE. Shows first what changes, and which jobs of the last days it would have
    refused or allowed."""
    from fate_ext_plugin.permission.policy import difference
    from fate_ext_plugin.schema.permission import load_policy
    from fate_ext_plugin.settings.load import read_yaml

    context = _open(conf)
    wanted = load_policy(read_yaml(file), context.calendar)
    before = context.grants.all()
    changes = difference(before, wanted)
    if not changes:
        click.echo("Nothing to change.")
        return
    _show_changes(context, changes)
    _rehearse(context, before, wanted, days)
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise CommandFailed("Nothing is changed: there is no terminal to ask at; use --yes.")
        click.confirm("Make these changes?", abort=True)
    if context.grants.all() != before:
        raise CommandFailed("Nothing is changed: somebody else has just changed grants. Try again.")
    put, gone = [*changes.added, *(new for _, new in changes.changed)], [old.name for old in changes.removed]
    with LocalBackend(conf).audited(f"grant apply: {len(put)} put, {len(gone)} removed"):
        _replace(context, put, gone)
    click.echo(f"done; {SOON}")


@grant.command()
@administered
@AS_JSON
@click.option("--party", required=True, help="The party that asks.")
@click.option("--role", default="host", show_default=True, help="Our role in its job.")
@click.option("--component", "components", metavar="NAME", multiple=True, help="Also repeated.")
@click.option("--dataset", "datasets", metavar="NAMESPACE/NAME", multiple=True, help="Also repeated.")
@click.option("--initiator", metavar="PARTY", help="Who starts the job; without it the party itself.")
@click.option("--other", "others", metavar="PARTY", multiple=True, help="Who takes part, too (also repeated).")
@click.option("--at", metavar="DATE", help="When; without it now.")
def explain(
    site: Backend, as_json: bool, party: str, role: str, components: Tuple[str, ...], datasets: Tuple[str, ...],
    initiator: Optional[str], others: Tuple[str, ...], at: Optional[str],
) -> None:
    """Say whether a job would be allowed, by which grant, or why each grant that comes near does not count.

    Exits with 1 where it would be refused.
    """
    found = site.perform("grants.explain", {
        "party": party, "role": role, "components": list(components), "datasets": list(datasets),
        "initiator": initiator, "others": list(others), "at": at})
    if as_json:
        click.echo(as_json_text(found))
    else:
        _show_decision(found)
    sys.exit(0 if found["allowed"] else 1)


def _open(conf: Path) -> Any:
    from fate_ext_plugin.cli.context import open_context

    return open_context(conf)


def _show_changes(context: Any, changes: Any) -> None:
    from fate_ext_plugin.schema.permission import grant_dict

    for new in changes.added:
        click.echo(f"+ {new.name}")
        for key, value in _fields(grant_dict(new, context.calendar)):
            click.echo(f"    {key}: {value}")
    for old, new in changes.changed:
        click.echo(f"~ {new.name}")
        before, after = (dict(_fields(grant_dict(one, context.calendar))) for one in (old, new))
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                click.echo(f"    {key}: {before.get(key, 'not said')} -> {after.get(key, 'not said')}")
    for old in changes.removed:
        click.echo(f"- {old.name}")


def _fields(found: Dict[str, Any]) -> Iterable[Tuple[str, str]]:
    return ((key, ", ".join(map(_dataset_text, value)) if isinstance(value, list) else str(value))
            for key, value in found.items() if key != "name")


def _rehearse(context: Any, before: List[Any], wanted: List[Any], days: int) -> None:
    from fate_ext_plugin.audit.search import read
    from fate_ext_plugin.db.base import date_of
    from fate_ext_plugin.permission.policy import past_requests, rehearse

    now = time.time()
    past = past_requests(read(context.audit_folders[1]), now - days * DAY_SECONDS)
    answers = zip(past, *(rehearse(past, grants, context.calendar, int(now * 1000)) for grants in (before, wanted)))
    turned = [(one, new) for one, old, new in answers if old.allowed != new.allowed]
    click.echo(f"Of {len(past)} requests that came here in the last {days} days, {len(turned)} would be answered "
               f"otherwise{':' if turned else '.'}")
    if turned:
        click.echo(table(["time", "job", "answer", "because"], [
            [date_of(int(one.time * 1000)), one.request.job, "allowed" if new.allowed else "refused", new.message()]
            for one, new in turned]))


def _replace(context: Any, put: List[Any], gone: List[str]) -> None:
    if not sys.stderr.isatty():  # a bar in a script's log is noise
        context.grants.replace(put, gone)
        return
    with click.progressbar(length=len(put), label="grants", file=sys.stderr) as bar:
        context.grants.replace(put, gone, progress=bar.update)


def _show_decision(found: Dict[str, Any]) -> None:
    click.echo(f"{'allowed' if found['allowed'] else 'refused'}: {found['message']}")
    for item in found["items"]:
        by = f"denied by {item['denied_by']}" if item["denied_by"] else (
            f"allowed by {', '.join(item['allowed_by'])}" if item["allowed_by"] else "no grant counts")
        click.echo(table(["", ""], [[f"  {item['kind']} {item['name']}", by]], header_line=False))
        for miss in item["near_misses"]:
            click.echo(table(["", ""], [[f"    {miss['grant']}", miss["reason"]]], header_line=False))


def _dataset_text(value: Any) -> str:
    return f"{value['namespace']}/{value['name']}" if isinstance(value, dict) else str(value)


def _short(values: Iterable[str]) -> str:
    first, *more = [*values][:4] or [""]
    return " ".join([first, *more[:2]]) + (" ..." if len(more) > 2 else "")


def _terms(row: Dict[str, Any]) -> str:
    keys = ("valid_from", "valid_until", "weekdays", "hours", "max_uses", "max_uses_per_day", "initiators", "partners")
    terms = ((key.replace("_", " "), row[key]) for key in keys if key in row)
    return ", ".join(f"{key} {' '.join(value) if isinstance(value, list) else value}" for key, value in terms)
