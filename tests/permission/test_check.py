"""What is allowed, by which grant, and what a refusal says."""
import logging
from typing import Any, Callable, Dict, List, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.audit.search import read
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.errors import DatabaseUnavailable, InvalidPermissionRequest, NotPermitted
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Decision, Permission, decide
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.grants import Grants, ListedGrants
from fate_ext_plugin.permission.usage import Uses
from tests.support.permission import MACHINE, asked, grant, recorded

WEDNESDAY = MACHINE.parse("2026-11-25 12:00")


def decision(grants: Sequence[Grant], *components: str, at: int = WEDNESDAY, **request: Any) -> Decision:
    return decide(asked(*components, **request), ListedGrants(grants), MACHINE.moment(at), MACHINE, {})


def refusal(*args: Any, **kwargs: Any) -> str:
    found = decision(*args, **kwargs)
    assert not found.allowed
    return found.message()


class TestTheRule:
    def test_without_a_grant_nothing_is_allowed(self) -> None:
        assert refusal([], "hetero_lr") == (
            "Party 9999 may not use component hetero_lr here as host: no grant names it.")

    def test_every_component_and_every_dataset_must_be_granted(self) -> None:
        grants = [grant("a", components=["reader", "hetero*"]), grant("b", datasets=["exp/ids", "exp/b*"])]
        assert decision(grants, "reader", "hetero_lr", datasets=["exp/ids", "exp/b1"]).allowed
        assert "component homo_lr" in refusal(grants, "reader", "homo_lr", datasets=["exp/ids"])
        assert "dataset exp/c" in refusal(grants, "reader", datasets=["exp/ids", "exp/c"])

    def test_components_are_looked_at_first_as_in_fate_flow(self) -> None:
        assert "component x" in refusal([], "x", datasets=["exp/ids"])

    def test_several_grants_may_cover_one_job_and_all_are_named(self) -> None:
        found = decision([grant("a", components=["x"]), grant("b", components=["y"])], "x", "y")
        assert found.message() == "granted by a, b"

    def test_deny_beats_allow(self) -> None:
        grants = [grant("all", components=["*"], datasets=["*/*"]),
                  grant("secret", party="*", effect="deny", datasets=["exp/secret"])]
        assert decision(grants, "reader", datasets=["exp/ids"]).allowed
        assert refusal(grants, "reader", datasets=["exp/secret"]).endswith("grant secret denies it.")
        assert refusal(grants, "reader", datasets=["exp/SECRET "]).endswith("grant secret denies it.")

    def test_a_deny_counts_only_on_its_own_terms(self) -> None:
        grants = [grant("all"), grant("no", effect="deny", valid_until="2026-11-25 12:00")]
        assert decision(grants, "reader").allowed
        assert not decision(grants, "reader", at=WEDNESDAY - 1).allowed

    def test_a_grant_for_all_parties_counts_for_each(self) -> None:
        assert decision([grant(party="*")], "reader", party="10001").allowed
        assert not decision([grant(party="9999")], "reader", party="10001").allowed

    def test_a_party_that_calls_itself_star_is_not_all(self) -> None:
        assert not decision([grant(party="9999")], "reader", party="*").allowed


class TestTerms:
    @pytest.mark.parametrize("terms, fits, does_not, says", [
        (dict(role="host"), dict(role="host"), dict(role="guest"), "is for role host here, not guest"),
        (dict(initiators=["9999", "10001"]), dict(initiator="10001"), dict(initiator="10000"),
         "is for jobs started by 9999 or 10001"),
        (dict(partners=["10001"]), dict(others=["10001"]), dict(others=["10001", "10002"]),
         "does not let party 10002 take part"),
        (dict(partners=["10001"]), dict(others=[]), dict(others=["*"]), "does not let party * take part"),
        (dict(valid_until="2026-11-25 12:00"), dict(at=WEDNESDAY - 1), dict(at=WEDNESDAY),
         "expired on 2026-11-25 12:00"),
        (dict(valid_from="2026-11-25 12:00"), dict(at=WEDNESDAY), dict(at=WEDNESDAY - 1),
         "counts from 2026-11-25 12:00 on"),
        (dict(weekdays=["wed", "mon"]), dict(at=WEDNESDAY), dict(at=WEDNESDAY + 86_400_000), "counts on mon, wed only"),
        (dict(hours="08:00-12:01"), dict(at=WEDNESDAY), dict(at=WEDNESDAY + 60_000), "counts at 08:00-12:01 only"),
        (dict(weekdays=["tue"], hours="20:00-13:00"), dict(at=WEDNESDAY), dict(at=WEDNESDAY + 86_400_000),
         "counts on tue only"),
    ])
    def test_each_is_kept_and_named_when_it_is_not(
        self, terms: Dict[str, Any], fits: Dict[str, Any], does_not: Dict[str, Any], says: str
    ) -> None:
        grants = [grant("it", **terms)]
        assert decision(grants, "reader", **fits).allowed
        assert refusal(grants, "reader", **does_not).endswith(f": grant it {says}.")

    def test_a_party_can_not_say_that_another_started_its_job(self) -> None:
        grants = [grant("it", party="*", initiators=["9999"])]
        assert decision(grants, "reader", party="9999", initiator="9999").allowed
        assert not decision(grants, "reader", party="10001", initiator="9999").allowed

    def test_a_deny_counts_as_soon_as_one_of_its_parties_is_there(self) -> None:
        grants = [grant("all"), grant("no", effect="deny", partners=["10001", "10002"], initiators=["9999"])]
        assert decision(grants, "reader", others=["10003"]).allowed
        assert not decision(grants, "reader", others=["10003", "10001"]).allowed
        assert not decision(grants, "reader", others=["10001"], initiator="10003").allowed

    def test_the_grant_that_came_nearest_is_named(self) -> None:
        grants = [grant("a-role", role="guest"), grant("b-late", valid_until="2026-01-01"), grant("c-other", party="1")]
        assert "grant b-late expired" in refusal(grants, "reader")
        (verdict,) = decision(grants, "reader").verdicts
        assert [miss.grant for miss in verdict.near] == ["b-late", "a-role"]


class TestUses:
    def permission(self, store: Store, clock: Callable[[], float], *grants: Grant, **options: Any) -> Permission:
        table = Grants(store)
        table.replace(grants, [])
        return Permission(table, Uses(store), Calendar(), None, "10000", clock=clock, **options)

    @staticmethod
    def ask(permission: Permission, job: str = "1", **changes: Any) -> str:
        """What it is granted by, or why it is refused."""
        request = {**recorded()[3], "component_list": ["intersection"], "component_parameters": None,
                   "dataset_list": [], "run_time_conf": None}
        try:
            permission.check({**request, **changes}, job)
        except NotPermitted as error:
            return error.message.rpartition(": ")[2]
        return "allowed"

    def test_a_job_counts_once_however_often_it_is_asked_for(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses=2))
        for _ in range(3):
            assert self.ask(permission, "1") == "allowed"
        assert self.ask(permission, "2") == "allowed"
        assert self.ask(permission, "3") == "grant it used 2 of 2."
        assert self.ask(permission, "1") == "allowed"  # tried again
        assert permission.used("it").total == 2

    def test_limits_a_day_begin_anew_at_the_site_s_midnight(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses_per_day=1))
        assert self.ask(permission, "1") == "allowed"
        assert self.ask(permission, "2") == "grant it used 1 of 1 today."
        now.ms = MACHINE.parse("2026-11-25 23:59:59")
        assert self.ask(permission, "2") == "grant it used 1 of 1 today."
        now.ms += 1000
        assert self.ask(permission, "2") == "allowed"
        assert permission.used("it") == (2, 1)

    def test_a_clock_that_goes_back_begins_no_day_anew(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses_per_day=1))
        midnight = MACHINE.parse("2026-11-26")
        for job, ms in enumerate((midnight, midnight - 1, midnight, midnight - 1)):
            now.ms = ms
            assert self.ask(permission, str(job)) == ("allowed" if job == 0 else "grant it used 1 of 1 today.")

    def test_a_job_of_another_party_with_the_same_id_counts(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(party="*", max_uses=1))
        assert self.ask(permission, "1") == "allowed"
        assert self.ask(permission, "1", src_party_id="10001") == "grant it used 1 of 1."

    def test_a_job_without_an_id_counts_each_time(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses=1))
        assert self.ask(permission, "", run_time_conf=None) == "allowed"
        assert self.ask(permission, "", run_time_conf=None) == "grant it used 1 of 1."

    def test_a_job_that_comes_again_with_other_content_counts_again(self, store: Store, now: "Now") -> None:
        """Its ID is of the partner's choice."""
        permission = self.permission(store, now, grant(max_uses=2))
        assert self.ask(permission, "1") == "allowed"
        assert self.ask(permission, "1", component_list=["intersection", "homo_nn"]) == "allowed"
        assert self.ask(permission, "1", component_list=["intersection", "homo_nn"]) == "allowed"
        assert self.ask(permission, "1") == "grant it used 2 of 2."
        assert permission.used("it").total == 2

    @pytest.mark.parametrize("change", [dict(role="guest"), dict(party_id="10002"), dict(party_id="010000")])
    def test_a_job_counts_for_each_role_and_party_that_fate_flow_runs_it_for(
        self, store: Store, now: "Now", change: Dict[str, str]
    ) -> None:
        """Whoever asks chooses both in the path; else one use would open any number of datasets."""
        permission = self.permission(store, now, grant(max_uses=2))
        assert self.ask(permission, "1") == "allowed"
        assert self.ask(permission, "1", **change) == "allowed"
        assert self.ask(permission, "1", **change) == "allowed"
        assert self.ask(permission, "1", **change, component_list=["homo_nn"]) == "grant it used 2 of 2."
        assert self.ask(permission, "1") == "allowed"

    def test_a_grant_without_limits_is_used_first(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant("a", max_uses=1), grant("b"))
        assert self.ask(permission, "1") == "allowed"
        assert permission.used("a").total == 0

    def test_when_one_is_used_up_the_next_is_used(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant("a", max_uses=1), grant("b", max_uses=2))
        assert [self.ask(permission, str(job)) for job in range(4)] == [
            "allowed", "allowed", "allowed", "grant a used 1 of 1."]

    def test_a_refused_job_uses_nothing(self, store: Store, now: "Now") -> None:
        permission = self.permission(
            store, now, grant("a", components=["intersection"], max_uses=1), grant("b", components=["x"], max_uses=1))
        assert self.ask(permission, "1", component_list=["intersection", "y"]) == "no grant names it."
        assert self.ask(permission, "2", component_list=["x"]) == "allowed"
        assert "used 1 of 1" in self.ask(permission, "3", component_list=["intersection", "x"])
        assert permission.used("a").total == 0

    def test_to_explain_counts_nothing_and_shows_what_is_counted(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses=1))
        assert permission.explain(asked("intersection")).allowed
        assert self.ask(permission, "1") == "allowed"
        assert permission.explain(asked("intersection")).message().endswith("grant it used 1 of 1.")

    def test_uses_are_forgotten_with_their_grant_and_kept_with_a_changed_one(self, store: Store, now: "Now") -> None:
        permission = self.permission(store, now, grant(max_uses=1))
        self.ask(permission, "1")
        permission.grants.replace([grant(max_uses=2)], [])
        assert permission.used("it").total == 1
        permission.grants.remove("it")
        permission.grants.add(grant(max_uses=2))
        assert permission.used("it").total == 0


class TestLocalJobs:
    def test_pass_without_a_grant(self, store: Store) -> None:
        permission = Permission(Grants(store), Uses(store), Calendar(), None, "9999")
        for request in recorded()[:3]:
            permission.check(request)
        with pytest.raises(NotPermitted):
            permission.check({**recorded()[3], "src_party_id": "10001"})

    def test_need_one_where_that_is_asked_for(self, store: Store) -> None:
        permission = Permission(Grants(store), Uses(store), Calendar(), None, "9999", check_local=True)
        for request in recorded()[:3]:
            with pytest.raises(NotPermitted):
                permission.check(request)
        permission.grants.add(grant(datasets=["exp/*"], components=["reader", "apireader", "upload"]))
        for request in recorded()[:3]:
            permission.check(request)


class TestWhatIsSaid:
    def test_the_code_is_fate_flow_s(self, store: Store) -> None:
        permission = Permission(Grants(store), Uses(store), Calendar(), None, "10000")
        with pytest.raises(NotPermitted) as component:
            permission.check(recorded()[3])
        permission.grants.add(grant(components=["reader", "apireader"]))
        with pytest.raises(NotPermitted) as dataset:
            permission.check(recorded()[3])
        assert (component.value.detail, dataset.value.detail) == (2, 3)
        permission.grants.add(grant("data", datasets=["exp/host_ids"]))
        permission.check(recorded()[3])

    def test_a_stranger_s_text_breaks_no_line_and_is_cut(self) -> None:
        grants = [grant("it", role="guest"), grant("other", partners=["10001"], components=["y"])]
        assert refusal(grants, "x", role="a\nb").isprintable()
        assert refusal(grants, "y", others=["5\n\x1b["]).isprintable()
        text = refusal([], "x\n2026 INFO all is fine\x1b[2J", party="9\n9", role="a\rb")
        assert text.isprintable()
        assert len(refusal([], "x" * 100_000)) < 300

    def test_every_decision_is_in_the_audit_trail(self, store: Store, tmp_path: Any) -> None:
        audit_log = AuditLog(tmp_path)
        permission = Permission(Grants(store), Uses(store), Calendar(), audit_log, "10000")
        with pytest.raises(NotPermitted):
            permission.check(recorded()[3], source="10.0.0.5")
        with pytest.raises(InvalidPermissionRequest):
            permission.check({"component_list": "x"})
        permission.check(recorded()[0])
        audit_log.flush()
        local, broken, refused = read(tmp_path)
        assert (local["allowed"], local["reason"]) == (True, "a job of this site")
        assert (broken["allowed"], broken["reason"]) == (False, "component_list must be a list.")
        assert refused == {
            "time": refused["time"], "check": "permission", "allowed": False, "who": "9999", "from": "10.0.0.5",
            "what": "host 10000: dataset exp/host_ids, component apireader, component reader",
            "reason": "Party 9999 may not use component reader here as host: no grant names it.",
            "request": {"party": "9999", "role": "host", "site": "10000", "initiator": "9999", "others": [],
                        "job": "202611231038053132510", "local": False, "items": [
                            ["component", "reader"], ["component", "apireader"], ["dataset", "exp", "host_ids"]]}}


class TestObserve:
    def test_refuses_nothing_and_says_what_would_be(
        self, store: Store, tmp_path: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        audit_log = AuditLog(tmp_path)
        permission = Permission(Grants(store), Uses(store), Calendar(), audit_log, "10000", mode="observe")
        permission.check(recorded()[3])
        permission.check({"component_list": 7})
        audit_log.flush()
        assert [(entry["allowed"], entry["reason"].partition(":")[0]) for entry in read(tmp_path)] == [
            (True, "only observed")] * 2
        assert "only observed: Party 9999 may not use component reader" in caplog.text
        assert not permission.explain(asked("reader")).allowed

    def test_also_where_the_database_is_gone(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(action: Any) -> Any:
            raise DatabaseUnavailable("The database does not answer.")
        permission = Permission(Grants(store), Uses(store), Calendar(), None, "10000", mode="observe")
        enforcing = Permission(Grants(store), Uses(store), Calendar(), None, "10000")
        monkeypatch.setattr(store, "call", gone)
        permission.check(recorded()[3])
        with pytest.raises(DatabaseUnavailable):
            enforcing.check(recorded()[3])


class BuiltIn:
    """FATE Flow's own check, in a sentence: each must be granted to the party to the letter. The test in
    tests/fate_flow holds us against the real one."""

    def __init__(self, granted: List[Any]) -> None:
        self.granted = granted

    def code(self, party: str, components: List[str], datasets: List[str]) -> int:
        if not all((party, name) in self.granted for name in components):
            return 2
        return 0 if all((party, name) in self.granted for name in datasets) else 3


PARTY, COMPONENT = st.sampled_from(["9999", "10000", "a"]), st.sampled_from(["reader", "hetero_lr", "homo_nn"])
DATASET = st.sampled_from(["exp/a", "exp/b", "EXP/a", "e/xp/a"])


@given(granted=st.lists(st.tuples(PARTY, COMPONENT | DATASET), unique=True), party=PARTY,
       components=st.lists(COMPONENT), datasets=st.lists(DATASET))
def test_plain_grants_decide_as_fate_flow_does(
    granted: List[Any], party: str, components: List[str], datasets: List[str]
) -> None:
    grants = [grant(f"g{number}", party, **{"datasets" if "/" in name else "components": [name]})
              for number, (party, name) in enumerate(granted)]
    found = decision(grants, *components, datasets=datasets, party=party)
    code = 0 if found.allowed else {"component": 2, "dataset": 3}[found.refused.item.kind]  # type: ignore[union-attr]
    assert code == BuiltIn(granted).code(party, components, datasets)


class Now:
    """A clock that stands still, in ms."""

    def __init__(self) -> None:
        self.ms = WEDNESDAY

    def __call__(self) -> float:
        return self.ms / 1000


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture(autouse=True)
def all_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
