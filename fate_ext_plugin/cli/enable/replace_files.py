"""New content for files that a server reads: whole or not at all, with the old file kept beside."""
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence

from fate_ext_plugin.cli.errors import CommandFailed

MAX_BACKUPS_A_DAY = 1000


@dataclass(frozen=True)
class Change:
    """``file`` is no link."""

    file: Path
    old: bytes
    new: bytes


def replace_files(changes: Sequence[Change]) -> List[Path]:
    """Make all changes, or none; returns where the old files are now, in the same order.

    Mode, owner and extended attributes stay.

    :raises CommandFailed: nothing was changed, and why.
    """
    backups: List[Path] = []
    try:
        with ExitStack() as stack:
            written = [stack.enter_context(_beside(change)) for change in changes]
            for change, new in zip(changes, written):
                if change.file.read_bytes() != change.old:
                    raise CommandFailed(f"Nothing was changed: {change.file} was changed meanwhile; run this again.")
                backups.append(_second_name(change.file))
                os.replace(new, change.file)
    except BaseException as error:
        for change, backup in zip(changes, backups):
            os.replace(backup, change.file)
            with suppress(FileNotFoundError):  # both are still the same file, which a rename leaves as they are
                backup.unlink()
        if not isinstance(error, OSError):
            raise
        raise CommandFailed(f"Nothing was changed: {error.filename or changes[0].file}: {error.strerror}.") from None
    return backups


@contextmanager
def _beside(change: Change) -> Iterator[Path]:
    """The new content in the same folder; it is gone in the end unless it was moved.

    :raises CommandFailed: the file says that it is not to be changed.
    """
    before = change.file.stat()
    if not before.st_mode & 0o222 or not os.access(change.file, os.W_OK):
        raise CommandFailed(f"Nothing was changed: {change.file} is read-only; make it writable first.")
    descriptor, name = tempfile.mkstemp(prefix=f".{change.file.name}.", dir=change.file.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.new)
            made = os.fstat(descriptor)
            if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
                os.chown(name, before.st_uid, before.st_gid)
            shutil.copystat(change.file, name)
            os.utime(name)
            file.flush()
            os.fsync(descriptor)
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _second_name(file: Path) -> Path:
    """For the old file, before it loses its first; never that of an older backup."""
    date = time.strftime("%Y-%m-%d")
    for number in range(1, MAX_BACKUPS_A_DAY):
        name = file.with_name(f"{file.name}.{date}.{number}")
        with suppress(FileExistsError):
            os.link(file, name)
            return name
    raise CommandFailed(f"Nothing was changed: {file.parent} is full of backups of today; remove some.")
