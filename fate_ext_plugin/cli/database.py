"""The job database, for a command that looks into it while a server runs."""
import os
from pathlib import Path

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.settings import read_settings_file, read_yaml


def open_store(conf: Path) -> Store:
    """FATE Flow's database where ``conf`` belongs to a FATE Flow, else the one ``fate-ext serve`` uses."""
    if "fateflow" in read_yaml(conf):
        # FATE's own code finds its folder, driver and password.
        os.environ.setdefault("FATE_PROJECT_BASE", str(conf.resolve().parent.parent))
        from fate_ext_plugin.host.fate_flow_v1 import FateFlowV1

        store = FateFlowV1().store
    else:
        store = Store(open_database(read_settings_file(conf)))
    migrate(store)
    return store
