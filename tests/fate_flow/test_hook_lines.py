"""Misspelt and missing lines of hook_module, on a real FATE Flow whose switches are on and into which the plugin is
mounted. All kinds of lines are tried in tests/host/test_switches.py."""
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping

import pytest
import requests

from tests.fate_flow.features import section_of
from tests.fate_flow.flow import GUEST, Flow, Installation, MakeFlow
from tests.fate_flow.permission import CONF as PERMISSION_CONF
from tests.fate_flow.permission import needs_mysql, refusal
from tests.fate_flow.switches import CONF, HOOKS, KEYS, UNAUTHENTICATED, retcode

CLIENT, SITE = HOOKS["client_authentication"], HOOKS["site_authentication"]
MISSPELT = "fate_ext_plugin.hook.client_authentification"
# FATE's own hooks, under a name under which another vendor's may come.
FATE_S_OWN = {"theirs": "fate_flow.hook.flow.client_authentication;fate_flow.hook.flow.site_authentication"}
Run = Callable[..., Flow]


@pytest.fixture
def run(make_flow: MakeFlow, features: Path, installation: Installation) -> Iterator[Run]:
    """Each server has a master key of its own, so on MySQL none may find another's keys."""
    flows: List[Flow] = []
    installation.forget_ours()

    def run(hooks: Mapping[str, str], conf: Mapping[str, Any] = CONF, **changes: Any) -> Flow:
        """:param hooks: the lines of ``hook_module`` beside the mount's.
        :param conf: the switches; both of authentication, unless told otherwise.
        :param changes: to what stands in service_conf.yaml then."""
        flow = make_flow(section_of(features, authentication={}), start=False, conf=conf)
        flow.write_conf({**flow.read_conf(), "hook_module": {"extension": "fate_ext_plugin.mount", **hooks}, **changes})
        flow.keys = KEYS
        flows.append(flow)
        return flow.start()

    yield run
    for flow in flows:
        flow.stop()


def scheduling(flow: Flow, headers: Any = None) -> Any:
    return retcode(requests.post(f"{flow.url}/v1/party/1/guest/{GUEST}/status/canceled", json={}, headers=headers,
                                 timeout=30))


def unsigned(flow: Flow) -> Any:
    return retcode(requests.post(f"{flow.url}/v1/job/query", json={"job_id": "1"}, timeout=30))


def test_a_misspelt_client_line_lets_nobody_in_and_is_named(run: Run) -> None:
    flow = run({"client_authentication": MISSPELT, "site_authentication": SITE})
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
def test_mounted_with_both_switches_on_a_missing_line_lets_nobody_in(run: Run, hooks: Dict[str, str]) -> None:
    flow = run(hooks)
    assert unsigned(flow) == UNAUTHENTICATED
    for headers in ({}, {"SRC-PARTY-ID": str(GUEST)}, {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": "x"}):
        assert scheduling(flow, headers) == UNAUTHENTICATED
    signed = flow.post("/job/query", {"job_id": "1"}).json()["retcode"]
    assert signed == (0 if "client_authentication" in hooks else UNAUTHENTICATED)


def test_hooks_of_others_that_register_are_asked_beside_ours_mounted(run: Run) -> None:
    flow = run(FATE_S_OWN)
    assert flow.post("/job/query", {"job_id": "1"}).json()["retcode"] == 0
    assert unsigned(flow) == UNAUTHENTICATED
    # FATE Flow signs what it sends itself, so the job's requests pass the site's hook.
    headers = flow.site_headers(GUEST, {})
    assert scheduling(flow, headers) != UNAUTHENTICATED
    assert requests.get(f"{flow.url}/v1/ext/ready", timeout=30).status_code == 200
    assert "no hook is registered" not in flow.log()


def test_an_empty_app_key_is_named_at_the_start_and_by_check(run: Run) -> None:
    authentication = {"client": {"switch": True, "http_app_key": None, "http_secret_key": KEYS[1]},
                      "site": {"switch": False}}
    flow = run({"client_authentication": CLIENT}, authentication=authentication)
    assert "authentication.client.http_app_key is empty in service_conf.yaml" in flow.log()
    status, said = flow.command("check", "--conf", str(flow.conf))
    assert status == 1
    assert re.search(r"^PROBLEM hook client_authentication: .*authentication\.client\.http_app_key is empty", said,
                     re.MULTILINE), said
    assert "refuses the http_app_key" not in said


@needs_mysql
def test_a_permission_switch_with_a_misspelt_line_permits_no_job(run: Run) -> None:
    misspelt = "fate_ext_plugin.hook.permision"
    flow = run({"permission": misspelt}, PERMISSION_CONF)
    assert (f"permission.switch is on in service_conf.yaml, but no hook is registered for it, so everything that it "
            f"checks is refused. The line `permission: {misspelt}` of hook_module names") in refusal(flow)
