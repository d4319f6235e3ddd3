"""What happened of late, in sums: jobs, decisions, and the disk."""
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Dict, List

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, read
from fate_ext_plugin.audit.counters import HOUR, MINUTE
from fate_ext_plugin.feature.job import STATUSES, Totals
from fate_ext_plugin.schema import admin as schemas


@dataclass(frozen=True)
class Span:
    """``spans`` of ``length`` until now; ``counted``: s, for which decisions are counted."""

    spans: int
    length: timedelta
    counted: int

    def begin(self, when: datetime) -> datetime:
        """Of the span that ``when`` is in: minutes by twos, hours, quarters of days, or days."""
        midnight = when.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (when - midnight) // self.length * self.length

    def all(self, now: datetime) -> List[datetime]:
        last = self.begin(now)
        return [last - number * self.length for number in reversed(range(self.spans))]


SPANS = {
    "hour": Span(30, timedelta(minutes=2), MINUTE),
    "day": Span(24, timedelta(hours=1), HOUR),
    "week": Span(28, timedelta(hours=6), HOUR),
    "month": Span(30, timedelta(days=1), HOUR),
}
_FORM = "%Y-%m-%d %H:%M"


def show_overview(context: AdminContext, call: Call) -> Dict[str, Any]:
    name = call.payload["span"]
    span = SPANS[name]
    begins = span.all(datetime.now())
    total, used, free = context.storage.disk_usage()
    return {
        "span": name, "jobs": _jobs(context, begins), "decisions": _decisions(context, span, begins),
        "disk": {"total": total, "used": used, "free": free, "min_free": context.settings.min_free_bytes,
                 "results": context.jobs.result_bytes()}}


def _jobs(context: AdminContext, begins: List[datetime]) -> List[Dict[str, Any]]:
    totals = context.jobs.totals([int(begin.timestamp() * 1000) for begin in begins])
    return [_sum(begin, found) for begin, found in zip(begins, totals)]


def _sum(begin: datetime, found: List[Totals]) -> Dict[str, Any]:
    ended = sum(totals.ended for totals in found)
    return {
        "time": begin.strftime(_FORM),
        "statuses": {status: sum(totals.jobs for totals in found if totals.status == status) for status in STATUSES},
        "ids": sum(totals.ids for totals in found), "matched": sum(totals.matched for totals in found),
        "mean_seconds": sum(totals.elapsed for totals in found) / ended / 1000 if ended else None,
        "longest_seconds": max(totals.longest for totals in found) / 1000 if ended else None}


def _decisions(context: AdminContext, span: Span, begins: List[datetime]) -> List[Dict[str, Any]]:
    audit_logs = [context.authentication.audit]
    if context.settings.permission and context.permission.audit:
        audit_logs.append(context.permission.audit)
    counts = {begin: {True: dict.fromkeys(schemas.CHECKS, 0), False: dict.fromkeys(schemas.CHECKS, 0)}
              for begin in begins}
    for audit_log in audit_logs:
        for start, decided in audit_log.counters.since(begins[0].timestamp(), span.counted):
            found = counts.get(span.begin(datetime.fromtimestamp(start)))
            if found is not None:
                for (check, allowed), count in decided.items():
                    found[allowed][check] = found[allowed].get(check, 0) + count
    return [{"time": begin.strftime(_FORM), "allowed": found[True], "refused": found[False]}
            for begin, found in counts.items()]


OPERATIONS = [
    read("overview.show", "/overview", show_overview, schemas.OverviewAnswer,
         "Show jobs and decisions over time, and the disk", schemas.OverviewQuery),
]
