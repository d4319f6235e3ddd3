"""Source ``file``: Parquet or CSV files on disk, joined by DuckDB."""
import glob
import os
import re
from contextlib import contextmanager
from pathlib import Path
from string import Formatter
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set

import duckdb
from marshmallow import Schema, ValidationError, fields, validate

from fate_ext_plugin.errors import InvalidRequestBody, NoData, SourceError
from fate_ext_plugin.feature import duck
from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace, require_columns

INTEGER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
# A value becomes one part of a path: never a separator, a parent, a hidden file or a wildcard.
SAFE_PART = re.compile(r"[^\W.~-][\w.=@+-]*")
ROW_NUMBER = "\"\x1frow\""  # no column of a source is called so
WILDCARDS = re.compile(r"[*?\[\]{}]")


class FileSchema(Schema):
    path = fields.String(required=True, validate=validate.Length(min=1), metadata={
        "help": "files to read: a path with {parameter} placeholders and * wildcards (** for folders in folders); "
                "a relative one starts where data_dir's would"})
    format = fields.String(load_default=None, validate=validate.OneOf(["parquet", "csv"]), metadata={
        "help": "parquet or csv; default: by the end of the path"})
    delimiter = fields.String(load_default=",", validate=validate.Length(equal=1), metadata={"help": "of CSV files"})


class FileSource(Source):
    settings_schema = FileSchema

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        from fate_ext_plugin.schema.settings import base_dir

        self._template = str(base_dir.get() / options["path"])
        self._format = options["format"] or _format_of(self._template)
        self._delimiter = options["delimiter"]

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        try:
            placeholders = _placeholders(self._template)
        except ValueError as error:
            raise ValidationError(f"path: {error}.", "source") from None
        fills = {name for name, parameter in parameters.items() if parameter.column is None}
        if placeholders - fills:
            raise ValidationError(
                f"The path's placeholders {', '.join(sorted(placeholders - fills))} are no parameters "
                "(declare each, without a column).", "source")
        if fills - placeholders:
            raise ValidationError(
                f"{', '.join(sorted(fills - placeholders))}: neither in the path as {{name}} nor given a column.",
                "parameters")
        for name in fills:
            if not parameters[name].required and parameters[name].default is None:
                raise ValidationError(f"{name}: fills the path, so it needs required: true or a default.", "parameters")

    def check(self, join: Join) -> None:
        self._files(join)

    def inspect(self, columns: Sequence[str]) -> Optional[str]:
        """The file must be readable; where its path varies, the folder above the first placeholder or wildcard.

        Columns are looked up by DuckDB, which keeps 30 MiB of this process's memory.
        """
        self._look()
        if not columns:
            return None
        files = self._sample()
        if not files:
            return f"there is no file {self._template} yet"
        with duck.schema_reader() as connection, _explaining_errors():
            require_columns(_named(files), columns, _schema(connection, self._relation(files)))
        return None

    def _look(self) -> None:
        fixed = re.split(r"[{*?\[]", self._template, maxsplit=1)[0]
        path = Path(fixed) if fixed == self._template or fixed.endswith("/") else Path(fixed).parent
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path} is not there, or can't be read by this user.")

    def _sample(self) -> List[str]:
        """Files of one job; where placeholders choose them, the newest and those a wildcard finds beside it."""
        names = _placeholders(self._template)
        # Not *: a value is never empty, and two of them side by side would be any folder.
        files = _found(self._template.format(**dict.fromkeys(names, "?*")))
        if not names or not files:
            return files
        newest = max(files, key=os.path.getmtime)
        if _placeholders(os.path.basename(self._template)):
            return [newest]
        return [name for name in files if os.path.dirname(name) == os.path.dirname(newest)]

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        connection = duck.connect(work, keep_order=join.duplicate_rows == "first")
        with duck.reporting(connection, progress, 0.0, duck.READ_SHARE):
            ids = duck.load_ids(connection, work)
        with _explaining_errors():
            self._find(connection, join, progress)
        joined = duck.READ_SHARE + duck.JOIN_SHARE
        with duck.reporting(connection, progress, joined, 1 - joined):
            return duck.write_result(connection, join, work, ids)

    def _find(self, connection: "duckdb.DuckDBPyConnection", join: Join, progress: Progress) -> None:
        """Create the table ``found``: the lines of the uploaded IDs' rows."""
        relation = self._relation(self._files(join))
        schema = _schema(connection, relation)
        _require(schema, [join.id_column, *join.columns, *join.filters])
        id_type = schema[join.id_column]
        columns = duck.line(join, [schema[name] for name in join.columns])
        filters = [_equals(connection, column, schema[column], value) for column, value in join.filters.items()]
        if filters:
            relation = f"(SELECT * FROM {relation} s WHERE {' AND '.join(filters)})"
        if join.duplicate_rows == "first":
            # Numbered as they are read: a join keeps no order.
            relation = f"(SELECT *, row_number() OVER () AS {ROW_NUMBER} FROM {relation})"
            columns += f", s.{ROW_NUMBER} AS {duck.ROW_ORDER}"
        with duck.reporting(connection, progress, duck.READ_SHARE, duck.JOIN_SHARE):
            connection.execute(
                f"CREATE TEMP TABLE found AS SELECT {columns} "
                f"FROM {relation} s JOIN {_keyed_ids(id_type)} i ON {_source_key(join.id_column, id_type)} = i.key")

    def _files(self, join: Join) -> List[str]:
        """The files that hold the answer.

        :raises InvalidRequestBody: a value is no safe part of a path.
        :raises NoData: there are none.
        """
        for name, value in join.path_values.items():
            if not SAFE_PART.fullmatch(value):
                raise InvalidRequestBody(
                    f"Parameter {name!r}: {value!r} can't be part of a path; use letters, digits and _ . = @ + - only.")
        pattern = self._template.format(**{name: glob.escape(value) for name, value in join.path_values.items()})
        files = _found(pattern)
        if not files:
            given = ", ".join(f"{name}={value}" for name, value in join.path_values.items())
            raise NoData(f"No data is stored for {given}." if given else "The source has no files yet.")
        return files

    def _relation(self, files: List[str]) -> str:
        names = "[" + ", ".join(duck.literal(name) for name in files) + "]"
        if self._format == "parquet":
            return f"read_parquet({names}, hive_partitioning = false, union_by_name = {len(files) > 1})"
        # Every value stays the text it is, and nothing that a sniffer could take for a comment is lost.
        return (f"read_csv({names}, header = true, all_varchar = true, delim = {duck.literal(self._delimiter)}, "
                f"quote = '\"', escape = '\"', "
                f"comment = '', skip = 0, hive_partitioning = false, union_by_name = {len(files) > 1})")


def _format_of(path: str) -> str:
    return "csv" if path.lower().endswith((".csv", ".csv.gz")) else "parquet"


def _placeholders(template: str) -> Set[str]:
    """:raises ValueError: a brace is not closed, or not opened."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _found(pattern: str) -> List[str]:
    """:raises SourceError: a file can't be read under its name."""
    files = sorted(name for name in glob.iglob(pattern, recursive=True) if os.path.isfile(name))
    odd = [name for name in files if WILDCARDS.search(name)]
    if odd:
        # DuckDB would take it for a pattern.
        raise SourceError(f"A file's name holds a wildcard character; rename it: {os.path.basename(odd[0])}")
    return files


def _named(files: List[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} (with {len(files) - 1} more, taken together)"


@contextmanager
def _explaining_errors() -> Iterator[None]:
    """DuckDB's errors become a SourceError, but for those of its own memory."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise SourceError(f"The source can't be read: {_first_line(error)}") from error


def _schema(connection: "duckdb.DuckDBPyConnection", relation: str) -> Dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}


def _require(schema: Mapping[str, str], columns: List[str]) -> None:
    missing = [name for name in columns if name not in schema]
    if missing:
        raise SourceError(
            f"The source has no column {', '.join(map(repr, missing))}; the view's configuration and the data differ.")


def _source_key(id_column: str, id_type: str) -> str:
    column = f"s.{duck.identifier(id_column)}"
    return column if id_type == "VARCHAR" or id_type in INTEGER_TYPES else f"CAST({column} AS VARCHAR)"


def _keyed_ids(id_type: str) -> str:
    """The uploaded IDs with a ``key`` of the source's own type, so that the file's statistics can prune.

    IDs are compared as text: '007' is not 7.
    """
    if id_type not in INTEGER_TYPES:
        return f"(SELECT rowid AS {duck.KEY}, id, id AS key FROM ids)"
    key = f"TRY_CAST(id AS {id_type})"
    return f"(SELECT rowid AS {duck.KEY}, id, {key} AS key FROM ids WHERE CAST({key} AS VARCHAR) = id)"


def _equals(connection: "duckdb.DuckDBPyConnection", column: str, type_name: str, value: str) -> str:
    text = duck.literal(value)
    if type_name in INTEGER_TYPES and not re.fullmatch(r"[+-]?[0-9]{1,20}", value):
        raise _no_value(column, type_name, value)  # DuckDB would round 1.5
    if type_name != "VARCHAR":
        row = connection.execute(f"SELECT TRY_CAST({text} AS {type_name}) IS NULL").fetchone()
        if row and row[0]:
            raise _no_value(column, type_name, value)
        text = f"CAST({text} AS {type_name})"
    return f"s.{duck.identifier(column)} = {text}"


def _no_value(column: str, type_name: str, value: str) -> InvalidRequestBody:
    return InvalidRequestBody(f"{value!r} is no value of column {column!r}, which is {type_name}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
