"""Feature jobs: their states, and every transition between them as one atomic statement.

    waiting ──► running ──► success ──► expired
       ▲           │ │
       └───────────┘ └────► failed
    (its server died)          waiting, running ──► canceled

A run is known by its job's owner and attempt: what it says counts only while both are still those of the row, so that a
server which was taken for dead and comes back changes nothing any more.
"""
import json
import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set

from peewee import fn

from fate_ext_plugin.db.base import Store, now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.errors import ExtError, UnknownJob
from fate_ext_plugin.feature.database_name import database_name
from fate_ext_plugin.feature.source import Counts

WAITING, RUNNING, SUCCESS, FAILED, CANCELED, EXPIRED = (
    "waiting", "running", "success", "failed", "canceled", "expired")
STATUSES = (WAITING, RUNNING, SUCCESS, FAILED, CANCELED, EXPIRED)
ACTIVE = (WAITING, RUNNING)
# A job whose server died is run again, but one that takes its server down with it is not run for ever.
MAX_ATTEMPTS = 3
MAX_ERROR_LENGTH = 2000
CANCELED_BY = "The job was canceled by an operator of this site."


@dataclass(frozen=True)
class Job:
    """A row of ``t_ext_feature_job`` as a value; times in ms since 1970.

    ``error`` is for operators, ``public_error`` for the FATE job: None also where an older version ended the job.
    """

    job_id: str
    status: str
    view: str
    request: Mapping[str, Any]
    id_name: str
    owner: str
    attempt: int = 0
    fate_job_id: Optional[str] = None
    progress: int = 0
    ids: Optional[int] = None
    matched: Optional[int] = None
    missing: Optional[int] = None
    upload_bytes: int = 0
    result_bytes: Optional[int] = None
    create_time: int = 0
    start_time: Optional[int] = None
    end_time: Optional[int] = None
    error_code: Optional[int] = None
    error: Optional[str] = None
    public_error: Optional[str] = None

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    def elapsed_ms(self) -> int:
        """From acceptance to the end, or to now; 0 where the clock was set back meanwhile."""
        return max(0, (self.end_time or now_ms()) - self.create_time)


@dataclass(frozen=True)
class Totals:
    """Of jobs with one status, accepted in one span of time: how many, their IDs, and of ``ended`` ones how long they
    took from then to their end, in ms."""

    status: str
    jobs: int
    ids: int
    matched: int
    elapsed: int
    ended: int
    longest: int


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are meant; ``since`` (included) and ``until`` (not): when they were accepted, ms since 1970."""

    status: Optional[str] = None
    view: Optional[str] = None
    fate_job_id: Optional[str] = None
    since: Optional[int] = None
    until: Optional[int] = None

    def of(self, query: Any) -> Any:
        """``query`` with conditions; what no text column of ours can hold finds nothing."""
        row = FeatureJob
        for wanted, term in (
                (self.status, row.f_status == self.status), (self.view, row.f_view == self.view),
                (self.fate_job_id, row.f_fate_job_id == self.fate_job_id),
                (self.since, row.f_create_time >= self.since), (self.until, row.f_create_time < self.until)):
            if wanted is not None:
                query = query.where(term)
        return query


class Jobs:
    """All feature jobs, in the database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _database(self) -> str:
        return database_name(self._store)

    def new_id(self) -> str:
        """An ID for a job to come, which nobody can guess: 32 hexadecimal digits, of which 24 are random."""
        return self._database + secrets.token_hex(16 - len(self._database) // 2)

    def owns(self, job_id: str) -> bool:
        """Whether that is the ID of a job of this database, which may have been deleted."""
        return job_id.startswith(self._database)

    def add(self, job: Job) -> None:
        """Accept a job: it waits from here on."""
        self._store.call(lambda: FeatureJob.get_or_none(FeatureJob.f_job_id == job.job_id) or FeatureJob.create(
            f_job_id=job.job_id, f_fate_job_id=job.fate_job_id, f_status=WAITING, f_owner=job.owner, f_view=job.view,
            f_request=json.dumps(job.request), f_id_name=job.id_name, f_upload_bytes=job.upload_bytes))

    def get(self, job_id: str) -> Job:
        """:raises UnknownJob: there is none."""
        # MySQL refuses to compare our column with characters that it does not know.
        rows = self._rows(FeatureJob.f_job_id == job_id) if job_id.isascii() else []
        if not rows:
            raise UnknownJob(f"There is no feature job {job_id[:64]!r} here. Upload the IDs again.")
        return rows[0]

    def find(self, wanted: JobFilter = JobFilter(), limit: int = 100, offset: int = 0) -> List[Job]:
        """The newest jobs first."""
        newest = FeatureJob.f_create_time.desc(), FeatureJob.f_job_id.desc()
        # Their IDs first, which an index has; a later page's rows would be read with all those before them.
        page = wanted.of(FeatureJob.select(FeatureJob.f_job_id)).order_by(*newest).limit(limit).offset(offset)
        job_ids = self._store.call(lambda: [row.f_job_id for row in page])
        found = {job.job_id: job for some in _some(job_ids) for job in self._rows(FeatureJob.f_job_id.in_(some))}
        return [found[job_id] for job_id in job_ids if job_id in found]

    def count(self, wanted: JobFilter = JobFilter()) -> int:
        """How many :meth:`find` would find."""
        return self._store.call(wanted.of(FeatureJob.select(FeatureJob.f_job_id)).count)

    def count_waiting(self, owner: str, besides: Sequence[str] = ()) -> int:
        """:param besides: jobs that are not to be counted, or are not accepted yet; the first 500 of them."""
        waiting = (FeatureJob.f_status == WAITING) & (FeatureJob.f_owner == owner)
        if besides:
            waiting &= FeatureJob.f_job_id.not_in(list(besides)[:500])
        return self._store.call(lambda: FeatureJob.select().where(waiting).count())

    def count_by_status(self, owner: str) -> Dict[str, int]:
        """How many jobs of this owner are in each status."""
        query = FeatureJob.select(FeatureJob.f_status, fn.COUNT(FeatureJob.f_status)).where(
            FeatureJob.f_owner == owner).group_by(FeatureJob.f_status)
        found: Dict[str, int] = dict.fromkeys(STATUSES, 0)
        found.update(self._store.call(lambda: dict(query.tuples().execute())))
        return found

    def totals(self, begins: Sequence[int]) -> List[List[Totals]]:
        """For each span of time, sums over the jobs accepted in it, one for each status that there is.

        A query a span: a single one would sort all jobs, which takes twice as long, and no function of time, nor a
        division, is the same in all databases.

        :param begins: of the spans, in order, ms since 1970; each ends where the next begins, the last never.
        """
        job = FeatureJob
        sums = job.select(
            job.f_status, fn.COUNT(job.f_status), fn.SUM(job.f_ids), fn.SUM(job.f_matched), fn.SUM(job.f_elapsed),
            fn.COUNT(job.f_elapsed), fn.MAX(job.f_elapsed)).group_by(job.f_status)
        ends = [*begins[1:], None]
        rows: List[List[Any]] = self._store.call(lambda: [
            list(JobFilter(since=since, until=until).of(sums).tuples()) for since, until in zip(begins, ends)])
        return [[Totals(status, *(int(value or 0) for value in values)) for status, *values in span] for span in rows]

    def result_bytes(self) -> int:
        """Of all results that can still be downloaded."""
        query = FeatureJob.select(fn.SUM(FeatureJob.f_result_bytes)).where(FeatureJob.f_status == SUCCESS)
        return int(self._store.call(query.scalar) or 0)

    def longest_wait(self, owner: str) -> float:
        """For how many seconds the oldest waiting job of this owner waits; 0 where none does."""
        oldest = self.next_waiting(owner)
        return oldest.elapsed_ms() / 1000 if oldest else 0.0

    def next_waiting(self, owner: str) -> Optional[Job]:
        rows = self._rows((FeatureJob.f_status == WAITING) & (FeatureJob.f_owner == owner),
                          FeatureJob.f_create_time.asc(), 1)
        return rows[0] if rows else None

    def statuses(self, job_ids: Iterable[str]) -> Dict[str, str]:
        found: Dict[str, str] = {}
        for chunk in _some(list(job_ids)):
            found.update(self._store.call(lambda chunk=chunk: {  # type: ignore[misc]
                row.f_job_id: row.f_status for row in
                FeatureJob.select(FeatureJob.f_job_id, FeatureJob.f_status).where(FeatureJob.f_job_id.in_(chunk))}))
        return found

    def status(self, job_id: str) -> Optional[str]:
        """None where there is no such job."""
        return self.statuses([job_id]).get(job_id)

    def known(self, job_ids: List[str]) -> Set[str]:
        return set(self.statuses(job_ids))

    def take(self, job: Job) -> Optional[Job]:
        """waiting → running; the job as it runs now, or None where another runner was first."""
        taken = replace(job, status=RUNNING, attempt=job.attempt + 1, progress=0)
        moved = self._move(_run_of(job), (WAITING,), f_status=RUNNING, f_attempt=taken.attempt, f_start_time=now_ms(),
                           f_progress=0)
        return taken if moved else None

    def progress(self, job: Job, percent: int) -> bool:
        return self._move(_run_of(job), (RUNNING,), f_progress=percent)

    def succeed(self, job: Job, counts: Counts, result_bytes: int) -> bool:
        return self._end(_run_of(job), (RUNNING,), SUCCESS, f_progress=100, f_ids=counts.ids, f_matched=counts.matched,
                         f_missing=counts.missing, f_result_bytes=result_bytes)

    def fail(self, job: Job, error: ExtError) -> bool:
        return self._end(_run_of(job), ACTIVE, FAILED, f_error_code=error.code,
                         f_error=error.message[:MAX_ERROR_LENGTH], f_public_error=error.public[:MAX_ERROR_LENGTH])

    def cancel(self, job_id: str) -> bool:
        """Whosever it is; False where the job has ended already."""
        return self._end(FeatureJob.f_job_id == job_id, ACTIVE, CANCELED,
                         f_error=CANCELED_BY, f_public_error=CANCELED_BY)

    def expire(self, job_id: str) -> bool:
        return self._move(FeatureJob.f_job_id == job_id, (SUCCESS,), f_status=EXPIRED)

    def put_back(self, job: Job) -> bool:
        """running → waiting, for a job whose server is going down: this run does not count."""
        return self._move(_run_of(job), (RUNNING,), f_status=WAITING, f_progress=0, f_attempt=job.attempt - 1)

    def hand_over(self, job: Job, owner: str) -> bool:
        """waiting, running → waiting for ``owner``: its server died, and its run counts."""
        return self._move(_run_of(job), ACTIVE, f_status=WAITING, f_progress=0, f_owner=owner)

    def owned(self, owner: str, status: str) -> List[Job]:
        return self._rows((FeatureJob.f_owner == owner) & (FeatureJob.f_status == status))

    def active_of(self, owners: Collection[str]) -> List[Job]:
        return self._rows(FeatureJob.f_owner.in_(tuple(owners)) & FeatureJob.f_status.in_(ACTIVE))

    def ended_before(self, owners: Collection[str], status: str, time_ms: int) -> List[Job]:
        return self._rows(FeatureJob.f_owner.in_(tuple(owners)) & (FeatureJob.f_status == status)
                          & (FeatureJob.f_end_time < time_ms))

    def remove(self, job_id: str) -> bool:
        """Delete the row of a job that has ended; False where it has not."""
        return bool(self._store.call(lambda: FeatureJob.delete().where(
            (FeatureJob.f_job_id == job_id) & FeatureJob.f_status.not_in(ACTIVE)).execute()))

    def forget_ended_before(self, owners: Collection[str], time_ms: int) -> int:
        """Delete rows of jobs that left nothing on disk."""
        return self._store.call(lambda: FeatureJob.delete().where(
            FeatureJob.f_owner.in_(tuple(owners)) & FeatureJob.f_status.in_((FAILED, CANCELED, EXPIRED))
            & (FeatureJob.f_end_time < time_ms)).execute())

    def _end(self, which: Any, sources: Iterable[str], status: str, **values: Any) -> bool:
        now = now_ms()
        return self._move(which, sources, f_status=status, f_end_time=now,
                          f_elapsed=now - FeatureJob.f_create_time, **values)

    def _move(self, which: Any, sources: Iterable[str], **values: Any) -> bool:
        return bool(self._store.call(lambda: FeatureJob.change(**values).where(
            which & FeatureJob.f_status.in_(tuple(sources))).execute()))

    def _rows(self, condition: Any, order: Any = None, limit: Optional[int] = None) -> List[Job]:
        query = FeatureJob.select().where(condition)
        if order is not None:
            query = query.order_by(order)
        if limit is not None:
            query = query.limit(limit)
        return self._store.call(lambda: [_job(row) for row in query])


def _run_of(job: Job) -> Any:
    """The job's row, unless another run has begun."""
    return ((FeatureJob.f_job_id == job.job_id) & (FeatureJob.f_owner == job.owner)
            & (FeatureJob.f_attempt == job.attempt))


def _some(job_ids: List[str]) -> Iterator[List[str]]:
    """SQLite takes 999 values in one statement at most."""
    return (job_ids[start:start + 500] for start in range(0, len(job_ids), 500))


def _job(row: FeatureJob) -> Job:
    return Job(
        job_id=row.f_job_id, status=row.f_status, view=row.f_view, request=json.loads(row.f_request),
        id_name=row.f_id_name, owner=row.f_owner, attempt=row.f_attempt, fate_job_id=row.f_fate_job_id,
        progress=row.f_progress, ids=row.f_ids, matched=row.f_matched, missing=row.f_missing,
        upload_bytes=row.f_upload_bytes, result_bytes=row.f_result_bytes, create_time=row.f_create_time or 0,
        start_time=row.f_start_time, end_time=row.f_end_time, error_code=row.f_error_code, error=row.f_error,
        public_error=row.f_public_error)
