"""Decisions counted by time, so that nobody reads an audit log to draw a chart of it."""
import json
import logging
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, Iterator, Mapping, Tuple

logger = logging.getLogger(__name__)
MINUTE, HOUR = 60, 3600
#: how many spans of a length, in seconds, are kept
KEPT = {MINUTE: 90, HOUR: 32 * 24}
SAVE_SECONDS = 60.0

Decision = Tuple[str, bool]


class DecisionCounters:
    """By minute for an hour and a half, by hour for 32 days: some thousand numbers, whatever happens.

    :meth:`save` keeps them in a file; what a server had counted since is missing after it was killed.

    :param path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts: Dict[int, Dict[int, Counter]] = {length: {} for length in KEPT}
        self._saved, self._changed = 0.0, False
        self._load()

    def add(self, now: float, decisions: Iterable[Decision]) -> None:
        """:param now: s since 1970; :param decisions: the check, and whether it allowed."""
        counted = Counter(decisions)
        with self._lock:
            for length, spans in self._counts.items():
                start = int(now) // length * length
                if start not in spans:
                    spans[start] = Counter()
                    for old in [known for known in spans if known <= start - KEPT[length] * length]:
                        del spans[old]
                spans[start].update(counted)
            self._changed = True

    def since(self, start: float, length: int) -> Iterator[Tuple[int, Mapping[Decision, int]]]:
        """When each span of ``length`` seconds begins, and its counts. :param start: s since 1970."""
        with self._lock:
            found = [(begin, Counter(counts)) for begin, counts in sorted(self._counts[length].items())
                     if begin + length > start]
        return iter(found)

    def due(self, now: float) -> bool:
        """Whether something is to be saved."""
        return self._changed and not 0 <= now - self._saved < SAVE_SECONDS

    @property
    def changed(self) -> bool:
        return self._changed

    def save(self, now: float) -> None:
        """A disk that is full is told in the log, and stops nobody."""
        with self._lock:
            self._changed = False
            content = {str(length): {str(start): [[check, allowed, count] for (check, allowed), count in counts.items()]
                                     for start, counts in spans.items()} for length, spans in self._counts.items()}
        self._saved = now
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(content, file)
            os.replace(new, self._path)
        except OSError as error:
            logger.error("counts of decisions can't be written: %s: %s", error.strerror, self._path)

    def _load(self) -> None:
        try:
            content = json.loads(self._path.read_text("ascii"))
            self._counts = {length: {
                int(start): Counter({(str(check), bool(allowed)): int(count) for check, allowed, count in counts})
                for start, counts in content[str(length)].items()} for length in KEPT}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("counts of decisions begin anew, %s can't be read: %r", self._path, error)
