"""The host and its database, for a command that looks into it while a server runs."""
import os
import sys
from pathlib import Path
from typing import Any

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.feature.server_database import require_server_database
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.settings.load import fate_base, read_settings_file
from fate_ext_plugin.settings.model import Settings


def find_host(conf: Path) -> Any:
    """FATE Flow where ``conf`` is FATE's own, else what ``fate-ext serve`` lives in:
    a :class:`fate_ext_plugin.host.Host`. Opens no database."""
    base = fate_base(conf)
    return fate_host(base) if base else Standalone(read_settings_file(conf))


def open_host(conf: Path) -> Any:
    """Likewise, with the database that the server works on.

    :raises OtherDatabase: it is another one.
    """
    host = find_host(conf)
    require_server_database(host.store, read_settings_file(conf).data_dir)
    return host


def open_store(conf: Path) -> Store:
    store: Store = open_host(conf).store
    return store


def not_made_yet(settings: Settings, conf: Path) -> bool:
    """Whether the database is one that the first start makes: opening it would make it now."""
    return not settings.database and not fate_base(conf) and not settings.data_dir.exists()


def fate_host(base: Path) -> Any:
    """FATE's own code finds its driver and password; it has to be importable.

    :raises InvalidSettings: this is not FATE's Python environment.
    """
    os.environ.setdefault("FATE_PROJECT_BASE", str(base))
    os.environ.setdefault("FATE_DEPLOY_BASE", str(base))
    sys.path[:0] = [str(base / "fateflow" / "python"), str(base / "python")]
    try:
        from fate_ext_plugin.host.fate_flow_v1 import FateFlowV1

        return FateFlowV1()
    except ImportError as error:
        raise InvalidSettings(
            f"FATE Flow can't be imported ({error}); run fate-ext in FATE Flow's own Python environment.") from None
