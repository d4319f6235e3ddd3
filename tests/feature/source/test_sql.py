"""Source ``sql``: a table or view of SQLite, MySQL/MariaDB or PostgreSQL, which answers like any other source.

Fixture ``database`` runs a test with each database, ``temporary_table`` with each way to send it the IDs.
"""
import logging
import pickle
import random
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from fate_ext_plugin.errors import InvalidFeature, InvalidRequestBody, SourceError
from fate_ext_plugin.feature.engine.csv_format import text
from fate_ext_plugin.feature.source import Join
from fate_ext_plugin.feature.source.sql import SqlSchema, SqlSource
from fate_ext_plugin.feature.view import Parameter

Ask = Callable[..., List[str]]
FeatureDatabase = Any  # of conftest.py

INJECTIONS = ["' OR '1'='1", "\\' OR 1=1 -- ", "'; DROP TABLE features; --", "%s", "%(n)s", "100%", "?", "\\", "\x1a"]
# Rows of no table, whatever the type of its ID column; none may stop the job.
STRANGERS = ["stranger", "-1", "9223372036854775808", "9" * 80, "1e400", "NaN", "中文", "😀", "cd",
             "".join(random.Random(1).choices("0123456789abcdef", k=4000)),
             "00000000-0000-0000-0000-000000000000", "2022-13-01", *INJECTIONS]


# --- which rows are an ID's ---


def test_the_ids_rows_come_back_in_the_order_of_the_ids(
    database: FeatureDatabase, temporary_table: bool, ask: Ask
) -> None:
    table = database.table("id VARCHAR(40) PRIMARY KEY, score DOUBLE PRECISION, age INTEGER",
                           ("u2", 0.5, 30), ("u1", 1.25, None), ("u3", 2, 50))
    source = database.source(table, temporary_table=temporary_table)
    assert ask(source, ["u2", "u1", "u2", "stranger"], ["age", "score"]) == ["id,age,score", "u1,,1.25", "u2,30,0.5"]


def test_a_schema_may_stand_before_the_table(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("u1", 1))
    schema = {"sqlite": "main", "mysql": urlsplit(database.settings["url"]).path[1:], "postgresql": "public"}
    source = database.source(f"{schema[database.kind]}.{table}", temporary_table=temporary_table)
    assert ask(source, ["u1"], ["score"]) == ["id,score", "u1,1"]


def test_a_view_is_a_table(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("u1", 1))
    database.execute(f"CREATE VIEW {table}_view AS SELECT id, score + 1 AS more FROM {table}")
    try:
        source = database.source(f"{table}_view", temporary_table=temporary_table)
        assert ask(source, ["u1"], ["more"]) == ["id,more", "u1,2"]
    finally:
        database.execute(f"DROP VIEW {table}_view")


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("kind", "text_type"), [
    ("sqlite", "TEXT COLLATE NOCASE"),
    ("sqlite", "TEXT COLLATE RTRIM"),
    ("mysql", "VARCHAR(40) COLLATE utf8mb4_general_ci"),
    ("mysql", "VARCHAR(700) COLLATE utf8mb4_unicode_ci"),
    ("mysql", "VARCHAR(40) COLLATE utf8mb4_bin"),  # pads
    ("mysql", "VARCHAR(40) CHARACTER SET utf8mb3"),
    ("mysql", "VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci"),  # 'ae' is 'ä'
    ("mysql", "VARCHAR(2000)"),
    ("mysql", "TEXT"),
    ("mysql", "CHAR(8)"),
    ("postgresql", "VARCHAR(40) COLLATE fate_ext_ignores_case"),
    ("postgresql", 'TEXT COLLATE "C"'),
    ("postgresql", "CHAR(8)"),
])
def test_texts_are_compared_exactly(
    request: Any, kind: str, text_type: str, indexed: bool, temporary_table: bool, ask: Ask
) -> None:
    """Of IDs and of parameters: whatever the collation calls equal, or the character set can't tell apart."""
    database = request.getfixturevalue(kind)
    if "fate_ext" in text_type:
        database.execute("CREATE COLLATION IF NOT EXISTS fate_ext_ignores_case "
                         "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    stored = ["Anna", "bob", "007", "ä", "??", "same", "SAME"]
    table = database.table(f"id {text_type}, score INTEGER, month {text_type}", *(
        (identifier, n, month) for n, identifier in enumerate(stored) for month in ("May", "MAY ", "may")))
    if indexed:
        length = "(8)" if kind == "mysql" else ""
        database.execute(f"CREATE INDEX {table}_id ON {table} (id{length})")
        database.execute(f"CREATE INDEX {table}_month ON {table} (month{length})")
    source = database.source(table, temporary_table=temporary_table)
    ids = ["anna", "ANNA", "bob ", "7", "Ä", "ae", "a", "007", "same", "SAME", *STRANGERS]
    assert ask(source, ids, ["score"], filters={"month": "may"}) == ["id,score", "007,2", "SAME,6", "same,5"]
    for wrong in ("mAy", "may ", "中文", *(() if indexed else INJECTIONS[:3])):
        assert ask(source, ids, ["score"], filters={"month": wrong}) == ["id,score"]


@pytest.mark.parametrize(("kind", "id_type", "stored", "wrong"), [
    ("sqlite", "INTEGER PRIMARY KEY", [7, -3, 2**63 - 1], ["007", "+7", "7.0", "7 ", "٧"]),
    ("sqlite", "REAL", [7.5, 1e22], ["7.50", "10000000000000000000000"]),
    ("sqlite", "NUMERIC", [7, "x"], ["07", "X"]),
    ("sqlite", "", [7, "8", 1.5, b"\xab"], ["07", "8.0", "1.50", "AB"]),
    ("mysql", "SMALLINT", [7, -3], ["007", "+7", "7.0", "7 ", "40000", "٧"]),
    ("mysql", "BIGINT UNSIGNED", [7, 2**64 - 1], ["007", "18446744073709551616"]),
    ("mysql", "DECIMAL(20, 0)", [7, 10**19], ["007", "7.0", "7.4"]),
    ("mysql", "BINARY(2)", [b"\x00\xab"], ["00AB", "0ab", "00a"]),
    ("mysql", "ENUM('a', 'text')", ["a"], ["A", "1", "0"]),
    ("mysql", "DATE", ["2022-01-31"], ["2022-1-31", "20220131", "0"]),
    ("postgresql", "SMALLINT", [7, -3], ["007", "+7", "7.0", "7 ", "40000", "٧"]),
    ("postgresql", "BIGINT", [7, 2**63 - 1], ["007", "-9223372036854775809"]),
    ("postgresql", "NUMERIC(20, 0)", [7, 10**19], ["007", "7.0", "7.4"]),
    ("postgresql", "CHAR(5)", ["ab", "abcde"], ["ab   ", "abcdef"]),
    ("postgresql", "VARCHAR(5)", ["ab", "abcde"], ["ab ", "abcdef"]),
    ("postgresql", "UUID", ["6ecd8c99-4036-403d-bf84-cf8400f67836"], ["6ECD8C99-4036-403D-BF84-CF8400F67836"]),
    ("postgresql", "BYTEA", [b"\x00\xab"], ["00AB", "0ab"]),
    ("postgresql", "DATE", ["2022-01-31"], ["2022-1-31", "20220131"]),
])
def test_an_id_is_the_text_of_the_stored_value(
    request: Any, kind: str, id_type: str, stored: List[Any], wrong: List[str], temporary_table: bool, ask: Ask
) -> None:
    """'007' is not 7; bytes are hexadecimal. What is no value of the column's type is missing, not an error."""
    database = request.getfixturevalue(kind)
    table = database.table(f"id {id_type}, score INTEGER", *((value, 1) for value in stored))
    source = database.source(table, temporary_table=temporary_table)
    right = sorted(text(value) or "" for value in stored)
    ids = [*right, *wrong, *(s for s in STRANGERS if s not in right and s != "x")]
    assert ask(source, ids, ["score"]) == ["id,score", *(f"{identifier},1" for identifier in right)]


def test_an_id_column_may_hold_null(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("u1", 1), (None, 2), (None, 3))
    source = database.source(table, temporary_table=temporary_table)
    assert ask(source, ["u1", "None", "NULL"], ["score"]) == ["id,score", "u1,1"]


# --- what is written for them ---


def test_a_second_row_fails_or_is_ignored(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("u1", 1), ("u2", 5), ("u1", 1), ("u3", 6))
    source = database.source(table, temporary_table=temporary_table)
    with pytest.raises(InvalidFeature, match="two rows or more for ID 'u1'"):
        ask(source, ["u1", "u2", "u3"], ["score"])
    assert ask(source, ["u1", "u2", "u3"], ["score"], duplicate_rows="first") == ["id,score", "u1,1", "u2,5", "u3,6"]


def test_missing_ids_are_left_out_or_kept(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("b", 1), ("d", 2))
    source = database.source(table, temporary_table=temporary_table)
    assert ask(source, list("abcde"), ["score"]) == ["id,score", "b,1", "d,2"]
    assert ask(source, list("abcde"), ["score"], missing_ids="keep", null_value="NA") == [
        "id,score", "a,NA", "b,1", "c,NA", "d,2", "e,NA"]


VALUES: Dict[str, List[Tuple[str, str, str]]] = {
    "sqlite": [
        ("INTEGER", "NULL", "-"), ("INTEGER", "1", "1"), ("REAL", "0.1", "0.1"), ("REAL", "1e22", "1e+22"),
        ("", "x'00ff'", "00ff"), ("BOOLEAN", "TRUE", "1"), ("DATE", "'2022-01-31'", "2022-01-31"), ("TEXT", "''", ""),
    ],
    "mysql": [
        ("INTEGER", "NULL", "-"), ("BOOLEAN", "TRUE", "1"), ("FLOAT", "0.1", "0.1"), ("DOUBLE", "1e22", "1e+22"),
        ("DECIMAL(12, 2)", "1.5", "1.50"), ("DATE", "'2022-01-31'", "2022-01-31"), ("TIME", "'26:00:00'", "26:00:00"),
        ("DATETIME(3)", "'2022-01-31 10:00:00.5'", "2022-01-31 10:00:00.500"), ("BINARY(2)", "x'00ff'", "00ff"),
        ("VARCHAR(9)", "'ä中😀'", "ä中😀"), ("CHAR(9)", "'ab'", "ab"), ("BIGINT UNSIGNED", "18446744073709551615",
                                                                       "18446744073709551615"),
    ],
    "postgresql": [
        ("INTEGER", "NULL", "-"), ("BOOLEAN", "TRUE", "1"), ("BOOLEAN", "FALSE", "0"), ("REAL", "0.1", "0.1"),
        ("DOUBLE PRECISION", "1e22", "1e+22"), ("NUMERIC(12, 2)", "1.5", "1.50"), ("NUMERIC", "1e-8", "0.00000001"),
        ("DATE", "'2022-01-31'", "2022-01-31"), ("DATE", "'infinity'", "infinity"), ("TIME", "'10:00'", "10:00:00"),
        ("TIMESTAMP", "'2022-01-31 10:00:00.5'", "2022-01-31 10:00:00.5"), ("BYTEA", "'\\x00ff'", "00ff"),
        ("TEXT", "'ä中😀'", "ä中😀"), ("CHAR(9)", "'ab'", "ab"), ("INTEGER[]", "'{1}'", "{1}"),
        ("UUID", "'6ecd8c99-4036-403d-bf84-cf8400f67836'", "6ecd8c99-4036-403d-bf84-cf8400f67836"),
    ],
}


def test_values_are_written_as_fate_reads_them(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    """Booleans 1/0, floats as short as they can be, decimals with all their digits, NULL as the view says."""
    types, literals, texts = zip(*VALUES[database.kind])
    names = [f"c{n}" for n in range(len(types))]
    table = database.table(", ".join(["id VARCHAR(9)", *map(" ".join, zip(names, types))]))
    database.execute(f"INSERT INTO {table} VALUES ('u1', {', '.join(literals)})")
    lines = ask(database.source(table, temporary_table=temporary_table), ["u1"], names, null_value="-")
    assert lines[1].split(",") == ["u1", *texts]


def test_a_value_fate_would_misread_fails_or_is_replaced(
    database: FeatureDatabase, temporary_table: bool, ask: Ask
) -> None:
    table = database.table("id VARCHAR(40), city VARCHAR(40), street VARCHAR(40)", ("u1", "Köln, Rhein", 'x"\n'))
    source = database.source(table, temporary_table=temporary_table)
    with pytest.raises(InvalidFeature, match="Column 'city' of ID 'u1' holds 'Köln, Rhein'"):
        ask(source, ["u1"], ["city", "street"])
    assert ask(source, ["u1"], ["city", "street"], misread_values="replace") == ["id,city,street", "u1,Köln_ Rhein,x__"]


# --- parameters ---


@pytest.mark.parametrize(("kind", "column_type", "stored", "given_values", "refused"), [
    ("sqlite", "INTEGER", [202201, 202202, 0], ["202201", "0202201"], ["abc", "1.5", "", "9" * 30, "1 OR 1=1"]),
    ("sqlite", "REAL", [0.5, 0.0], ["0.5", "5e-1"], ["abc", "nan", ""]),
    ("sqlite", "DATE", ["2022-01-31", "2022-02-28"], ["2022-01-31"], []),
    ("sqlite", "", [7, "8"], ["7"], []),
    ("mysql", "INTEGER", [202201, 202202, 0], ["202201", "0202201"], ["abc", "1.5", "", "9" * 30, "1 OR 1=1"]),
    ("mysql", "BIGINT UNSIGNED", [2**64 - 1, 0], [str(2**64 - 1)], ["abc", ""]),
    ("mysql", "DECIMAL(9, 2)", [0.5, 0], ["0.5", "0.50"], ["abc", "NaN", ""]),
    ("mysql", "DOUBLE", [0.5, 0], ["0.5", "5e-1"], ["abc", "inf", ""]),
    ("mysql", "BOOLEAN", [True, False], ["1"], ["abc"]),
    ("mysql", "DATE", ["2022-01-31", "2022-02-28"], ["2022-01-31"], ["abc", "0", "2022-02-30"]),
    ("mysql", "DATETIME", ["2022-01-31 10:00:00", "2022-01-31"], ["2022-01-31 10:00:00"], ["abc", "0"]),
    ("mysql", "TIME", ["10:00:00", "00:00:00"], ["10:00:00"], []),
    ("mysql", "BINARY(1)", [b"\xab", b"\x00"], ["ab", "AB"], ["x"]),
    ("postgresql", "INTEGER", [202201, 202202, 0], ["202201", "0202201"], ["abc", "1.5", "", "9" * 30, "1 OR 1=1"]),
    ("postgresql", "NUMERIC(9, 2)", [0.5, 0], ["0.5", "0.50"], ["abc", "NaN", ""]),
    ("postgresql", "DOUBLE PRECISION", [0.5, 0], ["0.5", "5e-1"], ["abc", "inf", ""]),
    ("postgresql", "BOOLEAN", [True, False], ["true", "1", "True"], ["abc", ""]),
    ("postgresql", "DATE", ["2022-01-31", "2022-02-28"], ["2022-01-31"], ["abc", "0", "2022-02-30"]),
    ("postgresql", "TIMESTAMP", ["2022-01-31 10:00:00", "2022-01-31"], ["2022-01-31 10:00:00"], ["abc", "0"]),
    ("postgresql", "TIME", ["10:00:00", "00:00:00"], ["10:00:00"], []),
    ("postgresql", "UUID", ["6ecd8c99-4036-403d-bf84-cf8400f67836", "0" * 32],
     ["6ecd8c99-4036-403d-bf84-cf8400f67836", "6ECD8C99-4036-403D-BF84-CF8400F67836"], ["abc"]),
    ("postgresql", "BYTEA", [b"\xab", b"\x00"], ["ab", "AB"], ["x"]),
    ("postgresql", "CHAR(5)", ["ab", "a"], ["ab"], []),
])
def test_a_parameter_is_a_value_of_its_column_s_type(
    request: Any, kind: str, column_type: str, stored: List[Any], given_values: List[str], refused: List[str], ask: Ask
) -> None:
    """The first stored one matches. What is no such value fails: MySQL would find 'abc' equal to 0. It is decided
    before the IDs are sent, so one way to send them will do."""
    database = request.getfixturevalue(kind)
    table = database.table(f"id VARCHAR(40), score INTEGER, month {column_type}", *(
        ("u1", n, value) for n, value in enumerate(stored)), ("u1", -1, None))
    source = database.source(table)
    for value in given_values:
        assert ask(source, ["u1"], ["score"], filters={"month": value}) == ["id,score", "u1,0"]
    for value in [*refused, "\0", "\ud800"]:
        with pytest.raises(InvalidRequestBody, match="is no value of column 'month'"):
            ask(source, ["u1"], ["score"], filters={"month": value})
    for value in INJECTIONS:
        with suppress(InvalidRequestBody):
            assert ask(source, ["u1"], ["score"], filters={"month": value}) == ["id,score"]


def test_several_parameters_must_all_match(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER, month INTEGER, city VARCHAR(40)",
                           ("u1", 1, 1, "Bonn"), ("u1", 2, 1, "Köln"), ("u1", 3, 2, "Köln"))
    source = database.source(table, temporary_table=temporary_table)
    assert ask(source, ["u1"], ["score", "city"], filters={"city": "Köln", "month": "1"}) == [
        "id,score,city", "u1,2,Köln"]


def test_odd_names_are_only_names(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    """Names come from the operator; still, a quote or a percent sign in one is no part of the statement."""
    names = ["order", "50%", "%s", "a b", "x`y", "a.b", "Größe", "?"]
    if database.kind != "mysql":
        names += ['x"y', "x' OR '1'='1"]
    if database.kind == "postgresql":
        names = [name for name in names if name != "x`y"] + ["Upper"]
    quote = "`" if database.kind == "mysql" else '"'
    quoted = [quote + name.replace(quote, quote * 2) + quote for name in names]
    table = database.table("filler INTEGER")
    odd = quote + f"{table} %s" + quote
    statement = f"CREATE TABLE {odd} ({', '.join(f'{name} VARCHAR(9)' for name in quoted)})"
    cursor = database.connection.cursor()
    cursor.execute(statement)
    cursor.execute(f"INSERT INTO {odd} VALUES ({', '.join(repr(f'v{n}') for n in range(len(names)))})")
    database.connection.commit()
    try:
        source = database.source(f"{table} %s", temporary_table=temporary_table)
        source.inspect(names)
        for n, name in enumerate(names):
            others = [other for other in names if other != name]
            lines = ask(source, [f"v{n}"], others, id_column=name, filters={others[0]: f"v{names.index(others[0])}"})
            assert lines[1:] == [",".join([f"v{n}", *(f"v{names.index(other)}" for other in others)])]
    finally:
        database.connection.rollback()
        cursor.execute(f"DROP TABLE {odd}")
        database.connection.commit()


def test_a_parameter_needs_a_column(sqlite: FeatureDatabase) -> None:
    source = sqlite.source("features")
    source.check_parameters({"month": Parameter(pattern=".*", column="month")})
    with pytest.raises(ValidationError, match="month: a table has no path to fill; give each a column"):
        source.check_parameters({"month": Parameter(pattern=".*")})


# --- ways to send the IDs ---


def test_where_a_temporary_table_is_refused_batches_answer(request: Any, ask: Ask, caplog: Any) -> None:
    for kind in ("mysql", "postgresql"):
        database = request.getfixturevalue(kind)
        table = database.table("id VARCHAR(40), score INTEGER", *((f"u{n}", n) for n in range(10)))
        url = urlsplit(database.settings["url"])
        if kind == "mysql":
            # No one may create a table there: the same refusal as without CREATE TEMPORARY TABLES.
            refusing, said = url._replace(path="/information_schema"), "Access denied"
            table = f"{url.path[1:]}.{table}"
        else:
            # What a hot standby, which is read-only, says.
            refusing = url._replace(query="options=-c%20default_transaction_read_only%3Don")
            said = "read-only transaction"
        caplog.clear()
        source = database.source(table, url=refusing.geturl())
        with caplog.at_level(logging.WARNING):
            lines = ask(source, [f"u{n}" for n in range(0, 5000, 3)], ["score"])
        assert lines == ["id,score", "u0,0", "u3,3", "u6,6", "u9,9"]
        assert said in caplog.text and "asked for in batches" in caplog.text


def test_memory_stays_flat(database: FeatureDatabase, workspace: Any) -> None:
    """50 MB of features pass through; neither Python nor a driver's own buffer holds them."""
    table = database.table("id VARCHAR(40) PRIMARY KEY, filler VARCHAR(1000)")
    for start in range(0, 50_000, 1000):
        rows = [value for n in range(start, start + 1000) for value in (f"u{n}", "x" * 1000)]
        # SQLite takes 999 parameters at most, before 3.32.
        for part in (rows[i:i + 500] for i in range(0, len(rows), 500)):
            database.execute(f"INSERT INTO {table} VALUES {', '.join(['(?, ?)'] * (len(part) // 2))}", [part])
    join = Join("id", ["filler"])
    for temporary_table in (True, False):
        source = database.source(table, temporary_table=temporary_table)
        source.join(join, workspace(["u1"]), lambda share: None)
        work = workspace(f"u{n}" for n in range(50_000))
        watch = MemoryWatch()
        assert source.join(join, work, watch).matched == 50_000
        assert work.result_path.stat().st_size > 50_000_000
        assert watch.most - watch.start < 40 * 2**20


class MemoryWatch:
    """Looks at this process's resident memory whenever progress is told."""

    def __init__(self) -> None:
        self.start = self.most = self.resident_bytes()

    def __call__(self, share: float) -> None:
        self.most = max(self.most, self.resident_bytes())

    @staticmethod
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_progress_rises_to_one(database: FeatureDatabase, temporary_table: bool, workspace: Any) -> None:
    shares: List[float] = []
    source = database.source(database.table("id VARCHAR(40), score INTEGER"), temporary_table=temporary_table)
    counts = source.join(Join("id", ["score"]), workspace(f"u{n}" for n in range(5000)), shares.append)
    assert (counts.ids, counts.matched) == (5000, 0)
    assert shares == sorted(shares) and len(set(shares)) > 5 and shares[-1] == 1.0


def test_a_source_goes_to_the_job_s_process(database: FeatureDatabase, ask: Ask) -> None:
    source = database.source(database.table("id VARCHAR(40), score INTEGER", ("u1", 1)))
    ask(source, ["u1"], ["score"])
    assert ask(pickle.loads(pickle.dumps(source)), ["u1"], ["score"]) == ["id,score", "u1,1"]


def test_nothing_of_a_job_stays_in_the_database(database: FeatureDatabase, ask: Ask) -> None:
    source = database.source(database.table("id VARCHAR(40), score INTEGER", ("u1", 1)))
    for _ in range(2):
        ask(source, ["u1"], ["score"])
    with pytest.raises(Exception, match="fate_ext_ids"):
        database.execute("SELECT * FROM fate_ext_ids")
    database.connection.rollback()


ids = st.text("aA07.-é", min_size=1, max_size=3)
words = st.text("aA é", max_size=3).map(str.strip)
values = st.one_of(st.none(), st.integers(-9, 9), st.floats(allow_nan=False), words)


@given(
    id_type=st.sampled_from(["TEXT", "TEXT COLLATE NOCASE", "INTEGER", "REAL", "NUMERIC", ""]),
    rows=st.lists(st.tuples(st.one_of(ids, st.integers(-9, 99), st.floats(-9, 9)), values, st.sampled_from("xXy"))),
    wanted=st.lists(st.one_of(ids, st.integers(-9, 99).map(str)), min_size=1),
    temporary_table=st.booleans(),
    missing_ids=st.sampled_from(["omit", "keep"]),
    duplicate_rows=st.sampled_from(["fail", "first"]),
)
def test_any_table_gives_what_plain_python_gives(
    sqlite: FeatureDatabase, ask: Ask, id_type: str, rows: List[Tuple[Any, ...]], wanted: List[str],
    temporary_table: bool, **view: str
) -> None:
    table = sqlite.table(f"id {id_type}, v, month TEXT COLLATE NOCASE", *rows)
    stored = sqlite.connection.execute(f"SELECT id, v, month FROM {table}").fetchall()
    source = sqlite.source(table, temporary_table=temporary_table)
    possible = model(stored, wanted, view)
    if all(possible):
        lines = ask(source, wanted, ["v"], filters={"month": "x"}, null_value="-", **view)
        assert len(lines) == 1 + len(possible)
        assert all(line in lines_of_id for line, lines_of_id in zip(lines[1:], possible))
    else:
        with pytest.raises(InvalidFeature):
            ask(source, wanted, ["v"], filters={"month": "x"}, null_value="-", **view)


def model(rows: Sequence[Tuple[Any, ...]], wanted: List[str], view: Dict[str, str]) -> List[List[str]]:
    """For each line of the answer what it may be; nothing, where the view refuses a second row."""
    possible = []
    for identifier in sorted(set(wanted), key=str.encode):
        found = [value for i, value, month in rows if text(i) == identifier and month == "x"]
        if len(found) > 1 and view["duplicate_rows"] == "fail":
            possible.append([])
        elif found or view["missing_ids"] == "keep":
            possible.append([f"{identifier},{'-' if value is None else text(value)}" for value in found or [None]])
    return possible


# --- what goes wrong ---


def test_the_table_and_its_columns_must_be_there(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    table = database.table("id VARCHAR(40), score INTEGER", ("u1", 1))
    with pytest.raises(SourceError, match="no_such_table"):
        ask(database.source("no_such_table", temporary_table=temporary_table), ["u1"], ["score"])
    source = database.source(table, temporary_table=temporary_table)
    for more in ({"id_column": "ID9"}, {"filters": {"ID9": "x"}}, {"columns": ["score", "ID9"]}):
        with pytest.raises(SourceError, match=f"Table '{table}' has no column 'ID9'"):
            ask(source, ["u1"], **{"columns": ["score"], **more})


@pytest.mark.parametrize("columns", [(), ("id",), ("id", "score")])
def test_inspect_reads_the_table(database: FeatureDatabase, columns: Sequence[str]) -> None:
    """The server's start asks for no columns, fate-ext check for all of the view."""
    database.source(database.table("id VARCHAR(40), score INTEGER")).inspect(columns)
    database.source(database.table("id VARCHAR(40), score INTEGER", ("u1", 1))).inspect(columns)
    with pytest.raises(SourceError, match="no_such_table"):
        database.source("no_such_table").inspect(columns)


def test_inspect_names_the_columns_that_are_missing_and_those_there_are(database: FeatureDatabase) -> None:
    """Also in SQLite, where "no such column" in double quotes is a text."""
    table = database.table("id VARCHAR(40), score INTEGER")
    with pytest.raises(SourceError) as caught:
        database.source(table).inspect(["id", "SCORE", "month", "month"])
    assert caught.value.message == (
        f"Table '{table}' has no column 'SCORE', 'month'; letter case counts. It has: 'id', 'score'.")
    wide = database.table(", ".join(f"c{n:02} INTEGER" for n in range(30)))
    with pytest.raises(SourceError, match="It has: 'c00', 'c01', .*'c19' and 10 more.$"):
        database.source(wide).inspect(["id"])


def test_inspect_knows_the_columns_of_a_view(database: FeatureDatabase) -> None:
    table = database.table("id VARCHAR(40), score INTEGER")
    database.execute(f"CREATE VIEW {table}_view AS SELECT id, score + 1 AS more FROM {table}")
    try:
        source = database.source(f"{table}_view")
        source.inspect(["id", "more"])
        with pytest.raises(SourceError, match="no column 'score'"):
            source.inspect(["id", "score"])
    finally:
        database.execute(f"DROP VIEW {table}_view")


def test_inspect_needs_no_more_rights_than_a_job(postgresql: FeatureDatabase, ask: Ask) -> None:
    """There are three columns, and this account may read two."""
    table = postgresql.table("id VARCHAR(40), score INTEGER, salary INTEGER", ("u1", 1, 2))
    postgresql.execute(f"REVOKE ALL ON {table} FROM CURRENT_USER")
    postgresql.execute(f"GRANT SELECT (id, score) ON {table} TO CURRENT_USER")
    source = postgresql.source(table)
    source.inspect([])
    source.inspect(["id", "score"])
    assert ask(source, ["u1"], ["score"]) == ["id,score", "u1,1"]
    with pytest.raises(SourceError, match="The database refused: permission denied"):
        source.inspect(["id", "salary"])


def test_an_upload_does_not_wait_for_the_database() -> None:
    source = SqlSource(SqlSchema().load({"url": "mysql://user@127.0.0.1:1/name", "table": "features"}))
    source.check(Join("id", ["score"]))


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_wrong_password_is_said_but_not_shown(request: Any, kind: str, monkeypatch: Any, ask: Ask) -> None:
    database = request.getfixturevalue(kind)
    monkeypatch.setenv("WRONG_PASSWORD", "not:the/right@one")
    source = database.source("features", password_env="WRONG_PASSWORD")
    for use in (lambda: source.inspect(["id"]), lambda: ask(source, ["u1"], ["score"])):
        with pytest.raises(SourceError, match="(?i)denied|password authentication failed") as caught:
            use()
        assert "not:the" not in str(caught.value)
        assert database.settings["url"] in str(caught.value)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_server_that_is_down_is_said(sqlite: FeatureDatabase, scheme: str) -> None:
    pytest.importorskip({"mysql": "pymysql", "postgresql": "psycopg2"}[scheme])
    source = sqlite.source("features", url=f"{scheme}://user@127.0.0.1:1/name")
    with pytest.raises(SourceError, match=f"The database {scheme}://user@127.0.0.1:1/name can't be opened: .*refused"):
        source.inspect(["id"])


@pytest.mark.parametrize(("scheme", "module", "advice"), [
    ("mysql", "pymysql", r"PyMySQL is not installed; run: pip install 'fate-ext-plugin\[mysql\]'"),
    ("postgresql", "psycopg2", r"psycopg2 is not installed; run: pip install 'fate-ext-plugin\[postgresql\]'"),
])
def test_a_driver_that_is_missing_is_said(
    sqlite: FeatureDatabase, monkeypatch: Any, scheme: str, module: str, advice: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    source = sqlite.source("features", url=f"{scheme}://user@127.0.0.1/name")
    with pytest.raises(SourceError, match=advice):
        source.inspect(["id"])


def test_a_sqlite_file_is_never_made_or_written(sqlite: FeatureDatabase, tmp_path: Path, ask: Ask) -> None:
    with pytest.raises(SourceError, match="sqlite:///no_such.db can't be opened: unable to open database file"):
        sqlite.source("features", url="sqlite:///no_such.db").inspect(["id"])
    assert not (tmp_path / "no_such.db").exists()
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(SourceError, match="not a database"):
        ask(sqlite.source("features", url="sqlite:///text.db"), ["u1"], ["score"])
    table = sqlite.table("id TEXT, score INTEGER", ("u1", 1))
    before = (tmp_path / "features.db").read_bytes()
    ask(sqlite.source(table), ["u1"], ["score"])
    assert (tmp_path / "features.db").read_bytes() == before
    assert ask(sqlite.source(table, url=f"sqlite:///{tmp_path / 'features.db'}"), ["u1"], ["score"])[1:] == ["u1,1"]


@pytest.mark.parametrize(("wrong", "message"), [
    ({"url": "mysql://user:secret@host/name"}, "Holds a password"),
    ({"url": "oracle://user@host/name"}, "Must start with"),
    ({"url": "mysql://user@host"}, "Names no database"),
    ({"url": "mysql://user@host:33o6/name"}, "The port must be a number"),
    ({"url": "mysql://user@host/name?charset=latin1"}, r"Takes nothing after \? or #"),
    ({"url": "sqlite://features.db"}, "Names no database"),
    ({"url": "sqlite://data/features.db"}, "follows three slashes"),
    ({"table": "a.b.c"}, r"Must be a table's name, or schema\.name"),
    ({"table": ""}, r"Must be a table's name, or schema\.name"),
    ({"temporary_table": "yes"}, "Not a valid boolean"),
    ({"columns": ["a"]}, "Unknown field"),
])
def test_settings_that_can_t_work_are_refused(wrong: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        SqlSchema().load({"url": "sqlite:///features.db", "table": "features", **wrong})
    assert "secret" not in str(caught.value)


def test_every_error_is_one_of_ours(database: FeatureDatabase, temporary_table: bool, ask: Ask) -> None:
    """Also one that the database finds only when it reads a row."""
    table = database.table("id VARCHAR(40), score INTEGER", *((f"u{n}", n) for n in range(9)))
    fails = {"sqlite": "abs(-9223372036854775807 - score / 8)", "postgresql": "1 / (8 - score)",
             "mysql": f"(SELECT score FROM {table} o WHERE score < 9)"}
    database.execute(f"CREATE VIEW {table}_view AS SELECT id, {fails[database.kind]} AS more FROM {table}")
    try:
        source = database.source(f"{table}_view", temporary_table=temporary_table)
        with pytest.raises(SourceError, match="The database refused"):
            ask(source, [f"u{n}" for n in range(9)], ["more"])
    finally:
        database.execute(f"DROP VIEW {table}_view")
