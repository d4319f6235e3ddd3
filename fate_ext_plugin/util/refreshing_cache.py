"""A table that is small and seldom changes, held in memory and looked at again every few seconds."""
import threading
import time
from typing import Callable, Generic, Optional, TypeVar

T = TypeVar("T")
REFRESH_SECONDS = 3.0
RETRY_SECONDS = 1.0


class RefreshingCache(Generic[T]):
    """:param load: reads all of it, given what it read before (None at first), so that unchanged parts can be kept.
    :param refresh: seconds after which it is looked at again."""

    def __init__(
        self, load: Callable[[Optional[T]], T], clock: Callable[[], float] = time.monotonic,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self._load, self._clock, self._refresh = load, clock, refresh
        self._lock = threading.Lock()
        self._value: Optional[T] = None
        self._error: Optional[Exception] = None
        self._looked = float("-inf")
        self._changes = 0

    def get(self) -> T:
        """At most ``refresh`` seconds old. Whatever ``load`` raises is raised here: nothing old is served."""
        value = self._value
        if value is None or self._clock() - self._looked >= self._refresh:
            with self._lock:
                if self._error is not None and self._clock() - self._looked < RETRY_SECONDS:
                    raise self._error.with_traceback(None)  # not each waiting thread tries in vain
                if self._value is None or self._clock() - self._looked >= self._refresh:
                    self._look()
                value = self._value
        assert value is not None
        return value

    def _look(self) -> None:
        changes, before, started = self._changes, self._value, self._clock()
        self._value = None
        try:
            self._value, self._error = self._load(before), None
        except Exception as error:
            self._error, started = error, self._clock()
            raise
        finally:
            # What was changed meanwhile may not be in it.
            self._looked = started if changes == self._changes else float("-inf")

    def forget(self) -> None:
        """Look again at the next :meth:`get`: we changed it ourselves."""
        self._changes += 1
        self._looked = float("-inf")
