import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
from Crypto.PublicKey import RSA

from fate_ext_plugin.auth import rsa as ours
from fate_ext_plugin.auth.box import SecretBox
from fate_ext_plugin.auth.keys import SiteKeys
from fate_ext_plugin.auth.replay import MemoryNonces
from fate_ext_plugin.auth.site import SiteAuthentication
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import Unauthenticated
from tests.support.databases import empty_store

DATA = Path(__file__).parent.parent / "data"
BOX = SecretBox(b"k" * 32)
BODY = {"job_id": "202611231038053132510", "party_status": "success", "note": "中文", "rate": 0.5, "none": None}


class Clock:
    """A clock that stands still until a test moves it; seconds since 1970."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module", autouse=True)
def parsed_once() -> Iterator[None]:
    """Whoever parses a private key checks its parts for a tenth of a second; nearly all tests have the same one."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((RSA, "import_key"), (ours, "load_der_private_key")):
            patch.setattr(module, name, lru_cache(maxsize=None)(getattr(module, name)))
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with empty_store("sqlite", tmp_path) as store:
        migrate(store)
        yield store


def lines_of(name: str) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def vectors(version: str) -> Dict[str, Any]:
    """What the built-in hooks of a FATE Flow signed, and the key pair (a throw-away one)."""
    found: Dict[str, Any] = json.loads((DATA / f"fate_flow_{version}_site_signatures.json").read_text("utf-8"))
    return found


@pytest.fixture
def other_pem() -> str:
    """A private key that no vector knows."""
    return private_pem(2048)


def private_pem(bits: int) -> str:
    """A private key that was made once, by ``openssl genrsa``: to make one takes up to seconds."""
    return (DATA / "throw_away_keys" / f"rsa_{bits}.pem").read_text("ascii")


@lru_cache(maxsize=None)
def public_of(pem: str) -> str:
    """Of a private key."""
    return str(RSA.import_key(pem).publickey().export_key().decode())


class Trail:
    """An audit trail that a test can look at."""

    def __init__(self) -> None:
        self.entries: List[Any] = []

    def write(self, *entry: Any) -> None:
        self.entries.append(entry)

    @property
    def reason(self) -> str:
        return str(self.entries[-1][5])


class Federation:
    """Party 9999, which signs, and party 10000, which knows its key and checks; one clock."""

    def __init__(self, store: Store, pem: str, other: str, digest: str = "sha256") -> None:
        self.clock, self.trail = Clock(), Trail()
        self.keys = SiteKeys(store, BOX)
        self.keys.add_private("9999", pem)
        self.keys.add_public("8888", public_of(other))
        self.guest = self.site("9999", digest)
        self.host = self.site("10000")

    def site(self, party: str, digest: str = "sha256") -> SiteAuthentication:
        return SiteAuthentication(
            self.keys, party, MemoryNonces(self.clock, self.clock), self.trail, digest, 120, 60, self.clock)  # type: ignore[arg-type]

    def refuses(self, party: Any, signature: Any, body: Any, reason: str, says: Optional[str] = None) -> None:
        with pytest.raises(Unauthenticated, match=says):
            self.host.check(party, signature, body)
        assert self.trail.entries[-1] == ("site", False, str(party), None, None, reason)


@pytest.fixture
def federation(store: Store, other_pem: str) -> Federation:
    return Federation(store, vectors("1.11.2")["private_key"], other_pem)


@pytest.fixture
def signed(federation: Federation) -> str:
    """The header of one request, with :data:`BODY`."""
    return federation.guest.sign("9999", BODY)
