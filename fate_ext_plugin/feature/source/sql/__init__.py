"""Source ``sql``: a table or view of SQLite, MySQL/MariaDB or PostgreSQL.

The IDs go to the database, not the table to us: through a temporary table and one streamed SELECT, or in
batches where that is switched off or refused. Either way a row is compared again here, as exact text, because
databases find more than that: under a case-insensitive collation 'a' is 'A', and 7 is '007'.

The drivers are used without peewee, which does not stream; nor does peewee 3.9 escape the names it quotes.
"""
from typing import Any, Callable, Dict, List, Mapping, Sequence
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from fate_ext_plugin.db.url import DatabaseSettings
from fate_ext_plugin.db.url_schema import DatabaseSchema
from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace, require_columns
from fate_ext_plugin.feature.source.lookup import UploadedIds, write_groups
from fate_ext_plugin.feature.source.placeholders import require_columns_given
from fate_ext_plugin.feature.source.sql.database import Database
from fate_ext_plugin.feature.source.sql.mysql import MySql
from fate_ext_plugin.feature.source.sql.postgresql import PostgreSql
from fate_ext_plugin.feature.source.sql.question import Question
from fate_ext_plugin.feature.source.sql.sqlite import Sqlite
from fate_ext_plugin.util.fields import Boolean

DATABASES: Dict[str, Callable[[DatabaseSettings], Database]] = {
    "sqlite": Sqlite, "mysql": MySql, "postgresql": PostgreSql}


class SqlSchema(DatabaseSchema):
    table = fields.String(required=True, validate=validate.Regexp(
        r"\A[^.\x00-\x1f]+(\.[^.\x00-\x1f]+)?\Z", error="Must be a table's name, or schema.name."),
        metadata={"help": "table or view to read: name, or schema.name (MySQL: database.name)"})
    temporary_table = Boolean(load_default=True, metadata={
        "help": "send the IDs through a temporary table; false: ask for them in batches. The table is far faster where "
                "the ID column has no index, and about equal otherwise. "
                "Where the database refuses to make one, batches are used, and the log says so"})

    @validates_schema
    def whole_url(self, data: Mapping[str, Any], **_: Any) -> None:
        parts = urlsplit(data["url"])
        try:
            parts.port  # noqa: B018 - raises
        except ValueError:
            raise ValidationError("The port must be a number up to 65535.", "url") from None
        if not parts.path.strip("/"):
            raise ValidationError("Names no database, such as mysql://user@host:3306/name.", "url")
        if parts.scheme == "sqlite" and parts.netloc:
            raise ValidationError("The path follows three slashes: sqlite:///path or sqlite:////path.", "url")
        if parts.scheme != "postgresql" and (parts.query or parts.fragment):
            raise ValidationError("Takes nothing after ? or #.", "url")

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Any:
        own = {key: data.pop(key) for key in ("table", "temporary_table")}
        return {"database": DatabaseSettings(**data), **own}


class SqlSource(Source):
    settings_schema = SqlSchema

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        settings: DatabaseSettings = options["database"]
        self._database = DATABASES[urlsplit(settings.url).scheme](settings)
        self._table: List[str] = options["table"].split(".")

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        require_columns_given(parameters)

    def check(self, join: Join) -> None:
        """Nothing: an upload does not wait for the database."""

    def inspect(self, columns: Sequence[str]) -> None:
        """The database must let us in and read these columns of the table."""
        with self._database.connected() as connection:
            there = self._database.columns(connection.cursor(), self._table)
            require_columns(f"Table {'.'.join(self._table)!r}", columns, there)
            # Compared first: SQLite reads a quoted name that is no column as a text.
            selected = ", ".join(f"s.{self._database.quoted([name])}" for name in columns) or "1"
            table = self._database.quoted(self._table)
            connection.cursor().execute(f"SELECT {selected} FROM {table} s WHERE 1 = 0", ())

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        with self._database.connected() as connection:
            question = Question(self._database, connection, self._table, join)
            use_table = self.options["temporary_table"] and question.create_id_table(work.scratch)
            with UploadedIds(work, progress) as ids:
                groups = question.through_id_table if use_table else question.in_batches
                return write_groups(groups(ids, progress), join, work)
