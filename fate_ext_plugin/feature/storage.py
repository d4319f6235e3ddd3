"""Files on disk. A name is always a job ID of ours, never anything a caller said.

``incoming/<job>/ids``  an upload that still streams in, or whose row was written this moment
``jobs/<job>/ids``  its ID file, from acceptance to the job's end
``jobs/<job>/result.<attempt>``  the feature file of the attempt that the job's row names, until it expires

A job's row is written before its folder is moved to ``jobs``. So a folder in ``jobs`` without a row belongs to a job
that was deleted, and may be deleted at once: no file's age is ever compared with a clock, which may be wrong. Its name
tells whether it is of this database's jobs at all (see ``database_name``).
"""
import errno
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Tuple

from fate_ext_plugin.errors import DiskFull, InvalidSettings
from fate_ext_plugin.util.disk import FULL
from fate_ext_plugin.util.secret_file import (
    make_secret_file,
    mode_of,
    private_opener,
    replace_secret_file,
    require_secret_file,
    sync,
    take_from_others,
)

logger = logging.getLogger(__name__)
# How long a start waits for a predecessor that is still going down.
LOCK_WAIT_SECONDS = 10.0
UNUSABLE = (*FULL, errno.EROFS, errno.EIO)
PROBE_BYTES = 4096
# What the server and the commands keep in data_dir: other files there are none of ours.
OURS = ("audit", "database", "fate_ext.db", "fate_ext.db-shm", "fate_ext.db-wal", "incoming", "instance", "jobs",
        "lock", "master_key", "secret")
# The permission bits of those who are neither the owner nor of its group.
STRANGERS = 0o007


class Storage:
    """The folder ``data_dir``; one server process owns it at a time.

    :param shared: where jobs' files are instead, for all servers that name it.
    """

    def __init__(self, root: Path, min_free_bytes: int, shared: Optional[Path] = None) -> None:
        self._root, self._shared = root, shared
        self._min_free_bytes = min_free_bytes
        self._incoming = root / "incoming"
        self.jobs_folder = (shared or root) / "jobs"

    def open(self) -> None:
        """Create the folders, and take data_dir from all but its owner.

        :raises InvalidSettings: the folder can't be created or written, or is another user's.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._shared:
                self._shared.mkdir(mode=0o700, parents=True, exist_ok=True)
                # An upload is renamed into place, so it must come in on the same disk.
                self._incoming = self._shared / "incoming" / self.instance_id()
            for folder in (self._incoming.parent, self._incoming, self.jobs_folder):
                folder.mkdir(mode=0o700, exist_ok=True)
            probe = self._incoming / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            where = f"data_dir {self._root}" + (f" or shared_dir {self._shared}" if self._shared else "")
            raise InvalidSettings(f"{where} can't be written: {error.strerror}.") from None
        if take_from_others(self._root):
            logger.warning(
                "data_dir %s was open to other users of this machine; it is its owner's alone now. They may have read "
                "the secret of the tokens (`fate-ext replace-tokens` makes a new one) and features.", self._root)

    def close_to_others(self) -> None:
        """Take all that is ours in data_dir from all but its owner: what a copy, a backup or a umask left open. For the
        server, which owns the folder.

        :raises InvalidSettings: something is another user's.
        """
        closed = [str(path.relative_to(self._root)) for path in self._own_files() if _taken(path)]
        if closed:
            logger.info("in data_dir, %d files or folders are their owner's alone now: %s%s", len(closed),
                        ", ".join(closed[:5]), ", ..." if len(closed) > 5 else "")
        if self._shared and mode_of(self._shared) & STRANGERS:
            logger.warning("shared_dir %s is open to every user of this machine; chmod o-rwx it.", self._shared)

    def _own_files(self) -> Iterator[Path]:
        """All of our files and folders in data_dir; links to elsewhere are the operator's."""
        for name in OURS:
            ours = self._root / name
            yield ours
            if not ours.is_symlink():
                for folder, folders, files in os.walk(ours):
                    yield from (Path(folder) / inner for inner in (*folders, *files))

    def lock(self) -> BinaryIO:
        """Own the folder until the file returned is closed or the process ends.

        :raises InvalidSettings: another process owns it.
        """
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            file = self.try_lock()
            if file is not None:
                return file
            if time.monotonic() >= deadline:
                owner = (self._root / "lock").read_text("ascii", "replace").strip()[:20] or "unknown"
                raise InvalidSettings(f"data_dir {self._root} is in use by process {owner}; give each server its own.")
            time.sleep(0.1)

    def try_lock(self) -> Optional[BinaryIO]:
        """Like :meth:`lock`, but None where another process owns the folder now."""
        file = open(self._root / "lock", "a+b", opener=private_opener)  # noqa: SIM115 - held open on purpose
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        return file

    def secret(self) -> bytes:
        """The random secret behind the capability tokens, made on first use (32 bytes, mode 0600)."""
        path = self._root / "secret"
        make_secret_file(path, secrets.token_bytes(32))
        require_secret_file(path)
        secret = path.read_bytes()
        if len(secret) != 32:
            raise InvalidSettings(f"{path} is damaged; delete it and restart, then register again.")
        return secret

    def keep_secret(self, secret: bytes) -> None:
        """Keep that one from now on."""
        replace_secret_file(self._root / "secret", secret)

    def instance_id(self) -> str:
        """This data_dir's name in the database: the server's that owns it."""
        return _name_in(self._root / "instance")

    def files_id(self) -> str:
        """The name of the folder where jobs' files are; servers with the same one see the same files."""
        return _name_in(self._shared / "folder") if self._shared else self.instance_id()

    @contextmanager
    def receive(self, job_id: str) -> Iterator[BinaryIO]:
        """A file to stream an upload into: ``ids`` in the folder :meth:`received`, which vanishes on any error.

        On success it has reached the disk itself: what is accepted outlives a power cut.

        :raises DiskFull: less than the configured space is left.
        """
        folder = self.received(job_id)
        try:
            with disk_errors():
                folder.mkdir(mode=0o700)
                with open(folder / "ids", "w+b", opener=private_opener) as file:
                    self.require_space(0)
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                for path in (folder, folder.parent):
                    sync(path)
        except BaseException:
            self.forget(job_id)
            raise

    def received(self, job_id: str) -> Path:
        """The folder of an upload that is not accepted yet."""
        return self._incoming / job_id

    def place(self, job_id: str, owner: str) -> None:
        """Move what the server ``owner`` received for an accepted job to where jobs' files are.

        Does nothing where that is done already: the upload, the job's run and a server that takes the job over may
        all try it.
        """
        incoming = self._incoming.parent / owner if self._shared else self._incoming
        with suppress(FileNotFoundError), disk_errors():
            os.rename(incoming / job_id, self.job_folder(job_id))
            sync(self.jobs_folder)

    def require_space(self, more: int) -> None:
        """Raise :class:`DiskFull` where ``more`` bytes would not leave the configured space free."""
        free = self.disk_usage()[2]
        if free - more < self._min_free_bytes:
            raise DiskFull(
                f"The disk of data_dir has {free // 2**20} MiB free, which is too little for this request; "
                "free space there, or lower min_free_bytes.")

    def require_usable(self) -> None:
        """Write a little where jobs' files and our own are, and see that the configured space is left.

        :raises DiskFull: that can't be done, so that an upload could not be taken.
        """
        with disk_errors():
            for folder in {self._incoming, self._root}:
                # Without a name, so that nothing is left of it.
                with tempfile.TemporaryFile(dir=folder) as probe:
                    probe.write(bytes(PROBE_BYTES))
        self.require_space(1)

    def disk_usage(self) -> Tuple[int, int, int]:
        """Total, used and free bytes of the disk where jobs' files are."""
        return shutil.disk_usage(self.jobs_folder)

    def job_folder(self, job_id: str) -> Path:
        return self.jobs_folder / job_id

    def ids(self, job_id: str) -> Path:
        return self.jobs_folder / job_id / "ids"

    def result(self, job_id: str, attempt: int) -> Path:
        return self.jobs_folder / job_id / f"result.{attempt}"

    def scratch(self, job_id: str, attempt: int) -> Path:
        return self.jobs_folder / job_id / f"scratch.{attempt}"

    def has_work(self, job_id: str) -> bool:
        """Whether there is more than one result."""
        with suppress(FileNotFoundError):
            return len(os.listdir(self.job_folder(job_id))) > 1
        return False

    def keep_result(self, job_id: str, attempt: int) -> int:
        """The result that was written has reached the disk itself, too; returns its size."""
        result = self.result(job_id, attempt)
        sync(result)
        sync(result.parent)
        return result.stat().st_size

    def spare_bytes(self) -> int:
        """What may be used of the disk."""
        return max(0, self.disk_usage()[2] - self._min_free_bytes)

    def clear_work(self, job_id: str, attempt: int) -> None:
        """Delete what an ended job no longer needs: all but the result of its last attempt."""
        result = self.result(job_id, attempt)
        with suppress(FileNotFoundError):
            for path in self.job_folder(job_id).iterdir():
                if path != result:
                    _remove(path)

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Delete what one attempt leaves that came to nothing."""
        for path in (self.result(job_id, attempt), self.scratch(job_id, attempt)):
            _remove(path)

    def new_scratch(self, job_id: str, attempt: int) -> Path:
        """An empty folder; leftovers of attempts before go, but nothing of one that began since."""
        for before in range(1, attempt + 1):
            self.clear_attempt(job_id, before)
        scratch = self.scratch(job_id, attempt)
        scratch.mkdir(mode=0o700)
        return scratch

    def child_log(self) -> Path:
        """A new name for a child process's stderr."""
        return self._incoming / f"child-{secrets.token_hex(8)}.log"

    def forget(self, job_id: str) -> None:
        """Delete all files of a job, or of an upload to this server."""
        for folder in (self.received(job_id), self.job_folder(job_id)):
            shutil.rmtree(folder, ignore_errors=True)

    def left_incoming(self) -> List[str]:
        """Job IDs of what a killed predecessor received, once all else that it left there is deleted; call before
        serving."""
        for path in self._incoming.iterdir():
            if not path.is_dir():
                path.unlink(missing_ok=True)
        return [path.name for path in self._incoming.iterdir()]

    def stored_jobs(self) -> List[str]:
        """IDs of all jobs with files."""
        return os.listdir(self.jobs_folder)


def _taken(path: Path) -> bool:
    """Whether others had access to what is there. A link is the operator's, and what has gone meanwhile is nobody's."""
    with suppress(FileNotFoundError):
        return not path.is_symlink() and take_from_others(path)
    return False


def _name_in(path: Path) -> str:
    """The name that a file holds, made once, also by several servers at once."""
    make_secret_file(path, secrets.token_hex(8).encode("ascii"))
    return path.read_text("ascii").strip()


def _remove(path: Path) -> None:
    """What can't be deleted is left to the janitor."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


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
