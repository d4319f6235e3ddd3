"""SQLite: a file that is only read, whose values have types of their own."""
import re
import sqlite3
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from fate_ext_plugin.db.url import DatabaseSettings
from fate_ext_plugin.feature.source.sql.database import CONNECT_SECONDS, ID_TABLE, Column, Database
from fate_ext_plugin.feature.source.sql.values import (
    ANY,
    FLOAT,
    INTEGER,
    TEXT,
    canonical_bytes,
    canonical_float,
    canonical_integer,
)
from fate_ext_plugin.util.fields import base_dir


class Sqlite(Database):
    package = "sqlite3"
    parameter = "?"
    id_table = f"scratch.{ID_TABLE}"
    batch_size = 300  # before 3.32, a statement takes 999 parameters

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings)
        # In SQLAlchemy's and peewee's way: what follows the third slash is the path.
        self._path = (base_dir.get() / urlsplit(settings.url).path[1:]).absolute()

    def connect(self, password: Optional[str]) -> Any:
        uri = f"{self._path.as_uri()}?mode=ro"
        return sqlite3.connect(uri, timeout=CONNECT_SECONDS, isolation_level=None, uri=True)

    def columns(self, cursor: Any, table: List[str]) -> Dict[str, Column]:
        *schema, name = (self.quoted([part]) for part in table)
        pragma = ".".join([*schema, f"table_info({name})"])
        types = {row[1]: row[2] for row in cursor.execute(f"PRAGMA {pragma}")}
        # Knows generated columns, too.
        cursor.execute(f"SELECT * FROM {self.quoted(table)} LIMIT 0")
        return {name: Column(name, affinity(types.get(name, "")), types.get(name, "untyped"))
                for name, *_ in cursor.description}

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS TEXT)"

    def id_column(self, column: Column) -> Column:
        return column

    def id_values(self, column: Column, identifier: str) -> List[Any]:
        # An affinity makes the column's kind of value out of a text.
        return sqlite_forms(identifier) if column.kind == ANY else [identifier]

    def filter_values(self, column: Column, wanted: str) -> List[Any]:
        values = super().filter_values(column, wanted)
        return sqlite_forms(wanted) if column.kind == ANY else values

    def create_id_table(self, cursor: Any, source: str, column: Column, scratch: Path) -> None:
        # A file of the job's own folder rather than a TEMP table, which would spill to /tmp.
        cursor.execute("ATTACH ? AS scratch", (str(scratch / f"{ID_TABLE}.sqlite"),))
        cursor.execute("PRAGMA scratch.journal_mode = OFF")
        cursor.execute("PRAGMA scratch.synchronous = OFF")
        # AS SELECT takes over the column's affinity.
        cursor.execute(
            f"CREATE TABLE {self.id_table} AS SELECT 0 AS n, {self.key(column)} AS id FROM {source} LIMIT 0")
        cursor.execute(f"CREATE UNIQUE INDEX {self.id_table}_n ON {ID_TABLE} (n, id)")
        cursor.execute("BEGIN")

    def insert(self, cursor: Any, rows: List[Tuple[int, Any]]) -> None:
        # OR IGNORE: the affinity may make two forms of an ID one.
        cursor.executemany(f"INSERT OR IGNORE INTO {self.id_table} VALUES (?, ?)", rows)

    def finish_id_table(self, cursor: Any) -> None:
        cursor.execute("COMMIT")
        cursor.execute(f"CREATE INDEX {self.id_table}_id ON {ID_TABLE} (id, n)")

    def begin_reading(self, cursor: Any) -> None:
        cursor.execute("BEGIN")


def affinity(type_name: str) -> str:
    """What SQLite makes of a declared type (https://www.sqlite.org/datatype3.html, 3.1), as far as needed."""
    order = (("INT", INTEGER), ("CHAR|CLOB|TEXT", TEXT), ("BLOB", ANY), ("REAL|FLOA|DOUB", FLOAT))
    for pattern, kind in order:
        if re.search(pattern, type_name.upper()):
            return kind
    return ANY


def sqlite_forms(value: str) -> List[Any]:
    """All SQLite values whose text is ``value``: a column without an affinity holds any of them."""
    forms = (value, canonical_integer(value), canonical_float(value), canonical_bytes(value))
    return [form for form in forms if form is not None]
