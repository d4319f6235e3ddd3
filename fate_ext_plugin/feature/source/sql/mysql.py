"""MySQL and MariaDB, by PyMySQL."""
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Type
from urllib.parse import unquote, urlsplit

from fate_ext_plugin.feature.source.sql.database import CONNECT_SECONDS, Column, Database
from fate_ext_plugin.feature.source.sql.values import BYTES, DATE, DECIMAL, FLOAT, INTEGER, OTHER, TEXT, TIMESTAMP


class MySql(Database):
    package, extra = "PyMySQL", "mysql"
    quote = "`"
    kinds = {
        **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), INTEGER),
        **dict.fromkeys(("char", "varchar", "enum", "set"), TEXT),
        **dict.fromkeys(("tinytext", "text", "mediumtext", "longtext"), TEXT),
        **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), BYTES),
        "decimal": DECIMAL, "float": FLOAT, "double": FLOAT,
        "date": DATE, "datetime": TIMESTAMP, "timestamp": TIMESTAMP,
    }

    def connect(self, password: Optional[str]) -> Any:
        pymysql = self.driver()
        types, parts = pymysql.constants.FIELD_TYPE, urlsplit(self._settings.url)
        # As MySQL's own text: Python has no 0000-00-00 and writes a TIME in its own way.
        as_text = (types.DATE, types.TIME, types.DATETIME, types.TIMESTAMP)
        return pymysql.connect(
            host=parts.hostname or "localhost", port=parts.port or 3306,
            user=unquote(parts.username or "") or None, password=password or "",
            database=unquote(parts.path[1:]), charset="utf8mb4", autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            conv={key: value for key, value in pymysql.converters.conversions.items() if key not in as_text},
            # An ID that does not fit the column's type is cut, not refused; it is compared again here.
            sql_mode="",
            # ... and PyMySQL before 1.0 prints every such warning.
            init_command="SET max_error_count = 0")

    def close(self, connection: Any) -> None:
        # Of a join that failed. PyMySQL would read all its remaining rows, once it is garbage.
        if connection._result:
            connection._result.unbuffered_active = False
        connection.close()

    def errors(self) -> Type[Exception]:
        base: Type[Exception] = self.driver().MySQLError
        return base

    def columns(self, cursor: Any, table: List[str]) -> Dict[str, Column]:
        cursor.execute(f"SHOW FULL COLUMNS FROM {self.quoted(table)}", ())
        return {name: Column(name, self._kind(type_name.lower()), type_name, collation or "")
                for name, type_name, collation, *_ in cursor.fetchall()}

    def _kind(self, type_name: str) -> str:
        if type_name.startswith("bigint") and "unsigned" in type_name:
            return DECIMAL  # more than 63 bits
        return self.kinds.get(re.split(r"\W", type_name)[0], OTHER)

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS CHAR)"

    def value(self, column: Column) -> str:
        if column.kind != TEXT:
            return self.parameter
        # What the column's character set lacks becomes '?' instead of an "illegal mix of collations".
        return f"CONVERT(%s USING {column.collation.split('_')[0]}) COLLATE {column.collation}"

    def create_id_table(self, cursor: Any, source: str, column: Column, scratch: Path) -> None:
        prefix = "(191)" if re.match("(tiny|medium|long)?(text|blob)", column.type_name.lower()) else ""
        cursor.execute(
            f"CREATE TEMPORARY TABLE {self.id_table} (n INTEGER NOT NULL PRIMARY KEY, KEY (id{prefix})) "
            f"AS SELECT {self.key(column)} AS id FROM {source} LIMIT 0", ())

    def finish_id_table(self, cursor: Any) -> None:
        """Its keys are there from the start: this user may lack the right to add one."""

    def begin_reading(self, cursor: Any) -> None:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def streaming_cursor(self, connection: Any) -> Any:
        return connection.cursor(self.driver().cursors.SSCursor)
