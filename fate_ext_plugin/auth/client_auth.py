"""Client authentication: is this client request genuine, and may this client make it?"""
import time
from dataclasses import replace
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple
from zlib import crc32

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.auth.client_signature import ClientRequest, SignedText, Signer, signed_headers
from fate_ext_plugin.auth.client_store import ROLES, Client, Clients
from fate_ext_plugin.auth.clock import clocks_differ
from fate_ext_plugin.auth.nonces import Nonces
from fate_ext_plugin.auth.path import is_plain
from fate_ext_plugin.auth.throttle import Throttle
from fate_ext_plugin.errors import RoleMissing, Unauthenticated
from fate_ext_plugin.util.network import Address

# How the audit log calls requests to /v1/ext/admin.
ADMIN_CHECK = "admin"
# A request without APP_KEY is tried with every key; each costs a few microseconds.
MAX_KEYS_TRIED = 500
# ... and more for a long path, body or form.
MAX_BYTES_TRIED = 64 * 2**20
# Of app keys, known or not, a guesser's failures are counted under so many.
KEY_BUCKETS = 256
# ... and under this one those of requests whose app key was dropped.
DROPPED = -1
# What two secrets sign, to see whether they are the same.
SIGN_IN = b"fate_ext_plugin console: sign in"
# The same answer in all of these cases, so that a stranger learns which app keys there are from none of them.
WRONG = "The signature is wrong, the app key is unknown, or the client is disabled or has expired."
WRONG_SIGN_IN = "The app key or the secret is wrong, or the client is disabled or has expired."


class ClientAuthentication:
    """:param own: the client that service_conf.yaml names, with which FATE Flow signs its own calls.
    :param window: seconds that a client's clock may differ."""

    def __init__(
        self, clients: Clients, own: Optional[Client], nonces: Nonces, audit: AuditLog, window: float,
        throttle: Optional[Throttle] = None, clock: Callable[[], float] = time.time,
    ) -> None:
        self._clients, self._own, self._nonces, self._audit, self._window = clients, own, nonces, audit, window
        self._throttle = Throttle() if throttle is None else throttle
        self._clock = clock
        self._nobody = Client("nobody", "", ((Signer("no secret at all", "hmac-sha1"), None),))

    def check(self, request: ClientRequest) -> Client:
        """Let a request pass; returns the client that signed it.

        :raises Unauthenticated: with a message for the client; the reason stands in the audit log.
        """
        client = self._admit("client", request, None)
        self._note("client", True, client.app_key, request, "ok")
        return client

    def admit(self, request: ClientRequest, roles: Sequence[str]) -> Client:
        """Let a request for administration come in; returns the client that signed it. Its operation audits the rest.

        :param roles: one of which the client must have.
        :raises Unauthenticated, RoleMissing: as :meth:`check`.
        """
        return self._admit(ADMIN_CHECK, request, roles)

    def _admit(self, check: str, request: ClientRequest, roles: Optional[Sequence[str]]) -> Client:
        who: Optional[str] = None
        known = False
        try:
            request = replace(request, headers=signed_headers(request.headers.items()))
            named = request.headers.get("app-key")
            # People put a secret where an app key belongs, and the audit log never holds one.
            who = named if named and self._named(named) else None
            client = self._authenticate(request)
            who, known = client.app_key, True
            authorize(client, request, roles)
        except Exception as error:
            self._note(check, False, who, request, getattr(error, "reason", "error"), known=known)
            raise
        return client

    def sign_in(self, request: ClientRequest, secret: str) -> Client:
        """Let a person in at the console, who says a client's secret instead of signing with it.

        :param request: its header ``app-key`` says which client; ``address`` must be known.
        :raises Unauthenticated, RoleMissing: as :meth:`check`, with the same pauses after failures.
        """
        app_key = request.headers["app-key"]
        # As in check().
        who = app_key if self._clients.get(app_key) else None
        known = False
        try:
            client = self._knows_secret(request, secret)
            known = True
            if not client.may_come_from(request.address):
                raise Unauthenticated("This client may not call from this address.", "forbidden address")
            _require_role(client, ROLES)
        except Exception as error:
            self._note(ADMIN_CHECK, False, who, request, getattr(error, "reason", "error"), known=known)
            raise
        self._note(ADMIN_CHECK, True, who, request, "signed in")
        return client

    def _knows_secret(self, request: ClientRequest, secret: str) -> Client:
        app_key, now = request.headers["app-key"], int(self._clock() * 1000)
        guess = _guess(request.address, app_key)
        self._throttle.check(guess)
        client = self._clients.get(app_key)
        asked = client or self._nobody
        # Compared as signatures are: in a time that tells nothing.
        knows = asked.accepts(SIGN_IN, Signer(secret, asked.algorithm).sign(SIGN_IN), now)
        if client is None or not knows:
            self._throttle.failed(guess)
            raise Unauthenticated(WRONG_SIGN_IN, "wrong secret" if client else "unknown app key")
        self._throttle.succeeded(guess)
        if not client.usable(now):
            raise Unauthenticated(WRONG_SIGN_IN, "disabled client")
        return client

    def signed_in(self, app_key: str) -> Optional[Client]:
        """The client as it is now; None where it may be at the console no more."""
        client = self._clients.get(app_key)
        if client is None or client.role not in ROLES or not client.usable(int(self._clock() * 1000)):
            return None
        return client

    def note(
        self, request: ClientRequest, allowed: bool, who: Optional[str], reason: str,
        payload: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Put what came of a request for administration into the audit log.

        :param who: the app key of who is known to make it; None: nobody is.
        :param payload: what the audit log keeps of what was asked for.
        """
        self._note(ADMIN_CHECK, allowed, who, request, reason, payload, known=who is not None)

    def require_usable(self) -> None:
        """:raises ExtError: the clients can't be read."""
        self._clients.all()

    def _note(
        self, check: str, allowed: bool, who: Optional[str], request: ClientRequest, reason: str,
        payload: Optional[Mapping[str, Any]] = None, known: bool = False,
    ) -> None:
        path = request.path or request.full_path.partition("?")[0]
        self._audit.write(
            check, allowed, who, f"{request.method or ''} {path}".strip(), request.address, reason, payload,
            known=known)

    def _authenticate(self, request: ClientRequest) -> Client:
        now = self._clock()
        timestamp = self._timestamp(request, now)
        found = self._signer_of(request, int(now * 1000))
        if not found.usable(int(now * 1000)):
            raise Unauthenticated(WRONG, "disabled client")
        # After the signature: nobody else can use up a client's nonces, or fill the memory for them.
        self._nonces.use(found.app_key, request.headers["nonce"], timestamp + self._window)
        return found

    def _signer_of(self, request: ClientRequest, now: int) -> Client:
        app_key, signature = request.headers.get("app-key") or None, request.headers["signature"]
        guess = _guess(request.address, app_key)
        pause = self._pause(guess)
        if pause and app_key:
            raise pause
        text = SignedText(request)
        candidates = self._candidates(app_key, len(text), now)
        if pause:
            # One script that fails must not stop all that share its address and whose app keys were dropped, too.
            candidates = [client for client in candidates if not client.guessable(now)]
        found = next((client for client in candidates or [self._nobody]
                      if client.accepts(text.of(client.app_key), signature, now)), None)
        if found is None or not candidates:
            if pause:
                raise pause
            if guess:
                self._throttle.failed(guess)
            raise Unauthenticated(WRONG, "wrong signature" if candidates else "unknown app key")
        if guess and app_key:
            # Without an app key it may be anyone's success, and would hide the failures of others.
            self._throttle.succeeded(guess)
        return found

    def _pause(self, guess: Optional[Tuple[str, int]]) -> Optional[Unauthenticated]:
        """What a guesser is told while its pause is not over."""
        try:
            if guess:
                self._throttle.check(guess)
        except Unauthenticated as pause:
            return pause
        return None

    def _timestamp(self, request: ClientRequest, now: float) -> float:
        """When it was signed."""
        headers = request.headers
        for name in ("timestamp", "nonce", "signature"):
            if not headers.get(name):
                raise Unauthenticated(
                    f"The header {name.upper()} is missing. Sign the request with an app key.", "not signed")
        timestamp = _seconds(headers["timestamp"])
        if abs(now - timestamp) >= self._window:
            raise clocks_differ(timestamp, now, self._window)
        return timestamp

    def _candidates(self, app_key: Optional[str], signed_bytes: int, now: int) -> List[Client]:
        """The clients a request may be from.

        Werkzeug 2.3 and nginx drop FATE's own header APP_KEY for its underscore; but the key is part of the signed
        text, so that trying all finds it.
        """
        if app_key:
            client = self._named(app_key)
            return [client] if client else []
        clients = [client for client in self._clients.all().values() if client.usable(now)]
        if self._own:
            clients.insert(0, self._own)
        if len(clients) > MAX_KEYS_TRIED or len(clients) * signed_bytes > MAX_BYTES_TRIED:
            raise Unauthenticated("The header APP-KEY is missing; send it, with a dash.", "no app key")
        return clients

    def _named(self, app_key: str) -> Optional[Client]:
        return self._own if self._own and app_key == self._own.app_key else self._clients.get(app_key)


def authorize(client: Client, request: ClientRequest, roles: Optional[Sequence[str]] = None) -> None:
    """:param roles: one of which the client must have; None: none is needed.
    :raises Unauthenticated, RoleMissing: it is who it says, but may not do this."""
    if not client.may_come_from(request.address):
        raise Unauthenticated("This client may not call from this address.", "forbidden address")
    if not client.may_use(request.method):
        raise Unauthenticated("This client may not use this method.", "forbidden method")
    if client.paths and not is_plain(request.path or ""):
        raise Unauthenticated("The path holds what can be read in two ways.", "ambiguous path")
    if not client.may_call(request.path):
        raise Unauthenticated("This client may not call this path.", "forbidden path")
    if roles is not None:
        _require_role(client, roles)


def _require_role(client: Client, roles: Sequence[str]) -> None:
    if client.role not in roles:
        raise RoleMissing(
            f"This needs a client with the role {' or '.join(roles)}; see `fate-ext client add --role`.")


def _seconds(timestamp: str) -> float:
    # int() would take spaces, signs and underscores, too.
    if not timestamp.isdigit() or len(timestamp) > 16:
        raise Unauthenticated("TIMESTAMP must be milliseconds since 1970.", "malformed header")
    return int(timestamp) / 1000


def _guess(address: Optional[Address], app_key: Optional[str]) -> Optional[Tuple[str, int]]:
    """What a failure is counted under: address and app key, known or not alike.

    :param app_key: None where it was dropped: such a request is a guess at every client's secret.
    :return: None where the address is not told: whoever fails would hold up all others then.
    """
    if address is None:
        return None
    # Of IPv6 the network, for one host has 2**64 addresses.
    host = str(address) if address.version == 4 else address.exploded[:19]
    return host, DROPPED if app_key is None else crc32(app_key.encode("utf-8", "surrogatepass")) % KEY_BUCKETS
