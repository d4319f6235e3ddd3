"""Keys of sites: our own private ones, sealed at rest, and our partners' public ones, several valid at once."""
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from fate_ext_plugin.auth.rsa import RsaKey, new_key, parse_key
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.auth.session_key import Sessions
from fate_ext_plugin.db import auth as tables
from fate_ext_plugin.db.base import Store, create_once, dicts, now_ms
from fate_ext_plugin.errors import ExtError, InvalidKey, KeyTaken, UnknownKey
from fate_ext_plugin.util.refreshing_cache import RefreshingCache

PRIVATE, PUBLIC = "private", "public"
# How the outcome of a key that could not be taken over begins.
REFUSED = "refused: "
PARTY_ID = re.compile(r"[A-Za-z0-9_-]{1,20}")
# The header has the signature and, in the voucher, another.
MAX_OWN_BITS = 8192
ENVELOPES = ("auto", "require", "off")


@dataclass(frozen=True)
class Key:
    """A key and what it is for. ``fingerprint`` as in :class:`RsaKey`; times in ms since 1970."""

    party_id: str
    kind: str
    fingerprint: str
    rsa: RsaKey
    sessions: Sessions
    valid_from: Optional[int] = None
    valid_until: Optional[int] = None
    created: int = 0

    def valid(self, now: int) -> bool:
        return ((self.valid_from is None or self.valid_from <= now)
                and (self.valid_until is None or now < self.valid_until))


@dataclass(frozen=True)
class Policy:
    """What a site's signatures must be like: see :mod:`fate_ext_plugin.auth.site_auth`."""

    envelope: str = "auto"
    md5: bool = False
    envelope_seen: Optional[int] = None


@dataclass(frozen=True)
class KeyRing:
    """All keys and policies at one time."""

    private: Dict[str, List[Key]] = field(default_factory=dict)
    public: Dict[str, List[Key]] = field(default_factory=dict)
    policies: Dict[str, Policy] = field(default_factory=dict)
    rows: Dict[str, Tuple[Any, Key]] = field(default_factory=dict)

    def signing_key(self, party_id: str, now: int) -> Optional[Key]:
        """Of our keys that are valid the one that began last, or else was stored last."""
        valid = [key for key in self.private.get(party_id, ()) if key.valid(now)]
        return max(valid, key=lambda key: (key.valid_from or 0, key.created)) if valid else None

    def own_keys(self, party_id: str, now: int) -> List[Key]:
        """Ours that signs now, if any, then those to come.

        :raises UnknownKey: there is neither.
        """
        signing = self.signing_key(party_id, now)
        coming = [own for own in self.private.get(party_id, ()) if own.valid_from and own.valid_from > now]
        found = ([signing] if signing else []) + sorted(coming, key=lambda own: own.valid_from or 0)
        if not found:
            raise UnknownKey(
                f"There is no valid private key of party {party_id} here. `fate-ext key generate` makes the first one, "
                "`rotate` the next; `list` shows all.")
        return found

    def verifying_keys(self, party_id: str, now: int) -> List[Key]:
        """Every key that a signature of this party may be made with now; our own private keys among them."""
        return [key for key in (*self.public.get(party_id, ()), *self.private.get(party_id, ())) if key.valid(now)]

    def shared(self) -> Dict[str, List[str]]:
        """Fingerprints of keys that several parties have, as an older version accepted them, and whose they are."""
        parties: Dict[str, Set[str]] = {}
        for _, key in self.rows.values():
            parties.setdefault(key.fingerprint, set()).add(key.party_id)
        return {fingerprint: sorted(found) for fingerprint, found in parties.items() if len(found) > 1}

    def policy(self, party_id: str) -> Policy:
        return self.policies.get(party_id, Policy())


class SiteKeys:
    """The tables, for any number of servers. Parsed keys are kept: parsing takes 20 times as long as signing."""

    def __init__(self, store: Store, box: SecretBox) -> None:
        self._store, self._box = store, box
        self._cached: RefreshingCache[KeyRing] = RefreshingCache(self._load)

    def ring(self) -> KeyRing:
        """At most a few seconds old."""
        return self._cached.get()

    def _load(self, before: Optional[KeyRing]) -> KeyRing:
        known = before.rows if before else {}
        keys, policies = self._store.call(lambda: (dicts(tables.SiteKey.select()), dicts(tables.SitePolicy.select())))
        ring = KeyRing(policies={
            row["f_party_id"]: Policy(row["f_envelope"], row["f_md5"], row["f_envelope_seen"]) for row in policies})
        for row in keys:
            old = known.get(row["f_id"])
            key = old[1] if old and old[0] == row else self._key(row)
            ring.rows[row["f_id"]] = (row, key)
            kind = ring.private if key.kind == PRIVATE else ring.public
            kind.setdefault(key.party_id, []).append(key)
        return ring

    def _key(self, row: Dict[str, Any]) -> Key:
        pem = self._box.open(row["f_key"], row["f_id"]) if row["f_kind"] == PRIVATE else row["f_key"]
        rsa = parse_key(pem)
        return Key(row["f_party_id"], row["f_kind"], row["f_fingerprint"], rsa, Sessions(rsa), row["f_valid_from"],
                   row["f_valid_until"], row["f_create_time"] or 0)

    # -- changes -------------------------------------------------------------------------------------------------------

    def add_public(
        self, party_id: str, pem: str, valid_from: Optional[int] = None, valid_until: Optional[int] = None
    ) -> str:
        """Accept a partner's public key, beside those it has; returns the fingerprint.

        :raises InvalidKey: no RSA public key of 2048 bits or more.
        :raises KeyTaken: it is another party's, or our own.
        """
        rsa = parse_key(pem)
        if rsa.private:
            raise InvalidKey("This is a private key. Ask the partner for the public one, and for a new pair.")
        return self._add(party_id, PUBLIC, rsa, valid_from, valid_until)

    def add_private(
        self, party_id: str, pem: Optional[str] = None, valid_from: Optional[int] = None
    ) -> str:
        """Take a key of our own, or make one; returns the fingerprint.

        :raises InvalidKey: no RSA private key of 2048 to 8192 bits, or one whose signatures have no padding.
        :raises KeyTaken: it is another party's.
        """
        rsa = parse_key(pem) if pem else new_key()
        if not rsa.private:
            raise InvalidKey("This is a public key; a private one is needed here.")
        if rsa.bits > MAX_OWN_BITS:
            raise InvalidKey(f"The key has {rsa.bits} bits; with more than {MAX_OWN_BITS} signatures are too long.")
        if (rsa.bits + 7) // 8 % 3 == 0:
            raise InvalidKey(
                f"Signatures of {rsa.bits} bits end without base64 padding, which leaves no room for the "
                "envelope; use 2048 or 4096 bits.")
        return self._add(party_id, PRIVATE, rsa, valid_from, None)

    def _add(
        self, party_id: str, kind: str, rsa: RsaKey, valid_from: Optional[int], valid_until: Optional[int]
    ) -> str:
        _check_party(party_id)
        if valid_from is not None and valid_until is not None and valid_until <= valid_from:
            raise InvalidKey("The key would end before it begins.")
        fingerprint = rsa.fingerprint
        self._require_unshared(party_id, fingerprint)
        if kind == PUBLIC and self._has(_id(PRIVATE, party_id, fingerprint)):
            return fingerprint  # our own, which is there with more
        key_id = _id(kind, party_id, fingerprint)
        text = rsa.pem if kind == PRIVATE else rsa.public_pem
        added = self._store.call(lambda: create_once(
            tables.SiteKey, f_id=key_id, f_party_id=party_id, f_kind=kind, f_fingerprint=fingerprint,
            f_key=self._box.seal(text, key_id) if kind == PRIVATE else text,
            f_valid_from=valid_from, f_valid_until=valid_until))
        try:
            self._require_unshared(party_id, fingerprint)  # somebody else may have added it meanwhile
        except KeyTaken:
            if added:
                self._store.call(tables.SiteKey.delete().where(tables.SiteKey.f_id == key_id).execute)
            raise
        self._cached.forget()
        return fingerprint

    def _require_unshared(self, party_id: str, fingerprint: str) -> None:
        """A key proves who signs: two parties with one key could speak for each other."""
        row = tables.SiteKey
        other = self._store.call(lambda: row.get_or_none(
            (row.f_fingerprint == fingerprint) & (row.f_party_id != party_id)))
        if other:
            whose = "our own key, of" if other.f_kind == PRIVATE else "the key of"
            raise KeyTaken(
                f"SHA256:{fingerprint} is {whose} party {other.f_party_id} already. Two parties with one key could "
                f"sign in each other's name; party {party_id} needs a key of its own.")

    def rotate(self, party_id: str, start: int, overlap_ms: int) -> str:
        """Make a new key of our own that signs from ``start`` on; older ones are accepted ``overlap_ms`` longer."""
        fingerprint = self.add_private(party_id, valid_from=start)
        row = tables.SiteKey
        self._store.call(lambda: row.change(f_valid_until=start + overlap_ms).where(
            (row.f_party_id == party_id) & (row.f_kind == PRIVATE) & (row.f_fingerprint != fingerprint)
            & row.f_valid_until.is_null()).execute())
        self._cached.forget()
        return fingerprint

    def remove(self, party_id: str, fingerprint: str) -> None:
        """Revoke a key, public or private, by its whole fingerprint.

        :raises UnknownKey: there is none.
        """
        for key_id in (_id(PRIVATE, party_id, fingerprint), _id(PUBLIC, party_id, fingerprint)):
            if self._has(key_id):
                self._store.call(lambda key_id=key_id: (  # type: ignore[misc]
                    tables.SiteKey.delete().where(tables.SiteKey.f_id == key_id).execute()))
                self._cached.forget()
                return
        raise UnknownKey(f"Party {party_id[:20]!r} has no key {fingerprint[:80]!r} here; `list` shows all.")

    def take_over(self, rows: Iterable[Tuple[str, str, str]]) -> Dict[str, str]:
        """Import FATE Flow's own keys; returns what became of each: a fingerprint, or why it was refused.

        :param rows: party, ``private`` or ``public``, PEM, as in ``t_site_key_info``.
        """
        outcome = {}
        for party_id, kind, pem in sorted(rows, key=lambda row: row[1] != PRIVATE):
            try:
                taken = self.add_private(party_id, pem) if kind == PRIVATE else self.add_public(party_id, pem)
            except ExtError as error:
                taken = f"{REFUSED}{error.message}"
            outcome[f"{kind} {party_id}"] = taken
        return outcome

    def set_policy(self, party_id: str, envelope: Optional[str] = None, md5: Optional[bool] = None) -> None:
        """Change what is given, and nothing else.

        :param envelope: another one than is in force also forgets that envelopes were seen.
        :raises InvalidKey: no party ID, or ``envelope`` is none of :data:`ENVELOPES`.
        """
        _check_party(party_id)
        if envelope is not None and envelope not in ENVELOPES:
            raise InvalidKey(f"The envelope must be one of {', '.join(ENVELOPES)}.")
        row = tables.SitePolicy

        def change() -> None:
            self._policy_row(party_id)
            if envelope is not None:
                # Another one starts anew; the one in force already forgets no envelope, or a captured bare signature
                # would count again.
                row.change(f_envelope=envelope, f_envelope_seen=None).where(
                    (row.f_party_id == party_id) & (row.f_envelope != envelope)).execute()
            if md5 is not None:
                row.change(f_md5=md5).where(row.f_party_id == party_id).execute()

        self._store.call(change)
        self._cached.forget()

    def saw_envelope(self, party_id: str) -> None:
        row = tables.SitePolicy

        def change() -> None:
            self._policy_row(party_id)
            row.change(f_envelope_seen=now_ms()).where(row.f_party_id == party_id).execute()

        self._store.call(change)
        self._cached.forget()

    @staticmethod
    def _policy_row(party_id: str) -> None:
        """Make it where there is none, with what counts without it."""
        create_once(tables.SitePolicy, f_party_id=party_id, f_envelope=Policy.envelope)

    def rows(self) -> List[Dict[str, Any]]:
        """What may be shown of every key: all but private keys."""
        rows = self._store.call(lambda: dicts(tables.SiteKey.select()))
        return [{
            "party_id": row["f_party_id"], "kind": row["f_kind"], "fingerprint": row["f_fingerprint"],
            "valid_from": row["f_valid_from"], "valid_until": row["f_valid_until"], "created": row["f_create_date"],
        } for row in sorted(rows, key=lambda row: (row["f_party_id"], row["f_kind"], row["f_create_time"]))]

    def _has(self, key_id: str) -> bool:
        return self._store.call(lambda: tables.SiteKey.select().where(tables.SiteKey.f_id == key_id).exists())


def _check_party(party_id: str) -> None:
    if not PARTY_ID.fullmatch(party_id):
        raise InvalidKey("A party ID is 1 to 20 letters, digits, _ or -.")


def _id(kind: str, party_id: str, fingerprint: str) -> str:
    return f"{kind} {party_id} {fingerprint}"


def body_text(body: Any) -> bytes:
    """What FATE Flow signs of a body: ``json.dumps`` with its defaults, in insertion order."""
    return json.dumps(body).encode("ascii")


def covered_until(spans: Iterable[Tuple[Optional[int], Optional[int]]], now: int) -> Optional[int]:
    """Until when, from ``now`` on, one of several keys is always valid; None: for ever, ``now``: not even now.

    :param spans: from when to when each is valid, None: open.
    """
    end = now
    for start, until in sorted(spans, key=lambda span: span[0] or 0):
        if (start or 0) > end:
            break
        if until is None:
            return None
        end = max(end, until)
    return end
