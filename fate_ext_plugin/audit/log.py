"""The audit log: one JSON line for every decision of a server, in files bounded in size. It never holds a secret."""
import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Tuple

from fate_ext_plugin.audit.counters import SAVE_SECONDS, DecisionCounters

logger = logging.getLogger(__name__)
ALLOWED, REFUSED, STRANGERS, COUNTS = "allowed.jsonl", "refused.jsonl", "strangers.jsonl", "counts.json"
LOGS = (ALLOWED, REFUSED, STRANGERS)
FILE_BYTES = 10 * 2**20
FILES = 5
MAX_TEXT = 200
MAX_REQUEST = 65_536
GATHER_SECONDS = 0.01
LINES_AT_ONCE = 1000
MAX_WAITING = 100_000


class AuditLog:
    """Appends to the files :data:`LOGS` in ``folder``: what was allowed, what was refused to somebody known, and what
    was refused to anybody else. So no number of strangers pushes out a decision on somebody known.

    Of each at most :data:`FILES` files of about :data:`FILE_BYTES` bytes. One process writes, in a thread of its own
    and some milliseconds later: a system call in the midst of each request would cost more than all of its checks.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, file_bytes: int = FILE_BYTES) -> None:
        self.folder, self._clock = folder, clock
        self._files = {name: _File(folder / name, file_bytes) for name in LOGS}
        self._waiting: Deque[Tuple[str, bool, str, bytes]] = deque()
        self._decisions: Dict[Tuple[str, bool], int] = {}
        #: counts by time
        self.counters = DecisionCounters(folder / COUNTS)
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._thread: Optional[threading.Thread] = None

    def write(
        self, check: str, allowed: bool, who: Any, what: Any, source: Any, reason: str,
        request: Optional[Mapping[str, Any]] = None, known: bool = False,
    ) -> None:
        """Note a decision. A disk that is full is told in the log and stops nobody: FATE Flow must go on.

        A server that is killed loses what it decided in its last milliseconds.

        :param check: ``client``, ``site``, ``signature``, ``permission`` or ``admin``.
        :param who: app key or party; :param what: method and path, or none; :param source: address, where known.
        :param request: all that the decision was made of, where it may be tried again; left out if it is long.
        :param known: whether the caller had proven who it is when it was refused; anybody may have sent the rest.
        """
        name = ALLOWED if allowed else REFUSED if known else STRANGERS
        line = _line(self._clock(), check, allowed, who, what, source, reason, request)
        self._waiting.append((check, allowed, name, line))
        if len(self._waiting) > MAX_WAITING:
            self.flush()  # the disk is slower than the requests
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def decisions(self) -> Dict[Tuple[str, bool], int]:
        """How many there were since the start, by check and whether it allowed."""
        return dict(self._decisions)

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what waits to be written."""
        with self._writing:
            while self._waiting:
                decisions = [self._waiting.popleft() for _ in range(min(len(self._waiting), LINES_AT_ONCE))]
                for check, allowed, _, _ in decisions:  # counted here: in write(), each request would pay for it
                    self._decisions[check, allowed] = self._decisions.get((check, allowed), 0) + 1
                self.counters.add(self._clock(), ((check, allowed) for check, allowed, _, _ in decisions))
                for name, file in self._files.items():
                    file.append(b"".join(line for _, _, to, line in decisions if to == name))

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                thread = threading.Thread(target=self._write, name="fate-ext-audit", daemon=True)
                thread.start()
                self._thread = thread
                atexit.register(self._end)

    def _write(self) -> None:
        while True:
            try:
                if self._wake.wait(SAVE_SECONDS if self.counters.changed else None):
                    time.sleep(GATHER_SECONDS)  # what comes meanwhile is written with it
                    self._wake.clear()
                    self.flush()
                if self.counters.due(self._clock()):
                    self.counters.save(self._clock())
            except Exception:  # such as no memory for a moment; without this thread nothing is written any more
                logger.exception("decisions could not be written to the audit log")

    def _end(self) -> None:
        self.flush()
        if self.counters.changed:
            self.counters.save(self._clock())


class _File:
    """A file that becomes ``<name>.1`` when it is full, which becomes ``<name>.2``, and so on."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        self._path, self._file_bytes = path, file_bytes
        self._descriptor: Optional[int] = None
        self._size = 0
        self._failing = False

    def append(self, lines: bytes) -> None:
        try:
            while lines:
                written = os.write(self._open(), lines)
                lines = lines[written:]
                self._size += written
            if self._size >= self._file_bytes:
                self._rotate()
            self._failing = False
        except OSError as error:
            if not self._failing:  # once, not with every decision
                logger.error("the audit log can't be written: %s: %s", error.strerror, self._path)
            self._failing = True
            self.close()

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                os.write(self._descriptor, b"\n")  # after a line that could not be finished
        return self._descriptor

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _rotate(self) -> None:
        self.close()
        for number in range(FILES - 1, 0, -1):
            older = numbered(self._path, number - 1)
            if older.exists():
                os.replace(older, numbered(self._path, number))


def note_beside(
    folder: Path, check: str, allowed: bool, who: str, what: str, source: str, reason: str,
    request: Optional[Mapping[str, Any]],
) -> None:
    """Note a decision on somebody known, of another process than the one that writes this log: one line, and that one
    may move the file meanwhile. A disk that is full is told in the log."""
    file = _File(folder / (ALLOWED if allowed else REFUSED), sys.maxsize)
    file.append(_line(time.time(), check, allowed, who, what, source, reason, request))
    file.close()


def _line(
    now: float, check: str, allowed: bool, who: Any, what: Any, source: Any, reason: str,
    request: Optional[Mapping[str, Any]],
) -> bytes:
    entry: Dict[str, Any] = {
        "time": round(now, 6), "check": check, "allowed": allowed, "who": _short(who), "what": _short(what),
        "from": _short(source), "reason": _short(reason)}
    if request is not None and len(json.dumps(request)) <= MAX_REQUEST:
        entry["request"] = request
    return (json.dumps(entry) + "\n").encode("ascii")


def numbered(path: Path, number: int) -> Path:
    """The ``number``-th older file; 0 is the one that is written."""
    return path.with_name(f"{path.name}.{number}") if number else path


def _short(value: Any) -> Optional[str]:
    return None if value is None else str(value)[:MAX_TEXT]
