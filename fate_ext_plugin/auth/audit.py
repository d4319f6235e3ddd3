"""The audit trail: one JSON line for every decision, in files bounded in size. It never holds a secret."""
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

logger = logging.getLogger(__name__)
FILE_BYTES = 10 * 2**20
FILES = 5
MAX_TEXT = 200


class AuditTrail:
    """Appends to ``<folder>/audit.jsonl``; full files become ``audit.jsonl.1`` (the newest) and so on.

    At most :data:`FILES` files of :data:`FILE_BYTES` bytes. One process writes.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, file_bytes: int = FILE_BYTES) -> None:
        self._path = folder / "audit.jsonl"
        self._clock, self._file_bytes = clock, file_bytes
        self._lock = threading.Lock()
        self._descriptor: Optional[int] = None
        self._size = 0

    def write(self, check: str, allowed: bool, who: Any, what: Any, source: Any, reason: str) -> None:
        """Note a decision. A disk that is full is told in the log and stops nobody: FATE Flow must go on.

        :param check: ``client``, ``site`` or ``signature``.
        :param who: app key or party; :param what: method and path, or none; :param source: address, where known.
        """
        entry = {
            "time": round(self._clock(), 3), "check": check, "allowed": allowed, "who": _short(who),
            "what": _short(what), "from": _short(source), "reason": _short(reason)}
        line = (json.dumps(entry) + "\n").encode("ascii")
        try:
            with self._lock:
                self._append(line)
        except OSError as error:
            logger.error("the audit trail can't be written: %s: %s", error.strerror, self._path)

    def _append(self, line: bytes) -> None:
        if self._descriptor is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = os.fstat(self._descriptor).st_size
        os.write(self._descriptor, line)
        self._size += len(line)
        if self._size >= self._file_bytes:
            os.close(self._descriptor)
            self._descriptor = None
            for number in range(FILES - 1, 0, -1):
                older = self._path if number == 1 else _numbered(self._path, number - 1)
                if older.exists():
                    os.replace(older, _numbered(self._path, number))


def read(folder: Path) -> Iterator[Dict[str, Any]]:
    """All decisions still known, the newest first."""
    path = folder / "audit.jsonl"
    for file in (path, *(_numbered(path, number) for number in range(1, FILES))):
        try:
            lines = file.read_text("ascii").splitlines()
        except FileNotFoundError:
            continue
        for line in reversed(lines):
            try:
                entry: Dict[str, Any] = json.loads(line)
            except ValueError:
                continue  # a line that a killed server did not finish
            yield entry


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _short(value: Any) -> Optional[str]:
    return None if value is None else str(value)[:MAX_TEXT]
