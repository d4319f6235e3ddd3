"""fate-ext jobs: look at feature jobs, and cancel them, while a server runs or not."""
import json
from pathlib import Path
from typing import List

import pytest

from fate_ext_plugin.cli import main
from fate_ext_plugin.cli.database import open_store
from fate_ext_plugin.db.base import date_of
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import NoData
from fate_ext_plugin.feature.job import WAITING, Job, Jobs
from fate_ext_plugin.feature.source import Counts
from tests.support.builder import MakeSite
from tests.support.commands import Run
from tests.support.site import Site

OLD, NEW = "a" * 32, "b" * 32


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False)


@pytest.fixture
def jobs(site: Site) -> Jobs:
    site.data_dir.mkdir()
    store = open_store(site.conf)
    migrate(store)
    return Jobs(store)


@pytest.fixture
def two(jobs: Jobs) -> Jobs:
    """An old job that succeeded, and a new one that waits."""
    for job_id, time in ((OLD, 1_660_000_000_000), (NEW, 1_670_000_000_000)):
        jobs.add(Job(job_id, WAITING, "credit", {"month": "202201", "name": "张三 😀"}, "sid", "here",
                     fate_job_id="2022110310380531325", upload_bytes=7))
        FeatureJob.update(f_create_time=time).where(FeatureJob.f_job_id == job_id).execute()
    running = jobs.take(jobs.get(OLD))
    assert running
    jobs.succeed(running, Counts(10, 8), 1234)
    FeatureJob.update(f_start_time=1_660_000_001_000, f_end_time=1_660_000_002_500).where(
        FeatureJob.f_job_id == OLD).execute()
    return jobs


def rows(text: str) -> List[List[str]]:
    return [line.split() for line in text.splitlines()]


def test_list_shows_the_newest_first(run: Run, two: Jobs) -> None:
    header, new, old = rows(run("jobs", "list"))
    assert header == ["job", "status", "%", "view", "ids", "matched", "seconds", "created", "FATE", "job"]
    assert old == [OLD, "success", "100", "credit", "10", "8", "2.5", *date_of(1_660_000_000_000).split(),
                   "2022110310380531325"]
    assert new[:4] == [NEW, "waiting", "0", "credit"]


def test_list_can_be_narrowed(run: Run, two: Jobs) -> None:
    assert [row[0] for row in rows(run("jobs", "list", "--limit", "1"))[1:]] == [NEW]
    assert [row[0] for row in rows(run("jobs", "list", "--status", "success"))[1:]] == [OLD]
    assert rows(run("jobs", "list", "--status", "failed"))[1:] == []
    for wrong in (["--status", "done"], ["--limit", "0"]):
        with pytest.raises(SystemExit, match="2"):
            run("jobs", "list", *wrong)


def test_list_as_json_is_all_that_is_known(run: Run, two: Jobs) -> None:
    new, old = json.loads(run("jobs", "list", "--json"))
    assert (new["job_id"], new["status"], new["ended"], new["ids"]) == (NEW, "waiting", None, None)
    assert old == {
        "job_id": OLD, "status": "success", "progress": 100, "view": "credit", "id_name": "sid", "attempt": 1,
        "request": {"month": "202201", "name": "张三 😀"}, "fate_job_id": "2022110310380531325", "ids": 10,
        "matched": 8, "missing": 2, "upload_bytes": 7, "result_bytes": 1234, "created": date_of(1_660_000_000_000),
        "started": date_of(1_660_000_001_000), "ended": date_of(1_660_000_002_500), "elapsed_seconds": 2.5,
        "error_code": None, "error": None}


def test_show_is_one_of_them(run: Run, two: Jobs) -> None:
    two.fail(two.get(NEW), NoData("Nothing is stored for month 209901."))
    shown = json.loads(run("jobs", "show", NEW, "--json"))
    assert shown == json.loads(run("jobs", "list", "--json"))[0]
    assert (shown["error_code"], shown["error"]) == (40403, "Nothing is stored for month 209901.")
    text = run("jobs", "show", NEW)
    assert ["error", "Nothing", "is", "stored", "for", "month", "209901."] in rows(text)
    assert ["status", "failed"] in rows(text) and ["ids"] in rows(text)


def test_cancel_ends_a_job_that_has_not_ended(run: Run, two: Jobs) -> None:
    assert run("jobs", "cancel", NEW) == f"canceled {NEW}\n"
    assert two.get(NEW).status == "canceled"
    for job_id, status in ((NEW, "canceled"), (OLD, "success")):
        with pytest.raises(SystemExit, match=f"^fate-ext: The job can't be canceled any more: it is {status}.$"):
            run("jobs", "cancel", job_id)
    assert two.get(OLD).status == "success"


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["cancel"]])
@pytest.mark.parametrize("job_id", ["unknown", "数据"])
def test_an_unknown_job_is_called_so(run: Run, jobs: Jobs, command: List[str], job_id: str) -> None:
    with pytest.raises(SystemExit, match=f"^fate-ext: There is no feature job '{job_id}' here"):
        run("jobs", *command, job_id)


def test_a_site_that_never_started_has_no_job(run: Run, jobs: Jobs) -> None:
    assert rows(run("jobs", "list")) == [
        ["job", "status", "%", "view", "ids", "matched", "seconds", "created", "FATE", "job"]]
    assert json.loads(run("jobs", "list", "--json")) == []


def test_settings_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"service_conf.yaml can't be read: No such file or directory\. .*--conf"):
        main(["jobs", "list", "--conf", str(tmp_path / "service_conf.yaml")])
