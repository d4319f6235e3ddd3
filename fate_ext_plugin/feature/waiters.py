"""Where held queries wait, and learn at once that their job has ended."""
import threading
from contextlib import contextmanager
from typing import Dict, Iterable, Iterator, List, Optional


class JobWaiters:
    """At most ``max_held`` waits at once."""

    def __init__(self, max_held: int) -> None:
        self._max_held = max_held
        self._lock = threading.Lock()
        self._waits: Dict[str, List[threading.Event]] = {}
        self._held = 0

    @contextmanager
    def wait_for(self, job_id: str) -> Iterator[Optional[threading.Event]]:
        """An event that is set when the job ends, or waiting does; None where too many wait already."""
        event = threading.Event()
        with self._lock:
            if self._held >= self._max_held:
                event = None  # type: ignore[assignment]
            else:
                self._held += 1
                self._waits.setdefault(job_id, []).append(event)
        try:
            yield event
        finally:
            if event is not None:
                with self._lock:
                    self._held -= 1
                    waits = self._waits[job_id]
                    waits.remove(event)
                    if not waits:
                        del self._waits[job_id]

    @property
    def held(self) -> int:
        """How many wait now."""
        return self._held

    def watched(self) -> List[str]:
        with self._lock:
            return list(self._waits)

    def close(self) -> None:
        """Let nobody wait any more: the server is going down, and each query needs a thread of it."""
        with self._lock:
            self._max_held = 0
        self.announce(self.watched())

    def announce(self, job_ids: Iterable[str]) -> None:
        """Tell all who wait for these jobs that they have ended."""
        with self._lock:
            for job_id in job_ids:
                for event in self._waits.get(job_id, ()):
                    event.set()
