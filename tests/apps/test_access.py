"""Access control: who may call, and what of it is seen in answers and logs."""
import ipaddress
import logging
import threading
from typing import Any, Callable, List

import pytest
import requests
from flask import Flask, jsonify
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from fate_ext_plugin.access.guard import AccessGuard, RedactTokens, redact
from fate_ext_plugin.apps.blueprint import ServiceBlueprint, create_app, refusing_blueprint
from fate_ext_plugin.apps.service_urls import service_uris
from fate_ext_plugin.errors import Forbidden, InvalidSettings
from fate_ext_plugin.util.network import LOOPBACK
from tests.support.api_reader import ApiReader
from tests.support.site import Site
from tests.support.wire import refused

SECRET = b"s" * 32


def networks(*texts: str) -> List[Any]:
    return [ipaddress.ip_network(text) for text in texts]


def make_guard(allowed: str = "10.0.3.0/24", proxies: str = "10.9.0.0/16") -> AccessGuard:
    return AccessGuard(SECRET, (*LOOPBACK, *networks(*allowed.split())), networks(*proxies.split()))


def make_app(guard: AccessGuard) -> Flask:
    blueprint = ServiceBlueprint(guard)
    blueprint.add("upload", ["POST"], lambda: jsonify(code=0))
    blueprint.add("query", ["POST"], lambda: jsonify(code=0))
    return create_app(blueprint.manager)


@pytest.fixture
def guard() -> AccessGuard:
    return make_guard()


@pytest.fixture
def client(guard: AccessGuard) -> FlaskClient:
    return make_app(guard).test_client()


@pytest.fixture
def call(client: FlaskClient, guard: AccessGuard) -> Callable[..., TestResponse]:
    """Call upload from ``peer`` with the right token, unless ``query`` is given."""
    def call(peer: str, *forwarded: str, query: str = f"token={guard.token('upload')}") -> TestResponse:
        return client.post(
            f"/v1/ext/upload?{query}", environ_base={"REMOTE_ADDR": peer},
            headers=[("X-Forwarded-For", value) for value in forwarded])
    return call


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_the_token_in_the_registered_url_opens_the_service(call: Callable[..., TestResponse]) -> None:
    assert call("127.0.0.1").status_code == 200


@pytest.mark.parametrize(("query", "reason"), [
    ("", "missing"), ("token=", "missing"), ("token=wrong", "wrong"), ("token={token}x", "wrong"),
    ("token={half}", "wrong"), ("token=%C3%A9%FF", "wrong"), ("Token={token}", "missing"),
    ("token={token}&token={token}", "doubled"), ("token=&token={token}", "doubled"),
    ("token={query}", "wrong"), ("token[]={token}", "missing"),
    ("token={token}%00", "wrong"), ("requestBody=token={token}", "missing"),
])
def test_any_other_token_does_not(
    call: Callable[..., TestResponse], guard: AccessGuard, query: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer does not say why; the log does, without any token."""
    token = guard.token("upload")
    response = call("127.0.0.1", query=query.format(token=token, half=token[:11], query=guard.token("query")))
    assert response.status_code == 403
    assert response.get_json() == {"code": 40301, "message": "Forbidden."}
    assert f"refused upload: {reason} token from 127.0.0.1" in caplog.text
    assert token not in caplog.text and guard.token("query") not in caplog.text


def test_a_token_in_a_header_or_a_form_is_none(client: FlaskClient, guard: AccessGuard) -> None:
    token = guard.token("upload")
    headers = {"Token": token, "Authorization": f"Bearer {token}"}
    response = client.post("/v1/ext/upload", data={"token": token}, headers=headers)
    assert response.status_code == 403


def test_each_service_and_each_site_has_its_own_tokens(guard: AccessGuard) -> None:
    other = AccessGuard(b"t" * 32, (), ())
    tokens = {made.token(service) for made in (guard, other) for service in ("upload", "query", "download")}
    assert len(tokens) == 6
    assert {len(token) for token in tokens} == {22}
    assert guard.token("upload") == make_guard("10.0.0.0/8").token("upload")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_without_a_token_no_method_says_anything(client: FlaskClient, method: str) -> None:
    assert client.open("/v1/ext/upload", method=method).status_code == 403


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [
    "127.0.0.1", "127.9.9.9", "::1", "10.0.3.0", "10.0.3.255", "::ffff:10.0.3.7", "::ffff:127.0.0.1"])
def test_this_machine_and_allowed_networks_may_call(call: Callable[..., TestResponse], peer: str) -> None:
    """Also where a socket for both families shows an IPv4 address as an IPv6 one."""
    assert call(peer).status_code == 200


@pytest.mark.parametrize("peer", [
    "10.0.4.1", "10.0.2.255", "8.8.8.8", "::2", "fe80::1%eth0", "::ffff:10.0.4.1", "::10.0.3.7", "0.0.0.0", "", "unix:",
    "10.0.3.7:80"])
def test_nobody_else_may_even_with_the_token(
    call: Callable[..., TestResponse], peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = call(peer)
    assert (response.status_code, response.get_json()["message"]) == (403, "Forbidden.")
    assert "is in no allowed network (allowed_networks, trusted_proxies)" in caplog.text


def test_a_server_that_does_not_know_its_peer_refuses(guard: AccessGuard) -> None:
    with pytest.raises(Forbidden):
        guard.check("upload", None, [], [guard.token("upload")])


@pytest.mark.parametrize("forged", ["127.0.0.1", "10.0.3.7", "::1"])
def test_x_forwarded_for_is_not_believed(call: Callable[..., TestResponse], forged: str) -> None:
    assert call("8.8.8.8", forged).status_code == 403
    assert call("10.0.3.7", "8.8.8.8").status_code == 200


@pytest.mark.parametrize(("forwarded", "status"), [
    (["10.0.3.7"], 200),
    (["::ffff:10.0.3.7"], 200),
    (["8.8.8.8"], 403),
    ([], 403),  # the proxy itself is no allowed caller
    ([""], 403),
    (["10.0.3.7, 8.8.8.8"], 403),  # who calls the proxy is at the right; the rest is what they say
    (["8.8.8.8, 10.0.3.7"], 200),
    (["10.0.3.7, 10.9.1.1"], 200),  # two proxies
    (["10.0.3.7, 8.8.8.8, 10.9.1.1"], 403),
    (["10.0.3.7", "8.8.8.8"], 403),  # two headers are one list
    (["8.8.8.8", "10.0.3.7"], 200),
    (["10.0.3.7,"], 403),
    (["10.0.3.7, unknown"], 403),
    (["10.9.1.2, 10.9.1.1"], 403),
    (["10.0.3.7:5123"], 403),
    (["'; DROP TABLE x"], 403),
])
def test_a_trusted_proxy_is_believed(call: Callable[..., TestResponse], forwarded: List[str], status: int) -> None:
    assert call("10.9.0.1", *forwarded).status_code == status
    assert call("::ffff:10.9.0.1", *forwarded).status_code == status


def test_a_proxy_on_this_machine_is_trusted_only_if_listed() -> None:
    token = {"query_string": {"token": make_guard().token("upload")}, "headers": {"X-Forwarded-For": "8.8.8.8"}}
    for proxies, status in (("10.9.0.0/16", 200), ("127.0.0.1", 403)):
        client = make_app(make_guard(proxies=proxies)).test_client()
        assert client.post("/v1/ext/upload", **token).status_code == status


# -- a real server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["upload", "query", "download"])
def test_every_service_is_guarded(site: Site, service: str) -> None:
    url = site.url(service)
    refused(requests.post(url.split("?")[0], timeout=60), 403, "Forbidden.")
    refused(requests.post(url.replace("token=", "token=x"), timeout=60), 403, "Forbidden.")
    response = requests.post(url, headers={"X-Forwarded-For": "8.8.8.8"}, timeout=60)
    assert response.status_code == 400  # past access control: no requestBody


def test_tokens_are_never_in_the_servers_log(site: Site) -> None:
    reader = ApiReader(site)
    reader.features(["u1"])
    tokens = [site.url(service).split("token=")[1] for service in ("upload", "query", "download")]
    requests.post(site.url("upload").replace(tokens[0], tokens[1]), timeout=60)
    requests.get(site.url("query"), timeout=60)
    requests.post(site.url("download") + "&requestBody={", timeout=60)
    log = site.log.read_text("utf-8")
    assert "refused upload: wrong token from 127.0.0.1" in log
    assert not [token for token in tokens if token in log]


def test_tokens_are_not_in_the_request_lines_that_werkzeug_logs(
    guard: AccessGuard, caplog: pytest.LogCaptureFixture
) -> None:
    """Mounted in FATE Flow, whose server logs each request line. Everything else of the line stays."""
    log = logging.getLogger("werkzeug")
    redaction = RedactTokens()
    log.addFilter(redaction)
    server = make_server("127.0.0.1", 0, make_app(guard), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with caplog.at_level(logging.INFO, "werkzeug"):
            for suffix in ("", "&requestBody=%7B%7D%25s", "x"):
                url = f"http://127.0.0.1:{server.server_port}/v1/ext/upload?a=1&token={guard.token('upload')}{suffix}"
                requests.post(url, timeout=60)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        log.removeFilter(redaction)
    assert guard.token("upload") not in caplog.text
    assert "POST /v1/ext/upload?a=1&token=*** HTTP/1.1" in caplog.text
    assert "&token=***&requestBody=" in caplog.text


def test_redaction_hides_tokens_only() -> None:
    assert redact("GET /a?token=secret&b=1 'x?token=secret' \"y?token=\" tokens=2 mytoken=3") == (
        "GET /a?token=***&b=1 'x?token=***' \"y?token=\" tokens=2 mytoken=3")


def test_a_plugin_that_could_not_start_refuses_everything() -> None:
    """FATE Flow's own 404 is a 200, which ApiReader would take for success without data."""
    client = create_app(refusing_blueprint("not started")).test_client()
    for path in ("/v1/ext/", "/v1/ext/upload", "/v1/ext/a/b"):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            assert client.open(path, method=method).status_code == 503


# -- urls for FATE Flow's registry -----------------------------------------------------------------------------------


def test_the_longest_urls_fit_into_fate_flows_column(guard: AccessGuard) -> None:
    uris = service_uris(guard, "192.168.100.200", 65535)
    assert max(len(f"http://192.168.100.200:65535{uri}") for uri in uris.values()) <= 100
    assert set(uris) == {"upload", "query", "download"}


def test_a_host_name_that_is_too_long(guard: AccessGuard) -> None:
    longest = next(n for n in range(60, 0, -1) if fits(guard, "h" * n))
    assert 15 <= longest <= 30
    with pytest.raises(InvalidSettings) as caught:
        service_uris(guard, "h" * (longest + 1), 9380)
    assert f"has {longest + 1} characters; FATE Flow's registry has room for {longest}" in caught.value.message
    assert "Use an IP address or a shorter name." in caught.value.message


def fits(guard: AccessGuard, host: str) -> bool:
    try:
        uris = service_uris(guard, host, 9380)
    except InvalidSettings:
        return False
    return len(host) <= 30 and all(len(f"http://{host}:9380{uri}") <= 100 for uri in uris.values())
