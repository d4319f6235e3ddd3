"""The rule: a request is allowed where every component and every dataset in it is granted, and none is denied."""
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.errors import ExtError, NotPermitted
from fate_ext_plugin.permission.calendar import Calendar, Moment
from fate_ext_plugin.permission.grant import Grant, Used
from fate_ext_plugin.permission.grants import Grants, Source
from fate_ext_plugin.permission.item import COMPONENT, Item, code_point, unplain
from fate_ext_plugin.permission.request import PermissionRequest, read_request
from fate_ext_plugin.permission.usage import Uses
from fate_ext_plugin.util.text import escape_control_characters

logger = logging.getLogger(__name__)
# fate_flow.entity.permission_parameters.CheckReturn
NO_COMPONENT_PERMISSION, NO_DATASET_PERMISSION = 2, 3
ENFORCE, OBSERVE = "enforce", "observe"
MAX_SHOWN = 100


@dataclass(frozen=True)
class NearMiss:
    """A grant that names the item, and why it does not count."""

    grant: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Of one item. ``grants``: those that allow it; ``denied_by``: the one that denies it; ``near``: those that name it
    and don't count, the nearest first."""

    item: Item
    grants: Tuple[Grant, ...]
    denied_by: Optional[str]
    near: Tuple[NearMiss, ...]

    @property
    def allowed(self) -> bool:
        return bool(self.grants) and self.denied_by is None


@dataclass(frozen=True)
class Decision:
    """``local``: allowed as the site's own job, without a look at its items."""

    request: PermissionRequest
    verdicts: Tuple[Verdict, ...]
    local: bool = False

    @property
    def allowed(self) -> bool:
        return self.local or all(verdict.allowed for verdict in self.verdicts)

    @property
    def refused(self) -> Optional[Verdict]:
        """The first item that is not allowed; components come first."""
        return None if self.local else next((verdict for verdict in self.verdicts if not verdict.allowed), None)

    @cached_property
    def spent(self) -> Tuple[Grant, ...]:
        """The grants that cover the request. Those with limited uses are spared where others do, and as few as can be
        are taken."""
        taken: Dict[str, Grant] = {}
        for verdict in sorted(self.verdicts, key=lambda verdict: all(grant.limited for grant in verdict.grants)):
            grant = min(verdict.grants, key=lambda grant: (grant.limited, grant.name not in taken), default=None)
            if grant is not None:
                taken[grant.name] = grant
        return tuple(taken.values())

    def message(self) -> str:
        """For the partner, whose job it is, and for the log: one line."""
        return escape_control_characters(self._message())

    def _message(self) -> str:
        if self.local:
            return "a job of this site"
        verdict, request = self.refused, self.request
        if verdict is None:
            return f"granted by {_short(', '.join(grant.name for grant in self.spent))}"
        text = f"Party {_short(request.party)} may not use {_short(str(verdict.item))} here as {_short(request.role)}: "
        if verdict.denied_by is not None:
            return f"{text}grant {verdict.denied_by} denies it."
        if verdict.near:
            return f"{text}grant {verdict.near[0].grant} {verdict.near[0].reason}."
        written = sorted({character for part in verdict.item.parts for character in unplain(part)})
        if written:
            return f"{text}no grant is written with {', '.join(map(code_point, written[:5]))}, for which no * stands."
        return f"{text}no grant names it."


def decide(
    request: PermissionRequest, source: Source, moment: Moment, calendar: Calendar, used: Mapping[str, Used]
) -> Decision:
    """Counts nothing.

    :param used: how often grants were used, by name; those that are missing count as unused.
    """
    found = source.find(request.party, request.items)

    def verdict(item: Item) -> Verdict:
        allowing: List[Grant] = []
        near = []
        denied_by = None
        for grant in found[item]:
            obstacle = grant.obstacle(request, moment, calendar, used)
            if obstacle is None and grant.allow:
                allowing.append(grant)
            elif obstacle is None:
                denied_by = denied_by or grant.name
            elif grant.allow:
                near.append((-obstacle.rank, NearMiss(grant.name, obstacle.text)))
        near.sort(key=lambda miss: miss[0])
        return Verdict(item, tuple(allowing), denied_by, tuple(miss for _, miss in near))

    return Decision(request, tuple(verdict(item) for item in request.items))


class Permission:
    """:param mode: ``enforce``, or ``observe``: only say what would be refused.
    :param check_local: ask for grants for the site's own jobs, too."""

    def __init__(
        self, grants: Grants, uses: Uses, calendar: Calendar, audit: Optional[AuditLog], own_party: str,
        mode: str = ENFORCE, check_local: bool = False, clock: Callable[[], float] = time.time,
    ) -> None:
        self.grants, self.calendar, self.audit, self.own_party, self.mode = grants, calendar, audit, own_party, mode
        self._uses, self._check_local, self._clock = uses, check_local, clock

    def check(self, given: Mapping[str, Any], job: Optional[str] = None, source: Any = None) -> None:
        """Let a job pass, and count it as a use of the grants that allow it.

        :param given: the request, see :func:`read_request`.
        :param job: FATE's job ID, where it is known better than from the request.
        :param source: the address it comes from, where known.
        :raises NotPermitted: it is refused; with FATE Flow's code, and a message for the partner.
        :raises InvalidPermissionRequest: it can't be read.
        :raises DatabaseUnavailable: nothing can be decided.
        """
        request = None
        try:
            request = read_request(given, self.own_party, job, trust_own=not self._check_local)
            decision = self._counted(request)
            _require(decision)
        except Exception as error:
            message = error.message if isinstance(error, ExtError) else f"{type(error).__name__}: {error}"
            observed = self.mode == OBSERVE
            reason = f"only observed: {message}" if observed else message
            logger.warning("permission refused%s", f", {reason}" if observed else f": {reason}")
            self._note(request, observed, reason, source)
            if not observed:
                raise
        else:
            self._note(request, True, decision.message(), source)

    def explain(self, request: PermissionRequest, at: Optional[int] = None) -> Decision:
        """What :meth:`check` would say if it enforced; counts nothing, notes nothing.

        :param at: ms since 1970; None: now.
        """
        moment = self._now() if at is None else self.calendar.moment(at)
        if self._passes_as_local(request):
            return Decision(request, (), local=True)
        return decide(request, self.grants, moment, self.calendar, self._used(request, moment))

    def require_usable(self) -> None:
        """:raises ExtError: the grants can't be read, so that everything is refused."""
        self.grants.find(self.own_party, ())

    def used(self, name: str) -> Used:
        """How often a grant was used, in all and today."""
        return self._uses.of([name], self._now().day).get(name, Used())

    def _counted(self, request: PermissionRequest) -> Decision:
        if self._passes_as_local(request):
            return Decision(request, (), local=True)
        moment = self._now()
        # How often a grant was used shows where it is counted; a job that was counted before passes again.
        used: Dict[str, Used] = {}
        while True:
            decision = decide(request, self.grants, moment, self.calendar, used)
            limited = [grant for grant in decision.spent if grant.limited]
            if not decision.allowed or not limited:
                return decision
            used_up = self._uses.spend(limited, request, moment.day)
            if used_up is None:
                return decision
            used.update(self._uses.of([used_up], moment.day))

    def _used(self, request: PermissionRequest, moment: Moment) -> Dict[str, Used]:
        found = self.grants.find(request.party, request.items)
        limited = {grant.name for grants in found.values() for grant in grants if grant.limited}
        return self._uses.of(sorted(limited), moment.day)

    def _passes_as_local(self, request: PermissionRequest) -> bool:
        return request.local and not self._check_local

    def _now(self) -> Moment:
        return self.calendar.moment(int(self._clock() * 1000))

    def _note(self, request: Optional[PermissionRequest], allowed: bool, reason: str, source: Any) -> None:
        """Known: who may ask for permission was asked before, by site authentication or for the service's token."""
        if self.audit is None:
            return
        if request is None:
            self.audit.write("permission", allowed, None, None, source, reason, known=True)
            return
        # Datasets first: what is long is cut.
        what = f"{request.role} {request.site}: {', '.join(map(str, reversed(request.items)))}"
        self.audit.write("permission", allowed, request.party, what, source, reason, request.to_dict(), known=True)


def _require(decision: Decision) -> None:
    """:raises NotPermitted: it is refused."""
    refused = decision.refused
    if refused is not None:
        raise NotPermitted(
            decision.message(),
            NO_COMPONENT_PERMISSION if refused.item.kind == COMPONENT else NO_DATASET_PERMISSION)


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
