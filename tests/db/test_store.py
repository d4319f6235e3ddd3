"""How threads reach the database, and what happens when it goes away and comes back."""
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Iterator, List

import pytest
from playhouse.pool import PooledMySQLDatabase

from fate_ext_plugin.db.base import Store, date_of
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.migration import STEPS, Migration, migrate
from fate_ext_plugin.errors import DatabaseUnavailable
from fate_ext_plugin.host.standalone import open_database
from tests.support.databases import KINDS, SERVERS, cut_sessions, empty_store, standalone


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with empty_store(request.param, tmp_path) as store:
        migrate(store)
        yield store


every_kind = pytest.mark.parametrize("store", KINDS, indirect=True)
every_server = pytest.mark.parametrize("store", SERVERS, indirect=True)


def count(store: Store) -> int:
    return store.call(lambda: Migration.select().count())


@every_kind
def test_a_call_takes_a_connection_and_returns_it(store: Store) -> None:
    assert store.database.is_closed()
    assert count(store) == len(STEPS)
    assert store.database.is_closed()


@every_kind
def test_a_connection_that_is_open_already_is_used_and_left_open(store: Store) -> None:
    """FATE Flow's own threads open one, and go on with it after us."""
    with store.connection():
        assert count(store) == len(STEPS)
        assert not store.database.is_closed()


@every_kind
def test_many_threads_call_at_once(store: Store) -> None:
    counts: List[int] = []
    threads = [threading.Thread(target=lambda: counts.append(count(store))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [len(STEPS)] * 16


@every_kind
def test_rows_know_when_they_were_made_and_changed(store: Store) -> None:
    store.call(lambda: FeatureJob.create(
        f_job_id="a", f_status="waiting", f_owner="o", f_view="v", f_request="{}", f_id_name="id"))
    row = store.call(lambda: FeatureJob.get())
    assert row.f_create_date == date_of(row.f_create_time) and row.f_update_time >= row.f_create_time
    store.call(lambda: FeatureJob.update(f_update_time=0).execute())
    store.call(lambda: FeatureJob.change(f_progress=1).execute())
    changed = store.call(lambda: FeatureJob.get())
    assert changed.f_update_date == date_of(changed.f_update_time) and changed.f_create_time == row.f_create_time


@every_server
def test_a_connection_that_was_cut_is_replaced(store: Store) -> None:
    count(store)
    assert cut_sessions(Store(other_pool(store))) >= 1
    assert count(store) == len(STEPS)


@every_server
def test_all_connections_of_a_busy_server_may_be_cut_at_once(store: Store) -> None:
    """As when the database restarts: more broken ones wait in the pool than a call has tries."""
    together = threading.Barrier(20)
    threads = [threading.Thread(target=lambda: store.call(lambda: together.wait(60))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cut_sessions(Store(other_pool(store))) >= 20
    assert count(store) == len(STEPS)


@every_server
def test_a_connection_may_be_cut_while_it_is_used(store: Store) -> None:
    other = Store(other_pool(store))
    tries: List[int] = []

    def action() -> int:
        tries.append(1)
        if len(tries) == 1:
            assert cut_sessions(other) >= 1
        return Migration.select().count()

    assert store.call(action) == len(STEPS)
    assert len(tries) == 2


@every_server
def test_one_that_fate_flow_opened_may_be_cut(store: Store) -> None:
    with store.connection():
        count(store)
        cut_sessions(Store(other_pool(store)))
        assert count(store) == len(STEPS)


@pytest.mark.parametrize("store", ["mysql"], indirect=True)
def test_a_row_that_another_holds_for_long_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL 0.9, FATE's, calls the end of MySQL's own patience an internal error."""
    monkeypatch.setattr("fate_ext_plugin.db.base.PATIENCE_SECONDS", 60)
    store.call(lambda: Migration.create(f_number=99, f_name="held"))
    other = other_pool(store)
    tries: List[int] = []

    with ExitStack() as held:
        held.enter_context(other.atomic())
        other.execute_sql("SELECT * FROM t_ext_migration WHERE f_number = 99 FOR UPDATE")

        def change() -> int:
            tries.append(1)
            if len(tries) == 2:
                held.close()
            store.database.execute_sql("SET innodb_lock_wait_timeout = 1")
            return int(Migration.change(f_name="changed").where(Migration.f_number == 99).execute())

        assert store.call(change) == 1
    assert len(tries) == 2


def other_pool(store: Store) -> PooledMySQLDatabase:
    database = store.database
    return type(database)(database.database, **database.connect_params)


@pytest.mark.parametrize("url", ["mysql://user@127.0.0.1:1/db", "postgresql://user@127.0.0.1:1/db"])
def test_one_that_is_gone_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("fate_ext_plugin.db.base.BUSY_TRIES", 2)
    site = standalone("sqlite", tmp_path)
    site.write_settings(database={"url": url})
    with pytest.raises(DatabaseUnavailable, match="The database does not answer; look at the server's log"):
        count(Store(open_database(site.settings)))


def test_a_lock_that_another_process_holds_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short FATE Flow's SQLite waits for a lock by itself."""
    monkeypatch.setattr("fate_ext_plugin.db.base.PATIENCE_SECONDS", 60)
    with empty_store("apsw", tmp_path) as store:
        migrate(store)
        store.database.timeout = 0
        import apsw
        other = apsw.Connection(store.database.database)
        other.cursor().execute("begin exclusive")
        tries: List[int] = []

        def action() -> int:
            tries.append(1)
            if len(tries) == 3:
                other.cursor().execute("commit")
            return Migration.select().count()

        assert store.call(action) == len(STEPS)
        assert len(tries) == 3


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_password_may_hold_any_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("PASSWORD", "p@ss:/?#%41+ wörd&")
    site = standalone("sqlite", tmp_path)
    site.write_settings(database={"url": f"{kind}://user@127.0.0.1:1/db", "password_env": "PASSWORD"})
    parameters = open_database(site.settings).connect_params
    assert parameters.get("passwd", parameters.get("password")) == "p@ss:/?#%41+ wörd&"


def test_mysql_is_asked_for_all_of_unicode(tmp_path: Path) -> None:
    site = standalone("sqlite", tmp_path)
    for query in ("", "?ssl_disabled=true"):
        site.write_settings(database={"url": f"mysql://user@127.0.0.1:1/db{query}"})
        assert open_database(site.settings).connect_params["charset"] == "utf8mb4"
