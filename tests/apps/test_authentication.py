"""client_authentication, site_authentication and signature as FATE Flow calls them over HTTP.

FATE Flow reads ``code`` and ``msg`` of an answer with status 200 (contract section 1).
"""
import json
from pathlib import Path
from typing import Any, Dict

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from fate_ext_plugin.audit.search import read
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.errors import InvalidRequestBody
from fate_ext_plugin.schema.authentication import CLIENT_AUTHENTICATION, load_client_request
from tests.support.builder import MakeSite
from tests.support.examples import examples
from tests.support.recordings import lines_of, vectors
from tests.support.site import Site, wait_until

KEY, SECRET = "demo-app-key", "demo-secret-key"
# The recordings are old, so their clock counts. The widest window there is does not reach them; they are signed anew.
SIGNING: Dict[str, Any] = {"authentication": {"party_id": "9999", "signature_over_http": True}}


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """A site of authentication alone: no feature view."""
    return make_shared_site(
        **SIGNING, clients={KEY: {"name": "the recorded client", "secret": SECRET.ljust(16, "!")}},
        private_keys={"9999": None}, partners={"10000": vectors("1.11.2")["public_key"]})


def ask(site: Site, service: str, body: Any) -> requests.Response:
    return requests.post(site.url(service), json=body, timeout=60)


def code_of(response: requests.Response) -> int:
    assert response.status_code == 200, response.text
    code: int = response.json()["code"]
    return code


def signed_anew(line: Dict[str, Any], name: str) -> Dict[str, Any]:
    """A recorded request with the time and nonce of now, signed by the same rules."""
    headers = {**line["headers"], "Timestamp": str(now_ms()), "Nonce": name}
    request = ClientRequest(line["full_path"], {"timestamp": headers["Timestamp"], "nonce": headers["Nonce"]},
                            line["data"].encode() if line["json"] else b"", line["form"] or None)
    headers["Signature"] = Signer(SECRET.ljust(16, "!"), "hmac-sha1").sign(signed_text(request, KEY))
    return {**line, "headers": headers}


@pytest.mark.parametrize("werkzeug", ["2.2", "2.3"])
@pytest.mark.parametrize("form", ["page", "hook"])
def test_a_client_request_in_both_shapes_that_fate_flow_and_the_page_have(
    site: Site, werkzeug: str, form: str
) -> None:
    for number, recorded in enumerate(lines_of(f"fate_sdk_client_requests_werkzeug_{werkzeug}.jsonl")):
        body = signed_anew(recorded, f"{werkzeug}-{form}-{number}")
        if form == "page":  # headers as JSON text, and no raw body
            body = {"full_path": body["full_path"], "headers": json.dumps(body["headers"]), "form": body["form"],
                    "json": body["json"]}
        answer = ask(site, "client_authentication", body)
        assert code_of(answer) == 0, answer.text
        assert answer.json()["msg"] == "success"
        again = ask(site, "client_authentication", body)
        assert (code_of(again), again.json()["msg"]) == (
            109, "This request was sent before; sign each one anew.")


def test_a_recorded_request_is_too_old_today(site: Site) -> None:
    answer = ask(site, "client_authentication", lines_of("fate_sdk_client_requests_werkzeug_2.2.jsonl")[0])
    assert code_of(answer) == 109
    assert " s behind ours" in answer.json()["msg"]


def test_signature_and_site_authentication_fit_together(site: Site) -> None:
    for body in ({}, {"note": "中文", "rate": 0.5}, [], None):
        signed = ask(site, "signature", {"party_id": 9999, "body": body, "registered": "data"}).json()
        assert signed["code"] == 0
        assert signed["data"] == signed["site_signature"]  # what FATE Flow reads, and what the page says
        request = {"src_party_id": "", "site_signature": signed["data"], "body": body}
        assert code_of(ask(site, "site_authentication", request)) == 0
        assert code_of(ask(site, "site_authentication", {**request, "body": [body]})) == 109


def test_the_recorded_signatures_of_a_stock_partner_pass(site: Site) -> None:
    for vector in vectors("1.11.2")["vectors"]:
        answer = ask(site, "site_authentication", {
            "src_party_id": "10000", "site_signature": vector["site_signature"], "body": vector["body"]})
        assert code_of(answer) == 0, answer.text


def test_an_unknown_party_is_refused_and_not_told_that_it_is_unknown(site: Site) -> None:
    answer = ask(site, "site_authentication", {"src_party_id": "7777", "site_signature": "A" * 342 + "==", "body": {}})
    assert (code_of(answer), answer.json()["msg"]) == (
        109, "The signature does not fit, or is not accepted of this party; the audit log here says why.")


@pytest.mark.parametrize(("service", "body"), [
    ("client_authentication", b"no json"), ("client_authentication", b"[]"), ("client_authentication", b"{}"),
    ("client_authentication", b'{"full_path": 5, "headers": {}}'),
    ("client_authentication", b'{"full_path": "/", "headers": "no json"}'),
    ("client_authentication", b'{"full_path": "/", "headers": {}, "headers": {}}'),
    ("client_authentication", b"[" * 100_000), ("site_authentication", b'{"src_party_id": "1"}'),
    ("signature", b'{"party_id": 9999}'), ("signature", b"\xff"), ("site_authentication", b""),
])
def test_a_body_that_is_no_request_is_an_error_that_refuses_too(site: Site, service: str, body: bytes) -> None:
    response = requests.post(site.url(service), data=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["code"] == 40001


def test_a_body_without_end_is_refused(site: Site) -> None:
    response = requests.post(site.url("site_authentication"), data=iter([b" " * 2**20] * 40), timeout=60)
    assert response.status_code == 413


def test_the_services_are_behind_access_control(site: Site) -> None:
    for service in ("client_authentication", "site_authentication", "signature"):
        response = requests.post(site.url(service).partition("?")[0], json={}, timeout=60)
        assert (response.status_code, response.json()) == (403, {"code": 40301, "message": "Forbidden."})


def test_without_views_the_feature_services_are_not_there(site: Site) -> None:
    for service in ("upload", "query", "download"):
        assert requests.post(site.url(service), timeout=60).status_code == 404


def test_signature_is_served_only_where_it_was_asked_for(make_site: MakeSite) -> None:
    site = make_site(authentication={"party_id": "9999"})
    assert ask(site, "signature", {"party_id": 9999, "body": {}}).status_code == 404
    assert code_of(ask(site, "site_authentication", {"src_party_id": "", "site_signature": "", "body": {}})) == 109


def test_every_decision_stands_in_the_trail_and_no_secret_does(make_site: MakeSite) -> None:
    site = make_site(**SIGNING)
    signed = ask(site, "signature", {"party_id": 9999, "body": {}}).json()["data"]
    ask(site, "site_authentication", {"src_party_id": "9999", "site_signature": signed, "body": {}})
    ask(site, "site_authentication", {"src_party_id": "1", "site_signature": signed, "body": {}})
    ask(site, "client_authentication", {"full_path": "/v1/job/submit?secret=s", "headers": {}})
    folder = site.data_dir / "audit"
    wait_until(lambda: len(list(read(folder))) == 4, what="four decisions")
    entries = list(read(folder))[::-1]
    assert [(entry["check"], entry["allowed"], entry["who"], entry["reason"]) for entry in entries] == [
        ("signature", True, "9999", "ok"), ("site", True, "9999", "envelope"), ("site", False, "1", "unknown party"),
        ("client", False, None, "not signed")]
    assert entries[-1]["what"] == "/v1/job/submit"
    for path in (*folder.iterdir(), site.log):
        assert signed not in path.read_text()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_lost_master_key_is_an_error_of_the_start(make_site: MakeSite) -> None:
    site = make_site(**SIGNING)
    site.stop()
    (site.data_dir / "master_key").write_text("0" * 64)
    with pytest.raises(AssertionError, match="the master key is not the one"):
        site.start()


def test_private_keys_and_secrets_are_sealed_in_the_database(site: Site) -> None:
    files = list(Path(site.data_dir).glob("*.db*"))
    assert files
    for path in files:
        content = path.read_bytes()
        assert b"PRIVATE KEY" not in content
        assert SECRET.encode() not in content


# -- the form of a client request --------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(), st.text(max_size=3), st.integers(), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(["{}", '{"APP_KEY": "a"}', "[]", True, 1.5, []]))
REQUESTS = st.one_of(
    st.dictionaries(st.sampled_from(["full_path", "headers", "form", "data", "json", "extra"]), VALUES),
    st.fixed_dictionaries({"full_path": st.text(max_size=3), "headers": st.just({"APP_KEY": "a"}), "form": VALUES,
                           "data": VALUES, "json": VALUES}))


@examples(300)
@given(value=REQUESTS)
def test_client_requests_are_read_as_their_schema_says(value: Dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    try:
        expected = CLIENT_AUTHENTICATION.load(value)
    except ValidationError:
        with pytest.raises(InvalidRequestBody, match="The body: "):
            load_client_request(text)
    else:
        assert load_client_request(text) == expected
