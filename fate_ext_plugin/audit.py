"""The audit trail: one JSON line for every decision of a server, in files bounded in size. It never holds a secret."""
import atexit
import heapq
import json
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from fate_ext_plugin.tally import SAVE_SECONDS, Tally

logger = logging.getLogger(__name__)
ALLOWED, REFUSED, COUNTS = "allowed.jsonl", "refused.jsonl", "counts.json"
FILE_BYTES = 10 * 2**20
FILES = 5
MAX_TEXT = 200
MAX_REQUEST = 65_536
GATHER_SECONDS = 0.01
LINES_AT_ONCE = 1000
MAX_WAITING = 100_000


class AuditTrail:
    """Appends to ``allowed.jsonl`` and ``refused.jsonl`` in ``folder``: a flood of strangers pushes out no guest.

    Of each at most :data:`FILES` files of about :data:`FILE_BYTES` bytes. One process writes, in a thread of its own
    and some milliseconds later: a system call in the midst of each request would cost more than all of its checks.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, file_bytes: int = FILE_BYTES) -> None:
        self.folder, self._clock = folder, clock
        self._allowed = _File(folder / ALLOWED, file_bytes)
        self._refused = _File(folder / REFUSED, file_bytes)
        self._waiting: Deque[Tuple[str, bool, bytes]] = deque()
        self._decisions: Dict[Tuple[str, bool], int] = {}
        #: counts by time
        self.tally = Tally(folder / COUNTS)
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._thread: Optional[threading.Thread] = None

    def write(
        self, check: str, allowed: bool, who: Any, what: Any, source: Any, reason: str,
        request: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Note a decision. A disk that is full is told in the log and stops nobody: FATE Flow must go on.

        A server that is killed loses what it decided in its last milliseconds.

        :param check: ``client``, ``site``, ``signature``, ``permission`` or ``admin``.
        :param who: app key or party; :param what: method and path, or none; :param source: address, where known.
        :param request: all that the decision was made of, where it may be tried again; left out if it is long.
        """
        entry: Dict[str, Any] = {
            "time": round(self._clock(), 6), "check": check, "allowed": allowed, "who": _short(who),
            "what": _short(what), "from": _short(source), "reason": _short(reason)}
        if request is not None and len(json.dumps(request)) <= MAX_REQUEST:
            entry["request"] = request
        self._waiting.append((check, allowed, (json.dumps(entry) + "\n").encode("ascii")))
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
                for check, allowed, _ in decisions:  # counted here: in write(), each request would pay for it
                    self._decisions[check, allowed] = self._decisions.get((check, allowed), 0) + 1
                self.tally.add(self._clock(), ((check, allowed) for check, allowed, _ in decisions))
                self._allowed.append(b"".join(line for _, allowed, line in decisions if allowed))
                self._refused.append(b"".join(line for _, allowed, line in decisions if not allowed))

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="fate-ext-audit", daemon=True)
                self._thread.start()
                atexit.register(self._end)

    def _write(self) -> None:
        while True:
            if self._wake.wait(SAVE_SECONDS if self.tally.changed else None):
                time.sleep(GATHER_SECONDS)  # what comes meanwhile is written with it
                self._wake.clear()
                self.flush()
            if self.tally.due(self._clock()):
                self.tally.save(self._clock())

    def _end(self) -> None:
        self.flush()
        if self.tally.changed:
            self.tally.save(self._clock())


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
                logger.error("the audit trail can't be written: %s: %s", error.strerror, self._path)
            self._failing = True
            self._close()

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                os.write(self._descriptor, b"\n")  # after a line that could not be finished
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _rotate(self) -> None:
        self._close()
        for number in range(FILES - 1, 0, -1):
            older = self._path if number == 1 else _numbered(self._path, number - 1)
            if older.exists():
                os.replace(older, _numbered(self._path, number))


def read(*folders: Path) -> Iterator[Dict[str, Any]]:
    """All decisions still known of the trails in ``folders``, the newest first."""
    files = (_read(folder / name) for folder in folders for name in (ALLOWED, REFUSED))
    return heapq.merge(*files, key=lambda entry: -float(entry["time"]))


def search(
    folders: Sequence[Path], *, limit: int, before: Optional[float] = None, check: Optional[str] = None,
    who: Optional[str] = None, allowed: Optional[bool] = None, since: Optional[int] = None, until: Optional[int] = None,
) -> Tuple[List[Dict[str, Any]], Optional[float]]:
    """The newest decisions that fit, and where older ones begin: ``before`` of the next search, None if there are none.

    :param before: s since 1970; :param since, until: ms since 1970.
    """
    found: List[Dict[str, Any]] = []
    for entry in read(*folders):
        time_s = float(entry["time"])
        if since is not None and time_s * 1000 < since:
            break
        if (before is not None and time_s >= before) or (until is not None and time_s * 1000 >= until):
            continue
        wanted = ((check, entry["check"]), (who, entry["who"]), (allowed, entry["allowed"]))
        if all(value is None or value == has for value, has in wanted):
            if len(found) == limit:
                return found, float(found[-1]["time"])
            found.append(entry)
    return found, None


def _read(path: Path) -> Iterator[Dict[str, Any]]:
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
