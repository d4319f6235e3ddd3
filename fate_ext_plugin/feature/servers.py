"""The servers on one database: who they are, where each is reached, and which of them are gone.

Each lets a counter of its own grow, and watches those of the others by its own clock: what the machines' clocks say
does not matter, and a time in which nobody could look, such as an outage of the database, makes nobody gone.
"""
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from fate_ext_plugin.db.base import Store, create_once, now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.server import Server as Row

logger = logging.getLogger(__name__)
MAX_BEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Server:
    """``instance``: its name; ``address``: its own, such as ``http://10.0.0.5:9380``; ``files``: the name of the folder
    where its jobs' files are; ``settings``: a fingerprint of each setting that should be the same everywhere;
    ``beat_time``: of its last heartbeat, by its own clock, in ms since 1970."""

    instance: str
    address: str
    version: str
    files: str
    settings: Mapping[str, str] = field(default_factory=dict)
    heartbeat: int = 0
    beat_time: int = 0


class Servers:
    """As one of them sees them. :param timeout: seconds without a heartbeat after which a server is gone."""

    def __init__(
        self, store: Store, own: Server, timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._own, self._timeout, self._clock = store, own, timeout, clock
        self._seen: Dict[str, Tuple[int, float]] = {}  # instance: its counter, and since when it is that
        self._looked = float("-inf")
        self._files: Dict[str, str] = {own.instance: own.files}

    @staticmethod
    def beat_seconds_of(timeout: float) -> float:
        return min(MAX_BEAT_SECONDS, timeout / 6)

    @property
    def beat_seconds(self) -> float:
        """How often to call :meth:`heartbeat` and :meth:`look`."""
        return self.beat_seconds_of(self._timeout)

    def join(self) -> None:
        """Be one of them, before accepting a job."""
        own = self._own
        told = {"f_address": own.address, "f_version": own.version, "f_files": own.files,
                "f_settings": json.dumps(own.settings)}
        if not self._store.call(lambda: create_once(Row, f_instance=own.instance, **told)):
            self._store.call(lambda: Row.change(f_beat=Row.f_beat + 1, **told).where(self._mine).execute())

    @property
    def _mine(self) -> Any:
        return Row.f_instance == self._own.instance

    def heartbeat(self) -> None:
        if not self._store.call(lambda: Row.change(f_beat=Row.f_beat + 1).where(self._mine).execute()):
            self.join()

    def look(self) -> None:
        """Learn who lives."""
        rows = all_servers(self._store)
        now = self._clock()
        if now - self._looked > self._timeout / 2:
            self._seen = {}  # we did not look, or were paused ourselves
        self._looked = now
        seen = {row.instance: self._seen.get(row.instance, (None, 0.0)) for row in rows}
        self._seen = {
            row.instance: (row.heartbeat, seen[row.instance][1] if seen[row.instance][0] == row.heartbeat else now)
            for row in rows}
        self._files = {**{row.instance: row.files for row in rows}, self._own.instance: self._own.files}

    def gone(self) -> Set[str]:
        """Those that showed no life for ``timeout`` seconds, as of the last look."""
        return {instance for instance, (_, since) in self._seen.items()
                if self._looked - since >= self._timeout and instance != self._own.instance}

    def living(self) -> Set[str]:
        """This one and all others that are not gone, as far as is known."""
        return self._files.keys() - self.gone()

    def peers(self) -> List[str]:
        """This one and those, gone or not, that see the same files."""
        return sorted(instance for instance, files in self._files.items() if files == self._own.files)

    def is_leader(self) -> bool:
        """Whether this is the one of its living mates that keeps house for all."""
        gone = self.gone()
        return next(mate for mate in self.peers() if mate not in gone) == self._own.instance

    def find(self, instance: str) -> Optional[Server]:
        """As it is in the database now; None where nothing is known of it."""
        return next((server for server in all_servers(self._store) if server.instance == instance), None)

    def forget(self, before_ms: int) -> None:
        """Delete rows of servers that showed no life since then and have no job."""
        gone = tuple(self.gone())
        if not gone:
            return
        self._store.call(lambda: Row.delete().where(
            (Row.f_update_time < before_ms) & Row.f_instance.in_(gone)
            & Row.f_instance.not_in(FeatureJob.select(FeatureJob.f_owner))).execute())


def all_servers(store: Store) -> List[Server]:
    return store.call(lambda: [
        Server(row.f_instance, row.f_address, row.f_version, row.f_files, json.loads(row.f_settings), row.f_beat,
               row.f_update_time or now_ms()) for row in Row.select()])
