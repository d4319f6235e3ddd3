"""``fate-ext settings`` and ``fate-ext health``: what is in force, and whether it works."""
import sys
from typing import Any, Dict, Iterator, Tuple

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.options import AS_JSON
from fate_ext_plugin.cli.table import as_json_text, pairs


@click.command()
@administered
@AS_JSON
def settings(site: Backend, as_json: bool) -> None:
    """Show settings, defaults included: with --url those in force there. None of them is a secret."""
    found = site.perform("settings.show")
    click.echo(as_json_text(found) if as_json else pairs(dict(_flat(found))))


def _flat(found: Dict[str, Any], above: str = "") -> Iterator[Tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


@click.command()
@administered
@AS_JSON
def health(site: Backend, as_json: bool) -> None:
    """Say whether a server can do its work; ends with status 1 where it can't.

    Without --url only what a command can see of it: database, disk, keys and grants.
    """
    found = site.perform("health.show")
    shown = {**found, **found["problems"]}
    del shown["problems"]
    click.echo(as_json_text(found) if as_json else pairs(shown))
    sys.exit(1 if found["problems"] else 0)
