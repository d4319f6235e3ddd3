"""What differs between databases, and what their drivers have in common."""
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

from fate_ext_plugin.db.url import DatabaseSettings
from fate_ext_plugin.errors import InvalidRequestBody, SourceError
from fate_ext_plugin.feature.source.lookup import Row
from fate_ext_plugin.feature.source.sql.values import FILTER_PARSERS, ID_PARSERS, OTHER, TEXT

CONNECT_SECONDS = 10
ID_TABLE = "fate_ext_ids"


@dataclass(frozen=True)
class Column:
    """A column of the source. ``type_name`` is the database's own, for messages."""

    name: str
    kind: str
    type_name: str
    collation: str = ""


class Database(ABC):
    """What differs between databases; holds no connection."""

    package = ""
    extra = ""
    quote = '"'
    parameter = "%s"
    id_table = ID_TABLE
    batch_size = 1000
    kinds: Mapping[str, str] = {}

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def driver(self) -> Any:
        try:
            return import_module(self.package.lower())
        except ImportError:
            advice = f"pip install 'fate-ext-plugin[{self.extra}]'"
            raise SourceError(f"{self.package} is not installed; run: {advice}") from None

    def errors(self) -> Type[Exception]:
        """The driver's base class of errors."""
        base: Type[Exception] = self.driver().Error
        return base

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """An open connection. Every error of the driver becomes a SourceError without the password."""
        errors, password = self.errors(), self._settings.password()
        try:
            connection = self.connect(password)
        # RuntimeError: PyMySQL lacks a package that the server's way of authentication needs.
        except (errors, OSError, RuntimeError) as error:
            said = explain(error, password)
            raise SourceError(f"The database {self._settings.url} can't be opened: {said}") from None
        try:
            yield connection
        except errors as error:
            raise SourceError(f"The database refused: {explain(error, password)}") from None
        finally:
            self.close(connection)

    def close(self, connection: Any) -> None:
        connection.close()

    def quoted(self, names: Sequence[str]) -> str:
        """A dotted name as part of a statement."""
        name = ".".join(self.quote + name.replace(self.quote, self.quote * 2) + self.quote for name in names)
        return name.replace("%", "%%") if self.parameter == "%s" else name

    def key(self, column: Column) -> str:
        """The column in a comparison."""
        name = f"s.{self.quoted([column.name])}"
        return self.as_text(name) if column.kind == OTHER else name

    def output(self, column: Column) -> str:
        """The column in a SELECT."""
        return f"s.{self.quoted([column.name])}"

    def is_one_of(self, column: Column, count: int) -> str:
        return f"{self.key(column)} IN ({', '.join([self.value(column)] * count)})"

    def value(self, column: Column) -> str:
        """A parameter that is compared with the column."""
        return self.parameter

    def id_column(self, column: Column) -> Column:
        """The ID column, to be compared as text where no value can be made of an ID."""
        return column if column.kind in (TEXT, *ID_PARSERS) else replace(column, kind=OTHER)

    def id_values(self, column: Column, identifier: str) -> List[Any]:
        """The value of the column's type whose text is ``identifier``, if there is one."""
        parse = ID_PARSERS.get(column.kind)
        value = parse(identifier) if parse else identifier
        return [] if value is None else [value]

    def filter_values(self, column: Column, wanted: str) -> List[Any]:
        """``wanted`` as a value of the column's type.

        :raises InvalidRequestBody: it is none.
        """
        try:
            wanted.encode()
            if "\0" in wanted:
                raise ValueError
            return [FILTER_PARSERS.get(column.kind, str)(wanted)]
        except ValueError:
            shown = wanted[:80]
            raise InvalidRequestBody(
                f"{shown!r} is no value of column {column.name!r}, which is {column.type_name}.") from None

    def stream(self, connection: Any, statement: str, values: List[Any]) -> Iterator[Row]:
        """The rows as the database gives them, never all in memory."""
        cursor = self.streaming_cursor(connection)
        cursor.execute(statement, tuple(values))
        return iter(cursor)

    def streaming_cursor(self, connection: Any) -> Any:
        return connection.cursor()

    def insert(self, cursor: Any, rows: List[Tuple[int, Any]]) -> None:
        """Put ``(n, id)`` into the ID table."""
        cursor.executemany(f"INSERT INTO {self.id_table} VALUES ({self.parameter}, {self.parameter})", rows)

    @abstractmethod
    def connect(self, password: Optional[str]) -> Any:
        """A DB-API connection that reads only, as far as the database knows such a thing."""

    @abstractmethod
    def columns(self, cursor: Any, table: List[str]) -> Dict[str, Column]:
        """The table's columns by name; the driver's error where there is no such table."""

    @abstractmethod
    def as_text(self, expression: str) -> str: ...

    @abstractmethod
    def create_id_table(self, cursor: Any, source: str, column: Column, scratch: Path) -> None:
        """Make the table (n, id); ``id`` compares with ``column`` through the column's own index."""

    @abstractmethod
    def finish_id_table(self, cursor: Any) -> None:
        """All IDs are in it."""

    @abstractmethod
    def begin_reading(self, cursor: Any) -> None:
        """From here on, all statements see one state of the data."""


def explain(error: Exception, password: Optional[str] = None) -> str:
    """What a driver says, in one line, without the password."""
    # PyMySQL puts a number before it.
    lines = str(error.args[-1] if error.args else "").strip().splitlines()
    said = lines[0][:300] if lines else type(error).__name__
    return said.replace(password, "***") if password else said
