"""How jobs run: in turn, in processes of their own, and to an end that says why."""
import re
import socket
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

import pytest
import requests

from fate_ext_plugin.db.feature_job import FeatureJob
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.dispatcher import let_it_look_around
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, jobs_of, lines, slow_view, wait_started


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """A server with a third party's source; two jobs run at once."""
    return make_shared_site(
        views={"slow": slow_view, "unpicklable": partial(slow_view, unpicklable=True)}, default_view="slow",
        concurrent_jobs=2, job_memory_mb=256, min_free_bytes=0, metrics=True)


@pytest.fixture(scope="module")
def folder(site: Site) -> Path:
    return site.folder


@pytest.fixture
def api_reader(site: Site, folder: Path) -> ApiReader:
    (folder / "go").unlink() if (folder / "go").exists() else None
    return ApiReader(site)


def now(api_reader: ApiReader, job_id: str) -> Dict[str, Any]:
    """What a query says that is not held."""
    url = api_reader.site.url("query").replace("wait=43200", "wait=0")
    data: Dict[str, Any] = requests.post(url, json={"jobId": job_id}, timeout=PATIENCE_SECONDS).json()["data"]
    return data


def files_of(site: Site, job_id: str) -> List[str]:
    return [name for name in site.files() if job_id in name]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


# -- in turn -----------------------------------------------------------------------------------------------------------


def test_so_many_jobs_run_at_once_and_the_others_wait_their_turn(api_reader: ApiReader, folder: Path) -> None:
    names = [f"turn{number}" for number in range(5)]
    job_ids = [api_reader.job([name], do="wait") for name in names]
    jobs = jobs_of(api_reader.site)
    for name in names[:2]:
        wait_started(folder, name)
    let_it_look_around(api_reader)
    assert [jobs.get(job_id).status for job_id in job_ids] == ["running"] * 2 + ["waiting"] * 3
    assert now(api_reader, job_ids[4])["status"] == "running"  # on the wire, where nobody knows of waiting
    assert now(api_reader, job_ids[4])["message"] == "The job waits for its turn."
    for ended, next_one in ((0, 2), (1, 3)):
        assert jobs.cancel(job_ids[ended])
        wait_started(folder, names[next_one])
    assert jobs.get(job_ids[4]).status == "waiting"
    go(folder)
    assert {api_reader.status(job_id)["status"] for job_id in job_ids[2:]} == {"success"}


def test_progress_is_told_while_the_job_runs(api_reader: ApiReader, folder: Path) -> None:
    job_id = api_reader.job(["progress"], do="progress:40")
    data = wait_until(lambda: next((d for d in [now(api_reader, job_id)] if d["progress"]), None))
    assert (data["status"], data["progress"], data["message"]) == ("running", 40, "The job is running.")
    go(folder)
    data = api_reader.status(job_id)
    assert (data["status"], data["progress"]) == ("success", 100)


# -- canceled by another process -------------------------------------------------------------------------------------


def test_a_running_job_is_canceled_by_the_command_line(api_reader: ApiReader, folder: Path) -> None:
    job_id = api_reader.job(["running"], do="wait")
    pid, query = wait_started(folder, "running"), api_reader.held(job_id)
    assert api_reader.site.command("jobs", "cancel", job_id).stdout == f"canceled {job_id}\n"
    data = query.result()
    assert (data["status"], data["message"]) == ("canceled", "The job was canceled by an operator of this site.")
    wait_until(lambda: not exists(pid), what="the job's process to end")
    wait_until(lambda: not files_of(api_reader.site, job_id), what="its files to be deleted")
    assert "is canceled, so there is nothing to download" in api_reader.download(job_id).text


def test_a_waiting_job_is_canceled_by_the_command_line(api_reader: ApiReader, folder: Path) -> None:
    running = [api_reader.job([name], do="wait") for name in ("before0", "before1")]
    for name in ("before0", "before1"):
        wait_started(folder, name)
    waiting = api_reader.job(["never"], do="answer")
    query = api_reader.held(waiting)
    api_reader.site.command("jobs", "cancel", waiting)
    assert query.result()["status"] == "canceled"
    go(folder)
    assert {api_reader.status(job_id)["status"] for job_id in running} == {"success"}


# -- to an end that says why -----------------------------------------------------------------------------------------

HOW = {
    "segfault": r"The job's process was killed by SIGSEGV\.",
    "killed": r"The job's process was killed by SIGKILL \(out of memory, most likely: lower job_memory_mb or "
              r"concurrent_jobs\)\.",
    "exit:7": r"The job's process ended with exit status 7\. It said: the driver gave up",
    "allocate": r"The join needs more than job_memory_mb \(256\); raise it, or ask for fewer IDs or features at once\.",
    "raise:OSError": r"The .*: .*Input/output error\.?",
    "raise:NoData": r"Nothing is stored for month 209901\.",
    "raise:RuntimeError": "The join failed: RuntimeError: two lines, a 😀 and \x00 x{250}.*",
    "raise:surrogate": r"The join failed: ValueError: half of a character: \?",
    "raise:unspeakable": r"The join failed: Unspeakable: \(no text\)",
    "raise:SystemExit": r"The join failed: SystemExit: 0",
}
# What the FATE job is told, where that is less.
TOLD = {
    "exit:7": r"The job's process ended with exit status 7\.",
    **dict.fromkeys(("raise:OSError", "raise:RuntimeError", "raise:surrogate", "raise:unspeakable", "raise:SystemExit"),
                    "The view's source can't be read; the site's operator finds the reason in the server's log, and of "
                    "a job by `fate-ext jobs show`\\."),
}


@pytest.fixture(scope="module")
def failures(site: Site) -> Dict[str, Dict[str, Any]]:
    api_reader = ApiReader(site)
    job_ids = {do: api_reader.job(["u1"], do=do) for do in HOW}
    return {do: api_reader.status(job_id) for do, job_id in job_ids.items()}


@pytest.mark.parametrize("do", HOW)
def test_a_source_that_fails_fails_its_job_with_the_reason(
    site: Site, failures: Dict[str, Dict[str, Any]], do: str
) -> None:
    reason = jobs_of(site).get(failures[do]["jobId"]).error or ""
    assert re.fullmatch(HOW[do], reason, re.DOTALL), reason


@pytest.mark.parametrize("do", HOW)
def test_the_fate_job_is_told_none_of_the_words_of_others(failures: Dict[str, Dict[str, Any]], do: str) -> None:
    """A library's, or of the operating system, which may name a path; the operator reads them."""
    assert failures[do]["status"] == "failed"
    assert re.fullmatch(TOLD.get(do, HOW[do]), failures[do]["message"]), failures[do]["message"]


def test_a_failed_job_leaves_no_file_and_the_server_goes_on(
    failures: Dict[str, Dict[str, Any]], api_reader: ApiReader
) -> None:
    job_ids = {data["jobId"] for data in failures.values()}
    wait_until(lambda: not [name for name in api_reader.site.files() if name.split("/")[1] in job_ids])
    assert api_reader.features(["u1"]) == lines("u1")


def test_a_source_that_can_t_be_sent_to_a_process_fails_its_job(api_reader: ApiReader) -> None:
    data = api_reader.status(api_reader.job(["u1"], view="unpicklable"))
    assert (data["status"], data["message"]) == ("failed", "The job failed: TypeError; look at the server's log.")
    assert "cannot pickle" in api_reader.site.log.read_text("utf-8")


def test_a_source_may_print(api_reader: ApiReader) -> None:
    """Even what looks like a report to the server."""
    assert api_reader.features(["u1", "u2"], do="print") == lines("u1", "u2")


def test_a_job_that_takes_too_long_fails(make_site: MakeSite) -> None:
    site = make_site(views={"slow": slow_view}, job_timeout_seconds=1)
    api_reader = ApiReader(site)
    data = api_reader.status(api_reader.job(["u1"], do="wait"))
    assert data["message"] == "The job ran longer than job_timeout_seconds (1); raise it, or ask for less."


# -- afterwards --------------------------------------------------------------------------------------------------------


def test_results_expire_and_old_jobs_are_forgotten(make_site: MakeSite) -> None:
    site = make_site(views={"slow": slow_view})
    api_reader, jobs = ApiReader(site), jobs_of(site)
    job_ids: List[str] = [api_reader.job(["u1"]) for _ in range(2)] + [api_reader.job(["u1"], do="raise:KeyError")]
    expiring, kept, forgotten = job_ids
    for job_id in job_ids:
        api_reader.status(job_id)
    day = 86_400_000
    end(expiring, -1.1 * day)
    end(forgotten, -91 * day)
    site.stop()
    site.start()  # its janitor comes every minute, and at the start
    wait_until(lambda: jobs.get(expiring).status == "expired")
    assert api_reader.status(expiring)["message"] == "The result was deleted; run the FATE job again."
    assert api_reader.download(expiring).status_code == 410
    assert api_reader.download(kept).status_code == 200
    wait_until(lambda: site.files() == [f"jobs/{kept}/result.1"])
    wait_until(lambda: api_reader.status(forgotten)["status"] == "unknown")


def end(job_id: str, milliseconds: float) -> None:
    """Let it have ended at another time."""
    FeatureJob.update(f_end_time=FeatureJob.f_end_time + int(milliseconds)).where(
        FeatureJob.f_job_id == job_id).execute()


def test_a_stop_puts_a_running_job_back_and_the_next_start_finishes_it(make_site: MakeSite, tmp_path: Path) -> None:
    views = {"slow": slow_view(tmp_path), "gone": slow_view(tmp_path)}
    site = make_site(views=views, concurrent_jobs=1)
    api_reader, jobs = ApiReader(site), jobs_of(site)
    running = api_reader.job(["u1"], view="slow", do="wait")
    waiting = api_reader.job(["u2"], view="gone")
    pid = wait_started(tmp_path, "u1")
    site.stop()
    assert not exists(pid) and not site.processes()
    assert (jobs.get(running).status, jobs.get(running).attempt) == ("waiting", 0)
    go(tmp_path)
    del views["gone"]
    site.write_settings(views=views)
    site.start()
    assert api_reader.status(running)["status"] == "success"
    assert api_reader.status(waiting)["message"] == "The view 'gone' is no longer configured."


def test_a_stop_answers_the_queries_that_are_held(make_site: MakeSite, tmp_path: Path) -> None:
    """A connection that breaks would fail the FATE job; told that its job runs, ApiReader asks again in a minute."""
    site = make_site(views={"slow": slow_view}, concurrent_jobs=1, metrics=True)
    api_reader = ApiReader(site)
    job_ids = [api_reader.job([name], do="wait") for name in ("u1", "u2")]
    wait_started(tmp_path, "u1")
    queries = [api_reader.held(job_id) for job_id in job_ids]
    site.stop()
    assert [query.result()["status"] for query in queries] == ["running", "running"]


def test_a_port_that_another_program_has_is_named(make_site: MakeSite) -> None:
    site = make_site(start=False)
    with socket.create_server(("127.0.0.1", site.port)):
        ended = site.command("serve")
    assert ended.returncode == 1
    assert f"fate-ext: listen: 127.0.0.1:{site.port} can't be used: " in ended.stdout
    assert "Address already in use" in ended.stdout and "Traceback" not in ended.stdout
