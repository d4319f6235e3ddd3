"""The envelope: what a site with this plugin appends to its signature, so that a captured request can't be replayed.

FATE Flow's signature covers the body alone, which is often ``{}``, so it is the same for ever and on every path.
Its receivers decode base64 leniently: everything after the padding is ignored (contract section 6). There stands

    ~1~<key>~<time>~<nonce>~<signature>

``key``: the first 16 bytes of the fingerprint; ``time``: ms since 1970; ``nonce``: 16 random bytes; ``signature``:
RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017) over :func:`signed_text`. Bytes are base64url without padding (RFC 4648).
"""
import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Optional, Tuple

from fate_ext_plugin.errors import Unauthenticated

KEY_BYTES = NONCE_BYTES = 16
MAX_LENGTH = 4096
_signature = re.compile(r"([A-Za-z0-9+/]{2,}={0,2})(?:~1~([\w-]{22})~([0-9]{1,16})~([\w-]{22})~([\w-]{2,2048}))?", re.A)


@dataclass(frozen=True)
class Envelope:
    """``key``: 32 hexadecimal digits; ``time``: ms since 1970."""

    key: str
    time: int
    nonce: str
    signature: bytes


def signed_text(key: str, time: int, nonce: str, text: bytes) -> bytes:
    """What the envelope's signature is made over; ``text`` is the body as FATE Flow signs it."""
    return "\n".join(
        ("fate_ext_plugin envelope 1", key, str(time), nonce, hashlib.sha256(text).hexdigest())).encode("ascii")


def new_nonce() -> str:
    return _encode(secrets.token_bytes(NONCE_BYTES))


def append(signature: bytes, envelope: Envelope) -> str:
    """The header ``site_signature``."""
    bare = base64.b64encode(signature).decode("ascii")
    key = _encode(bytes.fromhex(envelope.key))
    return f"{bare}~1~{key}~{envelope.time}~{envelope.nonce}~{_encode(envelope.signature)}"


def parse(header: str) -> Tuple[bytes, Optional[Envelope]]:
    """The signature and its envelope.

    :raises Unauthenticated: neither a signature nor one with an envelope.
    """
    match = _signature.fullmatch(header) if len(header) <= MAX_LENGTH else None
    if not match:
        raise _malformed()
    bare, key, time, nonce, signature = match.groups()
    try:
        decoded = base64.b64decode(bare, validate=True)
        if key is None:
            return decoded, None
        return decoded, Envelope(_decode(key).hex(), int(time), nonce, _decode(signature))
    except (ValueError, binascii.Error):
        raise _malformed() from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError  # the same bytes, written in another way
    return data


def _malformed() -> Unauthenticated:
    return Unauthenticated("site_signature is malformed.", "malformed signature")
