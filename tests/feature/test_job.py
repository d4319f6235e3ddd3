"""The states of a feature job, on every database it may live in.

    waiting ──► running ──► success ──► expired
       ▲           │ │
       └───────────┘ └────► failed          waiting, running ──► canceled
"""
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from fate_ext_plugin.db.base import Store, now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.errors import SourceError, UnknownJob
from fate_ext_plugin.feature.job import CANCELED, EXPIRED, FAILED, RUNNING, SUCCESS, WAITING, Job, JobFilter, Jobs
from fate_ext_plugin.feature.source import Counts
from tests.support.databases import in_processes

HOUR = 3_600_000
STATUSES = [WAITING, RUNNING, SUCCESS, FAILED, CANCELED, EXPIRED]


@pytest.fixture
def store(kind_store: Store) -> Store:
    return kind_store


@pytest.fixture
def jobs(store: Store) -> Jobs:
    store.call(lambda: FeatureJob.delete().execute())
    return Jobs(store)


def new(job_id: str = "a", **values: Any) -> Job:
    return Job(**{"job_id": job_id, "status": WAITING, "view": "credit", "request": {}, "id_name": "id",
                  "owner": "here", **values})


MOVES: Dict[str, Callable[[Jobs, Job], bool]] = {
    "take": lambda jobs, job: bool(jobs.take(job)),
    "progress": lambda jobs, job: jobs.progress(job, 40),
    "put_back": lambda jobs, job: jobs.put_back(job),
    "hand_over": lambda jobs, job: jobs.hand_over(job, "there"),
    "succeed": lambda jobs, job: jobs.succeed(job, Counts(ids=10, matched=8), 1234),
    "fail": lambda jobs, job: jobs.fail(job, SourceError("No rows.")),
    "cancel": lambda jobs, job: jobs.cancel(job.job_id),
    "expire": lambda jobs, job: jobs.expire(job.job_id),
}
#: from where each move leads where; from any other state it is refused
ALLOWED = {
    "take": {WAITING: RUNNING},
    "progress": {RUNNING: RUNNING},
    "put_back": {RUNNING: WAITING},
    "hand_over": {WAITING: WAITING, RUNNING: WAITING},
    "succeed": {RUNNING: SUCCESS},
    "fail": {WAITING: FAILED, RUNNING: FAILED},
    "cancel": {WAITING: CANCELED, RUNNING: CANCELED},
    "expire": {SUCCESS: EXPIRED},
}


def at(jobs: Jobs, job_id: str, status: str) -> Job:
    """A job brought to that status in the ordinary way."""
    jobs.add(new(job_id))
    ways: Dict[str, List[str]] = {
        WAITING: [], RUNNING: ["take"], SUCCESS: ["take", "succeed"], FAILED: ["take", "fail"], CANCELED: ["cancel"],
        EXPIRED: ["take", "succeed", "expire"]}
    for move in ways[status]:
        assert MOVES[move](jobs, jobs.get(job_id))
    job = jobs.get(job_id)
    assert job.status == status
    return job


def test_each_move_is_allowed_where_it_is_and_changes_nothing_elsewhere(jobs: Jobs) -> None:
    for move, is_leader in ALLOWED.items():
        for status in STATUSES:
            before = at(jobs, f"{move}-{status}", status)
            assert MOVES[move](jobs, before) is (status in is_leader), (move, status)
            after = jobs.get(before.job_id)
            if status in is_leader:
                assert after.status == is_leader[status]
            else:
                assert after == before


def test_an_accepted_job_waits(jobs: Jobs) -> None:
    before = now_ms()
    jobs.add(new(fate_job_id="202211", request={"month": "202201"}, id_name="sid", upload_bytes=7))
    job = jobs.get("a")
    assert (job.status, job.active, job.attempt, job.progress, job.start_time, job.end_time) == (
        WAITING, True, 0, 0, None, None)
    assert (job.fate_job_id, job.request, job.id_name, job.owner, job.view, job.upload_bytes) == (
        "202211", {"month": "202201"}, "sid", "here", "credit", 7)
    assert before <= job.create_time <= now_ms()


def test_accepting_may_be_repeated_where_the_answer_of_the_database_was_lost(jobs: Jobs) -> None:
    jobs.add(new())
    jobs.take(jobs.get("a"))
    jobs.add(new())
    assert jobs.get("a").status == RUNNING


def test_a_job_that_runs_counts_its_attempts(jobs: Jobs) -> None:
    jobs.add(new())
    for attempt in (1, 2, 3):
        assert jobs.take(jobs.get("a"))
        job = jobs.get("a")
        assert (job.attempt, job.progress) == (attempt, 0)
        assert job.start_time and job.start_time >= job.create_time
        jobs.progress(job, 50)
        assert jobs.hand_over(job, "here")
        assert jobs.get("a").progress == 0


def test_a_run_that_its_server_put_back_is_no_attempt(jobs: Jobs) -> None:
    jobs.add(new())
    running = jobs.take(jobs.get("a"))
    assert running and jobs.put_back(running)
    assert jobs.get("a").attempt == 0


@pytest.mark.parametrize("move", ["progress", "put_back", "hand_over", "succeed", "fail"])
def test_a_run_that_lost_its_job_changes_nothing(jobs: Jobs, move: str) -> None:
    """Its server was taken for dead, and comes back while another runs the job, or has run it."""
    jobs.add(new())
    lost = jobs.take(jobs.get("a"))
    assert lost and jobs.hand_over(lost, "there")
    for status in (WAITING, RUNNING):
        assert not MOVES[move](jobs, lost)
        assert (jobs.get("a").status, jobs.get("a").owner) == (status, "there")
        jobs.take(jobs.get("a"))
    running = jobs.get("a")
    assert running.attempt == 2
    jobs.hand_over(running, "here")
    assert not MOVES[move](jobs, lost), "the same server, but another run"
    assert jobs.get("a").status == WAITING


def test_success_keeps_the_counts(jobs: Jobs) -> None:
    job = at(jobs, "a", SUCCESS)
    assert (job.ids, job.matched, job.missing, job.result_bytes, job.progress) == (10, 8, 2, 1234, 100)
    assert not job.active
    assert job.end_time and job.elapsed_ms() == job.end_time - job.create_time
    assert (job.error, job.error_code) == (None, None)


def test_failure_keeps_the_reason_for_the_fate_job_s_log(jobs: Jobs) -> None:
    job = at(jobs, "a", FAILED)
    assert (job.error, job.error_code) == ("No rows.", SourceError.code)
    jobs.add(new("b"))
    jobs.fail(jobs.get("b"), SourceError("x" * 100_000))
    assert jobs.get("b").error == "x" * 2000


def test_a_cancel_says_who_did_it(jobs: Jobs) -> None:
    assert at(jobs, "a", CANCELED).error == "The job was canceled by an operator of this site."


def test_an_unknown_job_is_called_so(jobs: Jobs) -> None:
    for job_id in ("b", "", "' OR ''='", "数据", "😀", "x" * 1000):
        with pytest.raises(UnknownJob, match="There is no feature job .* here. Upload the IDs again"):
            jobs.get(job_id)
    assert not jobs.cancel("b")


def test_the_oldest_job_of_this_server_is_next(jobs: Jobs, store: Store) -> None:
    for position, (job_id, owner) in enumerate([("other", "there"), ("first", "here"), ("second", "here")]):
        jobs.add(new(job_id, owner=owner))
        store.call(lambda job_id=job_id, position=position: FeatureJob.update(  # type: ignore[misc]
            f_create_time=position).where(FeatureJob.f_job_id == job_id).execute())
    order = []
    for _ in range(2):
        job = jobs.next_waiting("here")
        assert job and jobs.take(job)
        order.append(job.job_id)
    assert order == ["first", "second"] and jobs.next_waiting("here") is None
    assert (jobs.count_waiting("here"), jobs.count_waiting("there")) == (0, 1)
    assert {job.job_id for job in jobs.owned("here", RUNNING)} == set(order)
    assert [job.job_id for job in jobs.find(limit=2)] == ["second", "first"]
    assert [job.job_id for job in jobs.find(JobFilter(status=WAITING))] == ["other"]


def test_statuses_of_more_jobs_than_one_statement_may_name(jobs: Jobs) -> None:
    jobs.add(new("a"))
    at(jobs, "b", FAILED)
    many = [f"stranger{number}" for number in range(2100)]
    assert jobs.statuses([*many, "a", "b"]) == {"a": WAITING, "b": FAILED}
    assert jobs.statuses([]) == {}
    assert jobs.known([*many, "b"]) == {"b"}


def test_rows_are_forgotten_only_when_nothing_of_them_is_left(jobs: Jobs) -> None:
    for status in STATUSES:
        at(jobs, status, status)
    jobs.add(new("elsewhere", owner="there"))
    jobs.cancel("elsewhere")
    assert [job.job_id for job in jobs.ended_before(["here"], SUCCESS, now_ms() + 1)] == [SUCCESS]
    assert jobs.ended_before(["here"], SUCCESS, now_ms() - HOUR) == []
    assert jobs.forget_ended_before(["here"], now_ms() - HOUR) == 0
    assert jobs.forget_ended_before(["here"], now_ms() + 1) == 3
    assert sorted(job.job_id for job in jobs.find()) == sorted([WAITING, RUNNING, SUCCESS, "elsewhere"])


# -- texts -----------------------------------------------------------------------------------------------------------

TEXTS = ["特征 😀", "a\\u0041 \\ back", "two\nlines\ttab", "nul \0", "half \ud83d", "naïve 'quote\" %s ?"]


def test_any_text_is_stored(jobs: Jobs) -> None:
    for number, text in enumerate(TEXTS):
        jobs.add(new(str(number), request={"name": text, "features": [text]}, id_name=text))
        assert jobs.fail(jobs.get(str(number)), SourceError(text))
        job = jobs.get(str(number))
        assert (job.status, job.request, job.id_name, job.error) == (
            FAILED, {"name": text, "features": [text]}, text, text)


def test_even_where_fate_flow_s_tables_know_few_characters(jobs: Jobs, store: Store, kind: str) -> None:
    """MySQL's utf8 has three bytes a character: no emoji. An error that can't be stored would leave its job running."""
    for charset in ("utf8", "latin1", "utf8mb4") if kind == "mysql" else ():
        store.call(lambda charset=charset: store.database.execute_sql(  # type: ignore[misc]
            f"ALTER TABLE t_ext_feature_job CONVERT TO CHARACTER SET {charset}"))
        store.call(lambda: FeatureJob.delete().execute())
        test_any_text_is_stored(jobs)
        with pytest.raises(UnknownJob):
            jobs.get("😀")


# -- races -----------------------------------------------------------------------------------------------------------


def at_once(actions: List[Callable[[], bool]]) -> List[bool]:
    results: List[bool] = []
    together = threading.Barrier(len(actions))

    def run(action: Callable[[], bool]) -> None:
        together.wait()
        results.append(action())

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(actions), "a thread died"
    return results


def test_of_many_threads_one_takes_a_job(jobs: Jobs) -> None:
    for number in range(5):
        jobs.add(new(str(number)))
        job = jobs.get(str(number))
        assert sorted(at_once([lambda job=job: bool(jobs.take(job))] * 8)) == [False] * 7 + [True]  # type: ignore[misc]
        assert jobs.get(str(number)).attempt == 1


def test_a_job_ends_once(jobs: Jobs) -> None:
    """It is canceled by an operator, fails and succeeds at the same moment."""
    for number in range(5):
        job = at(jobs, str(number), RUNNING)
        moves = ["cancel", "fail", "succeed"] * 3
        results = at_once([lambda move=move, job=job: MOVES[move](jobs, job) for move in moves])  # type: ignore[misc]
        assert sum(results) == 1


def take_all(store: Store) -> List[str]:
    jobs = Jobs(store)
    return [job.job_id for job in jobs.find() if jobs.take(job)]


def test_of_two_processes_one_takes_a_job(jobs: Jobs, kind: str, kind_folder: Path) -> None:
    for number in range(30):
        jobs.add(new(str(number)))
    first, second = in_processes(take_all, 2, kind, kind_folder)
    assert sorted(first + second, key=int) == [str(number) for number in range(30)]
    assert {job.attempt for job in jobs.find()} == {1}
