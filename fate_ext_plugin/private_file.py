"""Files that hold a secret."""
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from fate_ext_plugin.errors import InvalidSettings


def require_private(path: Path) -> None:
    """:raises InvalidSettings: others than its owner may read it. :raises OSError: it is not there."""
    if path.stat().st_mode & 0o077:
        raise InvalidSettings(f"{path} is readable by others than its owner; chmod 600 it.")


def make_private(path: Path, content: bytes) -> None:
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


def replace_private(path: Path, content: bytes) -> None:
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
