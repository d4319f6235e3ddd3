"""Two sites, each a FATE Flow of its own with the plugin: they sign for each other, and a job runs across both."""
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import pytest
import requests

from fate_ext_plugin.audit.search import read
from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import GUEST, HOST, Flow, Installation, MakeFlow
from tests.fate_flow.switches import CLIENT, HOOKS, KEYS, UNAUTHENTICATED, retcode

pytestmark = pytest.mark.skipif(
    os.environ.get("FATE_FLOW_MYSQL") == "1", reason="two servers on one MySQL would run each other's jobs")


class Sites(NamedTuple):
    guest: Flow
    host: Flow


@pytest.fixture(scope="module")
def sites(make_flow: MakeFlow, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Each holds its own private key and the other's public one, and reaches the other through FATE Flow's proxy."""
    both = Sites(*(make_flow(section_of(features, authentication={}), start=False) for _ in range(2)))
    for here, there, party in ((both.guest, both.host, GUEST), (both.host, both.guest, HOST)):
        here.keys = KEYS
        here.configure(section_of(features, authentication={}), conf_of(party, there))
    both.guest.start()
    both.host.start(beside=both.guest)
    keys = tmp_path_factory.mktemp("keys")
    for here, there, party in ((both.guest, both.host, GUEST), (both.host, both.guest, HOST)):
        here.fate_ext("key", "export", str(keys / f"{party}.pem"))
        there.fate_ext("key", "add", str(party), str(keys / f"{party}.pem"))
        here.upload_table("ids", ids_of(range(990, 1010)))
    return both


def conf_of(party: int, other: Flow) -> Dict[str, Any]:
    proxy = {"name": "fateflow", "host": "127.0.0.1", "http_port": other.port}
    return {"party_id": party, "authentication": {"client": CLIENT, "site": {"switch": True}}, "hook_module": HOOKS,
            "fateflow": {"proxy": proxy}}


def audit_log(flow: Flow) -> List[Dict[str, Any]]:
    time.sleep(0.2)
    return list(read(flow.folder / "fateflow" / "fate_ext" / "audit"))[::-1]


def test_a_job_runs_across_both(sites: Sites, installation: Installation) -> None:
    job_id = sites.guest.submit(apart=True)
    ended = sites.guest.wait(job_id)
    if installation.api_reader_works:
        assert ended == "success", sites.guest.report(job_id)
        assert sites.host.output(job_id) == expected(range(990, 1010))
    for here, other in ((sites.guest, HOST), (sites.host, GUEST)):
        decisions = Counter((entry["allowed"], entry["reason"]) for entry in audit_log(here)
                            if entry["check"] == "site" and entry["who"] == str(other))
        assert decisions.keys() == {(True, "envelope")} and decisions[True, "envelope"] > 2


def test_a_request_that_one_site_signed_counts_once_at_the_other(sites: Sites) -> None:
    """As somebody on the way could send it again: later than FATE's own tries, or on another path."""
    signature = sites.guest.site_headers(GUEST, {})["SITE-SIGNATURE"]
    url = f"{sites.host.url}/v1/party/202201010000000000000/host/{HOST}/status/canceled"
    headers = {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": signature}
    tries = [retcode(requests.post(url, json={}, headers=headers, timeout=30)) for _ in range(4)]
    assert UNAUTHENTICATED not in tries[:3] and tries[3] == UNAUTHENTICATED
    headers["SITE-SIGNATURE"] = sites.guest.site_headers(GUEST, {})["SITE-SIGNATURE"]
    assert retcode(requests.post(url, json={"changed": 1}, headers=headers, timeout=30)) == UNAUTHENTICATED
    assert retcode(requests.post(url, json={}, headers={**headers, "SRC-PARTY-ID": str(HOST)}, timeout=30)
                   ) == UNAUTHENTICATED


def test_a_signature_without_the_envelope_is_a_downgrade_by_now(sites: Sites) -> None:
    bare = sites.guest.site_headers(GUEST, {})["SITE-SIGNATURE"].partition("~")[0]
    url = f"{sites.host.url}/v1/party/202201010000000000000/host/{HOST}/status/canceled"
    headers = {"SRC-PARTY-ID": str(GUEST), "SITE-SIGNATURE": bare}
    assert retcode(requests.post(url, json={}, headers=headers, timeout=30)) == UNAUTHENTICATED
    assert audit_log(sites.host)[-1]["reason"] == "downgrade"
