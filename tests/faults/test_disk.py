"""The disk of data_dir is full, or fails: a small ext4 of the test's own, where root may mount one."""
from functools import partial
from pathlib import Path
from typing import Iterator

import duckdb
import pytest
import requests

from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.source import Workspace
from fate_ext_plugin.util.disk import says_disk_full
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.disk import Disk
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, lines, slow_view, wait_started
from tests.support.wire import refused

FULL = "The disk of data_dir became full; free space there and run the FATE job again."
# Of one column; thirty of them fill the disk sooner than their IDs do.
WIDE = [f"{number}{'x' * 100}" for number in range(30)]
COLUMNS = [f"c{number}" for number in range(20)]
VIEWS = {"slow": slow_view, "wide": partial(slow_view, columns=WIDE)}
ONE_JOB = {"default_view": "slow", "concurrent_jobs": 1, "min_free_bytes": 0}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "ext")
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose result of all IDs fills the disk."""
    path = tmp_path_factory.mktemp("features") / "features.parquet"
    duckdb.execute(f"COPY (SELECT 'u' || i AS id, {', '.join(f'i * 1000003 % 9999991 AS {c}' for c in COLUMNS)} "
                   f"FROM range(200000) t(i)) TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture
def site(disk: Disk, features: Path, make_site: MakeSite, tmp_path: Path) -> Site:
    """One job at a time; its database is elsewhere."""
    view = {"source": {"type": "file", "path": str(features)}, "columns": COLUMNS}
    return make_site(
        views={**VIEWS, "file": view}, database={"url": f"sqlite:///{tmp_path / 'fate_ext.db'}"}, **ONE_JOB)


@pytest.fixture
def site_with_its_database(disk: Disk, make_site: MakeSite) -> Site:
    """Its database is on the same disk, and soon given up while it is busy."""
    return make_site(views=VIEWS, constants={"db.base.BUSY_TRIES": 3}, **ONE_JOB)


def test_an_upload_that_does_not_fit_is_refused_and_the_next_one_taken(site: Site) -> None:
    api_reader = ApiReader(site)
    answer = requests.post(site.url("upload"), params={"requestBody": "{}"}, data=iter([b"u123456\n" * 2**17] * 40),
                           headers={"Content-Type": "application/octet-stream"},
                           timeout=PATIENCE_SECONDS)
    refused(answer, 507, "is full")
    assert [name for name in site.files() if "child" not in name] == []
    assert api_reader.features(["u1"]) == lines("u1")


@pytest.mark.parametrize("view", ["wide", "file"])
def test_a_result_that_does_not_fit_fails_its_job_with_the_reason(site: Site, view: str) -> None:
    api_reader = ApiReader(site)
    job_id = api_reader.job([f"u{number}" for number in range(200_000)], view=view)
    data = api_reader.status(job_id)
    assert data["status"] == "failed"
    assert data["message"] == FULL
    assert api_reader.features(["u1"]) == lines("u1")
    wait_until(lambda: [name for name in site.files() if job_id in name] == [], what="its files to be deleted")


def test_a_database_on_the_same_full_disk_answers_again_by_itself(site_with_its_database: Site) -> None:
    """The job that fills it makes room before its end is stored."""
    site = site_with_its_database
    api_reader = ApiReader(site)
    job_id = api_reader.job([f"u{number}" for number in range(100_000)], view="wide")
    assert api_reader.polled(job_id)["message"] == FULL
    assert api_reader.features(["u1"]) == lines("u1")


def test_a_job_that_ends_while_not_even_its_row_can_be_changed(
    site_with_its_database: Site, disk: Disk, tmp_path: Path
) -> None:
    site = site_with_its_database
    api_reader = ApiReader(site)
    job_id = api_reader.job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    filler = disk.fill()
    go(tmp_path)
    assert api_reader.upload(["u2"]).status_code in (503, 507)
    wait_until(lambda: f"job {job_id}" in site.log.read_text("utf-8"), what="the job to end")
    filler.unlink()
    data = api_reader.polled(job_id)
    # it needed the disk itself, or it is run again
    assert data["message"] == FULL or api_reader.download(job_id).text.splitlines() == lines("u1")
    assert api_reader.features(["u3"]) == lines("u3")


def test_a_disk_that_fails_becomes_read_only(site: Site, disk: Disk, tmp_path: Path) -> None:
    api_reader = ApiReader(site)
    result = api_reader.job(["u1"])
    assert api_reader.status(result)["status"] == "success"
    running, waiting = api_reader.job(["u2"], do="wait"), api_reader.job(["u3"])
    wait_started(tmp_path, "u2")
    disk.fail()
    refused(api_reader.upload(["u4"]), 507, "The disk of data_dir can't be written: Read-only file system.")
    go(tmp_path)
    for job_id in (running, waiting):
        data = api_reader.status(job_id)
        assert (data["status"], "Read-only file system" in data["message"]) == ("failed", True)
    assert api_reader.download(result).text.splitlines() == lines("u1")  # it can still be read
    site.stop()
    disk.replace()
    site.start()
    assert api_reader.download(result).text.splitlines() == lines("u1")
    assert api_reader.features(["u5"]) == lines("u5")
    wait_until(lambda: all(name.endswith("/result.1") for name in site.files()), what="all else to be deleted")


def test_a_server_that_can_not_write_never_says_that_it_is_ready(site: Site, disk: Disk) -> None:
    """On a full disk, though min_free_bytes is 0, and on one that has space, but can't be written."""
    def says(status: int, message: str) -> bool:
        answer = site.probe("ready")
        return bool(answer.status_code == status and message in answer.json()["message"])

    wait_until(lambda: says(200, "ready"), what="the server to be ready")
    filler = disk.fill()
    wait_until(lambda: says(503, "disk: The disk of data_dir is full"), what="the full disk to be noticed")
    filler.unlink()
    wait_until(lambda: says(200, "ready"), what="the server to be ready again")
    disk.fail()
    wait_until(lambda: says(503, "disk: The disk of data_dir can't be written"), what="the error to be noticed")


def test_what_was_accepted_outlives_a_power_cut(site: Site, disk: Disk, tmp_path: Path) -> None:
    """Of a disk that fails nothing is left but what had reached it."""
    api_reader = ApiReader(site)
    result = api_reader.job(["u1"])
    assert api_reader.status(result)["status"] == "success"
    running, waiting = api_reader.job(["u2"], do="wait"), api_reader.job(["u3"])
    wait_started(tmp_path, "u2")
    site.kill()
    disk.fail()
    disk.replace()
    go(tmp_path)
    site.start()
    for job_id, first in ((result, "u1"), (running, "u2"), (waiting, "u3")):
        assert api_reader.status(job_id)["status"] == "success"
        assert api_reader.download(job_id).text.splitlines() == lines(first)


def test_a_join_spills_no_more_than_the_disk_may_give(tmp_path: Path) -> None:
    """What min_free_bytes keeps is kept from DuckDB, too."""
    work = Workspace(tmp_path / "ids", tmp_path / "result", tmp_path / "scratch", 2**20, "id", 2, 2**26)
    work.scratch.mkdir()
    connection = duckdb_join.connect(work)
    with pytest.raises(duckdb.Error) as raised:
        connection.execute("CREATE TEMP TABLE t AS SELECT i, md5(CAST(i AS VARCHAR)) AS m FROM range(3000000) t(i)")
    assert says_disk_full(raised.value), raised.value
    assert sum(path.stat().st_size for path in work.scratch.rglob("*")) <= 2**20
