import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from Crypto.PublicKey import RSA

from fate_ext_plugin.auth.box import SecretBox
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from tests.support.databases import empty_store

DATA = Path(__file__).parent.parent / "data"
BOX = SecretBox(b"k" * 32)


class Clock:
    """A clock that stands still until a test moves it; seconds since 1970."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


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


@pytest.fixture(scope="session")
def other_pem() -> str:
    """A private key that no vector knows."""
    return str(RSA.generate(2048).export_key().decode())
