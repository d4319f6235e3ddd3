"""Failures count on all servers of a database, where they share nonces: a guesser gains nothing by taking turns."""
import pytest

from fate_ext_plugin.auth import throttle as module
from fate_ext_plugin.auth.throttle import SharedThrottle
from fate_ext_plugin.db.auth import Failure
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import Unauthenticated
from tests.support.clock import Clock
from tests.support.databases import cut_sessions

KEY = ("10.0.0.5", 7)


@pytest.fixture
def store(kind_store: Store) -> Store:
    kind_store.call(lambda: Failure.delete().execute())
    return kind_store


def refused(throttle: SharedThrottle, key: object = KEY) -> bool:
    try:
        throttle.check(key)
    except Unauthenticated as error:
        assert error.reason == "throttled"
        return True
    return False


def test_failures_at_both_servers_are_counted_together(store: Store, clock: Clock) -> None:
    servers = [SharedThrottle(store, clock), SharedThrottle(store, clock)]
    for number in range(10):
        assert not refused(servers[number % 2])
        servers[number % 2].failed(KEY)
    assert refused(servers[1])
    clock.now += 3
    assert refused(servers[0]), "it learns of the tenth failure within seconds"
    assert not refused(servers[0], ("10.0.0.6", 7)) and not refused(servers[0], ("10.0.0.5", 8))
    clock.now += 1
    assert not refused(servers[0])


def test_pauses_double_on_all_of_them(store: Store, clock: Clock) -> None:
    servers = [SharedThrottle(store, clock), SharedThrottle(store, clock)]
    looked_at = 0
    for number in range(1200):
        clock.now += 1
        if not refused(servers[number % 2]):
            looked_at += 1
            servers[number % 2].failed(KEY)
    assert looked_at < 10 + 6 + 1200 / 60 + 15  # a few more than on one server


def test_the_right_secret_ends_it_everywhere(store: Store, clock: Clock) -> None:
    servers = [SharedThrottle(store, clock), SharedThrottle(store, clock)]
    for _ in range(12):
        servers[0].failed(KEY)
    clock.now += 3
    assert refused(servers[1])
    clock.now += 1
    servers[0].succeeded(KEY)
    clock.now += 3
    assert not refused(servers[0]) and not refused(servers[1])
    assert store.call(lambda: Failure.select().count()) == 0


def test_the_good_path_asks_the_database_once_in_three_seconds(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle, calls = SharedThrottle(store, clock), []
    call = store.call
    monkeypatch.setattr(store, "call", lambda action: calls.append(action) or call(action))
    for _ in range(1000):
        throttle.check(KEY)
        throttle.succeeded(KEY)
    once = len(calls)
    clock.now += 3
    throttle.check(KEY)
    assert len(calls) == 2 * once == 4


def test_neither_table_nor_memory_grows_without_end(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds the table full counts on its server alone."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 20)
    throttle = SharedThrottle(store, clock)
    for number in range(30):
        throttle.failed(number)
    assert store.call(lambda: Failure.select().count()) == 20 and len(throttle) == 20
    for _ in range(10):
        throttle.failed("late")
    assert refused(throttle, "late")
    store.call(lambda: Failure.update(f_update_time=Failure.f_update_time - 2 * module.FORGET_MS).execute())
    clock.now += 3
    throttle.check("somebody")
    assert store.call(lambda: Failure.select().count()) == 0


def test_a_cut_connection_is_made_anew(store: Store, clock: Clock, kind: str) -> None:
    throttle = SharedThrottle(store, clock)
    if kind in ("mysql", "postgresql"):
        cut_sessions(store)
    throttle.failed(KEY)
    throttle.check(KEY)
