"""Misspelt and missing lines of hook_module, on a real FATE Flow whose switches are on and into which the plugin is
mounted. All kinds of lines are tried in tests/host/test_switches.py."""
import re
from pathlib import Path
from typing import Any, Dict

import pytest
import requests

from tests.fate_flow.features import section_of
from tests.fate_flow.flow import GUEST, Flow, MakeFlow
from tests.fate_flow.permission import CONF as PERMISSION_CONF
from tests.fate_flow.permission import needs_mysql, refusal
from tests.fate_flow.switches import CONF, HOOKS, KEYS, UNAUTHENTICATED, retcode

CLIENT, SITE = HOOKS["client_authentication"], HOOKS["site_authentication"]
MISSPELT = "fate_ext_plugin.hook.client_authentification"
# FATE's own hook, under the name under which another vendor's may come.
FATE_S_OWN = {"client_authentication": "", "site_authentication": "", "theirs":
              "fate_flow.hook.flow.client_authentication;fate_flow.hook.flow.site_authentication"}


def run(make_flow: MakeFlow, features: Path, hooks: Dict[str, str], **changes: Any) -> Flow:
    """A server with both authentication switches on and these lines of ``hook_module`` beside the mount's."""
    flow = make_flow(section_of(features, authentication={}), start=False, conf=CONF)
    content = flow.read_conf()
    lines = {name: line for name, line in hooks.items() if line}
    content["hook_module"] = {"extension": "fate_ext_plugin.mount", **lines}
    content.update(changes)
    flow.write_conf(content)
    flow.keys = KEYS
    return flow.start()


def scheduling(flow: Flow, headers: Any = None) -> Any:
    return retcode(requests.post(f"{flow.url}/v1/party/1/guest/{GUEST}/status/canceled", json={}, headers=headers,
                                 timeout=30))


def unsigned(flow: Flow) -> Any:
    return retcode(requests.post(f"{flow.url}/v1/job/query", json={"job_id": "1"}, timeout=30))


def test_a_misspelt_client_line_lets_nobody_in_and_is_named(make_flow: MakeFlow, features: Path) -> None:
    flow = run(make_flow, features, {"client_authentication": MISSPELT, "site_authentication": SITE})
    assert unsigned(flow) == UNAUTHENTICATED
    assert flow.post("/job/query", {"job_id": "1"}).json()["retcode"] == UNAUTHENTICATED
    assert scheduling(flow) == UNAUTHENTICATED
    told = (f"authentication.client.switch is on in service_conf.yaml, but no hook is registered for it, so everything "
            f"that it checks is refused. The line `client_authentication: {MISSPELT}` of hook_module names "
            f"'{MISSPELT}', which can't be imported.")
    assert re.search(rf"^\[ERROR\].*fate_ext_plugin: {re.escape(told)}$", flow.log(), re.MULTILINE)
    ready = requests.get(f"{flow.url}/v1/ext/ready", timeout=30)
    assert (ready.status_code, ready.json()["message"]) == (503, f"hooks: {told}")
    status, said = flow.command("check", "--conf", str(flow.conf))
    assert status == 1
    assert re.search(rf"^PROBLEM hook_module: .*line client_authentication: '{MISSPELT}' can't be found", said,
                     re.MULTILINE), said


@pytest.mark.parametrize("hooks", [{}, {"client_authentication": CLIENT}, {"site_authentication": SITE}], ids=str)
def test_mounted_with_both_switches_on_a_missing_line_lets_nobody_in(
    make_flow: MakeFlow, features: Path, hooks: Dict[str, str]
) -> None:
    flow = run(make_flow, features, hooks)
    assert unsigned(flow) == UNAUTHENTICATED
    for headers in ({}, {"SRC-PARTY-ID": str(GUEST)}, {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": "x"}):
        assert scheduling(flow, headers) == UNAUTHENTICATED
    signed = flow.post("/job/query", {"job_id": "1"}).json()["retcode"]
    assert signed == (0 if "client_authentication" in hooks else UNAUTHENTICATED)


def test_hooks_of_others_that_register_are_asked_beside_ours_mounted(make_flow: MakeFlow, features: Path) -> None:
    flow = run(make_flow, features, FATE_S_OWN)
    assert flow.post("/job/query", {"job_id": "1"}).json()["retcode"] == 0
    assert unsigned(flow) == UNAUTHENTICATED
    # FATE Flow signs what it sends itself, so the job's requests pass the site's hook.
    headers = flow.site_headers(GUEST, {})
    assert scheduling(flow, headers) != UNAUTHENTICATED
    assert requests.get(f"{flow.url}/v1/ext/ready", timeout=30).status_code == 200
    assert "no hook is registered" not in flow.log()


def test_an_empty_app_key_is_named_at_the_start_and_by_check(make_flow: MakeFlow, features: Path) -> None:
    authentication = {"client": {"switch": True, "http_app_key": None, "http_secret_key": KEYS[1]},
                      "site": {"switch": False}}
    flow = run(make_flow, features, {"client_authentication": CLIENT}, authentication=authentication)
    assert "authentication.client.http_app_key is empty in service_conf.yaml" in flow.log()
    status, said = flow.command("check", "--conf", str(flow.conf))
    assert status == 1
    assert re.search(r"^PROBLEM hook client_authentication: .*authentication\.client\.http_app_key is empty", said,
                     re.MULTILINE), said
    assert "refuses the http_app_key" not in said


@needs_mysql
def test_a_permission_switch_with_a_misspelt_line_permits_no_job(make_flow: MakeFlow, features: Path) -> None:
    misspelt = "fate_ext_plugin.hook.permision"
    flow = make_flow(section_of(features), conf={**PERMISSION_CONF, "hook_module": {"permission": misspelt}})
    assert (f"permission.switch is on in service_conf.yaml, but no hook is registered for it, so everything that it "
            f"checks is refused. The line `permission: {misspelt}` of hook_module names") in refusal(flow)
