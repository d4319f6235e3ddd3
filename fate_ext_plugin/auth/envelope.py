"""The envelope: what a site with this plugin appends to its signature, so that a captured request can't be replayed.

FATE Flow's signature covers the body alone, which is often ``{}``, so it is the same for ever and on every path.
Its receivers decode base64 leniently: everything after the padding is ignored (contract section 6). There stands

    ~2~<key>~<voucher>~<time>~<nonce>~<signature>

``key``: the first 16 bytes of the RSA key's fingerprint; ``voucher``: by which that key vouches for a session's key
(:mod:`fate_ext_plugin.auth.session_key`); ``time``: ms since 1970; ``nonce``: 16 random bytes; ``signature``: of the
session's key, ECDSA with SHA-256, in DER, over :func:`signed_text`. Bytes are base64url without padding (RFC 4648).
"""
import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Optional, Tuple

from fate_ext_plugin.auth.base64url import decode, encode
from fate_ext_plugin.errors import Unauthenticated

NONCE_BYTES = 16
MAX_LENGTH = 4096
# An envelope of another version counts for none, so that sites may be upgraded one by one.
_signature = re.compile(
    r"([A-Za-z0-9+/]{2,}={0,2})(?:~2~([\w-]{22})~([\w-]+)~([0-9]{1,16})~([\w-]{22})~([\w-]+)|~(?!2~)\d{1,3}~[!-~]*)?",
    re.ASCII)


@dataclass(frozen=True)
class Envelope:
    """``key``: 32 hexadecimal digits; ``voucher``, ``nonce`` as they stand in the header; ``time``: ms since 1970."""

    key: str
    voucher: str
    time: int
    nonce: str
    signature: bytes


def signed_text(key: str, voucher: str, time: int, nonce: str, text: bytes) -> bytes:
    """What the envelope's signature is made over; ``text`` is the body as FATE Flow signs it."""
    return "\n".join((
        "fate_ext_plugin envelope 2", key, voucher, str(time), nonce, hashlib.sha256(text).hexdigest())).encode("ascii")


def new_nonce() -> str:
    return encode(secrets.token_bytes(NONCE_BYTES))


def append(signature: bytes, envelope: Envelope) -> str:
    """The header ``site_signature``."""
    bare = base64.b64encode(signature).decode("ascii")
    key, signed = encode(bytes.fromhex(envelope.key)), encode(envelope.signature)
    return f"{bare}~2~{key}~{envelope.voucher}~{envelope.time}~{envelope.nonce}~{signed}"


def parse(header: str) -> Tuple[bytes, Optional[Envelope]]:
    """The signature and its envelope.

    :raises Unauthenticated: neither a signature nor one with an envelope.
    """
    match = _signature.fullmatch(header) if len(header) <= MAX_LENGTH else None
    if not match:
        raise _malformed()
    bare, key, voucher, time, nonce, signature = match.groups()
    try:
        decoded = base64.b64decode(bare, validate=True)
        if key is None:
            return decoded, None
        return decoded, Envelope(decode(key).hex(), voucher, int(time), nonce, decode(signature))
    except (ValueError, binascii.Error):
        raise _malformed() from None


def _malformed() -> Unauthenticated:
    return Unauthenticated("site_signature is malformed.", "malformed signature")
