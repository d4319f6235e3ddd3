"""The base of sources that answer batches of IDs, and the pieces of a join that is not done by DuckDB.

A third party's source is one class with one query in it::

    class ScoreService(LookupSource):
        settings_schema = ScoreServiceSchema

        def inspect(self, columns):
            self._get("/health")

        def lookup(self, ids, join):
            for row in self._get("/scores", ids=ids, **join.filters):
                yield (row["id"], *(row[column] for column in join.columns))
"""
from abc import abstractmethod
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.engine.csv_format import LineWriter, duplicate_error, text
from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace

WRITE_BUFFER_BYTES = 2**20

Row = Sequence[Any]
#: An uploaded ID and the rows found for it: their values in the order of ``Join.columns``.
Group = Tuple[str, Iterable[Row]]


class LookupSource(Source):
    """Gives the rows of some IDs at a time; a subclass writes :meth:`lookup` and :meth:`inspect`."""

    #: How many IDs one :meth:`lookup` gets at most.
    batch_size = 1000

    @abstractmethod
    def lookup(self, ids: Sequence[str], join: Join) -> Iterable[Row]:
        """The rows of these IDs, in any order: ``(id, *values in the order of join.columns)``.

        An ID may have no row; a row of any other ID is dropped. IDs are compared as text: a row of the ID ``7``
        (text or number) is the row of the uploaded ``7``, not of ``007``.

        :param ids: distinct.
        :param join: the parameters' values are its ``filters`` and ``path_values``, for this source to obey.
        :raises ExtError: with a message for the FATE job's log.
        """

    def check(self, join: Join) -> None:
        """Refuse nothing. Override it where a parameter's value can be refused without asking anyone: the FATE
        job then fails at its upload, with that message."""

    @abstractmethod
    def inspect(self, columns: Sequence[str]) -> Optional[str]:
        """Raise a SourceError where nothing would be answered: ask something small, such as one ID.

        Where the source can tell its columns, :func:`~fate_ext_plugin.feature.source.require_columns` compares them
        with ``columns``; otherwise ignore these.
        """

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        with UploadedIds(work, progress) as ids:
            groups = look_up(ids, lambda batch: self.lookup(batch, join), self.batch_size, len(join.columns),
                             share_of(progress, duckdb_join.READ_SHARE, 1.0))
            return write_groups(groups, join, work)


class UploadedIds:
    """The distinct uploaded IDs, on disk, in the order of their UTF-8 bytes; can be read again and again."""

    def __init__(self, work: Workspace, progress: Progress) -> None:
        self._connection = duckdb_join.connect(work)
        with duckdb_join.reporting(self._connection, progress, 0.0, duckdb_join.READ_SHARE):
            self.count = duckdb_join.load_ids(self._connection, work)

    def __enter__(self) -> "UploadedIds":
        return self

    def __exit__(self, *error: Any) -> None:
        self._connection.close()

    def batches(self, size: int, progress: Progress) -> Iterator[List[str]]:
        """All IDs, ``size`` at a time; ``progress`` is told after each batch. One reading at a time."""
        done = 0
        # Sorted: neighbours of an index are asked for together, and every reading gives the same order.
        reading = self._connection.execute("SELECT id FROM ids ORDER BY id")
        while True:
            batch = [row[0] for row in reading.fetchmany(size)]
            if not batch:
                return
            yield batch
            done += len(batch)
            progress(done / self.count)


def share_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of one step, which is ``start`` to ``end`` of the whole."""
    return lambda done: progress(start + (end - start) * done)


def look_up(
    ids: UploadedIds, lookup: Callable[[List[str]], Iterable[Row]], size: int, width: int, progress: Progress
) -> Iterator[Group]:
    """Every ID with its rows, asked for in batches.

    :param lookup: gives rows of an ID and ``width`` values.
    :raises SourceError: a row has another length.
    """
    for batch in ids.batches(size, progress):
        found: Dict[Optional[str], List[Row]] = {identifier: [] for identifier in batch}
        for row in lookup(batch):
            if len(row) != 1 + width:
                raise SourceError(
                    f"The source gave a row of {len(row)} values; the ID and {width} columns were asked for.")
            rows = found.get(text(row[0]))
            if rows is not None:
                rows.append(row[1:])
        for identifier in batch:
            yield identifier, found[identifier]


def write_groups(groups: Iterable[Group], join: Join, work: Workspace) -> Counts:
    """Write the result: a line for each ID that has a row, or for every ID where the view keeps missing ones.

    :param groups: every ID once; of its rows two are looked at.
    :raises InvalidFeature: two rows for one ID, or a value that FATE would misread.
    """
    writer = LineWriter(join.columns, join.null_value, join.misread_values == "replace")
    nulls = [None] * len(join.columns)
    asked = matched = 0
    with open(work.result_path, "w", WRITE_BUFFER_BYTES, encoding="utf-8", newline="\n") as result:
        result.write(writer.header(work.id_name))
        for identifier, rows in groups:
            asked += 1
            remaining = iter(rows)
            values = next(remaining, None)
            if values is not None:
                matched += 1
                if join.duplicate_rows == "fail" and next(remaining, None) is not None:
                    raise duplicate_error(identifier)
                result.write(writer.line(identifier, values))
            elif join.missing_ids == "keep":
                result.write(writer.line(identifier, nulls))
    return Counts(ids=asked, matched=matched)
