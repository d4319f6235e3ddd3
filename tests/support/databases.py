"""The four databases that our tables live in, opened as they are in operation, each with none of our tables."""
import multiprocessing
import os
import warnings
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pymysql
from peewee import Database, Insert, InternalError, OperationalError
from playhouse.pool import PooledMySQLDatabase

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.host.standalone import open_database
from tests.support import programs
from tests.support.mariadb import MariaDB
from tests.support.site import PATIENCE_SECONDS, Site

T = TypeVar("T")
#: apsw and mysql as FATE Flow opens its own; sqlite and postgresql as `fate-ext serve` does
KINDS = ["sqlite", "apsw", "mysql", "postgresql"]
SERVERS = ["mysql", "postgresql"]
#: made and stopped by tests/conftest.py, started where the environment names none
own_mariadb: Optional[MariaDB] = None


def open_kind(kind: str, folder: Path) -> Database:
    """A new pool of connections; skips where there is no such database."""
    if kind == "apsw":
        return _fate_sqlite(folder)
    if kind == "mysql":
        return _fate_mysql()
    return open_database(standalone(kind, folder).settings)


@lru_cache(maxsize=None)
def database_url(kind: str) -> Dict[str, str]:
    """The section ``database`` for a real MariaDB or PostgreSQL that no other worker of this run uses.

    :param kind: MYSQL or POSTGRESQL. .ci/run starts both, and names them in the environment; by hand, a MariaDB is
        started where it is installed. Skips where there is none.
    """
    url, password = (os.environ.get(f"FATE_EXT_TEST_{kind}_{part}") for part in ("URL", "PASSWORD"))
    if url and password:
        return {"url": _of_this_worker(kind, url, password), "password_env": f"FATE_EXT_TEST_{kind}_PASSWORD"}
    if kind == "POSTGRESQL":
        programs.missing("FATE_EXT_TEST_POSTGRESQL_URL=postgresql://USER@HOST:PORT/DATABASE and "
                         "FATE_EXT_TEST_POSTGRESQL_PASSWORD name no PostgreSQL whose USER may create databases")
    assert own_mariadb
    return own_mariadb.start().section


def _of_this_worker(kind: str, url: str, password: str) -> str:
    """The url of a database beside the one that ``url`` names, which is made where it is not there yet."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if not worker:
        return url
    parts = urlsplit(url)
    name = f"{parts.path[1:]}_{worker}"
    connect: Any = pymysql.connect if kind == "MYSQL" else psycopg2.connect
    connection = connect(host=parts.hostname, port=parts.port, user=parts.username, password=password,
                         database=parts.path[1:])
    try:
        # PostgreSQL makes no database in a transaction.
        connection.set_session(autocommit=True) if kind == "POSTGRESQL" else connection.autocommit(True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s" if kind == "MYSQL"
                           else "SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not cursor.fetchall():
                cursor.execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()
    return urlunsplit(parts._replace(path=f"/{name}"))


def standalone(kind: str, folder: Path) -> Site:
    """A site of `fate-ext serve` on that database, not started."""
    section: Dict[str, Any] = {} if kind == "sqlite" else {"database": database_url(kind.upper())}
    site = Site(folder, {**section, "views": {"any": {"source": {"type": "file", "path": "*.csv"}, "columns": ["a"]}}})
    site.data_dir.mkdir(exist_ok=True)
    return site


@contextmanager
def empty_store(kind: str, folder: Path) -> Iterator[Store]:
    """Leaves no table behind. FATE Flow's change to peewee's upsert is in force meanwhile, where it makes it."""
    on_conflict = Insert.on_conflict
    store = Store(open_kind(kind, folder))
    store.bind(MODELS)
    store.call(_drop_tables)
    try:
        yield store
    finally:
        Insert.on_conflict = on_conflict
        store.bind(MODELS)  # a test may have bound them to another
        store.call(_drop_tables)
        getattr(store.database, "close_all", store.database.close)()


def in_processes(action: Callable[[Store], T], count: int, kind: str, folder: Path) -> List[T]:
    """Run ``action`` in so many processes at the same moment, each with connections of its own."""
    context = multiprocessing.get_context("fork")  # others import everything again, for seconds
    together, results = context.Barrier(count), context.Queue()

    def run(store: Store) -> None:
        store.bind(MODELS)
        with store.connection():
            together.wait(PATIENCE_SECONDS)
        results.put(action(store))

    processes = [context.Process(target=run, args=(Store(open_kind(kind, folder)),)) for _ in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other tests' idle threads
        for process in processes:
            process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
        assert process.exitcode == 0, "its error is printed above"
    return [results.get() for _ in processes]


def _drop_tables() -> None:
    for model in MODELS:
        model.drop_table(safe=True)


def _fate_sqlite(folder: Path) -> Database:
    """fate_flow/db/db_models.py, class BaseDataBase: engine "standalone"."""
    programs.need_package("apsw", "'apsw<3.10'", fate_python=True)
    from playhouse import apsw_ext

    Insert.on_conflict = lambda self, *args, **kwargs: self.on_conflict_replace()
    return apsw_ext.APSWDatabase(str(folder / "fate_sqlite.db"))


def _fate_mysql() -> Database:
    """fate_flow/db/db_models.py, class BaseDataBase: any other engine, with the keys of service_conf.yaml."""
    section = database_url("MYSQL")
    url = urlsplit(section["url"])
    return PooledMySQLDatabase(
        url.path[1:], user=url.username, password=os.environ[section["password_env"]], host=url.hostname, port=url.port,
        max_connections=100, stale_timeout=30)


def sessions(store: Store) -> List[int]:
    """Server-side IDs of our user's connections to this database, other than the one that asks; PostgreSQL's own
    processes, such as autovacuum, are there, too."""
    if isinstance(store.database, PooledMySQLDatabase):
        sql = ("SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = database() "
               "AND user = substring_index(user(), '@', 1)")
    else:
        sql = ("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() "
               "AND usename = current_user AND backend_type = 'client backend'")
    return [row[0] for row in store.database.execute_sql(sql).fetchall()]


def cut_sessions(store: Store) -> int:
    """Break all other connections, as a restart of the database or a firewall does; returns how many."""
    mysql = isinstance(store.database, PooledMySQLDatabase)

    def cut() -> int:
        found = sessions(store)
        for session in found:
            with suppress(InternalError, OperationalError):  # it was ending anyway
                store.database.execute_sql(f"KILL {session}" if mysql else f"SELECT pg_terminate_backend({session})")
        return len(found)
    return store.call(cut)


