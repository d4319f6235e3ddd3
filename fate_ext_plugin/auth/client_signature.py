"""How FATE's clients sign a request (contract section 5), and how their headers are found again.

The signed text is, joined by line feeds: TIMESTAMP, NONCE, APP_KEY, the path with its query and without a trailing
``?``, the raw body if its JSON is not empty, the sorted url-encoded form fields. The signature is base64 of its
HMAC: SHA-1 as FATE's clients do it, or SHA-256 for a client that is set up for it.
"""
import base64
import hmac
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple
from urllib.parse import quote, urlencode

from fate_ext_plugin.errors import Unauthenticated
from fate_ext_plugin.util.network import Address

ALGORITHMS = {"hmac-sha1": "sha1", "hmac-sha256": "sha256"}
SIGNED_HEADERS = ("timestamp", "nonce", "app-key", "signature")
MAX_HEADER_LENGTH = 256


@dataclass(frozen=True)
class ClientRequest:
    """A request as a client signed it.

    ``headers`` are all of them, or at least those of the scheme; ``body`` is what counts of the body: empty where it
    holds no JSON, or an empty one. ``method``, ``route`` (the decoded path) and ``address`` are None where the host
    can't tell.
    """

    full_path: str
    headers: Mapping[str, Any]
    body: bytes = b""
    form: Optional[Mapping[str, str]] = None
    method: Optional[str] = None
    address: Optional[Address] = None
    route: Optional[str] = None

    @property
    def path(self) -> Optional[str]:
        """None where it can't be told from the query: a decoded path may hold a question mark."""
        if self.route is None and self.full_path.count("?") > 1:
            return None
        return self.route or self.full_path.partition("?")[0]


def signed_headers(headers: Iterable[Tuple[Any, Any]]) -> Dict[str, str]:
    """The four headers of the scheme, whatever their case and with ``_`` or ``-``.

    :raises Unauthenticated: one of them stands twice, is too long, or is no ASCII.
    """
    found: Dict[str, str] = {}
    for name, value in headers:
        key = str(name).lower().replace("_", "-")
        if key not in SIGNED_HEADERS:
            continue
        if key in found:
            raise Unauthenticated(f"The header {key.upper()} stands twice.", "doubled header")
        if not isinstance(value, str) or len(value) > MAX_HEADER_LENGTH or not value.isascii() or "\n" in value:
            raise Unauthenticated(f"The header {key.upper()} is malformed.", "malformed header")
        found[key] = value
    return found


class SignedText:
    """What a client signs of a request, but for its app key: written once, however many keys are tried."""

    def __init__(self, request: ClientRequest) -> None:
        """:raises Unauthenticated: path or form hold what no client can have signed."""
        headers = request.headers
        try:
            form = urlencode(sorted(request.form.items()), quote_via=quote, safe="-._~") if request.form else ""
            self._before = f"{headers['timestamp']}\n{headers['nonce']}\n".encode("ascii")
            self._after = b"\n".join((
                b"", request.full_path.rstrip("?").encode("utf-8"), request.body, form.encode("ascii")))
        except UnicodeEncodeError:
            raise Unauthenticated("The path or a form field is not valid Unicode.", "malformed path") from None

    def __len__(self) -> int:
        """Bytes."""
        return len(self._before) + len(self._after)

    def of(self, app_key: str) -> bytes:
        return self._before + app_key.encode("ascii") + self._after


def signed_text(request: ClientRequest, app_key: str) -> bytes:
    """:raises Unauthenticated: path or form hold what no client can have signed."""
    return SignedText(request).of(app_key)


class Signer:
    """One secret. Its HMAC is set up once, and copied for each request."""

    def __init__(self, secret: str, algorithm: str) -> None:
        """:param algorithm: a key of :data:`ALGORITHMS`."""
        self.secret_length = len(secret)
        self._hmac = hmac.new(secret.encode("utf-8"), digestmod=ALGORITHMS[algorithm])

    def sign(self, text: bytes) -> str:
        mac = self._hmac.copy()
        mac.update(text)
        return base64.b64encode(mac.digest()).decode("ascii")

    def accepts(self, text: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(text).encode("ascii"), signature.encode("ascii"))
