"""fate-ext check: is everything usable? Each problem in plain words, all of them in one run."""
import sqlite3
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import duckdb
import pytest

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.auth.rsa import parse_key
from fate_ext_plugin.cli import main
from fate_ext_plugin.cli.context import open_context
from fate_ext_plugin.cli.database import open_store
from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.db.migration import Migration, migrate
from tests.support.builder import MakeSite
from tests.support.commands import Run, end_of, fails
from tests.support.credit import credit_view
from tests.support.federation import share_key
from tests.support.keys import private_pem, public_of
from tests.support.recordings import vectors
from tests.support.site import Site, wait_until

DAY = 86_400_000


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False)


@pytest.fixture
def check(site: Site, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> "Check":
    """Returns the exit status and the lines."""
    monkeypatch.setattr("fate_ext_plugin.db.base.BUSY_TRIES", 2)

    def check() -> Tuple[int, List[str]]:
        return end_of(main, ["check", "--conf", str(site.conf)]), capsys.readouterr().out.splitlines()
    return check


Check = Callable[[], Tuple[int, List[str]]]


def problems(lines: List[str]) -> List[str]:
    return [line for line in lines if not line.startswith("ok ")]


def test_a_sound_site_is_ok(check: Check, site: Site) -> None:
    status, lines = check()
    assert status == 0 and problems(lines) == []
    assert lines[0] == "ok      settings: 1 view(s): credit"
    assert lines[-1] == "ok      view credit: 3 columns"


def test_nothing_is_made_by_looking(check: Check, site: Site) -> None:
    check()
    assert not site.data_dir.exists()


def test_a_running_site_is_ok(check: Check, site: Site) -> None:
    site.start()
    status, lines = check()
    assert status == 0 and problems(lines) == []
    assert "ok      database: SQLite" in lines


def test_a_data_dir_that_others_can_read_is_never_passed_over(check: Check, site: Site) -> None:
    site.data_dir.mkdir()
    site.data_dir.chmod(0o755)
    status, lines = check()
    assert (status, problems(lines)) == (1, [
        f"PROBLEM modes: data_dir. data_dir {site.data_dir} is open to other users of this machine (mode 0755); chmod "
        "it to 0700, or restart the server, which does."])


@pytest.mark.parametrize("mode, fine", [(0o770, True), (0o775, False), (0o1777, False)])
def test_a_shared_dir_may_be_a_group_s_but_never_everybody_s(
    check: Check, site: Site, tmp_path: Path, mode: int, fine: bool
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    site.write_settings(shared_dir=str(shared))
    status, lines = check()
    assert status == (0 if fine else 1)
    assert [f"; chmod it to {mode & ~7:04o}." in line for line in problems(lines)] == ([] if fine else [True])


def test_a_database_that_others_can_read_is_never_passed_over(check: Check, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "open" / "ours.db"
    file.parent.mkdir()
    file.parent.chmod(0o755)
    site.write_settings(database={"url": f"sqlite:///{file}"})
    migrate(open_store(site.conf))
    file.chmod(0o644)
    assert [f"{file} is open to other users of this machine, and holds the secret of the tokens; chmod it to 0600." in
            line for line in problems(check()[1])] == [True]
    site.start()  # which does
    assert file.stat().st_mode & 0o777 == 0o600
    assert problems(check()[1]) == []


def test_settings_that_can_t_be_used_are_named(check: Check, site: Site, tmp_path: Path) -> None:
    site.write_settings(concurrent_jobs=0)
    fails(main, ["check", "--conf", str(site.conf)],
          says="^fate-ext: fate_ext_plugin.concurrent_jobs: Must be greater than or equal")


def test_every_problem_is_told_in_one_run(check: Check, site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    view = credit_view(tmp_path)
    gone = {"type": "file", "path": str(tmp_path / "nothing" / "here" / "*.parquet")}
    site.write_settings(
        data_dir=str(tmp_path / "file" / "ext"),
        views={"credit": view, "gone": {"source": gone, "columns": ["amount"]}},
        database={"url": "mysql://fate@127.0.0.1:1/fate"})
    status, lines = check()
    assert status == 1
    disk, database, servers, source = problems(lines)
    assert disk.startswith("PROBLEM disk: data_dir ") and "no folder this user may write to" in disk
    assert database == "PROBLEM database: The database does not answer; look at the server's log."
    assert servers == "WARNING servers: Not looked at, since the database does not answer."
    assert source.startswith("PROBLEM view gone: ") and "nothing" in source
    assert "ok      view credit: 3 columns" in lines


def test_tables_of_an_older_version(check: Check, site: Site) -> None:
    site.data_dir.mkdir(0o700)
    store = open_store(site.conf)
    migrate(store)
    store.call(lambda: Migration.delete().where(Migration.f_name == "add_client_role").execute())
    status, lines = check()
    assert status == 1
    assert problems(lines) == [
        "PROBLEM database: Its tables are of an older version: they lack add_client_role. Restart the server, which "
        "brings them up to date."]


def test_a_disk_with_too_little_space(check: Check, site: Site) -> None:
    site.write_settings(min_free_bytes=2**60)
    status, lines = check()
    assert status == 1
    assert "min_free_bytes" in problems(lines)[0]


NO_ADMIN = "; none has the role admin, so nothing is administered over REST"


class TestColumns:
    """The view's ID column, its columns, and those that its parameters filter must be in the source."""

    @pytest.fixture
    def columns(self, site: Site, check: Check) -> Callable[..., str]:
        """What is said of a view of the columns id, amount and month; keywords change the view."""
        def columns(source: Dict[str, Any], **view: Any) -> str:
            site.write_settings(views={"credit": {"source": source, "columns": ["amount"], **view}})
            return check()[1][-1]
        return columns

    @pytest.fixture(params=["parquet", "csv", "sqlite"])
    def source(self, request: Any, tmp_path: Path) -> Dict[str, Any]:
        """Each kind that needs no server; the tests of the sql source have MariaDB and PostgreSQL."""
        path = tmp_path / f"credit.{request.param}"
        if request.param == "sqlite":
            connection = sqlite3.connect(str(path))
            connection.execute("CREATE TABLE credit AS SELECT 'u1' AS id, 1 AS amount, 202201 AS month")
            connection.commit()
            connection.close()
            return {"type": "sql", "url": f"sqlite:///{path}", "table": "credit"}
        duckdb.execute(f"COPY (SELECT 'u1' AS id, 1 AS amount, 202201 AS month) TO '{path}' (FORMAT {request.param})")
        return {"type": "file", "path": str(path)}

    def test_all_are_there(self, columns: Callable[..., str], source: Dict[str, Any]) -> None:
        month = {"month": {"pattern": ".*", "column": "month"}}
        assert columns(source, parameters=month) == "ok      view credit: 1 columns"

    @pytest.mark.parametrize("view, missing", [
        ({"id_column": "uid"}, "'uid'"),
        ({"columns": ["amount", "Amount", "age"]}, "'Amount', 'age'"),
        ({"parameters": {"region": {"pattern": ".*", "column": "area"}}}, "'area'"),
    ])
    def test_one_is_missing(
        self, columns: Callable[..., str], source: Dict[str, Any], view: Dict[str, Any], missing: str
    ) -> None:
        said = columns(source, **view)
        assert said.startswith("PROBLEM view credit: ")
        assert said.endswith(f" has no column {missing}; letter case counts. It has: 'id', 'amount', 'month'.")

    def test_the_files_are_still_to_come(self, columns: Callable[..., str], tmp_path: Path) -> None:
        month = {"month": {"pattern": r"\d{6}", "required": True}}
        path = f"{tmp_path}/{{month}}.parquet"
        assert columns({"type": "file", "path": path}, parameters=month) == (
            f"ok      view credit: 1 columns, not compared: there is no file {path} yet")

    def test_a_server_that_starts_looks_at_the_sources_alone(self, site: Site, tmp_path: Path) -> None:
        """It logs one that can't be read; to compare columns would cost it memory."""
        credit = {**credit_view(tmp_path), "columns": ["salary"]}
        gone = {"source": {"type": "file", "path": str(tmp_path / "gone.parquet")}, "columns": ["amount"]}
        site.write_settings(views={"credit": credit, "gone": gone})
        site.start()
        warned = f"WARNING view gone: {tmp_path}/gone.parquet is not there, or can't be read by this user."
        wait_until(lambda: warned in site.log.read_text("utf-8"))
        assert "view credit" not in site.log.read_text("utf-8")


class TestAuthentication:
    """Where section authentication is there: do secrets open, and can we sign?"""

    @pytest.fixture
    def site(self, make_site: MakeSite) -> Site:
        return make_site(start=False, authentication={"party_id": "9999"})

    @pytest.fixture
    def context(self, site: Site) -> AdminContext:
        """A client, and our own key."""
        context = open_context(site.conf)
        context.clients.add("etl", "Nightly ETL")
        context.keys.add_private("9999", vectors("1.11.2")["private_key"])
        return context

    @pytest.fixture
    def said(self, check: Check) -> Callable[[], List[str]]:
        """What is said of clients and of keys."""
        def said() -> List[str]:
            status, lines = check()
            assert status == (1 if problems(lines) else 0)
            return [line for line in lines if line[8:].startswith(("clients: ", "keys: "))]
        return said

    def test_before_the_first_start_nothing_is_made(
        self, check: Check, site: Site, said: Callable[[], List[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert check()[1][0] == "ok      settings: no views, authentication"
        assert said() == ["ok      clients: none yet", "ok      keys: none yet; the first start makes ours"]
        assert not site.data_dir.exists()
        monkeypatch.setenv("FATE_EXT_MASTER_KEY", "too short")
        site.write_settings(authentication={"master_key_env": "FATE_EXT_MASTER_KEY"})
        assert said()[0] == ("PROBLEM clients: The environment variable FATE_EXT_MASTER_KEY holds no master key: 64 "
                             "hexadecimal digits.")

    def test_clients_may_come_before_the_first_start(self, site: Site, said: Callable[[], List[str]]) -> None:
        open_context(site.conf).clients.add("etl", "Nightly ETL")
        assert said() == [f"ok      clients: 1{NO_ADMIN}", "ok      keys: none yet; the first start makes ours"]

    def test_all_is_well(self, context: AdminContext, said: Callable[[], List[str]]) -> None:
        assert said() == [f"ok      clients: 1{NO_ADMIN}", "ok      keys: party 9999 can sign; 0 partner(s)"]
        context.clients.add("off", "Switched off")
        context.clients.enable("off", False)
        context.keys.add_public("10000", public_of(private_pem(2048)), valid_until=now_ms() - 1)
        assert said() == [f"ok      clients: 2, 1 of them disabled or expired{NO_ADMIN}",
                          "ok      keys: party 9999 can sign; 1 partner(s), 1 of them without a valid key"]
        context.clients.add("ops", "Operator", role="admin")
        assert said()[0] == "ok      clients: 3, 1 of them disabled or expired"

    def test_another_master_key(self, context: AdminContext, site: Site, said: Callable[[], List[str]]) -> None:
        key = site.data_dir / "master_key"
        key.write_text("0" * 64)
        assert [line[:70] for line in said()] == [
            "PROBLEM clients: The stored secret of client etl can't be decrypted: t",
            "PROBLEM keys: The stored secret of private 9999 "
            f"{parse_key(vectors('1.11.2')['public_key']).fingerprint}"[:70]]
        key.unlink()
        assert said()[0].startswith("PROBLEM clients: The master key can't be read: No such file or directory: ")
        assert not key.exists()

    def test_a_key_that_ends_soon(self, context: AdminContext, said: Callable[[], List[str]]) -> None:
        """Unless another follows it."""
        end = now_ms() + 13 * DAY
        theirs = public_of(private_pem(3072))
        fingerprint = context.keys.add_public("10000", theirs, valid_until=end)
        assert said()[1] == f"PROBLEM keys: The last key of party 10000 ends {date_of(end)}."
        context.keys.add_public("10000", public_of(private_pem(2048)), valid_from=end - DAY)
        assert said()[1] == "ok      keys: party 9999 can sign; 1 partner(s)"
        context.keys.remove("10000", fingerprint)
        context.keys.add_public("10000", theirs, valid_until=end - 2 * DAY)
        assert said()[1] == f"PROBLEM keys: The last key of party 10000 ends {date_of(end - 2 * DAY)}."

    def test_two_parties_with_one_key_are_never_passed_over(
        self, context: AdminContext, said: Callable[[], List[str]]
    ) -> None:
        fingerprint = share_key(context.host.store, "10000", vectors("1.11.2")["public_key"])
        assert said()[1] == (f"PROBLEM keys: Parties 10000, 9999 have one key, SHA256:{fingerprint}, and can sign in "
                             "each other's name; let each have its own.")

    def test_a_rotation_is_no_problem(self, context: AdminContext, said: Callable[[], List[str]]) -> None:
        new = context.keys.rotate("9999", now_ms() + DAY, DAY)
        assert said()[1] == "ok      keys: party 9999 can sign; 0 partner(s)"
        context.keys.remove("9999", new)
        assert said()[1].startswith("PROBLEM keys: The last key of party 9999 ends ")

    def test_no_key_of_our_own(self, context: AdminContext, site: Site, said: Callable[[], List[str]]) -> None:
        site.write_settings(authentication={"party_id": "8888"})
        assert said()[1] == ("PROBLEM keys: There is no valid private key of our own, party 8888; see `fate-ext key "
                             "generate`.")
        site.write_settings(authentication={})
        assert said()[1] == "ok      keys: no party_id is set, so nothing can be signed; 0 partner(s)"


def test_of_permission_it_says_how_many_grants_there_are_and_warns_of_none(check: Check, run: Run, site: Site) -> None:
    site.write_settings(permission={})
    status, lines = check()
    assert status == 0
    assert problems(lines) == [
        "WARNING permission: 0 grant(s). Every job of a partner is refused before you make some; "
        "see `fate-ext grant add`."]
    run("grant", "add", "--party", "9999", "--component", "*")
    assert "ok      permission: 1 grant(s)" in check()[1]
    site.write_settings(permission={"mode": "observe"})
    assert problems(check()[1]) == ["WARNING permission: 1 grant(s). It is only observed: every job is allowed."]
