"""Source ``file``: Parquet and CSV on disk, joined by DuckDB into FATE's dialect."""
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.errors import ExtError, InvalidFeature, InvalidRequestBody, NoData, SourceError
from fate_ext_plugin.feature.source import Counts, Join, Workspace
from fate_ext_plugin.feature.source.file import FileSource
from fate_ext_plugin.util.fields import base_dir
from tests.support.examples import examples

Run = Callable[..., "Answer"]


class Answer:
    def __init__(self, counts: Counts, text: str) -> None:
        self.counts = counts
        self.header, *lines = text.splitlines()
        self.lines = sorted(lines)
        self.text = text


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Join IDs with what a path names; keywords are those of Join."""

    def join(path: str, ids: List[str], *, format: Optional[str] = None, delimiter: str = ",",
             id_name: str = "id", memory: int = 1 << 30, **question: Any) -> Answer:
        token = base_dir.set(tmp_path)
        source = FileSource({"path": path, "format": format, "delimiter": delimiter})
        base_dir.reset(token)
        (tmp_path / "ids").write_bytes("".join(f"{id}\n" for id in ids).encode())
        work = Workspace(tmp_path / "ids", tmp_path / "result", tmp_path / "scratch", 2**30, id_name, 2, memory)
        wanted = Join(**{"id_column": "id", "columns": ["x"], **question})
        source.check(wanted)
        counts = source.join(wanted, work, lambda share: None)
        return Answer(counts, (tmp_path / "result").read_bytes().decode())

    return join


def parquet(path: Path, query: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return str(path)


ROWS = "SELECT * FROM (VALUES ('a', 1), ('b', 2), ('c', NULL)) t(id, x)"


def test_ids_are_joined_with_their_row(run: Run, tmp_path: Path) -> None:
    answer = run(parquet(tmp_path / "f.parquet", ROWS), ["b", "stranger", "a", "b"])
    assert answer.header == "id,x"
    assert answer.lines == ["a,1", "b,2"]
    assert answer.counts == Counts(ids=3, matched=2) and answer.counts.missing == 1


def test_missing_ids_are_kept_where_asked(run: Run, tmp_path: Path) -> None:
    answer = run(parquet(tmp_path / "f.parquet", ROWS), ["b", "stranger"], missing_ids="keep", null_value="nil")
    assert answer.lines == ["b,2", "stranger,nil"]
    assert answer.counts == Counts(ids=2, matched=1)


def test_no_match_gives_the_header_alone(run: Run, tmp_path: Path) -> None:
    assert run(parquet(tmp_path / "f.parquet", ROWS), ["stranger"]).text == "id,x\n"


def test_each_type_has_its_text(run: Run, tmp_path: Path) -> None:
    path = parquet(tmp_path / "f.parquet", """
        SELECT 'a' AS id, true AS t, false AS f, 0.1::DOUBLE AS d, 0.1::FLOAT AS r,
        1e-7::DOUBLE AS s, 12345678901234567::BIGINT AS i, 1.10::DECIMAL(5, 2) AS m, NULL::INTEGER AS n,
        DATE '2022-01-31' AS y, '' AS e, 'ü中' AS u, 0.1::DOUBLE + 0.2::DOUBLE AS p, [1, 2][1] AS l""")
    columns = ["t", "f", "d", "r", "s", "i", "m", "n", "y", "e", "u", "p", "l"]
    assert run(path, ["a"], columns=columns).lines == [
        "a,1,0,0.1,0.1,1e-07,12345678901234567,1.10,,2022-01-31,,ü中,0.30000000000000004,1"]


def test_a_csv_keeps_its_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text('id,x,y\na,1.10,007\nb,"quoted",\n')
    answer = run("f.csv", ["a", "b"], columns=["x", "y"])
    assert answer.lines == ["a,1.10,007", "b,quoted,"]


def test_a_csv_may_have_another_delimiter(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id;x\na;1\n")
    assert run("f.csv", ["a"], delimiter=";").lines == ["a,1"]


def test_a_csv_line_may_start_with_any_sign(run: Run, tmp_path: Path) -> None:
    ids = [f"{'#' if i % 2 else 'u'}{i}" for i in range(2000)]
    (tmp_path / "f.csv").write_text("id,x\n" + "".join(f"{id},1\n" for id in ids))
    assert run("f.csv", ids).counts == Counts(ids=2000, matched=2000)


class TestIds:
    """IDs are compared as text."""

    @pytest.mark.parametrize("type_name", ["INTEGER", "BIGINT", "UBIGINT", "TINYINT"])
    def test_a_whole_number_matches_its_plain_text_only(self, run: Run, tmp_path: Path, type_name: str) -> None:
        path = parquet(tmp_path / "f.parquet", f"SELECT 7::{type_name} AS id, 1 AS x")
        assert run(path, ["7", "007", "+7", " 7", "7.0", "9" * 60, "x", "-"]).lines == ["7,1"]

    def test_case_and_white_space_matter(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", "SELECT * FROM (VALUES ('A', 1), ('a ', 2), ('a', 3)) t(id, x)")
        assert run(path, ["a"]).lines == ["a,3"]

    def test_other_types_match_by_their_text(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", "SELECT DATE '2022-01-31' AS id, 1 AS x")
        assert run(path, ["2022-01-31"]).lines == ["2022-01-31,1"]

    def test_an_id_that_shifts_columns_is_refused(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", "SELECT 'a,b' AS id, 1 AS x")
        with pytest.raises(InvalidFeature, match="ID 'a,b' holds a comma"):
            run(path, ["a,b"])
        with pytest.raises(InvalidFeature, match="ID 'q\"' holds"):
            run(path, ['q"'], missing_ids="keep")

    def test_quotes_and_blanks_in_the_id_file_are_text(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", "SELECT '''; DROP TABLE ids; --' AS id, 1 AS x")
        assert run(path, ["'; DROP TABLE ids; --", '"open', "", "  ", "\t"]).counts == Counts(ids=2, matched=1)

    def test_the_source_may_call_its_id_anything_and_a_feature_id(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", 'SELECT \'a\' AS "the ""ID""", 1 AS id, 2 AS c0')
        answer = run(path, ["a"], id_column='the "ID"', columns=["c0", "id"], id_name="sid")
        assert answer.text == "sid,c0,id\na,2,1\n"


class TestFewIdsOfABigFile:
    """Of a file sorted by its ID only row groups are read whose span holds one: all others are damaged here."""

    ROWS, GROUP, EVERY = 600 * 2048, 2048, 6

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        path = str(tmp_path / "sorted.parquet")
        duckdb.execute(f"COPY (SELECT lpad(i::VARCHAR, 8, '0') AS id, i AS x FROM range({self.ROWS}) t(i)) "
                       f"TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {self.GROUP})")
        chunks = duckdb.execute(
            "SELECT least(data_page_offset, coalesce(dictionary_page_offset, data_page_offset)), total_compressed_size "
            f"FROM parquet_metadata('{path}') WHERE row_group_id % {self.EVERY} > 0").fetchall()
        with open(path, "r+b") as file:
            for offset, size in chunks:
                file.seek(offset)
                file.write(b"\xff" * size)
        return path

    def test_are_sought_one_by_one(self, run: Run, path: str) -> None:
        ids = [f"{number:08}" for number in range(7, self.ROWS, self.EVERY * self.GROUP)]
        assert len(ids) == 100  # more than DuckDB would by itself
        assert run(path, ids).lines == [f"{id},{int(id)}" for id in ids]

    def test_are_not_where_a_damaged_part_may_hold_one(self, run: Run, path: str) -> None:
        with pytest.raises(SourceError, match="The source can't be read"):
            run(path, [f"{self.GROUP + 7:08}"])


class TestTwoRowsForOneId:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return parquet(tmp_path / "f.parquet", "SELECT * FROM (VALUES ('a', 1), ('b', 2), ('a', 3)) t(id, x)")

    def test_fail_the_job_and_are_named(self, run: Run, path: str) -> None:
        with pytest.raises(InvalidFeature, match="two rows or more for ID 'a'"):
            run(path, ["a", "b"])

    def test_do_not_matter_where_not_asked_for(self, run: Run, path: str) -> None:
        assert run(path, ["b"]).lines == ["b,2"]

    def test_or_the_first_is_taken(self, run: Run, path: str) -> None:
        answer = run(path, ["a", "b"], duplicate_rows="first")
        assert answer.lines == ["a,1", "b,2"] and answer.counts == Counts(ids=2, matched=2)


@pytest.mark.parametrize("rows, asked", [(1_000, 200_000), (200_000, 1_000), (300_000, 300_000)])
def test_the_first_row_is_the_first_at_any_size(run: Run, tmp_path: Path, rows: int, asked: int) -> None:
    """A join keeps no order of its own, whichever side is the larger."""
    path = parquet(tmp_path / "f.parquet", f"SELECT 'u' || (i // 2) AS id, i % 2 AS x FROM range({rows}) t(i)")
    answer = run(path, [f"u{i}" for i in range(asked)], duplicate_rows="first")
    assert answer.counts.matched == min(asked, rows // 2)
    assert all(line.endswith(",0") for line in answer.lines)


class TestMisreadValues:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return parquet(tmp_path / "f.parquet", "SELECT 'a' AS id, 'x,\"y\"' AS x, 'end\u00a0 ' AS y")

    def test_fail_the_job_naming_column_and_id(self, run: Run, path: str) -> None:
        with pytest.raises(InvalidFeature, match="Column 'x' of ID 'a' holds 'x,\"y\"'"):
            run(path, ["a"])
        with pytest.raises(InvalidFeature, match="Column 'y' of ID 'a'"):
            run(path, ["a"], columns=["y"])

    def test_or_are_replaced(self, run: Run, path: str) -> None:
        assert run(path, ["a"], columns=["x", "y"], misread_values="replace").lines == ["a,x__y_,end_"]

    def test_lists_are_text_with_commas(self, run: Run, tmp_path: Path) -> None:
        path = parquet(tmp_path / "l.parquet", "SELECT 'a' AS id, [1, 2] AS x")
        with pytest.raises(InvalidFeature, match="Column 'x' of ID 'a'"):
            run(path, ["a"])


class TestPaths:
    @pytest.fixture(autouse=True)
    def data(self, tmp_path: Path) -> None:
        for month, value in (("202201", 1), ("202202", 2)):
            for part in ("p0", "p1"):
                parquet(tmp_path / f"credit/{month}/{part}.parquet", f"SELECT '{part}' AS id, {value} AS x")
        parquet(tmp_path / "secret/s.parquet", "SELECT 'p0' AS id, 666 AS x")

    def test_a_placeholder_chooses_a_folder_and_a_wildcard_takes_all_in_it(self, run: Run) -> None:
        assert run("credit/{m}/*.parquet", ["p0", "p1"], path_values={"m": "202202"}).lines == ["p0,2", "p1,2"]

    def test_folders_in_folders(self, run: Run) -> None:
        assert run("credit/**/p0.parquet", ["p0"], duplicate_rows="first").counts.matched == 1

    def test_nothing_there_is_told(self, run: Run) -> None:
        with pytest.raises(NoData, match="No data is stored for m=209901"):
            run("credit/{m}/*.parquet", ["p0"], path_values={"m": "209901"})

    @pytest.mark.parametrize("value", [
        "..", ".", "../secret", "..\\secret", "/etc", "a/b", "*", "20220?", "[2]*", "", "a\0b", "{m}", "~", "-x", "a b",
        "\n", "202201\n"])
    def test_a_value_never_leaves_its_place(self, run: Run, value: str) -> None:
        with pytest.raises(InvalidRequestBody, match="can't be part of a path"):
            run("credit/{m}/*.parquet", ["p0"], path_values={"m": value})

    @examples(50)
    @given(value=st.text(max_size=12))
    def test_no_text_reads_anything_but_its_own_folder(self, run: Run, value: str) -> None:
        try:
            answer = run("credit/{m}/*.parquet", ["p0"], path_values={"m": value})
        except ExtError:
            return
        assert value in ("202201", "202202") and "666" not in answer.text

    def test_a_file_whose_name_is_a_pattern_is_refused(self, run: Run, tmp_path: Path) -> None:
        parquet(tmp_path / "odd/[p].parquet", ROWS)
        with pytest.raises(SourceError, match="wildcard"):
            run("odd/*.parquet", ["a"])

    def test_a_quote_in_a_folder_is_harmless(self, run: Run, tmp_path: Path) -> None:
        folder = tmp_path / "o'brien"
        folder.mkdir()
        (folder / "f.csv").write_text("id,x\na,1\n")
        assert run("o'brien/f.csv", ["a"]).lines == ["a,1"]


class TestFilters:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        rows = "('a', 1, 'CN', 7), ('a', 2, 'US', 8)"
        return parquet(tmp_path / "f.parquet", f"SELECT * FROM (VALUES {rows}) t(id, x, region, n)")

    @pytest.mark.parametrize("filters, line", [({"region": "US"}, "a,2"), ({"n": "7"}, "a,1")])
    def test_a_column_equals_the_value(self, run: Run, path: str, filters: Dict[str, str], line: str) -> None:
        assert run(path, ["a"], filters=filters).lines == [line]

    @pytest.mark.parametrize("value", ["cn", "CN' OR '1'='1", "CN'--", "'; DROP TABLE ids; --", "%", ""])
    def test_and_nothing_else(self, run: Run, path: str, value: str) -> None:
        assert run(path, ["a"], filters={"region": value}).lines == []

    @pytest.mark.parametrize("value", ["seven", "7.4", " 7", "7e0", ""])
    def test_a_value_of_another_type_is_told(self, run: Run, path: str, value: str) -> None:
        with pytest.raises(InvalidRequestBody, match=f"'{value}' is no value of column 'n', which is INTEGER"):
            run(path, ["a"], filters={"n": value})


class TestBrokenSources:
    def test_a_column_that_is_gone(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no column 'salary'"):
            run(parquet(tmp_path / "f.parquet", ROWS), ["a"], columns=["salary"])

    def test_a_file_that_is_no_parquet(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "f.parquet").write_text("garbage")
        with pytest.raises(SourceError, match="The source can't be read"):
            run("f.parquet", ["a"])

    def test_an_empty_csv(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "f.csv").touch()
        with pytest.raises(SourceError):
            run("f.csv", ["a"])

    def test_parts_with_other_columns_are_joined_by_name(self, run: Run, tmp_path: Path) -> None:
        parquet(tmp_path / "d/1.parquet", "SELECT 'a' AS id, 1 AS x, 2 AS y")
        parquet(tmp_path / "d/2.parquet", "SELECT 3 AS x, 'b' AS id")
        assert run("d/*.parquet", ["a", "b"], columns=["x", "y"]).lines == ["a,1,2", "b,3,"]


@examples(40)
@given(
    table=st.dictionaries(st.text("ab1 中'_", min_size=1, max_size=3).filter(lambda s: s.strip(" \t")),
                          st.one_of(st.none(), st.text("xyz '0.é", max_size=4)), max_size=8),
    wanted=st.lists(st.text("ab1 中'_", min_size=1, max_size=3), max_size=10),
)
def test_any_table_gives_what_a_dictionary_would(
    run: Run, tmp_path: Path, table: Dict[str, Optional[str]], wanted: List[str]
) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (id VARCHAR, x VARCHAR, y INTEGER)")
    for row in table.items():
        connection.execute("INSERT INTO t VALUES (?, ?, 1)", list(row))
    connection.execute(f"COPY t TO '{tmp_path / 'f.parquet'}' (FORMAT parquet)")
    ids = {id for id in wanted if id.strip(" \t")}
    answer = run("f.parquet", wanted, columns=["x", "y"])
    assert answer.lines == sorted(f"{id},{table[id] or ''},1" for id in ids if id in table)
    assert answer.counts == Counts(ids=len(ids), matched=len(ids & set(table)))


Inspect = Callable[..., Optional[str]]


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    """Ask a source for columns of what a path names, as fate-ext check does."""

    def inspect(path: str, *columns: str, delimiter: str = ",") -> Optional[str]:
        token = base_dir.set(tmp_path)
        source = FileSource({"path": path, "format": None, "delimiter": delimiter})
        base_dir.reset(token)
        return source.inspect(columns)

    return inspect


@pytest.mark.parametrize("path, fine", [
    ("data/f.csv", True), ("data/*.csv", True), ("data/{m}.csv", True), ("data/{m}/{v}/*.csv", True),
    ("data/g.csv", False), ("gone/*.csv", False), ("data/gone/{m}.csv", False)])
@pytest.mark.parametrize("columns", [(), ("id",)])
def test_inspect_looks_at_what_is_fixed_in_the_path(
    inspect: Inspect, tmp_path: Path, path: str, fine: bool, columns: Tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f.csv").write_text("id,x\n")
    if fine:
        inspect(path, *columns)
    else:
        with pytest.raises(SourceError, match="is not there"):
            inspect(path, *columns)


class TestInspectComparesColumns:
    """With those of the files that a job would read, as far as that is known without its parameters."""

    def test_of_a_parquet_file(self, inspect: Inspect, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", ROWS)
        assert inspect(path, "id", "x") is None
        with pytest.raises(SourceError) as caught:
            inspect(path, "id", "salary", "X", "salary")
        assert caught.value.message == f"{path} has no column 'salary', 'X'; letter case counts. It has: 'id', 'x'."

    def test_of_a_csv_file(self, inspect: Inspect, tmp_path: Path) -> None:
        (tmp_path / "f.csv").write_text('id;"a b";1\nu1;2;3\n')
        assert inspect("f.csv", "id", "a b", "1", delimiter=";") is None
        with pytest.raises(SourceError, match="no column 'id'; letter case counts. It has: 'id;\"a b\";1'"):
            inspect("f.csv", "id")

    def test_of_a_wide_file_the_first_are_named(self, inspect: Inspect, tmp_path: Path) -> None:
        path = parquet(tmp_path / "f.parquet", "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(50)))
        with pytest.raises(SourceError, match="It has: 'c0', 'c1', .*'c18', 'c19' and 30 more.$"):
            inspect(path, "id")

    def test_of_all_files_that_a_wildcard_finds(self, inspect: Inspect, tmp_path: Path) -> None:
        """One that lacks a column is filled with NULLs."""
        parquet(tmp_path / "d/1.parquet", "SELECT 'a' AS id, 1 AS x")
        parquet(tmp_path / "d/e/2.parquet", "SELECT 'b' AS id, 2 AS y")
        assert inspect("d/**/*.parquet", "id", "x", "y") is None
        with pytest.raises(SourceError, match=r"d/1.parquet \(with 1 more, taken together\) has no column 'z'"):
            inspect("d/**/*.parquet", "z")

    @pytest.mark.parametrize("path, newest", [
        ("d/{m}/*.parquet", r"d/202202/1.parquet \(with 1 more, taken together\)"),
        ("d/{m}/{part}.parquet", "d/202202/1.parquet"),
        ("d/{m}{n}/**/{part}.parquet", "d/202202/1.parquet"),
    ])
    def test_of_the_newest_where_a_parameter_chooses(
        self, inspect: Inspect, tmp_path: Path, path: str, newest: str
    ) -> None:
        for age, name in enumerate(["202202/1", "202202/2", "202203/1", "deep/er/1"]):
            made = parquet(tmp_path / f"d/{name}.parquet", f"SELECT 'a' AS id, 1 AS \"in {name}\"")
            os.utime(made, (0, -age))
        assert inspect(path, "id", "in 202202/1") is None
        with pytest.raises(SourceError, match=f"/{newest} has no column 'in 202203/1'"):
            inspect(path, "in 202203/1")

    @pytest.mark.parametrize("path", ["d/{m}.parquet", "d/*.parquet"])
    def test_not_yet_where_there_is_no_file(self, inspect: Inspect, tmp_path: Path, path: str) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "other.csv").touch()
        assert inspect(path, "id") == f"there is no file {tmp_path / path} yet"

    def test_of_no_file_that_can_t_be_read(self, inspect: Inspect, tmp_path: Path) -> None:
        (tmp_path / "f.parquet").write_text("garbage")
        with pytest.raises(SourceError, match="The source can't be read: "):
            inspect("f.parquet", "id")
        (tmp_path / "[f].csv").write_text("id\n")
        with pytest.raises(SourceError, match=r"rename it: \[f\].csv"):
            inspect("*.csv", "id")

    def test_but_not_when_the_server_starts(
        self, inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It asks for none; DuckDB would keep tens of MiB of the server's memory."""
        (tmp_path / "f.parquet").write_text("garbage")
        monkeypatch.setattr(duckdb, "connect", None)
        assert inspect("f.parquet") is None
