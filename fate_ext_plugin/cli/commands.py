"""The commands of ``fate-ext``. Each reads the same service_conf.yaml as the server it speaks of."""
import sys
from pathlib import Path
from typing import Optional

import click

from fate_ext_plugin import __version__
from fate_ext_plugin.cli.audit import audit
from fate_ext_plugin.cli.clients import client
from fate_ext_plugin.cli.enable.command import disable, enable
from fate_ext_plugin.cli.errors import CommandFailed
from fate_ext_plugin.cli.grants import grant
from fate_ext_plugin.cli.jobs import jobs
from fate_ext_plugin.cli.keys import key
from fate_ext_plugin.cli.options import CONF
from fate_ext_plugin.cli.site import health
from fate_ext_plugin.cli.site import settings as show_settings
from fate_ext_plugin.cli.views import views
from fate_ext_plugin.errors import ExtError


@click.group()
@click.version_option(__version__, prog_name="fate-ext")
def cli() -> None:
    """The extension services that FATE Flow calls: features for its jobs, authentication, permission."""


for command in (enable, disable, jobs, views, client, key, grant, audit, show_settings, health):
    cli.add_command(command)


@cli.command()
@CONF
def serve(conf: Path) -> None:
    """Run the services without FATE Flow around them."""
    from fate_ext_plugin.server import serve as run
    from fate_ext_plugin.settings.load import read_settings_file

    run(read_settings_file(conf))


@cli.command()
@CONF
@click.option("--flow", required=True, metavar="URL", help="FATE Flow's address, such as http://10.0.0.5:9380.")
def register(conf: Path, flow: str) -> None:
    """Register the running services with a FATE Flow on this or another machine."""
    from fate_ext_plugin.cli.register import register as send
    from fate_ext_plugin.settings.load import read_settings_file

    settings = read_settings_file(conf)
    for service, url in send(settings, flow):
        click.echo(f"registered {service} as {url}")
    click.echo(f"An ApiReader reaches it with server_name: {settings.server_name}")


@cli.command("metrics-url")
@CONF
def metrics_url(conf: Path) -> None:
    """Print the url of /v1/ext/metrics for Prometheus, with its token: keep it secret."""
    from fate_ext_plugin.access.guard import AccessGuard
    from fate_ext_plugin.apps.service_urls import service_uri
    from fate_ext_plugin.cli.database import find_host
    from fate_ext_plugin.feature.storage import Storage
    from fate_ext_plugin.settings.load import read_settings_file

    settings = read_settings_file(conf)
    if not settings.metrics:
        raise CommandFailed("metrics is off; set `metrics: true` in service_conf.yaml and restart the server.")
    storage = Storage(settings.data_dir, settings.min_free_bytes)
    storage.open()
    host, port = find_host(conf).address
    click.echo(f"http://{host}:{port}{service_uri(AccessGuard(storage.secret(), (), ()), 'metrics')}")


@cli.command("replace-tokens")
@CONF
def replace_tokens(conf: Path) -> None:
    """Make the tokens in all registered urls invalid, at the next start of each server on this database.

    Mounted servers register new ones then; alone, run `fate-ext register` again.
    """
    from fate_ext_plugin.access.token_secret import replace_secret
    from fate_ext_plugin.cli.database import open_store
    from fate_ext_plugin.db.migration import migrate

    store = open_store(conf)
    migrate(store)
    replace_secret(store)
    click.echo("There is a new secret; restart every server on this database now.")


@cli.command()
@CONF
@click.option("--flow", metavar="URL", help="The FATE Flow to look at; default: the one that FILE configures, if it "
                                            "runs.")
def check(conf: Path, flow: Optional[str]) -> None:
    """Say in plain words whether settings, database, sources and disk are usable, and what FATE Flow makes of them.

    A WARNING is worth a look; only a PROBLEM ends with status 1.
    """
    from fate_ext_plugin.cli.check.command import checks
    from fate_ext_plugin.cli.check.findings import Doubtful
    from fate_ext_plugin.settings.load import read_settings_file

    settings = read_settings_file(conf)
    views = f"{len(settings.views)} view(s): {', '.join(sorted(settings.views))}" if settings.views else "no views"
    click.echo(f"ok      settings: {views}{', authentication' if settings.authentication else ''}")
    problems = 0
    for name, test in checks(settings, conf, flow):
        try:
            click.echo(f"ok      {name}: {test()}")
        except Doubtful as doubt:
            click.echo(f"WARNING {name}: {doubt.message}")
        except ExtError as error:
            problems += 1
            click.echo(f"PROBLEM {name}: {error.message}")
    if problems:
        sys.exit(1)
