"""Runs waiting jobs, each in a child process, and keeps house."""
import logging
import threading
import time
from contextlib import suppress
from typing import Callable, Dict, Mapping, Optional

from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.errors import DatabaseUnavailable, ExtError, NotReady, UnknownJob, WorkerError
from fate_ext_plugin.feature import job as states
from fate_ext_plugin.feature.child import Child, Stopped
from fate_ext_plugin.feature.engine.worker import Task
from fate_ext_plugin.feature.job import MAX_ATTEMPTS, Job, Jobs
from fate_ext_plugin.feature.servers import Servers
from fate_ext_plugin.feature.source import Workspace
from fate_ext_plugin.feature.storage import Storage, disk_errors
from fate_ext_plugin.feature.view import View
from fate_ext_plugin.feature.waiters import JobWaiters

logger = logging.getLogger(__name__)
TICK_SECONDS = 1.0
JANITOR_SECONDS = 60.0
SPARE_SECONDS = 60.0
IDS_GONE = "The job's ID file is gone."


class Runner:
    """One for each server. It runs the jobs of ``owner``, and takes over the jobs of dead servers whose files it can
    read."""

    def __init__(
        self, jobs: Jobs, storage: Storage, views: Mapping[str, View], waiters: JobWaiters, owner: str,
        servers: Servers, *,
        concurrent: int, threads: int, memory_bytes: int, timeout: float, retention: float, history: float,
        on_end: Optional[Callable[[Job], None]] = None,
    ) -> None:
        """:param on_end: is given each job that ran here, when it has ended."""
        self._jobs, self._storage, self._views, self._waiters, self._owner = jobs, storage, views, waiters, owner
        self._servers = servers
        self._concurrent, self._threads, self._memory_bytes = concurrent, threads, memory_bytes
        self._timeout, self._retention, self._history, self._on_end = timeout, retention, history, on_end
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: Dict[str, threading.Event] = {}  # job ID: set when it is to stop
        self._threads_of_jobs: Dict[str, threading.Thread] = {}
        self._spare: Optional[Child] = None
        self._dispatcher = threading.Thread(target=self._dispatch, name="fate-ext-runner", daemon=True)
        self._prober = threading.Thread(target=self._probe, name="fate-ext-servers", daemon=True)

    def start(self) -> None:
        """Take up what a predecessor left behind, then begin. Call while owning the storage's lock."""
        self._servers.join()
        self._servers.look()
        self._take_up_incoming()
        self._warn_of_others()
        for job in self._jobs.owned(self._owner, states.RUNNING):
            self._retry(job)
        self._dispatcher.start()
        self._prober.start()

    def _take_up_incoming(self) -> None:
        """A predecessor may have been killed after an upload's row was written; of others nothing was accepted."""
        left = self._storage.left_incoming()
        statuses = self._jobs.statuses(left)
        for job_id in left:
            if statuses.get(job_id) in states.ACTIVE:
                self._storage.place(job_id, self._owner)
            else:
                self._storage.forget(job_id)

    def _warn_of_others(self) -> None:
        stored = self._storage.stored_jobs()
        others = [job_id for job_id in set(stored) - self._jobs.known(stored) if not self._jobs.owns(job_id)]
        if others:
            logger.warning(
                "%s has files of %d jobs of another database, which stay; delete them if it is gone. One of them: %s",
                self._storage.jobs_folder, len(others), min(others))

    def stop(self) -> None:
        """Put running jobs back and end their processes; queries that are held say that their jobs go on."""
        self._stopping.set()
        self._wake.set()
        for thread in (self._dispatcher, self._prober):
            if thread.is_alive():
                thread.join(10.0)  # it begins no job any more
        with self._lock:
            running, threads = list(self._running.values()), list(self._threads_of_jobs.values())
        for event in running:
            event.set()
        for thread in threads:
            thread.join(10.0)
        self._drop_spare()
        self._waiters.close()

    def require_alive(self) -> None:
        """:raises NotReady: no job would be run."""
        if self._stopping.is_set():
            raise NotReady("The server is stopping.")
        if not (self._dispatcher.is_alive() and self._prober.is_alive()):
            raise NotReady("The thread that runs jobs has ended; look at the server's log and restart it.")

    def wake(self) -> None:
        """There may be a new job, or one to cancel."""
        self._wake.set()

    def warm_up(self) -> None:
        """Start a child while the upload of its job still streams in: its start costs a fifth of a second.

        Where that can't be done now, the job tries again."""
        with self._lock, suppress(OSError):
            if self._spare is None and len(self._running) < self._concurrent:
                self._spare = self._new_child()

    def cancel(self, job_id: str) -> bool:
        """Cancel a job here or on another server; False where it has ended."""
        canceled = self._jobs.cancel(job_id)
        if canceled:
            self._waiters.announce([job_id])
            self._wake.set()
        return canceled

    # -- the dispatcher's thread -----------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        last_tick = last_janitor = float("-inf")
        while not self._stopping.is_set():
            try:
                self._start_waiting()
                now = time.monotonic()
                if now - last_tick >= TICK_SECONDS or self._wake.is_set():
                    last_tick = now
                    self._wake.clear()
                    self._look_around()
                    self._start_waiting()
                if now - last_janitor >= JANITOR_SECONDS:
                    last_janitor = now
                    self.clean()
            except Exception as error:
                # The database may be gone for a while; jobs wait in it.
                logger.error("runner: %s: %s", type(error).__name__, error)
                self._stopping.wait(TICK_SECONDS)
            self._wake.wait(TICK_SECONDS)

    def _start_waiting(self) -> None:
        while len(self._running) < self._concurrent and not self._stopping.is_set():
            job = self._jobs.next_waiting(self._owner)
            if job is None:
                return
            taken = self._jobs.take(job)
            if taken:
                self._begin(taken)

    def _begin(self, job: Job) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(job, stop), name=f"fate-ext-{job.job_id[-8:]}", daemon=True)
        with self._lock:
            self._running[job.job_id] = stop
            self._threads_of_jobs[job.job_id] = thread
        try:
            thread.start()
        except RuntimeError:  # too many threads; its row is put back by _look_around
            with self._lock:
                del self._running[job.job_id], self._threads_of_jobs[job.job_id]
            raise

    def _look_around(self) -> None:
        """Learn what other processes did: jobs canceled, ended or taken over; and a row whose runner is gone."""
        with self._lock:
            running = dict(self._running)
        watched = set(self._waiters.watched())
        statuses = self._jobs.statuses(watched)
        self._waiters.announce(name for name in watched if statuses.get(name) not in states.ACTIVE)
        ours = {job.job_id: job for job in self._jobs.owned(self._owner, states.RUNNING)}
        for job_id, stop in running.items():
            if job_id not in ours:
                stop.set()
        for job_id, job in ours.items():
            # A take() whose answer was lost with its connection.
            if job_id not in self._running and job_id not in running:
                self._retry(job)
        with self._lock:
            if self._spare and time.monotonic() - self._spare.started > SPARE_SECONDS:
                self._spare.kill()
                self._spare = None

    def clean(self) -> None:
        """The janitor, one for all servers that see the same files: expire results, forget old rows, remove files that
        no row knows."""
        if not self._servers.is_leader():
            return
        peers, old = self._servers.peers(), now_ms() - int(self._history * 1000)
        for job in self._jobs.ended_before(peers, states.SUCCESS, now_ms() - int(self._retention * 1000)):
            if self._jobs.expire(job.job_id):
                self._storage.forget(job.job_id)
        self._jobs.forget_ended_before(peers, old)
        self._servers.forget(old)
        self._tidy()

    def _tidy(self) -> None:
        """Delete what a job left that ended while nobody looked, before a kill or canceled as it waited; and files of
        jobs whose row was deleted, such as by another server."""
        stored = self._storage.stored_jobs()
        statuses = self._jobs.statuses(stored)  # afterwards: a job's row is older than its folder
        for job_id in stored:
            status = statuses.get(job_id)
            if status == states.SUCCESS:
                if self._storage.has_work(job_id):
                    self._storage.clear_work(job_id, self._jobs.get(job_id).attempt)
            elif status is None:
                if self._jobs.owns(job_id):
                    self._storage.forget(job_id)
                    logger.info("removed files of unknown job %s", job_id)
            elif status not in states.ACTIVE:
                self._storage.forget(job_id)

    # -- the thread that watches the other servers ------------------------------------------------------------------

    def _probe(self) -> None:
        while not self._stopping.wait(self._servers.beat_seconds):
            try:
                self._servers.heartbeat()
                self._servers.look()
                self._take_over()
            except Exception as error:
                logger.error("servers: %s: %s", type(error).__name__, error)

    def _take_over(self) -> None:
        """Jobs of servers that are gone run here, where this server sees their files; otherwise they fail."""
        gone = self._servers.gone()
        if not gone:
            return
        peers = self._servers.peers()
        for job in self._jobs.active_of(gone):
            if job.job_id in self._running:
                continue  # lost before, by this server; its run has not ended yet
            if job.owner in peers:
                self._retry(job)
            else:
                self._fail(job, WorkerError(
                    "The server that has the job's files shows no life (server_timeout_seconds); run the FATE job "
                    "again."))
        self._wake.set()

    # -- a job's thread --------------------------------------------------------------------------------------------

    def _run(self, job: Job, stop: threading.Event) -> None:
        started = time.monotonic()
        try:
            self._attempt(job, stop)
            self._tell_end(job.job_id)
        except DatabaseUnavailable:
            # Its row still says running: once the database answers, _look_around lets it run again. Who waits for it
            # waits on.
            logger.error("job %s: its end could not be stored", job.job_id)
        else:
            self._waiters.announce([job.job_id])
        finally:
            with self._lock:
                self._running.pop(job.job_id, None)
                self._threads_of_jobs.pop(job.job_id, None)
            self._wake.set()
            logger.info("job %s: %.1f s", job.job_id, time.monotonic() - started)

    def _tell_end(self, job_id: str) -> None:
        if self._on_end is not None:
            job = self._jobs.get(job_id)
            if not job.active and job.owner == self._owner:
                self._on_end(job)

    def _attempt(self, job: Job, stop: threading.Event) -> None:
        """Run the job to its end; :raises DatabaseUnavailable: which end could not be stored."""
        try:
            self._join(job, stop)
        except Stopped:
            if not (self._stopping.is_set() and self._jobs.put_back(job)):
                self._leave(job)
        except DatabaseUnavailable:
            raise
        except ExtError as error:
            self._fail(job, error)
        except Exception as error:
            logger.exception("job %s", job.job_id)
            self._fail(job, WorkerError(f"The job failed: {type(error).__name__}; look at the server's log."))

    def _join(self, job: Job, stop: threading.Event) -> None:
        view = self._views.get(job.view)
        if view is None:
            raise WorkerError(f"The view {job.view!r} is no longer configured.")
        if not self._has_ids(job):
            raise WorkerError(IDS_GONE)
        with disk_errors():
            work = Workspace(
                ids_path=self._storage.ids(job.job_id), result_path=self._storage.result(job.job_id, job.attempt),
                scratch=self._storage.new_scratch(job.job_id, job.attempt), scratch_bytes=self._storage.spare_bytes(),
                id_name=job.id_name, threads=self._threads, memory_bytes=self._memory_bytes)
            child = self._take_child()
        try:
            counts = child.run(
                Task(view.source, view.join(job.request), work), self._timeout, self._progress_of(job), stop.is_set)
            with disk_errors():
                result_bytes = self._storage.keep_result(job.job_id, job.attempt)
        except BaseException:
            # Before its end is stored: a database on the same full disk could not do that.
            self._storage.clear_attempt(job.job_id, job.attempt)
            raise
        self._jobs.succeed(job, counts, result_bytes)
        self._leave(job)

    def _leave(self, job: Job) -> None:
        """Delete what a run leaves behind that has ended: of one that lost its job, nothing of another run's."""
        try:
            row = self._jobs.get(job.job_id)
        except UnknownJob:
            self._storage.forget(job.job_id)
            return
        try:
            if row.status == states.SUCCESS and (row.owner, row.attempt) == (job.owner, job.attempt):
                self._storage.clear_work(job.job_id, job.attempt)
            elif row.active or row.status == states.SUCCESS:
                self._storage.clear_attempt(job.job_id, job.attempt)
            else:
                self._storage.forget(job.job_id)
        except OSError as error:
            logger.error("job %s: its files are left to the janitor: %s", job.job_id, error)

    def _progress_of(self, job: Job) -> Callable[[int], None]:
        last = [0.0, 0.0]

        def progress(percent: int) -> None:
            now = time.monotonic()
            if percent > last[0] and now - last[1] >= 1.0:
                last[:] = percent, now
                with suppress(DatabaseUnavailable):  # no reason to fail the job
                    self._jobs.progress(job, percent)
        return progress

    def _take_child(self) -> Child:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare and spare.alive:
            return spare
        if spare:
            spare.kill()
        return self._new_child()

    def _new_child(self) -> Child:
        return Child(self._storage.child_log())

    def _drop_spare(self) -> None:
        with self._lock:
            if self._spare:
                self._spare.kill()
            self._spare = None

    def _fail(self, job: Job, error: ExtError) -> None:
        logger.error("job %s of view %s failed: %s", job.job_id, job.view, error.message)
        self._jobs.fail(job, error)
        self._leave(job)

    def _retry(self, job: Job) -> None:
        """A job of a server that died, this one or another."""
        if job.attempt >= MAX_ATTEMPTS:
            self._fail(job, WorkerError(f"The server ended {job.attempt} times while it ran this job."))
        elif not self._has_ids(job):
            self._fail(job, WorkerError(IDS_GONE))
        else:
            logger.warning("job %s: its server ended; it waits %s", job.job_id,
                           "again" if job.owner == self._owner else "here now")
            self._jobs.hand_over(job, self._owner)

    def _has_ids(self, job: Job) -> bool:
        """The upload, whose server may have died meanwhile, moves the ID file after it writes the job's row."""
        self._storage.place(job.job_id, job.owner)
        return self._storage.ids(job.job_id).exists()
