"""RSASSA-PKCS1-v1_5 (RFC 8017). Keys are read and written by pycryptodome, as FATE Flow's; the work is done by OpenSSL,
through the package cryptography, which FATE needs itself: it is several times as fast, and holds up no other thread.
Pycryptodome is imported by the first key only: that takes a tenth of a second."""
import hashlib
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)

from fate_ext_plugin.errors import InvalidKey

MIN_BITS, NEW_BITS = 2048, 2048
# Hashed by hashlib: each call into OpenSSL lets other threads in between, and costs more than the hash.
DIGESTS = {"sha256": (hashlib.sha256, Prehashed(hashes.SHA256())), "md5": (hashlib.md5, Prehashed(hashes.MD5()))}
PADDING = PKCS1v15()
# Signatures that a key keeps, with the hashes they are of: half a MiB.
REMEMBERED = 1024


class RsaKey:
    """A key, private or public."""

    def __init__(self, parsed: Any) -> None:
        """:param parsed: pycryptodome's."""
        self._parsed = parsed
        self._private: Any = None
        if parsed.has_private():
            self._private = load_der_private_key(parsed.export_key("DER"), None)
            self._remembered = lru_cache(maxsize=REMEMBERED)(self._sign)
            self._public = self._private.public_key()
        else:
            self._public = load_der_public_key(parsed.export_key("DER"))

    @property
    def private(self) -> bool:
        return self._private is not None

    @property
    def bits(self) -> int:
        return int(self._parsed.size_in_bits())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key's DER, in hexadecimal."""
        return hashlib.sha256(self._parsed.publickey().export_key("DER")).hexdigest()

    @property
    def public_pem(self) -> str:
        return str(self._parsed.publickey().export_key().decode("ascii"))

    @property
    def pem(self) -> str:
        """With the private key, where it is one."""
        return str(self._parsed.export_key().decode("ascii"))

    def sign(self, text: bytes, digest: str) -> bytes:
        """The signature of a text is always the same, so it is kept: bodies come again and again.

        :param digest: a key of :data:`DIGESTS`.
        """
        hashed, _ = DIGESTS[digest]
        return self._remembered(hashed(text).digest(), digest)

    def _sign(self, hashed: bytes, digest: str) -> bytes:
        signature: bytes = self._private.sign(hashed, PADDING, DIGESTS[digest][1])
        return signature

    def accepts(self, signature: bytes, text: bytes, digest: str) -> bool:
        hashed, name = DIGESTS[digest]
        try:
            self._public.verify(signature, hashed(text).digest(), PADDING, name)
        except InvalidSignature:
            return False
        return True


def new_key() -> RsaKey:
    made: Any = rsa.generate_private_key(65537, NEW_BITS)
    return parse_key(made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode("ascii"))


def parse_key(pem: str) -> RsaKey:
    """:raises InvalidKey: no RSA key in PEM, or one too short."""
    from Crypto.PublicKey import RSA

    try:
        parsed = RSA.import_key(pem.strip())
    except (ValueError, IndexError, TypeError):
        raise InvalidKey("This is no RSA key in PEM (-----BEGIN PUBLIC KEY-----).") from None
    if parsed.size_in_bits() < MIN_BITS:
        raise InvalidKey(f"The key has {parsed.size_in_bits()} bits; at least {MIN_BITS} are needed.")
    try:
        return RsaKey(parsed)
    except ValueError:
        raise InvalidKey("OpenSSL takes this RSA key for damaged.") from None
