"""More at once than a site will see: uploads, held queries, waiting jobs."""
import json
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest
import requests

from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from tests.support import programs
from tests.support.api_reader import ApiReader
from tests.support.background import Background
from tests.support.builder import MakeSite
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, jobs_of, lines, slow_view, wait_started

pytestmark = programs.takes_long
UPLOADS, MAX_WAITING, HELD, QUEUED = 200, 150, 500, 100_000


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """One job at a time. Not started."""
    return make_site(start=False, views={"slow": slow_view}, concurrent_jobs=1, min_free_bytes=0,
                     max_waiting_jobs=MAX_WAITING, max_held_queries=HELD, metrics=True)


def memory(site: Site) -> int:
    """MiB of the server."""
    assert site.process
    text = Path(f"/proc/{site.process.pid}/status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)[0]) // 1024


def test_uploads_at_once_no_more_than_may_wait_and_each_is_kept(site: Site, tmp_path: Path) -> None:
    api_reader = ApiReader(site.start())
    first = api_reader.job(["first"], do="wait")
    wait_started(tmp_path, "first")
    before, began = memory(site), time.monotonic()
    with ThreadPoolExecutor(UPLOADS) as pool:
        answers = list(pool.map(lambda number: api_reader.upload([f"u{number}"]), range(UPLOADS)))
    print(f"{UPLOADS} uploads: {time.monotonic() - began:.1f} s, {memory(site) - before} MiB more")
    accepted = [answer.json()["data"]["jobId"] for answer in answers if answer.status_code == 200]
    assert len(accepted) == MAX_WAITING
    assert {answer.status_code for answer in answers} == {200, 429}
    jobs = jobs_of(site)
    assert jobs.statuses(accepted) == dict.fromkeys(accepted, "waiting")
    assert [name for name in site.files() if name.endswith("/ids")] == sorted(
        f"jobs/{job_id}/ids" for job_id in (first, *accepted))
    assert memory(site) - before < 200
    for job_id in accepted[2:]:
        jobs.cancel(job_id)
    go(tmp_path)
    for number, answer in enumerate(answers):
        if answer.status_code == 200 and answer.json()["data"]["jobId"] in accepted[:2]:
            job_id = answer.json()["data"]["jobId"]
            assert api_reader.status(job_id)["status"] == "success"
            assert api_reader.download(job_id).text.splitlines() == lines(f"u{number}")


def test_queries_held_at_once(site: Site, tmp_path: Path) -> None:
    api_reader = ApiReader(site.start())
    job_id = api_reader.job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    before = memory(site)
    queries = [Background(lambda: api_reader.status(job_id)) for _ in range(HELD)]
    wait_until(lambda: site.held_queries() == HELD, what="all to be held")
    assert api_reader.status(job_id)["status"] == "running"  # a further one is answered at once
    assert api_reader.upload(["u2"]).status_code == 200
    held = memory(site) - before
    assert held < 200
    go(tmp_path)
    began = time.monotonic()
    statuses = [query.result()["status"] for query in queries]
    print(f"{HELD} held queries: {held} MiB more, all answered {time.monotonic() - began:.1f} s after the end")
    assert statuses == ["success"] * HELD


def test_a_queue_of_many_jobs(site: Site, tmp_path: Path) -> None:
    api_reader = ApiReader(site.start())
    real = api_reader.job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    second = api_reader.job(["u2"])
    small = memory(site)
    owner = jobs_of(site).get(real).owner
    site.stop()
    now = now_ms()
    with sqlite3.connect(str(site.data_dir / "fate_ext.db")) as database:
        database.executemany(
            "INSERT INTO t_ext_feature_job (f_job_id, f_status, f_owner, f_view, f_request, f_id_name, f_attempt, "
            "f_progress, f_upload_bytes, f_create_time) VALUES (?, 'waiting', ?, 'slow', ?, 'id', 0, 0, 3, ?)",
            [(f"{number:032x}", owner, json.dumps({"do": "answer"}), now + number) for number in range(QUEUED)])
    database.close()
    began = time.monotonic()
    site.start()
    wait_started(tmp_path, "u1")
    url, last = site.url("query").replace("wait=43200", "wait=0"), f"{QUEUED - 1:032x}"
    answer = requests.post(url, json={"jobId": last}, timeout=PATIENCE_SECONDS)
    assert answer.json()["message"] == "The job waits for its turn."
    assert api_reader.upload(["u3"]).status_code == 429
    print(f"{QUEUED} waiting jobs: start, a query and a refusal take {time.monotonic() - began:.2f} s, "
          f"{memory(site) - small} MiB more")
    jobs = jobs_of(site)
    for look in (lambda: jobs.get(last), lambda: jobs.owned(owner, "running")):
        assert steps(look) < 10_000  # as if nothing waited
    for look in (lambda: jobs.count_waiting(owner), lambda: jobs.next_waiting(owner)):
        assert steps(look) < 50 * QUEUED  # in one pass
    go(tmp_path)
    assert api_reader.status(second)["status"] == "success"  # the oldest one goes first
    assert memory(site) - small < 100


def steps(look: Callable[[], object]) -> int:
    """How many instructions of SQLite's machine that takes, in hundreds rounded down."""
    count = 0

    def hundred() -> None:
        nonlocal count
        count += 100

    database = FeatureJob._meta.database  # type: ignore[attr-defined]
    with database.connection_context():
        database.connection().set_progress_handler(hundred, 100)
        look()
    return count
