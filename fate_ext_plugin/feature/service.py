"""What the feature service does, without HTTP: accept an upload, tell how it goes, hand out the result."""
import hashlib
import hmac
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Mapping, Optional, Set, Union

from fate_ext_plugin.errors import (
    FateJobNotRunning,
    InvalidIdFile,
    InvalidSign,
    Misdirected,
    ResultExpired,
    ResultNotReady,
    ServerGone,
    TooManyJobs,
    UploadTooLarge,
)
from fate_ext_plugin.feature import job as states
from fate_ext_plugin.feature.id_file import IdFile
from fate_ext_plugin.feature.job import Job, Jobs
from fate_ext_plugin.feature.runner import Runner
from fate_ext_plugin.feature.servers import Servers
from fate_ext_plugin.feature.source import Join
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.feature.view import View, choose_view
from fate_ext_plugin.feature.waiters import JobWaiters
from fate_ext_plugin.settings.model import Settings

# An upload looks at the free disk space again after so many bytes.
SPACE_CHECK_BYTES = 64 * 2**20
# None: this host can't tell.
FateJobRunning = Callable[[str], Optional[bool]]


@dataclass(frozen=True)
class Result:
    """An open feature file; a reader keeps it even if it expires meanwhile."""

    file: BinaryIO
    size: int


@dataclass(frozen=True)
class Elsewhere:
    """A result that lies with another server, by its ``instance``, which is reached at ``address``."""

    instance: str
    address: str


class FeatureService:
    """Upload, query and download, as FATE Flow's ApiReader means them (contract sections 1 and 2)."""

    def __init__(
        self, settings: Settings, jobs: Jobs, storage: Storage, runner: Runner, waiters: JobWaiters, owner: str,
        servers: Servers, fate_job_running: FateJobRunning, on_upload: Optional[Callable[[int], None]] = None,
    ) -> None:
        """:param on_upload: is told the bytes of each ID file that is accepted."""
        self._settings, self._jobs, self._storage, self._runner = settings, jobs, storage, runner
        self._waiters, self._owner, self._servers = waiters, owner, servers
        self._fate_job_running = fate_job_running
        self._on_upload = on_upload
        self._lock = threading.Lock()
        self._arriving: Set[str] = set()

    def upload(self, body: Mapping[str, Any], length: Optional[int], chunks: Iterable[bytes]) -> str:
        """Accept an ID file as a new job and return its job ID.

        :param body: requestBody, already of the right types.
        :param length: bytes to come, where known.
        :param chunks: the document as it arrives.
        :raises ExtError: any of them; nothing is left behind.
        """
        check_sign(body.get("job_id"), body.get("sign"))
        view = choose_view(self._settings.views, self._settings.default_view, body.get("view"))
        join = view.join(body)
        view.source.check(join)
        self._check_fate_job(body.get("job_id"))
        job_id = self._jobs.new_id()
        with self._queue_place(job_id):
            self._accept(job_id, body, view, join, length, chunks)
        return job_id

    @contextmanager
    def _queue_place(self, job_id: str) -> Iterator[None]:
        """Reserve a place in the queue of waiting jobs. Uploads that began earlier have reserved theirs.

        :raises TooManyJobs: the queue is full.
        """
        with self._lock:
            before = list(self._arriving)
            self._arriving.add(job_id)
        try:
            # Not under the lock: the database may hang.
            if self._jobs.count_waiting(self._owner, before) + len(before) >= self._settings.max_waiting_jobs:
                raise TooManyJobs(
                    f"{self._settings.max_waiting_jobs} jobs are waiting already (max_waiting_jobs); try again later.")
            yield
        finally:
            with self._lock:
                self._arriving.discard(job_id)

    def _accept(
        self, job_id: str, body: Mapping[str, Any], view: View, join: Join, length: Optional[int],
        chunks: Iterable[bytes]
    ) -> None:
        if length is not None:
            self._check_size(length)
            self._storage.require_space(length)
        self._runner.warm_up()
        with self._storage.receive(job_id) as target:
            id_file = IdFile(
                target, has_header=body.get("head"), header_names=(*self._settings.header_names, view.id_column),
                default_name=view.id_column, max_ids=self._settings.max_ids)
            received = 0
            for chunk in chunks:
                received += len(chunk)
                self._check_size(received)
                if received // SPACE_CHECK_BYTES > (received - len(chunk)) // SPACE_CHECK_BYTES:
                    self._storage.require_space(0)
                id_file.write(chunk)
            id_file.finish()
            if id_file.id_name.lower() in (column.lower() for column in join.columns):
                raise InvalidIdFile(
                    f"The header {id_file.id_name!r} is the name of a feature, too. Rename the ID column of the FATE "
                    "table, or name other features.")
        try:
            self._jobs.add(Job(
                job_id=job_id, status=states.WAITING, view=view.name, owner=self._owner, id_name=id_file.id_name,
                request={key: value for key, value in body.items() if key not in ("sign", "job_id", "view", "head")},
                fate_job_id=body.get("job_id"), upload_bytes=received))
            self._storage.place(job_id, self._owner)
        except BaseException:
            self._storage.forget(job_id)
            raise
        self._runner.wake()
        if self._on_upload:
            self._on_upload(received)

    def query(self, job_id: str) -> Job:
        return self._jobs.get(job_id)

    def hold(self, job_id: str, seconds: float, heartbeat: float) -> Iterator[Job]:
        """Yield the job every ``heartbeat`` seconds, and a last time when it ended or ``seconds`` passed.

        With too many queries held, or a job that has ended, the first is the last.
        """
        deadline = time.monotonic() + seconds
        with self._waiters.wait_for(job_id) as ended:
            while True:
                # Looked at after waiting began, or was ended, so that no end is missed.
                over = ended is None or ended.is_set()
                job = self._jobs.get(job_id)
                left = deadline - time.monotonic()
                yield job
                if ended is None or over or not job.active or left <= 0:
                    return
                ended.wait(min(heartbeat, left))

    def result(self, job_id: str, sign: Optional[str], sent_to: Optional[str] = None) -> Union[Result, Elsewhere]:
        """Open the feature file, or say who has it.

        :param sent_to: the server that another one said has it.
        :raises InvalidSign: ``sign`` is given and wrong.
        :raises UnknownJob, ResultNotReady, ResultExpired: there is no file, and why.
        :raises ServerGone, Misdirected: its server can't be reached.
        """
        check_sign(job_id, sign)
        job = self._jobs.get(job_id)
        if job.status == states.EXPIRED:
            raise ResultExpired("The result was deleted after result_retention_seconds; run the FATE job again.")
        if job.status != states.SUCCESS:
            reason = f" {job.public_error}" if job.public_error else ""
            raise ResultNotReady(f"The feature job is {job.status}, so there is nothing to download.{reason}")
        if job.owner not in self._servers.peers():
            return self._elsewhere(job.owner, sent_to)
        try:
            file = open(self._storage.result(job_id, job.attempt), "rb", buffering=0)  # noqa: SIM115 - the caller closes it
        except FileNotFoundError:
            raise ResultExpired("The result is no longer on disk; run the FATE job again.") from None
        return Result(file, int(job.result_bytes or 0))

    def _elsewhere(self, owner: str, sent_to: Optional[str]) -> Elsewhere:
        server = self._servers.find(owner)
        if server is None or owner in self._servers.gone():
            raise ServerGone(
                f"The result lies with the server {server.address if server else owner}, which shows no life; start it "
                "again, or run the FATE job again.",
                "The result lies with another server, which shows no life; start it again, or run the FATE job again.")
        if sent_to is not None:
            raise Misdirected(
                f"This is not the server that has the result, though {server.address} should lead to it; give each "
                "server an address of its own (fateflow.host, or listen.host where it runs alone).",
                "This is not the server that has the result; give each server an address of its own (fateflow.host, or "
                "listen.host where it runs alone).")
        return Elsewhere(owner, server.address)

    def _check_fate_job(self, fate_job_id: Optional[str]) -> None:
        if not self._settings.verify_job:
            return
        running = self._fate_job_running(fate_job_id or "")
        if running is False and not fate_job_id:
            raise FateJobNotRunning(
                "requestBody has no job_id. FATE Flow's ApiReader sends it since 1.11, and before 1.11.1 it uploads an "
                "empty file, too: upgrade FATE Flow to 1.11.1 or 1.11.2. For uploads by other programs set "
                "verify_job: false.")
        if running is False:
            raise FateJobNotRunning(
                f"job_id {fate_job_id!r} is no running job of this FATE Flow. For uploads by other programs set "
                "verify_job: false.")

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_upload_bytes:
            raise UploadTooLarge(
                f"The upload is larger than max_upload_bytes ({self._settings.max_upload_bytes}). Split the ID table, "
                "or raise the setting.")


def check_sign(job_id: Optional[str], sign: Optional[str]) -> None:
    """``sign`` is the MD5 of the job ID, as FATE Flow 1.11 makes it: a checksum, no proof of identity.

    :raises InvalidSign: it is given and differs.
    """
    if sign is None:
        return
    expected = hashlib.md5((job_id or "").encode("utf-8")).hexdigest()
    if not hmac.compare_digest(expected.encode(), sign.encode("utf-8", "surrogatepass")):
        raise InvalidSign("sign is not the MD5 of the job ID; send what FATE Flow's ApiReader sends, or leave it out.")
