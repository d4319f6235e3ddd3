"""Client authentication: is this request genuine, and may this client make it?

The recorded requests are those of FATE's own client, fate-client 1.11.3, as a server on Werkzeug 2.2 and on 2.3
received them: the latter drops the header APP_KEY for its underscore (contract section 5).
"""
import gc
import ipaddress
import json
import sys
from dataclasses import replace
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.apps.authentication_app import client_request
from fate_ext_plugin.auth import client_signature as scheme
from fate_ext_plugin.auth.client_auth import WRONG, WRONG_SIGN_IN, ClientAuthentication
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_headers, signed_text
from fate_ext_plugin.auth.client_store import Client
from fate_ext_plugin.auth.nonces import MemoryNonces
from fate_ext_plugin.auth.throttle import MAX_ENTRIES, Throttle
from fate_ext_plugin.errors import RoleMissing, Unauthenticated
from tests.support.clock import Clock
from tests.support.examples import examples
from tests.support.federation import RecordedDecisions
from tests.support.recordings import lines_of

WERKZEUGS = ["2.2", "2.3"]
KEY, SECRET = "demo-app-key", "demo-secret-key"
HOME = ipaddress.ip_address("10.0.0.5")


class Table:
    """Clients that stand in no database."""

    def __init__(self, *clients: Client) -> None:
        self.clients = {client.app_key: client for client in clients}

    def all(self) -> Dict[str, Client]:
        return dict(self.clients)

    def get(self, app_key: str) -> Optional[Client]:
        return self.clients.get(app_key)


def client(app_key: str = KEY, secret: str = SECRET, algorithm: str = "hmac-sha1", **changes: Any) -> Client:
    return replace(Client(app_key, "a client", ((Signer(secret, algorithm), None),), algorithm), **changes)


class Checker:
    """A ClientAuthentication, its clock and its audit log."""

    def __init__(self, *clients: Client, own: Optional[Client] = None, window: float = 60.0) -> None:
        self.clock, self.audit_log = Clock(), RecordedDecisions()
        self.table = Table(*(clients or (client(),)))
        self.nonces = MemoryNonces(self.clock, self.clock)
        self.throttle = Throttle(self.clock)
        self.room = ClientAuthentication(
            self.table, own, self.nonces, self.audit_log, window, self.throttle, self.clock)  # type: ignore[arg-type]

    def check(self, request: ClientRequest) -> None:
        self.room.check(request)

    def refuses(self, request: ClientRequest, reason: str, says: Optional[str] = None) -> None:
        with pytest.raises(Unauthenticated, match=says):
            self.room.check(request)
        assert self.audit_log.reason == reason
        assert self.audit_log.entries[-1][1] is False

    def request(self, number: int = 0, app_key: Optional[str] = KEY, secret: str = SECRET, algorithm: str = "hmac-sha1",
                **changes: Any) -> ClientRequest:
        """A request signed now; ``changes`` are signed, too."""
        headers = {"timestamp": str(round(self.clock.now * 1000)), "nonce": f"nonce-{number}"}
        if app_key:
            headers["app-key"] = app_key
        unsigned = ClientRequest(**{"full_path": "/v1/job/query?", "headers": headers, "body": b'{"a": 1}',
                                    "method": "POST", "address": HOME, **changes})
        signature = Signer(secret, algorithm).sign(signed_text(unsigned, app_key or KEY))
        return replace(unsigned, headers={**headers, "signature": signature})


def recorded(werkzeug: str) -> List[ClientRequest]:
    requests = (client_request(line) for line in lines_of(f"fate_sdk_client_requests_werkzeug_{werkzeug}.jsonl"))
    return [replace(request, headers=signed_headers(request.headers.items())) for request in requests]


def at_its_time(request: ClientRequest, checker: Checker) -> ClientRequest:
    checker.clock.now = int(request.headers["timestamp"]) / 1000
    return request


# -- FATE's own client -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("werkzeug", WERKZEUGS)
def test_every_recorded_request_of_fates_client_passes(werkzeug: str) -> None:
    checker = Checker(client("another", "another secret"), client())
    requests = recorded(werkzeug)
    assert len(requests) == 9
    for request in requests:
        assert ("app-key" in request.headers) == (werkzeug == "2.2")
        checker.check(at_its_time(request, checker))
        assert checker.audit_log.entries[-1][1:3] == (True, KEY)


@pytest.mark.parametrize("werkzeug", WERKZEUGS)
@examples(150)
@given(data=st.data())
def test_any_single_change_of_what_is_signed_is_refused(werkzeug: str, data: Any) -> None:
    checker = Checker()
    request = at_its_time(data.draw(st.sampled_from(recorded(werkzeug))), checker)
    parts = [name for name in ("full_path", "body", "form") if getattr(request, name) not in (b"", None)]
    part = data.draw(st.sampled_from(parts + ["nonce", "timestamp", "signature"]))
    if part == "body":
        changed = replace(request, body=changed_bytes(data, request.body))
    elif part == "full_path":
        # A trailing question mark is not signed: FATE's clients leave it out.
        path = changed_text(data, request.full_path.rstrip("?"))
        changed = replace(request, full_path=path if path.rstrip("?") == path else path.replace("?", "!"))
    elif part == "form":
        name = data.draw(st.sampled_from(sorted(request.form or {})))
        changed = replace(request, form={**(request.form or {}), name: changed_text(data, (request.form or {})[name])})
    else:
        value = request.headers[part]
        if part == "timestamp":
            value = str(int(value) + data.draw(st.integers(-59_000, 59_000).filter(bool)))
        else:
            value = changed_text(data, value)
        changed = replace(request, headers={**request.headers, part: value})
    with pytest.raises(Unauthenticated):
        checker.check(changed)
    checker.check(request)


def changed_bytes(data: Any, content: bytes) -> bytes:
    index = data.draw(st.integers(0, len(content) - 1))
    return content[:index] + bytes([content[index] ^ data.draw(st.integers(1, 255))]) + content[index + 1:]


def changed_text(data: Any, text: str) -> str:
    index = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != text[index]))
    return text[:index] + other + text[index + 1:]


def test_the_client_of_service_conf_passes_so_that_fate_flows_own_calls_do() -> None:
    checker = Checker(client("someone", "someone's secret"), own=client())
    checker.check(checker.request())
    checker.check(checker.request(1, app_key=None))


# -- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [
    ("TIMESTAMP", "NONCE", "APP_KEY", "SIGNATURE"), ("Timestamp", "Nonce", "App-Key", "Signature"),
    ("timestamp", "nonce", "app_Key", "signature")])
def test_header_names_in_any_case_and_order_with_underscore_or_dash(names: Any) -> None:
    checker = Checker()
    request = checker.request()
    values = [request.headers[name] for name in ("timestamp", "nonce", "app-key", "signature")]
    pairs = list(zip(names, values))
    assert signed_headers(pairs) == signed_headers([*reversed(pairs), ("X-Other", "1")]) == dict(request.headers)


@pytest.mark.parametrize("pairs", [
    [("App-Key", "a"), ("APP_KEY", "b")], [("Nonce", "a"), ("nonce", "a")],
    [("Signature", "x" * 257)], [("Nonce", "身")], [("Nonce", "a\nb")], [("Timestamp", 5)]])
def test_doubled_and_malformed_headers_are_refused(pairs: Any) -> None:
    with pytest.raises(Unauthenticated):
        signed_headers(pairs)


@pytest.mark.parametrize("missing", ["timestamp", "nonce", "signature"])
def test_an_unsigned_request_is_refused(missing: str) -> None:
    checker = Checker()
    request = checker.request()
    headers = {name: value for name, value in request.headers.items() if name != missing}
    checker.refuses(replace(request, headers=headers), "not signed", missing.upper())


@pytest.mark.parametrize("timestamp", ["", "abc", "-5", "1e12", "9" * 17, "１２３", " 1"])
def test_a_timestamp_that_is_none(timestamp: str) -> None:
    checker = Checker()
    request = checker.request()
    with pytest.raises(Unauthenticated):
        checker.check(replace(request, headers={**request.headers, "timestamp": timestamp}))


@pytest.mark.parametrize(("off", "passes"), [(-59.9, True), (59.9, True), (-60, False), (60, False), (3600, False)])
def test_a_clock_may_be_off_by_the_window_both_ways(off: float, passes: bool) -> None:
    checker = Checker()
    request = checker.request()
    checker.clock.now += off
    if passes:
        checker.check(request)
    else:
        checker.refuses(request, "clock", "Set the clock that is wrong")


@pytest.mark.parametrize(("off", "says"), [
    (61, "Your clock is 61 s behind ours, or the request was on its way for so long; 60 s are accepted."),
    (-61, "Your clock is 61 s ahead of ours; 60 s are accepted.")])
def test_no_clock_that_is_behind_is_called_ahead(off: float, says: str) -> None:
    """By the clock of whoever is told."""
    checker = Checker()
    request = checker.request()
    checker.clock.now += off
    checker.refuses(request, "clock", says)


def test_a_missing_app_key_is_not_searched_for_among_any_number() -> None:
    checker = Checker(*(client(f"key{number}", f"secret {number}") for number in range(501)))
    checker.refuses(checker.request(app_key=None), "no app key", "with a dash")
    few = Checker(*(client(f"key{number}", f"secret {number}") for number in range(100)))
    few.refuses(few.request(app_key=None, body=b"1" * 2**20), "no app key", "with a dash")


# -- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("long", [
    {"form": {"a": "x" * 2**20}}, {"full_path": "/v1/job/query?" + "x" * 2**20}, {"body": b"x" * 2**20}])
def test_a_missing_app_key_is_not_searched_for_in_long_requests(long: Dict[str, Any]) -> None:
    """What a stranger sends must not cost the more, the more clients there are."""
    checker = Checker(*(client(f"client-{number}") for number in range(65)))
    checker.refuses(checker.request(app_key=None, **long), "no app key", "with a dash")
    checker.check(checker.request(app_key="client-7", **long))


def test_a_long_form_is_written_once_however_many_keys_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Checker(*(client(f"client-{number}") for number in range(50)))
    request = checker.request(app_key=None, secret="wrong", form={"a": "x"})
    written, urlencode = [], scheme.urlencode
    monkeypatch.setattr(scheme, "urlencode", lambda *args, **named: written.append(1) or urlencode(*args, **named))
    checker.refuses(request, "wrong signature")
    assert len(written) == 1


def test_a_request_counts_once() -> None:
    checker = Checker()
    request = checker.request()
    checker.check(request)
    checker.refuses(request, "replayed")
    checker.refuses(replace(request, method="GET"), "replayed")


def test_the_nonce_of_another_client_is_another_nonce() -> None:
    checker = Checker(client(), client("other", "other secret"))
    checker.check(checker.request())
    checker.check(checker.request(app_key="other", secret="other secret"))


def test_a_wrong_signature_uses_up_no_nonce() -> None:
    checker = Checker()
    checker.refuses(checker.request(secret="guessed"), "wrong signature")
    checker.check(checker.request())


def test_nonces_are_forgotten_when_the_window_refuses_them_anyway() -> None:
    checker = Checker()
    first = checker.request()
    checker.check(first)
    for number in range(1, 300):
        checker.clock.now += 1
        checker.check(checker.request(number))
    assert len(checker.nonces) <= 122  # and a margin: clocks of servers differ
    checker.refuses(first, "clock")


# -- what a client may do --------------------------------------------------------------------------------------------


def test_a_client_may_be_bound_to_paths_methods_and_networks() -> None:
    bound = client(paths=("/v1/job/*", "/v1/version/get"), methods=("POST",),
                   networks=(ipaddress.ip_network("10.0.0.0/24"),))
    checker = Checker(bound)
    checker.check(checker.request())
    checker.check(checker.request(1, full_path="/v1/version/get?a=1"))
    checker.refuses(checker.request(2, full_path="/v1/data/upload?"), "forbidden path")
    checker.refuses(checker.request(3, full_path="/v1/version/get2"), "forbidden path")
    checker.refuses(checker.request(4, full_path="/v1/data/upload?x=/v1/job/query"), "forbidden path")
    # A path that holds a question mark, percent-encoded: only the host can tell it from the query.
    checker.refuses(checker.request(8, full_path="/v1/version/get?x?a=1", route="/v1/version/get?x"), "ambiguous path")
    checker.refuses(checker.request(9, full_path="/v1/version/get?x?a=1"), "ambiguous path")
    checker.check(checker.request(10, full_path="/v1/version/get?a=b?c", route="/v1/version/get"))
    checker.refuses(checker.request(5, method="GET"), "forbidden method")
    checker.refuses(checker.request(6, address=ipaddress.ip_address("10.0.1.5")), "forbidden address")
    checker.refuses(checker.request(7, address=ipaddress.ip_address("::1")), "forbidden address")


@pytest.mark.parametrize("path", [
    "/v1/job/../model/load", "/v1/job/..", "/v1/job/./query", "/v1/job/.", "/v1/job//query", "//v1/job/query",
    "/v1/job/%2e%2e/model/load", "/v1/job/..%2fmodel/load", "/v1/job/%2Fquery", "/v1/job/..\\model\\load",
    "/v1/job/..;/model/load", "/v1/job/query;a=b", "/v1/job/\n/query", "/v1/job/query\0", "/v1/job/ query",
    "/v1/job/\u202equery", "/v1/job/．．/model", "v1/job/query", ""])
@pytest.mark.parametrize("told", ["by the host", "in full_path alone"])
def test_no_pattern_fits_a_path_that_can_be_read_in_two_ways(path: str, told: str) -> None:
    checker = Checker(client(paths=("/v1/job/*", "*", "/*")))
    route = path if told == "by the host" else None
    checker.refuses(checker.request(full_path=f"{path}?", route=route), "ambiguous path", "in two ways")
    Checker().check(checker.request(full_path=f"{path}?", route=route))  # a client that is bound to no paths


@pytest.mark.parametrize("path", [
    "/", "/v1/job/submit", "/v1/job/list/", "/v1/party/202611231038053132510/guest/9999/component/inheritance/check",
    "/v1/tracker/202611231038053132510/hetero_lr_0/202611231038053132510_hetero_lr_0/0/host/10000/summary/save",
    "/v1/tracker/2026/逻辑回归_0/guest/9999/output/table", "/v1/server/fate.ext-1/register",
    "/v1/model/transfer/arbiter-10000#guest-9999#host-10000#model/202611231038053132510",
    "/v1/ext/admin/keys/9999/SHA256:0123456789abcdef", "/v1/log/2026/guest/9999/10.0.0.5:9380"])
@pytest.mark.parametrize("query", ["", "a=1&b=../..//%2F;", "name=查询"])
def test_paths_that_fate_flow_has_are_compared_whatever_their_query_holds(path: str, query: str) -> None:
    checker = Checker(client(paths=("/*",)))
    checker.check(checker.request(full_path=f"{path}?{query}"))
    checker.check(checker.request(1, full_path=f"{path}?{query}", route=path))


def test_a_bound_client_is_refused_where_the_caller_of_the_service_can_not_say() -> None:
    checker = Checker(client(methods=("POST",)))
    checker.refuses(checker.request(method=None), "forbidden method")
    checker = Checker(client(networks=(ipaddress.ip_network("0.0.0.0/0"),)))
    checker.refuses(checker.request(address=None), "forbidden address")


@pytest.mark.parametrize("changes", [{"enabled": False}, {"expires": 1_800_000_000_000}])
def test_a_disabled_or_expired_client(changes: Any) -> None:
    checker = Checker(client(**changes))
    checker.refuses(checker.request(), "disabled client")
    checker.refuses(checker.request(app_key=None), "unknown app key")


def test_two_secrets_are_valid_while_one_is_rotated() -> None:
    signers = ((Signer("new secret", "hmac-sha1"), None), (Signer("old secret", "hmac-sha1"), 1_800_000_010_000))
    checker = Checker(client(signers=signers))
    checker.check(checker.request(0, secret="old secret"))
    checker.check(checker.request(1, secret="new secret"))
    checker.clock.now += 10
    checker.refuses(checker.request(2, secret="old secret"), "wrong signature")
    checker.check(checker.request(3, secret="new secret"))


def test_sha256_for_a_client_that_is_set_up_for_it_and_nothing_weaker() -> None:
    checker = Checker(client(algorithm="hmac-sha256"))
    checker.check(checker.request(algorithm="hmac-sha256"))
    checker.refuses(checker.request(1, algorithm="hmac-sha1"), "wrong signature")


# -- guessing --------------------------------------------------------------------------------------------------------


def test_wrong_and_unknown_look_the_same_to_a_stranger() -> None:
    checker = Checker()
    checker.refuses(checker.request(secret="guessed"), "wrong signature", WRONG)
    checker.refuses(checker.request(app_key="invented"), "unknown app key", WRONG)


def test_nobody_is_told_whether_an_app_key_is_unknown_disabled_or_expired() -> None:
    """Neither by a wrong signature nor by a right one, nor at the console's door."""
    clients = {"known": {}, "disabled": {"enabled": False}, "expired": {"expires": 1_800_000_000_000}}
    signed = []
    for secret in (SECRET, "guessed"):
        for app_key in (*clients, "invented"):
            checker = Checker(*(client(app_key, **changes) for app_key, changes in clients.items()))
            if (app_key, secret) == ("known", SECRET):
                continue
            with pytest.raises(Unauthenticated) as error:
                checker.check(checker.request(app_key=app_key, secret=secret))
            with pytest.raises(Unauthenticated) as at_the_door:
                checker.room.sign_in(checker.request(app_key=app_key), secret)
            signed += [(type(told.value), told.value.message, told.value.status) for told in (error, at_the_door)]
    assert set(signed) == {(Unauthenticated, WRONG, 401), (Unauthenticated, WRONG_SIGN_IN, 401)}


def test_guessing_slows_down_and_the_right_secret_ends_that() -> None:
    checker = Checker()
    for number in range(10):
        checker.refuses(checker.request(number, secret="guessed"), "wrong signature")
    checker.refuses(checker.request(), "throttled", "try again in 2 s")
    checker.check(checker.request(address=ipaddress.ip_address("10.0.0.6")))  # somebody else is not held up
    checker.clock.now += 1
    checker.refuses(checker.request(secret="guessed"), "wrong signature")
    checker.refuses(checker.request(), "throttled")
    checker.clock.now += 2
    checker.check(checker.request(1))
    checker.refuses(checker.request(2, secret="guessed"), "wrong signature")


def test_ten_thousand_attempts_in_an_hour_are_few_guesses_and_little_memory() -> None:
    checker = Checker()
    for number in range(10_000):
        checker.clock.now += 0.36
        with pytest.raises(Unauthenticated):
            checker.check(checker.request(number, secret="guessed"))
    looked_at = [entry for entry in checker.audit_log.entries if entry[5] != "throttled"]
    assert len(looked_at) < 10 + 6 + 3600 / 60 + 5
    for number in range(10_000):
        with pytest.raises(Unauthenticated):
            checker.check(checker.request(number, app_key=f"invented-{number}", secret="guessed"))
    assert len(checker.throttle) <= 256


def test_a_guesser_does_not_learn_which_app_keys_there_are() -> None:
    """Known and unknown ones are held up alike."""
    for app_key in (KEY, "invented"):
        checker = Checker()
        reasons = []
        for number in range(12):
            with pytest.raises(Unauthenticated) as error:
                checker.check(checker.request(number, app_key=app_key, secret="guessed"))
            reasons.append(error.value.message)
        assert reasons == [WRONG] * 10 + ["Too many failed attempts; try again in 2 s."] * 2


LONG = "a secret that is as long as those made here "


def test_no_script_that_fails_stops_the_others_of_its_address_whose_app_keys_are_dropped_too() -> None:
    rotated = ((Signer(LONG, "hmac-sha1"), None), (Signer("a short one before", "hmac-sha1"), 1_800_000_000_000))
    checker = Checker(client("neighbour", signers=rotated), client("short", "too short to be safe"))
    for number in range(30):
        checker.clock.now += 1
        with pytest.raises(Unauthenticated):
            checker.check(checker.request(number, app_key=None, secret="of a client that was removed"))
        checker.check(keyless(checker, f"neighbour-{number}", "neighbour", LONG))
    # A secret that may be guessed waits for the pause to end.
    with pytest.raises(Unauthenticated, match="Too many failed attempts"):
        checker.check(keyless(checker, "short", "short", "too short to be safe"))
    checker.check(checker.request(99, app_key="short", secret="too short to be safe"))  # its app key came through
    checker.clock.now += 60
    checker.check(keyless(checker, "later", "short", "too short to be safe"))


def test_no_guesser_gets_around_its_pause_by_leaving_out_the_app_key() -> None:
    """Such a request is tried with every client's secret."""
    checker = Checker(client(secret="too short to be safe"))
    for number in range(10_000):
        checker.clock.now += 0.36
        with pytest.raises(Unauthenticated):
            checker.check(keyless(checker, str(number), KEY, "guessed"))
    looked_at = [entry for entry in checker.audit_log.entries if entry[5] != "throttled"]
    assert len(looked_at) < 10 + 6 + 3600 / 60 + 5


def test_no_guesser_ends_its_pause_with_a_secret_of_its_own_and_no_app_key() -> None:
    checker = Checker(client(secret="too short to be safe"), client("guesser", LONG))
    for number in range(10):
        checker.refuses(keyless(checker, f"guess {number}", KEY, "guessed"), "wrong signature")
        checker.check(keyless(checker, f"own {number}", "guesser", LONG))
    checker.refuses(keyless(checker, "one more", KEY, "guessed"), "throttled")


def keyless(checker: Checker, nonce: str, app_key: str, secret: str) -> ClientRequest:
    """A request whose app key was signed, and dropped on its way."""
    request = checker.request(nonce, app_key=app_key, secret=secret)  # type: ignore[arg-type]
    return replace(request, headers={name: value for name, value in request.headers.items() if name != "app-key"})


def test_where_no_address_is_told_nobody_can_hold_up_others() -> None:
    checker = Checker()
    for number in range(50):
        checker.refuses(checker.request(number, secret="guessed", address=None), "wrong signature")
    checker.check(checker.request(address=None))


def test_no_number_of_failures_shuts_a_client_out_for_longer() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5000):
        clock.now += 61
        throttle.check("somebody")
        throttle.failed("somebody")
    clock.now += 61
    throttle.check("somebody")


def test_the_table_of_guesses_is_bounded() -> None:
    throttle = Throttle()
    for number in range(MAX_ENTRIES + 500):
        throttle.failed(number)
    assert len(throttle) == MAX_ENTRIES


def test_a_host_of_ipv6_is_one_guesser() -> None:
    checker = Checker()
    for number in range(10):
        checker.refuses(checker.request(secret="x" * 20, address=ipaddress.ip_address(f"fd00::{number}")),
                        "wrong signature")
    checker.refuses(checker.request(address=ipaddress.ip_address("fd00::ffff")), "throttled")


def test_a_known_and_an_unknown_app_key_take_the_same_work() -> None:
    """The same functions are called in the same order, and the signatures compared in a time that tells nothing."""
    def work(app_key: str) -> List[str]:
        checker = Checker()
        request = checker.request(app_key=app_key, secret="guessed")
        called: List[str] = []

        def note(frame: Any, event: str, argument: Any) -> None:
            if event == "call":
                called.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
            elif event == "c_call":
                called.append(argument.__name__)
        profiler = sys.getprofile()
        gc.disable()  # it may call what others left
        try:
            sys.setprofile(note)
            checker.check(request)
        except Unauthenticated:
            return called
        finally:
            sys.setprofile(profiler)
            gc.enable()
        raise AssertionError("it was let in")
    work(KEY)  # what is done once only
    known, unknown = work(KEY), work("invented-key")
    assert known == unknown
    assert sum(name.endswith("compare_digest") for name in known) == 1


# -- anything at all -------------------------------------------------------------------------------------------------


@examples(200)
@given(path=st.text(max_size=30), body=st.binary(max_size=20), name=st.text(max_size=10), value=st.text(max_size=10),
       nonce=st.text(max_size=10), key=st.one_of(st.none(), st.text(max_size=10)), signature=st.text(max_size=30))
def test_unicode_in_every_field_is_refused_never_an_exception(
    path: str, body: bytes, name: str, value: str, nonce: str, key: Optional[str], signature: str
) -> None:
    checker = Checker()
    pairs = [("TIMESTAMP", str(round(checker.clock.now * 1000))), ("NONCE", nonce), ("SIGNATURE", signature)]
    if key is not None:
        pairs.append(("APP_KEY", key))
    with pytest.raises(Unauthenticated):
        checker.check(ClientRequest(path, dict(pairs), body, {name: value}, "POST", HOME))
    assert checker.audit_log.entries[-1][1] is False


def test_whoever_has_not_proven_who_it_is_is_a_stranger_in_the_trail() -> None:
    """Whatever app key it names: the audit log keeps the refusals of those who are known apart."""
    checker = Checker(client(paths=("/v1/job/*",)), client("off", "off's secret", enabled=False))
    captured = checker.request()
    checker.check(captured)
    for refused, reason in [
        (checker.request(secret="guessed"), "wrong signature"),
        (checker.request(app_key="invented"), "unknown app key"),
        (replace(captured, headers={}), "not signed"), (captured, "replayed"),
        (checker.request(app_key="off", secret="off's secret"), "disabled client"),
    ]:
        checker.refuses(refused, reason)
        assert not checker.audit_log.known
    checker.refuses(checker.request(1, full_path="/v1/model/load"), "forbidden path")
    assert checker.audit_log.known
    with pytest.raises(Unauthenticated):
        checker.room.sign_in(checker.request(), "wrong")
    assert not checker.audit_log.known
    with pytest.raises(RoleMissing):
        checker.room.sign_in(checker.request(), SECRET)
    assert checker.audit_log.known


def test_the_trail_says_who_what_from_where_and_never_a_secret() -> None:
    checker = Checker()
    checker.refuses(checker.request(app_key=SECRET, secret=KEY), "unknown app key")  # mixed up
    checker.refuses(checker.request(secret="wrong"), "wrong signature")
    assert [entry[2] for entry in checker.audit_log.entries] == [None, KEY]
    assert SECRET not in json.dumps(checker.audit_log.entries, default=str)
    checker.audit_log.entries.clear()
    checker.check(checker.request(full_path="/v1/job/query?token=hidden"))
    assert checker.audit_log.entries == [("client", True, KEY, "POST /v1/job/query", HOME, "ok", None)]
    assert SECRET not in json.dumps(checker.audit_log.entries, default=str)
