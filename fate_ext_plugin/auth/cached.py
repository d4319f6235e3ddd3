"""A table that is small and seldom changes, held in memory and looked at again every few seconds."""
import threading
import time
from typing import Callable, Generic, Optional, TypeVar

T = TypeVar("T")
REFRESH_SECONDS = 3.0


class Cached(Generic[T]):
    """:param load: reads all of it, given what it read before (None at first), so that unchanged parts can be kept."""

    def __init__(self, load: Callable[[Optional[T]], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = threading.Lock()
        self._value: Optional[T] = None
        self._loaded = 0.0

    def get(self) -> T:
        """At most :data:`REFRESH_SECONDS` old. Whatever ``load`` raises is raised here: nothing old is served."""
        value = self._value
        if value is not None and self._clock() - self._loaded < REFRESH_SECONDS:
            return value
        with self._lock:
            if self._value is None or self._clock() - self._loaded >= REFRESH_SECONDS:
                started = self._clock()
                self._value = self._load(self._value)
                self._loaded = started
            return self._value

    def forget(self) -> None:
        """Look again at the next :meth:`get`: we changed it ourselves."""
        self._loaded = float("-inf")
