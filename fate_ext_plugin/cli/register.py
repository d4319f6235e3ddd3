"""Registering with a FATE Flow over its REST interface, POST /v1/service/registry."""
import json
from typing import Iterator, Tuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from fate_ext_plugin.errors import ExtError, InvalidSettings
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.fence import Fence, redact
from fate_ext_plugin.registration import registry_entry
from fate_ext_plugin.settings import Settings

TIMEOUT_SECONDS = 30.0


def register(settings: Settings, flow: str) -> Iterator[Tuple[str, str]]:
    """Register all services; yields each with its url, the token hidden.

    :param flow: such as ``http://10.0.0.5:9380``.
    :raises ExtError: FATE Flow can't be reached or refuses.
    """
    if urlsplit(flow).scheme not in ("http", "https"):
        raise InvalidSettings(f"--flow must be a url such as http://10.0.0.5:9380, not {flow!r}.")
    storage = Storage(settings.data_dir, settings.min_free_bytes)
    storage.open()
    host, port = settings.listen.public_host or settings.listen.host, settings.listen.port
    if host in ("0.0.0.0", "::", ""):
        raise InvalidSettings("listen.host names no address FATE Flow could call; set listen.public_host.")
    entry = registry_entry(settings, Fence(storage.secret(), (), ()), host, port)
    _post(f"{flow.rstrip('/')}/v1/service/registry", entry)
    for service, call in entry[settings.server_name]["api"].items():
        yield service, redact(f"http://{host}:{port}{call['uri']}")


def _post(url: str, body: object) -> None:
    request = Request(url, json.dumps(body).encode("utf-8"), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            answer = json.loads(response.read())
    except HTTPError as error:
        raise ExtError(f"FATE Flow at {url} answered HTTP {error.code}.") from None
    except (URLError, OSError) as error:
        raise ExtError(f"FATE Flow can't be reached at {url}: {getattr(error, 'reason', error)}.") from None
    except ValueError:
        raise ExtError(f"What answers at {url} is no FATE Flow.") from None
    if not isinstance(answer, dict) or answer.get("retcode") != 0:
        message = redact(str(answer.get("retmsg") if isinstance(answer, dict) else answer))
        hint = " Start `fate-ext serve` first: FATE Flow tests the address." if "refused" in message else ""
        raise ExtError(f"FATE Flow refused the registration: {message}.{hint}")
