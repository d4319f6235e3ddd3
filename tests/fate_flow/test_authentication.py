"""Client and site authentication inside a real FATE Flow, both switches on, through our in-process hooks."""
import base64
import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import pytest
import requests

from fate_ext_plugin.audit.search import read
from fate_ext_plugin.errors import InvalidSettings
from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import GUEST, HOST, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CONF, KEYS, UNAUTHENTICATED, retcode
from tests.support.site import wait_until


@pytest.fixture(scope="module")
def shared_flow(make_flow: MakeFlow, features: Path) -> Flow:
    flow = make_flow(section_of(features, authentication={}), conf=CONF, start=False)
    flow.keys = KEYS
    return flow


@pytest.fixture
def flow(shared_flow: Flow) -> Flow:
    """One server plays both parties and signs as one of them, so that its key is the other's, too."""
    if not shared_flow.process:
        shared_flow.start()
        shared_flow.share_key(HOST)
    return shared_flow


def audit_log(flow: Flow) -> List[Dict[str, Any]]:
    time.sleep(0.2)  # it is written some milliseconds later
    return list(read(flow.folder / "fateflow" / "fate_ext" / "audit"))[::-1]


def status_change(flow: Flow, job_id: str, headers: Any = None) -> requests.Response:
    """What a scheduler asks of a party; nobody else may."""
    return requests.post(f"{flow.url}/v1/party/{job_id}/guest/{GUEST}/status/canceled", json={}, headers=headers,
                         timeout=30)


def test_a_two_party_job_runs_through_both_checks(flow: Flow, installation: Installation) -> None:
    flow.upload_table("ids", ids_of(range(990, 1010)))
    job_id = flow.submit()
    ended = flow.wait(job_id)
    if installation.api_reader_works:
        assert ended == "success", flow.report(job_id)
        assert flow.output(job_id) == expected(range(990, 1010))
    decisions = Counter((entry["check"], entry["who"], entry["reason"]) for entry in audit_log(flow))
    assert decisions["site", str(GUEST), "envelope"] > 20
    assert decisions["site", str(HOST), "envelope"] > 5
    assert decisions["client", KEYS[0], "ok"] > 10
    assert not [entry for entry in audit_log(flow) if not entry["allowed"] and entry["who"] in (str(GUEST), str(HOST))]


def test_unsigned_and_wrongly_signed_scheduling_requests_are_refused(flow: Flow) -> None:
    """With both switches on, FATE Flow 1.10 and 1.11 themselves check none of them (contract section 3)."""
    flow.upload_table("ids", ids_of(range(3)))
    job_id = flow.submit(alone=True)
    before = flow.wait(job_id)
    bare = base64.b64encode(b"x" * 256).decode()
    for headers in ({}, {"SRC-PARTY-ID": str(GUEST)}, {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": bare},
                    {"SRC-PARTY-ID": "7777", "SITE-SIGNATURE": bare}, {"SITE-SIGNATURE": "garbage"}):
        assert retcode(status_change(flow, job_id, headers)) == UNAUTHENTICATED
    assert flow.job(job_id)["f_status"] == before


def test_nothing_is_checked_twice(flow: Flow) -> None:
    count = len(audit_log(flow))
    flow.call("/version/get", {})  # in none of FATE Flow's two lists of prefixes
    flow.call("/job/query", {"job_id": "nothing_is_checked_twice"})
    status_change(flow, "202201010000000000000")
    # Beside FATE Flow's own calls to itself, which go on meanwhile.
    found = [entry for entry in audit_log(flow)[count:]
             if entry["check"] != "signature" and entry["reason"] != "envelope"]
    assert [(entry["check"], entry["what"], entry["reason"]) for entry in found] == [
        ("client", "POST /v1/version/get", "ok"), ("client", "POST /v1/job/query", "ok"),
        ("site", f"POST /v1/party/202201010000000000000/guest/{GUEST}/status/canceled", "not signed")]


def test_a_client_must_sign_and_may_do_so_once(flow: Flow) -> None:
    assert retcode(requests.post(f"{flow.url}/v1/job/query", json={}, timeout=30)) == UNAUTHENTICATED
    with requests.Session() as session:
        request = flow.signed("POST", "/job/query", {"job_id": "1"})
        assert retcode(session.send(request, timeout=30)) == 0
        assert retcode(session.send(request, timeout=30)) == UNAUTHENTICATED
        changed = flow.signed("POST", "/job/query", {"job_id": "1"})
        changed.body = changed.body.replace(b"1", b"2")  # type: ignore[union-attr, arg-type]
        assert retcode(session.send(changed, timeout=30)) == UNAUTHENTICATED


def test_an_app_key_with_an_underscore_is_found_all_the_same(flow: Flow) -> None:
    """As FATE's own client sends it; Werkzeug 2.3 and nginx drop it."""
    request = flow.signed("POST", "/job/query", {"job_id": "1"})
    request.headers["APP_KEY"] = request.headers.pop("APP-KEY")
    with requests.Session() as session:
        assert retcode(session.send(request, timeout=30)) == 0


def test_a_client_of_our_own_table(flow: Flow, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of 16 or more\n")
    secret.chmod(0o600)
    flow.fate_ext("client", "add", "analyst", "--name", "Ann", "--path", "/v1/job/*", "--secret-file", str(secret))
    own, flow.keys = flow.keys, ("analyst", "a secret of 16 or more")
    try:
        wait_until(lambda: retcode(flow.post("/job/query", {"job_id": "1"})) == 0, what="the client to be known")
        assert retcode(flow.post("/data/upload", {})) == UNAUTHENTICATED
        assert "forbidden path" in audit_log(flow)[-1]["reason"]
    finally:
        flow.keys = own


@pytest.mark.parametrize(("section", "says"), [
    ({"authentication": None}, "authentication is missing"),
    ({"authentication": {"digest": "sha3"}}, "Must be one of: sha256, md5"),
    ({"authentication": {}, "data_dir": "/proc/nowhere"}, "master key can't be written"),
    ({"authentication": {}, "no_such_key": 1}, "unknown key"),
])
def test_broken_settings_refuse_every_request_and_only_the_log_says_why(
    make_flow: MakeFlow, features: Path, section: Dict[str, Any], says: str
) -> None:
    settings = {**section_of(features), **section}
    if settings["authentication"] is None:
        del settings["authentication"]
    flow = make_flow(settings, conf=CONF, start=False)
    flow.keys = KEYS
    flow.start()
    for path in ("/job/query", "/version/get"):
        answer = flow.post(path, {"job_id": "1"}).json()
        assert (answer["retcode"], answer["retmsg"]) == (UNAUTHENTICATED, InvalidSettings.cover)
    assert retcode(status_change(flow, "202201010000000000000")) == UNAUTHENTICATED
    assert says in flow.log()
    flow.stop()


def test_a_task_worker_pays_little_for_the_import(flow: Flow, installation: Installation) -> None:
    """What a worker has imported is there already; measured beside it, and nothing may be opened."""
    code = (
        "import sys, time; import fate_flow.hook, fate_flow.db.db_models; before = set(sys.modules); "
        "started = time.perf_counter(); import fate_ext_plugin.hook.client_authentication, "
        "fate_ext_plugin.hook.site_authentication, fate_ext_plugin.hook.permission; "
        "print(time.perf_counter() - started); "
        "new = set(sys.modules) - before; assert not {'marshmallow', 'duckdb', 'Crypto', 'flask'} & new, new")
    output = subprocess.run([installation.python, "-c", code], check=True, stdout=subprocess.PIPE, text=True,
                            env=flow.environment(), cwd=flow.folder).stdout
    assert float(output.split()[-1]) < 0.06


BOTH_DIRECTIONS = """
import json, sys
from peewee import SqliteDatabase
from fate_flow.db import key_manager
from fate_flow.hook import HookManager
from fate_flow.hook.common.parameters import AuthenticationParameters, SignatureParameters
import fate_flow.hook.flow.site_authentication  # the built-in hooks
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.nonces import MemoryNonces
from fate_ext_plugin.auth.site_auth import SiteAuthentication
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import Unauthenticated

path, digest = sys.argv[1:]
now = [1_800_000_000.0]
store = Store(SqliteDatabase(path))
migrate(store)
keys = SiteKeys(store, SecretBox(b"k" * 32))
keys.add_private("9999")
keys.set_policy("9999", md5=digest == "md5")
pair = keys.ring().private["9999"][0].rsa
key_manager.RsaKeyManager.get_key = classmethod(
    lambda cls, party_id, key_name: pair.pem if key_name == "private" else pair.public_pem)

def site(party):
    nonces = MemoryNonces(lambda: now[0], lambda: now[0])
    return SiteAuthentication(keys, party, nonces, None, digest, 120, 60, lambda: now[0])

def built_in_accepts(signature, body):
    return HookManager.SITE_AUTHENTICATION[0](AuthenticationParameters("9999", signature, body)).code == 0

def we_accept(signature, body):
    try:
        partner.check("9999", signature, body)
    except Unauthenticated:
        return False
    return True

ours, partner = site("9999"), site("10000")
found = {}
for name, body in (("empty", {}), ("full", {"note": "\\u4e2d\\u6587", "list": [1, None, 0.5]})):
    theirs = HookManager.SITE_SIGNATURE[0](SignatureParameters("9999", body)).site_signature
    signed = ours.sign("", body)
    keys.set_policy("9999", envelope="off")
    keys.set_policy("9999", envelope="auto")  # no envelope seen yet
    found[name] = [we_accept(theirs, body), built_in_accepts(signed, body),
                   built_in_accepts(signed, [body]), we_accept(signed, [body]), we_accept(signed, body)]
    now[0] += 1000
    found[name].append(we_accept(signed, body))
    now[0] += 1
print(json.dumps(found))
"""


def test_the_built_in_hooks_accept_ours_and_we_theirs(flow: Flow, installation: Installation, tmp_path: Path) -> None:
    """The real ones, MD5 in 1.9 and 1.10; and what they can't do: refuse what is sent again, or with another body."""
    digest = "sha256" if installation.version >= (1, 11) else "md5"
    output = subprocess.run(
        [installation.python, "-c", BOTH_DIRECTIONS, str(tmp_path / "keys.db"), digest], check=True,
        stdout=subprocess.PIPE, text=True, env=flow.environment(), cwd=flow.folder).stdout
    # we accept theirs, they ours; nobody another body; we accept ours at once, not a quarter of an hour later
    for name, (theirs, accepted, they_other, we_other, at_once, later) in json.loads(output.splitlines()[-1]).items():
        assert (theirs, accepted, at_once) == (True, True, True), name
        assert (they_other, we_other, later) == (False, False, False), name
