"""fate-ext register: tell a FATE Flow where our services are, over its REST interface."""
import json
from typing import Any, Callable, Dict, Tuple

import pytest

from fate_ext_plugin.cli import main
from tests.support.builder import MakeSite
from tests.support.fake_flow import SUCCESS, FakeFlow
from tests.support.site import Site, free_port


@pytest.fixture
def flow(fake_flow: FakeFlow) -> FakeFlow:
    """It registers whatever it is sent."""
    fake_flow.answer = SUCCESS
    return fake_flow


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False)


@pytest.fixture
def register(site: Site, capsys: pytest.CaptureFixture) -> Callable[[str], str]:
    def register(flow: str) -> str:
        try:
            main(["register", "--conf", str(site.conf), "--flow", flow])
        except SystemExit as end:
            if end.code:
                raise
        return str(capsys.readouterr().out)
    return register


Register = Callable[[str], str]


def uris(body: Dict[str, Any]) -> Dict[str, str]:
    entry, = body.values()
    return {name: call["uri"] for name, call in entry["api"].items()}


def test_all_services_are_registered_in_one_request(register: Register, flow: FakeFlow, site: Site) -> None:
    printed = register(flow.url + "/")
    (path, body), = flow.received
    assert path == "/v1/service/registry"
    assert {name: {key: value for key, value in entry.items() if key != "api"} for name, entry in body.items()} == {
        "fate_ext": {"host": "127.0.0.1", "port": site.port, "protocol": "http"}}
    assert {call["method"] for call in body["fate_ext"]["api"].values()} == {"POST"}
    for service in ("upload", "query", "download"):
        # The very url that the running server lets in.
        assert f"http://127.0.0.1:{site.port}{uris(body)[service]}" == site.url(service)
        assert f"registered {service} as http://127.0.0.1:{site.port}/v1/ext/{service}?" in printed
    assert "An ApiReader reaches it with server_name: fate_ext" in printed


def test_no_token_is_printed(register: Register, flow: FakeFlow) -> None:
    printed = register(flow.url)
    for uri in uris(flow.received[0][1]).values():
        token = uri.split("token=")[1]
        assert len(token) == 22 and token not in printed
    assert "token=***" in printed


def test_the_address_is_the_one_fate_flow_sees(register: Register, flow: FakeFlow, site: Site) -> None:
    site.write_settings(listen={"host": "0.0.0.0", "port": 9390}, server_name="features")
    with pytest.raises(SystemExit, match="listen.host names no address FATE Flow could call; set listen.public_host"):
        register(flow.url)
    assert flow.received == []
    site.write_settings(listen={"host": "0.0.0.0", "port": 9390, "public_host": "10.0.0.7"})
    assert "http://10.0.0.7:9390/v1/ext/upload" in register(flow.url)
    entry = flow.received[0][1]["features"]
    assert (entry["host"], entry["port"]) == ("10.0.0.7", 9390)


def test_a_name_too_long_for_fate_flow_s_registry_is_refused(
    register: Register, flow: FakeFlow, site: Site
) -> None:
    site.write_settings(listen={"public_host": "features.data-platform.example.org", "port": 9390})
    with pytest.raises(SystemExit, match="has 34 characters; FATE Flow's registry has room for "):
        register(flow.url)
    assert flow.received == []


def test_a_fate_flow_that_is_not_there_is_called_so(register: Register) -> None:
    url = "http://127.0.0.1:1"
    with pytest.raises(SystemExit, match=rf"can't be reached at {url}/v1/service/registry: .*Connection refused\.$"):
        register(url)
    for wrong in ("127.0.0.1:9380", "ftp://10.0.0.5", ""):
        with pytest.raises(SystemExit, match="--flow must be a url such as http://10.0.0.5:9380, not "):
            register(wrong)


@pytest.mark.parametrize(("answer", "complaint"), [
    ((200, b'{"retcode": 100, "retmsg": "server_name is too long"}'),
     r"FATE Flow refused the registration: server_name is too long\.$"),
    ((200, b'{"retcode": 100, "retmsg": "[Errno 111] Connection refused"}'),
     r"Start `fate-ext serve` first: FATE Flow tests the address\.$"),
    ((200, b"[1]"), "is no FATE Flow"),
    ((200, b"<html>"), "is no FATE Flow"),
    ((404, b"nothing here"), r"answered HTTP 404\.$"),
])
def test_a_refusal_is_passed_on(
    register: Register, flow: FakeFlow, answer: Tuple[int, bytes], complaint: str
) -> None:
    flow.answer = answer
    with pytest.raises(SystemExit, match=complaint):
        register(flow.url)


def test_a_refusal_that_quotes_a_url_hides_its_token(register: Register, flow: FakeFlow) -> None:
    message = "http://127.0.0.1:9390/v1/ext/upload?token=abcdefghijklmnopqrstuv does not answer"
    flow.answer = (200, json.dumps({"retcode": 100, "retmsg": message}).encode())
    with pytest.raises(SystemExit, match=r"upload\?token=\*\*\* does not answer"):
        register(flow.url)


class TestProxy:
    """Commands call other servers through the proxy that the environment names, as curl does, but not loopback."""

    @pytest.fixture(autouse=True)
    def environment(self, flow: FakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
        """``flow`` is the proxy here, and answers for everyone."""
        monkeypatch.setenv("http_proxy", flow.url)

    def test_another_machine_is_reached_through_it(self, register: Register, flow: FakeFlow) -> None:
        register("http://flow.example.org:9380")
        (path, _), = flow.received
        assert path == "http://flow.example.org:9380/v1/service/registry"

    def test_no_proxy_excepts_addresses(
        self, register: Register, flow: FakeFlow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("no_proxy", ".invalid")
        with pytest.raises(SystemExit, match=r"can't be reached at http://flow\.invalid:9380"):
            register("http://flow.invalid:9380")
        assert flow.received == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.7.6"])
    def test_loopback_is_called_directly(self, register: Register, flow: FakeFlow, host: str) -> None:
        with pytest.raises(SystemExit, match=r"Connection refused\.$"):
            register(f"http://{host}:{free_port()}")
        assert flow.received == []

    def test_a_proxy_that_is_not_there_is_named(self, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://name:password@127.0.0.1:{free_port()}")
        with pytest.raises(SystemExit, match=r"Connection refused \(through the proxy that the environment names; "
                                             r"no_proxy excepts addresses\)\.$") as end:
            register("http://flow.example.org:9380")
        assert "password" not in str(end.value)
