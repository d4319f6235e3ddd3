"""What a few IDs would get of a view: an operator's look at it, without a job."""
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, List, Mapping

from fate_ext_plugin.errors import JobFailed, TooManyJobs, UnknownView
from fate_ext_plugin.feature.child import Child, JobError, Stopped
from fate_ext_plugin.feature.engine.worker import Task
from fate_ext_plugin.feature.id_file import IdFile
from fate_ext_plugin.feature.source import Workspace
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.feature.view import View
from fate_ext_plugin.settings.model import Settings

# Whoever asks sits in front of a browser or a terminal.
SAMPLE_SECONDS = 30.0


@dataclass(frozen=True)
class Sample:
    """The first column is the ID; an ID without features has no row, unless the view gives it one."""

    columns: List[str]
    rows: List[List[str]]
    missing: int


class Sampler:
    """Runs one sample at a time, with the memory and threads of a job, beside the jobs."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._lock = threading.Lock()

    def sample(self, name: str, ids: List[str], body: Mapping[str, Any]) -> Sample:
        """
        :param body: the view's parameters, and ``features`` where not all are wanted.
        :raises UnknownView: there is none of that name. :raises TooManyJobs: another sample is being taken.
        :raises JobFailed: a job would fail, or takes longer than :data:`SAMPLE_SECONDS`.
        :raises ExtError: an upload with ``body`` would be refused.
        """
        views = self._settings.views
        if name not in views:
            raise UnknownView(f"There is no view {name[:64]!r}. Views here: {', '.join(sorted(views)) or 'none'}.")
        if not self._lock.acquire(blocking=False):
            raise TooManyJobs("Another test of a view is running; try again when it has ended.")
        job_id = uuid.uuid4().hex  # of an upload that is never accepted, so what a killed server leaves is deleted
        try:
            return self._sample(views[name], ids, body, job_id)
        finally:
            self._storage.forget(job_id)
            self._lock.release()

    def _sample(self, view: View, ids: List[str], body: Mapping[str, Any], job_id: str) -> Sample:
        settings, storage = self._settings, self._storage
        join = view.join(body)
        view.source.check(join)
        with storage.receive(job_id) as target:
            id_file = IdFile(target, False, (), view.id_column, settings.max_ids)
            id_file.write("".join(f"{one}\n" for one in ids).encode("utf-8"))
            id_file.finish()
        folder = storage.received(job_id)
        scratch = folder / "scratch"
        scratch.mkdir(mode=0o700)
        work = Workspace(
            ids_path=folder / "ids", result_path=folder / "result", scratch=scratch,
            scratch_bytes=storage.spare_bytes(), id_name=id_file.id_name,
            threads=settings.job_threads, memory_bytes=settings.job_memory_mb * 2**20)
        deadline = time.monotonic() + SAMPLE_SECONDS
        try:
            counts = Child(storage.child_log()).run(
                Task(view.source, join, work), settings.job_timeout_seconds, lambda percent: None,
                lambda: time.monotonic() > deadline)
        except Stopped:
            raise JobFailed(f"The test was ended after {SAMPLE_SECONDS:.0f} s; a job may take longer.") from None
        except JobError as error:
            raise JobFailed(error.message, error.public) from None
        header, *lines = work.result_path.read_text("utf-8").splitlines()
        return Sample(header.split(","), [line.split(",") for line in lines], counts.missing)
