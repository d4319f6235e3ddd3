"""Faults under a real FATE Flow: its jobs end with the reason, and it goes on serving."""
import os
import signal
from pathlib import Path
from typing import Any, Dict

import pytest
import requests

from tests.fate_flow.features import expected, ids_of, section_of
from tests.fate_flow.flow import Flow, Installation, MakeFlow
from tests.fate_flow.switches import CONF, KEYS, UNAUTHENTICATED
from tests.support.background import Background
from tests.support.disk import Disk
from tests.support.mariadb import PASSWORD, MariaDB
from tests.support.site import wait_until


@pytest.fixture
def api_reader_works(installation: Installation) -> None:
    if not installation.api_reader_works:
        pytest.skip("ApiReader uploads an empty file before FATE Flow 1.11.1")


def section(features: Path) -> Dict[str, Any]:
    found = section_of(features, default_view="credit")
    found["views"]["slow"] = {"source": {"type": "slow", "seconds": 20}, "columns": ["length"]}
    return found


def own(database: MariaDB) -> Dict[str, Any]:
    """The section ``database`` of FATE Flow."""
    return {"name": "own", "user": "own", "passwd": PASSWORD, "host": "127.0.0.1", "port": database.port}


def joining(flow: Flow) -> int:
    """The process of the feature job that runs: what a child does that was given a task."""
    def found() -> Any:
        log = flow.folder / "fateflow" / "fate_ext" / "jobs"
        running = any(log.glob("*/scratch.*"))
        return running and [pid for pid, line in flow.group().items() if "engine.worker" in line]
    return int(wait_until(found, 120, "the feature job's process")[0])


@pytest.mark.usefixtures("api_reader_works")
def test_a_feature_job_s_process_is_killed(make_flow: MakeFlow, features: Path, slow_source: Path) -> None:
    flow = make_flow(section(features), pythonpath=(slow_source,))
    flow.upload_table("ids", ids_of(range(20)))
    job_id = flow.submit(alone=True, view="slow")
    os.kill(joining(flow), signal.SIGKILL)
    assert flow.wait(job_id) == "failed"
    assert "The job's process was killed by SIGKILL" in flow.logs_of(job_id)
    assert flow.output(flow.run()) == expected(range(20))


@pytest.mark.usefixtures("api_reader_works")
def test_the_disk_is_full_during_an_api_reader_job(make_flow: MakeFlow, features: Path, slow_source: Path) -> None:
    flow = make_flow(section(features), start=False, pythonpath=(slow_source,))
    disk = Disk(flow.folder / "fateflow" / "fate_ext")
    try:
        flow.start()
        flow.upload_table("ids", ids_of(range(20_000)))  # so many that their result does not fit
        job_id = flow.submit(alone=True, view="slow")
        joining(flow)
        filler = disk.fill()
        assert flow.wait(job_id) == "failed"
        assert "The disk of data_dir" in flow.logs_of(job_id)
        flow.call("/version/get", {})
        filler.unlink()
        assert flow.output(flow.run()) == expected(range(20_000))
    finally:
        flow.stop()
        disk.close()


@pytest.mark.usefixtures("api_reader_works")
def test_the_database_is_killed_and_started_again(
    make_flow: MakeFlow, features: Path, slow_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FATE Flow's own MariaDB, while an ApiReader's query is held."""
    database = MariaDB(tmp_path).start()
    monkeypatch.setenv("FATE_FLOW_MYSQL", "1")
    flow = make_flow(section(features), pythonpath=(slow_source,), conf={"database": own(database)})
    try:
        flow.upload_table("ids", ids_of(range(20)))
        job_id = flow.submit(alone=True, view="slow")
        joining(flow)
        database.kill()
        database.start()
        assert flow.wait(job_id) == "success", flow.report(job_id)
    finally:
        flow.stop()
        database.stop()


def test_the_database_hangs_and_a_signed_request_does_not(
    make_flow: MakeFlow, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FATE Flow's own MariaDB is frozen, and goes on only when the request has been refused."""
    database = MariaDB(tmp_path).start()
    monkeypatch.setenv("FATE_FLOW_MYSQL", "1")
    flow = make_flow(section_of(features, authentication={"nonces": "database"}), start=False, conf={
        **CONF, "database": own(database)})
    flow.keys = KEYS
    try:
        flow.start()
        flow.call("/version/get", {})
        database.freeze()
        refused = Background(lambda: flow.post("/version/get", {}).json())
        assert refused.result()["retcode"] == UNAUTHENTICATED
        assert requests.get(f"{flow.url}/v1/ext/health", timeout=30).status_code == 200
        database.thaw()
        wait_until(lambda: flow.post("/version/get", {}).json()["retcode"] == 0, what="requests to be served again")
    finally:
        database.thaw()
        flow.stop()
        database.stop()
