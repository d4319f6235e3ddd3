"""The uploaded IDs joined with one DuckDB relation: what an answer holds, and how each value is written."""
import re
from contextlib import contextmanager
from typing import Dict, Iterable, Iterator, List, Mapping, Optional

import duckdb

from fate_ext_plugin.errors import LOOK, InvalidRequestBody, SourceError
from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.source import Counts, Join, Progress, Workspace
from fate_ext_plugin.util.disk import says_disk_full

INTEGER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
NO_NAMES: Mapping[str, str] = {}
ROW_NUMBER = "\"\x1frow\""  # no column of a source is called so


def join_relation(
    relation: str, join: Join, work: Workspace, progress: Progress, order_by: str = "",
    names: Mapping[str, str] = NO_NAMES,
) -> Counts:
    """Write the result of a relation: a table function's call, or a SELECT in parentheses.

    :param names: what callers may be told of each file that is read.
    :param order_by: SQL that says which of two rows is the first; without it, the one that is read first.
    :raises SourceError: the relation can't be read, or lacks a column.
    :raises InvalidRequestBody: a filter's value is none of its column's type.
    :raises InvalidFeature: two rows for one ID, or a value that FATE would misread.
    """
    connection = duckdb_join.connect(work, keep_order=join.duplicate_rows == "first")
    with duckdb_join.reporting(connection, progress, 0.0, duckdb_join.READ_SHARE):
        ids = duckdb_join.load_ids(connection, work)
    with explaining_errors(names):
        _find(connection, relation, join, progress, order_by)
    joined = duckdb_join.READ_SHARE + duckdb_join.JOIN_SHARE
    with duckdb_join.reporting(connection, progress, joined, 1 - joined):
        return duckdb_join.write_result(connection, join, work, ids)


def _find(
    connection: "duckdb.DuckDBPyConnection", relation: str, join: Join, progress: Progress, order_by: str
) -> None:
    """Create the table ``found``: the lines of the uploaded IDs' rows."""
    schema = schema_of(connection, relation)
    require_view_columns(schema, [join.id_column, *join.columns, *join.filters])
    id_type = schema[join.id_column]
    columns = duckdb_join.line(join, [schema[name] for name in join.columns])
    filters = [_equals(connection, column, schema[column], value) for column, value in join.filters.items()]
    if filters:
        relation = f"(SELECT * FROM {relation} s WHERE {' AND '.join(filters)})"
    if join.duplicate_rows == "first":
        # Numbered as they are read: a join keeps no order.
        over = f"ORDER BY {order_by}" if order_by else ""
        relation = f"(SELECT *, row_number() OVER ({over}) AS {ROW_NUMBER} FROM {relation})"
        columns += f", s.{ROW_NUMBER} AS {duckdb_join.ROW_ORDER}"
    with duckdb_join.reporting(connection, progress, duckdb_join.READ_SHARE, duckdb_join.JOIN_SHARE):
        connection.execute(
            f"CREATE TEMP TABLE found AS SELECT {columns} "
            f"FROM {relation} s JOIN {_keyed_ids(id_type)} i ON {_source_key(join.id_column, id_type)} = i.key")


def parquet(files: List[str]) -> str:
    """The relation of Parquet files; a column that one of them lacks is NULL there."""
    return (f"read_parquet({duckdb_join.literals(files)}, hive_partitioning = false, "
            f"union_by_name = {len(files) > 1})")


@contextmanager
def explaining_errors(names: Mapping[str, str] = NO_NAMES) -> Iterator[None]:
    """DuckDB's errors become a SourceError, but for those of its own memory and disk.

    :param names: what callers are told in place of a file that an error names; of its words they are told none.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if says_disk_full(error):
            raise
        meant = [shown for name, shown in names.items() if name in str(error)]
        public = f"The view's file {meant[0]} can't be read; {LOOK}." if meant else None
        raise SourceError(f"The source can't be read: {_first_line(error)}", public) from error


def schema_of(connection: "duckdb.DuckDBPyConnection", relation: str) -> Dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}


def require_view_columns(schema: Mapping[str, object], columns: Iterable[str]) -> None:
    """:raises SourceError: names the columns that are missing."""
    missing = [name for name in columns if name not in schema]
    if missing:
        named = ", ".join(map(repr, missing))
        said = f"The source has no column {named}; the view's configuration and the data differ."
        raise SourceError(said, said)


def _source_key(id_column: str, id_type: str) -> str:
    column = f"s.{duckdb_join.identifier(id_column)}"
    return column if id_type == "VARCHAR" or id_type in INTEGER_TYPES else f"CAST({column} AS VARCHAR)"


def _keyed_ids(id_type: str) -> str:
    """The uploaded IDs with a ``key`` of the source's own type, so that the file's statistics can prune.

    IDs are compared as text: '007' is not 7.
    """
    if id_type not in INTEGER_TYPES:
        return f"(SELECT rowid AS {duckdb_join.KEY}, id, id AS key FROM ids)"
    key = f"TRY_CAST(id AS {id_type})"
    return f"(SELECT rowid AS {duckdb_join.KEY}, id, {key} AS key FROM ids WHERE CAST({key} AS VARCHAR) = id)"


def _equals(connection: "duckdb.DuckDBPyConnection", column: str, type_name: str, value: str) -> str:
    wanted = filter_value(connection, column, type_name, value)
    text = duckdb_join.literal(wanted)
    return f"s.{duckdb_join.identifier(column)} = {text if type_name == 'VARCHAR' else f'CAST({text} AS {type_name})'}"


def filter_value(connection: "duckdb.DuckDBPyConnection", column: str, type_name: str, value: str) -> str:
    """The text that DuckDB writes for ``value`` as one of the column's type, such as 7 for 07.

    :raises InvalidRequestBody: it is none.
    """
    if type_name == "VARCHAR":
        return value
    row: Optional[tuple] = None
    # DuckDB would round 1.5
    if type_name not in INTEGER_TYPES or re.fullmatch(r"[+-]?[0-9]{1,20}", value):
        row = connection.execute(
            f"SELECT CAST(TRY_CAST({duckdb_join.literal(value)} AS {type_name}) AS VARCHAR)").fetchone()
    if not row or row[0] is None:
        raise InvalidRequestBody(f"{value!r} is no value of column {column!r}, which is {type_name}.")
    return str(row[0])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
