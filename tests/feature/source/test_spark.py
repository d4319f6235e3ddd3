"""Source ``spark``: the site's own Spark joins a data lake or a Hive table, and answers as source ``file`` does.

The cluster is a real one: a master and two workers. What no executor has a part in is asked of ``local[1]``, which
starts sooner.
"""
import gzip
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import duckdb
import pytest
from marshmallow import ValidationError

from fate_ext_plugin.errors import InvalidFeature, InvalidRequestBody, NoData, SourceError
from fate_ext_plugin.feature.source import Join
from fate_ext_plugin.feature.source.file import FileSchema, FileSource
from fate_ext_plugin.feature.source.spark import START_SHARE, SparkSchema, SparkSource
from fate_ext_plugin.feature.source.spark.application import application
from fate_ext_plugin.feature.source.spark.shared_folder import STALE_MS
from fate_ext_plugin.feature.view import Parameter
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
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
    derby = f"jdbc:derby:;databaseName={warehouse}/metastore;create=true"
    return {**cluster.conf, "spark.sql.warehouse.dir": str(warehouse),
            "spark.hadoop.javax.jdo.option.ConnectionURL": derby}


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
            options["path"] = f"file://{options['path']}"
        more = options.pop("conf", {})
        return SparkSource(SparkSchema().load(
            {"master": LOCAL, "shared_path": f"file://{shared}", "conf": {**conf, **more}, **options}))

    return make


def file(path: Any, **options: Any) -> FileSource:
    return FileSource(FileSchema().load({"path": str(path), **options}))


def parquet(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


# --- settings ---


SETTINGS = {"master": "yarn", "path": "hdfs:///lake/{month}", "shared_path": "hdfs:///tmp"}


@pytest.mark.parametrize("changes, key, said", [
    ({"master": "127.0.0.1:7077"}, "master", "Must be spark://host:port, yarn, or local"),
    ({"master": "spark://user@host:7077"}, "master", "Must be spark://host:port, yarn, or local"),
    ({"path": None}, "table", "Give either table or path"),
    ({"table": "credit"}, "table", "Give either table or path"),
    ({"path": None, "table": "a.b.c.d"}, "table", "Must be a table's name"),
    ({"path": "/lake"}, "path", "Must be a url"),
    ({"path": "hdfs:///lake/**/x"}, "path", r"Spark knows no \*\*"),
    ({"shared_path": "hdfs://user:pass@host/tmp"}, "shared_path", "Holds a password"),
    ({"format": "avro"}, "format", "Must be one of: parquet, orc, csv"),
    ({"conf": {"hive.metastore.uris": "thrift://h"}}, "conf", "Must start with spark"),
    ({"conf": {"spark.sql.session.timeZone": "CET"}}, "conf", "The source sets this itself"),
    ({"conf": {"spark.hadoop.fs.s3a.secret.key": "x"}}, "conf", "May hold a secret"),
    ({"conf": {"spark.ssl.keyPassword": "x"}}, "conf", "May hold a secret"),
    ({"conf": {"spark.driver.extraJavaOptions": "-Djavax.net.ssl.keyStorePassword=x"}}, "conf", "May hold a secret"),
    ({"conf": {"spark.executor.cores": [1]}}, "conf", "Must be a text, a number, true or false"),
])
def test_settings_that_are_refused(changes: Dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SparkSchema().load({name: value for name, value in {**SETTINGS, **changes}.items() if value is not None})
    assert re.search(said, str(caught.value.messages_dict[key]))


def test_conf_is_text_as_spark_writes_it() -> None:
    conf = SparkSchema().load({**SETTINGS, "conf": {"spark.a": True, "spark.b": 2, "spark.c": "1g"}})["conf"]
    assert conf == {"spark.a": "true", "spark.b": "2", "spark.c": "1g"}


def test_parameters_fill_the_path_or_have_a_column() -> None:
    by_column = {"month": Parameter(pattern=r"\d{6}", column="month")}
    lake, table = (SparkSource(SparkSchema().load(settings)) for settings in (
        SETTINGS, {"master": "yarn", "table": "credit.monthly", "shared_path": "hdfs:///tmp"}))
    lake.check_parameters(MONTH)
    table.check_parameters(by_column)
    with pytest.raises(ValidationError, match="The path's placeholders month are no parameters"):
        lake.check_parameters(by_column)
    with pytest.raises(ValidationError, match="month: a table has no path to fill; give each a column"):
        table.check_parameters(MONTH)


@pytest.mark.parametrize("value", ["..", "a/b", "*", "", "{m}", "a b", "-x"])
def test_a_value_never_leaves_its_place_in_the_path(value: str) -> None:
    source = SparkSource(SparkSchema().load(SETTINGS))
    with pytest.raises(InvalidRequestBody, match="can't be part of a path"):
        source.check(Join("id", ["x"], path_values={"month": value}))


# --- the same answers as source file, row for row ---

TYPES = {
    "flag": "i % 2 = 0", "tiny": "i::TINYINT", "small": "-i::SMALLINT", "whole": "i::INTEGER",
    "big": "12345678901234567 + i", "byte": "(248 + i)::UTINYINT", "unsigned": "(4294967288 + i)::UINTEGER",
    "huge": "(18446744073709551600 + i)::UBIGINT",
    "single": "(i / 7)::FLOAT",
    "double": "[0.1, 1e-7, 1e22, 'nan', 'inf', '-inf', -0.0, 0.1::DOUBLE + 0.2][1 + i]::DOUBLE",
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
    wait_until(lambda: cluster.running() == [], what="the application to leave the cluster")


def test_a_month_of_a_lake(spark: Any, ask: Ask, lake: Path) -> None:
    ids = [f"u{i}" for i in range(0, 1200, 3)]
    answers = [sorted(ask(source, ids, ["score", "amount"], path_values={"month": "202202"})) for source in (
        spark(path=f"file://{lake}/month={{month}}"), file(f"{lake}/month={{month}}/*.parquet"))]
    assert answers[0] == answers[1] and len(answers[0]) == 335


@pytest.mark.parametrize("kind, value, ids", [
    ("INTEGER", "i", ["7", "007", "+7", " 7", "7.0", "x", "9" * 60]),
    ("DECIMAL(10, 2)", "i / 4", ["1.75", "1.7500", "7", "7.00"]),
    ("DOUBLE", "i / 4", ["1.75", "0.0", "0", "1.0"]),
    ("DATE", "DATE '2022-01-31' + i::INTEGER", ["2022-01-31", "2022-1-31", "20220131"]),
])
def test_ids_are_compared_as_text(spark: Any, ask: Ask, tmp_path: Path, kind: str, value: str, ids: List[str]) -> None:
    path = parquet(tmp_path / "f/f.parquet", f"SELECT ({value})::{kind} AS id, i AS x FROM range(30) t(i)")
    answer = sorted(ask(spark(path=path.parent), ids, ["x"]))
    assert answer == sorted(ask(file(path), ids, ["x"])) and 1 < len(answer) <= len(ids)


def test_the_first_of_two_rows_is_that_of_the_first_file(spark: Any, ask: Ask, tmp_path: Path) -> None:
    """Spark reads the largest file first."""
    for part, rows in (("a", 10), ("b", 5000), ("c", 300)):
        parquet(tmp_path / f"f/{part}.parquet",
                f"SELECT 'u' || i // 2 AS id, '{part}' || i AS x FROM range({rows}) t(i)")
    ids = [f"u{i}" for i in range(2000)]
    source = spark(path=tmp_path / "f")
    answer = sorted(ask(source, ids, ["x"], duplicate_rows="first"))
    assert answer == sorted(ask(file(tmp_path / "f/*.parquet"), ids, ["x"], duplicate_rows="first"))
    assert "u0,a0" in answer and "u100,b200" in answer
    with pytest.raises(InvalidFeature, match="two rows or more for ID 'u0'"):
        ask(source, ids, ["x"])


def test_values_that_fate_would_misread(spark: Any, ask: Ask, tmp_path: Path) -> None:
    path = parquet(tmp_path / "f/f.parquet", "SELECT 'a' AS id, 'x,\"y\"' AS x, 'end\u00a0 ' AS y, [1, 2] AS l")
    source = spark(path=path.parent)
    assert ask(source, ["a"], ["x", "l", "y"], misread_values="replace") == ["id,x,l,y", "a,x__y_,[1_ 2],end_"]
    with pytest.raises(InvalidFeature, match="Column 'l' of ID 'a' holds"):
        ask(source, ["a"], ["l"])


def test_csv(spark: Any, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "1.csv").write_text('id;x;y\na;1.10;007\nb;"quo""t;ed";\nc;"";"x\ny"\n#d; z ;true\n')
    (tmp_path / "f" / "2.csv").write_text("id;x;y\ne;;2\n")
    more = {"misread_values": "replace", "null_value": "nil"}
    answer = sorted(ask(spark(path=tmp_path / "f", format="csv", delimiter=";"), list("abc") + ["#d", "e"], ["x", "y"],
                        **more))
    assert answer == sorted(ask(file(tmp_path / "f/*.csv", delimiter=";"), list("abc") + ["#d", "e"], ["x", "y"],
                                **more))
    assert answer == ["#d, z ,true", "a,1.10,007", "b,quo_t;ed,nil", "c,nil,x_y", "e,nil,2", "id,x,y"]


@pytest.mark.parametrize("second", ["id,y,x\nb,1,2\n", "id,x,y\nb,1\n", "id,x,y\nb,1,2,3\n"])
def test_csv_files_that_differ_are_refused(spark: Any, ask: Ask, tmp_path: Path, second: str) -> None:
    """Never read by position, nor half of it left out."""
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "1.csv").write_text("id,x,y\na,1,2\n")
    (tmp_path / "f" / "2.csv").write_text(second)
    with pytest.raises(SourceError, match="^Spark failed: "):
        ask(spark(path=tmp_path / "f", format="csv"), ["a", "b"], ["x", "y"])


def test_orc(spark: Any, ask: Ask, tmp_path: Path, conf: Dict[str, Any]) -> None:
    """Its times have no zone, and get none."""
    with application(LOCAL, conf, False, tmp_path) as session:
        session.sql("SELECT 'a' AS id, 1.5D AS x, TIMESTAMP '2022-07-31 12:00:00.25' AS t").write.orc(f"file://{tmp_path}/orc")
    assert ask(spark(path=tmp_path / "orc", format="orc"), ["a"], ["x", "t"]) == [
        "id,x,t", "a,1.5,2022-07-31 12:00:00.25"]


# --- which rows: partitions and filters ---


def test_a_folder_is_filtered_by_its_partitions(spark: Any, ask: Ask, lake: Path) -> None:
    source = spark(path=lake)
    assert ask(source, ["u3"], ["amount", "month"], filters={"month": "202202"}) == [
        "id,amount,month", "u3,606606,202202"]
    with pytest.raises(NoData, match=r"^No data is stored for month=209901\.$"):
        ask(source, ["u3"], ["amount"], filters={"month": "209901"})


def test_nothing_under_the_path_is_told(spark: Any, ask: Ask, lake: Path) -> None:
    source = spark(path=f"file://{lake}/month={{month}}")
    (lake / "month=202203").mkdir()
    for month in ("209901", "202203"):
        with pytest.raises(NoData, match=f"^No data is stored for month={month}"):
            ask(source, ["u1"], ["amount"], path_values={"month": month})
    with pytest.raises(NoData, match=r"^The source has no files yet\.$"):
        ask(spark(path=lake / "nothing" / "*"), ["u1"], ["amount"])


FILTERED = "SELECT 'u' || i AS id, i AS x, i::INTEGER AS n, i / 4 AS d, i % 2 = 0 AS b, " \
    "DATE '2022-01-31' + i::INTEGER AS day, TIMESTAMP '2022-01-31 12:00:00' + INTERVAL (i) HOUR AS t, " \
    "TIMESTAMPTZ '2022-01-31 12:00:00+00' + INTERVAL (i) HOUR AS z, 'C' || i AS region FROM range(20) t(i)"


@pytest.mark.parametrize("filters, rows", [
    ({"region": "C7", "n": "07", "d": "1.750", "b": "false", "day": "2022/2/7", "t": "2022-01-31 19:00:00",
      "z": "2022-01-31 20:00:00+01"}, 1),
    ({"region": "c7"}, 0), ({"region": "C7' OR '1'='1"}, 0), ({"b": "true"}, 10)])
def test_a_column_equals_the_value(
    spark: Any, ask: Ask, tmp_path: Path, filters: Dict[str, str], rows: int
) -> None:
    path = parquet(tmp_path / "f/f.parquet", FILTERED)
    ids = [f"u{i}" for i in range(20)]
    answer = sorted(ask(spark(path=path.parent), ids, ["x"], filters=filters))
    assert answer == sorted(ask(file(path), ids, ["x"], filters=filters)) and len(answer) == 1 + rows


@pytest.mark.parametrize("filters, type_name", [({"n": "7.4"}, "INTEGER"), ({"day": "tomorrow"}, "DATE")])
def test_a_value_of_another_type_is_told(
    spark: Any, ask: Ask, tmp_path: Path, filters: Dict[str, str], type_name: str
) -> None:
    path = parquet(tmp_path / "f/f.parquet", FILTERED)
    for source in (file(path), spark(path=path.parent)):
        with pytest.raises(InvalidRequestBody, match=rf"is no value of column '\w+', which is {type_name}\.$"):
            ask(source, ["u1"], ["x"], filters=filters)


# --- a Hive table ---


@pytest.fixture(scope="module")
def tables(conf: Dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse with credit.monthly, in Hive's own Parquet, and credit.notes, in Hive's text."""
    folder = tmp_path_factory.mktemp("tables")
    with application(LOCAL, conf, True, folder) as session:
        session.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
        for statement in (
            "CREATE DATABASE credit",
            "CREATE TABLE credit.monthly (id STRING, amount DECIMAL(10, 2), since TIMESTAMP, day DATE, vip BOOLEAN) "
            "PARTITIONED BY (stat_month INT) STORED AS PARQUET",
            *(f"INSERT INTO credit.monthly PARTITION (stat_month={month}) SELECT 'u' || id, id * {month} / 100, "
              "TIMESTAMP '2022-01-31 12:00:00' + make_interval(0, 0, 0, id), DATE '2022-01-31', id % 2 = 0 "
              "FROM range(100)" for month in (202201, 202202)),
            "CREATE TABLE credit.notes (id INT, note STRING, at TIMESTAMP) STORED AS TEXTFILE",
            "INSERT INTO credit.notes VALUES (7, 'good', TIMESTAMP '2022-07-31 12:00:00'), (8, NULL, NULL)",
            "CREATE VIEW credit.both AS SELECT m.id, note FROM credit.monthly m JOIN credit.notes n "
            "ON m.id = concat('u', n.id) WHERE stat_month = 202201",
        ):
            session.sql(statement)
    return Path(conf["spark.sql.warehouse.dir"])


def test_a_partitioned_hive_table_on_the_cluster(
    cluster: SparkCluster, spark: Any, ask: Ask, tables: Path
) -> None:
    ids, columns = [f"u{i}" for i in range(0, 120, 2)], ["since", "amount", "vip", "day"]
    hive = ask(spark(master=cluster.master, table="credit.monthly"), ids, columns, filters={"stat_month": "202202"})
    files = file(f"{tables}/credit.db/monthly/stat_month={{month}}/part-*", format="parquet")
    assert sorted(hive) == sorted(ask(files, ids, columns, path_values={"month": "202202"}))
    assert len(hive) == 51 and "u2,2022-01-31 14:00:00,4044.04,1,2022-01-31" not in hive
    assert "u2,2022-02-02 12:00:00,4044.04,1,2022-01-31" in hive


def test_tables_and_views_of_any_kind(spark: Any, ask: Ask, tables: Path) -> None:
    assert ask(spark(table="credit.notes"), ["7", "07", "8"], ["at", "note"], null_value="nil")[1:] == [
        "7,2022-07-31 12:00:00,good", "8,nil,nil"]
    assert ask(spark(table="credit.both"), ["u7", "u9"], ["note"]) == ["id,note", "u7,good"]


def test_a_table_s_partition_that_is_not_there(spark: Any, ask: Ask, tables: Path) -> None:
    with pytest.raises(NoData, match=r"^No data is stored for stat_month=209901\.$"):
        ask(spark(table="credit.monthly"), ["u1"], ["amount"], filters={"stat_month": "209901"})
    with pytest.raises(InvalidRequestBody, match="'jan' is no value of column 'stat_month', which is INTEGER"):
        ask(spark(table="credit.monthly"), ["u1"], ["amount"], filters={"stat_month": "jan"})


# --- what is wrong is told ---


@pytest.mark.parametrize("options, question, said", [
    ({}, {"columns": ["salary"]}, "The source has no column 'salary'; "),
    ({}, {"id_column": "ID"}, "The source has no column 'ID'; "),
    ({}, {"columns": ["pair"]}, "Column 'pair' is struct<at:timestamp"),
    ({}, {"id_column": "list"}, "Column 'list' is array<int>, which can't be compared"),
    ({"format": "orc"}, {}, "Spark failed: "),
    ({"path": None, "table": "nothing.here"}, {}, "Spark failed: .*nothing"),
    ({"shared_path": "file:///nothing/here"}, {}, "shared_path file:/nothing/here is no folder; make it."),
    ({"path": "nosuch://lake/x"}, {}, "Spark failed: .*nosuch"),
])
def test_what_can_t_be_read(
    spark: Any, ask: Ask, tmp_path: Path, options: Dict[str, Any], question: Dict[str, Any], said: str
) -> None:
    path = parquet(tmp_path / "f/f.parquet", "SELECT 'a' AS id, 1 AS x, [1::INTEGER] AS list, "
                                             "{'at': TIMESTAMPTZ '2022-01-31 12:00:00+00'} AS pair")
    options = {"path": path.parent, **options}
    with pytest.raises(SourceError, match=f"^{said}"):
        ask(spark(**options), ["a"], **{"columns": ["x"], **question})


def test_a_cluster_that_is_not_there(spark: Any, ask: Ask, lake: Path) -> None:
    source = spark(master=f"spark://127.0.0.1:{free_port()},127.0.0.1:{free_port()}", path=lake)
    for look in (lambda: source.inspect(()), lambda: ask(source, ["u1"], ["amount"])):
        with pytest.raises(SourceError, match=r"^The Spark master spark://.* does not answer: .*Connection refused"):
            look()


def test_pyspark_or_java_is_not_installed(spark: Any, ask: Ask, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = spark(path=lake)
    for name in ("JAVA_HOME", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nothing")
    for look in (lambda: source.inspect(()), lambda: ask(source, ["u1"], ["amount"])):
        with pytest.raises(SourceError, match="Spark needs Java, which is not installed here"):
            look()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SourceError, match=r"pip install 'fate-ext-plugin\[spark\]'"):
        ask(source, ["u1"], ["amount"])


def test_to_look_starts_no_application(cluster: SparkCluster, spark: Any, lake: Path) -> None:
    source = spark(master=cluster.master, path=lake)
    wait_until(lambda: cluster.running() == [], what="the cluster to be idle")
    applications = len(cluster.state()["completedapps"])
    assert source.inspect(["id", "amount"]) == "only a job asks Spark for them"
    assert len(cluster.state()["completedapps"]) == applications and cluster.running() == []
    with pytest.raises(SourceError, match="shared_path /nothing is not there"):
        spark(path=lake, shared_path="file:///nothing").inspect(())


# --- the shared path ---


def test_a_job_leaves_nothing_and_sweeps_what_is_old(spark: Any, ask: Ask, lake: Path, shared: Path) -> None:
    """Only what is ours, and has not been touched by its job for an hour."""
    old, young, foreign = ("fate_ext-" + "0" * 32, "fate_ext-" + "1" * 32, "old")
    for name in (old, young, foreign):
        (shared / name).mkdir()
        (shared / name / "alive").touch()
    long_ago = time.time() - 2 * STALE_MS / 1000
    for name in (old, foreign):
        os.utime(shared / name / "alive", (long_ago, long_ago))
    os.utime(shared / young, (long_ago, long_ago))
    source = spark(path=lake / "month=202201")
    assert ask(source, ["u1"], ["amount"]) == ["id,amount", "u1,202201"]
    with pytest.raises(SourceError):
        ask(source, ["u1"], ["salary"])
    assert sorted(path.name for path in shared.iterdir()) == sorted([young, foreign])


def test_a_shared_path_that_is_no_folder_of_this_machine(spark: Any, ask: Ask, lake: Path, shared: Path) -> None:
    """As on HDFS, files are copied by Hadoop; here through a file system that it mounts under another name."""
    mount = "spark.hadoop.fs.viewfs.mounttable.lake.link./shared"
    source = spark(path=lake / "month=202201", shared_path="viewfs://lake/shared", conf={mount: f"file://{shared}"})
    assert ask(source, ["u1", "u2"], ["amount"])[0] == "id,amount"
    assert list(shared.iterdir()) == []


# --- as a job of a server ---


def spark_view(cluster: SparkCluster, lake: Path, shared: Path, master: str) -> Dict[str, Any]:
    source = {"type": "spark", "master": master, "path": f"file://{lake}/month={{month}}",
              "shared_path": f"file://{shared}", "conf": cluster.conf}
    return {"source": source, "columns": ["amount"], "parameters": {"month": {"pattern": r"\d+", "default": "202201"}}}


def test_a_job_within_its_memory_limit(
    cluster: SparkCluster, make_site: MakeSite, lake: Path, shared: Path
) -> None:
    """Java is not bound by it."""
    view = spark_view(cluster, lake, shared, LOCAL)
    site = make_site(start=False, views={"lake": view}, job_memory_mb=256)
    assert site.command("check").stdout.splitlines()[-1] == (
        "ok      view lake: 1 columns, not compared: only a job asks Spark for them")
    site.start()
    assert ApiReader(site).features(["u1", "u3", "x"]) == ["id,amount", "u1,202201", "u3,606603"]
    wait_until(lambda: len(site.processes()) == 1, what="the driver to end")
    assert list(shared.iterdir()) == []
    assert "a job's process said" not in site.log.read_text("utf-8")


@pytest.fixture
def slow_lake(tmp_path: Path) -> Path:
    """One task of a moment and one that outlasts any test, as each file is one."""
    (tmp_path / "slow" / "month=202201").mkdir(parents=True)
    lines = gzip.compress(b"someone,1\n" * 1_000_000)
    (tmp_path / "slow" / "month=202201" / "1.csv.gz").write_bytes(gzip.compress(b"id,amount\nsomeone,1\n"))
    (tmp_path / "slow" / "month=202201" / "2.csv.gz").write_bytes(gzip.compress(b"id,amount\n") + 5000 * lines)
    return tmp_path / "slow"


def test_a_canceled_job_ends_its_application(
    cluster: SparkCluster, make_site: MakeSite, slow_lake: Path, shared: Path
) -> None:
    """And with it the tasks on the cluster; nothing is left in the shared folder."""
    view = spark_view(cluster, slow_lake, shared, cluster.master)
    view["source"].update(format="csv", conf={**cluster.conf, "spark.sql.files.maxPartitionBytes": 1})
    site = make_site(views={"lake": view})
    job_id = ApiReader(site).job(["u1"])
    # More than its start is worth: Spark counts the tasks.
    wait_until(lambda: jobs_of(site).get(job_id).progress > 100 * START_SHARE, what="a task to end")
    assert cluster.executors() and len(cluster.running()) == 1 and list(shared.iterdir())
    site.command("jobs", "cancel", job_id)
    wait_until(lambda: not cluster.running() and not cluster.executors(),
               what="the application to end")
    wait_until(lambda: len(site.processes()) == 1, what="the driver to end")
    assert list(shared.iterdir()) == []


def test_a_driver_ends_with_its_server(
    cluster: SparkCluster, make_site: MakeSite, slow_lake: Path, shared: Path
) -> None:
    view = spark_view(cluster, slow_lake, shared, LOCAL)
    view["source"]["format"] = "csv"
    site = make_site(views={"lake": view})
    ApiReader(site).job(["u1"])
    wait_until(lambda: list(shared.glob("*/ids")), what="the driver to have the IDs")
    site.kill()
    wait_until(lambda: not site.processes(), what="the driver to end")
    assert list(shared.iterdir()) == []
