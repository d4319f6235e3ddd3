"""Clients, keys and nonces on every database they may live in, seen by several servers at once."""
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, List
from unittest.mock import ANY

import pytest

from fate_ext_plugin.auth import key_store
from fate_ext_plugin.auth import key_store as module
from fate_ext_plugin.auth import nonces as replay
from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import Policy, SiteKeys
from fate_ext_plugin.auth.nonces import DatabaseNonces, MemoryNonces, Nonces
from fate_ext_plugin.db.auth import Nonce
from fate_ext_plugin.db.base import Store, now_ms
from fate_ext_plugin.errors import InvalidKey, KeyTaken, Unauthenticated
from fate_ext_plugin.util.refreshing_cache import REFRESH_SECONDS, RETRY_SECONDS, RefreshingCache
from tests.support.clock import Clock
from tests.support.databases import KINDS, in_processes
from tests.support.federation import BOX
from tests.support.keys import private_pem, public_of
from tests.support.recordings import vectors

#: that several servers may be on; FATE Flow's are on MySQL then
SHARED = [kind for kind in KINDS if kind != "apsw"]


@pytest.fixture
def store(kind_store: Store) -> Store:
    return kind_store


# -- clients ---------------------------------------------------------------------------------------------------------


def test_a_client_from_its_making_to_its_end(store: Store) -> None:
    clients, elsewhere = Clients(store, BOX), Clients(store, BOX)
    secret = clients.add("analyst", "Ann 安", paths=["/v1/job/*"], methods=["POST"], networks=["10.0.0.0/8"])
    assert len(secret) >= 43  # 256 bits
    found = elsewhere.get("analyst")
    assert found and found.name == "Ann 安" and found.paths == ("/v1/job/*",)
    text = b"a request"
    signature = found.signers[0][0].sign(text)
    assert found.accepts(text, signature, now_ms())

    new = clients.rotate("analyst", 3600)
    assert new != secret
    rotated = clients.get("analyst")
    assert rotated and rotated.accepts(text, signature, now_ms())
    assert not rotated.accepts(text, signature, now_ms() + 3_600_001)

    clients.enable("analyst", False)
    assert not clients.all()["analyst"].usable(now_ms())
    assert clients.row("analyst")["enabled"] is False
    assert secret not in str(clients.rows()) and new not in str(clients.rows())
    clients.remove("analyst")
    assert clients.get("analyst") is None
    with pytest.raises(InvalidKey, match="There is no client 'analyst'"):
        clients.row("analyst")


@pytest.mark.parametrize(("app_key", "changes", "says"), [
    ("with space", {}, "app key"), ("", {}, "app key"), ("身", {}, "app key"), ("x" * 65, {}, "app key"),
    ("a", {"algorithm": "md5"}, "hmac-sha1, hmac-sha256"), ("a", {"methods": ["post"]}, "'post' is no method"),
    ("a", {"paths": ["v1/job"]}, "not a path pattern"), ("a", {"paths": ["/v1/job/../*"]}, "not a path pattern"),
    ("a", {"paths": ["/v1//job"]}, "not a path pattern"), ("a", {"paths": ["/v1/%2A"]}, "not a path pattern"),
    ("a", {"networks": ["10.0.0.5/8"]}, "no IP address or network"),
    ("a", {"secret": "short"}, "16 to 256"), ("a", {"secret": "身" * 16}, "16 to 256"),
])
def test_what_no_client_can_have(store: Store, app_key: str, changes: dict, says: str) -> None:
    with pytest.raises(InvalidKey, match=says):
        Clients(store, BOX).add(app_key, "a name", **changes)


def test_an_app_key_is_given_once_in_its_own_case(store: Store) -> None:
    clients = Clients(store, BOX)
    clients.add("Taken", "one")
    with pytest.raises(InvalidKey, match="rotate"):
        clients.add("Taken", "two")
    assert clients.get("taken") is None
    clients.remove("Taken")


# -- keys ------------------------------------------------------------------------------------------------------------


def test_keys_of_fate_flow_are_taken_over_and_bad_ones_are_not(store: Store) -> None:
    keys = SiteKeys(store, BOX)
    pair, short = vectors("1.11.2"), public_of(private_pem(1024))
    outcome = keys.take_over([
        ("9999", "public", pair["public_key"]), ("9999", "private", pair["private_key"]),
        ("10000", "public", public_of(private_pem(2048))), ("10001", "public", public_of(private_pem(2048))),
        ("5555", "public", pair["public_key"]),
        ("8888", "public", short),
        ("7777", "public", "no key"), ("6666", "public", pair["private_key"])])
    assert outcome["private 9999"] == outcome["public 9999"]
    assert "1024 bits" in outcome["public 8888"] and "no RSA key" in outcome["public 7777"]
    assert "private key" in outcome["public 6666"]
    assert "is the key of party 10000 already" in outcome["public 10001"]
    assert "is our own key, of party 9999 already" in outcome["public 5555"]
    assert [(row["party_id"], row["kind"]) for row in keys.rows()] == [("10000", "public"), ("9999", "private")]
    ring = SiteKeys(store, BOX).ring()
    key = ring.signing_key("9999", now_ms())
    assert key and key.rsa.public_pem.strip() == pair["public_key"].strip()
    assert len(ring.verifying_keys("10000", now_ms())) == 1


def test_no_two_parties_have_one_key(store: Store) -> None:
    """Each could sign in the other's name."""
    keys, theirs, ours = SiteKeys(store, BOX), private_pem(2048), vectors("1.11.2")
    keys.add_private("9999", ours["private_key"])
    fingerprint = keys.add_public("10000", public_of(theirs))
    assert keys.add_public("10000", public_of(theirs)) == fingerprint, "once more for the same party"
    with pytest.raises(KeyTaken, match=f"^SHA256:{fingerprint} is the key of party 10000 already. Two parties"):
        keys.add_public("10001", public_of(theirs))
    with pytest.raises(KeyTaken, match="is our own key, of party 9999 already"):
        keys.add_public("10001", ours["public_key"])
    with pytest.raises(KeyTaken, match="is our own key, of party 9999 already"):
        keys.add_private("9998", ours["private_key"])
    with pytest.raises(KeyTaken, match="is the key of party 10000 already"):
        keys.add_private("9999", theirs)
    assert [(row["party_id"], row["kind"]) for row in keys.rows()] == [("10000", "public"), ("9999", "private")]
    keys.remove("10000", fingerprint)
    assert keys.add_public("10001", public_of(theirs)) == fingerprint, "it is free again"


def test_not_even_where_two_add_it_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, others, pem = SiteKeys(store, BOX), SiteKeys(store, BOX), public_of(private_pem(4096))
    add = key_store.create_once

    def add_after_another(*arguments: Any, **values: Any) -> bool:
        monkeypatch.setattr(key_store, "create_once", add)
        others.add_public("first", pem)
        return add(*arguments, **values)

    monkeypatch.setattr(key_store, "create_once", add_after_another)
    with pytest.raises(KeyTaken, match="party first already"):
        keys.add_public("second", pem)
    assert [row["party_id"] for row in keys.rows() if row["party_id"] in ("first", "second")] == ["first"]


def test_keys_that_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SiteKeys(store, BOX)
    with pytest.raises(InvalidKey, match="private one is needed"):
        keys.add_private("9999", vectors("1.11.2")["public_key"])
    with pytest.raises(InvalidKey, match="1 to 20 letters"):
        keys.add_public("party 1", vectors("1.11.2")["public_key"])
    with pytest.raises(InvalidKey, match="end before it begins"):
        keys.add_public("1", vectors("1.11.2")["public_key"], valid_from=2, valid_until=1)
    with pytest.raises(InvalidKey, match="no room for the envelope"):
        keys.add_private("9999", private_pem(3072))
    monkeypatch.setattr(module, "MAX_OWN_BITS", 2056)
    with pytest.raises(InvalidKey, match="2064 bits; with more than 2056"):
        keys.add_private("9999", private_pem(2064))
    with pytest.raises(InvalidKey, match="has no key .0123456789. here"):
        keys.remove("9999", "0123456789")
    with pytest.raises(InvalidKey, match="auto, require, off"):
        keys.set_policy("10000", envelope="never")


def test_a_change_is_seen_by_other_servers_within_seconds(store: Store) -> None:
    clock = Clock()
    cached = RefreshingCache(lambda before: Clients(store, BOX).all(), clock)
    assert "late" not in cached.get()
    Clients(store, BOX).add("late", "a client")
    clock.now += REFRESH_SECONDS - 0.1
    assert "late" not in cached.get()
    clock.now += 0.1
    assert "late" in cached.get()
    assert REFRESH_SECONDS <= 5


def test_a_database_that_is_gone_is_an_error_not_an_old_answer() -> None:
    clock = Clock()
    answers: List[Callable[[], int]] = [lambda: 1, lambda: 1 // 0]
    cached = RefreshingCache(lambda before: answers.pop(0)(), clock)
    assert cached.get() == 1
    clock.now += REFRESH_SECONDS
    with pytest.raises(ZeroDivisionError):
        cached.get()
    with pytest.raises(ZeroDivisionError):
        cached.get()  # not asked again at once, by each thread that waits
    answers.append(lambda: 3)
    clock.now += RETRY_SECONDS
    assert cached.get() == 3


def test_what_takes_long_to_read_is_as_old_as_its_beginning() -> None:
    clock, seen = Clock(), []

    def load(before: object) -> int:
        seen.append(before)
        clock.now += 1.5
        return len(seen)
    cached: RefreshingCache[int] = RefreshingCache(load, clock)
    assert cached.get() == 1
    clock.now += REFRESH_SECONDS - 1.5
    assert cached.get() == 2


def test_a_change_while_it_is_read_is_not_forgotten() -> None:
    clock = Clock()
    seen = []

    def load(before: object) -> int:
        seen.append(before)
        if len(seen) == 1:
            cached.forget()  # somebody changes it now
        return len(seen)
    cached: RefreshingCache[int] = RefreshingCache(load, clock)
    assert (cached.get(), cached.get(), cached.get()) == (1, 2, 2)


# -- policies --------------------------------------------------------------------------------------------------------


def test_no_change_of_one_thing_agreed_with_a_partner_changes_another(store: Store) -> None:
    """Choosing what is in force already is no change."""
    keys = SiteKeys(store, BOX)
    keys.set_policy("4444")
    assert keys.ring().policy("4444") == Policy("auto", False, None)
    keys.saw_envelope("4444")
    seen = keys.ring().policy("4444")
    assert seen.envelope_seen is not None
    for change in ({}, {"envelope": "auto"}, {"md5": False}, {"envelope": "auto", "md5": False}):
        keys.set_policy("4444", **change)  # type: ignore[arg-type]
        assert keys.ring().policy("4444") == seen
    keys.set_policy("4444", md5=True)
    assert keys.ring().policy("4444") == replace(seen, md5=True)
    keys.set_policy("4444", envelope="require")
    assert keys.ring().policy("4444") == Policy("require", True, None)
    keys.saw_envelope("4444")
    keys.set_policy("4444", envelope="require", md5=False)
    assert keys.ring().policy("4444").envelope_seen is not None
    keys.set_policy("4444", envelope="auto")
    assert keys.ring().policy("4444") == Policy("auto", False, None)


def test_no_change_of_a_client_changes_what_else_it_may_do(store: Store) -> None:
    clients = Clients(store, BOX)
    clients.add("limited", "Limited", algorithm="hmac-sha256", expires=now_ms() + 10**9, paths=["/v1/job/*"],
                methods=["POST"], networks=["10.0.0.0/8"], role="viewer")
    before = clients.all()["limited"]
    clients.enable("limited", False)
    assert clients.all()["limited"] == replace(before, enabled=False, signers=ANY)
    clients.enable("limited", True)
    clients.rotate("limited", 3600)
    assert clients.all()["limited"] == replace(before, signers=ANY)
    clients.remove("limited")


# -- nonces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["memory", "database"])
def test_a_nonce_counts_as_often_as_it_may(store: Store, place: str) -> None:
    clock = Clock()
    nonces: Nonces = MemoryNonces(clock, clock) if place == "memory" else DatabaseNonces(store, clock, clock)
    for _ in range(3):
        nonces.use("site a", f"n-{place}", clock.now + 60, 3)
    with pytest.raises(Unauthenticated, match="sent before"):
        nonces.use("site a", f"n-{place}", clock.now + 60, 3)
    nonces.use("site b", f"n-{place}", clock.now + 60)
    nonces.use("site c", f"n-{place}", clock.now + 60, 3, "one path")
    with pytest.raises(Unauthenticated):
        nonces.use("site c", f"n-{place}", clock.now + 60, 3, "another path")
    with pytest.raises(Unauthenticated):
        nonces.use("site b", f"n-{place}", clock.now + 60)


@pytest.mark.parametrize("place", ["memory", "database"])
def test_a_client_that_uses_up_its_nonces_refuses_nobody_but_itself(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_PER_MINUTE", 5)
    clock = Clock()
    nonces: Nonces = MemoryNonces(clock, clock) if place == "memory" else DatabaseNonces(store, clock, clock)
    for number in range(5):
        nonces.use("flooder", f"{place} {number}", clock.now + 60, 3)
    with pytest.raises(Unauthenticated, match="Too many requests at once; try again in a minute") as refused:
        nonces.use("flooder", f"{place} one more", clock.now + 60, 3)
    assert refused.value.reason == "too many nonces"
    nonces.use("flooder", f"{place} 0", clock.now + 60, 3)  # a retry is no new nonce
    nonces.use("somebody else", f"{place} 0", clock.now + 60)
    clock.now += 60
    nonces.use("flooder", f"{place} a minute later", clock.now + 60, 3)


@pytest.mark.parametrize("place", ["memory", "database"])
def test_whoever_sends_a_captured_request_again_uses_up_nothing_of_its_owner(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_PER_MINUTE", 2)
    clock = Clock()
    nonces: Nonces = MemoryNonces(clock, clock) if place == "memory" else DatabaseNonces(store, clock, clock)
    nonces.use("captured", f"{place} 0", clock.now + 60)
    for _ in range(10):
        with pytest.raises(Unauthenticated, match="sent before"):
            nonces.use("captured", f"{place} 0", clock.now + 60)
    nonces.use("captured", f"{place} 1", clock.now + 60)


def test_used_nonces_are_deleted_after_their_time(store: Store) -> None:
    clock = Clock(now=2_000_000_000.0)
    nonces = DatabaseNonces(store, clock, clock)
    nonces.use("a", "old", clock.now + 60)
    clock.now += 4000
    nonces.use("a", "new", clock.now + 60)
    assert store.call(lambda: Nonce.select().where(Nonce.f_until < clock.now * 1000).count()) == 0


@pytest.mark.parametrize("ahead", [100.0, 600.0, 3000.0])
def test_a_server_whose_clock_is_ahead_makes_the_others_forget_nothing(store: Store, ahead: float) -> None:
    right, wrong = Clock(), Clock(now=Clock().now + ahead)
    servers = [DatabaseNonces(store, clock, clock) for clock in (right, wrong)]
    nonce = f"ahead-{ahead}"
    servers[0].use("a", nonce, right.now + 180)
    right.now += 170
    wrong.now += 170
    servers[1].use("a", f"of the other, {ahead}", wrong.now + 180)
    with pytest.raises(Unauthenticated, match="sent before"):
        servers[0].use("a", nonce, right.now + 10)


def test_a_clock_that_was_behind_at_the_start_is_believed_after_an_hour(store: Store) -> None:
    clock, elapsed = Clock(now=1_900_000_000.0), Clock(now=0.0)
    nonces = DatabaseNonces(store, clock, elapsed)
    clock.now += 30 * 86400  # it is set right
    for number in range(12):
        nonces.use("a", f"each quarter of an hour, {number}", clock.now + 60)
        clock.now += 900
        elapsed.now += 900
    assert store.call(lambda: Nonce.select().where(Nonce.f_until > 1_900_000_000_000).count()) < 7


def test_what_came_while_the_clock_was_ahead_is_remembered_until_it_is_that_time() -> None:
    clock, elapsed = Clock(), Clock(now=0.0)
    nonces = MemoryNonces(clock, elapsed)
    clock.now += 3600
    until = clock.now + 60
    nonces.use("a", "early", until)
    clock.now -= 3600  # it is set right
    for _ in range(60):
        clock.now += 60
        elapsed.now += 60
        nonces.use("a", f"{clock.now}", clock.now + 60)
        with pytest.raises(Unauthenticated):
            nonces.use("a", "early", until)
    clock.now += 300
    elapsed.now += 300
    nonces.use("a", "last", clock.now + 60)
    assert len(nonces) == 1


@pytest.mark.parametrize("kind", SHARED, indirect=True)
def test_of_servers_that_share_a_database_one_accepts_a_request(kind: str, kind_folder: Path, store: Store) -> None:
    def accepts(store: Store) -> bool:
        try:
            DatabaseNonces(store).use("a", "shared", time.time() + 3600)
        except Unauthenticated:
            return False
        return True
    assert sorted(in_processes(accepts, 4, kind, kind_folder)) == [False, False, False, True]
