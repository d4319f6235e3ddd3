"""permission as FATE Flow asks for it over HTTP, and why a job would be allowed or not.

FATE Flow reads ``code`` and ``msg`` of an answer with status 200, and fails the job on any other (contract section 1).
"""
import json
from typing import Any, Dict

import pytest
import requests

from fate_ext_plugin.audit.search import read
from fate_ext_plugin.permission.setup import permission_audit_folder
from tests.support.builder import MakeSite
from tests.support.permission import grant, recorded
from tests.support.site import Site, wait_until
from tests.support.tables import Tables
from tests.support.wire import refused


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """A site where party 9999 may run the recorded job three times, and others nothing."""
    return make_shared_site(authentication={"party_id": "10000"}, permission={}, grants=[
        grant("least", components=["reader", "apireader"], datasets=["exp/host_ids"], max_uses=3),
        grant("old", components=["homo_nn"], valid_until="2020-01-01"),
        grant("never", party="*", effect="deny", components=["download"])])


def ask(site: Site, body: Any, path: str = "") -> requests.Response:
    url = site.url("permission").replace("?", f"{path}?")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(url, data=data, timeout=60, headers={"Content-Type": "application/json"})


def answer(site: Site, body: Any, path: str = "") -> Dict[str, Any]:
    response = ask(site, body, path)
    assert response.status_code == 200, response.text
    found: Dict[str, Any] = response.json()
    return found


def test_all_recorded_requests_are_answered_as_fate_flow_reads_it(site: Site) -> None:
    """The third is what another party asks of itself, which is none of this site's."""
    assert [answer(site, request)["code"] for request in recorded()] == [0, 0, 3, 0]
    assert answer(site, recorded()[0])["msg"] == "success"


def test_a_refusal_has_fate_flow_s_code_and_a_message(site: Site) -> None:
    found = answer(site, {**recorded()[3], "component_list": ["reader", "homo_nn"]})
    assert (found["code"], found["msg"]) == (
        2, "Party 9999 may not use component homo_nn here as host: grant old expired on 2020-01-01 00:00.")
    found = answer(site, {**recorded()[3], "dataset_list": [{"namespace": "exp", "name": "b"}],
                          "component_parameters": None})
    assert (found["code"], found["msg"]) == (3, "Party 9999 may not use dataset exp/b here as host: no grant names it.")
    assert answer(site, {**recorded()[3], "component_list": ["download"]})["msg"].endswith("grant never denies it.")


def test_one_predict_job_can_not_be_told_from_the_next_so_each_counts(site: Site) -> None:
    """Over HTTP FATE Flow tells the ID of the model's job only."""
    Tables(site).grants.add(grant("predict", components=["predict"], max_uses=2))
    conf = {"job_parameters": {"common": {"job_type": "predict", "model_version": "202611231038053132510"}}}
    request = {**recorded()[3], "component_list": ["predict"], "component_parameters": None, "dataset_list": [],
               "run_time_conf": conf}
    wait_until(lambda: answer(site, request, "/explain")["data"]["allowed"], what="the grant to count")
    assert [answer(site, request)["code"] for _ in range(3)] == [0, 0, 2]


def test_explain_says_by_which_grant_or_why_not_and_counts_nothing(site: Site) -> None:
    before = Tables(site).grants.rows()
    found = answer(site, recorded()[3], "/explain")["data"]
    assert found["allowed"] and found["grants"] == ["least"]
    request = {**recorded()[3], "component_list": ["reader", "homo_nn", "download", "apireader"]}
    found = answer(site, request, "/explain")["data"]
    assert not found["allowed"]
    assert found["items"][1] == {
        "kind": "component", "name": "homo_nn", "allowed": False, "allowed_by": [], "denied_by": None,
        "near_misses": [{"grant": "old", "reason": "expired on 2020-01-01 00:00"}]}
    assert [item["denied_by"] for item in found["items"]] == [None, None, "never", None, None]
    assert Tables(site).grants.rows() == before


@pytest.mark.parametrize(("body", "says"), [
    ({}, "component_list"), ({"component_list": "reader"}, "component_list must be a list"),
    ({"component_list": ["lr"], "roles": []}, "roles must be an object"),
    ({"component_list": ["reader"]}, "they do not say what the job reads"),
    ({"component_list": ["reader"], "dataset_list": ["a.b.c"]}, "one dot"),
    (b"[]", "must be a JSON object"), (b"", "not valid JSON"), (b"{", "not valid JSON"),
    (b'{"component_list": ["a"], "component_list": ["b"]}', "a key stands twice"), (b"\xff", "not valid JSON"),
    (b"[" * 100_000, "nested too deeply"),
], ids=range(11))
@pytest.mark.parametrize("path", ["", "/explain"])
def test_a_request_that_can_not_be_read_is_refused_and_says_why(site: Site, path: str, body: Any, says: str) -> None:
    refused(ask(site, body, path), 400, says)


def test_only_through_access_control(site: Site) -> None:
    for path in ("", "/explain"):
        refused(requests.post(f"http://127.0.0.1:{site.port}/v1/ext/permission{path}", json={}, timeout=60), 403)
        refused(requests.get(site.url("permission").replace("?", f"{path}?"), timeout=60), 405)


def test_every_decision_is_in_the_audit_log(site: Site) -> None:
    answer(site, {**recorded()[3], "src_party_id": "7777"})
    newest = wait_until(lambda: [
        entry for entry in read(permission_audit_folder(site.settings)) if entry["who"] == "7777"])[0]
    assert (newest["allowed"], newest["check"]) == (False, "permission")


def test_observe_allows_what_it_would_refuse(make_site: MakeSite) -> None:
    site = make_site(permission={"mode": "observe"})
    assert answer(site, recorded()[3])["code"] == 0
    assert answer(site, {"component_list": 7})["code"] == 0
    assert not answer(site, recorded()[3], "/explain")["data"]["allowed"]
    assert "permission is only observed: every job is allowed" in site.log.read_text()
    assert "only observed: Party 9999 may not use component reader" in site.log.read_text()


def test_without_its_section_it_is_not_served(make_site: MakeSite) -> None:
    refused(ask(make_site(authentication={}), recorded()[3]), 404)
