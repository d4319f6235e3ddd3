"""DuckDB as the engine of a job: limits, the uploaded IDs as a table, and a result in FATE's dialect."""
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List

import duckdb

from fate_ext_plugin.feature.engine.csv_format import (
    MISREAD,
    REPLACEMENT,
    STRIPPED,
    duplicate_error,
    misread_error,
    misread_id_error,
)
from fate_ext_plugin.feature.id_file import BLANKS, MAX_LINE_BYTES
from fate_ext_plugin.feature.source import Counts, Join, Progress, Workspace
from fate_ext_plugin.util.periodic import run_periodically

# No uploaded line holds it (see id_file), so a line is always one field.
ID_FILE_DELIMITER = "\x1f"
# DuckDB gives each thread a block of a CSV file; with its default of 32 MiB one thread reads most files alone.
READ_BLOCK_BYTES = 1 << 20
# An uploaded ID's row number in ``ids``, which stands for it in ``found``.
KEY = "k"
# Numbers the source's rows in ``found``, where the first of two is wanted.
ROW_ORDER = "r"
# Types whose text can't hold a comma, a quote or white space at the end.
SAFE_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
              "UHUGEINT", "FLOAT", "DOUBLE", "BOOLEAN", "DECIMAL", "DATE", "TIME", "TIMESTAMP", "UUID")
# So few IDs are sought one by one in a file's statistics, not as one span from the first to the last: of a file sorted
# by its ID, row groups without any of them are not read. DuckDB's own 50 leaves out what most small requests ask for.
SOUGHT_IDS = 1000
# A join's share of the work beside reading the IDs and writing the result, for progress only.
READ_SHARE, JOIN_SHARE = 0.05, 0.65
FETCHES_NOTHING: Dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}


def connect(work: Workspace, keep_order: bool = False) -> "duckdb.DuckDBPyConnection":
    """An in-memory database that spills to ``work.scratch`` and fetches nothing from anywhere.

    :param keep_order: rows keep the order of their source, at the price of memory.
    """
    connection = duckdb.connect(config={
        "threads": work.threads,
        # The rest of the job's memory is Python, file buffers and what DuckDB does not count.
        "memory_limit": f"{work.memory_bytes * 3 // 4 // 2**20}MiB",
        "temp_directory": str(work.scratch),
        "preserve_insertion_order": keep_order,
        **FETCHES_NOTHING,
    })
    connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    connection.execute(f"SET dynamic_or_filter_threshold = {SOUGHT_IDS}")
    # Not above: DuckDB 1.2 does not keep to it there.
    connection.execute(f"SET max_temp_directory_size = '{work.scratch_bytes}B'")
    connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def schema_reader() -> Iterator["duckdb.DuckDBPyConnection"]:
    """An in-memory database to ask for the columns of files; it writes nothing and fetches nothing from anywhere."""
    connection = duckdb.connect(config={"threads": 1, "temp_directory": "", **FETCHES_NOTHING})
    try:
        yield connection
    finally:
        connection.close()


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(literal, texts)) + "]"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def load_ids(connection: "duckdb.DuckDBPyConnection", work: Workspace) -> int:
    """Create the table ``ids`` (id VARCHAR) of distinct IDs; returns how many."""
    connection.execute(
        f"CREATE TEMP TABLE ids AS SELECT DISTINCT id FROM read_csv({literal(str(work.ids_path))}, header = false, "
        f"columns = {{'id': 'VARCHAR'}}, auto_detect = false, delim = {literal(ID_FILE_DELIMITER)}, quote = '', "
        f"escape = '', max_line_size = {2 * MAX_LINE_BYTES}, buffer_size = {READ_BLOCK_BYTES}) "
        # not blank; most are seen to be not by their first character, which costs less
        f"WHERE id >= '!' OR trim(id, {literal(BLANKS)}) <> ''")
    return count(connection, "SELECT count(*) FROM ids")


def count(connection: "duckdb.DuckDBPyConnection", query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def line(join: Join, types: List[str]) -> str:
    """SQL for the columns :data:`KEY`, ``line`` and ``misread`` of ``found``.

    Of the relations ``i`` (:data:`KEY`, id) and ``s``, whose columns have the DuckDB types ``types``. Lines are
    finished here because a table of them is written, and read again, faster than one of their values.
    """
    last = len(join.columns) - 1
    values: List[str] = []
    misread: List[str] = []
    for index, (name, type_name) in enumerate(zip(join.columns, types)):
        value = f"s.{identifier(name)}"
        if type_name == "BOOLEAN":
            value = f"CAST({value} AS TINYINT)"
        elif not type_name.startswith(SAFE_TYPES) or type_name.endswith("]"):
            value = f"CAST({value} AS VARCHAR)"
            found = f"regexp_matches({value}, {literal(f'{MISREAD}|{STRIPPED}' if index == last else MISREAD)})"
            if join.misread_values == "fail":
                misread.append(f"CASE WHEN {found} THEN {{'column': {index}, 'value': {value}}} END")
            else:
                value = f"CASE WHEN {found} THEN {_replaced(value, index == last)} ELSE {value} END"
        values.append(_or_null(join, value))
    return (f"i.{KEY}, concat(i.id, {_commas(values)}) AS line, "
            f"{'coalesce(' + ', '.join(misread) + ')' if misread else 'NULL'} AS misread")


def _or_null(join: Join, value: str) -> str:
    return f"coalesce(CAST({value} AS VARCHAR), {literal(join.null_value)})" if join.null_value else value


def _commas(values: List[str]) -> str:
    return ", ".join(f"',', {value}" for value in values)


def _replaced(text: str, at_end: bool) -> str:
    replaced = f"regexp_replace({text}, {literal(MISREAD)}, {literal(REPLACEMENT)}, 'g')"
    return f"regexp_replace({replaced}, {literal(STRIPPED)}, {literal(REPLACEMENT)})" if at_end else replaced


def write_result(connection: "duckdb.DuckDBPyConnection", join: Join, work: Workspace, ids: int) -> Counts:
    """Check the table ``found`` (the columns of :func:`line`) and write the result.

    Where the join takes the first of two rows, ``found`` has a column :data:`ROW_ORDER`, too.

    :raises InvalidFeature: two rows for one ID, or a value that FATE would misread.
    """
    found = count(connection, "SELECT count(*) FROM found")
    matched = count(connection, f"SELECT count(DISTINCT {KEY}) FROM found")
    if matched < found:
        _resolve_duplicates(connection, join)
    _refuse_misread(connection, join)
    lines = "SELECT line FROM found"
    if join.missing_ids == "keep" and matched < ids:
        nulls = _commas([literal(join.null_value)] * len(join.columns))
        lines += f" UNION ALL SELECT concat(id, {nulls}) FROM ids WHERE rowid NOT IN (SELECT {KEY} FROM found)"
    header = ",".join([work.id_name, *join.columns])
    connection.execute(
        f"COPY (SELECT line AS {identifier(header)} FROM ({lines})) "
        f"TO {literal(str(work.result_path))} (FORMAT csv, HEADER true, QUOTE '', ESCAPE '')")
    return Counts(ids=ids, matched=matched)


def _resolve_duplicates(connection: "duckdb.DuckDBPyConnection", join: Join) -> None:
    if join.duplicate_rows == "fail":
        row = connection.execute(
            f"SELECT id FROM ids WHERE rowid IN (SELECT {KEY} FROM found GROUP BY {KEY} HAVING count(*) > 1) "
            "ORDER BY id LIMIT 1").fetchone()
        raise duplicate_error(row[0] if row else "")
    connection.execute(
        f"DELETE FROM found WHERE {ROW_ORDER} NOT IN (SELECT min({ROW_ORDER}) FROM found GROUP BY {KEY})")


def _refuse_misread(connection: "duckdb.DuckDBPyConnection", join: Join) -> None:
    # Of what FATE misreads, an uploaded line can hold these only.
    query = "SELECT id FROM ids WHERE (contains(id, ',') OR contains(id, '\"'))"
    if join.missing_ids != "keep":
        query += f" AND rowid IN (SELECT {KEY} FROM found)"
    row = connection.execute(f"{query} LIMIT 1").fetchone()
    if row:
        raise misread_id_error(row[0])
    row = connection.execute(
        f"SELECT id, misread FROM found JOIN ids ON ids.rowid = {KEY} WHERE misread IS NOT NULL LIMIT 1").fetchone()
    if row:
        raise misread_error(join.columns[row[1]["column"]], row[0], row[1]["value"])


@contextmanager
def reporting(
    connection: "duckdb.DuckDBPyConnection", progress: Progress, start: float, share: float
) -> Iterator[None]:
    """Report the running statement's own progress, scaled into ``start`` .. ``start + share``.

    Python's DuckDB tells it since 1.3; before, progress moves at the steps only.
    """
    progress(start)
    if not hasattr(connection, "query_progress"):
        yield
        return

    def tell() -> None:
        percent = connection.query_progress()
        if percent > 0:
            progress(start + share * min(percent, 100.0) / 100.0)

    with run_periodically(tell, 0.5):
        yield
