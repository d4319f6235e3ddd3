"""The audit log, read from its end. What can't fit is passed over in blocks, as bytes, and no line of it is read."""
import heapq
import json
import os
import re
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Generator, Iterator, List, Optional, Sequence, Set, Tuple

from fate_ext_plugin.audit.log import ALLOWED, FILES, LOGS, numbered
from fate_ext_plugin.errors import InvalidRequestBody

BLOCK_BYTES = 1 << 18
# A search ends by then, and says where to go on.
SEARCH_SECONDS = 0.1
# Threads write down what they decided a little later, and clocks are set.
DISORDER_SECONDS = 60.0
# A line begins with its time.
MAX_TIME_BYTES = 64
Entry = Dict[str, Any]
# A file's inode, which it keeps when it becomes an older one, and the offset before which its lines are unread.
Place = Tuple[int, int]
# In a cursor for None: no line is unread.
OVER = "over"


@dataclass(frozen=True)
class Filter:
    """Which decisions fit; times in ms since 1970, ``since`` included and ``until`` not."""

    check: Optional[str] = None
    who: Optional[str] = None
    allowed: Optional[bool] = None
    since: Optional[int] = None
    until: Optional[int] = None

    def needles(self) -> List[bytes]:
        """What stands in each line that fits, as the audit log writes it."""
        wanted = (("check", self.check), ("who", self.who))
        return [json.dumps({key: value})[1:-1].encode("ascii") for key, value in wanted if value is not None]

    def fits(self, entry: Entry) -> bool:
        wanted = ((self.check, entry.get("check")), (self.who, entry.get("who")), (self.allowed, entry.get("allowed")))
        moment = round(entry["time"] * 1_000_000) / 1000  # as exact as it was written
        return (all(value is None or value == has for value, has in wanted)
                and (self.since is None or moment >= self.since) and (self.until is None or moment < self.until))


@dataclass(frozen=True)
class Found:
    """``cursor``: where to go on; None: there are no older decisions that fit."""

    decisions: List[Entry]
    cursor: Optional[str]


def search(
    folders: Sequence[Path], wanted: Filter, limit: int, cursor: Optional[str] = None, seconds: float = SEARCH_SECONDS
) -> Found:
    """The newest decisions that fit. It may find fewer than ``limit``, or none, before its time is over.

    A cursor is a place in the files, not a time: so none is lost or shown twice, whatever is written meanwhile.

    :param cursor: of an earlier answer.
    :raises InvalidRequestBody: it is none.
    """
    deadline = time.monotonic() + seconds
    streams = _streams(folders, wanted, cursor)
    found: List[Entry] = []
    with closing(_merged(streams)) as merged:
        for entry in merged:
            if entry is not None:
                found.append(entry)
            if len(found) == limit or time.monotonic() >= deadline:
                break
    places = [stream.place for stream in streams]
    cursor = ".".join(OVER if place is None else "{}-{}".format(*place) for place in places)
    return Found(found, cursor if any(places) else None)


def read(*folders: Path) -> Iterator[Entry]:
    """All decisions still known of the audit logs in ``folders``, the newest first."""
    return (entry for entry in _merged(_streams(folders, Filter(), None)) if entry is not None)


def _streams(folders: Sequence[Path], wanted: Filter, cursor: Optional[str]) -> List["_Stream"]:
    paths = [folder / name for folder in folders for name in LOGS]
    places = list(map(_place_of_end, paths) if cursor is None else map(_parsed_place, cursor.split(".")))
    if len(places) != len(paths):
        raise InvalidRequestBody("The cursor is none of this audit log's.")
    return [_Stream(path, wanted, place if wanted.allowed in (None, path.name == ALLOWED) else None)
            for path, place in zip(paths, places)]


def _merged(streams: Sequence["_Stream"]) -> Generator[Optional[Entry], None, None]:
    """By time, the newest first; None: nothing that fits was found for a while, and may have been enough.

    A stream's place moves behind an entry when the next one is asked for, or here is closed.
    """
    waiting: List[Tuple[float, int, Entry, Place]] = []
    reading = {number: stream.entries() for number, stream in enumerate(streams)}
    missing = list(reading)
    while True:
        while missing:
            number = missing[-1]
            for entry, place in reading[number]:
                if entry is None:
                    streams[number].place = place
                    yield None
                else:
                    heapq.heappush(waiting, (-entry["time"], number, entry, place))
                    break
            else:
                streams[number].place = None
            missing.pop()
        if not waiting:
            return
        _, number, entry, place = heapq.heappop(waiting)
        streams[number].place = place
        missing.append(number)
        yield entry


def _place_of_end(path: Path) -> Optional[Place]:
    for number in range(FILES):
        with suppress(FileNotFoundError):  # not written yet, or just becoming an older one
            status = numbered(path, number).stat()
            return status.st_ino, status.st_size
    return None


def _parsed_place(text: str) -> Optional[Place]:
    if text == OVER:
        return None
    match = re.fullmatch("([0-9]{1,20})-([0-9]{1,20})", text)
    if not match:
        raise InvalidRequestBody("The cursor is none of this audit log's.")
    return int(match.group(1)), int(match.group(2))


class _Stream:
    """One kind of file with its older ones, read backwards from ``place``, None where nothing is left to read."""

    def __init__(self, path: Path, wanted: Filter, place: Optional[Place]) -> None:
        self.place = place
        self._path, self._wanted, self._needles = path, wanted, wanted.needles()

    def entries(self) -> Iterator[Tuple[Optional[Entry], Place]]:
        """Each entry that fits, and the place before it; None where a block has no more."""
        if self.place is None:
            return
        begin: Optional[Place] = self.place
        done: Set[int] = set()
        for number in range(FILES):
            try:
                file = open(numbered(self._path, number), "rb", buffering=0)  # noqa: SIM115 - closed below
            except FileNotFoundError:
                continue
            with closing(file):
                status = os.fstat(file.fileno())
                inode, end = status.st_ino, status.st_size
                if begin is not None:
                    if inode != begin[0]:
                        continue  # newer
                    end = min(begin[1], end)
                    begin = None
                if inode in done:
                    continue  # it became an older one meanwhile
                done.add(inode)
                if self._after(os.pread(file.fileno(), MAX_TIME_BYTES, 0)):
                    yield None, (inode, 0)
                    continue
                for block, offset in _blocks(file.fileno(), end):
                    if self._before(block):
                        return
                    for entry, at in self._in(block):
                        yield entry, (inode, offset + at)
                    yield None, (inode, offset)

    def _after(self, lines: bytes) -> bool:
        """Whether lines that begin so come after what is wanted ends."""
        until, oldest = self._wanted.until, _time(lines, 0)
        return until is not None and oldest is not None and (oldest - DISORDER_SECONDS) * 1000 >= until

    def _before(self, block: bytes) -> bool:
        """Whether this block, and so all older ones, end before what is wanted begins."""
        since = self._wanted.since
        if since is None:
            return False
        newest = _time(block, block.rfind(b"\n", 0, -1) + 1)
        return newest is not None and (newest + DISORDER_SECONDS) * 1000 < since

    def _in(self, block: bytes) -> Iterator[Tuple[Entry, int]]:
        """Each entry that fits, and where it begins."""
        if self._after(block) or not all(needle in block for needle in self._needles):
            return
        end = len(block)
        while end:
            start = block.rfind(b"\n", 0, end - 1) + 1
            if self._needles and self._needles[-1] not in block[start:end]:
                # To the last line that holds it.
                at = block.rfind(self._needles[-1], 0, start)
                end = block.find(b"\n", at) + 1 if at >= 0 else 0
                continue
            entry = None if self._late(block, start) else _parsed(block[start:end])
            if entry is not None and self._wanted.fits(entry):
                yield entry, start
            end = start

    def _late(self, block: bytes, start: int) -> bool:
        """Whether the line at ``start`` comes after what is wanted ends: not worth parsing."""
        moment = None if self._wanted.until is None else _time(block, start)
        return moment is not None and moment * 1000 >= self._wanted.until + 1  # type: ignore[operator]


def _blocks(descriptor: int, end: int) -> Iterator[Tuple[bytes, int]]:
    """Whole lines before ``end``, the last ones first, and where each block begins."""
    size = BLOCK_BYTES
    while end:
        start = max(0, end - size)
        block = os.pread(descriptor, end - start, start)
        # The line that begins before the block belongs to the next, but its end must be in here.
        first = block.find(b"\n") + 1 if start else 0
        last = block.rfind(b"\n") + 1
        if not last or (first == last and start):
            if not start:
                return  # a line that is not finished
            size *= 2
            continue
        size = BLOCK_BYTES
        yield block[first:last], start + first
        end = start + first


def _parsed(line: bytes) -> Optional[Entry]:
    """None for a line that a killed server did not finish."""
    try:
        entry: Entry = json.loads(line)
        return {**entry, "time": float(entry["time"])}
    except (ValueError, KeyError, TypeError):
        return None


def _time(block: bytes, start: int) -> Optional[float]:
    """When the decision in the line at ``start`` was made; it stands first."""
    begins = b'{"time": '
    if not block.startswith(begins, start):
        return None
    try:
        return float(block[start + len(begins):block.index(b",", start)])
    except ValueError:
        return None
