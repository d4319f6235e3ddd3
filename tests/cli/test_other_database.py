"""Commands beside a server work on the server's own database or on none: elsewhere, nothing would take effect."""
import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Dict, Iterator, List
from urllib.parse import urlsplit

import pytest

from fate_ext_plugin.cli import main
from tests.support.builder import MakeSite
from tests.support.commands import Run, fails
from tests.support.databases import database_url, empty_store
from tests.support.site import Site

COMMANDS = [
    ["grant", "add", "--name", "late", "--party", "9999", "--component", "reader"], ["grant", "list"],
    ["client", "add", "etl", "--name", "ETL"], ["client", "disable", "etl"], ["key", "list"], ["key", "generate"],
    ["jobs", "list"], ["replace-tokens"], ["health"]]
ALL = {"authentication": {"party_id": "9999"}, "permission": {"party_id": "9999"}}


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False, **ALL)


@pytest.fixture(scope="module")
def moved(make_shared_site: MakeSite) -> Site:
    """Its server has run on its SQLite; now the settings name another database."""
    site = make_shared_site(**ALL)
    site.stop()
    site.write_settings(database={"url": f"sqlite:///{site.folder / 'other.db'}"})
    return site


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_works_on_another_database_than_the_server(moved: Site, command: List[str]) -> None:
    said = fails(main, [*command, "--conf", str(moved.conf)])
    other, own = moved.folder / "other.db", moved.data_dir / "fate_ext.db"
    assert f"would open SQLite {other}, but the server of {moved.data_dir} works on SQLite {own}. " in said
    assert "Name the service_conf.yaml of the server with --conf" in said


def test_a_refused_command_makes_no_table_there(moved: Site) -> None:
    fails(main, ["grant", "list", "--conf", str(moved.conf)], says="would open")
    with closing(sqlite3.connect(moved.folder / "other.db")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_check_never_passes_another_database_for_the_servers(moved: Site, capsys: pytest.CaptureFixture) -> None:
    fails(main, ["check", "--conf", str(moved.conf)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines if not line.startswith("ok ")] == [
        "PROBLEM database", "WARNING servers", "WARNING clients", "WARNING keys", "WARNING permission"]
    assert "would open SQLite" in "".join(line for line in lines if line.startswith("PROBLEM"))
    assert lines[-2].endswith("Not looked at: this is not the server's database.")


def test_the_server_itself_may_change_its_database_and_commands_follow(site: Site, run: Run) -> None:
    site.start()
    site.stop()
    left = site.folder / "other.db"
    site.write_settings(database={"url": f"sqlite:///{left}"})
    site.start()
    assert f"the database is now SQLite {left}, it was SQLite {site.data_dir}" in site.log.read_text("utf-8")
    run("grant", "add", "--name", "late", "--party", "9999", "--component", "reader")
    site.write_settings(database=None)
    fails(main, ["grant", "list", "--conf", str(site.conf)], says=f"works on SQLite {left}")


def test_a_database_made_anew_is_not_taken_for_the_old_one(site: Site, run: Run) -> None:
    site.start()
    site.stop()
    for file in site.data_dir.glob("fate_ext.db*"):
        file.unlink()
    fails(main, ["jobs", "list", "--conf", str(site.conf)], says="was replaced since the server of .* started with it")
    site.start()
    run("jobs", "list")


def test_before_the_first_start_commands_work(site: Site, run: Run) -> None:
    run("grant", "add", "--name", "early", "--party", "9999", "--component", "reader")
    site.start()
    assert "early" in run("grant", "list")


def test_another_spelling_of_the_same_sqlite_file_is_no_other_database(site: Site, run: Run) -> None:
    site.start()
    (site.folder / "link").symlink_to(site.data_dir)
    site.write_settings(database={"url": f"sqlite:///{site.folder / 'link' / 'fate_ext.db'}"})
    run("jobs", "list")
    site.write_settings(database={"url": f"sqlite:///{os.path.relpath(site.data_dir / 'fate_ext.db', site.folder)}"})
    run("jobs", "list")


@pytest.fixture
def on_mysql(site: Site, tmp_path: Path) -> Iterator[Dict[str, str]]:
    """The site's server runs on a MySQL: this section ``database``."""
    section = database_url("MYSQL")
    with empty_store("mysql", tmp_path):
        site.write_settings(database=section)
        site.start()
        yield section
        site.stop()


def test_another_spelling_of_the_same_mysql_server_is_no_other_database(
    site: Site, on_mysql: Dict[str, str], run: Run
) -> None:
    section = on_mysql
    site.write_settings(database={**section, "url": section["url"].replace("127.0.0.1", "localhost")})
    run("jobs", "list")


def test_the_record_tells_no_password_and_no_user(site: Site, on_mysql: Dict[str, str]) -> None:
    record = site.data_dir / "database"
    text = record.read_text("utf-8")
    assert "MySQL 127.0.0.1:" in text and stat.S_IMODE(record.stat().st_mode) == 0o600
    url = urlsplit(on_mysql["url"])
    assert set(json.loads(text)) == {"name", "place"}
    assert json.loads(text)["place"] == f"MySQL {url.hostname}:{url.port}{url.path}"


def test_a_damaged_record_lets_no_command_guess(site: Site, run: Run) -> None:
    site.start()
    (site.data_dir / "database").write_text("{")
    fails(main, ["jobs", "list", "--conf", str(site.conf)], says="database is damaged; restart the server")
    site.stop()
    site.start()
    run("jobs", "list")
