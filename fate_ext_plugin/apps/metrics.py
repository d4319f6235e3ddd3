"""What Prometheus reads. No label holds what a caller says: each has a few values that are ours."""
import platform
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Tuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from fate_ext_plugin import __version__
from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.feature.job import FAILED, SUCCESS, Job
from fate_ext_plugin.feature.servers import Servers
from fate_ext_plugin.monitoring.probe import CachedProbe
from fate_ext_plugin.monitoring.readiness import Readiness

# From a check of authentication to an upload of gigabytes.
REQUEST_BUCKETS = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
JOB_BUCKETS = (.25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
#: seconds for which what the database says is kept
KEEP_SECONDS = 5.0


@dataclass(frozen=True)
class Queue:
    """``jobs``: how many are in each status; ``oldest``: for how many seconds the oldest waiting one waits."""

    jobs: Mapping[str, int]
    oldest: float


@dataclass(frozen=True)
class Sources:
    """Where a scrape looks. ``audit_logs``: by the checks that each holds; ``disk``: total, used, free."""

    readiness: Readiness
    queue: Callable[[], Queue]
    held: Callable[[], int]
    disk: Callable[[], Tuple[int, int, int]]
    min_free_bytes: int
    servers: Servers
    audit_logs: Mapping[Tuple[str, ...], AuditLog]


class Metrics:
    """One server's, in a registry of its own: what else its process measures is not ours to show."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "fate_ext_requests", "Requests by service and HTTP status.", ["service", "status"], registry=registry)
        self._seconds = Histogram(
            "fate_ext_request_seconds", "Seconds until the answer began, less the time a query is held on purpose.",
            ["service"], buckets=REQUEST_BUCKETS, registry=registry)
        self._upload_bytes = Counter("fate_ext_upload_bytes", "Bytes of accepted uploads.", registry=registry)
        self._ids = Counter("fate_ext_ids", "IDs of jobs that succeeded.", registry=registry)
        self._matched = Counter("fate_ext_ids_matched", "Those of them that have features.", registry=registry)
        self._job_seconds = Histogram(
            "fate_ext_job_seconds", "Seconds from a job's acceptance to its end, of those that ran here.", ["status"],
            buckets=JOB_BUCKETS, registry=registry)
        for status in (SUCCESS, FAILED):
            self._job_seconds.labels(status)
        Gauge("fate_ext_build_info", "Always 1.", ["version", "python"], registry=registry).labels(
            __version__, platform.python_version()).set(1)
        ProcessCollector(registry=registry)

    def request(self, service: str, status: int, seconds: float) -> None:
        self._requests.labels(service, status).inc()
        self._seconds.labels(service).observe(seconds)

    def upload(self, size: int) -> None:
        self._upload_bytes.inc(size)

    def job_ended(self, job: Job) -> None:
        self._job_seconds.labels(job.status).observe(job.elapsed_ms() / 1000)
        self._ids.inc(job.ids or 0)
        self._matched.inc(job.matched or 0)

    def look_at(self, sources: Sources) -> None:
        self._registry.register(_State(sources))

    def text(self, accept: str) -> Tuple[bytes, str]:
        """All metrics and their Content-Type. :param accept: the header of this name."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _State:
    """What is looked at when Prometheus asks. What can't be had is left out, and ``fate_ext_ready`` says why."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._queue = CachedProbe(sources.queue, keep=KEEP_SECONDS)
        self._disk = CachedProbe(sources.disk, keep=KEEP_SECONDS)

    def collect(self) -> Iterator[Any]:
        sources = self._sources
        yield _gauges("fate_ext_ready", "Whether a part of the server can be used.", "check", {
            name: float(passes) for name, passes in sources.readiness.states().items()})
        yield GaugeMetricFamily("fate_ext_held_queries", "Queries that are held until their job ends.", sources.held())
        yield _gauges("fate_ext_servers", "Servers on this one's database, as it sees them.", "state", {
            "alive": len(sources.servers.living()), "gone": len(sources.servers.gone())})
        yield from self._decisions()
        for watched in (self._jobs, self._space):
            try:
                yield from list(watched())
            except (ExtError, OSError):
                continue

    def _jobs(self) -> Iterator[Any]:
        queue = self._queue.get()
        yield _gauges("fate_ext_jobs", "Feature jobs of this server by status.", "status", queue.jobs)
        yield GaugeMetricFamily(
            "fate_ext_oldest_waiting_seconds", "How long the oldest waiting job waits.", queue.oldest)

    def _space(self) -> Iterator[Any]:
        _, used, free = self._disk.get()
        yield _gauges("fate_ext_disk_bytes", "The disk of data_dir.", "state", {"used": used, "free": free})
        yield GaugeMetricFamily(
            "fate_ext_disk_min_free_bytes", "min_free_bytes: with less, uploads are refused.",
            self._sources.min_free_bytes)

    def _decisions(self) -> Iterator[Any]:
        decisions = CounterMetricFamily(
            "fate_ext_decisions", "Decisions of authentication and permission, in process and over HTTP.",
            labels=["check", "outcome"])
        waiting = 0
        for checks, audit_log in self._sources.audit_logs.items():
            counts = {(check, allowed): 0 for check in checks for allowed in (True, False)}
            for (check, allowed), count in {**counts, **audit_log.decisions()}.items():
                decisions.add_metric([check, "allowed" if allowed else "refused"], count)
            waiting += audit_log.waiting
        yield decisions
        yield GaugeMetricFamily("fate_ext_audit_waiting_lines", "Lines of the audit log not written yet.", waiting)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Any:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
