"""The database under a running server is cut off, hangs, or is killed and comes back."""
import threading
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest
import requests

from tests.support.all_services import Services, good, site_with_all
from tests.support.api_reader import ApiReader
from tests.support.cable import Cable
from tests.support.databases import SERVERS, empty_store
from tests.support.mariadb import MariaDB
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, lines, wait_started

# It waits for the database a second instead of ten, and tries less often.
HASTY = {"fate_ext_plugin.db.patience.ANSWER_SECONDS": 1, "fate_ext_plugin.db.base.PATIENCE_SECONDS": 1,
         "fate_ext_plugin.db.base.BUSY_TRIES": 4}
# So long, clients, keys and grants that were read are still believed.
BELIEVED_SECONDS = 3.5


@pytest.fixture(params=SERVERS, scope="module")
def cable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    with empty_store(request.param, tmp_path_factory.mktemp("store")):
        yield Cable(request.param.upper())


@pytest.fixture(scope="module")
def folder(cable: Cable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow")


@pytest.fixture(scope="module")
def shared_site(cable: Cable, folder: Path) -> Iterator[Site]:
    """All services."""
    site = site_with_all(folder / "site", database=cable.section)
    site.constants = HASTY
    yield site.start()
    cable.mend()
    site.stop()


@pytest.fixture
def site(shared_site: Site, cable: Cable, folder: Path) -> Iterator[Site]:
    (folder / "go").unlink() if (folder / "go").exists() else None
    yield shared_site
    cable.mend()


def ask_all(services: Services, times: int = 1) -> Dict[str, requests.Response]:
    """All at once; the last answers."""
    answers: Dict[str, requests.Response] = {}
    threads = [threading.Thread(target=lambda name=name, call=call: answers.update(  # type: ignore[misc]
        {name: call()})) for name, call in services.calls().items() for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def polled(api_reader: ApiReader, job_id: str) -> str:
    """As ApiReader does: ask again while it says running, whatever the status."""
    while True:
        answer = api_reader.query(job_id)
        status: str = answer.json()["data"]["status"]
        if status != "running":
            assert answer.status_code == 200
            return status
        time.sleep(0.1)


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_no_service_hangs_with_it_and_nobody_is_let_in(site: Site, cable: Cable, fault: str) -> None:
    services = Services(site).prepare()
    answers = ask_all(services)
    assert len(answers) == 7
    assert all(good(name, answer) for name, answer in answers.items()), answers
    getattr(cable, fault)()
    time.sleep(BELIEVED_SECONDS)
    began = time.monotonic()
    answers = ask_all(services, times=5)
    assert time.monotonic() - began < 30  # in turn, they would wait for over a minute
    # ApiReader asks a query again after a status that is not 200; to all others it is an error, so nobody is let in
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 503)
    query = answers["query"].json()
    assert (query["data"]["status"], query["code"]) == ("running", 50301)
    assert query["message"] == "The database does not answer; look at the server's log."
    assert site.probe("health").status_code == 200
    assert site.probe("ready").status_code == 503
    cable.mend()
    wait_until(lambda: all(good(name, answer) for name, answer in ask_all(services).items()), 60, "all to be served")
    wait_until(lambda: site.probe("ready").status_code == 200, what="it to be ready again")


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_a_job_that_ends_meanwhile_is_run_again(site: Site, cable: Cable, folder: Path, fault: str) -> None:
    api_reader = ApiReader(site)
    job_id = api_reader.job([fault], do="wait")
    wait_started(folder, fault)
    held: List[requests.Response] = []
    query = threading.Thread(target=lambda: held.append(api_reader.query(job_id)))
    query.start()
    time.sleep(0.5)
    getattr(cable, fault)()
    go(folder)
    wait_until(lambda: f"{job_id}: its end could not be stored" in site.log.read_text("utf-8"), 60, "the job to end")
    files = site.files()
    assert api_reader.upload(["refused"]).status_code == 503
    assert query.is_alive()  # nobody is told that it is over
    cable.mend()
    query.join(60)
    assert [(answer.status_code, answer.json()["data"]["status"]) for answer in held] == [(200, "success")]
    assert api_reader.download(job_id).text.splitlines() == lines(fault)
    wait_until(lambda: [name for name in site.files() if job_id in name] == [f"jobs/{job_id}/result.2"])
    assert {name.split("/")[1] for name in site.files() if name.startswith("jobs/")} <= {
        name.split("/")[1] for name in files}  # nothing of the upload that was refused


def test_it_is_killed_and_started_again(tmp_path: Path) -> None:
    """SIGKILL to a MariaDB while one job runs, one waits, and queries of both are held."""
    (tmp_path / "mariadb").mkdir()
    database = MariaDB(tmp_path / "mariadb").start()
    site = site_with_all(tmp_path / "site", database=database.section, concurrent_jobs=1)
    site.constants = HASTY
    try:
        api_reader = ApiReader(site.start())
        job_ids = [api_reader.job([name], do="wait") for name in ("u1", "u2")]
        wait_started(tmp_path, "u1")
        ends: List[str] = []
        queries = [threading.Thread(target=lambda job_id=job_id: ends.append(  # type: ignore[misc]
            polled(api_reader, job_id))) for job_id in job_ids]
        for query in queries:
            query.start()
        database.kill()
        go(tmp_path)
        wait_until(lambda: "its end could not be stored" in site.log.read_text("utf-8"), 60, "the job to end")
        database.start()
        for query in queries:
            query.join(60)
        assert ends == ["success", "success"]
        assert api_reader.download(job_ids[1]).text.splitlines() == lines("u2")
    finally:
        site.stop()
        database.stop()
