"""PostgreSQL, by psycopg2."""
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from fate_ext_plugin.feature.source.sql.database import CONNECT_SECONDS, ID_TABLE, Column, Database
from fate_ext_plugin.feature.source.sql.values import (
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    FLOAT,
    INTEGER,
    OTHER,
    TEXT,
    TIMESTAMP,
    UNIQUE_ID,
)


class PostgreSql(Database):
    package, extra = "psycopg2", "postgresql"
    id_table = f"pg_temp.{ID_TABLE}"
    kinds = {
        "int2": INTEGER, "int4": INTEGER, "int8": INTEGER,
        "numeric": DECIMAL, "float4": FLOAT, "float8": FLOAT,
        "text": TEXT, "varchar": TEXT, "bpchar": TEXT, "bytea": BYTES, "bool": BOOLEAN, "uuid": UNIQUE_ID,
        "date": DATE, "timestamp": TIMESTAMP, "timestamptz": TIMESTAMP,
    }
    # Without a length or precision: an ID that is too long is no error then.
    id_types = {INTEGER: "int8", DECIMAL: "numeric", BYTES: "bytea", UNIQUE_ID: "uuid"}
    # What Python writes as FATE needs it; the rest is taken as PostgreSQL's own text.
    values = (INTEGER, DECIMAL, FLOAT, BYTES, BOOLEAN)

    def connect(self, password: Optional[str]) -> Any:
        psycopg2 = self.driver()
        connection = psycopg2.connect(self._settings.url, password=password, connect_timeout=CONNECT_SECONDS)
        connection.set_client_encoding("UTF8")
        connection.set_session(isolation_level="REPEATABLE READ")
        return connection

    def columns(self, cursor: Any, table: List[str]) -> Dict[str, Column]:
        cursor.execute(
            "SELECT a.attname, coalesce(b.typname, t.typname) "
            "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype "
            "WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped",
            (self.quoted(table).replace("%%", "%"),))
        return {name: Column(name, self.kinds.get(type_name, OTHER), type_name)
                for name, type_name in cursor.fetchall()}

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS text)"

    def output(self, column: Column) -> str:
        # Of char(n) that is the text without its padding.
        name = super().output(column)
        return name if column.kind in self.values else self.as_text(name)

    def create_id_table(self, cursor: Any, source: str, column: Column, scratch: Path) -> None:
        type_name = "bpchar" if column.type_name == "bpchar" else self.id_types.get(column.kind, "text")
        cursor.execute(f"CREATE TEMPORARY TABLE {ID_TABLE} (n integer, id {type_name}) ON COMMIT DROP")

    def insert(self, cursor: Any, rows: List[Tuple[int, Any]]) -> None:
        extras = import_module("psycopg2.extras")
        extras.execute_values(cursor, f"INSERT INTO {self.id_table} VALUES %s", rows, page_size=len(rows))

    def finish_id_table(self, cursor: Any) -> None:
        # No index: PostgreSQL joins by a hash table, and a long ID does not fit into an index.
        cursor.execute(f"ANALYZE {self.id_table}")

    def begin_reading(self, cursor: Any) -> None:
        cursor.execute("SET TRANSACTION READ ONLY")
        # All rows will be read, not the first few.
        cursor.execute("SET LOCAL cursor_tuple_fraction = 1")

    def streaming_cursor(self, connection: Any) -> Any:
        return connection.cursor("fate_ext_features")
