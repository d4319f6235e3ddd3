"""query: how a job goes, in the words ApiReader understands.

ApiReader asks once a minute and knows two states, success and running. Anything else in ``data.status`` fails its
FATE job at once with ``data`` as the message, but only under HTTP status 200 (contract section 2).
"""
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional
from urllib.parse import quote

import pytest
import requests
from flask.testing import FlaskClient

from fate_ext_plugin.apps import feature_app
from fate_ext_plugin.apps.blueprint import create_app
from fate_ext_plugin.apps.service_urls import service_uris
from fate_ext_plugin.errors import DatabaseUnavailable
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.credit import credit_view
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, jobs_of, slow_view, wait_started
from tests.support.wire import recorded, refused

HOLD_SECONDS = 0.5
#: a query that is held for longer than it should be fails after so many seconds
TIMEOUT = 120


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """Holds a query for half a second unless its url says otherwise, one at a time, and runs one job at a time.

    While it holds one it looks at the job when it is told of its end, and not before."""
    return make_shared_site(
        views={"credit": credit_view, "slow": slow_view}, default_view="credit", metrics=True, concurrent_jobs=1,
        long_poll_seconds=HOLD_SECONDS, max_held_queries=1, constants={"apps.feature_app.BEAT_SECONDS": 3600})


@pytest.fixture
def endless(site: Site) -> Iterator[str]:
    """A job that runs until the test lets it :func:`go`, or ends."""
    (site.folder / "go").unlink(missing_ok=True)
    (site.folder / "started").unlink(missing_ok=True)
    reader = ApiReader(site)
    job_id = reader.job(["u1"], view="slow", do="wait")
    wait_started(site.folder, "u1")
    yield job_id
    go(site.folder)
    wait_until(lambda: ask(site, job_id)["data"]["status"] == "success")


def ask(site: Site, job_id: str, wait: Optional[str] = None) -> Dict[str, Any]:
    """The answer to a query with our own ``wait``, not the one of the registered url."""
    url = site.url("query").replace("wait=43200&", "" if wait is None else f"wait={wait}&")
    response = requests.post(url, json={"jobId": job_id}, timeout=TIMEOUT)
    assert response.status_code == 200, response.text
    answer: Dict[str, Any] = response.json()
    return answer


@contextmanager
def held(site: Site, ask: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """While the server holds a query."""
    def one_is_held() -> bool:
        return "\nfate_ext_held_queries 1.0\n" in requests.get(site.url("metrics"), timeout=60).text
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        wait_until(one_is_held, what="the query to be held")
        yield answer


# -- what is answered ------------------------------------------------------------------------------------------------


def test_success_in_both_shapes(site: Site) -> None:
    """FATE's published page reads ``status`` at the top, ApiReader in ``data``."""
    job_id = ApiReader(site).job(["u1", "u2", "stranger"])
    answer = ask(site, job_id, "60")
    assert (answer["code"], answer["status"], answer["message"]) == (0, "success", "2 of 3 IDs have features.")
    data = answer["data"]
    assert (data["jobId"], data["status"], data["progress"]) == (job_id, "success", 100)
    assert (data["ids"], data["matched"], data["missing"]) == (3, 2, 1)
    assert data["elapsedSeconds"] == jobs_of(site).get(job_id).elapsed_ms() / 1000 > 0


def test_running_in_both_shapes(site: Site, endless: str) -> None:
    answer = ask(site, endless, "0")
    assert (answer["code"], answer["status"], answer["data"]["status"]) == (0, "running", "running")
    assert answer["message"] == answer["data"]["message"] == "The job is running."


def test_a_job_that_waits_its_turn_is_running(site: Site, endless: str) -> None:
    job_id = ApiReader(site).job(["u1"])
    answer = ask(site, job_id, "0")
    assert (answer["status"], answer["data"]["status"]) == ("running", "running")
    assert answer["message"] == "The job waits for its turn."
    go(site.folder)
    assert ask(site, job_id, "60")["status"] == "success"


@pytest.mark.parametrize("job_id", [
    "18acd8eb400e428486fa3030d6f05e07", "../../secret", "' OR '1'='1", "身份", "x" * 64])
def test_an_unknown_job_fails_the_fate_job(site: Site, job_id: str) -> None:
    answer = ask(site, job_id)
    assert answer["code"] == 40402
    assert answer["status"] == answer["data"]["status"] == "unknown"
    assert "Upload the IDs again" in answer["data"]["message"]
    assert answer["data"]["jobId"] == job_id


def test_a_failed_job_says_why(site: Site) -> None:
    job_id = ApiReader(site).job(["u1"], view="slow", do="raise:NoData")
    answer = ask(site, job_id, "60")
    assert answer["code"] == 40403
    assert answer["status"] == answer["data"]["status"] == "failed"
    assert answer["data"]["message"] == "Nothing is stored for month 209901."


def test_a_canceled_job_says_who(site: Site, endless: str) -> None:
    job_id = ApiReader(site).job(["u1"])
    assert site.command("jobs", "cancel", job_id).returncode == 0
    answer = ask(site, job_id, "60")
    assert answer["code"] // 100 == 409
    assert answer["status"] == answer["data"]["status"] == "canceled"
    assert "canceled by an operator" in answer["data"]["message"]


def test_the_recorded_query_of_a_real_fate_flow(site: Site) -> None:
    request = recorded("query")
    headers = {name: value for name, value in request["headers"].items() if name != "Host"}
    response = requests.post(site.url("query"), data=request["body"]["text"], headers=headers, timeout=60)
    assert (response.status_code, response.json()["data"]["status"]) == (200, "unknown")


# -- how long it takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait", "seconds"), [(None, HOLD_SECONDS), ("1", 1.0)])
def test_a_query_is_held_for_the_configured_time_or_the_urls(
    site: Site, endless: str, wait: Optional[str], seconds: float
) -> None:
    """No shorter; and it is answered before the job ends."""
    began = time.monotonic()
    assert ask(site, endless, wait)["status"] == "running"
    assert time.monotonic() - began >= seconds


def test_an_ended_job_is_not_waited_for(site: Site) -> None:
    job_id = ApiReader(site).job(["u1"])
    for _ in range(2):
        assert ask(site, job_id, "43200")["status"] == "success"
    assert ask(site, "unknown", "43200")["status"] == "unknown"


def test_a_held_query_is_answered_the_moment_the_job_ends(site: Site, endless: str) -> None:
    """Which is what saves an ApiReader up to a minute."""
    with held(site, lambda: ApiReader(site).status(endless)) as answer:
        assert not answer.done()
        go(site.folder)
        assert answer.result()["status"] == "success"


def test_more_queries_than_may_be_held_are_answered_at_once(site: Site, endless: str) -> None:
    with held(site, lambda: ask(site, endless, "43200")) as answer:
        assert ask(site, endless, "43200")["status"] == "running"
        assert not answer.done()
        go(site.folder)
        assert answer.result()["status"] == "success"


@pytest.mark.parametrize("wait", ["", "x", "-1", "43201", "nan", "inf", "1e999", "0x1"])
def test_a_wait_that_is_no_time(site: Site, wait: str) -> None:
    url = site.url("query").replace("wait=43200", f"wait={wait}")
    refused(requests.post(url, json={"jobId": "any"}, timeout=60), 400, "wait must be a number of seconds up to 43200")


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "says"), [
    ("", "not valid JSON"), ("{", "not valid JSON"), ("jobId=1", "not valid JSON"), ("[]", "must be a JSON object"),
    ("null", "must be a JSON object"), ("{}", "jobId"), ('{"jobId": null}', "jobId"), ('{"jobId": 1}', "jobId"),
    ('{"jobId": ""}', "jobId"), ('{"jobId": ["a"]}', "jobId"), ('{"jobId": "a\\u0000"}', "NUL"),
    ('{"jobId": "%s"}' % ("x" * 65), "jobId"), ('{"jobId": "a", "jobId": "b"}', "a key stands twice"),
    ('{"jobId": "a", "wait": 1}', "wait"), ('{"jobId": NaN}', "NaN is not JSON"),
    ('"%s"' % ("x" * 20_000), "longer than"), ("\xff\xfe", "not valid JSON"), ("[" * 15_000, "nested too deeply"),
])
def test_a_broken_body(site: Site, body: str, says: str) -> None:
    for headers in ({"Content-Type": "application/json"}, {}):
        response = requests.post(site.url("query"), data=body.encode("latin-1"), headers=headers, timeout=60)
        refused(response, 400, says)


def test_a_huge_body_is_not_kept_in_memory(site: Site) -> None:
    assert site.process
    refused(requests.post(site.url("query"), data=iter([b"x" * 2**20] * 150), timeout=60), 400, "longer than")
    refused(requests.post(site.url("query"), data=b"x" * 2**20 * 150, timeout=60), 400, "longer than")
    status = Path(f"/proc/{site.process.pid}/status").read_text("ascii")
    assert int(status.split("VmHWM:")[1].split()[0]) < 160 * 1024


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_any_other_method_is_an_error(site: Site, method: str) -> None:
    refused(requests.request(method, site.url("query"), json={"jobId": "any"}, timeout=60), 405, "use POST")


# -- inside: the same services without a server around them ----------------------------------------------------------


class Inside:
    """A plugin in this process, with a client that reads an answer piece by piece."""

    def __init__(self, plugin: Plugin, folder: Path) -> None:
        self.plugin, self.folder = plugin, folder
        self.client: FlaskClient = create_app(plugin.manager()).test_client()
        self.uris = service_uris(plugin.guard, "127.0.0.1", 9390)

    def job(self, do: str) -> str:
        url = f"{self.uris['upload']}&requestBody={quote(json.dumps({'do': do}))}"
        answer = self.client.post(url, data=b"u1\n", content_type="text/plain")
        return str(answer.get_json()["data"]["jobId"])

    def query(self, job_id: str) -> Any:
        return self.client.post(self.uris["query"], json={"jobId": job_id}, buffered=False)

    def result(self, job_id: str) -> Dict[str, Any]:
        data: Dict[str, Any] = self.query(job_id).get_json()["data"]
        return data


@pytest.fixture(scope="module")
def inside(make_shared_site: MakeSite) -> Iterator[Inside]:
    site = make_shared_site("inside", start=False, views={"slow": slow_view})
    with pytest.MonkeyPatch.context() as patch:
        for path in site.pythonpath:
            patch.syspath_prepend(str(path))
        patch.setenv("PYTHONPATH", site.environment()["PYTHONPATH"])
        settings = site.settings
        plugin = Plugin(settings, Standalone(settings))
        plugin.start()
        yield Inside(plugin, site.folder)
        plugin.stop()


@pytest.fixture
def waits(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job that runs until the test lets it :func:`go`. Its queries are held with a blank every 50 ms."""
    (inside.folder / "go").unlink(missing_ok=True)
    monkeypatch.setattr(feature_app, "BEAT_SECONDS", 0.05)
    return inside.job("wait")


def test_blanks_keep_a_held_connection_alive(inside: Inside, waits: str) -> None:
    """Blanks before JSON are JSON."""
    response = inside.query(waits)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    pieces = iter(response.response)
    assert [next(pieces) for _ in range(5)] == [b" "] * 5
    go(inside.folder)
    *blanks, answer = pieces
    assert set(blanks) <= {b" "}
    assert json.loads(b" " + answer)["data"]["status"] == "success"


def test_nginx_hears_of_it_before_it_gives_up() -> None:
    """On a server that says nothing for 60 s."""
    assert feature_app.BEAT_SECONDS < 60


def test_a_client_that_gives_up_makes_room_for_another(inside: Inside, waits: str) -> None:
    response = inside.query(waits)
    next(iter(response.response))
    assert inside.plugin.runner._waiters.watched() == [waits]
    response.close()
    del response
    assert inside.plugin.runner._waiters.watched() == []
    go(inside.folder)
    assert inside.result(waits)["status"] == "success"


def test_an_expired_result_fails_the_fate_job(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = inside.job("answer")
    assert inside.result(job_id)["status"] == "success"
    monkeypatch.setattr(inside.plugin.runner, "_retention", 0)
    wait_until(lambda: inside.plugin.runner.clean() or inside.plugin.jobs.get(job_id).status == "expired")
    response = inside.query(job_id)
    answer = response.get_json()
    assert (response.status_code, answer["code"]) == (200, 41001)
    assert answer["status"] == answer["data"]["status"] == "expired"
    assert "run the FATE job again" in answer["data"]["message"]


def test_a_job_canceled_while_its_query_is_held(inside: Inside, waits: str) -> None:
    pieces = iter(inside.query(waits).response)
    assert next(pieces) == b" "
    assert inside.plugin.runner.cancel(waits)
    assert json.loads(b"".join(pieces))["data"]["status"] == "canceled"


def test_a_database_that_is_away_makes_apireader_ask_again(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status other than 200 is no error to it, as long as there is a ``data``."""
    def away(job_id: str) -> None:
        raise DatabaseUnavailable("The database does not answer.")
    monkeypatch.setattr(inside.plugin.jobs, "get", away)
    response = inside.query("any")
    answer = response.get_json()
    assert (response.status_code, answer["code"], answer["data"]["status"]) == (503, 50301, "running")


def test_a_database_that_goes_away_while_a_query_is_held(
    inside: Inside, waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = iter(inside.query(waits).response)
    assert next(pieces) == b" "

    def away(job_id: str) -> None:
        raise DatabaseUnavailable("The database does not answer.")
    with monkeypatch.context() as patch:
        patch.setattr(inside.plugin.jobs, "get", away)
        assert json.loads(b"".join(pieces))["data"]["status"] == "running"
    go(inside.folder)
    assert inside.result(waits)["status"] == "success"
