"""Guessing is slow: after a few failures, one more attempt is looked at only after a pause that doubles."""
import threading
import time
from collections import OrderedDict
from typing import Callable, Hashable, Tuple

from fate_ext_plugin.errors import Unauthenticated

FREE_FAILURES = 10
LONGEST_PAUSE = 60.0
# The longest unused entries make room for new ones, so the table never grows beyond.
MAX_ENTRIES = 10_000


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
            failures, last = self._failures.pop(key, (0, 0.0))
            now = self._clock()
            if failures and now - last > 2 * LONGEST_PAUSE:
                failures = 0  # long ago
            self._failures[key] = (failures + 1, now)
            if len(self._failures) > MAX_ENTRIES:
                self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        if self._failures:
            with self._lock:
                self._failures.pop(key, None)

    def __len__(self) -> int:
        return len(self._failures)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return 0.0 if failures < FREE_FAILURES else min(LONGEST_PAUSE, 2.0 ** min(failures - FREE_FAILURES, 10))
