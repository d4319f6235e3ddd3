"""Two parties, one that signs and one that checks."""
from typing import Any, List, Optional

import pytest

from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.nonces import MemoryNonces
from fate_ext_plugin.auth.rsa import parse_key
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.auth.site_auth import SiteAuthentication
from fate_ext_plugin.db.auth import SiteKey
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import Unauthenticated
from tests.support.clock import Clock
from tests.support.keys import public_of

BOX = SecretBox(b"k" * 32)
BODY = {"job_id": "202611231038053132510", "party_status": "success", "note": "中文", "rate": 0.5, "none": None}


class RecordedDecisions:
    """An audit log that a test can look at."""

    def __init__(self) -> None:
        self.entries: List[Any] = []
        #: whether the caller of the last one had proven who it is
        self.known = False

    def write(self, *entry: Any, known: bool = False) -> None:
        self.entries.append(entry)
        self.known = known

    @property
    def reason(self) -> str:
        return str(self.entries[-1][5])


class Federation:
    """Party 9999, which signs, and party 10000, which knows its key and checks; one clock."""

    def __init__(self, store: Store, pem: str, other: str, digest: str = "sha256") -> None:
        self.clock, self.audit_log = Clock(), RecordedDecisions()
        self.keys = SiteKeys(store, BOX)
        self.keys.add_private("9999", pem)
        self.keys.add_public("8888", public_of(other))
        self.guest = self.site("9999", digest)
        self.host = self.site("10000")

    def site(self, party: str, digest: str = "sha256") -> SiteAuthentication:
        return SiteAuthentication(
            self.keys, party, MemoryNonces(self.clock, self.clock), self.audit_log, digest, 120, 60, self.clock)  # type: ignore[arg-type]

    def refuses(self, party: Any, signature: Any, body: Any, reason: str, says: Optional[str] = None) -> None:
        with pytest.raises(Unauthenticated, match=says):
            self.host.check(party, signature, body)
        assert self.audit_log.entries[-1] == ("site", False, str(party), None, None, reason)


def share_key(store: Store, party: str, pem: str, valid_until: Optional[int] = None) -> str:
    """Give a party a public key that another one has, as older versions let an operator do; returns the fingerprint."""
    fingerprint = parse_key(pem).fingerprint
    store.call(lambda: SiteKey.create(
        f_id=f"public {party} {fingerprint}", f_party_id=party, f_kind="public", f_fingerprint=fingerprint, f_key=pem,
        f_valid_until=valid_until))
    return fingerprint
