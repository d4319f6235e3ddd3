"""Session keys, which sign envelopes in place of the RSA key that vouches for them: what counts, and how long."""
import base64
import os
import threading
from dataclasses import replace
from typing import Any, List, Optional

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.auth.base64url import decode, encode
from fate_ext_plugin.auth.envelope import MAX_LENGTH, Envelope, append, parse, signed_text
from fate_ext_plugin.auth.key_store import SiteKeys, body_text
from fate_ext_plugin.auth.rsa import RsaKey, parse_key
from fate_ext_plugin.auth.session_key import CURVE, LONGEST, PURPOSE, InvalidVoucher, Session, Sessions, _vouched
from fate_ext_plugin.db.base import Store
from tests.support.examples import examples
from tests.support.federation import BODY, BOX, Federation, share_key
from tests.support.keys import private_pem
from tests.support.recordings import vectors

HOUR = 3600


def enveloped(header: str) -> Envelope:
    envelope = parse(header)[1]
    assert envelope
    return envelope


def now_of(federation: Federation) -> int:
    return int(federation.clock.now * 1000)


def session_of(key: RsaKey, first: int, last: int, purpose: bytes = PURPOSE, point: Optional[bytes] = None) -> Session:
    """One that ``key`` vouches for, whatever is in it."""
    private: Any = ec.generate_private_key(CURVE)
    point = point or private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    vouched = _vouched.pack(point, first, last)
    return Session(encode(vouched + key.sign(purpose + vouched, "sha256")), first, last, private)


def signed_with(session: Session, federation: Federation, voucher: Optional[str] = None) -> str:
    """What party 9999 would sign now in this session, with its own voucher or another."""
    now, text = now_of(federation), body_text(BODY)
    key = federation.keys.ring().private["9999"][0]
    envelope = Envelope(key.fingerprint[:32], voucher or session.voucher, now, "A" * 22, b"")
    signature = session.sign(signed_text(envelope.key, envelope.voucher, now, envelope.nonce, text))
    return append(key.rsa.sign(text, "sha256"), replace(envelope, signature=signature))


# -- a session from its beginning to its end ---------------------------------------------------------------------------


def test_a_session_signs_for_an_hour_and_the_next_takes_over(federation: Federation) -> None:
    first = enveloped(federation.guest.sign("9999", BODY))
    federation.clock.now += HOUR
    assert enveloped(federation.guest.sign("9999", BODY)).voucher == first.voucher
    federation.clock.now += 0.001
    signed = federation.guest.sign("9999", BODY)
    assert enveloped(signed).voucher != first.voucher
    federation.host.check("9999", signed, BODY)


def test_a_clock_that_is_set_back_begins_a_session_anew(federation: Federation) -> None:
    before = enveloped(federation.guest.sign("9999", BODY))
    federation.clock.now -= 10 * HOUR
    signed = federation.guest.sign("9999", BODY)
    assert enveloped(signed).voucher != before.voucher
    federation.host.check("9999", signed, BODY)


def test_the_partner_verifies_a_voucher_once(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: List[bytes] = []
    accepts = RsaKey.accepts

    def noted(self: RsaKey, signature: bytes, text: bytes, digest: str) -> bool:
        asked.append(text)
        return accepts(self, signature, text, digest)
    monkeypatch.setattr(RsaKey, "accepts", noted)
    for _ in range(5):
        federation.host.check("9999", federation.guest.sign("9999", BODY), BODY)
    assert len(asked) == 1 and asked[0].startswith(PURPOSE)  # and FATE's own signature never, which adds nothing


def test_no_more_sessions_are_remembered_than_fit(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fate_ext_plugin.auth.session_key.REMEMBERED", 3)
    key = parse_key(vectors("1.11.2")["private_key"])
    sessions = Sessions(key)
    for number in range(10):
        sessions.vouched(session_of(key, number, number).voucher)
    assert sessions._remembered.cache_info().currsize == 3


def test_each_rsa_key_has_sessions_of_its_own_and_none_is_stored(federation: Federation, store: Store) -> None:
    """A server beside, a task worker, or the same after a restart."""
    beside = Federation.site(federation, "9999")
    beside._keys = SiteKeys(store, BOX)
    one, other = federation.guest.sign("9999", BODY), beside.sign("9999", BODY)
    assert enveloped(one).voucher != enveloped(other).voucher
    federation.keys.rotate("9999", now_of(federation), 100_000)
    rotated = federation.guest.sign("9999", BODY)
    assert enveloped(rotated).key != enveloped(one).key
    for signed in (one, other, rotated):
        federation.host.check("9999", signed, BODY)


def test_threads_may_sign_while_a_session_ends(federation: Federation) -> None:
    """All of them count, whichever session they are of."""
    signed: List[str] = []

    def next_round() -> None:
        federation.clock.now += 1200.001  # every third time the hour is over
    begin = threading.Barrier(8, next_round)

    def sign() -> None:
        for _ in range(20):
            begin.wait(60)
            signed.append(federation.guest.sign("9999", BODY))
    threads = [threading.Thread(target=sign) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signed) == 160 and len({enveloped(header).voucher for header in signed}) >= 7
    for header in signed:
        federation.clock.now = enveloped(header).time / 1000
        federation.host.check("9999", header, BODY)


def test_a_child_after_fork_signs_with_another_randomness(federation: Federation) -> None:
    """The same text, signed in the same session: an equal first half of two signatures would tell the private key."""
    session = federation.keys.ring().private["9999"][0].sessions.current(now_of(federation))
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, session.sign(b"a text"))
        os._exit(0)
    here = session.sign(b"a text")
    os.waitpid(child, 0)
    there = os.read(read, 1000)
    os.close(read)
    os.close(write)
    assert here[4:30] != there[4:30]
    key = federation.keys.ring().private["9999"][0].sessions.vouched(session.voucher)
    assert key.accepts(here, b"a text") and key.accepts(there, b"a text")


# -- attacks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "last"), [
    (-2 * HOUR, -HOUR), (-HOUR, -0.001), (0.001, HOUR), (HOUR, 2 * HOUR), (10, -10)])
def test_a_voucher_counts_in_its_span_only(federation: Federation, first: float, last: float) -> None:
    key, now = federation.keys.ring().private["9999"][0].rsa, now_of(federation)
    session = session_of(key, now + int(first * 1000), now + int(last * 1000))
    federation.refuses("9999", signed_with(session, federation), BODY, "not of the voucher's time")


def test_a_voucher_for_longer_than_a_session_may_last_is_refused(federation: Federation) -> None:
    key, now = federation.keys.ring().private["9999"][0].rsa, now_of(federation)
    federation.refuses("9999", signed_with(session_of(key, now, now + LONGEST + 1), federation), BODY, "wrong voucher")
    federation.refuses("9999", signed_with(session_of(key, 0, 2**64 - 1), federation), BODY, "wrong voucher")
    federation.host.check("9999", signed_with(session_of(key, now, now + LONGEST), federation), BODY)


def test_a_voucher_by_another_key_is_refused(federation: Federation, other_pem: str) -> None:
    """Party 8888, whose key the host knows, too, names its own key, or that of party 9999."""
    other, now = parse_key(other_pem), now_of(federation)
    theirs = signed_with(session_of(other, now, now + LONGEST), federation)
    federation.refuses("9999", theirs, BODY, "wrong voucher")
    bare, envelope = parse(theirs)
    assert envelope
    named = append(bare, replace(envelope, key=other.fingerprint[:32]))
    federation.refuses("9999", named, BODY, "unknown key")


def test_a_request_is_of_the_session_whose_voucher_it_carries(federation: Federation) -> None:
    key, now = federation.keys.ring().private["9999"][0].rsa, now_of(federation)
    one, other = (session_of(key, now, now + LONGEST) for _ in range(2))
    federation.refuses("9999", signed_with(one, federation, other.voucher), BODY, "wrong signature")
    # Even a good voucher for the same session's key: it is part of what is signed.
    bare, envelope = parse(signed_with(one, federation))
    assert envelope
    shorter = session_of(key, now, now + 1000, point=decode(one.voucher)[:33]).voucher
    federation.refuses("9999", append(bare, replace(envelope, voucher=shorter)), BODY, "wrong signature")


def test_what_else_the_rsa_key_signs_is_no_voucher(federation: Federation) -> None:
    """Bodies above all: `signature` signs whatever it is given."""
    key, now = federation.keys.ring().private["9999"][0].rsa, now_of(federation)
    for purpose in (b"", b'"', PURPOSE[:-1]):
        federation.refuses(
            "9999", signed_with(session_of(key, now, now + LONGEST, purpose), federation), BODY, "wrong voucher")
    assert not body_text(PURPOSE.decode()).startswith(PURPOSE[:1])


@pytest.mark.parametrize("point", [b"\x02" + b"\xff" * 32, b"\x04" + b"\0" * 32, b"\0" * 33],
                         ids=["beyond the field", "of another form", "zeros"])
def test_a_voucher_for_no_point_of_the_curve_is_refused(federation: Federation, point: bytes) -> None:
    key, now = federation.keys.ring().private["9999"][0].rsa, now_of(federation)
    session = session_of(key, now, now + LONGEST, point=point)
    federation.refuses("9999", signed_with(session, federation), BODY, "wrong voucher")


@pytest.mark.parametrize("voucher", ["A", "AA", "A" * 65, "A" * 423, "-" * 3000, "="])
def test_garbage_is_no_voucher(federation: Federation, voucher: str) -> None:
    with pytest.raises(InvalidVoucher):
        federation.keys.ring().private["9999"][0].sessions.vouched(voucher)


@examples(150)
@given(data=st.data())
def test_any_byte_that_is_changed_is_refused(data: Any, federation: Federation, signed: str) -> None:
    """Of the voucher and of the session's signature, base64url aside."""
    bare, envelope = parse(signed)
    assert envelope
    part = data.draw(st.sampled_from(["voucher", "signature"]))
    whole = bytearray(decode(envelope.voucher) if part == "voucher" else envelope.signature)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    value: Any = encode(bytes(whole)) if part == "voucher" else bytes(whole)
    federation.refuses("9999", append(bare, replace(envelope, **{part: value})), BODY,
                       "wrong voucher" if part == "voucher" else "wrong signature")


def test_what_a_key_vouched_for_ends_with_it(federation: Federation, store: Store, other_pem: str) -> None:
    """Though the voucher was verified before, and goes on for most of an hour."""
    another = SiteKeys(store, BOX)  # of a server beside, or of the command line
    pem = federation.keys.ring().private["9999"][0].rsa.public_pem
    fingerprint = share_key(store, "6666", pem)
    share_key(store, "7777", pem, valid_until=now_of(federation) + 60_000)
    federation.keys._cached.forget()  # some seconds pass
    for party in ("6666", "7777"):
        federation.host.check(party, federation.guest.sign("9999", BODY), BODY)
    another.remove("6666", fingerprint)
    share_key(store, "6666", parse_key(other_pem).public_pem)
    federation.keys._cached.forget()
    federation.refuses("6666", federation.guest.sign("9999", BODY), BODY, "unknown key")
    federation.clock.now += 60
    federation.refuses("7777", federation.guest.sign("9999", BODY), BODY, "unknown party")


def test_fates_own_signature_does_not_count_beside_an_envelope(federation: Federation, other_pem: str) -> None:
    """Whoever has the key can make both; so the one in front may be anything, and no envelope is worth less for it."""
    bare, envelope = parse(federation.guest.sign("9999", BODY))
    assert envelope
    federation.host.check("9999", append(bytes(256), envelope), BODY)
    forged = replace(envelope, signature=parse_key(other_pem).sign(b"x", "sha256"))
    federation.refuses("9999", append(bare, forged), BODY, "wrong signature")


@pytest.mark.parametrize("bits", [2048, 4096])
def test_a_header_is_short_and_lenient_base64_reads_fates_signature_in_it(
    store: Store, other_pem: str, bits: int
) -> None:
    """nginx takes lines of 8 KiB; FATE Flow itself decodes the whole header leniently."""
    federation = Federation(store, vectors("1.11.2")["private_key"], other_pem)
    if bits == 4096:
        federation.keys.remove("9999", federation.keys.ring().private["9999"][0].fingerprint)
        federation.keys.add_private("9999", private_pem(bits))
    signed = federation.guest.sign("9999", BODY)
    assert len(signed) < (930 if bits == 2048 else 1600) < MAX_LENGTH
    assert base64.b64decode(signed) == parse(signed)[0]
    federation.host.check("9999", signed, BODY)
