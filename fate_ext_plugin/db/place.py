"""Which database this is, for people: its kind and where it is, without user or password."""
import os

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
