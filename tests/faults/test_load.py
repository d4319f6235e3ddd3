"""More at once than a site will see: uploads, held queries, waiting jobs. With FATE_EXT_TEST_NO_LOAD it is left out."""
import json
import os
import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest
import requests

from fate_ext_plugin.db.base import now_ms
from tests.support.api_reader import ApiReader
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, install_slow_source, jobs_of, lines, slow_view, wait_started

pytestmark = pytest.mark.skipif(
    "FATE_EXT_TEST_NO_LOAD" in os.environ, reason="FATE_EXT_TEST_NO_LOAD is set: it takes half a minute")
UPLOADS, MAX_WAITING, HELD, QUEUED = 200, 150, 500, 100_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """One job at a time."""
    site = install_slow_source(Site(tmp_path, {
        "views": {"slow": slow_view(tmp_path)}, "concurrent_jobs": 1, "min_free_bytes": 0,
        "max_waiting_jobs": MAX_WAITING, "max_held_queries": HELD, "metrics": True}))
    yield site
    site.stop()


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
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(api_reader.status(job_id)["status"]))
               for _ in range(HELD)]
    for thread in threads:
        thread.start()
    wait_until(lambda: f"fate_ext_held_queries {HELD}.0" in requests.get(site.url("metrics"), timeout=60).text, 60,
               "all to be held")
    assert api_reader.status(job_id)["status"] == "running"  # a further one is answered at once
    assert api_reader.upload(["u2"]).status_code == 200
    held = memory(site) - before
    assert held < 200
    go(tmp_path)
    began = time.monotonic()
    for thread in threads:
        thread.join(60)
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
    took = {}

    def timed(name: str, action: object) -> object:
        began = time.monotonic()
        result = action()  # type: ignore[operator]
        took[name] = time.monotonic() - began
        return result

    timed("start", site.start)
    wait_started(tmp_path, "u1")
    url = site.url("query").replace("wait=43200", "wait=0")
    answer = timed("query", lambda: requests.post(url, json={"jobId": f"{QUEUED - 1:032x}"}, timeout=60))
    assert answer.json()["message"] == "The job waits for its turn."  # type: ignore[attr-defined]
    refusal = timed("refusal", lambda: api_reader.upload(["u3"]))
    assert refusal.status_code == 429  # type: ignore[attr-defined]
    timed("next", lambda: jobs_of(site).next_waiting(owner))
    go(tmp_path)
    assert api_reader.status(second)["status"] == "success"  # the oldest one goes first
    assert memory(site) - small < 100
    print(f"{QUEUED} waiting jobs:", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()),
          f"{memory(site) - small} MiB more")
    assert max(took.values()) < 20
