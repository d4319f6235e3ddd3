"""Files on local disk. A name is always a job ID of ours, never anything a caller said.

``incoming/<job>``  an upload that still streams in
``jobs/<job>/ids``  its ID file, from acceptance to the job's end
``jobs/<job>/result``  the feature file, until it expires (``result.part`` while it is written)
"""
import errno
import fcntl
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, List, Set

from fate_ext_plugin.errors import DiskFull, InvalidSettings
from fate_ext_plugin.private_file import make_private, require_private, sync

# How long a start waits for a predecessor that is still going down.
LOCK_WAIT_SECONDS = 10.0
FULL = (errno.ENOSPC, errno.EDQUOT)
UNUSABLE = (*FULL, errno.EROFS, errno.EIO)


class Storage:
    """The folder ``data_dir``; one server process owns it at a time."""

    def __init__(self, root: Path, min_free_bytes: int) -> None:
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._incoming = root / "incoming"
        self._jobs = root / "jobs"

    def open(self) -> None:
        """Create the folders, readable by us alone.

        :raises InvalidSettings: the folder can't be created or written.
        """
        try:
            for folder in (self._root, self._incoming, self._jobs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self._incoming / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InvalidSettings(f"data_dir {self._root} can't be written: {error.strerror}.") from None

    def lock(self) -> BinaryIO:
        """Own the folder until the file returned is closed or the process ends.

        :raises InvalidSettings: another process owns it.
        """
        file = open(self._root / "lock", "a+b")  # noqa: SIM115 - held open on purpose
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    owner = file.read(20).decode("ascii", "replace").strip() or "unknown"
                    file.close()
                    raise InvalidSettings(
                        f"data_dir {self._root} is in use by process {owner}; give each server its own.") from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        return file

    def secret(self) -> bytes:
        """The random secret behind the capability tokens, made on first use (32 bytes, mode 0600)."""
        path = self._root / "secret"
        make_private(path, secrets.token_bytes(32))
        require_private(path)
        secret = path.read_bytes()
        if len(secret) != 32:
            raise InvalidSettings(f"{path} is damaged; delete it and restart, then register again.")
        return secret

    def instance_id(self) -> str:
        """This data_dir's name in the database: it owns the jobs whose files are here."""
        path = self._root / "instance"
        make_private(path, secrets.token_hex(8).encode("ascii"))
        return path.read_text("ascii").strip()

    @contextmanager
    def receive(self, job_id: str) -> Iterator[BinaryIO]:
        """A file to stream an upload into; it becomes the job's ID file on success and vanishes on any error.

        On success it has reached the disk itself: what is accepted outlives a power cut.

        :raises DiskFull: less than the configured space is left.
        """
        path = self._incoming / job_id
        try:
            with disk_errors(), open(path, "w+b") as file:
                self.require_space(0)
                yield file
                file.flush()
                os.fsync(file.fileno())
            with disk_errors():
                self.job_folder(job_id).mkdir(mode=0o700)
                os.replace(path, self.ids(job_id))
                for folder in (self.job_folder(job_id), self._jobs):
                    sync(folder)
        except BaseException:
            path.unlink(missing_ok=True)
            self.forget(job_id)
            raise

    def require_space(self, more: int) -> None:
        """Raise :class:`DiskFull` where ``more`` bytes would not leave the configured space free."""
        free = shutil.disk_usage(self._root).free
        if free - more < self._min_free_bytes:
            raise DiskFull(
                f"The disk of data_dir has {free // 2**20} MiB free, which is too little for this request; "
                "free space there, or lower min_free_bytes.")

    def job_folder(self, job_id: str) -> Path:
        return self._jobs / job_id

    def ids(self, job_id: str) -> Path:
        return self._jobs / job_id / "ids"

    def result(self, job_id: str) -> Path:
        return self._jobs / job_id / "result"

    def result_part(self, job_id: str) -> Path:
        return self._jobs / job_id / "result.part"

    def scratch(self, job_id: str) -> Path:
        return self._jobs / job_id / "scratch"

    def keep_result(self, job_id: str) -> int:
        """The written part becomes the result, on the disk itself; returns its size."""
        part, result = self.result_part(job_id), self.result(job_id)
        sync(part)
        os.replace(part, result)
        sync(result.parent)
        return result.stat().st_size

    def spare_bytes(self) -> int:
        """What may be used of the disk."""
        return max(0, shutil.disk_usage(self._root).free - self._min_free_bytes)

    def clear_work(self, job_id: str) -> None:
        """Delete what an ended job no longer needs: all but the result."""
        self.ids(job_id).unlink(missing_ok=True)
        shutil.rmtree(self.scratch(job_id), ignore_errors=True)

    def clear_attempt(self, job_id: str) -> None:
        """Delete what one run of a job left; it may be run again."""
        shutil.rmtree(self.scratch(job_id), ignore_errors=True)
        with suppress(OSError):
            self.result_part(job_id).unlink()

    def new_scratch(self, job_id: str) -> Path:
        """An empty folder; a killed attempt's leftovers go."""
        self.clear_attempt(job_id)
        scratch = self.scratch(job_id)
        scratch.mkdir(mode=0o700)
        return scratch

    def child_log(self) -> Path:
        """A new name for a child process's stderr."""
        return self._incoming / f"child-{secrets.token_hex(8)}.log"

    def forget(self, job_id: str) -> None:
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)

    def clear_incoming(self) -> None:
        """Delete what a killed predecessor was receiving; call before serving."""
        for path in self._incoming.iterdir():
            path.unlink(missing_ok=True)

    def stored_jobs(self, older_than: float = 0.0) -> List[str]:
        """Job IDs with a folder that did not change for ``older_than`` seconds."""
        latest = time.time() - older_than
        found = []
        for folder in self._jobs.iterdir():
            with suppress(FileNotFoundError):  # a job's thread deleted it just now
                if folder.stat().st_mtime <= latest:
                    found.append(folder.name)
        return found

    def remove_orphans(self, known: Callable[[List[str]], Set[str]], older_than: float) -> List[str]:
        """Delete folders of jobs that no row knows; returns their names."""
        stored = self.stored_jobs(older_than)
        orphans = sorted(set(stored) - known(stored))
        for job_id in orphans:
            self.forget(job_id)
        return orphans


def says_disk_full(error: BaseException) -> bool:
    """DuckDB says it in words: of a file that it writes, or of its limit of what it spills."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    words = {"IOException": os.strerror(errno.ENOSPC), "OutOfMemoryException": "max_temp_directory_size"}
    return type(error).__name__ in words and words[type(error).__name__] in str(error)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a disk that is full, or can't be written any more, into an answer that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull("The disk of data_dir is full; free space there and run the FATE job again.") from None
        if error.errno in UNUSABLE:
            raise DiskFull(f"The disk of data_dir can't be written: {error.strerror}.") from None
        raise
