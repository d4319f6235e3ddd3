"""Restricting a FATE Flow's forwarding of partners' requests. Stand-ins have the shape of the released code; the real
one is in tests/fate_flow/test_grpc.py."""
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from fate_ext_plugin.errors import UnsupportedHost
from fate_ext_plugin.host.fate_flow_partners import guard_partner_requests, send_for_partner
from fate_ext_plugin.host.partner_requests import RefusedRequest
from tests.support.fate_flow_modules import Install, install_into


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    return lambda **changes: install_into(monkeypatch, changes)


def packet(method: str, path: str, job_id: str = "1") -> Any:
    party = SimpleNamespace(partyId="10000")
    header = SimpleNamespace(operator=method, task=SimpleNamespace(taskId=job_id), src=party, dst=party)
    return SimpleNamespace(header=header, body=SimpleNamespace(key=path))


@pytest.mark.parametrize("changes", [
    {"grpc_utils": ("class UnaryService", "class Service")},
    {"grpc_utils": ("    @staticmethod\n", "")},
    {"grpc_utils": ("_request, context", "_request, context, routing=None")},
    {"grpc_utils": ("def unaryCall", "def push(_request, context): pass\n    @staticmethod\n    def unaryCall")},
    {"grpc_utils": ("return request(", "import requests; return requests.Request(")},
    {"grpc_utils": ("from fate_flow.utils.requests_utils import request", "def request(**kwargs): return kwargs")},
    {"grpc_utils": ("url, src_party_id, dst_party_id", "url, parties")},
    {"grpc_utils": ("def wrap_grpc_packet", "def wrap_packet")},
    {"requests_utils": ("def request", "def send")},
    {"task_utils": ("def task_request_proxy", "def proxy")},
    {"task_utils": ("return request(", "import requests; return requests.Request(")},
    {"proxy": ("import forward_api", "import request")},
    {"api_utils": ("return request(", "import requests; return requests.Request(")},
    {"apps": ("if CLIENT_AUTHENTICATION: return client_authentication_before_request()", "")},
    {"apps": ("if SITE_AUTHENTICATION: return site_authentication_before_request()", "")},
    {"apps": ("def authentication_before_request", "def authenticate")},
], ids=str)
def test_a_fate_flow_of_another_shape_is_told_and_left_as_it_is(
    install: Install, changes: Dict[str, Tuple[str, str]]
) -> None:
    modules: Any = None
    with suppress(ImportError):  # where this release lacks what another of its modules imports
        modules = install(**changes)
    before = {name: dict(vars(module)) for name, module in (modules or {}).items()}
    with pytest.raises(UnsupportedHost, match="gRPC port can't be restricted"):
        guard_partner_requests(lambda *_: None)
    assert {name: dict(vars(module)) for name, module in (modules or {}).items()} == before


def test_the_released_shape_is_guarded_once(install: Install) -> None:
    modules: Any = install()
    guard_partner_requests(lambda *_: None)
    service = modules["fate_flow.utils.grpc_utils"].UnaryService
    guarded, checks = service.unaryCall, list(modules["fate_flow.apps"].app.before_request_funcs[None])
    guard_partner_requests(lambda *_: None)
    assert service.unaryCall is guarded
    assert modules["fate_flow.apps"].app.before_request_funcs[None] == checks
    assert modules["fate_flow.utils.task_utils"].request is send_for_partner


def test_a_refused_packet_is_answered_and_goes_no_further(install: Install) -> None:
    modules: Any = install()
    told: List[Any] = []
    guard_partner_requests(lambda *refusal: told.append(refusal))
    call = modules["fate_flow.utils.grpc_utils"].UnaryService.unaryCall
    for bad in (packet("POST", "/v1/server/get"), packet("GET", "/v1/party/1/guest/9999/start"),
                packet("POST", "/v1/party/1/guest/9999/start", job_id="../x")):
        assert call(bad, None)["retcode"] == 109
        assert told[-1][0] is bad
    assert len(told) == 3


# -- the sender ------------------------------------------------------------------------------------------------------


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(307)
        self.send_header("Location", "/v1/server/get")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_what_is_sent_for_a_partner_is_signed_by_the_partner_alone(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No app key, no proxy of the environment, no redirect."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = f"http://127.0.0.1:{receiver.server_port}/v1/party/1/guest/9999/start"
    sent = {"src_party_id": "10000", "site_signature": "theirs", "APP_KEY": "x", "X-Forwarded-For": "10.0.0.1"}
    assert send_for_partner(method="POST", url=url, json={"a": 1}, headers=sent).status_code == 307
    ((path, headers, body),) = receiver.received
    assert (path, body) == ("/v1/party/1/guest/9999/start", {"a": 1})
    assert (headers["SRC-PARTY-ID"], headers["SITE-SIGNATURE"]) == ("10000", "theirs")
    assert not {"APP-KEY", "TIMESTAMP", "NONCE", "SIGNATURE", "X-FORWARDED-FOR"} & {name.upper() for name in headers}


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:9380/v1/key/public/save?:9380/v1/party/1/x", "http://127.0.0.1:9380/v1/server/get",
    "http://user@127.0.0.1:9380/v1/party/1/x", "http://10.0.0.1:80@127.0.0.1:9380/v1/party/1/x", "/v1/party/1/x",
    "http://127.0.0.1/v1/party/1/x", "https://127.0.0.1:9380/v1/party/1/x", "file:///v1/party/1/x", "http:///v1/party/1/x",
    "HTTP://127.0.0.1:9380/v1/party/1/x", "http://127.0.0.1:9380/v1/party/1/x#y", "http://127.0.0.1:9380/v1/party/1/x?",
    "http://127.0.0.1:9380\\@evil/v1/party/1/x", "http://127.0.0.1:9380\t/v1/party/1/x",
])
def test_a_url_that_a_tasks_row_bends_is_refused(url: str) -> None:
    """FATE Flow puts the address of a task's row, which a partner can write, into a URL as it is."""
    with pytest.raises(RefusedRequest):
        send_for_partner(method="POST", url=url, json={}, headers={})
