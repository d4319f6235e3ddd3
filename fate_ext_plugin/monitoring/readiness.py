"""Whether this server can do its work now: what a load balancer asks before it sends requests here."""
import logging
from typing import Callable, Dict, Mapping

from fate_ext_plugin.errors import ExtError, NotReady
from fate_ext_plugin.monitoring.probe import CachedProbe

logger = logging.getLogger(__name__)


class Readiness:
    """:param checks: by name; each raises where its part can't be used. One that hangs holds up nobody."""

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._probes = {name: CachedProbe(check) for name, check in checks.items()}
        self._logged: Dict[str, str] = {}

    def problems(self) -> Dict[str, str]:
        """What can't be used, and why, for operators; seconds old at most."""
        return {name: error.message for name, error in self._failures().items()}

    def _failures(self) -> Dict[str, ExtError]:
        for watch in self._probes.values():
            watch.begin()
        found: Dict[str, ExtError] = {}
        reasons: Dict[str, str] = {}
        for name, watch in self._probes.items():
            try:
                watch.get()
            except ExtError as error:
                found[name] = error
                if error.message != error.public:
                    reasons[name] = error.message
            except Exception as error:
                found[name] = NotReady(f"{type(error).__name__}; look at the server's log.")
                reasons[name] = f"{type(error).__name__}: {error}"
        for name, reason in reasons.items():
            if self._logged.get(name) != reason:  # a probe comes every few seconds
                logger.error("%s: %s", name, reason)
        self._logged = reasons
        return found

    def require(self) -> None:
        """:raises NotReady: names all that can't be used, in words for anyone."""
        failures = self._failures()
        if failures:
            raise NotReady(" ".join(f"{name}: {error.public}" for name, error in failures.items()))

    def states(self) -> Dict[str, bool]:
        """Each check by name: whether it passes."""
        failures = self._failures()
        return {name: name not in failures for name in self._probes}
