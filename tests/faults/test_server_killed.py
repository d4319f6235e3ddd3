"""A server that is killed (SIGKILL, power, out of memory): what the next one makes of what it left.

No job hangs in ``running``, an accepted one still ends in success, no file and no process stays behind.
"""
import json
import shutil
import socket
from functools import partial
from pathlib import Path
from typing import List
from urllib.parse import quote, urlsplit

import pytest
import requests

from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.feature.job import Jobs
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, jobs_of, lines, slow_view, wait_started

# Columns whose values fill more than the buffers of a connection.
WIDE = [f"{number}{'x' * 200}" for number in range(10)]


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server that runs one job at a time."""
    return make_site(views={"slow": slow_view, "wide": partial(slow_view, columns=WIDE)}, default_view="slow",
                     concurrent_jobs=1, min_free_bytes=0)


@pytest.fixture
def api_reader(site: Site) -> ApiReader:
    return ApiReader(site)


@pytest.fixture
def jobs(site: Site) -> Jobs:
    return jobs_of(site)


def kill(site: Site) -> None:
    """Kill the server; its children must notice by themselves."""
    site.kill()
    wait_until(lambda: not site.processes(), what="its child processes to end")


def change(job_id: str, **values: object) -> None:
    """Bring a row to where a server was killed at a moment that no test can hit."""
    FeatureJob.update(**values).where(FeatureJob.f_job_id == job_id).execute()


def test_during_an_upload(site: Site, api_reader: ApiReader, jobs: Jobs) -> None:
    upload = half_an_upload(site)
    wait_until(lambda: any("incoming/" in name and "child" not in name for name in site.files()))
    wait_until(lambda: len(site.processes()) == 2, what="the job's process, which starts early")
    kill(site)
    upload.close()
    assert site.files()
    site.start()
    assert site.files() == [] and jobs.find() == []
    assert api_reader.features(["u1"]) == lines("u1")


def half_an_upload(site: Site) -> socket.socket:
    url = urlsplit(site.url("upload"))
    body = b"u1\n" * 1_000_000
    head = (f"POST {url.path}?{url.query}&requestBody={quote(json.dumps({}))} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {2 * len(body)}\r\n\r\n")
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE_SECONDS)
    connection.sendall(head.encode() + body)
    return connection


def test_while_one_job_runs_and_others_wait(site: Site, api_reader: ApiReader, jobs: Jobs, tmp_path: Path) -> None:
    names = ["u1", "u2", "u3"]
    job_ids = [api_reader.job([name], do="wait") for name in names]
    wait_started(tmp_path, "u1")
    kill(site)
    assert [jobs.get(job_id).status for job_id in job_ids] == ["running", "waiting", "waiting"]
    go(tmp_path)
    site.start()
    for name, job_id in zip(names, job_ids):
        assert api_reader.status(job_id)["status"] == "success"
        assert api_reader.download(job_id).text.splitlines() == lines(name)
    assert [jobs.get(job_id).attempt for job_id in job_ids] == [2, 1, 1]
    wait_until(lambda: site.files() == sorted(f"jobs/{job_id}/result.{jobs.get(job_id).attempt}" for job_id in job_ids))


def test_again_and_again_by_the_job_itself(site: Site, api_reader: ApiReader, jobs: Jobs, tmp_path: Path) -> None:
    """As one does that takes so much memory that the kernel ends the server."""
    job_id, other = api_reader.job(["u1"], do="wait"), api_reader.job(["u2"])
    wait_started(tmp_path, "u1")
    change(job_id, f_attempt=3)
    kill(site)
    site.start()
    data = api_reader.status(job_id)
    assert (data["status"], data["message"]) == ("failed", "The server ended 3 times while it ran this job.")
    assert api_reader.status(other)["status"] == "success"
    wait_until(lambda: site.files() == [f"jobs/{other}/result.1"])


def test_during_a_download(site: Site, api_reader: ApiReader) -> None:
    job_id = api_reader.job([f"u{number}" for number in range(10_000)], view="wide")
    assert api_reader.status(job_id)["status"] == "success"
    chunks = api_reader.download(job_id, stream=True).iter_content(65536)
    next(chunks)
    kill(site)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # so a part never looks like the whole
        list(chunks)
    site.start()
    assert api_reader.download(job_id).text.count("\n") == 10_001


def test_between_two_steps(site: Site, api_reader: ApiReader, jobs: Jobs) -> None:
    """Each step leaves something that the next start can tell apart."""
    before_success, after_success, after_failure, canceled, attempt, accepted, refused, deleted = job_ids = [
        api_reader.job([f"u{number}"]) for number in range(8)]
    for job_id in job_ids:
        assert api_reader.status(job_id)["status"] == "success"
    kill(site)

    def leave(*names: str) -> None:
        for name in names:
            path = site.data_dir / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("u0\n")

    # the result has its name, its row does not know yet
    leave(f"jobs/{before_success}/ids", f"jobs/{before_success}/scratch.1/spilled")
    change(before_success, f_status="running", f_result_bytes=None, f_end_time=None)
    # the row knows, the ID file is still there
    leave(f"jobs/{after_success}/ids", f"jobs/{after_success}/scratch.1/spilled")
    # a failed one's files are still there, or those of a waiting one that was canceled meanwhile
    leave(f"jobs/{after_failure}/ids", f"jobs/{after_failure}/result.1", f"jobs/{canceled}/ids")
    change(after_failure, f_status="failed")
    change(canceled, f_status="canceled")
    # an upload has its row, but its file was not moved yet, or was canceled then; others were coming in
    leave(f"incoming/{accepted}/ids", f"incoming/{refused}/ids", "incoming/fedcba9876543210fedcba9876543210/ids")
    for job_id, status in ((accepted, "waiting"), (refused, "canceled")):
        shutil.rmtree(site.data_dir / "jobs" / job_id)
        change(job_id, f_status=status, f_attempt=0, f_result_bytes=None, f_end_time=None)
    # processes had their log; the row of a job was deleted, its files were not
    leave("incoming/child-0123456789abcdef.log", f"jobs/{deleted}/ids")
    FeatureJob.delete().where(FeatureJob.f_job_id == deleted).execute()
    # a row without the files that it needs
    change(attempt, f_status="running")
    (site.data_dir / "jobs" / attempt / "result.1").unlink()

    site.start()
    assert api_reader.status(before_success)["status"] == "success"
    assert api_reader.download(before_success).text.splitlines() == lines("u0")
    assert api_reader.download(after_success).text.splitlines() == lines("u1")
    assert api_reader.status(attempt)["message"] == "The job's ID file is gone."
    assert api_reader.status(accepted)["status"] == "success"
    assert api_reader.download(accepted).text.splitlines() == lines("u0")
    kept: List[str] = sorted(
        [f"jobs/{before_success}/result.2", f"jobs/{after_success}/result.1", f"jobs/{accepted}/result.1"])
    wait_until(lambda: site.files() == kept, what=f"{site.files()} to become {kept}")
    assert sorted(job.status for job in jobs.find()) == ["canceled"] * 2 + ["failed"] * 2 + ["success"] * 3
