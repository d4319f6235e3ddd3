"""The database under a running server is cut off, hangs, or is killed and comes back."""
import re
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import pytest
import requests

from tests.support.all_services import ALL_SERVICES, Services, ask_all, good
from tests.support.api_reader import ApiReader
from tests.support.background import Background
from tests.support.builder import MakeSite
from tests.support.cable import Cable
from tests.support.databases import SERVERS, empty_store
from tests.support.mariadb import MariaDB
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, lines, wait_started

# It waits for the database a second instead of ten, and tries less often; so it may say that the database does not
# answer where this machine is only busy. Held queries look at their jobs when they are told to, and at no other time.
HASTY = {"db.patience.ANSWER_SECONDS": 1, "db.base.PATIENCE_SECONDS": 1,
         "db.base.BUSY_TRIES": 4, "apps.feature_app.BEAT_SECONDS": 3600.0}


@pytest.fixture(params=SERVERS, scope="module")
def cable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    with empty_store(request.param, tmp_path_factory.mktemp("store")):
        yield Cable(request.param.upper())


@pytest.fixture(scope="module")
def shared_site(cable: Cable, make_shared_site: MakeSite) -> Iterator[Site]:
    """All services. It stops before its database is gone."""
    site = make_shared_site(cable.kind, **ALL_SERVICES, database=cable.section, constants=HASTY)
    yield site
    cable.mend()
    site.stop()


@pytest.fixture
def folder(shared_site: Site) -> Path:
    return shared_site.folder


@pytest.fixture
def site(shared_site: Site, cable: Cable, folder: Path) -> Iterator[Site]:
    (folder / "go").unlink() if (folder / "go").exists() else None
    yield shared_site
    cable.mend()


def answer_of(call: Callable[[], requests.Response]) -> requests.Response:
    """With the database at hand: asks again as long as the server finds it too slow."""
    answer: requests.Response = wait_until(
        lambda: next((answer for answer in [call()] if answer.status_code != 503), None), what="an answer")
    assert answer.status_code == 200, answer.text
    return answer


def job_of(api_reader: ApiReader, name: str) -> str:
    return str(answer_of(lambda: api_reader.upload([name], do="wait")).json()["data"]["jobId"])


def all_good(services: Services) -> bool:
    return all(good(name, answer) for name, answer in ask_all(services).items())


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_no_service_hangs_with_it_and_nobody_is_let_in(site: Site, cable: Cable, fault: str) -> None:
    services = Services(site)
    services.result = answer_of(services.upload).json()["data"]["jobId"]
    wait_until(lambda: all_good(services), what="all to be served")
    getattr(cable, fault)()

    def refused() -> Tuple[int, Dict[str, requests.Response]]:
        """Clients, keys and grants that were read are believed for some seconds. ApiReader asks a query again after a
        status that is not 200; to all others it is an error, so nobody is let in."""
        before, answers = cable.tries, ask_all(services, times=5)
        return cable.tries - before, answers if {answer.status_code for answer in answers.values()} == {503} else {}
    tries, answers = wait_until(lambda: next((end for end in [refused()] if end[1]), None), what="all to be refused")
    assert tries < len(answers)  # who waits learns from the first one's failure, and does not try in turn
    query = answers["query"].json()
    assert (query["data"]["status"], query["code"]) == ("running", 50301)
    assert query["message"] == "The database does not answer; look at the server's log."
    assert site.probe("health").status_code == 200
    assert site.probe("ready").status_code == 503
    cable.mend()
    wait_until(lambda: all_good(services), what="all to be served again")
    wait_until(lambda: site.probe("ready").status_code == 200, what="it to be ready again")


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_a_job_that_ends_meanwhile_is_run_again(site: Site, cable: Cable, folder: Path, fault: str) -> None:
    api_reader = ApiReader(site)
    job_id = job_of(api_reader, fault)
    wait_started(folder, fault)
    query = Background(lambda: api_reader.polled(job_id))
    wait_until(lambda: site.held_queries() == 1, what="the query to be held")
    getattr(cable, fault)()
    go(folder)
    wait_until(lambda: f"{job_id}: its end could not be stored" in site.log.read_text("utf-8"),
               what="the job to end")
    files = site.files()
    assert api_reader.upload(["refused"]).status_code == 503
    assert not query.ended  # nobody is told that it is over
    cable.mend()
    assert query.result()["status"] == "success"
    assert answer_of(lambda: api_reader.download(job_id)).text.splitlines() == lines(fault)
    wait_until(lambda: re.fullmatch(rf"jobs/{job_id}/result\.[23]", " ".join(
        name for name in site.files() if job_id in name)), what="all but a later run's result to be deleted")
    assert {name.split("/")[1] for name in site.files() if name.startswith("jobs/")} <= {
        name.split("/")[1] for name in files}  # nothing of the upload that was refused


def test_it_is_killed_and_started_again(make_site: MakeSite, tmp_path: Path) -> None:
    """SIGKILL to a MariaDB while one job runs, one waits, and queries of both are held."""
    (tmp_path / "mariadb").mkdir()
    database = MariaDB(tmp_path / "mariadb").start()
    site = make_site(start=False, **ALL_SERVICES, database=database.section, concurrent_jobs=1, constants=HASTY)
    try:
        api_reader = ApiReader(site.start())
        job_ids = [job_of(api_reader, name) for name in ("u1", "u2")]
        wait_started(tmp_path, "u1")
        queries = [Background(lambda job_id=job_id: api_reader.polled(job_id))  # type: ignore[misc]
                   for job_id in job_ids]
        wait_until(lambda: site.held_queries() == len(queries), what="queries to be held")
        database.kill()
        go(tmp_path)
        wait_until(lambda: "its end could not be stored" in site.log.read_text("utf-8"), what="the job to end")
        database.start()
        assert [query.result()["status"] for query in queries] == ["success", "success"]
        assert answer_of(lambda: api_reader.download(job_ids[1])).text.splitlines() == lines("u2")
    finally:
        site.stop()
        database.stop()
