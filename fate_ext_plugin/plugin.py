"""Puts the pieces together: host and settings in, a blueprint and running threads out."""
import ipaddress
import logging
import threading
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from flask import Blueprint

from fate_ext_plugin import __version__
from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.access.token_secret import shared_secret
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.apps.admin_app import add_admin_services
from fate_ext_plugin.apps.authentication_app import add_authentication_services
from fate_ext_plugin.apps.blueprint import ServiceBlueprint
from fate_ext_plugin.apps.console_app import add_console
from fate_ext_plugin.apps.feature_app import add_feature_services
from fate_ext_plugin.apps.monitoring_app import add_metrics, add_openapi, add_probes
from fate_ext_plugin.apps.permission_app import add_permission_service
from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.auth.setup import Authentication, open_authentication
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.feature.job import Jobs
from fate_ext_plugin.feature.preview import Sampler
from fate_ext_plugin.feature.runner import Runner
from fate_ext_plugin.feature.server_database import record_database
from fate_ext_plugin.feature.servers import Server, Servers
from fate_ext_plugin.feature.service import FeatureService
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.feature.waiters import JobWaiters
from fate_ext_plugin.host import Host
from fate_ext_plugin.monitoring.readiness import Readiness
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.setup import open_permission
from fate_ext_plugin.settings.model import Settings, fingerprints
from fate_ext_plugin.util.network import LOOPBACK

logger = logging.getLogger(__name__)


class Plugin:
    """One server's services. Made once, after which its threads run until :meth:`stop` or the process's end."""

    def __init__(
        self, settings: Settings, host: Host, authentication: Optional[Callable[[], Authentication]] = None,
        permission: Optional[Callable[[], Permission]] = None, hooks: Iterable[Callable[[], object]] = (),
    ) -> None:
        """:param authentication, permission: what the host's hooks use already; None: opened here.
        :param hooks: what the host's hooks need; each raises where it can't be opened.
        :raises ExtError: settings, folder, database or keys can't be used; nothing runs then."""
        self.settings, self.host = settings, host
        self.storage = Storage(settings.data_dir, settings.min_free_bytes, settings.shared_dir)
        self.storage.open()
        self._lock = self.storage.lock()
        try:
            migrate(host.store)
            self.storage.close_to_others()
            record_database(host.store, settings.data_dir)
            self.guard = self._make_access_guard()
            self.authentication = (authentication or self._open_authentication)() if settings.authentication else None
            self.permission = (permission or self._open_permission)() if settings.permission else None
            self.jobs = Jobs(host.store)
            self._waiters = JobWaiters(settings.max_held_queries)
            self._metrics = _new_metrics() if settings.metrics else None
            self._owner = owner = self.storage.instance_id()
            self.servers = Servers(host.store, self._own_server(), settings.server_timeout_seconds)
            self.runner = Runner(
                self.jobs, self.storage, settings.views, self._waiters, owner, self.servers,
                concurrent=settings.concurrent_jobs, threads=settings.job_threads,
                memory_bytes=settings.job_memory_mb * 2**20, timeout=settings.job_timeout_seconds,
                retention=settings.result_retention_seconds, history=settings.job_history_days * 86400.0,
                on_end=self._metrics and self._metrics.job_ended)
            self.service = FeatureService(
                settings, self.jobs, self.storage, self.runner, self._waiters, owner, self.servers,
                host.fate_job_running, self._metrics and self._metrics.upload)
            self.readiness = Readiness(self._checks(hooks))
        except BaseException:
            self._lock.close()
            raise

    def manager(self) -> Blueprint:
        """The blueprint with all services."""
        blueprint = ServiceBlueprint(self.guard, self._metrics and self._metrics.request)
        add_probes(blueprint, self.readiness)
        add_openapi(blueprint)
        if self._metrics:
            self._look_with(self._metrics)
            add_metrics(blueprint, self._metrics.text)
        if self.settings.views:
            add_feature_services(
                blueprint, self.service, self.settings.long_poll_seconds, self.settings.gzip, self.host.frame)
        if self.settings.authentication and self.authentication:
            add_authentication_services(
                blueprint, self.authentication, self.settings.authentication.signature_over_http)
        if self.permission:
            add_permission_service(blueprint, self.permission)
        if self.authentication:
            context = self._context(self.authentication)
            add_admin_services(blueprint, context)
            add_console(blueprint, context, self.guard.key_for("console"))
        return blueprint.manager

    def _context(self, authentication: Authentication) -> AdminContext:
        parts = {"permission": self.permission} if self.permission else {}
        return AdminContext(
            self.settings, lambda: self.host, host=self.host, jobs=self.jobs, storage=self.storage,
            cancel=self.runner.cancel, sampler=Sampler(self.settings, self.storage), authentication=authentication,
            clients=authentication.client_table, keys=authentication.keys, readiness=self.readiness, **parts)

    def _checks(self, hooks: Iterable[Callable[[], object]]) -> Dict[str, Callable[[], object]]:
        """What must be usable for this server to be ready."""
        checks: Dict[str, Callable[[], object]] = {
            "database": lambda: self.jobs.count_waiting(self._owner), "disk": self.storage.require_usable,
            "runner": self.runner.require_alive, "hooks": lambda: [opened() for opened in hooks]}
        if self.authentication:
            checks["authentication"] = self.authentication.require_usable
        if self.permission:
            checks["permission"] = self.permission.require_usable
        return checks

    def _look_with(self, metrics: Any) -> None:
        from fate_ext_plugin.apps.metrics import Queue, Sources

        audit_logs: Dict[Tuple[str, ...], AuditLog] = {}
        if self.authentication:
            audit_logs["client", "site", "signature"] = self.authentication.audit
        if self.permission and self.permission.audit:
            audit_logs["permission",] = self.permission.audit
        metrics.look_at(Sources(
            self.readiness,
            queue=lambda: Queue(self.jobs.count_by_status(self._owner), self.jobs.longest_wait(self._owner)),
            held=lambda: self._waiters.held, disk=self.storage.disk_usage, servers=self.servers,
            min_free_bytes=self.settings.min_free_bytes, audit_logs=audit_logs))

    def _open_authentication(self) -> Authentication:
        host = self.host
        return open_authentication(self.settings, host.store, host.party_id(), host.own_client(), host.site_keys)

    def _open_permission(self) -> Permission:
        return open_permission(self.settings, self.host.store, self.host.party_id())

    def start(self) -> None:
        self.runner.start()
        # A database that does not answer must not hold up the host's start.
        threading.Thread(target=self._warn, name="fate-ext-inspect", daemon=True).start()

    def _warn(self) -> None:
        for name, view in self.settings.views.items():
            try:
                view.source.inspect(())  # no columns: DuckDB would stay in this process's memory
            except Exception as error:  # a third party's source may raise anything
                logger.warning("view %s: %s", name, getattr(error, "message", repr(error)))

    def stop(self) -> None:
        self.runner.stop()
        self._lock.close()

    def _make_access_guard(self) -> AccessGuard:
        own_networks = [ipaddress.ip_network(address) for address in self.host.own_addresses()]
        allowed = (*LOOPBACK, *own_networks, *self.settings.allowed_networks)
        own_secret = self.storage.secret()
        shared = shared_secret(self.host.store, own_secret)
        if shared != own_secret:
            self.storage.keep_secret(shared)
        return AccessGuard(shared, allowed, self.settings.trusted_proxies)

    def _own_server(self) -> Server:
        host, port = self.host.own_address
        return Server(self._owner, f"http://{f'[{host}]' if ':' in host else host}:{port}", __version__,
                      self.storage.files_id(), fingerprints(self.settings))


def _new_metrics() -> Any:
    """A :class:`fate_ext_plugin.apps.metrics.Metrics`. Imported only here: prometheus_client is an extra."""
    from fate_ext_plugin.apps.metrics import Metrics

    return Metrics()
