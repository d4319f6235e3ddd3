"""``fate-ext client``: who may call FATE Flow, and what each may do. A secret is never an argument of a command: all
users of the machine see those."""
from pathlib import Path
from typing import Any, Optional, Tuple

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.errors import CommandFailed
from fate_ext_plugin.cli.options import AS_JSON, Moment
from fate_ext_plugin.cli.table import as_json_text, pairs, table
from fate_ext_plugin.errors import InvalidKey
from fate_ext_plugin.util.secret_file import require_secret_file

# What a server holds in memory it looks up again after 3 seconds (cached.py).
SOON = "a running server follows within 3 seconds"


@click.group()
def client() -> None:
    """Clients that may call FATE Flow, and what each may do."""


@client.command()
@administered
@click.argument("app_key")
@click.option("--name", required=True, help="Whose it is, for people.")
@click.option("--algorithm", default="hmac-sha1", show_default=True, type=click.Choice(["hmac-sha1", "hmac-sha256"]),
              help="FATE's own clients sign with hmac-sha1.")
@click.option("--expires", type=Moment(), metavar="DATE|Nd", help="Refused from then on: 2027-01-31, or 90d from now.")
@click.option("--path", "paths", multiple=True, metavar="PATTERN",
              help="Only these paths, such as '/v1/job/*' (also repeated); without it all.")
@click.option("--method", "methods", multiple=True, metavar="METHOD", help="Only these, such as POST (also repeated).")
@click.option("--network", "networks", multiple=True, metavar="CIDR",
              help="Only from there, such as 10.0.0.0/16 (also repeated).")
@click.option("--role", type=click.Choice(["admin", "viewer"]),
              help="What it may do under /v1/ext/admin: all, or look; without it nothing.")
@click.option("--secret-file", type=Path, metavar="FILE",
              help="A file of mode 0600 with the secret that the client has already; without it a new one is made.")
def add(
    site: Backend, app_key: str, secret_file: Optional[Path], methods: Tuple[str, ...], **terms: Any
) -> None:
    """Let a client in. Its new secret is shown only now."""
    given = _secret_in(secret_file) if secret_file else None
    payload = {key: list(value) if isinstance(value, tuple) else value for key, value in terms.items()}
    made = site.perform("clients.add", {
        **payload, "app_key": app_key, "methods": [method.upper() for method in methods], "secret": given})
    click.echo(f"added {app_key}; {SOON}")
    if made["secret"] is not None:
        _show_once(made["secret"])


@client.command("list")
@administered
@AS_JSON
def list_clients(site: Backend, as_json: bool) -> None:
    """List all clients."""
    found = site.perform("clients.list")["clients"]
    click.echo(as_json_text(found) if as_json else table(
        ["app key", "status", "role", "name", "algorithm", "expires", "paths", "methods", "networks"],
        [[row["app_key"], row["status"], row["role"] or "none", row["name"], row["algorithm"],
          row["expires"] or "never", *(_any(row[key]) for key in ("paths", "methods", "networks"))] for row in found]))


@client.command()
@administered
@AS_JSON
@click.argument("app_key")
def show(site: Backend, as_json: bool, app_key: str) -> None:
    """Show all that is known of one client, but for its secret."""
    found = site.perform("clients.show", app_key=app_key)
    click.echo(as_json_text(found) if as_json else pairs(
        {key: _any(value) if isinstance(value, list) else value for key, value in found.items()}))


@client.command()
@administered
@click.argument("app_key")
@click.option("--keep-old", "hours", default=24, show_default=True, metavar="HOURS", type=click.IntRange(0, 8760),
              help="How long the old secret is valid still; 0 if others may know it.")
def rotate(site: Backend, app_key: str, hours: int) -> None:
    """Give a client a new secret, shown only now. The old one stays valid for a while."""
    secret = site.perform("clients.rotate", {"keep_old_hours": hours}, app_key=app_key)["secret"]
    until = site.perform("clients.show", app_key=app_key)["old_secret_until"]
    click.echo(f"{app_key} has a new secret; the old one is valid " + (
        f"until {until}" if until else f"no more: {SOON}"))
    _show_once(secret)


@client.command()
@administered
@click.argument("app_key")
def disable(site: Backend, app_key: str) -> None:
    """Refuse a client, until it is enabled again."""
    site.perform("clients.change", {"enabled": False}, app_key=app_key)
    click.echo(f"disabled {app_key}; {SOON}")


@client.command()
@administered
@click.argument("app_key")
def enable(site: Backend, app_key: str) -> None:
    """Let a disabled client in again."""
    site.perform("clients.change", {"enabled": True}, app_key=app_key)
    click.echo(f"enabled {app_key}; {SOON}")


@client.command()
@administered
@click.argument("app_key")
def remove(site: Backend, app_key: str) -> None:
    """Forget a client, and its secret."""
    site.perform("clients.remove", app_key=app_key)
    click.echo(f"removed {app_key}; {SOON}")


def _secret_in(file: Path) -> str:
    try:
        require_secret_file(file)
        return file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise CommandFailed(f"--secret-file can't be read: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise InvalidKey("A secret is 16 to 256 printable ASCII characters.") from None


def _show_once(secret: str) -> None:
    click.echo("Its secret is shown only now, and is found nowhere later. Hand it over in private:")
    click.echo(f"\n    {secret}\n")


def _any(values: Any) -> str:
    return " ".join(values) or "all"
