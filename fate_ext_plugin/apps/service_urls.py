"""Our services as FATE Flow's registry holds them: a server, and one url a service with its capability token."""
from typing import Any, Dict, List, Sequence

from fate_ext_plugin.access.guard import TOKEN_ARGUMENT, AccessGuard
from fate_ext_plugin.apps.blueprint import PREFIX
from fate_ext_plugin.apps.feature_app import MAX_WAIT_SECONDS
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings.model import Settings

# Columns of t_server_registry_info and t_service_registry_info (contract section 1).
MAX_HOST, MAX_URL = 30, 100
# ApiReader waits a minute between two queries and has no timeout, so its query is held until the job ends.
ARGUMENTS: Dict[str, str] = {"query": f"wait={MAX_WAIT_SECONDS:.0f}&"}
FEATURE_SERVICES = ("upload", "query", "download")


def services_of(settings: Settings) -> List[str]:
    """What is served, and registered, with these settings."""
    names = list(FEATURE_SERVICES) if settings.views else []
    if settings.authentication is not None:
        names += ["client_authentication", "site_authentication"]
        if settings.authentication.signature_over_http:
            names.append("signature")
    if settings.permission is not None:
        names.append("permission")
    return names


def service_uri(guard: AccessGuard, service: str) -> str:
    return f"{PREFIX}/{service}?{ARGUMENTS.get(service, '')}{TOKEN_ARGUMENT}={guard.token(service)}"


def service_uris(
    guard: AccessGuard, host: str, port: int, services: Sequence[str] = FEATURE_SERVICES
) -> Dict[str, str]:
    """Path and query of each service's url, such as ``/v1/ext/upload?token=...``.

    :raises InvalidSettings: the host's name is too long for FATE Flow's columns.
    """
    uris = {service: service_uri(guard, service) for service in services}
    longest = max(len(f"http://{host}:{port}{uri}") for uri in uris.values())
    room = min(MAX_HOST, len(host) - (longest - MAX_URL))
    if len(host) > room:
        raise InvalidSettings(
            f"The host name {host!r} has {len(host)} characters; FATE Flow's registry has room for {room}. Use an IP "
            "address or a shorter name.")
    return uris


def registry_entry(settings: Settings, guard: AccessGuard, host: str, port: int) -> Dict[str, Any]:
    """The body of FATE Flow's ``/v1/service/registry`` for all our services."""
    uris = service_uris(guard, host, port, services_of(settings))
    api = {name: {"uri": uri, "method": "POST"} for name, uri in uris.items()}
    return {settings.server_name: {"host": host, "port": port, "protocol": "http", "api": api}}
