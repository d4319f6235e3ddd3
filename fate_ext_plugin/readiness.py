"""Whether this server can do its work now: what a load balancer asks before it sends requests here."""
import logging
from typing import Callable, Dict, Mapping

from fate_ext_plugin.errors import ExtError, NotReady
from fate_ext_plugin.watch import Watch

logger = logging.getLogger(__name__)


class Readiness:
    """:param checks: by name; each raises where its part can't be used. One that hangs holds up nobody."""

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._watches = {name: Watch(check) for name, check in checks.items()}
        self._told: Dict[str, str] = {}

    def problems(self) -> Dict[str, str]:
        """What can't be used, and why, without a secret; seconds old at most."""
        for watch in self._watches.values():
            watch.begin()
        found = {}
        for name, watch in self._watches.items():
            try:
                watch.get()
            except ExtError as error:
                found[name] = error.message
            except Exception as error:
                found[name] = f"{type(error).__name__}; look at the server's log."
                if self._told.get(name) != found[name]:
                    logger.error("%s: %s: %s", name, type(error).__name__, error)
        self._told = found
        return found

    def require(self) -> None:
        """:raises NotReady: names all that can't be used."""
        problems = self.problems()
        if problems:
            raise NotReady(" ".join(f"{name}: {reason}" for name, reason in problems.items()))

    def states(self) -> Dict[str, bool]:
        """Each check by name: whether it passes."""
        problems = self.problems()
        return {name: name not in problems for name in self._watches}
