"""One party with two FATE Flow servers on one MySQL, nginx in front of them, and the plugin mounted in both.

FATE Flow's own way: `fateflow.nginx` names nginx, and each server has a host of its own, by which it knows the tasks
that it runs itself. Either may schedule a job. They share the folders of tables and of jobs, as over NFS.
"""
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

from tests.fate_flow.conftest import expected, ids_of, section_of
from tests.fate_flow.flow import Flow, Installation
from tests.support.nginx import Nginx

NUMBERS = range(990, 1010)

pytestmark = pytest.mark.skipif(
    os.environ.get("FATE_FLOW_MYSQL") != "1", reason="several servers share a MySQL: needs FATE_FLOW_MYSQL=1")


class Party(NamedTuple):
    one: Flow
    two: Flow
    nginx: Nginx


@pytest.fixture(scope="module")
def party(installation: Installation, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    if not installation.api_reader_works:
        pytest.skip("ApiReader of this FATE Flow uploads an empty file")
    folder = tmp_path_factory.mktemp("party")
    flows = [Flow(installation, folder / name, None, host=host)
             for name, host in (("one", "127.0.0.1"), ("two", "127.0.0.2"))]
    nginx = Nginx(folder / "nginx", [f"{flow.host}:{flow.port}" for flow in flows], "/")
    one, two = flows
    for name in ("data", "fateflow/jobs"):
        (one.folder / name).mkdir()
        (two.folder / name).symlink_to(one.folder / name)
    for flow in flows:
        flow.configure(
            section_of(features, trusted_proxies=["127.0.0.1"]),
            {"fateflow": {"nginx": {"host": "127.0.0.1", "http_port": nginx.port}}})
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
    assert "ok      servers: 2 of 2 show life, each with files of its own" in printed


def test_an_api_reader_uploads_to_one_server_and_downloads_from_the_other(party: Party) -> None:
    party.one.upload_table("ids", ids_of(NUMBERS))
    ways: List[Dict[str, Any]] = []
    for flow in (party.one, party.two):
        job_id = flow.run()
        assert flow.output(job_id) == expected(NUMBERS)
        ways.append(way(party))
    print(ways)
    assert any(taken["upload"] != taken["download"] for taken in ways), ways


def way(party: Party) -> Dict[str, str]:
    """Which server nginx gave each of the last job's requests to."""
    found = {}
    for line in party.nginx.log().splitlines():
        for service in ("upload", "query", "download"):
            if f"/v1/ext/{service}" in line:
                found[service] = line.rpartition(" ")[2]
    return found
