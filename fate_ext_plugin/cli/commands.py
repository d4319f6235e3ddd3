"""The commands of ``fate-ext``. Each reads the same service_conf.yaml as the server it speaks of."""
import json
import sys
from pathlib import Path
from typing import Any, Optional

import click

from fate_ext_plugin import __version__
from fate_ext_plugin.cli.audit import audit
from fate_ext_plugin.cli.check import checks
from fate_ext_plugin.cli.clients import client
from fate_ext_plugin.cli.enable import disable, enable
from fate_ext_plugin.cli.findings import Doubtful
from fate_ext_plugin.cli.grants import grant
from fate_ext_plugin.cli.keys import key
from fate_ext_plugin.cli.options import AS_JSON, CONF
from fate_ext_plugin.cli.table import table
from fate_ext_plugin.db.base import date_of
from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.schema.shown import job_dict
from fate_ext_plugin.settings import read_settings_file


@click.group()
@click.version_option(__version__, prog_name="fate-ext")
def cli() -> None:
    """The extension services that FATE Flow calls: features for its jobs, authentication, permission."""


cli.add_command(enable)
cli.add_command(disable)
cli.add_command(client)
cli.add_command(key)
cli.add_command(grant)
cli.add_command(audit)


@cli.command()
@CONF
def serve(conf: Path) -> None:
    """Run the services without FATE Flow around them."""
    from fate_ext_plugin.server import serve as run

    run(read_settings_file(conf))


@cli.command()
@CONF
@click.option("--flow", required=True, metavar="URL", help="FATE Flow's address, such as http://10.0.0.5:9380.")
def register(conf: Path, flow: str) -> None:
    """Register the running services with a FATE Flow on this or another machine."""
    from fate_ext_plugin.cli.register import register as send

    settings = read_settings_file(conf)
    for service, url in send(settings, flow):
        click.echo(f"registered {service} as {url}")
    click.echo(f"An ApiReader reaches it with server_name: {settings.server_name}")


@cli.command("metrics-url")
@CONF
def metrics_url(conf: Path) -> None:
    """Print the url of /v1/ext/metrics for Prometheus, with its token: keep it secret."""
    from fate_ext_plugin.cli.database import open_host
    from fate_ext_plugin.feature.storage import Storage
    from fate_ext_plugin.fence import Fence
    from fate_ext_plugin.registration import service_uri

    settings = read_settings_file(conf)
    if not settings.metrics:
        raise ExtError("metrics is off; set `metrics: true` in service_conf.yaml and restart the server.")
    storage = Storage(settings.data_dir, settings.min_free_bytes)
    storage.open()
    host, port = open_host(conf).address
    click.echo(f"http://{host}:{port}{service_uri(Fence(storage.secret(), (), ()), 'metrics')}")


@cli.command()
@CONF
@click.option("--flow", metavar="URL", help="The FATE Flow to look at; default: the one that FILE configures, if it "
                                            "runs.")
def check(conf: Path, flow: Optional[str]) -> None:
    """Say in plain words whether settings, database, sources and disk are usable, and what FATE Flow makes of them.

    A WARNING is worth a look; only a PROBLEM ends with status 1.
    """
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


@cli.group()
def jobs() -> None:
    """Look at feature jobs, and cancel them."""


@jobs.command("list")
@CONF
@AS_JSON
@click.option("--status", type=click.Choice(["waiting", "running", "success", "failed", "canceled", "expired"]))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10000))
def list_jobs(conf: Path, as_json: bool, status: Optional[str], limit: int) -> None:
    """List the newest feature jobs."""
    found = _jobs(conf).find(status, limit)
    if as_json:
        click.echo(json.dumps([job_dict(job) for job in found], indent=2, ensure_ascii=False))
        return
    click.echo(table(
        ["job", "status", "%", "view", "ids", "matched", "seconds", "created", "FATE job"],
        [[job.job_id, job.status, job.progress, job.view, job.ids, job.matched, f"{job.elapsed_ms() / 1000:.1f}",
          date_of(job.create_time), job.fate_job_id] for job in found]))


@jobs.command()
@CONF
@AS_JSON
@click.argument("job_id")
def show(conf: Path, as_json: bool, job_id: str) -> None:
    """Show all that is known of one feature job."""
    job = job_dict(_jobs(conf).get(job_id))
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
    else:
        click.echo(table(["", ""], [[key, value] for key, value in job.items()], header_line=False))


@jobs.command()
@CONF
@click.argument("job_id")
def cancel(conf: Path, job_id: str) -> None:
    """Cancel a waiting or running feature job; its FATE job fails with that reason."""
    found = _jobs(conf)
    status = found.get(job_id).status
    if not found.cancel(job_id):
        raise ExtError(f"The job can't be canceled any more: it is {status}.")
    click.echo(f"canceled {job_id}")


def _jobs(conf: Path) -> Any:
    from fate_ext_plugin.cli.database import open_store
    from fate_ext_plugin.db.migration import migrate
    from fate_ext_plugin.feature.job import Jobs

    store = open_store(conf)
    migrate(store)
    return Jobs(store)
