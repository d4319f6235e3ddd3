"""From FATE's own service_conf.yaml to a running plugin and back, as an operator does it: enable, check, disable."""
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import yaml

from fate_ext_plugin.settings.model import SECTION
from tests.fate_flow.flow import GUEST, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CLIENT, KEYS

BOTH = {"party_id": GUEST, "authentication": {"client": CLIENT, "site": {"switch": True}}}
BUILT_IN = {kind: f"fate_flow.hook.flow.{kind}" for kind in ("client_authentication", "site_authentication")}


@pytest.fixture
def shipped(make_flow: MakeFlow) -> Callable[..., Flow]:
    """A FATE Flow that has never heard of the plugin; keywords are keys of its service_conf.yaml."""
    def shipped(**conf: Any) -> Flow:
        flow = make_flow(None, start=False, conf=conf)
        content = yaml.safe_load(flow.conf.read_text("utf-8"))
        del content[SECTION], content["hook_module"]["extension"]
        flow.conf.write_text("# FATE's own\n" + yaml.safe_dump(content), "utf-8")
        flow.keys = KEYS if "authentication" in conf else None
        return flow
    return shipped


def section(features: Path) -> Dict[str, Any]:
    """One view, on the month of features that is fine."""
    return {"data_dir": "fate_ext", "views": {"credit": {
        "source": {"type": "file", "path": str(features / "202201.parquet")}, "columns": ["amount", "age"]}}}


def add_view(flow: Flow, features: Path) -> None:
    """What remains to the operator."""
    views = yaml.safe_dump({"views": section(features)["views"]})
    with flow.conf.open("a", encoding="utf-8") as file:
        file.write("".join(f"  {line}\n" for line in views.splitlines()))


def check(flow: Flow) -> Tuple[int, Dict[str, str]]:
    """The exit status, and what is said by subject, after its level."""
    status, printed = flow.command("check", "--conf", str(flow.conf))
    found = re.findall(r"^(ok|WARNING|PROBLEM) +([^:]+): (.*)$", printed, re.MULTILINE)
    assert found, printed
    return status, {subject: f"{level}: {text}" for level, subject, text in found}


def not_ok(said: Dict[str, str]) -> List[str]:
    return [f"{subject}: {text}" for subject, text in said.items() if not text.startswith("ok")]


def test_enable_check_disable(shipped: Callable[..., Flow], features: Path, installation: Installation) -> None:
    flow = shipped(**BOTH)
    before = flow.conf.read_text("utf-8")
    status, printed = flow.command("enable", "--fate-base", str(flow.folder), "--authentication", "--yes")
    assert status == 0, printed
    assert "+  extension: fate_ext_plugin.mount" in printed and KEYS[1] not in printed
    add_view(flow, features)

    status, said = check(flow)
    assert status == 0, not_ok(said)
    assert not_ok(said)[-1].startswith("FATE Flow: WARNING: FATE Flow can't be reached at ")

    flow.start()
    with suppress(FileNotFoundError):  # on MySQL
        (flow.folder / "fate_sqlite.db").chmod(0o600)  # which FATE Flow leaves open to all
    status, said = check(flow)
    old = [] if installation.api_reader_works else [f"FATE Flow: {said['FATE Flow']}"]
    assert status == 0 and not_ok(said) == old, said
    assert said["mounted"] == f"ok: at {flow.url}/v1/ext"
    assert said["service upload"] == f"ok: registered as {flow.url}/v1/ext/upload, reachable"
    assert said["hook client_authentication"] == "ok: fate_ext_plugin.hook.client_authentication, switched on"
    assert (said["unsigned clients"], said["unsigned sites"]) == ("ok: refused", "ok: refused")

    flow.stop()
    status, printed = flow.command("disable", "--fate-base", str(flow.folder), "--purge", "--yes")
    assert status == 0, printed
    assert flow.conf.read_text("utf-8") == before


def test_before_the_restart_a_restart_is_pending_and_after_it_none(
    shipped: Callable[..., Flow], features: Path, installation: Installation
) -> None:
    """As README has it: FATE Flow runs while the plugin is enabled, and switches are set."""
    flow = shipped()
    flow.start()
    assert flow.command("enable", "--fate-base", str(flow.folder), "--authentication", "--yes")[0] == 0
    add_view(flow, features)
    flow.write_conf({**flow.read_conf(), **BOTH})
    (flow.folder / "fate_sqlite.db").chmod(0o600)  # which FATE Flow leaves open to all
    status, said = check(flow)
    old = [] if installation.api_reader_works else [f"FATE Flow: {said['FATE Flow']}"]
    assert status == 0, said
    assert not_ok(said) == [*old, f"restart: {said['restart']}"]
    assert said["restart"].startswith(
        "WARNING: A restart is pending: service_conf.yaml has changed since FATE Flow started (hook_module, "
        "authentication, fate_ext_plugin). Restart FATE Flow and check again. Skipped until then: mounted, ready, ")
    flow.stop()
    flow.keys = KEYS
    flow.start()
    status, said = check(flow)
    assert status == 0 and not_ok(said) == old, said
    assert {"mounted", "ready", "service upload", "unsigned clients", "unsigned sites"} <= said.keys()


def test_enable_and_disable_lose_no_byte_of_fate_s_own_file(installation: Installation, tmp_path: Path) -> None:
    """The file as this release ships it."""
    flow = Flow(installation, tmp_path / "fate", None)
    shipped = (installation.base / "conf" / "service_conf.yaml").read_bytes()
    for options in ((), ("--authentication",), ("--permission",), ("--authentication", "--permission")):
        flow.conf.write_bytes(shipped)
        for given in ((), options):
            status, printed = flow.command("enable", "--fate-base", str(flow.folder), *given, "--yes")
            assert status == 0, printed
        assert flow.conf.read_bytes() != shipped
        assert flow.command("disable", "--fate-base", str(flow.folder), "--purge", "--yes")[0] == 0
        assert flow.conf.read_bytes() == shipped


def test_hooks_left_behind_stand_in_when_the_plugin_is_gone(shipped: Callable[..., Flow]) -> None:
    """FATE Flow only logs that ours can't be imported; without another hook everyone would be let in."""
    flow = shipped(**BOTH)
    assert flow.command("enable", "--fate-base", str(flow.folder), "--authentication", "--yes")[0] == 0
    flow.conf.write_text(flow.conf.read_text("utf-8").replace("fate_ext_plugin.hook.", "fate_ext_plugin.gone."))
    flow.start()
    flow.call("/version/get", {})
    flow.keys = (KEYS[0], "another secret")
    assert flow.post("/version/get", {}).json()["retcode"] == 109


def test_traps_of_a_stock_server_with_both_switches_on(
    shipped: Callable[..., Flow], features: Path, installation: Installation
) -> None:
    """Its own hooks are in force, and still: no scheduling request is checked since 1.10."""
    flow = shipped(**BOTH)
    flow.conf.write_text(flow.conf.read_text("utf-8") + yaml.safe_dump({SECTION: section(features)}), "utf-8")
    flow.start()
    status, said = check(flow)
    assert said["mounted"].startswith("WARNING: It is not, as hook_module does not name it")
    assert said["hook client_authentication"] == f"ok: {BUILT_IN['client_authentication']}, switched on"
    if installation.version >= (1, 10):
        assert status == 1
        assert "PROBLEM: client and site authentication are on. FATE Flow 1.10 and 1.11" in said["both switches"]
        assert said["unsigned sites"].startswith("PROBLEM: Scheduling requests are let in")
    else:
        assert (said["unsigned sites"], said["both switches"][:2]) == ("ok: refused", "ok")


def test_traps_of_hooks_that_can_not_be_imported(shipped: Callable[..., Flow], features: Path) -> None:
    flow = shipped(**BOTH, hook_module={kind: f"fate_flow.hook.flw.{kind}" for kind in BUILT_IN})
    flow.conf.write_text(flow.conf.read_text("utf-8") + yaml.safe_dump({SECTION: section(features)}), "utf-8")
    flow.start()
    status, said = check(flow)
    assert status == 1
    assert "'fate_flow.hook.flw.client_authentication' can't be found" in said["hook_module"]
    assert said["hook client_authentication"] == (
        "PROBLEM: none, switched on. Without one FATE Flow lets everyone in.")
    assert said["unsigned clients"].startswith("PROBLEM: They are let in, though client authentication is switched on")
