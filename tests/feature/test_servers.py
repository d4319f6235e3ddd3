"""Who of the servers on one database lives, whatever their clocks say and whoever was paused."""
from typing import List

import pytest

from fate_ext_plugin.db.base import Store, now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.server import Secret
from fate_ext_plugin.db.server import Server as Row
from fate_ext_plugin.feature.job import Job, Jobs
from fate_ext_plugin.feature.servers import Server, Servers, all_servers

TIMEOUT = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(kind_store: Store) -> Store:
    for model in (Row, FeatureJob, Secret):
        kind_store.call(lambda model=model: model.delete().execute())  # type: ignore[misc]
    return kind_store


def server(store: Store, clock: Clock, instance: str, files: str = "") -> Servers:
    own = Server(instance, f"http://{instance}:9380", "0.1.0", files or instance, {"a": "1"})
    servers = Servers(store, own, TIMEOUT, clock)
    servers.join()
    return servers


def pass_by(clock: Clock, seconds: int, beating: List[Servers], looking: List[Servers]) -> None:
    for _ in range(0, seconds, 5):
        clock.now += 5
        for servers in beating:
            servers.heartbeat()
        for servers in looking:
            servers.look()


def test_one_that_shows_no_life_for_the_timeout_is_gone_until_it_does(store: Store, clock: Clock) -> None:
    one, two, three = (server(store, clock, name) for name in ("one", "two", "three"))
    pass_by(clock, 300, [one, two, three], [one])
    assert one.gone() == set() and one.living() == {"one", "two", "three"}
    pass_by(clock, 55, [one, two], [one])
    assert one.gone() == set()
    pass_by(clock, 10, [one, two], [one])
    assert (one.gone(), one.living()) == ({"three"}, {"one", "two"})
    pass_by(clock, 5, [three], [one])
    assert one.gone() == set()


def test_what_clocks_say_does_not_matter(store: Store, clock: Clock) -> None:
    one, two = server(store, clock, "one"), server(store, clock, "two")
    for hours in (-5, 5):
        pass_by(clock, 30, [one, two], [one])
        store.call(lambda hours=hours: Row.update(  # type: ignore[misc]
            f_update_time=now_ms() + hours * 3_600_000).execute())
        assert one.gone() == set()
    pass_by(clock, 65, [one], [one])
    assert one.gone() == {"two"}


def test_one_that_did_not_look_itself_takes_nobody_for_gone(store: Store, clock: Clock) -> None:
    """It was paused, or the database was away, for all others, too."""
    one, two = server(store, clock, "one"), server(store, clock, "two")
    pass_by(clock, 30, [one, two], [one])
    clock.now += 3600
    one.look()
    assert one.gone() == set()
    pass_by(clock, 55, [one], [one])
    assert one.gone() == set()
    pass_by(clock, 5, [one], [one])
    assert one.gone() == {"two"}


def test_one_that_was_never_seen_alive_is_gone_after_the_timeout(store: Store, clock: Clock) -> None:
    server(store, clock, "dead")
    one = server(store, clock, "one")
    pass_by(clock, 60, [one], [one])
    assert one.gone() == set()
    pass_by(clock, 5, [one], [one])
    assert one.gone() == {"dead"}


def test_a_row_that_was_deleted_comes_back(store: Store, clock: Clock) -> None:
    one = server(store, clock, "one")
    store.call(lambda: Row.delete().execute())
    one.heartbeat()
    (row,) = all_servers(store)
    assert (row.instance, row.address, row.version, row.settings) == ("one", "http://one:9380", "0.1.0", {"a": "1"})
    assert one.find("one") == row and one.find("two") is None


def test_the_first_of_the_living_mates_keeps_house(store: Store, clock: Clock) -> None:
    one, two, apart = (server(store, clock, name, files) for name, files in (
        ("one", "shared"), ("two", "shared"), ("apart", "")))
    pass_by(clock, 5, [one, two, apart], [one, two, apart])
    assert (one.peers(), two.peers(), apart.peers()) == (["one", "two"], ["one", "two"], ["apart"])
    assert (one.is_leader(), two.is_leader(), apart.is_leader()) == (True, False, True)
    pass_by(clock, 65, [two, apart], [two, apart])
    assert (two.peers(), two.is_leader(), apart.is_leader()) == (["one", "two"], True, True)


def test_rows_of_servers_that_are_gone_for_good_are_forgotten(store: Store, clock: Clock) -> None:
    """Not while a job still names one, nor of those that live."""
    one = server(store, clock, "one")
    for name in ("old", "owner"):
        server(store, clock, name)
    Jobs(store).add(Job("a", "waiting", "credit", {}, "id", "owner"))
    pass_by(clock, 70, [one], [one])
    one.forget(now_ms() - 3_600_000)
    assert len(all_servers(store)) == 3
    one.forget(now_ms() + 3_600_000)
    assert {row.instance for row in all_servers(store)} == {"one", "owner"}
