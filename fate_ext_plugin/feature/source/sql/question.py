"""One join, put to one open connection: through a temporary table of the IDs, or in batches of them."""
import logging
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Iterator, List, Tuple

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.engine.csv_format import text
from fate_ext_plugin.feature.source import Join, Progress
from fate_ext_plugin.feature.source.lookup import Group, Row, UploadedIds, look_up, share_of
from fate_ext_plugin.feature.source.sql.database import Column, Database, explain
from fate_ext_plugin.feature.source.sql.values import ANY, TEXT

log = logging.getLogger(__name__)

SEND_IDS = 1000
SEND_SHARE = 0.3  # of a join's progress: until the IDs are in the temporary table


class Question:
    """One join, put to one open connection.

    :raises SourceError: a column is not there.
    :raises InvalidRequestBody: a parameter's value is no value of its column's type.
    """

    def __init__(self, database: Database, connection: Any, table: List[str], join: Join) -> None:
        self._database, self._connection = database, connection
        self._source = f"{database.quoted(table)} s"
        columns = self._columns(table, [join.id_column, *join.filters, *join.columns])
        columns[0] = self._id = database.id_column(columns[0])
        self._wanted = [
            # Only a collation makes a text equal to another one.
            value if column.kind in (TEXT, ANY) else None
            for column, value in zip(columns[1:], join.filters.values())]
        self._width = len(join.columns)
        self._selected = ", ".join(database.output(column) for column in columns)
        self._conditions, self._values = "", []  # type: str, List[Any]
        for column, wanted in zip(columns[1:], join.filters.values()):
            values = database.filter_values(column, wanted)
            self._conditions += f" AND {database.is_one_of(column, len(values))}"
            self._values += values

    def _columns(self, table: List[str], names: List[str]) -> List[Column]:
        known = self._database.columns(self._connection.cursor(), table)
        missing = [name for name in names if name not in known]
        if missing:
            named = ", ".join(map(repr, missing))
            raise SourceError(
                f"Table {'.'.join(table)!r} has no column {named}; the view's configuration and the table differ "
                "(letter case counts).",
                f"The source has no column {named}; the view's configuration and the data differ.")
        return [known[name] for name in names]

    def create_id_table(self, scratch: Path) -> bool:
        """Whether the database let us."""
        try:
            self._database.create_id_table(self._connection.cursor(), self._source, self._id, scratch)
        except self._database.errors() as error:
            self._connection.rollback()
            log.warning("The IDs are asked for in batches: the database refused a temporary table: %s",
                        explain(error))
            return False
        return True

    def through_id_table(self, ids: UploadedIds, progress: Progress) -> Iterator[Group]:
        self._send(ids, share_of(progress, duckdb_join.READ_SHARE, SEND_SHARE))
        self._database.begin_reading(self._connection.cursor())
        rows = self._database.stream(
            self._connection,
            f"SELECT {self._selected}, i.n FROM {self._database.id_table} i "
            f"JOIN {self._source} ON {self._database.key(self._id)} = i.id{self._conditions} ORDER BY i.n",
            self._values)
        found = groupby(rows, key=itemgetter(-1))
        end: Tuple[int, Iterator[Row]] = (-1, iter(()))
        ordinal, group = next(found, end)
        n = 0
        for batch in ids.batches(SEND_IDS, share_of(progress, SEND_SHARE, 1.0)):
            for identifier in batch:
                if n == ordinal:
                    yield identifier, (row[1:] for row in self._exact(group) if text(row[0]) == identifier)
                    ordinal, group = next(found, end)
                else:
                    yield identifier, ()
                n += 1

    def _send(self, ids: UploadedIds, progress: Progress) -> None:
        cursor, n = self._connection.cursor(), 0
        for batch in ids.batches(SEND_IDS, progress):
            rows = [(n + i, value) for i, identifier in enumerate(batch)
                    for value in self._database.id_values(self._id, identifier)]
            if rows:
                self._database.insert(cursor, rows)
            n += len(batch)
        self._database.finish_id_table(cursor)

    def in_batches(self, ids: UploadedIds, progress: Progress) -> Iterator[Group]:
        self._database.begin_reading(self._connection.cursor())
        return look_up(ids, self._lookup, self._database.batch_size, self._width,
                       share_of(progress, duckdb_join.READ_SHARE, 1.0))

    def _lookup(self, batch: List[str]) -> Iterator[Row]:
        values = [value for identifier in batch for value in self._database.id_values(self._id, identifier)]
        if not values:
            return iter(())
        cursor = self._connection.cursor()
        cursor.execute(
            f"SELECT {self._selected} FROM {self._source} "
            f"WHERE {self._database.is_one_of(self._id, len(values))}{self._conditions}",
            (*values, *self._values))
        return self._exact(cursor)

    def _exact(self, rows: Any) -> Iterator[Row]:
        """``(ID, *values)`` of the rows whose filtered texts are exactly those that were asked for."""
        start = 1 + len(self._wanted)
        end = start + self._width
        for row in rows:
            if all(wanted is None or not isinstance(found, str) or found == wanted
                   for found, wanted in zip(row[1:start], self._wanted)):
                yield (row[0], *row[start:end])
