"""``fate-ext client``: who may call FATE Flow, and what each may do. A secret is never an argument of a command: all
users of the machine see those."""
import json
from pathlib import Path
from typing import Any, Optional, Tuple

import click

from fate_ext_plugin.auth.clients import ROLES
from fate_ext_plugin.cli.options import AS_JSON, CONF, Moment
from fate_ext_plugin.cli.table import table
from fate_ext_plugin.db.base import date_of
from fate_ext_plugin.errors import ExtError, InvalidKey
from fate_ext_plugin.private_file import require_private
from fate_ext_plugin.schema.shown import client_dict

# What a server holds in memory it looks up again after 3 seconds (cached.py).
SOON = "a running server follows within 3 seconds"


@click.group()
def client() -> None:
    """Clients that may call FATE Flow, and what each may do."""


@client.command()
@CONF
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
@click.option("--role", type=click.Choice(list(ROLES)),
              help="What it may do under /v1/ext/admin: all, or look; without it nothing.")
@click.option("--secret-file", type=Path, metavar="FILE",
              help="A file of mode 0600 with the secret that the client has already; without it a new one is made.")
def add(
    conf: Path, app_key: str, name: str, algorithm: str, expires: Optional[int], paths: Tuple[str, ...],
    methods: Tuple[str, ...], networks: Tuple[str, ...], role: Optional[str], secret_file: Optional[Path],
) -> None:
    """Let a client in. Its new secret is shown only now."""
    given = _secret_in(secret_file) if secret_file else None
    secret = _rooms(conf).prove().clients.add(
        app_key, name, algorithm=algorithm, secret=given, expires=expires, paths=paths,
        methods=[method.upper() for method in methods], networks=networks, role=role)
    click.echo(f"added {app_key}; {SOON}")
    if given is None:
        _show_once(secret)


@client.command("list")
@CONF
@AS_JSON
def list_clients(conf: Path, as_json: bool) -> None:
    """List all clients."""
    found = [client_dict(row) for row in _rooms(conf).clients.rows()]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(table(
        ["app key", "status", "role", "name", "algorithm", "expires", "paths", "methods", "networks"],
        [[row["app_key"], row["status"], row["role"] or "none", row["name"], row["algorithm"],
          row["expires"] or "never", *(_any(row[key]) for key in ("paths", "methods", "networks"))] for row in found]))


@client.command()
@CONF
@AS_JSON
@click.argument("app_key")
def show(conf: Path, as_json: bool, app_key: str) -> None:
    """Show all that is known of one client, but for its secret."""
    found = client_dict(_rooms(conf).clients.row(app_key))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    shown = {key: _any(value) if isinstance(value, list) else value for key, value in found.items()}
    click.echo(table(["", ""], list(shown.items()), header_line=False))


@client.command()
@CONF
@click.argument("app_key")
@click.option("--keep-old", "hours", default=24, show_default=True, metavar="HOURS", type=click.IntRange(0, 8760),
              help="How long the old secret is valid still; 0 if others may know it.")
def rotate(conf: Path, app_key: str, hours: int) -> None:
    """Give a client a new secret, shown only now. The old one stays valid for a while."""
    clients = _rooms(conf).prove().clients
    secret = clients.rotate(app_key, hours * 3600)
    until = clients.row(app_key)["previous_secret_until"]
    click.echo(f"{app_key} has a new secret; the old one is valid " + (
        f"until {date_of(until)}" if hours else f"no more: {SOON}"))
    _show_once(secret)


@client.command()
@CONF
@click.argument("app_key")
def disable(conf: Path, app_key: str) -> None:
    """Refuse a client, until it is enabled again."""
    _rooms(conf).clients.enable(app_key, False)
    click.echo(f"disabled {app_key}; {SOON}")


@client.command()
@CONF
@click.argument("app_key")
def enable(conf: Path, app_key: str) -> None:
    """Let a disabled client in again."""
    _rooms(conf).clients.enable(app_key, True)
    click.echo(f"enabled {app_key}; {SOON}")


@client.command()
@CONF
@click.argument("app_key")
def remove(conf: Path, app_key: str) -> None:
    """Forget a client, and its secret."""
    _rooms(conf).clients.remove(app_key)
    click.echo(f"removed {app_key}; {SOON}")


def _rooms(conf: Path) -> Any:
    from fate_ext_plugin.cli.rooms import open_rooms

    return open_rooms(conf)


def _secret_in(file: Path) -> str:
    try:
        require_private(file)
        return file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ExtError(f"--secret-file can't be read: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise InvalidKey("A secret is 16 to 256 printable ASCII characters.") from None


def _show_once(secret: str) -> None:
    click.echo("Its secret is shown only now, and is found nowhere later. Hand it over in private:")
    click.echo(f"\n    {secret}\n")


def _any(values: Any) -> str:
    return " ".join(values) or "all"
