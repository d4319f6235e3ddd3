"""Registering with a FATE Flow over its REST interface, POST /v1/service/registry."""
from typing import Iterator, Tuple

from fate_ext_plugin.access.guard import AccessGuard, redact
from fate_ext_plugin.apps.service_urls import registry_entry
from fate_ext_plugin.cli.errors import CommandFailed
from fate_ext_plugin.cli.flow import Flow, Refused
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.model import Settings


def register(settings: Settings, url: str) -> Iterator[Tuple[str, str]]:
    """Register all services; yields each with its url, the token hidden.

    :param url: FATE Flow's, such as ``http://10.0.0.5:9380``.
    :raises ExtError: FATE Flow can't be reached or refuses.
    """
    flow = Flow(url)
    storage = Storage(settings.data_dir, settings.min_free_bytes)
    storage.open()
    host, port = settings.listen.public
    if host in ("0.0.0.0", "::", ""):
        raise InvalidSettings("listen.host names no address FATE Flow could call; set listen.public_host.")
    entry = registry_entry(settings, AccessGuard(storage.secret(), (), ()), host, port)
    try:
        flow.post("/v1/service/registry", entry).data()
    except Refused as error:
        hint = " Start `fate-ext serve` first: FATE Flow tests the address." if "refused" in error.message else ""
        raise CommandFailed(f"FATE Flow refused the registration: {error.message}.{hint}") from None
    for service, call in entry[settings.server_name]["api"].items():
        yield service, redact(f"http://{host}:{port}{call['uri']}")
