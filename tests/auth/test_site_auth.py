"""Site authentication: signatures that today's partners accept, and an envelope that ends replay among those with the
plugin. The vectors were signed by the built-in hooks of FATE Flow 1.11.2 (SHA-256) and 1.10.0 (MD5)."""
import base64
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from Crypto.Hash import MD5, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import PKCS1_v1_5
from hypothesis import example, given
from hypothesis import strategies as st

from fate_ext_plugin.auth.envelope import append, parse
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.rsa import parse_key
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import Unauthenticated
from tests.support.examples import examples
from tests.support.federation import BODY, BOX, Federation
from tests.support.keys import private_pem, public_of
from tests.support.recordings import DATA, lines_of, vectors

VERSIONS = {"1.11.2": "sha256", "1.10.0": "md5"}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def built_in_sign(pem: str, body: Any, digest: Any) -> str:
    """fate_flow/hook/flow/site_authentication.py, ``signature``."""
    sign = PKCS1_v1_5.new(RSA.import_key(pem)).sign(digest.new(json.dumps(body).encode()))
    return base64.b64encode(sign).decode()


def built_in_accepts(pem: str, signature: str, body: Any, digest: Any) -> bool:
    """fate_flow/hook/flow/site_authentication.py, ``authentication``."""
    verifier = PKCS1_v1_5.new(RSA.import_key(pem))
    return bool(verifier.verify(digest.new(json.dumps(body).encode()), base64.b64decode(signature)))


# -- what the built-in hooks sign and accept -------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_signature_is_accepted_and_made_again_bit_for_bit(
    version: str, store: Store, other_pem: str
) -> None:
    recorded = vectors(version)
    federation = Federation(store, recorded["private_key"], other_pem, VERSIONS[version])
    federation.keys.set_policy("9999", md5=VERSIONS[version] == "md5")
    assert len(recorded["vectors"]) == 25
    for vector in recorded["vectors"]:
        federation.host.check(vector["party_id"], vector["site_signature"], vector["body"])
        ours = federation.guest.sign(vector["party_id"], vector["body"])
        assert ours.partition("~")[0] == vector["site_signature"]


@pytest.mark.parametrize(("digest", "module"), [("sha256", SHA256), ("md5", MD5)])
def test_the_built_in_hooks_do_not_see_the_envelope(digest: str, module: Any, store: Store, other_pem: str) -> None:
    pem = vectors("1.11.2")["private_key"]
    federation = Federation(store, pem, other_pem, digest)

    @examples(20)
    @given(body=JSON)
    @example(body={})
    def seen(body: Any) -> None:
        signature = federation.guest.sign("9999", body)
        assert "~2~" in signature and len(signature) < 1000 and signature.isascii() and " " not in signature
        assert built_in_accepts(pem, signature, body, module)
        assert not built_in_accepts(pem, signature, [body], module)
    seen()


def test_fates_signature_of_a_body_that_comes_again_is_kept_and_the_envelope_is_made_anew(
    federation: Federation
) -> None:
    key = federation.keys.ring().private["9999"][0].rsa
    signatures = [federation.guest.sign("9999", body) for body in ({}, {}, BODY, {}, BODY)]
    kept = key._remembered.cache_info()
    assert (kept.misses, kept.hits, kept.currsize) == (3, 3, 3)  # two bodies and the session's voucher, no envelope
    assert len({signature.partition("~")[0] for signature in signatures}) == 2
    assert len({signature.partition("~")[2] for signature in signatures}) == 5
    for signature, body in zip(signatures, ({}, {}, BODY, {}, BODY)):
        assert built_in_accepts(vectors("1.11.2")["private_key"], signature, body, SHA256)
        federation.host.check("9999", signature, body)


def test_half_of_what_fate_flow_was_recorded_to_sign_is_there_already(federation: Federation) -> None:
    """132 signatures, for two uploads and a job of two parties."""
    lines = lines_of("fate_flow_1.11.2_site_bodies.jsonl")
    order = json.loads((DATA / "fate_flow_1.11.2_site_bodies_order.json").read_text("utf-8"))
    for number in order:
        federation.guest.sign("9999", lines[number]["body"])
    kept = federation.keys.ring().private["9999"][0].rsa._remembered.cache_info()
    assert (len(order), kept.hits, kept.misses) == (132, 64, len(lines) + 1)  # and the session's voucher


def test_what_is_kept_is_of_one_key_and_one_digest(store: Store, other_pem: str) -> None:
    pem = vectors("1.11.2")["private_key"]
    federation = Federation(store, pem, other_pem)
    on_md5 = federation.site("9999", "md5")
    for _ in range(2):
        assert built_in_accepts(pem, federation.guest.sign("9999", {}), {}, SHA256)
        assert built_in_accepts(pem, on_md5.sign("9999", {}), {}, MD5)
    federation.keys.rotate("9999", int(federation.clock.now * 1000), 1000)
    new = federation.keys.ring().signing_key("9999", int(federation.clock.now * 1000))
    assert new
    for _ in range(2):
        rotated = federation.guest.sign("9999", {})
        assert built_in_accepts(new.rsa.pem, rotated, {}, SHA256)
        assert not built_in_accepts(pem, rotated, {}, SHA256)
    federation.keys.remove("9999", new.fingerprint)
    assert built_in_accepts(pem, federation.guest.sign("9999", {}), {}, SHA256)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fate_ext_plugin.auth.rsa.REMEMBERED", 3)
    key = parse_key(vectors("1.11.2")["private_key"])
    for number in range(10):
        key.sign(str(number).encode(), "sha256")
    assert key._remembered.cache_info().currsize == 3


def test_recorded_bodies_survive_the_way_over_json() -> None:
    """A receiver signs what it parsed of what the sender wrote: both must be the same text."""
    for line in lines_of("fate_flow_1.11.2_site_bodies.jsonl"):
        body = line["body"]
        assert json.dumps(json.loads(json.dumps(body))) == json.dumps(body) == line["text"]


def test_a_stock_partner_is_accepted_without_an_envelope(federation: Federation) -> None:
    pem = vectors("1.11.2")["private_key"]
    federation.host.check("9999", built_in_sign(pem, BODY, SHA256), BODY)
    assert federation.audit_log.reason == "bare"


def test_md5_is_accepted_of_a_partner_it_is_permitted_to(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    signature = built_in_sign(vectors("1.11.2")["private_key"], BODY, MD5)
    federation.refuses("9999", signature, BODY, "wrong signature")
    federation.keys.set_policy("9999", md5=True)
    federation.host.check("9999", signature, BODY)
    federation.host.check("9999", signature, BODY)
    assert federation.audit_log.reason == "bare, md5"
    assert [record.getMessage() for record in caplog.records].count(
        "party 9999 signs with MD5, which can be forged; FATE Flow 1.11 ends that") == 1


def test_a_federation_on_md5_accepts_its_own(store: Store, other_pem: str) -> None:
    pem = vectors("1.10.0")["private_key"]
    federation = Federation(store, pem, other_pem, "md5")
    federation.guest.check("", built_in_sign(pem, BODY, MD5), BODY)


@pytest.mark.parametrize("itself", ["", 0, "0", None, "9999", 9999])
def test_an_empty_party_and_0_are_the_site_itself(federation: Federation, itself: Any) -> None:
    federation.guest.check(itself, federation.guest.sign(itself, BODY), BODY)


# -- the envelope ----------------------------------------------------------------------------------------------------


def test_a_captured_request_is_refused_later_and_after_fates_own_three_tries(federation: Federation) -> None:
    signature = federation.guest.sign("9999", {})
    for _ in range(3):
        federation.host.check("9999", signature, {})
        federation.clock.now += 34
    federation.refuses("9999", signature, {}, "replayed")
    federation.clock.now += 200
    federation.refuses("9999", signature, {}, "clock", "Set the clock that is wrong")


def test_a_captured_request_is_refused_on_another_path(federation: Federation) -> None:
    """What a request was first used for, FATE's retries of it are for, too."""
    signature = federation.guest.sign("9999", {})
    federation.host.check("9999", signature, {}, what="POST /v1/party/1/status/running")
    federation.host.check("9999", signature, {}, what="POST /v1/party/1/status/running")
    with pytest.raises(Unauthenticated, match="sent before"):
        federation.host.check("9999", signature, {}, what="POST /v1/party/1/status/canceled")


def test_first_requests_of_a_partner_may_come_at_once(federation: Federation) -> None:
    signatures = [federation.guest.sign("9999", {"number": number}) for number in range(8)]
    refused = []

    def check(number: int) -> None:
        try:
            federation.host.check("9999", signatures[number], {"number": number})
        except Exception as error:
            refused.append(error)
    threads = [threading.Thread(target=check, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []


def test_a_captured_request_is_refused_with_another_body(federation: Federation) -> None:
    federation.refuses("9999", federation.guest.sign("9999", {}), BODY, "wrong signature")


@pytest.mark.parametrize(("off", "passes"), [(-60, True), (-61, False), (180, True), (181, False)])
def test_clocks_may_differ_both_ways(federation: Federation, off: float, passes: bool) -> None:
    signature = federation.guest.sign("9999", BODY)
    federation.clock.now += off
    if passes:
        federation.host.check("9999", signature, BODY)
    else:
        federation.refuses("9999", signature, BODY, "clock")


@pytest.mark.parametrize(("off", "says"), [
    (181, "Your clock is 181 s behind ours, or the request was on its way for so long; 180 s are accepted."),
    (-61, "Your clock is 61 s ahead of ours; 60 s are accepted.")])
def test_no_partner_whose_clock_is_behind_is_told_that_it_is_ahead(
    federation: Federation, off: float, says: str
) -> None:
    signature = federation.guest.sign("9999", BODY)
    federation.clock.now += off
    federation.refuses("9999", signature, BODY, "clock", says)


def test_nobody_who_can_not_sign_learns_which_parties_are_known_and_what_they_send(federation: Federation) -> None:
    """The same answer for a party that is unknown, known, known to send envelopes, or required to. The audit log says
    why."""
    federation.keys.add_private("6666", private_pem(4096))
    stranger, told, reasons = federation.site("6666"), set(), set()
    old = stranger.sign("6666", BODY)
    federation.clock.now += 3600
    new = stranger.sign("6666", BODY)
    bare, envelope = parse(new)
    assert envelope
    named = append(bare, replace(envelope, key=federation.keys.ring().private["9999"][0].fingerprint[:32]))
    captured = federation.guest.sign("9999", {}).partition("~")[0]

    def ask(party: str) -> None:
        for signature in (new, old, named, new.partition("~")[0], captured):
            with pytest.raises(Unauthenticated) as error:
                federation.host.check(party, signature, BODY)
            told.add((error.value.message, error.value.status, error.value.code))
            reasons.add(federation.audit_log.reason)

    ask("7777")
    ask("9999")
    federation.host.check("9999", federation.guest.sign("9999", BODY), BODY)
    ask("9999")
    for policy in ("require", "off"):
        federation.keys.set_policy("9999", envelope=policy)
        ask("9999")
    assert len(told) == 1
    assert reasons == {
        "unknown party", "unknown key", "wrong voucher", "wrong signature", "downgrade", "no envelope"}


def test_the_envelope_of_one_request_does_not_fit_another(federation: Federation) -> None:
    one, other = federation.guest.sign("9999", {}), federation.guest.sign("9999", BODY)
    swapped = one.partition("~")[0] + "~" + other.partition("~")[2]
    federation.refuses("9999", swapped, {}, "wrong signature")


@pytest.mark.parametrize("part", ["time", "nonce", "key", "voucher", "signature"])
def test_nothing_in_the_envelope_can_be_changed(federation: Federation, part: str) -> None:
    bare, envelope = parse(federation.guest.sign("9999", BODY))
    assert envelope
    values: Any = {"time": envelope.time + 1, "nonce": "A" * 22, "key": "00" * 16, "voucher": envelope.voucher[:-1],
                   "signature": envelope.signature[:-1]}
    changed = replace(envelope, **{part: values[part]})
    reason = {"key": "unknown key", "voucher": "wrong voucher"}.get(part, "wrong signature")
    federation.refuses("9999", append(bare, changed), BODY, reason)


@given(data=st.data())
def test_any_single_change_of_the_envelope_is_refused(data: Any, federation: Federation, signed: str) -> None:
    # with another version's number in it, it counts for none
    federation.keys.set_policy("9999", envelope="require")
    index = data.draw(st.integers(signed.index("~"), len(signed) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != signed[index]))
    with pytest.raises(Unauthenticated):
        federation.host.check("9999", signed[:index] + other + signed[index + 1:], BODY)


def test_once_an_envelope_was_seen_a_bare_signature_is_a_downgrade(federation: Federation) -> None:
    signature = federation.guest.sign("9999", BODY)
    bare = signature.partition("~")[0]
    federation.host.check("9999", bare, BODY)
    federation.host.check("9999", signature, BODY)
    federation.refuses("9999", bare, BODY, "downgrade", "does not fit")
    federation.keys.set_policy("9999", envelope="auto")
    federation.refuses("9999", bare, BODY, "downgrade")
    federation.keys.set_policy("9999", envelope="off")  # it gave up the plugin
    federation.keys.set_policy("9999", envelope="auto")
    federation.host.check("9999", bare, BODY)


def test_an_envelope_of_another_version_counts_for_none(federation: Federation) -> None:
    """Whichever site of a federation is upgraded first, FATE's own signature is understood."""
    signature = federation.guest.sign("9999", BODY)
    newer = signature.partition("~")[0] + "~3~what~will~come"
    federation.host.check("9999", newer, BODY)
    federation.host.check("9999", signature, BODY)
    federation.refuses("9999", newer, BODY, "downgrade")
    federation.keys.set_policy("9999", envelope="require")
    federation.refuses("9999", newer, BODY, "no envelope")
    federation.keys.set_policy("9999", envelope="off")
    federation.host.check("9999", newer, BODY)


def test_what_was_seen_is_known_to_other_servers_and_after_a_restart(federation: Federation, store: Store) -> None:
    signature = federation.guest.sign("9999", BODY)
    federation.host.check("9999", signature, BODY)
    federation.keys = SiteKeys(store, BOX)
    federation.host = federation.site("10000")
    federation.refuses("9999", signature.partition("~")[0], BODY, "downgrade")


def test_an_envelope_can_be_required_and_ignored(federation: Federation) -> None:
    bare = federation.guest.sign("9999", BODY).partition("~")[0]
    federation.keys.set_policy("9999", envelope="require")
    federation.refuses("9999", bare, BODY, "no envelope")
    federation.keys.set_policy("9999", envelope="off")
    federation.host.check("9999", bare, BODY)
    signature = federation.guest.sign("9999", BODY)
    for _ in range(5):
        federation.host.check("9999", signature, BODY)
    assert federation.audit_log.reason == "bare"


def test_md5_can_not_be_used_to_get_around_the_envelope(federation: Federation) -> None:
    federation.keys.set_policy("9999", md5=True)
    federation.host.check("9999", federation.guest.sign("9999", BODY), BODY)
    federation.refuses("9999", built_in_sign(vectors("1.11.2")["private_key"], BODY, MD5), BODY, "downgrade")


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_signature_of_another_party_is_refused(federation: Federation, other_pem: str) -> None:
    federation.refuses("8888", federation.guest.sign("9999", BODY), BODY, "unknown key")
    federation.refuses("8888", federation.guest.sign("9999", BODY).partition("~")[0], BODY, "wrong signature")
    federation.refuses("9999", built_in_sign(other_pem, BODY, SHA256), BODY, "wrong signature")
    federation.host.check("8888", built_in_sign(other_pem, BODY, SHA256), BODY)


def test_a_party_without_a_key_is_refused(federation: Federation) -> None:
    federation.refuses("7777", federation.guest.sign("9999", BODY), BODY, "unknown party")


def test_a_key_that_ends_or_is_removed_during_use(federation: Federation, store: Store) -> None:
    another = SiteKeys(store, BOX)  # of a server beside, or of the command line
    removed, ended = private_pem(3072), private_pem(4096)
    fingerprint = another.add_public("6666", public_of(removed))
    another.add_public("7777", public_of(ended), valid_until=int((federation.clock.now + 100) * 1000))
    federation.keys._cached.forget()  # some seconds pass
    signatures = {party: built_in_sign(pem, BODY, SHA256) for party, pem in (("6666", removed), ("7777", ended))}
    for party, signature in signatures.items():
        federation.host.check(party, signature, BODY)
    another.remove("6666", fingerprint)
    federation.keys._cached.forget()
    federation.refuses("6666", signatures["6666"], BODY, "unknown party")
    federation.clock.now += 100
    federation.refuses("7777", signatures["7777"], BODY, "unknown party")


def test_keys_change_over_with_no_stop(federation: Federation) -> None:
    """Both keys are known to the partner for a while, and we sign with the newer one from its first second on."""
    start = int((federation.clock.now + 3600) * 1000)
    new = federation.keys.rotate("9999", start, 86_400_000)
    old_signature = federation.guest.sign("9999", BODY)
    federation.host.check("9999", old_signature, BODY)
    federation.clock.now += 3600
    signature = federation.guest.sign("9999", BODY)
    assert parse(signature)[1].key == new[:32]  # type: ignore[union-attr]
    federation.host.check("9999", signature, BODY)
    federation.clock.now += 86_400
    with pytest.raises(Unauthenticated):  # the old key is no longer valid
        federation.guest.check("9999", old_signature.partition("~")[0], BODY)


def test_without_a_private_key_nothing_is_signed(federation: Federation) -> None:
    with pytest.raises(Unauthenticated, match="no valid private key of party 5555"):
        federation.guest.sign("5555", BODY)


# -- anything at all -------------------------------------------------------------------------------------------------


GOOD = "A" * 342 + "=="


@pytest.mark.parametrize("signature", [
    None, "", 5, {"a": 1}, "A", "====", "A" * 343, "身" * 342 + "==", GOOD + "\n", " " + GOOD, GOOD + "garbage",
    GOOD + "~2~", GOOD + "~2~a~b~c~d~e", GOOD + "~3", GOOD + "~3~ ", GOOD + "~3000~a", GOOD[:100] + "==",
    "A" * 10_000_000])
def test_a_malformed_signature_is_refused_never_an_exception(federation: Federation, signature: Any) -> None:
    with pytest.raises(Unauthenticated):
        federation.host.check("9999", signature, BODY)


@given(party=st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())), signature=st.text(), body=JSON)
def test_anything_in_every_field_is_refused(federation: Federation, party: Any, signature: str, body: Any) -> None:
    with pytest.raises(Unauthenticated):
        federation.host.check(party, signature, body)


def test_a_huge_body_is_checked_like_any_other(federation: Federation) -> None:
    body = {"data": ["x" * 1000] * 5000}
    signature = federation.guest.sign("9999", body)
    federation.host.check("9999", signature, body)
    body["data"].append("x")
    federation.refuses("9999", signature, body, "wrong signature")


def test_the_trail_never_holds_a_key_or_a_signature(federation: Federation) -> None:
    signature = federation.guest.sign("9999", BODY)
    federation.host.check("9999", signature, BODY)
    assert federation.audit_log.entries == [
        ("signature", True, "9999", None, None, "ok"), ("site", True, "9999", None, None, "envelope")]
