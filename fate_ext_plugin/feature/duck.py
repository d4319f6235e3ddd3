"""DuckDB as the engine of a job: limits, the uploaded IDs as a table, and a result in FATE's dialect."""
import threading
from contextlib import contextmanager
from typing import Any, Iterator, List, Tuple

import duckdb

from fate_ext_plugin.feature.dialect import (
    MISREAD,
    REPLACEMENT,
    STRIPPED,
    duplicate_error,
    misread_error,
    misread_id_error,
)
from fate_ext_plugin.feature.id_file import MAX_LINE_BYTES
from fate_ext_plugin.feature.source import Counts, Join, Progress, Workspace

# No uploaded line holds it (see id_file), so a line is always one field.
ID_FILE_DELIMITER = "\x1f"
# DuckDB gives each thread a block of a CSV file; with its default of 32 MiB one thread reads most files alone.
READ_BLOCK_BYTES = 1 << 20
# Numbers the source's rows in ``found``, where the first of two is wanted.
ROW_ORDER = "r"
# Types whose text can't hold a comma, a quote or white space at the end.
SAFE_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
              "UHUGEINT", "FLOAT", "DOUBLE", "BOOLEAN", "DECIMAL", "DATE", "TIME", "TIMESTAMP", "UUID")
# A join's share of the work beside reading the IDs and writing the result, for progress only.
READ_SHARE, JOIN_SHARE = 0.05, 0.65


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
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    })
    connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    connection.execute("SET lock_configuration = true")
    return connection


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def load_ids(connection: "duckdb.DuckDBPyConnection", work: Workspace) -> int:
    """Create the table ``ids`` (id VARCHAR) of distinct IDs; returns how many."""
    connection.execute(
        f"CREATE TEMP TABLE ids AS SELECT DISTINCT id FROM read_csv({literal(str(work.ids_path))}, header = false, "
        f"columns = {{'id': 'VARCHAR'}}, auto_detect = false, delim = {literal(ID_FILE_DELIMITER)}, quote = '', "
        f"escape = '', max_line_size = {2 * MAX_LINE_BYTES}, buffer_size = {READ_BLOCK_BYTES}) "
        "WHERE trim(id, ' \t') <> ''")
    return count(connection, "SELECT count(*) FROM ids")


def count(connection: "duckdb.DuckDBPyConnection", query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def write_result(
    connection: "duckdb.DuckDBPyConnection", join: Join, work: Workspace, ids: int, types: List[str]
) -> Counts:
    """Check the table ``found`` (id, then c0, c1, ... of the DuckDB types ``types``) and write the result.

    Where the join takes the first of two rows, ``found`` has a column :data:`ROW_ORDER`, too.

    :raises InvalidFeature: two rows for one ID, or a value that FATE would misread.
    """
    found = count(connection, "SELECT count(*) FROM found")
    matched = count(connection, "SELECT count(DISTINCT id) FROM found")
    if matched < found:
        _resolve_duplicates(connection, join)
    _refuse_misread_ids(connection, join)
    relation = "found"
    if join.missing_ids == "keep" and matched < ids:
        relation = "(SELECT * FROM found UNION ALL BY NAME SELECT id FROM ids ANTI JOIN found USING (id))"
    columns = [_output(connection, join, index, types[index]) for index in range(len(join.columns))]
    connection.execute(
        f"COPY (SELECT id AS {identifier(work.id_name)}, {', '.join(columns)} FROM {relation}) "
        f"TO {literal(str(work.result_path))} (FORMAT csv, HEADER true, DELIMITER ',', QUOTE '', ESCAPE '', "
        f"NULLSTR {literal(join.null_value)})")
    return Counts(ids=ids, matched=matched)


def _resolve_duplicates(connection: "duckdb.DuckDBPyConnection", join: Join) -> None:
    if join.duplicate_rows == "fail":
        row = connection.execute("SELECT id FROM found GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1").fetchone()
        raise duplicate_error(row[0] if row else "")
    connection.execute(
        f"DELETE FROM found WHERE {ROW_ORDER} NOT IN (SELECT min({ROW_ORDER}) FROM found GROUP BY id)")


def _refuse_misread_ids(connection: "duckdb.DuckDBPyConnection", join: Join) -> None:
    written = "ids" if join.missing_ids == "keep" else "found"
    # Of what FATE misreads, an uploaded line can hold these only.
    query = f"SELECT id FROM {written} WHERE contains(id, ',') OR contains(id, '\"') LIMIT 1"
    row = connection.execute(query).fetchone()
    if row:
        raise misread_id_error(row[0])


def _output(connection: "duckdb.DuckDBPyConnection", join: Join, index: int, type_name: str) -> str:
    """One column of the result as an SQL expression, after its values were checked."""
    column, name = f"c{index}", identifier(join.columns[index])
    if type_name == "BOOLEAN":
        return f"CAST({column} AS TINYINT) AS {name}"
    if type_name.startswith(SAFE_TYPES) and not type_name.endswith("]"):
        return f"{column} AS {name}"
    text = f"CAST({column} AS VARCHAR)"
    pattern = f"{MISREAD}|{STRIPPED}" if index == len(join.columns) - 1 else MISREAD
    row: Tuple[Any, ...] = connection.execute(
        f"SELECT id, {text} FROM found WHERE regexp_matches({text}, {literal(pattern)}) LIMIT 1").fetchone() or ()
    if not row:
        return f"{text} AS {name}"
    if join.misread_values == "fail":
        raise misread_error(join.columns[index], row[0], row[1])
    cleaned = f"regexp_replace({text}, {literal(MISREAD)}, {literal(REPLACEMENT)}, 'g')"
    if index == len(join.columns) - 1:
        cleaned = f"regexp_replace({cleaned}, {literal(STRIPPED)}, {literal(REPLACEMENT)})"
    return f"{cleaned} AS {name}"


@contextmanager
def reporting(
    connection: "duckdb.DuckDBPyConnection", progress: Progress, start: float, share: float
) -> Iterator[None]:
    """Report the running statement's own progress, scaled into ``start`` .. ``start + share``.

    Python's DuckDB tells it since 1.3; before, progress moves at the steps only.
    """
    progress(start)
    done, watcher = threading.Event(), None
    if hasattr(connection, "query_progress"):
        def watch() -> None:
            while not done.wait(0.5):
                percent = connection.query_progress()
                if percent > 0:
                    progress(start + share * min(percent, 100.0) / 100.0)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
    try:
        yield
    finally:
        done.set()
        if watcher:
            watcher.join()
