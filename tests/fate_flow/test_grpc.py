"""FATE Flow's gRPC port forwards packets to FATE Flow's own HTTP port. What partners can't do there any more, and what
they still can; each attack is first shown to succeed against FATE's own code."""
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import pytest
import requests

from fate_ext_plugin.audit_search import read
from tests.fate_flow.conftest import MakeFlow, expected, ids_of, section_of
from tests.fate_flow.flow import GUEST, HOST, Flow, Installation
from tests.fate_flow.test_authentication import HOOKS
from tests.fate_flow.test_server import CLIENT, KEYS, UNAUTHENTICATED, retcode
from tests.support.site import wait_until

grpc_router = pytest.importorskip("tests.support.grpc_router", reason="grpcio is not installed")

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


def sign(flow: Flow, body: Any) -> Dict[str, str]:
    """The headers of a request of the server's own site, as its task workers sign it."""
    code = ("import json, sys; from fate_ext_plugin.host import fate_flow_hooks; "
            "print(fate_flow_hooks.signer().sign('', json.loads(sys.argv[1])))")
    output = subprocess.run(
        [flow.installation.python, "-c", code, json.dumps(body)], check=True, stdout=subprocess.PIPE, text=True,
        env=flow.environment(), cwd=flow.folder).stdout
    return {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": output.splitlines()[-1]}


# What a partner would like to reach, each path with what a refusal of the path must stop.
ATTACKS = [
    packet("/v1/server/get"), packet("/v1/key/query", body={"party_id": str(GUEST)}), packet("/v1/job/list/job"),
    packet("/v1/forward/fateflow/do"), packet("/v1/operation/json_conf/load"), packet("/v1/ext/health", "GET"),
    packet("/v1/party/../server/get"), packet("//v1/server/get"), packet("/v1/party/%2e%2e/server/get"),
    packet("/v1/model/load/do/../../../server/get"), packet("v1/server/get"), packet("/v1/server/get?/v1/party/1"),
    packet("/v1/version/get", job_id="../../../elsewhere"), packet("/v1/party/1/guest/9999/status/canceled", "GET"),
]


def make(make_flow: MakeFlow, features: Path, hooks: Dict[str, str]) -> Flow:
    flow = make_flow(section_of(features, authentication={}), start=False,
                     conf={"party_id": GUEST, "authentication": AUTHENTICATION})
    content = flow.read_conf()
    content["hook_module"] = hooks
    flow.write_conf(content)
    flow.keys = KEYS
    return flow.start()


def test_fate_flow_alone_answers_an_unsigned_packet_with_its_secrets(make_flow: MakeFlow, features: Path) -> None:
    """The attack: over HTTP the request is refused, through gRPC FATE Flow signs it itself."""
    flow = make(make_flow, features, BUILT_IN)
    assert retcode(requests.post(f"{flow.url}/v1/server/get", json={}, timeout=30)) == UNAUTHENTICATED
    stolen, jobs = send(flow, packet("/v1/server/get"), packet("/v1/job/list/job"))
    assert stolen["data"]["AUTHENTICATION"]["client"]["http_secret_key"] == KEYS[1]
    assert jobs["retcode"] == 0
    flow.stop()


@pytest.mark.parametrize("hooks", [
    HOOKS, {"extension": "fate_ext_plugin.mount", **BUILT_IN}, {**BUILT_IN, "permission": "fate_ext_plugin.hook.permission"},
    {"client_authentication": HOOKS["client_authentication"],
     "site_authentication": BUILT_IN["site_authentication"]},
], ids=["our hooks", "mounted", "our permission hook", "our client hook"])
def test_no_packet_reaches_another_path_than_partners_need(
    make_flow: MakeFlow, features: Path, hooks: Dict[str, str]
) -> None:
    """Wherever any module of ours is loaded."""
    flow = make(make_flow, features, hooks)
    for attack, answer in zip(ATTACKS, send(flow, *ATTACKS)):
        assert set(answer) == {"retcode", "retmsg"} and answer["retcode"] == UNAUTHENTICATED, (attack, answer)
    assert not (flow.folder.parent / "elsewhere").exists()
    assert "refuses a gRPC packet of party 10000" in flow.log()
    flow.stop()
