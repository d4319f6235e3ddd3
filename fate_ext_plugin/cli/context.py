"""What a command on this machine works with."""
import os
from functools import partial
from pathlib import Path
from typing import Optional

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.auth.setup import open_box, section_of
from fate_ext_plugin.cli.database import not_made_yet, open_host
from fate_ext_plugin.db.auth import Client, SiteKey
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import Settings


def open_context(conf: Path) -> AdminContext:
    """Makes the master key and the tables where they do not exist, as the server does.

    :raises InvalidSettings: the settings can't be used.
    """
    return AdminContext(read_settings_file(conf), partial(open_host, conf))


def look_into_context(settings: Settings, conf: Path) -> Optional[AdminContext]:
    """Clients and keys, without making anything. None where nothing is stored yet, and the first start makes even the
    master key.

    :raises ExtError: settings, database or master key can't be used.
    """
    chosen = section_of(settings)
    host = None if not_made_yet(settings, conf) else open_host(conf)
    if not chosen.master_key_env and not os.path.lexists(chosen.master_key_file) and (
            host is None or _nothing_stored(host.store)):
        return None
    box = open_box(chosen, make=False)
    if host is None or _nothing_stored(host.store):
        return None
    return AdminContext(settings, partial(open_host, conf), host=host, box=box)


def _nothing_stored(store: Store) -> bool:
    store.bind(MODELS)
    return store.call(lambda: not any(
        model.table_exists() and model.select().exists() for model in (Client, SiteKey)))
