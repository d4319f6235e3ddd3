"""Access control: who may call. FATE Flow does not guard our paths, so each view asks here first.

A caller needs both: an address in an allowed network, and the capability token of the service, which only the url
in FATE Flow's registry holds. The token is a second lock, never the only one: FATE Flow shows registered urls
(contract section 3). A load balancer's probes have no token, and learn nothing but whether we work.
"""
import base64
import hashlib
import hmac
import logging
import re
from typing import Dict, Iterable, NoReturn, Optional, Sequence

from fate_ext_plugin.errors import Forbidden
from fate_ext_plugin.util.network import Address, Network, address_of, caller_of, is_in

logger = logging.getLogger(__name__)
TOKEN_ARGUMENT = "token"
_token_in_url = re.compile(r"(?<=\b" + TOKEN_ARGUMENT + r"=)[^&\s\"']+")


class AccessGuard:
    """:param allowed: networks of callers. :param proxies: networks whose X-Forwarded-For is believed."""

    def __init__(self, secret: bytes, allowed: Iterable[Network], proxies: Iterable[Network]) -> None:
        self._secret = secret
        self._allowed = tuple(allowed)
        self._proxies = tuple(proxies)
        self._tokens: Dict[str, str] = {}

    def key_for(self, purpose: str) -> bytes:
        """A key of its own for something that is signed: 32 bytes, always the same."""
        return hmac.new(self._secret, b"key for " + purpose.encode("ascii"), hashlib.sha256).digest()

    def token(self, service: str) -> str:
        """The capability token of a service: 22 characters, 128 bits."""
        token = self._tokens.get(service)
        if token is None:
            digest = hmac.new(self._secret, service.encode("utf-8"), hashlib.sha256).digest()
            token = self._tokens[service] = base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")
        return token

    def check(self, service: str, peer: Optional[str], forwarded: Sequence[str], tokens: Sequence[str]) -> None:
        """Let a request pass.

        :param peer: address of the TCP connection.
        :param forwarded: values of all X-Forwarded-For headers, in order.
        :param tokens: all values of the query parameter ``token``.
        :raises Forbidden: without the reason, which goes to the log.
        """
        caller = self.check_network(service, peer, forwarded)
        expected = self.token(service).encode("ascii")
        given = tokens[0].encode("utf-8", "replace") if len(tokens) == 1 else b""
        if not hmac.compare_digest(expected, given):
            reason = "missing" if not any(tokens) else "doubled" if len(tokens) > 1 else "wrong"
            self._refuse(service, f"{reason} token from {caller}; FATE Flow's registry holds the right url")

    def check_network(self, service: str, peer: Optional[str], forwarded: Sequence[str]) -> Address:
        """The half of :meth:`check` for a request that is signed: returns the caller.

        :raises Forbidden: likewise."""
        return self._require_allowed_network(service, peer, forwarded, self._allowed)

    def trusts(self, peer: Optional[str]) -> bool:
        """Whether what the other end of a connection says of how it was called is believed."""
        address = address_of(peer)
        return address is not None and is_in(address, self._proxies)

    def check_probe(self, service: str, peer: Optional[str], forwarded: Sequence[str]) -> None:
        """Let a load balancer ask how we are: it has no token, and may be the trusted proxy itself.

        :raises Forbidden: without the reason, which goes to the log.
        """
        self._require_allowed_network(service, peer, forwarded, (*self._allowed, *self._proxies))

    def _require_allowed_network(
        self, service: str, peer: Optional[str], forwarded: Sequence[str], networks: Iterable[Network]
    ) -> Address:
        caller = caller_of(peer, forwarded, self._proxies)
        if caller is None or not is_in(caller, networks):
            self._refuse(service, f"{caller or peer} is in no allowed network (allowed_networks, trusted_proxies)")
        return caller

    @staticmethod
    def _refuse(service: str, reason: str) -> NoReturn:
        logger.warning("refused %s: %s", service, reason)
        raise Forbidden("Forbidden.")


class RedactTokens(logging.Filter):
    """Hides tokens in what a server logs of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if TOKEN_ARGUMENT in text:
            record.msg, record.args = redact(text), ()
        return True


def redact(text: str) -> str:
    return _token_in_url.sub("***", text)
