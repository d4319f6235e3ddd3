"""A FATE Flow somewhere, over its REST interface."""
import json
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from fate_ext_plugin.access.guard import redact
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.cli.errors import WrongOption
from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.util.text import escape_control_characters

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 2**20


class Unreachable(ExtError):
    """Nothing answers there, or nothing that is a FATE Flow."""


class Refused(ExtError):
    """FATE Flow answers, and says no; the message is its own."""


@dataclass(frozen=True)
class Answer:
    """``body`` is what its JSON says, None where it is no JSON. ``headers`` are without regard to case.

    ``seconds_ahead``: how far the server's clock is before ours, None where it does not tell the time.
    """

    url: str
    status: int
    body: Any
    headers: Mapping[str, str]
    seconds_ahead: Optional[float]

    def get(self, key: str) -> Any:
        """``key`` of a body that is an object."""
        return self.body.get(key) if isinstance(self.body, dict) else None

    @property
    def retcode(self) -> Optional[int]:
        """FATE Flow's own; None in what is not its answer."""
        code = self.get("retcode")
        return code if isinstance(code, int) else None

    @property
    def message(self) -> str:
        """What FATE Flow says, in one line and without tokens."""
        return redact(escape_control_characters(str(self.get("retmsg") or self.body)))[:300]

    def data(self) -> Any:
        """``data`` of FATE Flow's success.

        :raises Unreachable: this is no FATE Flow.
        :raises Refused: FATE Flow says no.
        """
        if self.retcode is None:
            raise Unreachable(f"FATE Flow at {self.url} answered HTTP {self.status}." if self.status != 200 else
                              f"What answers at {self.url} is no FATE Flow.")
        if self.retcode != 0:
            raise Refused(self.message)
        return self.get("data")


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """The redirect itself is the answer: what is signed goes to nobody else."""


class _Proxy(ProxyHandler):
    def proxy_open(self, req: Request, proxy: str, type: str) -> Any:
        """Not to loopback: the proxy's is another machine's, and it should not see what is signed for this one."""
        host = urlsplit(f"//{req.host}").hostname or ""
        with suppress(ValueError):
            if host == "localhost" or ip_address(host).is_loopback:
                return None
        return super().proxy_open(req, proxy, type)


def exchange(
    method: str, url: str, body: Any = None, headers: Optional[Mapping[str, str]] = None, follow: bool = True,
    most: int = MAX_ANSWER_BYTES, seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Send ``body`` as JSON, and take whatever comes, but no more than ``most`` bytes.

    The environment's proxy (http_proxy, https_proxy, no_proxy) is used, except for this machine's own loopback.

    :param follow: whether to go where the answer redirects to. :param seconds: how long to wait for it.
    :raises Unreachable: nothing does; the message is the bare reason.
    """
    data = None if body is None else json.dumps(body).encode("utf-8")
    request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    host = request.host
    started = time.time()
    try:
        try:
            response: Any = build_opener(_Proxy(), *([] if follow else [_Stay()])).open(request, timeout=seconds)
        except HTTPError as error:
            response = error
        with response:
            content = response.read(most)
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        proxied = " (through the proxy that the environment names; no_proxy excepts addresses)"
        raise Unreachable(f"{reason}{'' if request.host == host else proxied}") from None
    try:
        content = json.loads(content)
    except ValueError:
        content = None
    ahead = _ahead(response.headers, (started + time.time()) / 2)
    return Answer(url, response.status, content, response.headers, ahead)


class Flow:
    """:param url: such as ``http://10.0.0.5:9380``.
    :param keys: app key and secret to sign with, where its client authentication is on."""

    def __init__(self, url: str, keys: Optional[Tuple[str, str]] = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise WrongOption(f"--flow must be a url such as http://10.0.0.5:9380, not {url!r}.")
        self.url = url.rstrip("/")
        self._keys = keys

    def post(self, path: str, body: Any, signed: bool = True) -> Answer:
        """:raises Unreachable: nothing answers."""
        headers = self._signature(path, json.dumps(body).encode("utf-8") if body else b"") if signed else {}
        try:
            return exchange("POST", self.url + path, body, headers)
        except Unreachable as error:
            raise Unreachable(f"FATE Flow can't be reached at {self.url}{path}: {error.message}.") from None

    def _signature(self, path: str, body: bytes) -> Dict[str, str]:
        if not self._keys:
            return {}
        app_key, secret = self._keys
        stamp = {"timestamp": str(round(time.time() * 1000)), "nonce": str(uuid.uuid4())}
        signature = Signer(secret, "hmac-sha1").sign(signed_text(ClientRequest(path, stamp, body), app_key))
        return {**{name.upper(): value for name, value in stamp.items()}, "APP-KEY": app_key, "SIGNATURE": signature}


def _ahead(headers: Mapping[str, str], now: float) -> Optional[float]:
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp() + 0.5 - now  # it tells whole seconds
    except (KeyError, TypeError, ValueError):
        return None
