"""Real databases to read features from: SQLite always, MariaDB and PostgreSQL where the environment names them.

.ci/run starts both; by hand, set FATE_EXT_TEST_MYSQL_URL and FATE_EXT_TEST_MYSQL_PASSWORD, and the same with
POSTGRESQL. With CI=true a missing one is a failure. Each test makes tables of its own in them and drops them.
"""
import os
import sqlite3
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from fate_ext_plugin.feature.source import Counts, Join, Source, Workspace
from fate_ext_plugin.feature.source.sql import SqlSchema, SqlSource
from fate_ext_plugin.util.fields import base_dir
from tests.support.databases import database_url

Ask = Callable[..., List[str]]


class FeatureDatabase:
    """One database: makes tables, and sources that read them."""

    def __init__(self, kind: str, settings: Dict[str, str], connection: Any) -> None:
        self.kind = kind
        self.settings = settings
        self.connection = connection
        self._tables: List[str] = []

    def execute(self, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
        """Once for each row; its values stand for ``?``."""
        if self.kind != "sqlite":
            statement = statement.replace("%", "%%").replace("?", "%s")
        cursor = self.connection.cursor()
        for row in rows:
            cursor.execute(statement, row)
        self.connection.commit()

    def table(self, columns: str, *rows: Sequence[Any]) -> str:
        """Create a table; returns its name."""
        name = f"features_{uuid4().hex[:12]}"
        self._tables.append(name)
        self.execute(f"CREATE TABLE {name} ({columns})")
        if rows:
            self.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        return name

    def source(self, table: str, **options: Any) -> SqlSource:
        return SqlSource(SqlSchema().load({**self.settings, "table": table, **options}))

    def close(self) -> None:
        self.connection.rollback()
        for name in self._tables:
            self.execute(f"DROP TABLE {name}")
        self.connection.close()


@pytest.fixture(autouse=True)
def relative_paths_start_here(tmp_path: Path) -> Iterator[None]:
    token = base_dir.set(tmp_path)
    yield
    base_dir.reset(token)


@pytest.fixture(params=["sqlite", "mysql", "postgresql"])
def database(request: Any) -> FeatureDatabase:
    """The test runs once with each of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[FeatureDatabase]:
    connection = sqlite3.connect(str(tmp_path / "features.db"))
    yield (database := FeatureDatabase("sqlite", {"url": "sqlite:///features.db"}, connection))
    database.close()


@pytest.fixture
def mysql() -> Iterator[FeatureDatabase]:
    import pymysql

    settings = database_url("MYSQL")
    parts = urlsplit(settings["url"])
    connection = pymysql.connect(
        host=parts.hostname, port=parts.port, user=parts.username, database=parts.path[1:], charset="utf8mb4",
        password=os.environ[settings["password_env"]])
    yield (database := FeatureDatabase("mysql", settings, connection))
    database.close()


@pytest.fixture
def postgresql() -> Iterator[FeatureDatabase]:
    import psycopg2

    settings = database_url("POSTGRESQL")
    connection = psycopg2.connect(settings["url"], password=os.environ[settings["password_env"]])
    yield (database := FeatureDatabase("postgresql", settings, connection))
    database.close()


@pytest.fixture(params=["through a temporary table", "in batches"])
def temporary_table(request: Any) -> bool:
    """The test runs once with each way to send IDs."""
    return request.param == "through a temporary table"


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[[Iterable[str]], Workspace]:
    def make(ids: Iterable[str]) -> Workspace:
        scratch = tmp_path / uuid4().hex
        scratch.mkdir()
        work = Workspace(scratch / "ids", scratch / "result.csv", scratch, 2**30, "id", threads=2, memory_bytes=2**28)
        with open(work.ids_path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{identifier}\n" for identifier in ids)
        return work

    return make


@pytest.fixture
def ask(workspace: Callable[[Iterable[str]], Workspace]) -> Ask:
    """``ask(source, ids, columns, **what else a Join has)``: the lines of the result, the counts checked."""

    def join(source: Source, ids: Sequence[str], columns: Sequence[str], **more: Any) -> List[str]:
        work = workspace(ids)
        join = Join(**{"id_column": "id", "columns": list(columns), **more})
        counts = source.join(join, work, lambda share: None)
        lines = work.result_path.read_bytes().decode("utf-8").split("\n")
        assert lines.pop() == ""
        written = counts.matched if more.get("missing_ids") != "keep" else counts.ids
        assert (counts, len(lines) - 1) == (Counts(len(set(ids)), counts.matched), written)
        return lines

    return join
