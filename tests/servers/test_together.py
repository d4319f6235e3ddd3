"""Several servers on one database that share the folder of ID files and results (shared_dir).

Each serves what any of them made, and the jobs of one that is gone are run by another. A server that was only paused
and comes back changes nothing about jobs that it has lost.
"""
import os
import shutil
from pathlib import Path

import pytest

from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from tests.support.api_reader import ApiReader
from tests.support.cluster import Cluster
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, has_ended, lines, started, wait_started


@pytest.fixture
def one(together: Cluster) -> ApiReader:
    together.restart()
    return ApiReader(together.one)


@pytest.fixture
def two(together: Cluster) -> ApiReader:
    return ApiReader(together.two)


def wait_for_files(cluster: Cluster, job_id: str, *names: str) -> None:
    """Until these are all that a job still has."""
    folder = cluster.folder / "shared" / "jobs" / job_id
    wait_until(lambda: sorted(os.listdir(folder)) == sorted(names), what=f"all but {names} to be deleted")


def test_a_result_is_served_by_whichever_server_is_asked(together: Cluster, one: ApiReader, two: ApiReader) -> None:
    job_id = one.job(["u1"])
    assert two.status(job_id)["status"] == "success"
    response = two.download(job_id, allow_redirects=False)
    assert (response.status_code, response.text.splitlines()) == (200, lines("u1"))
    for number in range(4):
        assert together.behind_nginx.features([f"u{number}"]) == lines(f"u{number}")
    assert not together.one.files() and not together.two.files()


def test_a_check_says_so(together: Cluster) -> None:
    assert "ok      servers: 2 of 2 show life, and share their files" in together.two.command("check").stdout


def test_the_folder_is_for_the_servers_user_alone(together: Cluster) -> None:
    shared = together.folder / "shared"
    assert {path.stat().st_mode & 0o777 for path in (shared, shared / "jobs", *(shared / "incoming").iterdir())} == {
        0o700}


def test_jobs_of_a_server_that_is_killed_are_run_by_another(together: Cluster, one: ApiReader, two: ApiReader) -> None:
    running, waiting = one.job(["killed"], do="wait"), one.job(["waited"])
    wait_started(together.folder, "killed")
    together.one.kill()
    together.let_notice(together.two)
    go(together.folder)
    for job_id, name, attempt in ((running, "killed", 2), (waiting, "waited", 1)):
        assert two.status(job_id)["status"] == "success"
        assert together.behind_nginx.download(job_id).text.splitlines() == lines(name)
        job = together.jobs.get(job_id)
        assert (job.owner, job.attempt) == (together.two.instance(), attempt)
        wait_for_files(together, job_id, f"result.{attempt}")
    together.one.start()
    assert one.features(["u1"]) == lines("u1")


def test_a_job_that_takes_down_one_server_after_the_other_ends(together: Cluster, one: ApiReader) -> None:
    job_id = one.job(["deadly"], do="wait")
    wait_started(together.folder, "deadly")
    together.store.call(lambda: FeatureJob.update(f_attempt=3).where(FeatureJob.f_job_id == job_id).execute())
    together.one.kill()
    together.let_notice(together.two)
    data = ApiReader(together.two).status(job_id)
    assert (data["status"], data["message"]) == ("failed", "The server ended 3 times while it ran this job.")


def test_a_server_that_was_paused_and_comes_back_has_lost_its_job(
    together: Cluster, one: ApiReader, two: ApiReader
) -> None:
    """Its own run ends well while the other server's goes on: that result is nobody's."""
    job_id = one.job(["paused"], do="wait")
    first = wait_started(together.folder, "paused")
    together.one.pause()
    together.let_notice(together.two)
    second = wait_until(lambda: started(together.folder)["paused"] != first and started(together.folder)["paused"],
                        what="the job to be taken over")
    go(together.folder)
    wait_until(lambda: has_ended(second), what="the second run to end")
    assert two.status(job_id)["status"] == "success"
    won = together.jobs.get(job_id)
    assert (won.owner, won.attempt) == (together.two.instance(), 2)
    (together.folder / "shared" / "jobs" / job_id / "result.1").write_text("id,amount\npaused,stale\n")
    together.one.resume()
    wait_until(lambda: has_ended(first), what="the first run to end")
    wait_for_files(together, job_id, "result.2")
    assert together.jobs.get(job_id) == won
    for reader in (one, two):
        assert reader.download(job_id, allow_redirects=False).text.splitlines() == lines("paused")
    assert one.features(["u1"]) == lines("u1"), "it goes on with others"


def test_a_server_that_comes_back_while_another_runs_its_job_gives_it_up(
    together: Cluster, one: ApiReader, two: ApiReader
) -> None:
    job_id = one.job(["given up"], do="wait")
    first = wait_started(together.folder, "given")
    together.one.pause()
    together.let_notice(together.two)
    wait_until(lambda: started(together.folder)["given"] != first, what="the job to be taken over")
    together.one.resume()
    wait_until(lambda: has_ended(first), what="the first run to be ended")
    assert together.jobs.get(job_id).status == "running"
    go(together.folder)
    assert two.status(job_id)["status"] == "success"
    assert one.download(job_id).text.splitlines() == lines("given", "up")


# -- one janitor -------------------------------------------------------------------------------------------------------


def test_one_server_keeps_house_for_all(together: Cluster, one: ApiReader, two: ApiReader) -> None:
    """The first by name of those that live."""
    job_ids = [reader.job(["u1"]) for reader in (one, two)]
    for reader, job_id in zip((one, two), job_ids):
        assert reader.status(job_id)["status"] == "success"
    first, other = sorted(together.sites, key=Site.instance)
    first.stop()
    other.stop()
    together.store.call(lambda: FeatureJob.update(f_end_time=now_ms() - 2 * 86_400_000).where(
        FeatureJob.f_job_id.in_(job_ids)).execute())
    # Whenever its dispatcher goes round, and it does so before each job.
    other.constants["fate_ext_plugin.feature.runner.JANITOR_SECONDS"] = 0.0
    other.start()
    del other.constants["fate_ext_plugin.feature.runner.JANITOR_SECONDS"]
    for _ in range(3):
        assert ApiReader(other).features(["u2"]) == lines("u2")
    assert {together.jobs.get(job_id).status for job_id in job_ids} == {"success"}
    first.start()
    wait_until(lambda: {together.jobs.get(job_id).status for job_id in job_ids} == {"expired"})
    wait_until(lambda: not [job_id for job_id in job_ids if (together.folder / "shared" / "jobs" / job_id).exists()],
               what="both results to be deleted")


def leave(path: Path, content: str = "u1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_a_start_leaves_what_other_servers_are_just_receiving(together: Cluster) -> None:
    incoming = together.folder / "shared" / "incoming"
    theirs, own = (incoming / site.instance() / "upload" / "ids" for site in (together.two, together.one))
    leave(theirs)
    leave(own)
    together.one.stop()
    together.one.start()
    assert theirs.exists()
    assert not own.exists(), "its own predecessor's goes"


def test_a_server_that_dies_before_it_moves_an_accepted_upload(
    together: Cluster, one: ApiReader, two: ApiReader
) -> None:
    job_id = one.job(["moved"])
    assert one.status(job_id)["status"] == "success"
    together.one.kill()
    shutil.rmtree(together.folder / "shared" / "jobs" / job_id)
    leave(together.folder / "shared" / "incoming" / together.one.instance() / job_id / "ids", "moved\n")
    together.store.call(lambda: FeatureJob.update(f_status="waiting", f_attempt=0).where(
        FeatureJob.f_job_id == job_id).execute())
    together.let_notice(together.two)
    assert two.status(job_id)["status"] == "success"
    assert two.download(job_id).text.splitlines() == lines("moved")
    together.one.start()
