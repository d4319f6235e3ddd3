"""Tables are made at the first start, by whichever server is first, and left alone afterwards."""
from pathlib import Path
from typing import Dict, FrozenSet, Iterator, Set

import pytest
from peewee import MySQLDatabase

from fate_ext_plugin.db import migration
from fate_ext_plugin.db.auth import Client
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.migration import MODELS, Migration, migrate
from fate_ext_plugin.errors import DatabaseUnavailable
from fate_ext_plugin.feature.job import Jobs
from tests.support.databases import KINDS, empty_store, in_processes, standalone

EVERY = {"f_create_time", "f_create_date", "f_update_time", "f_update_date"}
COLUMNS = {table: EVERY | own for table, own in {
    "t_ext_feature_job": {
        "f_job_id", "f_fate_job_id", "f_status", "f_owner", "f_attempt", "f_view", "f_request", "f_id_name",
        "f_progress", "f_ids", "f_matched", "f_missing", "f_upload_bytes", "f_result_bytes", "f_start_time",
        "f_end_time", "f_elapsed", "f_error_code", "f_error", "f_public_error"},
    "t_ext_client": {
        "f_app_key", "f_name", "f_algorithm", "f_secret", "f_previous_secret", "f_previous_until", "f_enabled",
        "f_expires", "f_paths", "f_methods", "f_networks", "f_role"},
    "t_ext_site_key": {
        "f_id", "f_party_id", "f_kind", "f_fingerprint", "f_key", "f_valid_from", "f_valid_until"},
    "t_ext_site_policy": {"f_party_id", "f_envelope", "f_md5", "f_envelope_seen"},
    "t_ext_nonce": {"f_key", "f_uses", "f_used_for", "f_until"},
    "t_ext_grant": {"f_name", "f_party", "f_role", "f_allow", "f_items", "f_valid_from", "f_valid_until", "f_weekdays",
                    "f_hours", "f_max_uses", "f_max_uses_per_day", "f_initiators", "f_partners", "f_note", "f_maker"},
    "t_ext_grant_key": {"f_id", "f_key", "f_grant"},
    "t_ext_grant_use": {"f_grant", "f_total", "f_on_day", "f_day"},
    "t_ext_grant_job": {"f_key", "f_grant", "f_asked"},
    "t_ext_revision": {"f_name", "f_value"},
    "t_ext_server": {"f_instance", "f_address", "f_version", "f_files", "f_settings", "f_beat"},
    "t_ext_secret": {"f_name", "f_value"},
    "t_ext_failure": {"f_key", "f_count"},
    "t_ext_migration": {"f_number", "f_name"},
}.items()}
STEPS = [(1, "create_feature_jobs"), (2, "create_authentication"), (3, "create_permission"), (4, "create_servers"),
         (5, "add_client_role"), (6, "add_page_indexes"), (7, "add_public_error")]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Store]:
    with empty_store(kind, tmp_path) as store:
        yield store


def tables(store: Store) -> "dict[str, set[str]]":
    with store.connection() as database:
        return {table: {column.name for column in database.get_columns(table)}
                for table in database.get_tables() if table.startswith("t_ext_")}


def done(store: Store) -> "list[tuple[int, str]]":
    return store.call(lambda: [(row.f_number, row.f_name) for row in Migration.select().order_by(Migration.f_number)])


def test_a_new_database_gets_tables_as_fate_flow_has_them(store: Store) -> None:
    migrate(store)
    assert tables(store) == COLUMNS
    assert done(store) == STEPS


def test_a_later_start_changes_nothing(store: Store) -> None:
    migrate(store)
    before = store.call(lambda: list(Migration.select().dicts()))
    migrate(store)
    assert store.call(lambda: list(Migration.select().dicts())) == before


def test_a_start_after_a_crash_between_two_statements_goes_on(store: Store) -> None:
    store.call(lambda: MODELS[1].create_table(safe=True))
    migrate(store)
    assert done(store) == STEPS


def test_a_new_version_takes_only_its_own_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(store)
    taken = []

    def add_something() -> None:
        taken.append("new")

    monkeypatch.setattr(migration, "STEPS", [lambda: taken.append("old")] * len(STEPS) + [add_something])
    migrate(store)
    migrate(store)
    assert taken == ["new"]
    assert done(store) == [*STEPS, (len(STEPS) + 1, "add_something")]


def test_clients_of_an_older_version_get_no_role(store: Store) -> None:
    migrate(store)
    store.call(lambda: Client.create(f_app_key="old", f_name="n", f_algorithm="hmac-sha1", f_secret="s", f_paths="[]",
                                     f_methods="[]", f_networks="[]"))
    store.call(lambda: without(store, "t_ext_client", "f_role", "add_client_role"))
    migrate(store)
    assert tables(store)["t_ext_client"] == COLUMNS["t_ext_client"]
    assert done(store) == STEPS
    assert [(row.f_app_key, row.f_role) for row in store.call(lambda: list(Client.select()))] == [("old", None)]


def test_jobs_of_an_older_version_tell_callers_no_reason(store: Store) -> None:
    """It may name a path."""
    migrate(store)
    store.call(lambda: FeatureJob.create(
        f_job_id="old", f_status="failed", f_owner="o", f_view="v", f_request="{}", f_id_name="id",
        f_error="no file /data/x"))
    store.call(lambda: without(store, "t_ext_feature_job", "f_public_error", "add_public_error"))
    migrate(store)
    assert tables(store) == COLUMNS and done(store) == STEPS
    job = Jobs(store).get("old")
    assert (job.error, job.public_error) == ("no file /data/x", None)


def without(store: Store, table: str, column: str, step: str) -> None:
    """As it was before the column: SQLite of FATE Flow's age drops none."""
    columns = ", ".join(sorted(COLUMNS[table] - {column}))
    store.database.execute_sql(f"CREATE TABLE {table}_old AS SELECT {columns} FROM {table}")
    store.database.execute_sql(f"DROP TABLE {table}")
    store.database.execute_sql(f"ALTER TABLE {table}_old RENAME TO {table}")
    Migration.delete().where(Migration.f_name == step).execute()


def test_tables_of_an_older_version_get_the_indexes_of_new_ones(store: Store) -> None:
    def indexes() -> Dict[str, Set[FrozenSet[str]]]:
        return {table: {frozenset(index.columns) for index in store.database.get_indexes(table)}
                for table in ("t_ext_feature_job", "t_ext_grant")}

    def forget() -> None:
        mysql = isinstance(store.database, MySQLDatabase)
        for table in ("t_ext_feature_job", "t_ext_grant"):
            for index in store.database.get_indexes(table):
                if len(index.columns) > 1:
                    store.database.execute_sql(f"DROP INDEX {index.name}" + (f" ON {table}" if mysql else ""))
        Migration.delete().where(Migration.f_name == "add_page_indexes").execute()

    migrate(store)
    new = store.call(indexes)
    assert {"f_status", "f_create_time", "f_job_id"} in new["t_ext_feature_job"]
    store.call(forget)
    assert store.call(indexes) != new
    migrate(store)
    migrate(store)
    assert store.call(indexes) == new and done(store) == STEPS


def test_servers_that_start_at_once_do_not_mind_each_other(kind: str, store: Store, tmp_path: Path) -> None:
    in_processes(migrate, 3, kind, tmp_path)
    assert tables(store) == COLUMNS
    assert done(store) == STEPS


def test_a_database_that_is_down_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = standalone("sqlite", tmp_path)
    site.write_settings(database={"url": "mysql://root@127.0.0.1:1/fate"})
    monkeypatch.setattr("fate_ext_plugin.db.base.BUSY_TRIES", 2)
    from fate_ext_plugin.host.standalone import open_database
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        migrate(Store(open_database(site.settings)))
