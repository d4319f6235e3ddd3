"""``fate-ext audit``: who was let in, who was refused, and why."""
import json
from itertools import islice
from pathlib import Path
from typing import Optional

import click

from fate_ext_plugin.cli.options import AS_JSON, CONF
from fate_ext_plugin.cli.table import table
from fate_ext_plugin.db.base import date_of
from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.settings import read_settings_file


@click.command()
@CONF
@AS_JSON
@click.option("--refused", is_flag=True, help="Only those that were refused.")
@click.option("--check", type=click.Choice(["client", "site", "signature", "permission", "admin"]),
              help="Only decisions of this kind.")
@click.option("--who", metavar="X", help="Only this app key or party ID.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000))
def audit(
    conf: Path, as_json: bool, refused: bool, check: Optional[str], who: Optional[str], limit: int
) -> None:
    """List the newest decisions of authentication and permission."""
    from fate_ext_plugin.audit_search import read
    from fate_ext_plugin.permission.opened import trail_folder

    settings = read_settings_file(conf)
    folder = settings.data_dir / "audit"
    wanted = (
        entry for entry in read(folder, trail_folder(settings))
        if not (refused and entry["allowed"]) and check in (None, entry["check"]) and who in (None, entry["who"]))
    try:
        found = list(islice(wanted, limit))
    except OSError as error:
        raise ExtError(f"The audit trail can't be read: {error.strerror}: {folder}") from None
    if as_json:
        click.echo(json.dumps(found, indent=2))  # ASCII: strangers write into it
        return
    click.echo(table(
        ["time", "check", "", "who", "what", "from", "reason"],
        [[date_of(entry["time"] * 1000), entry["check"], "ok" if entry["allowed"] else "refused", entry["who"],
          entry["what"], entry["from"], None if entry["reason"] == "ok" else entry["reason"]]
         for entry in found]))
