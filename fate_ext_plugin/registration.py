"""Our services as FATE Flow's registry holds them: a server, and one url a service with its capability token."""
from typing import Any, Dict, List

from fate_ext_plugin.apps import PREFIX
from fate_ext_plugin.apps.feature_app import MAX_WAIT_SECONDS
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.fence import TOKEN_ARGUMENT, Fence

# Columns of t_server_registry_info and t_service_registry_info (contract section 1).
MAX_HOST, MAX_URL = 30, 100
# ApiReader waits a minute between two queries and has no timeout, so its query is held until the job ends.
ARGUMENTS: Dict[str, str] = {"query": f"wait={MAX_WAIT_SECONDS:.0f}&"}
SERVICES: List[str] = ["upload", "query", "download"]


def service_uris(fence: Fence, host: str, port: int) -> Dict[str, str]:
    """Path and query of each service's url, such as ``/v1/ext/upload?token=...``.

    :raises InvalidSettings: the host's name is too long for FATE Flow's columns.
    """
    uris = {
        service: f"{PREFIX}/{service}?{ARGUMENTS.get(service, '')}{TOKEN_ARGUMENT}={fence.token(service)}"
        for service in SERVICES
    }
    longest = max(len(f"http://{host}:{port}{uri}") for uri in uris.values())
    room = min(MAX_HOST, len(host) - (longest - MAX_URL))
    if len(host) > room:
        raise InvalidSettings(
            f"The host name {host!r} has {len(host)} characters; FATE Flow's registry has room for {room}. Use an IP "
            "address or a shorter name.")
    return uris


def registry_entry(server_name: str, fence: Fence, host: str, port: int) -> Dict[str, Any]:
    """The body of FATE Flow's ``/v1/service/registry`` for all our services."""
    api = {name: {"uri": uri, "method": "POST"} for name, uri in service_uris(fence, host, port).items()}
    return {server_name: {"host": host, "port": port, "protocol": "http", "api": api}}
