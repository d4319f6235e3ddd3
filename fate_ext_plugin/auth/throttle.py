"""Guessing is slow: after a few failures, one more attempt is looked at only after a pause that doubles."""
import threading
import time
from collections import OrderedDict
from hashlib import blake2b
from typing import Callable, Hashable, Optional, Set, Tuple

from fate_ext_plugin.db.auth import Failure
from fate_ext_plugin.db.base import Store, create_once, now_ms
from fate_ext_plugin.errors import Unauthenticated
from fate_ext_plugin.util.refreshing_cache import RefreshingCache

FREE_FAILURES = 10
LONGEST_PAUSE = 60.0
# The longest unused entries make room for new ones, so the table never grows beyond.
MAX_ENTRIES = 10_000
# Of what servers share: far longer than any pause, for their clocks differ.
FORGET_MS = 3_600_000


class Throttle:
    """Counts failures in a row for each key, such as an address and an app key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, Tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, key: Hashable) -> None:
        """:raises Unauthenticated: the pause after the last failure is not over."""
        with self._lock:
            failures, last = self._failures.get(key, (0, 0.0))
            left = last + pause(failures) - self._clock()
        if left > 0:
            raise Unauthenticated(f"Too many failed attempts; try again in {left + 1:.0f} s.", "throttled")

    def failed(self, key: Hashable) -> None:
        with self._lock:
            failures, last = self._failures.get(key, (0, 0.0))
            if failures and self._clock() - last > 2 * LONGEST_PAUSE:
                failures = 0  # long ago
            self._set(key, failures + 1)

    def succeeded(self, key: Hashable) -> None:
        if self._failures:
            with self._lock:
                self._failures.pop(key, None)

    def _set(self, key: Hashable, failures: int) -> None:
        self._failures.pop(key, None)
        self._failures[key] = (failures, self._clock())
        if len(self._failures) > MAX_ENTRIES:
            self._failures.popitem(last=False)

    def __len__(self) -> int:
        return len(self._failures)


class SharedThrottle(Throttle):
    """For several servers on one database: what fails at one counts at the others, too, within seconds.

    Nothing is written but failures, and what ends them. When a count grew is told by each server's own clock.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._store = store
        self._looks: RefreshingCache[Set[str]] = RefreshingCache(self._look, clock)

    def check(self, key: Hashable) -> None:
        """:raises Unauthenticated: the pause after the last failure, anywhere, is not over."""
        self._looks.get()
        super().check(_hash(key))

    def failed(self, key: Hashable) -> None:
        hashed = _hash(key)
        count = self._store.call(lambda: _count(hashed))
        if count is None:
            super().failed(hashed)
            return
        with self._lock:
            self._set(hashed, count)

    def succeeded(self, key: Hashable) -> None:
        hashed = _hash(key)
        if hashed in self._failures:
            super().succeeded(hashed)
            self._store.call(lambda: Failure.delete().where(Failure.f_key == hashed).execute())

    def _look(self, before: Optional[Set[str]]) -> Set[str]:
        """Learn of counts that make a pause, and which of those ``before`` are no more; returns their keys."""
        old = now_ms() - FORGET_MS
        self._store.call(lambda: Failure.delete().where(Failure.f_update_time < old).execute())
        counts = {row.f_key: row.f_count for row in self._store.call(
            lambda: list(Failure.select().where(Failure.f_count >= FREE_FAILURES)))}
        with self._lock:
            for key in (before or set()) - counts.keys():
                self._failures.pop(key, None)  # the right secret came to another server
            for key, failures in counts.items():
                if self._failures.get(key, (0, 0.0))[0] != failures:
                    self._set(key, failures)
        return set(counts)


def _count(key: str) -> Optional[int]:
    """How many failures there are with this one; None where the table is full: it counts on this server alone."""
    grown = Failure.change(f_count=Failure.f_count + 1).where(Failure.f_key == key)
    if not grown.execute():
        if Failure.select().count() >= MAX_ENTRIES:
            return None
        if not create_once(Failure, f_key=key, f_count=1):
            grown.execute()  # another server was faster
    row = Failure.get_or_none(Failure.f_key == key)
    return row.f_count if row else 1


def _hash(key: Hashable) -> str:
    return blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return 0.0 if failures < FREE_FAILURES else min(LONGEST_PAUSE, 2.0 ** min(failures - FREE_FAILURES, 10))
