"""Throw-away keys; tests/data holds them."""
from functools import lru_cache

from Crypto.PublicKey import RSA

from tests.support.recordings import DATA


def private_pem(bits: int) -> str:
    """A private key that was made once, by ``openssl genrsa``: to make one takes up to seconds."""
    return (DATA / "throw_away_keys" / f"rsa_{bits}.pem").read_text("ascii")


@lru_cache(maxsize=None)
def public_of(pem: str) -> str:
    """Of a private key."""
    return str(RSA.import_key(pem).publickey().export_key().decode())
