"""Where a database is, for people: without user or password."""
import os
from pathlib import Path
from typing import List

from peewee import Database, MySQLDatabase, PostgresqlDatabase, SqliteDatabase

KINDS = {MySQLDatabase: "MySQL", PostgresqlDatabase: "PostgreSQL", SqliteDatabase: "SQLite"}


def kind_of(database: Database) -> str:
    """MySQL, PostgreSQL or SQLite."""
    return next(kind for base, kind in KINDS.items() if isinstance(database, base))


def place_of(database: Database) -> str:
    """Such as ``MySQL 10.0.0.8:3306/fate_flow`` or ``SQLite /data/fate_sqlite.db``."""
    if isinstance(database, SqliteDatabase):
        return f"SQLite {os.path.abspath(database.database)}"
    given = database.connect_params
    server = given.get("unix_socket") or ":".join(str(given[key]) for key in ("host", "port") if given.get(key))
    return f"{kind_of(database)} {server or 'localhost'}/{database.database}"


def files_of(database: Database) -> List[Path]:
    """The files of a SQLite database, those that are there; of any other none."""
    if not isinstance(database, SqliteDatabase):
        return []
    beside = (f"{database.database}{end}" for end in ("", "-wal", "-shm"))
    return [Path(path) for path in beside if os.path.exists(path)]
