"""The job database, for a command that looks into it while a server runs."""
import os
import sys
from pathlib import Path

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.settings import fate_base, read_settings_file


def open_store(conf: Path) -> Store:
    """FATE Flow's database where ``conf`` is FATE's own, else the one ``fate-ext serve`` uses."""
    base = fate_base(conf)
    return fate_store(base) if base else Store(open_database(read_settings_file(conf)))


def fate_store(base: Path) -> Store:
    """FATE's own code finds its driver and password; it has to be importable.

    :raises InvalidSettings: this is not FATE's Python environment.
    """
    os.environ.setdefault("FATE_PROJECT_BASE", str(base))
    os.environ.setdefault("FATE_DEPLOY_BASE", str(base))
    sys.path[:0] = [str(base / "fateflow" / "python"), str(base / "python")]
    try:
        from fate_ext_plugin.host.fate_flow_v1 import FateFlowV1

        return FateFlowV1().store
    except ImportError as error:
        raise InvalidSettings(
            f"FATE Flow can't be imported ({error}); run fate-ext in FATE Flow's own Python environment.") from None
