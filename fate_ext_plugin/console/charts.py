"""The overview's figures as charts: what is drawn, in which colours of the style sheet."""
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from fate_ext_plugin.feature.job import CANCELED, EXPIRED, FAILED, RUNNING, SUCCESS, WAITING

Values = List[Optional[float]]
AUTHENTICATION = ("client", "site", "signature", "admin")


@dataclass(frozen=True)
class Series:
    """``name``: a key of the languages; ``total``: what its legend says."""

    name: str
    color: str
    values: Values
    total: Optional[float]
    percent: bool = False


@dataclass(frozen=True)
class Chart:
    """``kind``: ``bars``, one on the other, with those in percent as lines, or ``lines``; ``unit``: ``count`` or
    ``seconds``. ``times``: when each span begins."""

    name: str
    kind: str
    unit: str
    times: Sequence[str]
    series: Sequence[Series]

    def data(self, translate: Any, span: str) -> Dict[str, Any]:
        """For the script."""
        return {"kind": self.kind, "unit": self.unit, "times": self.times, "span": span, "series": [
            {"name": translate(one.name), "color": one.color, "values": one.values, "percent": one.percent}
            for one in self.series]}


def charts(overview: Mapping[str, Any]) -> List[Chart]:
    jobs, decisions = overview["jobs"], overview["decisions"]
    times = [span["time"] for span in jobs]
    return [
        Chart("jobs", "bars", "count", times, [
            _sum(f"status.{status}", status, [span["statuses"][status] for span in jobs])
            for status in (SUCCESS, EXPIRED, FAILED, CANCELED, RUNNING, WAITING)]),
        Chart("ids", "bars", "count", times, [
            _sum("chart.matched", "matched", [span["matched"] for span in jobs]),
            _sum("chart.missing", "missing", [span["ids"] - span["matched"] for span in jobs]),
            _rate(jobs)]),
        Chart("seconds", "lines", "seconds", times, [
            _longest("chart.mean", "mean", [span["mean_seconds"] for span in jobs]),
            _longest("chart.longest", "longest", [span["longest_seconds"] for span in jobs])]),
        _decided("authentication", times, decisions, AUTHENTICATION),
        _decided("permission", times, decisions, ("permission",)),
    ]


def _sum(name: str, color: str, values: Values) -> Series:
    return Series(name, color, values, sum(value or 0 for value in values))


def _longest(name: str, color: str, values: Values) -> Series:
    return Series(name, color, values, max((value for value in values if value is not None), default=None))


def _rate(jobs: Sequence[Mapping[str, Any]]) -> Series:
    def rate(matched: int, ids: int) -> Optional[float]:
        return round(100 * matched / ids, 1) if ids else None

    return Series(
        "chart.rate", "rate", [rate(span["matched"], span["ids"]) for span in jobs],
        rate(sum(span["matched"] for span in jobs), sum(span["ids"] for span in jobs)), percent=True)


def _decided(
    name: str, times: Sequence[str], decisions: Sequence[Mapping[str, Any]], checks: Sequence[str]
) -> Chart:
    return Chart(name, "bars", "count", times, [
        _sum(f"outcome.{outcome}", outcome, [sum(span[outcome].get(check, 0) for check in checks)
                                             for span in decisions]) for outcome in ("allowed", "refused")])
