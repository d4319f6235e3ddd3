"""Session keys: what signs envelopes in place of a site's RSA key, which vouches for them.

An RSA signature takes ten times as long as one by ECDSA. So a process makes a key on P-256 (FIPS 186-5) for an hour, in
memory only, and the RSA key signs, once, that it counts and how long: that is the voucher. It goes with every envelope,
so a partner needs nothing beforehand but the public RSA key, and what that key vouched for ends with it. A voucher is

    <point><first><last><signature>

``point``: the session's public key, compressed (SEC 1), 33 bytes; ``first``, ``last``: the span in which it signs, ms
since 1970 by the signer's clock, 8 bytes each; ``signature``: RSASSA-PKCS1-v1_5 with SHA-256 over :data:`PURPOSE` and
these three. All is base64url. No body that FATE signs is such a text: it would be no JSON.
"""
import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fate_ext_plugin.auth.base64url import decode, encode
from fate_ext_plugin.auth.rsa import RsaKey

CURVE, ALGORITHM = ec.SECP256R1(), ec.ECDSA(Prehashed(hashes.SHA256()))
PURPOSE = b"fate_ext_plugin session key\n"
#: how long a session may last at most, in ms
LONGEST = 3_600_000
# Every process of a partner, also its task workers, has a session of its own. A few KiB each.
REMEMBERED = 256
_vouched = struct.Struct(">33sQQ")


class InvalidVoucher(Exception):
    """The RSA key did not vouch for this, or for too long."""


@dataclass(frozen=True)
class Session:
    """A session of ours. ``first`` and ``last`` as in its voucher."""

    voucher: str
    first: int
    last: int
    private: Any

    def sign(self, text: bytes) -> bytes:
        signature: bytes = self.private.sign(hashlib.sha256(text).digest(), ALGORITHM)
        return signature


@dataclass(frozen=True)
class VouchedKey:
    """The public key of a session. ``first`` and ``last`` as in its voucher."""

    first: int
    last: int
    public: Any

    def accepts(self, signature: bytes, text: bytes) -> bool:
        try:
            self.public.verify(signature, hashlib.sha256(text).digest(), ALGORITHM)
        except InvalidSignature:
            return False
        return True


class Sessions:
    """Of one RSA key: our session that it vouches for now, and those that it was found to have vouched for."""

    def __init__(self, rsa: RsaKey) -> None:
        self._rsa = rsa
        self._current: Optional[Session] = None
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._verify)

    def current(self, now: int) -> Session:
        """To sign with; a new one where there is none yet or it ended.

        Without a lock: threads that meet here make one each, and all of them count. A child process shares its
        parent's, which is as good: OpenSSL's randomness is each process's own.

        :param now: ms since 1970.
        """
        session = self._current
        if session is None or not session.first <= now <= session.last:
            session = self._current = self._new(now)
        return session

    def _new(self, first: int) -> Session:
        private: Any = ec.generate_private_key(CURVE)
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        last = first + LONGEST
        vouched = _vouched.pack(point, first, last)
        voucher = encode(vouched + self._rsa.sign(PURPOSE + vouched, "sha256"))
        return Session(voucher, first, last, private)

    def vouched(self, voucher: str) -> VouchedKey:
        """Verified once; this key's object, and with it all that it vouched for, is gone when the key is.

        :raises InvalidVoucher: the key did not vouch for it, or for longer than a session may last.
        """
        return self._remembered(voucher)

    def _verify(self, voucher: str) -> VouchedKey:
        try:
            data = decode(voucher)
            vouched, signature = data[:_vouched.size], data[_vouched.size:]
            point, first, last = _vouched.unpack(vouched)
            public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
        except (ValueError, struct.error):
            raise InvalidVoucher from None
        if last - first > LONGEST or not self._rsa.accepts(signature, PURPOSE + vouched, "sha256"):
            raise InvalidVoucher
        return VouchedKey(first, last, public)
