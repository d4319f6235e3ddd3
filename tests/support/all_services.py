"""A site with all services, and one call of each as FATE Flow makes it."""
import itertools
import json
import time
from typing import Any, Callable, Dict

import requests

from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.db.base import now_ms
from tests.support.api_reader import ApiReader
from tests.support.background import Background
from tests.support.permission import grant, recorded
from tests.support.recordings import vectors
from tests.support.site import PATIENCE_SECONDS, Site
from tests.support.slow_source import slow_view

APP_KEY, SECRET = "demo-app-key", "demo-secret-key!"
PARTY = "10000"
#: what :func:`tests.support.builder.build_site` makes such a site of
ALL_SERVICES: Dict[str, Any] = dict(
    views={"slow": slow_view}, clients={APP_KEY: {"secret": SECRET}},
    partners={"9999": vectors("1.11.2")["public_key"]},
    # limited, so that each check counts a use
    grants=[grant("all", components=["*"], datasets=["*/*"], max_uses=1_000_000)],
    authentication={"party_id": PARTY, "signature_over_http": True}, permission={}, metrics=True, min_free_bytes=0)


class Services:
    """The calls by service."""

    def __init__(self, site: Site) -> None:
        self.site, self.api_reader = site, ApiReader(site)
        self._number = itertools.count()
        #: a job that has ended
        self.result = ""
        self._partner = vectors("1.11.2")["vectors"][0]

    def prepare(self) -> "Services":
        """Needs a server that is well."""
        self.result = self.api_reader.job(["u0"])
        assert self.api_reader.status(self.result)["status"] == "success"
        return self

    def calls(self) -> Dict[str, Callable[[], requests.Response]]:
        return {name: getattr(self, name) for name in (
            "upload", "query", "download", "client_authentication", "site_authentication", "signature", "permission")}

    def upload(self) -> requests.Response:
        return self.api_reader.upload([f"u{next(self._number)}"])

    def query(self) -> requests.Response:
        return self.api_reader.query(self.result)

    def download(self) -> requests.Response:
        return self.api_reader.download(self.result)

    def client_authentication(self) -> requests.Response:
        stamp, nonce = str(now_ms()), f"nonce-{time.monotonic_ns()}"
        text = signed_text(ClientRequest("/v1/job/query", {"timestamp": stamp, "nonce": nonce}, b"", None), APP_KEY)
        headers = {"TIMESTAMP": stamp, "NONCE": nonce, "APP-KEY": APP_KEY,
                   "SIGNATURE": Signer(SECRET, "hmac-sha1").sign(text)}
        return self._post("client_authentication", {
            "full_path": "/v1/job/query", "headers": headers, "form": None, "data": None, "json": None})

    def site_authentication(self) -> requests.Response:
        """Of a stock partner's signature, which is the same each time."""
        return self._post("site_authentication", {
            "src_party_id": "9999", "site_signature": self._partner["site_signature"], "body": self._partner["body"]})

    def signature(self) -> requests.Response:
        return self._post("signature", {"party_id": PARTY, "body": {"job": 1}})

    def permission(self) -> requests.Response:
        request = json.loads(json.dumps(recorded()[3]))
        request["run_time_conf"]["job_parameters"]["common"]["model_version"] = f"2026112310380531{next(self._number)}"
        return self._post("permission", request)

    def _post(self, service: str, body: Any) -> requests.Response:
        return requests.post(self.site.url(service), json=body, timeout=PATIENCE_SECONDS)


def good(name: str, response: requests.Response) -> bool:
    """Whether it says yes, and not that it is refused or can't be decided."""
    if response.status_code != 200:
        return False
    if name == "download":
        return response.text.splitlines() == ["id,amount", "u0,amount=u0"]
    if name == "query":
        return bool(response.json()["data"]["status"] == "success")
    return bool(response.json()["code"] == 0)


def ask_all(services: Services, times: int = 1) -> Dict[str, requests.Response]:
    """All at once; the last answers."""
    asked = [(name, Background(call)) for name, call in services.calls().items() for _ in range(times)]
    return {name: call.result() for name, call in asked}
