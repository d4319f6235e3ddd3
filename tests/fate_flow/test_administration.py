"""Administration of a plugin that is mounted in a real FATE Flow: over REST, and by `fate-ext --url`."""
from pathlib import Path
from typing import Any, Tuple

import pytest
import requests

from tests.fate_flow.features import ids_of, section_of
from tests.fate_flow.flow import HOST, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CONF, KEYS
from tests.support.admin import PREFIX, Admin
from tests.support.site import wait_until
from tests.support.wire import refused


@pytest.fixture(scope="module")
def flow(make_flow: MakeFlow, features: Path) -> Flow:
    """Both of FATE Flow's switches are on; one server plays both parties."""
    flow = make_flow(section_of(features, authentication={}), conf=CONF, start=False)
    flow.keys = KEYS
    flow.start()
    flow.share_key(HOST)
    return flow


def new_client(flow: Flow, app_key: str, *options: str) -> Admin:
    printed = flow.fate_ext("client", "add", app_key, "--name", app_key, *options)
    secret, = (line.strip() for line in printed.splitlines() if line.startswith("    "))
    return Admin(flow.url, app_key, secret)


@pytest.fixture(scope="module")
def clients(flow: Flow) -> Tuple[Admin, Admin]:
    """An admin, and one like FATE's own client: without a role."""
    found = new_client(flow, "ops", "--role", "admin"), new_client(flow, "fate-client")
    wait_until(lambda: found[0].ask("GET", "/health").status_code == 200, what="the server to know them")
    return found


def test_an_admin_sees_the_job_of_an_api_reader(flow: Flow, clients: Any, installation: Installation) -> None:
    admin, _ = clients
    flow.upload_table("ids", ids_of(range(20)))
    job_id = flow.submit()
    ended = flow.wait(job_id)
    found = admin.get("/jobs", fate_job_id=job_id)
    if installation.api_reader_works:
        assert ended == "success", flow.report(job_id)
        job, = found["jobs"]
        assert (job["status"], job["view"], job["ids"], job["matched"]) == ("success", "credit", 20, 20)
    else:
        assert found["jobs"] == []  # it uploads an empty file
    assert admin.get("/settings")["server_name"] == "fate_ext"
    assert admin.get("/health")["status"] == "ready"


def test_a_client_without_a_role_may_call_fate_flow_and_nothing_here(flow: Flow, clients: Any) -> None:
    _, stock = clients
    for app_key, secret in ((stock.app_key, stock.secret), KEYS):
        client = Admin(flow.url, app_key, secret)
        for method, path in (("GET", "/jobs"), ("GET", "/clients"), ("DELETE", "/clients/ops"), ("POST", "/clients")):
            refused(client.ask(method, path), 403, "This needs a client with the role")
    assert flow.call("/version/get", {"module": "FATE"})  # FATE Flow's own key, with FATE Flow


def test_errors_are_ours_where_fate_flow_would_say_200(flow: Flow, clients: Any) -> None:
    admin, _ = clients
    refused(requests.get(f"{flow.url}{PREFIX}/jobs", timeout=30), 401, "TIMESTAMP is missing")
    refused(admin.ask("GET", "/jobs/none"), 404, "There is no feature job")
    refused(admin.ask("GET", "/nothing"), 404, "There is no such service")
    refused(admin.ask("POST", "/clients", raw=b"{"), 400, "not valid JSON")
    refused(requests.delete(f"{flow.url}{PREFIX}/health", timeout=30), 405, "use GET")
    refused(admin.ask("GET", "/grants"), 404, "permission is not set up here")
    request = admin.prepare("GET", "/jobs")
    assert admin.send(request).status_code == 200
    refused(admin.send(request), 401, "sent before")


def test_what_an_admin_changes_counts_in_fate_flow_at_once(flow: Flow, clients: Any) -> None:
    admin, _ = clients
    made = admin.done("POST", "/clients", body={"app_key": "etl", "name": "ETL"})
    keys, flow.keys = flow.keys, ("etl", made["secret"])
    try:
        assert flow.post("/version/get", {"module": "FATE"}).json()["retcode"] == 0
        admin.done("PUT", "/clients/etl", body={"enabled": False})
        assert flow.post("/version/get", {"module": "FATE"}).json()["retcode"] != 0
    finally:
        flow.keys = keys
    assert admin.get("/audit", check="admin", who="ops")["decisions"]


def test_commands_with_url_do_the_same(flow: Flow, clients: Any, tmp_path: Path) -> None:
    admin, _ = clients
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(admin.secret)
    options = ["--url", flow.url, "--app-key", "ops", "--app-secret-file", str(file)]
    status, printed = flow.command("views", "test", "credit", "u8", "nobody", *options)
    assert status == 0, printed
    assert [line.split() for line in printed.splitlines()[:2]] == [["id", "amount", "age"], ["u8", "1.0", "8"]]
    assert flow.command("jobs", "list", *options) == (0, flow.fate_ext("jobs", "list"))
