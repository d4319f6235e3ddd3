"""The server we are mounted in: its own authentication, broken settings, restarts, logs."""
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Optional

import pytest
import requests

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import service_uri
from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import Caller, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CLIENT, KEYS, UNAUTHENTICATED, retcode
from tests.support.site import wait_until


@pytest.fixture(scope="module")
def shared_flow(make_flow: MakeFlow, features: Path) -> Flow:
    return make_flow(section_of(features, verify_job=False, trusted_proxies=["127.0.0.0/8"]), start=False)


@pytest.fixture
def flow(shared_flow: Flow) -> Flow:
    """For tests that leave it as it was."""
    return shared_flow if shared_flow.process else shared_flow.start()


# -- mounted ---------------------------------------------------------------------------------------------------------


def test_any_program_may_use_the_services(flow: Flow) -> None:
    assert Caller(flow).features(ids_of(range(990, 1010))) == expected(range(990, 1010))


def test_registered_urls_fit_fate_flows_columns(flow: Flow) -> None:
    rows = flow.registry()
    assert sorted(row["f_service_name"] for row in rows) == ["download", "query", "upload"]
    for row in rows:
        assert len(row["f_url"]) <= 100
        assert row["f_url"].startswith(f"{flow.url}/v1/ext/{row['f_service_name']}?")
        assert row["f_method"] == "POST"


def test_addresses_outside_the_allowed_networks_are_refused(flow: Flow) -> None:
    caller = Caller(flow)
    refused = caller.upload(["u1"], headers={"X-Forwarded-For": "203.0.113.9"})
    assert (refused.status_code, refused.json()) == (403, {"code": 40301, "message": "Forbidden."})
    assert re.search(r"refused upload: .*203\.0\.113\.9 is in no allowed network", flow.log())
    assert caller.upload(["u1"], headers={"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}).status_code == 403
    assert caller.upload(["u1"], headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200


def test_no_log_of_the_server_holds_a_token(flow: Flow) -> None:
    caller = Caller(flow)
    caller.features(["u1"])
    requests.post(flow.service("upload").replace("token=", "token=x"), timeout=30)
    wait_until(lambda: "token=***" in flow.log("fate_flow_access"), what="the access log")
    tokens = [flow.service(name).rpartition("token=")[2] for name in ("upload", "query", "download")]
    files = [path for path in (flow.folder / "fateflow" / "logs" / "fate_flow").rglob("*") if path.is_file()]
    assert files
    for path in [*files, flow.folder / "server.log"]:
        text = path.read_text("utf-8", "replace")
        assert not [token for token in tokens if token in text], path


def test_a_load_balancer_learns_that_it_is_ready(flow: Flow) -> None:
    """With a status of its own: FATE Flow would answer anything with 200."""
    for path in ("health", "ready"):
        response = requests.get(f"{flow.url}/v1/ext/{path}", timeout=30)
        assert (response.status_code, response.json()["code"]) == (200, 0)
        stranger = requests.get(f"{flow.url}/v1/ext/{path}", headers={"X-Forwarded-For": "203.0.113.9"}, timeout=30)
        assert stranger.status_code == 403


def test_a_hook_without_its_section_is_not_ready_and_metrics_say_so(make_flow: MakeFlow, features: Path) -> None:
    pytest.importorskip("prometheus_client")
    flow = make_flow(section_of(features, metrics=True), conf={"hook_module": {
        "extension": "fate_ext_plugin.mount", "permission": "fate_ext_plugin.hook.permission"}})
    response = requests.get(f"{flow.url}/v1/ext/ready", timeout=30)
    assert (response.status_code, response.json()["code"]) == (503, 50302)
    assert response.json()["message"].startswith("hooks: The server's settings can't be used; ")
    assert "hooks: fate_ext_plugin.permission is missing in service_conf.yaml" in flow.log()
    assert [row for row in flow.registry() if row["f_service_name"] == "metrics"] == []
    guard = AccessGuard((flow.folder / "fateflow" / "fate_ext" / "secret").read_bytes(), (), ())
    url = flow.url + service_uri(guard, "metrics")
    assert requests.get(url.split("?")[0], timeout=30).status_code == 403
    text = requests.get(url, timeout=30).text
    assert 'fate_ext_ready{check="hooks"} 0.0' in text
    assert 'fate_ext_ready{check="database"} 1.0' in text
    assert 'fate_ext_requests_total{service="ready",status="503"} 1.0' in text


def test_our_log_lines_stand_once_in_fate_flows_log(flow: Flow) -> None:
    job_id = Caller(flow).job(["u1"])
    line = wait_until(lambda: re.findall(rf".*job {job_id}: .*", flow.log()), what="the log line")
    assert len(line) == 1
    assert line[0].startswith("[INFO]")
    starts = flow.log().count("FATE Flow http server start")  # other tests may have stopped this server in between
    assert len(re.findall("fate_ext_plugin is mounted at /v1/ext", flow.log())) == starts


def test_a_broken_download_never_looks_complete(flow: Flow) -> None:
    """Contract section 2: ApiReader does not notice a body shorter than its Content-Length; a broken chunk raises."""
    caller = Caller(flow)
    job_id = caller.job(ids_of(range(1000)))
    assert caller.query(job_id)["status"] == "success"
    response = caller.download(job_id, stream=True)
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in response.headers
    result = flow.folder / "fateflow" / "fate_ext" / "jobs" / job_id / "result.1"
    result.write_bytes(result.read_bytes()[:100])
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = caller.download(job_id).content


def test_many_at_once(flow: Flow) -> None:
    """Uploads and queries by 20 threads, with FATE Flow's own detectors and scheduler on the same database."""
    caller = Caller(flow)

    def one(number: int) -> None:
        numbers = range(number, number + 30)
        job_id = caller.job(ids_of(numbers))
        for _ in range(10):
            caller.query(job_id, wait=0)
        data = caller.query(job_id)
        assert data["status"] == "success", data
        header, *lines = caller.download(job_id).text.splitlines()
        assert [header, *sorted(lines)] == expected(numbers)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(60)))
    for trouble in ("BusyError", "LockedError", "database is locked", "database unavailable", "Exceeded maximum conn"):
        assert trouble not in flow.log()


# -- FATE Flow's own authentication ----------------------------------------------------------------------------------


def test_client_authentication_does_not_ask_for_ours(
    make_flow: MakeFlow, features: Path, installation: Installation
) -> None:
    flow = make_flow(section_of(features), start=False, conf={"authentication": {"client": CLIENT}})
    flow.keys = KEYS
    flow.start()
    assert Caller(flow).upload(["u1"]).status_code == 403  # verify_job's, not FATE Flow's 200 with retcode 109
    for path in ("/v1/extra", "/v1/extra/upload", "/v1/ext", "/v1/job/query"):
        assert retcode(requests.post(flow.url + path, json={}, timeout=30)) == UNAUTHENTICATED, path
    flow.upload_table("ids", ids_of(range(20)))
    job_id = flow.submit(alone=True)
    assert flow.wait(job_id) == ("success" if installation.api_reader_works else "failed")
    assert "RecursionError" not in flow.log() + flow.log("fate_flow_access") + flow.logs_of(job_id)


def test_site_authentication_does_not_ask_for_ours(make_flow: MakeFlow, features: Path) -> None:
    """Client's too, at the start; 1.9 asks for both, 1.10 and 1.11 only for the client's."""
    flow = make_flow(section_of(features, verify_job=False), conf={"authentication": {"site": {"switch": True}}})
    assert Caller(flow).features(["u1"]) == expected([1])
    assert retcode(requests.post(f"{flow.url}/v1/extra/upload", json={}, timeout=30)) not in (0, None)
    flow.stop()
    flow.configure(section_of(features, verify_job=False),
                   {"authentication": {"client": CLIENT, "site": {"switch": True}}})
    flow.keys = KEYS
    flow.start()
    assert Caller(flow).features(["u1"]) == expected([1])


# -- broken settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "reason"), [
    ({"max_idz": 5}, "max_idz"),
    ({"views": {}}, "views"),
    ({"data_dir": "/proc/no/such/folder"}, "data_dir"),
    (None, "the section is missing"),
])
def test_broken_settings_leave_fate_flow_running(
    make_flow: MakeFlow, features: Path, change: Optional[Dict[str, Any]], reason: str
) -> None:
    flow = make_flow(None if change is None else section_of(features, **change))
    (line,) = re.findall(r".*fate_ext_plugin is not mounted: .*", flow.log())
    assert reason in line
    assert line.startswith("[ERROR]")
    assert "Traceback" not in flow.log().partition(line)[2].partition("\n[")[0]
    flow.call("/version/get", {})
    assert requests.get(f"{flow.url}/v1/ext/ready", timeout=30).status_code == 503
    for path in ("/v1/ext/upload", "/v1/ext/query", "/v1/ext/", "/v1/ext/else"):
        response = requests.post(flow.url + path, data=b"u1\n", timeout=30)
        assert (response.status_code, response.json()["code"]) == (503, 50300), path
        assert "fate_flow_stat.log" in response.json()["message"]


def test_broken_settings_fail_an_api_reader(make_flow: MakeFlow, features: Path) -> None:
    """Its urls are still registered from better days."""
    flow = make_flow(section_of(features))
    flow.upload_table("ids", ids_of(range(20)))
    flow.stop()
    flow.configure(section_of(features, max_idz=5))
    flow.start()
    job_id = flow.submit(alone=True)
    assert flow.wait(job_id) == "failed"
    assert "fate_ext_plugin could not start" in flow.logs_of(job_id)


def test_local_settings_go_first(make_flow: MakeFlow, features: Path) -> None:
    flow = make_flow(section_of(features, max_idz=5), start=False)
    local = flow.conf.with_name("local.service_conf.yaml")
    flow.conf.rename(flow.conf.with_name("whole.yaml"))
    flow.configure(section_of(features, server_name="fate_ext", verify_job=False))
    flow.conf.rename(local)
    flow.conf.with_name("whole.yaml").rename(flow.conf)
    flow.start()
    assert Caller(flow).features(["u1"]) == expected([1])


def test_nginx_of_service_conf_is_the_registered_address(make_flow: MakeFlow, features: Path) -> None:
    flow = make_flow(section_of(features), conf={"fateflow": {"nginx": {"host": "127.0.0.2", "http_port": 9300}}})
    assert all(row["f_url"].startswith("http://127.0.0.2:9300/v1/ext/") for row in flow.registry())


def test_a_host_name_too_long_for_the_registry_is_said(make_flow: MakeFlow, features: Path) -> None:
    name = "a-load-balancer.of-a-site-with-a-long-name.example.org"
    flow = make_flow(section_of(features), conf={"fateflow": {"nginx": {"host": name, "http_port": 9300}}})
    assert re.search(rf"is not mounted: InvalidSettings: The host name '{name}' has {len(name)} characters", flow.log())
    assert requests.post(f"{flow.url}/v1/ext/upload", timeout=30).status_code == 503


# -- restarts --------------------------------------------------------------------------------------------------------


def test_restart_changes_nothing_in_the_registry(make_flow: MakeFlow, features: Path) -> None:
    flow = make_flow(section_of(features, verify_job=False))
    before = flow.registry()
    job_id = Caller(flow).job(["u1"])
    assert Caller(flow).query(job_id)["status"] == "success"
    for number in (signal.SIGTERM, signal.SIGKILL):
        flow.kill(number)
        wait_until(lambda: not flow.group(), what="the server's processes to end")
        flow.stop()
        flow.start()
        assert flow.registry() == before
    assert Caller(flow).download(job_id).text.splitlines() == expected([1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_running_when_the_server_ends_is_taken_up(
    make_flow: MakeFlow, slow_source: Path, features: Path, number: signal.Signals
) -> None:
    """Its process ends with the server; the next one runs it again."""
    section = section_of(features, verify_job=False, default_view="credit")
    section["views"]["slow"] = {"source": {"type": "slow", "seconds": 5}, "columns": ["length"]}
    flow = make_flow(section, pythonpath=(slow_source,))
    caller = Caller(flow)
    job_id = caller.job(ids_of(range(9)), view="slow")
    wait_until(lambda: any("engine.worker" in line for line in flow.group().values()), what="the job's process")
    time.sleep(1)
    flow.kill(number)
    wait_until(lambda: not flow.group(), 10, f"no process to be left: {flow.group()}")
    flow.stop()
    flow.start()
    data = Caller(flow).query(job_id)
    assert data["status"] == "success", data
    assert len(Caller(flow).download(job_id).text.splitlines()) == 10
    assert re.search(rf"job {job_id}: its server ended; it waits again", flow.log())
