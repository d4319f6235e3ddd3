"""The rooms of authentication, opened for a command."""
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Optional, Tuple

from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.auth.setup import open_box, section_of
from fate_ext_plugin.cli.database import not_made_yet, open_host
from fate_ext_plugin.db.auth import Client, SiteKey
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS, migrate
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import Settings


@dataclass(frozen=True)
class Rooms:
    """``host``: a :class:`fate_ext_plugin.host.Host`."""

    host: Any
    clients: Clients
    keys: SiteKeys

    def own_party(self, named: Optional[str] = None) -> str:
        """``named``, or this site's own.

        :raises InvalidSettings: none is named, and this site's is not known.
        """
        party = named or self.host.party_id()
        if not party:
            raise InvalidSettings(
                "This site's party ID is not known: name it with --party, or set it in service_conf.yaml (for FATE "
                "Flow party_id, for `fate-ext serve` authentication.party_id).")
        return str(party)

    def prove(self) -> "Rooms":
        """Before something is stored: it must go under the master key that all the rest is stored under.

        :raises InvalidSettings: this is another one.
        """
        self.clients.all()
        self.keys.ring()
        return self


def open_rooms(conf: Path) -> Rooms:
    """Makes the master key and the tables where they do not exist, as the server does.

    :raises ExtError: settings, database or master key can't be used.
    """
    settings = read_settings_file(conf)
    chosen = section_of(settings)
    Storage(settings.data_dir, settings.min_free_bytes).open()
    host = open_host(conf)
    box = open_box(chosen, make=True)
    migrate(host.store)
    return _rooms(host, box)


def look_into_rooms(settings: Settings, conf: Path) -> Optional[Rooms]:
    """Makes nothing. None where nothing is stored yet, and the first start makes even the master key.

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
    return _rooms(host, box)


def _rooms(host: Any, box: SecretBox) -> Rooms:
    own = host.own_client()
    return Rooms(host, Clients(host.store, box, own[0] if own else None), SiteKeys(host.store, box))


def _nothing_stored(store: Store) -> bool:
    store.bind(MODELS)
    return store.call(lambda: not any(
        model.table_exists() and model.select().exists() for model in (Client, SiteKey)))


def covered_until(spans: Iterable[Tuple[Optional[int], Optional[int]]], now: int) -> Optional[int]:
    """Until when, from ``now`` on, one of several keys is always valid; None: for ever, ``now``: not even now.

    :param spans: from when to when each is valid, None: open.
    """
    end = now
    for start, until in sorted(spans, key=lambda span: span[0] or 0):
        if (start or 0) > end:
            break
        if until is None:
            return None
        end = max(end, until)
    return end
