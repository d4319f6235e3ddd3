"""A policy: all grants of a site, as a file that may live in version control. What it would change, and whom."""
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from fate_ext_plugin.permission.calendar import Calendar, Moment
from fate_ext_plugin.permission.check import Decision, decide
from fate_ext_plugin.permission.grant import Grant, Used
from fate_ext_plugin.permission.grants import ListedGrants, Source
from fate_ext_plugin.permission.request import PermissionRequest


@dataclass(frozen=True)
class Difference:
    """What must change for ``before`` to become ``after``."""

    added: Tuple[Grant, ...]
    changed: Tuple[Tuple[Grant, Grant], ...]
    removed: Tuple[Grant, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def difference(before: Iterable[Grant], after: Iterable[Grant]) -> Difference:
    """By name."""
    old, new = ({grant.name: grant for grant in grants} for grants in (before, after))
    return Difference(
        tuple(new[name] for name in sorted(new.keys() - old.keys())),
        tuple((old[name], new[name]) for name in sorted(new.keys() & old.keys()) if old[name] != new[name]),
        tuple(old[name] for name in sorted(old.keys() - new.keys())))


class Past(NamedTuple):
    """A request of the past, from the audit log; ``time``: s since 1970."""

    time: float
    request: PermissionRequest


def past_requests(entries: Iterable[Mapping[str, Any]], since: float) -> List[Past]:
    """Of the audit log's entries, newest first, those of permission that can be tried again; oldest first, each job
    once a role, as it was asked last."""
    found: Dict[Any, Past] = {}
    for entry in entries:
        if entry["time"] < since:
            break
        try:
            request = PermissionRequest.from_dict(entry["request"])
        except (KeyError, TypeError, ValueError):
            continue  # of another kind, too long to be noted, or written by another version
        if request.local:
            continue
        asked = (request.party, request.job or entry["time"], request.role, request.site)
        found.setdefault(asked, Past(entry["time"], request))
    return sorted(found.values(), key=lambda past: past.time)


def rehearse(past: Sequence[Past], grants: Iterable[Grant], calendar: Calendar, now: int) -> Iterator[Decision]:
    """What the answers would be if these jobs came again, on the weekdays and at the hours that they came. Grants must
    be valid now (``now``: ms since 1970) or then; limits count these jobs only."""
    uses: Dict[str, _Uses] = {}
    source = ListedGrants(replace(grant, valid_from=None) if _valid(grant, now) else grant for grant in grants)
    for time, request in past:
        moment = calendar.moment(int(time * 1000))
        decision = _decide(request, source, moment, calendar, uses)
        if decision.allowed:
            for grant in decision.spent:
                uses.setdefault(grant.name, _Uses()).count(_use(request) or time, moment.day)
        yield decision


class _Uses:
    """Of one grant, by the jobs that come again."""

    def __init__(self) -> None:
        self.jobs: Set[Any] = set()
        self.on_day: Dict[str, int] = {}

    def count(self, job: Any, day: str) -> None:
        if job not in self.jobs:
            self.jobs.add(job)
            self.on_day[day] = self.on_day.get(day, 0) + 1


def _use(request: PermissionRequest) -> Any:
    """What counts as one use (:class:`fate_ext_plugin.permission.usage.Uses`); None where each request does."""
    return request.job and (request.party, request.job, request.role, request.site)


def _decide(
    request: PermissionRequest, source: Source, moment: Moment, calendar: Calendar,
    uses: Mapping[str, _Uses],
) -> Decision:
    # A use is not counted twice.
    used = {name: Used(len(found.jobs), found.on_day.get(moment.day, 0)) for name, found in uses.items()
            if _use(request) not in found.jobs}
    return decide(request, source, moment, calendar, used)


def _valid(grant: Grant, now: int) -> bool:
    return (grant.valid_from or 0) <= now and (grant.valid_until is None or now < grant.valid_until)
