"""The hooks of a FATE Flow that has none of our mounted services: stand-ins of FATE Flow's modules."""
import json
from pathlib import Path
from typing import Any, Dict

import pytest

from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.host import fate_flow_hooks
from tests.support.fate_flow_modules import install_into, start

CLIENT = {"client_authentication": "fate_ext_plugin.hook.client_authentication"}


@pytest.fixture
def section() -> Dict[str, Any]:
    return {"data_dir": "ext", "authentication": {}}


@pytest.fixture
def hooks() -> Dict[str, str]:
    return CLIENT


@pytest.fixture
def flow(
    tmp_path: Path, hooks: Dict[str, str], section: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A client of its Flask app."""
    database = {"path": str(tmp_path / "fate_sqlite.db")}
    return start(install_into(
        monkeypatch, {}, {"CLIENT_AUTHENTICATION": True, "HOOK_MODULE": hooks, "DATABASE": database},
        {"base": str(tmp_path), "fate_ext_plugin": section}))


def refusal(flow: Any) -> str:
    headers = {"TIMESTAMP": str(now_ms()), "NONCE": "n", "APP-KEY": "nobody", "SIGNATURE": "none"}
    answer = flow.post("/v1/job/query", headers=headers).get_json()
    assert answer["retcode"] == 109, answer
    return str(answer["retmsg"])


def test_no_command_beside_it_works_on_another_database(flow: Any, tmp_path: Path) -> None:
    """Commands compare theirs with the one that stands in data_dir."""
    refusal(flow)
    recorded = json.loads((tmp_path / "ext" / "database").read_text("utf-8"))
    assert recorded["place"] == f"SQLite {tmp_path / 'fate_sqlite.db'}"


PERMISSION = {"permission": "fate_ext_plugin.hook.permission"}


@pytest.mark.parametrize(("hooks", "section"), [(PERMISSION, {"data_dir": "ext", "permission": {}})])
def test_no_first_start_of_a_hook_alone_fails_for_its_missing_folder(flow: Any, tmp_path: Path) -> None:
    fate_flow_hooks.permission()
    assert (tmp_path / "ext" / "database").exists()


def test_no_second_fate_flow_writes_over_the_record_of_the_first(flow: Any, tmp_path: Path) -> None:
    """It ends when it finds its port taken; but its hooks were there before."""
    refusal(flow)
    record = tmp_path / "ext" / "database"
    record.write_text("of the first")
    with Storage(tmp_path / "ext", 0).lock():
        fate_flow_hooks._open_authentication()
        assert record.read_text() == "of the first"
    fate_flow_hooks._open_authentication()
    assert json.loads(record.read_text("utf-8"))["place"].startswith("SQLite ")


@pytest.mark.parametrize("section", [{"data_dir": "ext", "authentication": {"master_key_file": "/not/here/key"}}])
def test_no_caller_learns_a_path_of_a_server_whose_settings_are_wrong(flow: Any) -> None:
    assert "/not/here" not in refusal(flow)
