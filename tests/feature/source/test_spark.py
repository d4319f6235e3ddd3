"""Source ``spark``: the site's own Spark joins a data lake or a Hive table, and answers as source ``file`` does.

The cluster is a real one: a master and two workers. What no executor has a part in is asked of ``local[1]``, which
starts sooner.
"""
import os
import socket
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence

import duckdb
import pytest
from marshmallow import ValidationError

from fate_ext_plugin.errors import InvalidFeature, InvalidRequestBody, NoData, SourceError
from fate_ext_plugin.feature.source.file import FileSchema, FileSource
from fate_ext_plugin.feature.source.spark import SparkSchema, SparkSource
from fate_ext_plugin.feature.source.spark.application import application
from fate_ext_plugin.feature.source.spark.shared_folder import STALE_MS
from fate_ext_plugin.feature.view import Parameter
from tests.conftest import MakeSite
from tests.support.api_reader import ApiReader
from tests.support.site import free_port, wait_until
from tests.support.slow_source import jobs_of
from tests.support.spark_cluster import SparkCluster, require_spark

Ask = Callable[..., List[str]]
LOCAL = "local[1]"
MONTH = {"month": Parameter(pattern=r"\d{6}", required=True)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    require_spark()
    cluster = SparkCluster(tmp_path_factory.mktemp("spark"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def conf(cluster: SparkCluster, tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """With a Hive metastore of its own, in a folder."""
    warehouse = tmp_path_factory.mktemp("warehouse")
    return {**cluster.conf, "spark.sql.warehouse.dir": str(warehouse),
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={warehouse}/metastore;create=true"}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with a part for each month: IDs u0 .. u999 in two files."""
    for month in (202201, 202202):
        for part in (0, 1):
            parquet(tmp_path / f"lake/month={month}/part-{part}.parquet",
                    f"SELECT 'u' || i AS id, i * {month} AS amount, i / 7 AS score FROM range(1000) t(i) "
                    f"WHERE i % 2 = {part}")
    return tmp_path / "lake"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def spark(shared: Path, conf: Dict[str, Any]) -> Callable[..., SparkSource]:
    """A source; keywords are its settings."""

    def make(**options: Any) -> SparkSource:
        if isinstance(options.get("path"), Path):
            options["path"] = options["path"].as_uri()
        return SparkSource(SparkSchema().load(
            {"master": LOCAL, "shared_path": shared.as_uri(), **options, "conf": {**conf, **options.get("conf", {})}}))

    return make


def file(path: Any, **options: Any) -> FileSource:
    return FileSource(FileSchema().load({"path": str(path), **options}))


def parquet(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


# --- the same answers as source file, row for row ---

TYPES = {
    "flag": "i % 2 = 0", "tiny": "i::TINYINT", "small": "-i::SMALLINT", "whole": "i::INTEGER",
    "big": "12345678901234567 + i", "byte": "(248 + i)::UTINYINT", "unsigned": "(4294967288 + i)::UINTEGER",
    "huge": "(18446744073709551600 + i)::UBIGINT",
    "single": "(i / 7)::FLOAT", "double": "[0.1, 1e-7, 1e22, 'nan', 'inf', '-inf', -0.0, 0.1::DOUBLE + 0.2][1 + i]::DOUBLE",
    "money": "(i / 8)::DECIMAL(5, 2)", "fine": "(i / 1e8)::DECIMAL(38, 10)", "none": "NULL::INTEGER",
    "day": "[DATE '2022-01-31', '0001-01-01', '1582-10-10', '9999-12-31'][1 + i % 4]",
    "time": "TIMESTAMP '1500-03-01 12:00:00' + INTERVAL (i * 100000000.000001) SECOND",
    "instant": "TIMESTAMPTZ '2022-03-27 00:59:59.5+00' + INTERVAL (i) SECOND",
    "milliseconds": "(TIMESTAMP '2022-01-31 12:00:00' + INTERVAL (i) MILLISECOND)::TIMESTAMP_MS",
    "name": "[NULL, '', 'ü中', 'a''b', 'NULL', ' x', '007', 'x'][1 + i]",
    "bytes": "('ab' || chr(i::INTEGER))::BLOB", "list": "[i]", "struct": "{'a': i / 7}", "map": "MAP {'k': [i]}",
    'odd "name" `of.a;column`': "i", "end": "'x'",
}


def test_each_type_on_the_cluster(cluster: SparkCluster, spark: Any, ask: Ask, tmp_path: Path) -> None:
    columns = ", ".join(f"{value} AS \"{name.replace(chr(34), 2 * chr(34))}\"" for name, value in TYPES.items())
    path = parquet(tmp_path / "types/f.parquet", f"SELECT 'u' || i AS id, {columns} FROM range(8) t(i)")
    ids = [f"u{i}" for i in range(9)]
    more = {"missing_ids": "keep", "null_value": "nil"}
    answer = ask(spark(master=cluster.master, path=path.parent), ids, list(TYPES), **more)
    assert answer[0] == ",".join(["id", *TYPES]) and len(answer) == 10
    assert sorted(answer) == sorted(ask(file(path), ids, list(TYPES), **more))
    assert cluster.running() == []


@pytest.mark.parametrize("wanted", [{}, {"duplicate_rows": "first"}])
def test_a_month_of_a_lake_on_the_cluster(
    cluster: SparkCluster, spark: Any, ask: Ask, lake: Path, wanted: Dict[str, str]
) -> None:
    ids = [f"u{i}" for i in range(0, 1200, 3)]
    wanted = {**wanted, "path_values": {"month": "202202"}}  # type: ignore[dict-item]
    answers = [sorted(ask(source, ids, ["score", "amount"], **wanted)) for source in (
        spark(master=cluster.master, path=f"{lake.as_uri()}/month={{month}}"),
        file(f"{lake}/month={{month}}/*.parquet"))]
    assert answers[0] == answers[1] and len(answers[0]) == 335
