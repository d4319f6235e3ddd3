"""``fate-ext views``: the feature views, and what a few IDs would get of one."""
from typing import Any, Tuple

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.errors import WrongOption
from fate_ext_plugin.cli.options import AS_JSON
from fate_ext_plugin.cli.table import as_json_text, table


@click.group()
def views() -> None:
    """Feature views: list them, try one."""


@views.command("list")
@administered
@AS_JSON
def list_views(site: Backend, as_json: bool) -> None:
    """List the feature views."""
    found = site.perform("views.list")["views"]
    click.echo(as_json_text(found) if as_json else table(
        ["view", "ID column", "columns", "parameters"],
        [[view["name"], view["id_column"], " ".join(view["columns"]), " ".join(
            name + ("" if one["required"] else "?") for name, one in view["parameters"].items())] for view in found]))


@views.command()
@administered
@AS_JSON
@click.argument("view")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--parameter", "parameters", metavar="NAME=VALUE", multiple=True, help="Also repeated.")
@click.option("--feature", "features", metavar="COLUMN", multiple=True,
              help="Only this column (also repeated); without it all.")
def test(
    site: Backend, as_json: bool, view: str, ids: Tuple[str, ...], parameters: Tuple[str, ...],
    features: Tuple[str, ...],
) -> None:
    """Show the features that up to 100 IDs would get of a view."""
    found = site.perform("views.test", {
        "ids": list(ids), "parameters": dict(map(_pair, parameters)), "features": list(features) or None}, name=view)
    if as_json:
        click.echo(as_json_text(found))
        return
    click.echo(table(found["columns"], found["rows"]))
    if found["missing"]:
        click.echo(f"{found['missing']} of the IDs have no features.")


def _pair(text: str) -> Tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise WrongOption(f"--parameter {text!r} is no NAME=VALUE.")
    return name, value
