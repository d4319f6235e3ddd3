"""The clients: who they are, and what each may do. Their secrets are shown once, when made."""
import ipaddress
import json
import re
import secrets
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Optional, Sequence, Tuple

from peewee import IntegrityError

from fate_ext_plugin.auth.client_signature import ALGORITHMS, Signer
from fate_ext_plugin.auth.path import is_pattern
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.db import auth as tables
from fate_ext_plugin.db.base import Store, date_of, dicts, now_ms
from fate_ext_plugin.errors import InvalidKey, KeyTaken, UnknownKey
from fate_ext_plugin.util.network import Address, Network
from fate_ext_plugin.util.refreshing_cache import RefreshingCache

APP_KEY = re.compile(r"[A-Za-z0-9._~-]{1,64}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# Random bytes of a secret that is made here, and its characters, which nobody can guess.
SECRET_BYTES, SECRET_LENGTH = 32, 43
# What a client may do under /v1/ext/admin: all, or look. Without a role it may do nothing there.
ADMIN, VIEWER = "admin", "viewer"
ROLES = (ADMIN, VIEWER)


@dataclass(frozen=True)
class Client:
    """One row of ``t_ext_client``. Empty ``paths``, ``methods`` and ``networks`` allow all; times in ms since 1970."""

    app_key: str
    name: str
    signers: Tuple[Tuple[Signer, Optional[int]], ...]
    algorithm: str = "hmac-sha1"
    enabled: bool = True
    expires: Optional[int] = None
    paths: Tuple[str, ...] = ()
    methods: Tuple[str, ...] = ()
    networks: Tuple[Network, ...] = ()
    role: Optional[str] = None

    def usable(self, now: int) -> bool:
        return self.enabled and (self.expires is None or now < self.expires)

    def accepts(self, text: bytes, signature: str, now: int) -> bool:
        """Whether one of the secrets that are valid now made ``signature``."""
        return any(signer.accepts(text, signature) for signer, until in self.signers if until is None or now < until)

    def guessable(self, now: int) -> bool:
        """Whether one of the secrets that are valid now may be guessed: it is shorter than those that are made here."""
        return any(signer.secret_length < SECRET_LENGTH for signer, until in self.signers
                   if until is None or now < until)

    def secret_version(self) -> str:
        """Changes with the secret, and tells nothing of it."""
        return self.signers[0][0].sign(b"fate_ext_plugin console: version of the secret")

    def may_call(self, path: Optional[str]) -> bool:
        return not self.paths or (path is not None and any(fnmatchcase(path, pattern) for pattern in self.paths))

    def may_use(self, method: Optional[str]) -> bool:
        return not self.methods or method in self.methods

    def may_come_from(self, address: Optional[Address]) -> bool:
        return not self.networks or any(
            address is not None and address.version == network.version and address in network
            for network in self.networks)


class Clients:
    """The table, for any number of servers.

    :param own: FATE Flow's own app key, which needs no row.
    """

    def __init__(self, store: Store, box: SecretBox, own: Optional[str] = None) -> None:
        self._store, self._box, self._own = store, box, own
        self._cached: RefreshingCache[Dict[str, Tuple[Any, Client]]] = RefreshingCache(self._load)

    def all(self) -> Dict[str, Client]:
        """Every client by app key, at most a few seconds old."""
        return {app_key: client for app_key, (_, client) in self._cached.get().items()}

    def get(self, app_key: str) -> Optional[Client]:
        found = self._cached.get().get(app_key)
        return found[1] if found else None

    def _load(self, before: Optional[Dict[str, Tuple[Any, Client]]]) -> Dict[str, Tuple[Any, Client]]:
        rows: List[Dict[str, Any]] = self._store.call(lambda: dicts(tables.Client.select()))
        known = before or {}
        loaded = {}
        for row in rows:
            old = known.get(row["f_app_key"])
            loaded[row["f_app_key"]] = old if old and old[0] == row else (row, self._client(row))
        return loaded

    def _client(self, row: Dict[str, Any]) -> Client:
        app_key, algorithm = row["f_app_key"], row["f_algorithm"]
        sealed = [(row["f_secret"], None)]
        if row["f_previous_secret"]:
            sealed.append((row["f_previous_secret"], row["f_previous_until"]))
        return Client(
            app_key=app_key, name=row["f_name"], algorithm=algorithm, enabled=row["f_enabled"],
            expires=row["f_expires"], paths=tuple(json.loads(row["f_paths"])),
            methods=tuple(json.loads(row["f_methods"])),
            role=row["f_role"], networks=tuple(ipaddress.ip_network(text) for text in json.loads(row["f_networks"])),
            signers=tuple((Signer(self._box.open(secret, _owner(app_key)), algorithm), until)
                          for secret, until in sealed))

    # -- changes -------------------------------------------------------------------------------------------------------

    def add(
        self, app_key: str, name: str, *, algorithm: str = "hmac-sha1", secret: Optional[str] = None,
        expires: Optional[int] = None, paths: Sequence[str] = (), methods: Sequence[str] = (),
        networks: Sequence[str] = (), role: Optional[str] = None,
    ) -> str:
        """Add a client; returns its secret, which can't be seen again.

        :param secret: one that the client has already; None: a random one of 256 bits.
        :param role: of :data:`ROLES`, for /v1/ext/admin.
        :raises InvalidKey: what is given can't be used, or the app key is taken.
        """
        if not name.isprintable() or not name.strip():
            raise InvalidKey("The name must be printable text.")
        if expires is not None and expires <= now_ms():
            raise InvalidKey(f"The expiry {date_of(expires)} is over already.")
        if role is not None and role not in ROLES:
            raise InvalidKey(f"The role must be one of {', '.join(ROLES)}.")
        if not APP_KEY.fullmatch(app_key):
            raise InvalidKey("An app key is 1 to 64 letters, digits, . _ ~ or -.")
        if algorithm not in ALGORITHMS:
            raise InvalidKey(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
        for method in methods:
            if method not in METHODS:
                raise InvalidKey(f"{method!r} is no method; use {', '.join(METHODS)}.")
        for path in paths:
            if not is_pattern(path):
                raise InvalidKey(f"{path!r} is not a path pattern such as /v1/job/*: segments of letters, digits and "
                                 "_ . ~ : @ # - * ? [ ] !, each after one slash, and none of them . or ..")
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise InvalidKey(f"{network!r} is no IP address or network, such as 10.0.0.0/16.") from None
        chosen = _good_secret(secret)
        if app_key == self._own:
            raise KeyTaken(
                f"{app_key} is FATE Flow's own app key (http_app_key in service_conf.yaml), which is let in as it is.")
        if self._row(app_key):
            raise KeyTaken(f"There is a client {app_key} already; `rotate` gives it a new secret.")
        sealed = self._box.seal(chosen, _owner(app_key))
        try:
            self._store.call(lambda: self._row_here(app_key) or tables.Client.create(
                f_app_key=app_key, f_name=name, f_algorithm=algorithm, f_secret=sealed, f_expires=expires,
                f_paths=json.dumps(list(paths)), f_methods=json.dumps(list(methods)),
                f_networks=json.dumps(list(networks)), f_role=role))
        except IntegrityError:
            raise KeyTaken(f"There is a client {app_key} already, perhaps in another case.") from None
        if self._required(app_key)["f_secret"] != sealed:
            raise KeyTaken(f"Somebody else has just added a client {app_key}.")
        self._cached.forget()
        return chosen

    def rotate(self, app_key: str, keep_seconds: int) -> str:
        """Give a client a new secret; the old one stays valid for ``keep_seconds``. Returns the new one."""
        row = self._required(app_key)
        new = _good_secret(None)
        self._change(app_key, f_secret=self._box.seal(new, _owner(app_key)), f_previous_secret=row["f_secret"],
                     f_previous_until=now_ms() + keep_seconds * 1000)
        return new

    def enable(self, app_key: str, enabled: bool) -> None:
        self._required(app_key)
        self._change(app_key, f_enabled=enabled)

    def remove(self, app_key: str) -> None:
        self._required(app_key)
        self._store.call(lambda: tables.Client.delete().where(tables.Client.f_app_key == app_key).execute())
        self._cached.forget()

    def rows(self) -> List[Dict[str, Any]]:
        """What may be shown of every client, by app key: all but secrets."""
        rows = self._store.call(lambda: dicts(tables.Client.select().order_by(tables.Client.f_app_key)))
        return [_shown(row) for row in rows]

    def row(self, app_key: str) -> Dict[str, Any]:
        """:raises UnknownKey: there is none."""
        return _shown(self._required(app_key))

    def _change(self, app_key: str, **values: Any) -> None:
        self._store.call(
            lambda: tables.Client.change(**values).where(tables.Client.f_app_key == app_key).execute())
        self._cached.forget()

    def _required(self, app_key: str) -> Dict[str, Any]:
        row = self._row(app_key)
        if not row:
            raise UnknownKey(f"There is no client {app_key[:64]!r}; `list` shows all.")
        return row

    def _row(self, app_key: str) -> Optional[Dict[str, Any]]:
        return self._store.call(lambda: self._row_here(app_key)) if APP_KEY.fullmatch(app_key) else None

    @staticmethod
    def _row_here(app_key: str) -> Optional[Dict[str, Any]]:
        rows = dicts(tables.Client.select().where(tables.Client.f_app_key == app_key))
        # MySQL compares without case.
        return next((row for row in rows if row["f_app_key"] == app_key), None)


def _owner(app_key: str) -> str:
    return f"client {app_key}"


def _good_secret(given: Optional[str]) -> str:
    if given is None:
        return secrets.token_urlsafe(SECRET_BYTES)
    # FATE's clients encode it as ASCII.
    if not 16 <= len(given) <= 256 or not given.isascii() or not given.isprintable():
        raise InvalidKey("A secret is 16 to 256 printable ASCII characters.")
    return given


def _shown(row: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "app_key": row["f_app_key"], "name": row["f_name"], "algorithm": row["f_algorithm"],
        "role": row["f_role"],
        "enabled": row["f_enabled"], "expires": row["f_expires"], "paths": json.loads(row["f_paths"]),
        "methods": json.loads(row["f_methods"]), "networks": json.loads(row["f_networks"]),
        "previous_secret_until": row["f_previous_until"] if row["f_previous_secret"] else None,
        "created": row["f_create_date"], "changed": row["f_update_date"],
    }
