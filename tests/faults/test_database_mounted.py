"""The database of a FATE Flow hangs under the plugin in its process. FATE Flow's own connections wait without end; ours
do not. Stand-ins have the shape of the released code; a real FATE Flow is in tests/fate_flow/test_faults.py."""
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.db import base, patience
from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.host.fate_flow_v1 import FateFlowV1
from tests.support.background import Background
from tests.support.fate_flow_modules import install_into, start
from tests.support.mariadb import PASSWORD, MariaDB
from tests.support.site import wait_until

PATH = "/v1/job/query"
CONF = {"CLIENT_AUTHENTICATION": True, "HOOK_MODULE": {
    "client_authentication": "fate_ext_plugin.hook.client_authentication"}}


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[MariaDB]:
    (tmp_path / "mariadb").mkdir()
    server = MariaDB(tmp_path / "mariadb").start()
    yield server
    server.stop()


@pytest.fixture
def flow(mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of its Flask app. Each nonce is a row, so that each request needs the database; it waits for a second
    instead of ten."""
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(base, "PATIENCE_SECONDS", 1)
    database = {"name": "own", "user": "own", "passwd": PASSWORD, "host": "127.0.0.1", "port": mariadb.port,
                "max_connections": 10, "stale_timeout": 30}
    section = {"data_dir": "ext", "authentication": {"nonces": "database"}}
    return start(install_into(monkeypatch, {}, {**CONF, "DATABASE": database}, {
        "base": str(tmp_path), "fate_ext_plugin": section}))


def signed(flow: Any, nonce: str) -> Any:
    """FATE Flow's retcode to a request that is signed as its clients sign."""
    headers: Dict[str, str] = {"timestamp": str(now_ms()), "nonce": nonce}
    signature = Signer("secret", "hmac-sha1").sign(signed_text(ClientRequest(PATH, headers, b""), "key"))
    return flow.post(PATH, headers={**headers, "APP-KEY": "key", "SIGNATURE": signature}).get_json()["retcode"]


def test_no_signed_request_hangs_with_it_and_nobody_is_let_in(flow: Any, mariadb: MariaDB) -> None:
    assert signed(flow, "before") == 0
    mariadb.freeze()
    try:
        # Nothing but its own patience ends a request: the database goes on only when all have been refused.
        waiting = [Background(lambda nonce=str(number): signed(flow, nonce)) for number in range(5)]  # type: ignore[misc]
        assert [request.result() for request in waiting] == [109] * 5
    finally:
        mariadb.thaw()
    served = iter(range(1000))
    wait_until(lambda: signed(flow, f"after {next(served)}") == 0, what="requests to be served again")


def test_fate_flow_s_own_connections_are_left_as_they_are(flow: Any) -> None:
    from fate_flow.db.db_models import DB

    assert "read_timeout" not in DB.connect_params
    own = FateFlowV1().store.database
    assert own is not DB and own is FateFlowV1().store.database
    assert (own.database, own.connect_params["read_timeout"]) == (DB.database, 1)
