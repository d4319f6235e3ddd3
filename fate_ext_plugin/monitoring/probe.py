"""What may hang, such as a database, looked at so that nobody who asks hangs with it."""
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from typing import Callable, Generic, Optional, TypeVar

from fate_ext_plugin.errors import NoAnswerYet

T = TypeVar("T")
#: however often it is asked for, it is looked at once in so many seconds
KEEP_SECONDS = 2.0
#: a look that takes longer counts as none
PATIENCE_SECONDS = 2.0


class CachedProbe(Generic[T]):
    """:param look: runs in a thread of its own, never twice at once."""

    def __init__(
        self, look: Callable[[], T], keep: float = KEEP_SECONDS, patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._look, self._keep, self._patience = look, keep, patience
        self._lock = threading.Lock()
        self._newest: Optional[Future[T]] = None
        self._began = self._ended = float("-inf")

    def begin(self) -> "Future[T]":
        """The newest look: one that is under way, or that ended at most ``keep`` seconds ago."""
        with self._lock:
            newest, now = self._newest, time.monotonic()
            if newest is None or (newest.done() and now - self._ended >= self._keep):
                newest = Future()
                threading.Thread(target=self._run, args=(newest,), name="fate-ext-watch", daemon=True).start()
                self._newest, self._began = newest, now
            return newest

    def get(self) -> T:
        """What the newest look saw; whatever it raised is raised here.

        :raises NoAnswerYet: it takes longer than ``patience``; who asks later is told so at once.
        """
        newest = self.begin()
        try:
            return newest.result(max(0.0, self._began + self._patience - time.monotonic()))
        except NotDone:
            if newest.done():
                raise  # it is the look's own
            raise NoAnswerYet(f"There is no answer within {self._patience:g} s.") from None

    def _run(self, look: "Future[T]") -> None:
        try:
            seen = self._look()
        except BaseException as error:
            self._ended = time.monotonic()
            look.set_exception(error)
        else:
            self._ended = time.monotonic()
            look.set_result(seen)
