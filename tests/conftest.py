import os
import signal
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator

import pytest
from Crypto.PublicKey import RSA
from hypothesis import HealthCheck, settings
from peewee import SqliteDatabase

from fate_ext_plugin.auth import rsa
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from tests.support import databases
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite, sites_in
from tests.support.clock import Clock
from tests.support.databases import KINDS, empty_store
from tests.support.fake_flow import FakeFlow
from tests.support.mariadb import MariaDB
from tests.support.site import Site

# The same examples in each run, however slow the machine is. What the examples of a property share is harmless.
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
# `make fuzz`: others in each run, and more. A failure prints the decorator that repeats it.
settings.register_profile("fuzz", settings.get_profile("same"), derandomize=False, max_examples=1000)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def no_certificates() -> Iterator[None]:
    """PyMySQL reads all that the machine trusts, 25 ms for each connection; none is checked in these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", os.devnull)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_proxy() -> Iterator[None]:
    """Whatever the machine's environment names: the tests call only 127.0.0.1, which no proxy leads to."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """After each change of a SQLite database in this process, which need not survive the machine."""
    connect = SqliteDatabase._connect

    def connect_hastily(database: SqliteDatabase) -> Any:
        connection = connect(database)
        connection.execute("PRAGMA synchronous = OFF")
        return connection
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteDatabase, "_connect", connect_hastily)
        yield


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> Iterator[None]:
    """In the background of a script, or under nohup, signals are ignored, and programs that tests start would inherit
    that. A handler is not inherited."""
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def kept_bytecode() -> Iterator[None]:
    """Whatever the machine prefers: else each server, job and command would compile all our modules again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Started by the first test that needs it, where the environment names none."""
    databases.own_mariadb = server = MariaDB(tmp_path_factory.getbasetemp() / "mariadb")
    yield
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Whoever parses a private key checks its parts for a tenth of a second; nearly all tests have the same one."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((RSA, "import_key"), (rsa, "load_der_private_key")):
            patch.setattr(module, name, lru_cache(maxsize=None)(getattr(module, name)))
        yield


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Build sites, and start them unless told otherwise, for one test: see :mod:`tests.support.builder`."""
    with sites_in(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """The same for all tests of a file, which leave it as it was."""
    with sites_in(tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    return make_shared_site()


@pytest.fixture
def api_reader(site: Site) -> ApiReader:
    return ApiReader(site)


@pytest.fixture
def fake_flow() -> Iterator[FakeFlow]:
    """One that answers over HTTP."""
    server = FakeFlow().start()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A SQLite of its own with our tables."""
    with empty_store("sqlite", tmp_path) as store:
        migrate(store)
        yield store


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database that our tables may live in, in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def kind_folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(kind)


@pytest.fixture(scope="module")
def kind_store(kind: str, kind_folder: Path) -> Iterator[Store]:
    """A database of that kind with our tables, for all tests of a file."""
    with empty_store(kind, kind_folder) as store:
        migrate(store)
        yield store


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was skipped: one line for each reason."""
    reasons = Counter(report.longrepr[2].partition("Skipped: ")[2] or report.longrepr[2]
                      for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"SKIPPED {count}: {reason}")
