"""Files and folders for their owner alone, such as those that hold a secret."""
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from fate_ext_plugin.errors import InvalidSettings

#: the permission bits of group and all others
OTHERS = 0o077


def require_secret_file(path: Path) -> None:
    """:raises InvalidSettings: others than its owner may read it. :raises OSError: it is not there."""
    if mode_of(path) & OTHERS:
        raise InvalidSettings(f"{path} is readable by others than its owner; chmod 600 it.")


def mode_of(path: Path) -> int:
    """Its permission bits. :raises OSError: it is not there."""
    return stat.S_IMODE(path.stat().st_mode)


def take_from_others(path: Path) -> bool:
    """Leave a file or folder to its owner alone; returns whether others had any access.

    :raises InvalidSettings: they have, and this process can't change that.
    :raises OSError: it is not there.
    """
    mode = mode_of(path)
    if not mode & OTHERS:
        return False
    try:
        path.chmod(mode & ~OTHERS)
        reason = "its file system keeps no modes" if mode_of(path) & OTHERS else ""
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = f"{error.strerror}: it belongs to the user ID {path.stat().st_uid}"
    if reason:
        raise InvalidSettings(f"{path} is open to others than its owner (mode {mode:04o}), and that can't be changed "
                              f"({reason}). Give it to the user that the server runs as, with mode "
                              f"{mode & ~OTHERS:04o}.")
    return True


def private_opener(path: str, flags: int) -> int:
    """For :func:`open`: a file that it makes is for its owner alone."""
    return os.open(path, flags, 0o600)


def make_secret_file(path: Path, content: bytes) -> None:
    """Make the file where it does not exist: whole or not at all, for other processes and after a power cut, too.

    :raises OSError: it can't be written.
    """
    if path.exists():
        return
    with _written(path, content) as new:
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError:  # a disk without hard links
            os.replace(new, path)


def replace_secret_file(path: Path, content: bytes) -> None:
    """Likewise, in place of what is there.

    :raises OSError: it can't be written.
    """
    with _written(path, content) as new:
        os.replace(new, path)


@contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside ``path`` that is on the disk itself; what was made of it is afterwards, too."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield new
    finally:
        with suppress(OSError):
            new.unlink()
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
