"""A command in a shell that lacks FATE Flow's environment would open FATE Flow's other database: it is refused."""
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from tests.fate_flow.features import section_of
from tests.fate_flow.flow import Flow, MakeFlow
from tests.fate_flow.permission import CONF, LEAST, needs_mysql

pytestmark = needs_mysql


@pytest.fixture(scope="module")
def flow(make_flow: MakeFlow, features: Path) -> Flow:
    return make_flow(section_of(features, authentication={}, permission={}), conf=CONF)


def elsewhere(flow: Flow, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Tuple[int, str]:
    """How a command ends, and what it prints, where the server's FORCE_USE_MYSQL=1 is not set."""
    environment: Dict[str, str] = flow.environment()
    del environment["FORCE_USE_MYSQL"]
    with monkeypatch.context() as patch:
        patch.setattr(flow, "environment", lambda: environment)
        return flow.command(*arguments, "--conf", str(flow.conf))


@pytest.mark.parametrize("arguments", [
    ["grant", "add", *LEAST], ["grant", "add", "--deny", *LEAST], ["client", "add", "etl", "--name", "ETL"],
    ["client", "disable", "etl"], ["key", "list"], ["jobs", "list"], ["replace-tokens"]], ids=" ".join)
def test_no_command_administers_sqlite_beside_a_server_on_mysql(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, arguments: List[str]
) -> None:
    status, printed = elsewhere(flow, monkeypatch, *arguments)
    assert status == 1 and "added" not in printed, printed
    assert f"would open SQLite {flow.folder}/fate_sqlite.db, but the server of " in printed
    assert "works on MySQL 127.0.0.1:" in printed and "set FORCE_USE_MYSQL=1 here" in printed


def test_check_names_the_difference_as_a_problem(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    status, printed = elsewhere(flow, monkeypatch, "check")
    assert status == 1
    assert "PROBLEM database: This command would open SQLite" in printed
    assert "WARNING permission: Not looked at: this is not the server's database." in printed


def test_with_the_servers_environment_commands_reach_its_database(flow: Flow) -> None:
    flow.fate_ext("grant", "add", "--name", "seen", *LEAST)
    assert "seen" in flow.fate_ext("grant", "list")
    flow.fate_ext("grant", "remove", "seen")
