"""The table of grants, on every database it may live in, changed and read by several servers at once."""
import os
import time
from pathlib import Path
from typing import Any, List

import pytest

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.permission import GrantJob, GrantKey, GrantUse
from fate_ext_plugin.errors import InvalidGrant
from fate_ext_plugin.permission import grants as module
from fate_ext_plugin.permission import usage as uses_module
from fate_ext_plugin.permission.grants import Grants, grant_of
from fate_ext_plugin.permission.item import component, dataset
from fate_ext_plugin.permission.usage import Uses
from tests.support.clock import Clock
from tests.support.databases import in_processes
from tests.support.permission import asked, grant

TODAY = "2026-11-25"
EVERY_TERM = dict(
    role="host", components=["hetero*", "reader"], datasets=["实验/表\n".strip(), {"namespace": "a/b", "name": "*"}],
    valid_from="2026-01-01", valid_until="2027-01-01 18:00", weekdays=["mon", "sun"], hours="22:00-06:00", max_uses=3,
    max_uses_per_day=2, initiators=["9999"], partners=["10001", "10002"], note="身 'quoted' \\ \U0001f600")


@pytest.fixture
def grants(kind_store: Store) -> Grants:
    table = Grants(kind_store)
    table.replace([], [row["f_name"] for row in table.rows()])
    return table


def test_a_grant_is_read_as_it_was_written(grants: Grants) -> None:
    plain, whole = grant("plain"), grant("whole", **EVERY_TERM)
    for new in (plain, whole):
        grants.add(new, "ann 安")
    assert grants.all() == [plain, whole]
    row = grants.row("whole")
    assert grant_of(row) == whole and row["f_maker"] == "ann 安" and row["f_create_date"]


def test_a_name_is_given_once_and_a_grant_that_is_not_there_is_called_so(grants: Grants) -> None:
    grants.add(grant())
    with pytest.raises(InvalidGrant, match="There is a grant it already"):
        grants.add(grant(components=["reader"]))
    grants.remove("it")
    for action in (grants.remove, grants.row):
        with pytest.raises(InvalidGrant, match="There is no grant 'it'"):
            action("it")


def test_only_grants_that_cover_an_item_are_found(grants: Grants) -> None:
    for name, terms in dict(
            exact=dict(components=["reader"]), star=dict(components=["re*"]), other=dict(components=["rea"]),
            everyone=dict(party="*", components=["*"]), stranger=dict(party="1", components=["reader"]),
            data=dict(datasets=["exp/reader"]), deny=dict(effect="deny", components=["reader"])).items():
        grants.add(grant(name, **terms))
    found = grants.find("9999", [component("reader"), component("x"), dataset("exp", "reader")])
    assert [[one.name for one in some] for some in found.values()] == [
        ["deny", "everyone", "exact", "star"], ["everyone"], ["data"]]


def test_a_policy_is_put_in_place_whole_or_not_at_all(grants: Grants, monkeypatch: pytest.MonkeyPatch) -> None:
    grants.replace([grant("a"), grant("b")], [])
    grants.replace([grant("b", components=["reader"]), grant("c")], ["a"])
    before = grants.all()
    assert [one.name for one in before] == ["b", "c"]
    monkeypatch.setattr(module, "_insert", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grants.replace([grant("d")], ["b", "c"])
    assert grants.all() == before
    assert [one.name for one in grants.find("9999", [component("reader")])[component("reader")]] == ["b", "c"]


def test_thousands_go_in_and_out_at_once_and_leave_nothing(grants: Grants, kind_store: Store) -> None:
    many = [grant(f"g{number}", components=[f"c{number}", "d*"], max_uses=1) for number in range(1100)]
    grants.replace(many, [])
    assert len(grants.find("9999", [component("d1")])[component("d1")]) == 1100
    assert Uses(kind_store).spend(many[:3], asked("d1"), TODAY) is None
    grants.replace([], [one.name for one in many])
    left = kind_store.call(lambda: [model.select().count() for model in (GrantKey, GrantUse, GrantJob)])
    assert left == [0, 0, 0]


def test_a_grant_that_another_server_makes_or_takes_counts_within_2_seconds(
    grants: Grants, kind_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, item, clock = Grants(kind_store), component("reader"), Clock()
    monkeypatch.setattr(grants._answers, "_clock", clock)
    assert module.REFRESH_SECONDS <= 2
    assert grants.find("9999", [item]) == {item: ()}
    elsewhere.add(grant())
    clock.now += module.REFRESH_SECONDS
    assert grants.find("9999", [item])[item]
    elsewhere.remove("it")
    clock.now += module.REFRESH_SECONDS
    assert not grants.find("9999", [item])[item]


def test_one_s_own_change_counts_at_once(grants: Grants) -> None:
    item = component("reader")
    assert not grants.find("9999", [item])[item]
    grants.add(grant())
    assert grants.find("9999", [item])[item]


def test_what_is_asked_again_asks_no_database(grants: Grants, monkeypatch: pytest.MonkeyPatch) -> None:
    grants.add(grant())
    items = [component(f"c{number}") for number in range(600)]
    first = grants.find("9999", items)
    monkeypatch.setattr(module, "_grants_by_key", lambda keys: 1 / 0)
    assert grants.find("9999", items) == first


def test_answers_in_memory_are_bounded(grants: Grants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWERS", 10)
    for number in range(30):
        grants.find("9999", [component(f"c{number}"), component("reader")])
    assert len(grants._answers.get().found) <= 10


def test_servers_that_change_grants_at_once_lose_none(kind: str, kind_folder: Path, grants: Grants) -> None:
    def add(store: Store) -> List[str]:
        table = Grants(store)
        names = [f"g-{os.getpid()}-{number}" for number in range(5)]
        for name in names:
            table.add(grant(name))
        return names

    made = [name for names in in_processes(add, 4, kind, kind_folder) for name in names]
    assert sorted(made) == [one.name for one in grants.all()]
    assert len(grants.find("9999", [component("reader")])[component("reader")]) == 20


def test_of_servers_that_count_at_once_none_goes_beyond_the_limit(
    kind: str, kind_folder: Path, kind_store: Store, grants: Grants
) -> None:
    limited = [grant("a", max_uses=7), grant("b", max_uses_per_day=9)]
    grants.replace(limited, [])

    def spend(store: Store) -> List[Any]:
        uses = Uses(store)
        return [uses.spend(
                    limited if number % 2 else limited[::-1], asked("reader", job=f"{os.getpid()}-{number}"), TODAY)
                for number in range(4)]

    outcomes = [outcome for outcomes in in_processes(spend, 4, kind, kind_folder) for outcome in outcomes]
    assert outcomes.count(None) == 7 and set(outcomes) == {None, "a"}
    assert {name: used.total for name, used in Uses(kind_store).of(["a", "b"], TODAY).items()} == {"a": 7, "b": 7}


def test_servers_that_are_asked_for_one_job_count_it_once(
    kind: str, kind_folder: Path, kind_store: Store, grants: Grants
) -> None:
    limited = [grant("a", max_uses=3)]
    grants.replace(limited, [])

    def spend(store: Store) -> Any:
        return Uses(store).spend(limited, asked("reader", job="the same"), TODAY)

    assert in_processes(spend, 4, kind, kind_folder) == [None] * 4
    assert Uses(kind_store).of(["a"], TODAY)["a"] == (1, 1)


def test_jobs_are_forgotten_after_a_while_but_their_uses_are_not(
    kind_store: Store, grants: Grants, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = [grant("a", max_uses=3)]
    grants.replace(limited, [])
    later = time.time() + uses_module.REMEMBERED_SECONDS + 86_400
    Uses(kind_store).spend(limited, asked("reader", job="old"), TODAY)
    Uses(kind_store, lambda: later).spend(limited, asked("reader", job="new"), TODAY)
    assert kind_store.call(lambda: GrantJob.select().count()) == 0  # both are older than that by this clock
    assert Uses(kind_store).of(["a"], TODAY)["a"].total == 2
