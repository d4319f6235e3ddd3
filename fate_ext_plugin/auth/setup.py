"""Puts the pieces of authentication together, once in a process: both doors, HTTP and in-process, share them."""
import logging
from dataclasses import dataclass
from typing import Callable, Iterable, Optional, Tuple

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.auth.client_auth import ClientAuthentication
from fate_ext_plugin.auth.client_signature import Signer
from fate_ext_plugin.auth.client_store import Client, Clients
from fate_ext_plugin.auth.key_store import PRIVATE, REFUSED, SiteKeys
from fate_ext_plugin.auth.nonces import DatabaseNonces, MemoryNonces, Nonces
from fate_ext_plugin.auth.secret_box import SecretBox, master_key
from fate_ext_plugin.auth.site_auth import SiteAuthentication
from fate_ext_plugin.auth.throttle import SharedThrottle, Throttle
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS, migrate
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings.model import SECTION, AuthenticationSettings, Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Authentication:
    """Who may call: clients, and sites. The tables of both, for those who manage them, and the audit log."""

    clients: ClientAuthentication
    sites: SiteAuthentication
    client_table: Clients
    keys: SiteKeys
    audit: AuditLog

    def require_usable(self) -> None:
        """:raises ExtError: clients or keys can't be read, so that everything is refused."""
        self.clients.require_usable()
        self.sites.require_usable()


def section_of(settings: Settings) -> AuthenticationSettings:
    """:raises InvalidSettings: there is none."""
    if settings.authentication is None:
        raise InvalidSettings(
            f"{SECTION}.authentication is missing in service_conf.yaml; add `authentication:`, alone for its defaults.")
    return settings.authentication


def open_box(settings: AuthenticationSettings, make: bool) -> SecretBox:
    """:raises InvalidSettings: the master key can't be had."""
    return SecretBox(master_key(settings.master_key_file, settings.master_key_env, make))


def open_authentication(
    settings: Settings, store: Store, party_id: str, own_client: Optional[Tuple[str, str]],
    flow_keys: Callable[[], Iterable[Tuple[str, str, str]]],
) -> Authentication:
    """For a server: makes the master key, the tables and our own key where they do not exist.

    :param own_client: app key and secret of service_conf.yaml, where FATE Flow has them.
    :param flow_keys: FATE Flow's own keys, taken over at first use: partners know them already.
    :raises ExtError: settings, database or keys can't be used.
    """
    chosen = section_of(settings)
    box = open_box(chosen, make=True)
    migrate(store)
    keys, clients = SiteKeys(store, box), Clients(store, box, own_client[0] if own_client else None)
    if party_id:
        _first_keys(keys, party_id, flow_keys)
    keys.ring()  # now, while a wrong master key is still an error of the start
    clients.all()
    audit = AuditLog(settings.data_dir / "audit")
    shared = chosen.nonces == "database"
    nonces: Nonces = DatabaseNonces(store) if shared else MemoryNonces()
    throttle = SharedThrottle(store) if shared else Throttle()
    own = None
    if own_client:
        app_key, secret = own_client
        own = Client(app_key, "FATE Flow itself", ((Signer(secret, "hmac-sha1"), None),))
    return Authentication(
        ClientAuthentication(clients, own, nonces, audit, chosen.client_window_seconds, throttle),
        _sites(chosen, keys, party_id, nonces, audit),
        clients, keys, audit)


def _first_keys(keys: SiteKeys, party_id: str, flow_keys: Callable[[], Iterable[Tuple[str, str, str]]]) -> None:
    """Once only: a key that was removed must not come back at the next start."""
    ring = keys.ring()  # partners' keys may be there before
    if not ring.private.get(party_id) and party_id not in ring.policies:
        outcome = keys.take_over(flow_keys())
        for name, taken in outcome.items():
            if taken.startswith(REFUSED):
                logger.error("FATE Flow's %s key is not taken over, %s", name, taken)
        # One that partners know and that can't be used is not replaced behind their backs.
        if f"{PRIVATE} {party_id}" not in outcome:
            keys.add_private(party_id)
    elif not ring.private.get(party_id):
        logger.error("party %s has no private key and can't sign; `fate-ext key generate` makes one", party_id)
    if party_id not in ring.policies:
        keys.set_policy(party_id)


def open_signer(settings: Settings, store: Store, party_id: str) -> SiteAuthentication:
    """For a task worker, which only signs: changes nothing.

    :raises ExtError: settings, database or keys can't be used.
    """
    chosen = section_of(settings)
    store.bind(MODELS)
    return _sites(chosen, SiteKeys(store, open_box(chosen, make=False)), party_id, MemoryNonces(), None)


def _sites(
    chosen: AuthenticationSettings, keys: SiteKeys, party_id: str, nonces: Nonces, audit: Optional[AuditLog]
) -> SiteAuthentication:
    return SiteAuthentication(
        keys, party_id, nonces, audit, chosen.digest, chosen.site_window_seconds, chosen.clock_skew_seconds)
