"""The plugin's settings as one frozen object."""
import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Dict, Optional, Tuple

from fate_ext_plugin.db.url import DatabaseSettings
from fate_ext_plugin.feature.view import View
from fate_ext_plugin.util.network import Network

SECTION = "fate_ext_plugin"
# Beside views: what several servers of one database should agree in.
ALIKE = ("server_name", "verify_job", "max_upload_bytes", "max_ids", "header_names", "default_view", "authentication",
         "permission", "result_retention_seconds", "job_history_days", "server_timeout_seconds")
# What Python shows of an object that has nothing else to say.
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Listen:
    host: str = "127.0.0.1"
    port: int = 9390
    public_host: Optional[str] = None
    public_port: Optional[int] = None

    @property
    def public(self) -> Tuple[str, int]:
        """Host and port under which FATE Flow reaches it."""
        return self.public_host or self.host, self.public_port or self.port


@dataclass(frozen=True)
class AuthenticationSettings:
    """Section ``authentication`` in ours."""

    master_key_file: Path
    master_key_env: Optional[str]
    party_id: Optional[str]
    client_window_seconds: int
    digest: str
    site_window_seconds: int
    clock_skew_seconds: int
    nonces: str
    signature_over_http: bool


@dataclass(frozen=True)
class PermissionSettings:
    """Section ``permission`` in ours; ``time_zone`` None: the machine's."""

    mode: str
    party_id: Optional[str]
    check_local: bool
    time_zone: Optional[tzinfo]


@dataclass(frozen=True)
class Settings:
    """Section ``fate_ext_plugin``; every key is explained in :mod:`fate_ext_plugin.settings.schema`."""

    data_dir: Path
    views: Dict[str, View]
    server_name: str
    allowed_networks: Tuple[Network, ...]
    trusted_proxies: Tuple[Network, ...]
    verify_job: bool
    max_upload_bytes: int
    max_ids: int
    max_waiting_jobs: int
    min_free_bytes: int
    header_names: Tuple[str, ...]
    concurrent_jobs: int
    job_threads: int
    job_memory_mb: int
    job_timeout_seconds: int
    result_retention_seconds: int
    job_history_days: int
    server_timeout_seconds: int
    long_poll_seconds: float
    max_held_queries: int
    gzip: bool
    metrics: bool
    shared_dir: Optional[Path] = None
    default_view: Optional[str] = None
    authentication: Optional[AuthenticationSettings] = None
    permission: Optional[PermissionSettings] = None
    database: Optional[DatabaseSettings] = None
    listen: Listen = field(default_factory=Listen)


def fingerprints(settings: Settings) -> Dict[str, str]:
    """Of what should be the same on all servers of a database, each view apart, by its name."""
    found = {name: repr(getattr(settings, name)) for name in ALIKE}
    if settings.authentication:
        found["authentication"] = repr(replace(settings.authentication, master_key_file=Path(), master_key_env=None))
    for name, view in settings.views.items():
        found[f"views.{name}"] = f"{type(view.source).__name__} {sorted(view.source.options.items())} " + str(
            {key: value for key, value in vars(view).items() if key != "source"})
    return {name: hashlib.sha256(ADDRESS.sub("", text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
            for name, text in found.items()}
