"""No FATE Flow around us: ``fate-ext serve``, with a database of our own."""
from typing import Dict, List, Optional, Tuple

from peewee import Database, SqliteDatabase
from playhouse.db_url import connect

from fate_ext_plugin.db import patience
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.url import SQLITE, DatabaseSettings
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.host import Frame, resolve
from fate_ext_plugin.settings.model import Settings


class Standalone:
    """FATE Flow reaches us over the network, and can't be asked about its jobs."""

    def __init__(self, settings: Settings) -> None:
        self.frame: Optional[Frame] = None
        self._host = settings.listen.host
        self._parts = settings.authentication, settings.permission
        self.store = Store(open_database(settings))
        self.address: Tuple[str, int] = settings.listen.public
        # A server that listens on all its addresses does not know which of them others reach.
        self.own_address = self.address if settings.listen.host in ("0.0.0.0", "::", "") else (
            settings.listen.host, settings.listen.port)

    def own_addresses(self) -> List[str]:
        """Ours alone. Not public_host's, which may be a proxy's: all that it lets through would come from there."""
        return resolve(self._host)

    def party_id(self) -> str:
        return next((part.party_id for part in self._parts if part and part.party_id), "")

    def own_client(self) -> Optional[Tuple[str, str]]:
        return None

    def site_keys(self) -> List[Tuple[str, str, str]]:
        return []

    def permission_rules(self) -> List[Tuple[str, str, str]]:
        return []

    def fate_job_running(self, fate_job_id: str) -> Optional[bool]:
        return None


def open_database(settings: Settings) -> Database:
    """:raises InvalidSettings: the driver is not installed, or the url can't be used."""
    chosen = settings.database or DatabaseSettings(url=f"sqlite:///{settings.data_dir / 'fate_ext.db'}")
    if chosen.url.startswith(SQLITE):
        # WAL: a reader never waits for the writer.
        return SqliteDatabase(chosen.url[len(SQLITE):], pragmas={"journal_mode": "wal", "busy_timeout": 10000})
    try:
        database = connect(pooled(chosen.url_with_password()), unquote_password=True)
    except (RuntimeError, ValueError) as error:
        raise InvalidSettings(f"database.url can't be used: {error}") from None
    except Exception as error:  # drivers and peewee versions differ
        raise InvalidSettings(f"database.url can't be used: {type(error).__name__}.") from None
    return database


def pooled(url: str) -> str:
    """A pool reuses connections, which threads of requests open and close all the time."""
    scheme, rest = url.split("://", 1)
    defaults: Dict[str, object] = {"max_connections": 100, "stale_timeout": 300}
    if scheme == "mysql":
        # Without a charset, peewee 3 asks MySQL for its three-byte UTF-8.
        seconds = patience.ANSWER_SECONDS
        defaults.update(charset="utf8mb4", read_timeout=seconds, write_timeout=seconds)
    missing = "&".join(f"{name}={value}" for name, value in defaults.items() if f"{name}=" not in rest)
    return f"{scheme}+impatient://{rest}{'&' if '?' in rest else '?'}{missing}"
