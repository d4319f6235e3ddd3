"""With any module of ours loaded, no switch of FATE Flow is on and lets everyone in. Stand-ins have the shape of the
released code; real servers are in tests/fate_flow/test_hook_lines.py."""
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import pytest

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.host.switches import require_hooks
from tests.support.fate_flow_modules import OF_1_9, install_into, start, write_hooks

MOUNT = {"extension": "fate_ext_plugin.mount"}
CLIENT, SITE = "/v1/job/query", "/v1/party/1/guest/9999/start"
CREATE = "/v1/party/1/guest/9999/create"
NEITHER = "/v1/version/get"
ON = {"client": "CLIENT_AUTHENTICATION", "site": "SITE_AUTHENTICATION", "permission": "PERMISSION_SWITCH"}
LINES = {"client": "client_authentication", "site": "site_authentication", "permission": "permission"}
KEYS = {"client": "authentication.client.switch", "site": "authentication.site.switch",
        "permission": "permission.switch"}
#: what each switch checks, and the code of its refusal
CHECKED = {"client": (CLIENT, 109), "site": (SITE, 109), "permission": (CREATE, 108)}
#: the names under which another vendor registers hooks of that kind
REGISTERS = {"client": "client_authentication", "site": "site_authentication", "permission": "permission_check"}


class Server:
    """A FATE Flow that has read its hook modules and begins to serve."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def retcode(self, path: str, **headers: str) -> Any:
        return self._client.post(path, json={}, headers=headers).get_json()["retcode"]

    def message(self, path: str) -> str:
        return str(self._client.post(path, json={}).get_json()["retmsg"])


Serve = Callable[..., Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Serve:
    def serve(lines: Mapping[str, str], *on: str, changes: Any = None, **settings: Any) -> Server:
        """:param lines: of ``hook_module``. :param on: the switches that are on."""
        modules = install_into(monkeypatch, changes or {}, {
            **{ON[name]: True for name in on}, "HOOK_MODULE": dict(lines), **settings})
        return Server(start(modules))

    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield serve  # type: ignore[misc]
    for name in set(sys.modules) - before:
        if name.startswith("another_vendor"):
            del sys.modules[name]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], List[str]]:
    return lambda: [record.getMessage() for record in caplog.records if record.name == "fate_flow_stat"]


@pytest.mark.parametrize("changes", [{}, OF_1_9], ids=["1.11", "1.9"])
@pytest.mark.parametrize("name", ON)
def test_a_misspelt_line_lets_nobody_in(serve: Serve, name: str, changes: Any) -> None:
    path, refused = CHECKED[name]
    server = serve({**MOUNT, LINES[name]: f"fate_ext_plugin.hooks.{LINES[name]}"}, name, changes=changes)
    assert server.retcode(path) == refused
    assert server.retcode(path, src_party_id="10000", site_signature="x") == refused


@pytest.mark.parametrize("name", ON)
def test_mounted_alone_no_switch_lets_anybody_in(serve: Serve, name: str) -> None:
    path, refused = CHECKED[name]
    server = serve(MOUNT, name)
    assert server.retcode(path) == refused
    assert f"{KEYS[name]} is on in service_conf.yaml, but no hook is registered for it" in server.message(path)
    assert f"hook_module has no line {LINES[name]}." in server.message(path)


@pytest.mark.parametrize("lines", [
    MOUNT, {"client_authentication": "fate_ext_plugin.hook.client_authentication"},
    {"permission": "fate_ext_plugin.hook.permission"}, {**MOUNT, "client_authentication": "another_vendor_of_clients"},
], ids=str)
@pytest.mark.parametrize("changes", [{}, OF_1_9], ids=["1.11", "1.9"])
def test_with_both_switches_on_and_no_site_hook_scheduling_requests_do_not_pass_unsigned(
    serve: Serve, tmp_path: Path, lines: Dict[str, str], changes: Any
) -> None:
    write_hooks(tmp_path, "another_vendor_of_clients", "client_authentication")
    server = serve(lines, "client", "site", changes=changes)
    assert server.retcode(SITE) == 109
    assert server.retcode(CREATE) == 109


@pytest.mark.parametrize("switched_on", [["client"], ["site"], ["client", "site"]])
def test_a_path_in_neither_of_fate_flow_s_lists_does_not_pass_without_a_hook(
    serve: Serve, switched_on: List[str]
) -> None:
    assert serve(MOUNT, *switched_on).retcode(NEITHER) == 109


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "after ours"])
@pytest.mark.parametrize("name", ON)
def test_a_hook_of_another_vendor_is_asked_and_refuses_nobody_itself(
    serve: Serve, tmp_path: Path, name: str, first: bool
) -> None:
    """Whatever line it stands in: FATE Flow's names of lines are only names."""
    write_hooks(tmp_path, "another_vendor", REGISTERS[name])
    theirs = {"any_name": "another_vendor"}
    server = serve({**theirs, **MOUNT} if first else {**MOUNT, **theirs}, name)
    assert server.retcode(CHECKED[name][0]) == 0
    require_hooks()


def test_a_switch_that_is_off_is_not_checked(serve: Serve, logged: Any) -> None:
    server = serve({**MOUNT, "client_authentication": "fate_ext_plugin.hooks.client_authentication"})
    assert [server.retcode(path) for path in (CLIENT, SITE, CREATE)] == [0, 0, 0]
    require_hooks()


@pytest.mark.parametrize(("line", "why"), [
    ("fate_ext_plugin.hook.client_authentification",
     "names 'fate_ext_plugin.hook.client_authentification', which can't be imported."),
    ("fate_ext_plugin.mount; fate_flow.hook.flow.client_authentication",
     "names ' fate_flow.hook.flow.client_authentication', which can't be imported."),
    ("another_vendor", "names no module that registers one."),
    ("fate_ext_plugin.hook.site_authentication", "names no module that registers one."),
])
def test_the_line_that_is_wrong_is_named_in_the_log_at_the_start_and_by_readiness(
    serve: Serve, tmp_path: Path, logged: Any, line: str, why: str
) -> None:
    write_hooks(tmp_path, "another_vendor", "site_authentication")
    serve({**MOUNT, "client_authentication": line}, "client")
    told = ("authentication.client.switch is on in service_conf.yaml, but no hook is registered for it, so everything "
            f"that it checks is refused. The line `client_authentication: {line}` of hook_module {why}")
    assert f"fate_ext_plugin: {told}" in logged()
    with pytest.raises(InvalidSettings) as found:
        require_hooks()
    assert str(found.value) == told


def test_a_line_of_another_name_that_can_not_be_imported_is_named_too(serve: Serve) -> None:
    server = serve({**MOUNT, "guard": "another_vendor"}, "client", "site")
    assert "The line `guard: another_vendor` of hook_module names 'another_vendor', which can't" in server.message(SITE)


@pytest.mark.parametrize(("on", "settings", "told"), [
    ("client", {"HTTP_APP_KEY": None}, "authentication.client.http_app_key is empty"),
    ("client", {"HTTP_SECRET_KEY": ""}, "authentication.client.http_secret_key is empty"),
    ("site", {"PARTY_ID": None}, "party_id is empty"),
])
def test_an_empty_key_of_a_switch_is_named_at_the_start(
    serve: Serve, tmp_path: Path, logged: Any, on: str, settings: Any, told: str
) -> None:
    write_hooks(tmp_path, "another_vendor", REGISTERS[on])
    lines = {**MOUNT, "theirs": "another_vendor"}
    serve(lines, **settings)
    assert told not in "".join(logged())
    serve(lines, on, **settings)
    (line,) = [line for line in logged() if told in line]
    assert line.startswith(f"fate_ext_plugin: {told} in service_conf.yaml, so ")


@pytest.mark.parametrize("switched_on", [["site"], ["permission"], ["site", "permission"], ["client", "site"]])
def test_job_configurations_and_files_are_for_this_site_s_own_workers(
    serve: Serve, tmp_path: Path, switched_on: List[str]
) -> None:
    write_hooks(tmp_path, "another_vendor", *REGISTERS.values())
    server = serve({**MOUNT, "theirs": "another_vendor"}, *switched_on)
    for path in ("/v1/operation/json_conf/load", "/v1/operation/json_conf/load/"):
        assert server.retcode(path, src_party_id="10000") == 109
        assert [server.retcode(path, src_party_id=own) for own in ("9999", "0", "")] == [0, 0, 0]
