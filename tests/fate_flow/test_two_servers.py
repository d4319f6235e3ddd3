"""One party with two FATE Flow servers on one MySQL, nginx in front of them, and the plugin mounted in both.

`fateflow.nginx` names nginx. Either server may schedule a job: FATE Flow has a lock for that. They share the folders of
tables and of jobs, as over NFS. Without ZooKeeper a FATE Flow stops the tasks of servers on other machines, so both are
on this one, and know each other's tasks by their process IDs.
"""
import os
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest
import requests

from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import Flow, Installation
from tests.support.nginx import Nginx
from tests.support.site import wait_until

NUMBERS = range(990, 1010)

pytestmark = pytest.mark.skipif(
    os.environ.get("FATE_FLOW_MYSQL") != "1", reason="several servers share a MySQL: needs FATE_FLOW_MYSQL=1")


class Party(NamedTuple):
    one: Flow
    two: Flow
    nginx: Nginx


@pytest.fixture(scope="module")
def party(
    installation: Installation, features: Path, slow_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Party]:
    if not installation.api_reader_works:
        pytest.skip("ApiReader of this FATE Flow uploads an empty file")
    installation.forget_ours()
    folder = tmp_path_factory.mktemp("party")
    flows = [Flow(installation, folder / name, None, pythonpath=(slow_source,)) for name in ("one", "two")]
    nginx = Nginx(folder / "nginx", [f"127.0.0.1:{flow.port}" for flow in flows], "/")
    one, two = flows
    for name in ("data", "fateflow/jobs"):
        (one.folder / name).mkdir()
        (two.folder / name).symlink_to(one.folder / name)
    section = section_of(features, trusted_proxies=["127.0.0.1"])
    section["views"]["slow"] = {"source": {"type": "slow", "seconds": 5}, "columns": ["length"]}
    for flow in flows:
        flow.configure(
            section, {"fateflow": {"nginx": {"host": "127.0.0.1", "http_port": nginx.port}}})
    try:
        one.start()
        two.start(beside=one)
        yield Party(one, two, nginx.start())
    finally:
        nginx.stop()
        for flow in flows:
            flow.stop()


def test_the_registry_has_one_url_nginx_s(party: Party) -> None:
    assert party.one.registry() == party.two.registry()
    assert party.one.service("upload").startswith(f"http://127.0.0.1:{party.nginx.port}/v1/ext/upload?token=")
    _, printed = party.one.command("check", "--conf", str(party.one.conf))
    assert "ok      servers: 2 of 2 show life, each with files of its own" in printed, printed


def test_an_api_reader_uploads_to_one_server_and_downloads_from_the_other(party: Party) -> None:
    """nginx takes them in turn, so one more request in between makes the download the other one's."""
    party.one.upload_table("ids", ids_of(NUMBERS))
    job_id = party.two.submit(view="slow")
    wait_until(lambda: "POST /v1/ext/upload" in party.nginx.log(), 120, "the upload")
    requests.get(f"http://127.0.0.1:{party.nginx.port}/v1/ext/health", timeout=20).raise_for_status()
    assert party.two.wait(job_id) == "success", party.two.report(job_id)
    assert len(party.two.output(job_id)) == 1 + len(NUMBERS)
    assert served(party, "upload") != served(party, "download")


def test_either_server_runs_a_job(party: Party) -> None:
    assert party.one.output(party.one.run(view="credit")) == expected(NUMBERS)


def served(party: Party, service: str) -> str:
    """The server that nginx gave the only request of this service to."""
    (line,) = [line for line in party.nginx.log().splitlines() if f"POST /v1/ext/{service}" in line]
    return line.rpartition(" ")[2]
