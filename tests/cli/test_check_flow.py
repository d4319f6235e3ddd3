"""fate-ext check on FATE's configuration: hooks, switches, and what a FATE Flow on a real socket answers."""
import datetime
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import pytest
import yaml

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.cli import main
from fate_ext_plugin.cli.check.command import _url_column
from fate_ext_plugin.cli.check.hooks import installed
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.settings.load import parse_settings
from tests.support.builder import MakeSite
from tests.support.commands import end_of, fails, printed_by
from tests.support.databases import database_url
from tests.support.fake_flow import VERSION, FakeFlow

MOUNT = "fate_ext_plugin.mount"
OURS = {kind: f"fate_ext_plugin.hook.{kind}" for kind in ("client_authentication", "site_authentication")}
BUILT_IN = {kind: f"fate_flow.hook.flow.{kind}" for kind in (*OURS, "permission")}
OVER_HTTP = {kind: f"fate_flow.hook.api.{kind}" for kind in BUILT_IN}
KEYS = ("an-app-key", "an-app-secret")
SERVICES = ("upload", "query", "download")


class Fate:
    """A folder that FATE is deployed in: service_conf.yaml, fate.env, and FATE Flow's hook modules, empty ones."""

    def __init__(self, base: Path, capsys: Any) -> None:
        self.base, self._capsys = base, capsys
        self.conf = base / "conf" / "service_conf.yaml"
        self.port = 1  # where nobody listens
        with closing(sqlite3.connect(str(base / "crm.db"))) as crm:
            crm.execute("CREATE TABLE credit (id TEXT, amount REAL)")
        source = {"type": "sql", "url": f"sqlite:///{base / 'crm.db'}", "table": "credit"}
        self.section: Dict[str, Any] = {
            "data_dir": "ext", "views": {"credit": {"source": source, "columns": ["amount"]}}}
        self.keys: Dict[str, Any] = {"hook_module": {"extension": MOUNT, **BUILT_IN}}
        for module in (*BUILT_IN.values(), *OVER_HTTP.values()):
            file = base / "fateflow" / "python" / f"{module.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("raise AssertionError('nothing is run by looking')\n")
        self.installed("1.11.2")

    def installed(self, version: str) -> None:
        (self.base / "fate.env").write_text(f"FATE={version}\nFATEFlow={version}\n")

    def switch_on(self, client: Any = False, site: Any = False, permission: Any = False) -> None:
        key, secret = KEYS
        self.keys["authentication"] = {"client": {"switch": client, "http_app_key": key, "http_secret_key": secret},
                                       "site": {"switch": site}}
        self.keys["permission"] = {"switch": permission}

    def write(self) -> None:
        self.conf.parent.mkdir(exist_ok=True)
        content = {"party_id": 9999, "fateflow": {"host": "127.0.0.1", "http_port": self.port}, **self.keys,
                   "fate_ext_plugin": self.section}
        self.conf.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    def check(self, *options: str) -> Tuple[int, Dict[str, str]]:
        """The exit status, and what is said by subject, after its level."""
        self.write()
        status = end_of(main, ["check", "--conf", str(self.conf), *options])
        printed = self._capsys.readouterr().out
        assert KEYS[1] not in printed
        said = {}
        for line in printed.splitlines():
            subject, text = line[8:].split(": ", 1)
            said[subject] = f"{line[:8].strip()}: {text}"
        assert bool(status) == any(text.startswith("PROBLEM") for text in said.values())
        return status, said

    def said(self, subject: str) -> str:
        return self.check()[1][subject]

    def token(self, service: str) -> str:
        storage = Storage(self.base / "ext", 0)
        storage.open()
        return AccessGuard(storage.secret(), (), ()).token(service)


@pytest.fixture
def fate(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Fate:
    """Its database is a SQLite of ours: there is no FATE Flow to import."""
    def fate_host(base: Path) -> Standalone:
        section = yaml.safe_load(fate.conf.read_text("utf-8"))["fate_ext_plugin"]
        return Standalone(parse_settings({**section, "data_dir": "db"}, tmp_path))
    (tmp_path / "db").mkdir()
    monkeypatch.setattr("fate_ext_plugin.cli.database.fate_host", fate_host)
    fate = Fate(tmp_path, capsys)
    return fate


@pytest.fixture
def flow(fate: Fate, fake_flow: FakeFlow) -> FakeFlow:
    """The FATE Flow of the configuration; the plugin is mounted in it, and its services registered."""
    fate.port = fake_flow.server_port
    fake_flow.services["/v1/ext/ready"] = (200, {"code": 0, "message": "ready"})
    for name in SERVICES:
        path = f"/v1/ext/{name}"
        fake_flow.registry[name] = f"{fake_flow.url}{path}?token={fate.token(name)}"
        fake_flow.services[path] = (405, {"code": 40501, "message": "PUT is not allowed here; use POST."})
    return fake_flow


def not_ok(said: Mapping[str, str]) -> List[str]:
    return [f"{subject}: {text}" for subject, text in said.items() if not text.startswith("ok: ")]


# -- hooks -----------------------------------------------------------------------------------------------------------


def test_which_hooks_are_in_force(fate: Fate) -> None:
    fate.keys["hook_module"] = {
        "extension": MOUNT, "client_authentication": f"{OURS['client_authentication']};"
        f"{BUILT_IN['client_authentication']}", "permission": f"{BUILT_IN['permission']};{OVER_HTTP['permission']}"}
    fate.section["authentication"] = {}
    _, said = fate.check()
    assert said["hook_module"].startswith(f"ok: {MOUNT}, {OURS['client_authentication']}, ")
    assert said["hook client_authentication"] == f"ok: {OURS['client_authentication']}, switched off"
    assert said["hook site_authentication"] == "ok: none, switched off"
    assert said["hook permission"].startswith(
        f"WARNING: {BUILT_IN['permission']}, {OVER_HTTP['permission']}, switched off. It fails on every request, "
        "because hook_server_name names no server.")


@pytest.mark.parametrize(("kind", "switches"), [
    ("client_authentication", {"client": True}), ("site_authentication", {"site": True}),
    ("permission", {"permission": True})])
def test_a_switch_without_a_hook_lets_nobody_in_with_the_plugin_and_everyone_without(
    fate: Fate, kind: str, switches: Dict[str, bool]
) -> None:
    del fate.keys["hook_module"][kind]
    fate.switch_on(**switches)
    status, said = fate.check()
    assert status == 1
    assert said[f"hook {kind}"].startswith(
        "PROBLEM: none, switched on. Without one the plugin refuses everything.")
    del fate.keys["hook_module"]["extension"]
    assert fate.said(f"hook {kind}").startswith(
        "PROBLEM: none, switched on. Without one FATE Flow lets everyone in.")


@pytest.mark.parametrize(("name", "value", "complaint"), [
    ("http_app_key", None, "is empty, so FATE Flow can't sign its own requests"),
    ("http_secret_key", "", "is empty, so FATE Flow can't sign its own requests"),
    ("http_app_key", 12345, "is no text, with which FATE Flow can't sign its own requests; write it in quotes"),
])
def test_an_app_key_that_fate_flow_can_not_sign_with_is_named(
    fate: Fate, flow: FakeFlow, name: str, value: Any, complaint: str
) -> None:
    fate.switch_on(client=True)
    flow.keys = KEYS
    fate.keys["authentication"]["client"][name] = value
    status, said = fate.check()
    assert status == 1
    assert said["hook client_authentication"].startswith(
        f"PROBLEM: {BUILT_IN['client_authentication']}, switched on. authentication.client.{name} {complaint}")
    fate.keys["authentication"]["client"]["switch"] = False
    assert fate.said("hook client_authentication").startswith("ok")


def test_without_keys_nobody_is_told_that_they_are_refused(fate: Fate, flow: FakeFlow) -> None:
    fate.switch_on(client=True)
    flow.keys = KEYS
    del fate.keys["authentication"]["client"]["http_app_key"]
    assert "refuses an unsigned request, and service_conf.yaml has no http_app_key" in fate.said("FATE Flow")


def test_a_site_without_party_id_can_not_sign(fate: Fate) -> None:
    fate.switch_on(site=True)
    fate.keys["party_id"] = None
    assert fate.said("hook site_authentication").startswith(
        f"PROBLEM: {BUILT_IN['site_authentication']}, switched on. party_id is empty, so this site can't sign")


def test_off_is_a_text_to_fate_and_counts_as_on(fate: Fate) -> None:
    fate.switch_on(client="off")
    assert fate.said("hook client_authentication") == (
        f"WARNING: {BUILT_IN['client_authentication']}, switched on. Its switch says 'off', a text, which counts as "
        "on; write true or false.")


@pytest.mark.parametrize(("line", "level", "complaint"), [
    ("fate_flow.hook.flow.clients", "PROBLEM", "'fate_flow.hook.flow.clients' can't be found"),
    ("fate_ext_plugin.hook.clients", "PROBLEM", "'fate_ext_plugin.hook.clients' can't be found"),
    (f"{MOUNT}; {MOUNT}", "PROBLEM", f"' {MOUNT}', with a blank around it, can't be found"),
    ("my.hooks", "WARNING", "'my.hooks' can't be found; FATE Flow only logs that, and runs without it."),
    ("", "PROBLEM", "The line more is empty, with which FATE Flow can't start; take it out."),
])
def test_a_module_that_can_not_be_imported(fate: Fate, line: str, level: str, complaint: str) -> None:
    fate.keys["hook_module"]["more"] = line
    said = fate.said("hook_module")
    assert said.startswith(level) and complaint in said


def test_modules_are_found_without_being_run(fate: Fate) -> None:
    assert installed("fate_flow.hook.flow.permission", fate.base)
    assert installed("fate_ext_plugin.mount", fate.base) and installed("json.decoder", fate.base)
    for name in ("fate_flow.hook.flow.none", "fate_flow.none.flow", "none.at.all", "json.decoder.x", "", ".x", "x..y"):
        assert not installed(name, fate.base)


def test_of_two_hooks_the_first_is_asked(fate: Fate) -> None:
    kind = "site_authentication"
    fate.keys["hook_module"][kind] = f"{BUILT_IN[kind]};{OURS[kind]}"
    fate.switch_on(site=True)
    fate.section["authentication"] = {}
    assert fate.said(f"hook {kind}") == (
        f"PROBLEM: {BUILT_IN[kind]}, switched on. {OURS[kind]} comes later, and only the first is asked.")


def test_a_module_nobody_knows_may_come_before(fate: Fate) -> None:
    fate.keys["hook_module"] = {"ldap": "my.ldap", **fate.keys["hook_module"]}
    assert fate.said("hook client_authentication").endswith(
        "It is not asked if my.ldap, which comes before, registers one.")
    fate.keys["hook_module"] = {"ldap": "my.ldap"}
    fate.switch_on(client=True)
    assert fate.said("hook client_authentication") == (
        "WARNING: none, switched on. Unless my.ldap registers one, FATE Flow lets everyone in.")
    fate.keys["hook_module"]["extension"] = MOUNT
    assert fate.said("hook client_authentication") == (
        "WARNING: none, switched on. Unless my.ldap registers one, the plugin refuses everything.")


@pytest.mark.parametrize(("module", "conf", "complaint"), [
    (OURS["client_authentication"], {}, "It refuses everything, because fate_ext_plugin.authentication is missing."),
    (OVER_HTTP["client_authentication"], {"hook_server_name": "x"}, "It fails on every request: Flask's headers"),
    (OVER_HTTP["site_authentication"], {}, "It fails on every request, because hook_server_name names no server."),
    (OVER_HTTP["site_authentication"], {"hook_server_name": "fate_ext"},
     "It fails on every request, because fate_ext does not serve site_authentication and signature."),
])
def test_a_hook_that_can_not_work(fate: Fate, module: str, conf: Dict[str, Any], complaint: str) -> None:
    kind = module.rpartition(".")[2]
    fate.keys["hook_module"] = {"extension": MOUNT, kind: module}
    fate.keys.update(conf)
    assert fate.said(f"hook {kind}").startswith(f"WARNING: {module}, switched off. {complaint}")
    fate.switch_on(client=True, site=True)
    assert fate.said(f"hook {kind}").startswith(f"PROBLEM: {module}, switched on. {complaint}")


@pytest.mark.parametrize(("version", "hooks", "expected"), [
    ("1.11.2", {}, "PROBLEM: client and site authentication are on. FATE Flow 1.10 and 1.11 then check no scheduling"),
    ("1.10.0", {}, "PROBLEM: client and site authentication are on."),
    ("1.9.0", {}, "ok: FATE Flow 1.9 checks scheduling requests, too"),
    ("1.11.2", {"extension": MOUNT}, "ok: scheduling requests are checked by the plugin"),
    ("1.11.2", {"more": OURS["site_authentication"]}, "ok: scheduling requests are checked by the plugin"),
])
def test_both_switches(fate: Fate, version: str, hooks: Dict[str, str], expected: str) -> None:
    fate.installed(version)
    fate.keys["hook_module"] = {**BUILT_IN, **hooks}
    assert "both switches" not in fate.check()[1]
    fate.switch_on(client=True, site=True)
    assert fate.said("both switches").startswith(expected)


@pytest.mark.parametrize("module", [MOUNT, *OURS.values(), "fate_ext_plugin.hook.permission"])
def test_grpc_is_restricted_by_each_module_of_ours(fate: Fate, module: str) -> None:
    fate.keys["hook_module"] = {**BUILT_IN, "more": module}
    assert fate.said("gRPC") == "ok: partners reach only scheduling and model paths through the gRPC port"


def test_grpc_is_open_without_any(fate: Fate) -> None:
    fate.keys["hook_module"] = BUILT_IN
    open_to_all = "partners reach every path through the gRPC port."
    assert fate.said("gRPC").startswith(f"WARNING: {open_to_all}")
    for switches in ({"client": True}, {"site": True}):
        fate.switch_on(**switches)
        assert fate.said("gRPC").startswith(f"PROBLEM: {open_to_all}")


@pytest.mark.parametrize(("version", "known"), [
    ("1.8.0", False), ("1.9.0", True), ("1.10.1", True), ("1.11.2", True), ("1.12.0", False), ("2.2.0", False)])
def test_grpc_of_a_release_that_is_not_known(fate: Fate, version: str, known: bool) -> None:
    fate.installed(version)
    assert fate.said("gRPC").startswith("ok" if known else "PROBLEM: partners reach only")
    assert (f"FATE Flow {version} is not known here" in fate.said("gRPC")) is not known


def test_the_permission_switch_needs_mysql(fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    fate.keys["default_engines"] = {"computing": "standalone"}
    fate.switch_on(permission=True)
    assert fate.said("hook permission").endswith(
        "FATE Flow opens the MySQL of section database for it, and does not start without.")
    monkeypatch.setenv("FORCE_USE_MYSQL", "1")
    fate.switch_on(permission=True, site=True)
    assert fate.said("hook permission") == f"ok: {BUILT_IN['permission']}, switched on"


def test_permission_is_worth_little_where_anyone_may_ask_in_any_name(fate: Fate) -> None:
    fate.switch_on(permission=True)
    assert "Without site authentication anyone can ask in any party's name" in fate.said("hook permission")


def test_of_permission_hooks_all_are_asked(fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_USE_MYSQL", "1")
    ours = "fate_ext_plugin.hook.permission"
    fate.keys["hook_module"]["permission"] = f"{ours};{BUILT_IN['permission']}"
    fate.switch_on(permission=True, site=True)
    assert fate.said("hook permission") == (
        f"PROBLEM: {ours}, {BUILT_IN['permission']}, switched on. It refuses everything, because "
        "fate_ext_plugin.permission is missing. FATE Flow asks them all, and each must agree.")


@pytest.mark.parametrize("value", ["my.hooks", ["my.hooks"], {"a": ["my.hooks"]}])
def test_a_hook_module_fate_flow_can_not_start_with(fate: Fate, value: Any) -> None:
    fate.keys["hook_module"] = value
    status, said = fate.check()
    assert status == 1
    assert "hook_module must hold lines such as `name: module`" in said["hook_module"]


# -- the registry's columns ------------------------------------------------------------------------------------------


def test_a_host_name_too_long_for_the_registry(fate: Fate) -> None:
    assert fate.said("registry").startswith("ok: our urls have up to ")
    fate.keys["fateflow"] = {"host": "10.0.0.5", "http_port": 9380,
                             "nginx": {"host": "a-load-balancer.of-a-site.example.org", "http_port": 9300}}
    assert fate.said("registry").startswith(
        "PROBLEM: The host name 'a-load-balancer.of-a-site.example.org' has 37 characters; FATE Flow's registry has")


def test_a_short_url_column_of_mysql(fate: Fate, tmp_path: Path) -> None:
    fate.section["database"] = database_url("MYSQL")
    store = Standalone(parse_settings({**fate.section, "data_dir": "db"}, tmp_path)).store
    assert fate.said("database") == "ok: MySQL" and _url_column(store) is None
    with store.connection() as database:
        database.execute_sql("CREATE TABLE t_service_registry_info (f_url VARCHAR(60))")
    try:
        assert fate.said("database").startswith(
            "PROBLEM: The column f_url of t_service_registry_info holds 60 characters; FATE Flow's own holds 100.")
    finally:
        with store.connection() as database:
            database.execute_sql("DROP TABLE t_service_registry_info")


# -- a running FATE Flow ---------------------------------------------------------------------------------------------


def test_all_is_well(fate: Fate, flow: FakeFlow) -> None:
    status, said = fate.check()
    assert (status, not_ok(said)) == (0, [])
    assert said["FATE Flow"] == f"ok: version 1.11.2 answers at {flow.url}"
    assert said["mounted"] == f"ok: at {flow.url}/v1/ext"
    assert said["service query"] == f"ok: registered as {flow.url}/v1/ext/query, reachable"
    assert re.match(r"ok: FATE Flow's is up to \d s off this machine's; partners' can't be seen from", said["clock"])


def test_no_token_is_printed(fate: Fate, flow: FakeFlow) -> None:
    _, said = fate.check()
    flow.services.clear()
    said.update(fate.check()[1])
    assert not [text for text in said.values() if "token=" in text or fate.token("upload") in text]


def test_one_that_does_not_run_is_a_warning_unless_it_was_named(fate: Fate) -> None:
    status, said = fate.check()
    (only,) = not_ok(said)
    assert status == 0
    assert only.startswith(f"FATE Flow: WARNING: FATE Flow can't be reached at http://127.0.0.1:{fate.port}{VERSION}: ")
    assert "Not looked at, therefore: its version and clock, whether the plugin is mounted" in only
    status, said = fate.check("--flow", f"http://127.0.0.1:{fate.port}")
    assert status == 1
    assert said["FATE Flow"].startswith("PROBLEM: FATE Flow can't be reached at ")


def test_something_else_on_its_port(fate: Fate, flow: FakeFlow) -> None:
    for answer in ((200, b"<html>"), (404, b"nothing here"), (200, b'["no", "FATE"]')):
        flow.answer = answer
        _, said = fate.check()
        assert said["FATE Flow"].startswith("WARNING: ") and "mounted" not in said


@pytest.mark.parametrize(("version", "works"), [("1.9.0", False), ("1.11.0", False), ("1.11.1", True), ("1.12", True)])
def test_an_api_reader_needs_1_11_1(fate: Fate, flow: FakeFlow, version: str, works: bool) -> None:
    flow.version = version
    assert fate.said("FATE Flow").startswith("ok: " if works else (
        f"WARNING: Version {version}: an ApiReader works from FATE Flow 1.11.1 on; older ones upload an empty file"))


@pytest.mark.parametrize(("ahead", "said"), [
    (-25, "ok: FATE Flow's is "), (45, "WARNING: FATE Flow's is 4"), (-45, "WARNING: FATE Flow's is 4")])
def test_a_clock_that_is_off(fate: Fate, flow: FakeFlow, ahead: int, said: str) -> None:
    flow.seconds_ahead = ahead
    text = fate.said("clock")
    assert text.startswith(said)
    assert text.startswith("ok") or f"s {'ahead of' if ahead > 0 else 'behind'} this machine's" in text


@pytest.mark.parametrize(("reply", "named", "said"), [
    ((503, {"code": 50300, "message": "could not start"}), True, "PROBLEM: The plugin is mounted, but could not start"),
    ((200, {"retcode": 100, "retmsg": "<NotFound '404: Not Found'>"}), True, "PROBLEM: It is not. Restart FATE Flow"),
    ((200, {"retcode": 109, "retmsg": "not signed"}), True, "PROBLEM: It is not. Restart FATE Flow"),
    ((200, {"retcode": 100, "retmsg": "<NotFound>"}), False, "WARNING: It is not, as hook_module does not name it."),
])
def test_not_mounted(fate: Fate, flow: FakeFlow, reply: Tuple[int, Any], named: bool, said: str) -> None:
    flow.plugin = reply
    if not named:
        del fate.keys["hook_module"]["extension"]
    assert fate.said("mounted").startswith(said)


@pytest.mark.parametrize(("reply", "said"), [
    ((200, {"code": 0, "message": "ready"}), "ok: the server can do its work"),
    ((503, {"code": 50302, "message": "hooks: This FATE Flow is another one."}),
     "PROBLEM: hooks: This FATE Flow is another one."),
    ((403, {"code": 40301, "message": "Forbidden."}), "WARNING: It refuses to tell this machine"),
    ((200, {"retcode": 100, "retmsg": "<NotFound>"}), "WARNING: It does not answer, since it is not mounted."),
])
def test_what_the_running_server_says_of_itself(fate: Fate, flow: FakeFlow, reply: Tuple[int, Any], said: str) -> None:
    flow.services["/v1/ext/ready"] = reply
    assert fate.said("ready").startswith(said)


def test_a_service_that_can_not_be_used(fate: Fate, flow: FakeFlow) -> None:
    del flow.registry["upload"]
    flow.registry["query"] = f"http://127.0.0.1:1/v1/ext/query?token={fate.token('query')}"
    flow.registry["download"] = flow.registry["download"].replace("token=", "token=x")
    status, said = fate.check()
    assert status == 1
    assert said["service upload"].startswith("PROBLEM: FATE Flow's registry has no service upload of server fate_ext.")
    assert "which can't be reached from here: " in said["service query"]
    assert said["service download"].endswith("Its token is an old one. Restart FATE Flow, or register again.")


@pytest.mark.parametrize(("reply", "said"), [
    ((403, {"code": 40301}), "WARNING: registered as {url}. It refuses this machine, which is in none of "
                             "allowed_networks."),
    ((200, {"retcode": 100}), "PROBLEM: registered as {url}. What answers there is not this service."),
])
def test_a_service_that_answers_otherwise(fate: Fate, flow: FakeFlow, reply: Tuple[int, Any], said: str) -> None:
    flow.services["/v1/ext/upload"] = reply
    assert fate.said("service upload") == said.format(url=f"{flow.url}/v1/ext/upload")


def test_calls_are_signed_where_client_authentication_is_on(fate: Fate, flow: FakeFlow) -> None:
    flow.keys = KEYS
    fate.switch_on(client=True)
    status, said = fate.check()
    assert (status, not_ok(said)) == (0, [])
    assert said["unsigned clients"] == "ok: refused"
    flow.keys = (KEYS[0], "another secret")
    status, said = fate.check()
    assert status == 1 and "service upload" not in said
    assert "refuses a request signed with the http_app_key of service_conf.yaml: requirement" in said["FATE Flow"]


def test_unsigned_requests_that_are_let_in(fate: Fate, flow: FakeFlow) -> None:
    """The hooks are there, and the server runs without them: it was not restarted, or could not import them."""
    fate.switch_on(client=True, site=True)
    status, said = fate.check()
    assert status == 1
    assert said["unsigned clients"].startswith("PROBLEM: They are let in, though client authentication is switched on")
    assert said["unsigned sites"].startswith("PROBLEM: Scheduling requests are let in")
    flow.keys, flow.checks_sites = KEYS, True
    status, said = fate.check()
    assert (said["unsigned clients"], said["unsigned sites"]) == ("ok: refused", "ok: refused")


READ_AT_START = ("hook_module", "authentication", "permission", "fate_ext_plugin")


def as_read(fate: Fate) -> Dict[str, Any]:
    """What a FATE Flow has read that starts now."""
    fate.write()
    content = yaml.safe_load(fate.conf.read_text("utf-8"))
    return {name: content[name] for name in READ_AT_START if name in content}


def test_before_the_restart_a_restart_is_pending_and_that_is_all(fate: Fate, flow: FakeFlow) -> None:
    """The plugin has just been enabled, with a switch; FATE Flow runs as it was."""
    mounted = {"hook_module": fate.keys["hook_module"], "authentication": {"site": {"switch": False}}}
    flow.conf = {**mounted, "hook_module": BUILT_IN}
    flow.plugin, flow.services, flow.registry = (200, {"retcode": 100, "retmsg": "<NotFound>"}), {}, {}
    fate.switch_on(site=True)
    status, said = fate.check()
    assert status == 0
    assert not_ok(said) == [
        "restart: WARNING: A restart is pending: service_conf.yaml has changed since FATE Flow started (hook_module, "
        "authentication, permission, fate_ext_plugin). Restart FATE Flow and check again. Skipped until then: "
        "mounted, ready, service upload, service query, service download, unsigned sites."]


def test_after_the_restart_no_problem_hides_behind_it(fate: Fate, flow: FakeFlow) -> None:
    flow.plugin, flow.registry = (200, {"retcode": 100, "retmsg": "<NotFound>"}), {}
    fate.switch_on(client=True)
    flow.conf = as_read(fate)
    status, said = fate.check()
    assert status == 1 and "restart" not in said
    assert said["mounted"].startswith("PROBLEM: It is not.")
    assert said["service upload"].startswith("PROBLEM: FATE Flow's registry has no service upload")
    assert said["unsigned clients"].startswith("PROBLEM: They are let in")


def test_before_the_restart_other_problems_stay_problems(fate: Fate, flow: FakeFlow) -> None:
    """Only a view was changed: who is let in does not wait for a restart."""
    fate.switch_on(client=True)
    flow.conf = as_read(fate)
    fate.section["max_ids"] = 5
    status, said = fate.check()
    assert status == 1
    assert "since FATE Flow started (fate_ext_plugin). Restart" in said["restart"]
    assert said["unsigned clients"].startswith("PROBLEM: They are let in")
    assert "mounted" not in said


def test_a_server_of_the_registry_that_has_the_name_of_a_section_is_no_pending_restart(
    fate: Fate, flow: FakeFlow
) -> None:
    flow.conf = {**as_read(fate), "fate_ext_plugin": {"host": "127.0.0.1", "port": 9380, "protocol": "http"}}
    assert "restart" not in fate.check()[1]


def test_dates_and_empty_sections_are_no_pending_restart(fate: Fate, flow: FakeFlow) -> None:
    """JSON has no dates, and FATE Flow does not tell of a section that holds nothing."""
    fate.keys["authentication"] = None
    fate.keys["permission"] = {"switch": False, "since": datetime.date(2026, 1, 2)}
    flow.conf = as_read(fate)
    flow.conf["permission"]["since"] = "2026-01-02"
    assert "restart" not in fate.check()[1]


@pytest.mark.parametrize(("server", "drops"), [
    ("Werkzeug/2.2.3 Python/3.8.18", False), ("Werkzeug/2.3.8 Python/3.8.18", True), ("Werkzeug/3.0.1", True),
    ("nginx/1.24.0", True)])
def test_servers_that_drop_the_header_of_fate_s_client(fate: Fate, flow: FakeFlow, server: str, drops: bool) -> None:
    flow.keys, flow.server_header = KEYS, server
    fate.switch_on(client=True)
    assert fate.said("unsigned clients").startswith("WARNING: Refused, and FATE's own client" if drops else "ok")
    fate.keys["hook_module"]["client_authentication"] = OURS["client_authentication"]
    fate.section["authentication"] = {}
    assert fate.said("unsigned clients") == "ok: refused"


def test_alone_the_fate_flow_that_is_named_is_looked_at(
    make_site: MakeSite, fake_flow: FakeFlow, capsys: pytest.CaptureFixture
) -> None:
    """Its registry, and our own running server."""
    site = make_site()
    fake_flow.registry = {name: site.url(name) for name in SERVICES}
    for options, looked in (([], False), (["--flow", fake_flow.url], True)):
        printed = printed_by(capsys, "check", "--conf", str(site.conf), *options)
        assert (f"service upload: registered as http://127.0.0.1:{site.port}/v1/ext/upload, reachable" in printed
                ) == looked
        assert "hook" not in printed and "mounted" not in printed


def test_an_address_that_is_not_configured(fate: Fate) -> None:
    fate.keys["fateflow"] = {"host": "10.0.0.5", "http_port": None}
    fate.write()
    fails(main, ["check", "--conf", str(fate.conf)], says=r"service_conf.yaml: fateflow.http_port is no number\.$")
