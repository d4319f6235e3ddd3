"""Nonces: what was signed for one request counts for one request (and FATE's own retries of it)."""
import hashlib
import threading
import time
from collections import Counter, deque
from typing import Callable, Deque, Dict, Protocol, Tuple

from fate_ext_plugin.db.auth import Nonce
from fate_ext_plugin.db.base import Store, create_once
from fate_ext_plugin.errors import Unauthenticated

# Of one owner on one server: 500 requests a second, more than a FATE Flow server answers. Only nonces of good
# signatures come here, so whoever sends more is a client or a partner that floods us.
MAX_PER_MINUTE = 30_000
PURGE_SECONDS = 60.0
# Remembered longer than accepted, for clocks step; in a table far longer, for those of its servers differ, too.
MARGIN_SECONDS = 60.0
MARGIN_OF_SERVERS_SECONDS = 3600.0


class Nonces(Protocol):
    def use(self, owner: str, nonce: str, until: float, times: int = 1, what: str = "") -> None:
        """Count one use.

        :param owner: whose nonce it is; :param until: from when on it is refused for its age, in s since 1970.
        :param what: what it is used for; further uses must be for the same.
        :raises Unauthenticated: it was used ``times`` times already, or for something else, or this owner's nonces of
            this minute are too many.
        """


class Allowance:
    """New nonces in this minute, counted for each owner alone: whoever uses up its own is refused, and nobody else."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._minute = 0.0
        self._used: Counter[str] = Counter()

    def require(self, owner: str) -> None:
        """:raises Unauthenticated: this owner has used up its own."""
        minute = self._elapsed() // 60
        if minute != self._minute:
            self._minute, self._used = minute, Counter()
        if self._used[owner] >= MAX_PER_MINUTE:
            raise Unauthenticated("Too many requests at once; try again in a minute.", "too many nonces")

    def count(self, owner: str) -> None:
        self._used[owner] += 1


class MemoryNonces:
    """For one server. How long a nonce is remembered is measured by a clock that nobody sets: otherwise one that is set
    forward and back again would forget too early, or keep for as long as it was wrong."""

    def __init__(
        self, clock: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._elapsed = clock, elapsed
        self._lock = threading.Lock()
        self._allowance = Allowance(elapsed)
        self._uses: Dict[bytes, Tuple[int, str, float]] = {}
        self._order: Deque[Tuple[float, bytes]] = deque()

    def use(self, owner: str, nonce: str, until: float, times: int = 1, what: str = "") -> None:
        key = _hash(owner, nonce)[:16]
        with self._lock:
            self._purge()
            uses, used_for, _ = self._uses.get(key, (0, what, until))
            if uses >= times or used_for != what:
                raise _replayed()
            if not uses:
                self._allowance.require(owner)
                self._allowance.count(owner)
                left = until - self._clock()
                self._order.append((self._elapsed() + left + MARGIN_SECONDS, key))
            self._uses[key] = uses + 1, what, until

    def _purge(self) -> None:
        """In the order they came, which is nearly the order in which they end; one that ends late keeps the rest."""
        now, clock = self._elapsed(), self._clock()
        while self._order and self._order[0][0] < now:
            key = self._order.popleft()[1]
            if self._uses[key][2] > clock:  # the clock was ahead when it came, and would accept it again
                self._order.append((now + MARGIN_SECONDS, key))
            else:
                del self._uses[key]

    def __len__(self) -> int:
        return len(self._uses)


class DatabaseNonces:
    """For several servers on one database."""

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock, self._elapsed = store, clock, elapsed
        #: when :attr:`_elapsed` was 0 by :attr:`_clock`, and how long after that they last agreed
        self._began, self._agreed = clock() - elapsed(), elapsed()
        self._last_purge = float("-inf")
        self._allowance = Allowance(elapsed)

    def use(self, owner: str, nonce: str, until: float, times: int = 1, what: str = "") -> None:
        key, used_for = _hash(owner, nonce).hex(), _hash(what, "").hex()
        self._purge()
        if not self._store.call(lambda: self._count(owner, key, until, times, used_for)):
            raise _replayed()

    def _count(self, owner: str, key: str, until: float, times: int, used_for: str) -> bool:
        if self._add_use(key, times, used_for):
            return True
        self._allowance.require(owner)
        remembered = int((until + MARGIN_OF_SERVERS_SECONDS) * 1000)
        if create_once(Nonce, f_key=key, f_uses=1, f_used_for=used_for, f_until=remembered):
            self._allowance.count(owner)  # not before: what others captured and send again is not the owner's
            return True
        # Not created: it is used up, or another server was faster just now.
        return self._add_use(key, times, used_for)

    @staticmethod
    def _add_use(key: str, times: int, used_for: str) -> bool:
        query = Nonce.update(f_uses=Nonce.f_uses + 1).where(
            (Nonce.f_key == key) & (Nonce.f_uses < times) & (Nonce.f_used_for == used_for))
        return bool(query.execute())

    def _purge(self) -> None:
        elapsed = self._elapsed()
        if elapsed - self._last_purge > PURGE_SECONDS:
            self._last_purge = elapsed
            now = int(self._believed(elapsed) * 1000)
            self._store.call(lambda: Nonce.delete().where(Nonce.f_until < now).execute())

    def _believed(self, elapsed: float) -> float:
        """The clock; but one that is set forward, and may be set back again, is believed only when all that counted
        before has ended anyhow."""
        began = self._clock() - elapsed
        if began - self._began <= MARGIN_SECONDS or elapsed - self._agreed > MARGIN_OF_SERVERS_SECONDS:
            self._began, self._agreed = began, elapsed
        return self._began + elapsed


def _hash(owner: str, nonce: str) -> bytes:
    return hashlib.sha256(f"{owner}\n{nonce}".encode("utf-8", "replace")).digest()


def _replayed() -> Unauthenticated:
    return Unauthenticated("This request was sent before; sign each one anew.", "replayed")
