"""``fate-ext jobs``: look at feature jobs, cancel and delete them."""
import sys
import time
from typing import Any, Dict

import click

from fate_ext_plugin.cli.administered import administered
from fate_ext_plugin.cli.backend import Backend
from fate_ext_plugin.cli.options import AS_JSON, Moment
from fate_ext_plugin.cli.table import as_json_text, pairs, table

FOLLOW_SECONDS = 1.0
ACTIVE = ("waiting", "running")
STATUSES = [*ACTIVE, "success", "failed", "canceled", "expired"]


@click.group()
def jobs() -> None:
    """Look at feature jobs, cancel and delete them."""


@jobs.command("list")
@administered
@AS_JSON
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--view", metavar="VIEW", help="Only jobs of this view.")
@click.option("--fate-job", "fate_job_id", metavar="JOB", help="Only those of this FATE job.")
@click.option("--since", type=Moment(), metavar="DATE", help="Accepted then or later.")
@click.option("--until", type=Moment(), metavar="DATE", help="Accepted before then.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10000))
def list_jobs(site: Backend, as_json: bool, limit: int, **terms: Any) -> None:
    """List the newest feature jobs."""
    found = list(site.pages("jobs.list", "jobs", limit, **terms))
    click.echo(as_json_text(found) if as_json else table(
        ["job", "status", "%", "view", "ids", "matched", "seconds", "created", "FATE job"],
        [[job["job_id"], job["status"], job["progress"], job["view"], job["ids"], job["matched"],
          f"{job['elapsed_seconds']:.1f}", job["created"], job["fate_job_id"]] for job in found]))


@jobs.command()
@administered
@AS_JSON
@click.option("--follow", is_flag=True, help="Wait for its end; ends with status 1 unless it succeeded.")
@click.argument("job_id")
def show(site: Backend, as_json: bool, follow: bool, job_id: str) -> None:
    """Show all that is known of one feature job."""
    job = _followed(site, job_id) if follow else site.perform("jobs.show", job_id=job_id)
    click.echo(as_json_text(job) if as_json else pairs(job))
    if follow and job["status"] != "success":
        sys.exit(1)


def _followed(site: Backend, job_id: str) -> Dict[str, Any]:
    job: Dict[str, Any] = site.perform("jobs.show", job_id=job_id)
    if not sys.stderr.isatty():  # a bar in a script's log is noise
        while job["status"] in ACTIVE:
            job = _later(site, job_id)
        return job
    with click.progressbar(length=100, label=job_id[-8:], file=sys.stderr) as bar:
        while job["status"] in ACTIVE:
            bar.update(max(0, job["progress"] - bar.pos))
            job = _later(site, job_id)
        bar.update(max(0, job["progress"] - bar.pos))
    return job


def _later(site: Backend, job_id: str) -> Dict[str, Any]:
    time.sleep(FOLLOW_SECONDS)
    job: Dict[str, Any] = site.perform("jobs.show", job_id=job_id)
    return job


@jobs.command()
@administered
@click.argument("job_id")
def cancel(site: Backend, job_id: str) -> None:
    """Cancel a waiting or running feature job; its FATE job fails with that reason."""
    site.perform("jobs.cancel", job_id=job_id)
    click.echo(f"canceled {job_id}")


@jobs.command()
@administered
@click.argument("job_id")
def delete(site: Backend, job_id: str) -> None:
    """Forget a feature job that has ended, with its result."""
    site.perform("jobs.delete", job_id=job_id)
    click.echo(f"deleted {job_id}")
