"""``fate-ext audit``: who was let in, who was refused, and why."""
import json
from typing import Any, Iterator, Optional

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import MAX_PAGE, Backend
from fate_ext_plugin.cli.options import AS_JSON, Moment
from fate_ext_plugin.cli.table import table


@click.command()
@administered
@AS_JSON
@click.option("--refused", is_flag=True, help="Only those that were refused.")
@click.option("--check", type=click.Choice(["client", "site", "signature", "permission", "admin"]),
              help="Only decisions of this kind.")
@click.option("--who", metavar="X", help="Only this app key, party ID or user.")
@click.option("--since", type=Moment(), metavar="DATE", help="Made then or later.")
@click.option("--until", type=Moment(), metavar="DATE", help="Made before then.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000))
def audit(site: Backend, as_json: bool, refused: bool, limit: int, **terms: Any) -> None:
    """List the newest decisions of authentication, permission and administration."""
    found = list(_found(site, limit, allowed=False if refused else None, **terms))
    if as_json:
        click.echo(json.dumps(found, indent=2))  # ASCII: strangers write into it
        return
    click.echo(table(
        ["time", "check", "", "who", "what", "from", "reason"],
        [[_date(entry["time"]), entry["check"], "ok" if entry["allowed"] else "refused", entry["who"],
          entry["what"], entry["from"], None if entry["reason"] == "ok" else entry["reason"]]
         for entry in found]))


def _found(site: Backend, limit: int, **terms: Any) -> Iterator[Any]:
    """One search ends soon, perhaps with nothing, and says where to go on."""
    cursor: Optional[str] = None
    while limit:
        page = site.perform("audit.search", {**terms, "page_size": min(limit, MAX_PAGE), "cursor": cursor})
        yield from page["decisions"]
        limit -= len(page["decisions"])
        cursor = page["cursor"]
        if cursor is None:
            return


def _date(seconds: float) -> str:
    from fate_ext_plugin.db.base import date_of

    return date_of(int(seconds * 1000))
