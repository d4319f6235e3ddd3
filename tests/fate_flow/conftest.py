import os
import shutil
from pathlib import Path
from typing import Any, Iterator, List

import duckdb
import pytest

from tests.fate_flow.features import COUNT, ids_of, section_of
from tests.fate_flow.flow import Flow, Installation, MakeFlow
from tests.fate_flow.permission import CONF, forget_grants


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The FATE Flow that FATE_PROJECT_BASE names. It is not in CI: FATE takes gigabytes."""
    base = os.environ.get("FATE_PROJECT_BASE")
    if not base:
        pytest.skip("FATE_PROJECT_BASE names no FATE installation")
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("these tests share one FATE installation: pytest -n 0 tests/fate_flow")
    return Installation(Path(base).resolve())


@pytest.fixture(scope="module")
def make_flow(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeFlow]:
    """Make servers, started unless told otherwise; all are stopped in the end. On MySQL they begin without what other
    servers, with master keys of their own, have left in our tables."""
    flows: List[Flow] = []
    installation.forget_ours()

    def make(section: Any, start: bool = True, **options: Any) -> Flow:
        flow = Flow(installation, tmp_path_factory.mktemp("server") / "fate", section, **options)
        flows.append(flow)
        return flow.start() if start else flow

    yield make
    for flow in flows:
        flow.stop()


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Months of features: 202201 is fine, 202202 has two rows for u505, 202203 is garbage."""
    folder = tmp_path_factory.mktemp("features")
    select = "SELECT 'u' || i AS id, i / 8 AS amount, CASE WHEN i % 10 = 0 THEN NULL ELSE i END AS age"
    for month, rows in (("202201", f"{select} FROM range({COUNT}) t(i)"),
                        ("202202", f"{select} FROM range({COUNT}) t(i) UNION ALL {select} FROM range(505, 506) t(i)")):
        duckdb.execute(f"COPY ({rows}) TO '{folder / month}.parquet' (FORMAT parquet)")
    (folder / "202203.parquet").write_bytes(b"this is no Parquet file\n" * 100)
    return folder


@pytest.fixture(scope="session")
def slow_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with a source type ``slow``, as pip would install a third party's."""
    folder = tmp_path_factory.mktemp("site-packages")
    shutil.copy(Path(__file__).with_name("slow_source.py"), folder)
    info = folder / "slow_source-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fate_ext_plugin.sources]\nslow = slow_source:SlowSource\n")
    return folder


@pytest.fixture(scope="module")
def shared_permission_flow(make_flow: MakeFlow, features: Path) -> Flow:
    return make_flow(section_of(features, permission={}), conf=CONF, start=False)


@pytest.fixture
def permission_flow(shared_permission_flow: Flow) -> Iterator[Flow]:
    """A site with no grants; its database may hold some of earlier runs."""
    flow = shared_permission_flow
    if not flow.process:
        flow.start()
        flow.upload_table("ids", ids_of(range(990, 1010)))
    forget_grants(flow)
    yield flow
    forget_grants(flow)
