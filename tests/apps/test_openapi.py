"""/v1/ext/openapi.json: what all endpoints take and answer; and a run of requests made out of it."""
import base64
import hmac
import json
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List
from urllib.parse import unquote

import pytest
import requests

from fate_ext_plugin.admin import ADMIN_PREFIX
from fate_ext_plugin.admin.catalog import OPERATIONS
from tests.support import programs
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.credit import credit_view
from tests.support.examples import examples
from tests.support.site import ALL, Site

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "fate_ext_plugin" / "openapi.json"
EXAMPLES = 8
SERVICES = {f"/v1/ext/{service}": service for service in ALL}
SERVICES["/v1/ext/permission/explain"] = "permission"


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    return make_shared_site(
        views={"credit": credit_view}, authentication={"party_id": "9999", "signature_over_http": True}, permission={},
        metrics=True, long_poll_seconds=0, clients={"ops": "admin"})


@pytest.fixture(scope="module")
def document() -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


@pytest.mark.skipif(sys.version_info < (3, 9), reason="apispec needs a younger `packaging` than FATE pins")
def test_the_file_is_what_the_schemas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make openapi` writes it."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_openapi

    assert make_openapi.text() == FILE.read_text("utf-8")


def test_it_is_served_without_a_token(site: Site, document: Dict[str, Any]) -> None:
    response = site.probe("openapi.json")
    assert response.headers["Content-Type"] == "application/json" and response.json() == document
    assert document["openapi"] == "3.0.3"


def test_every_endpoint_is_in_it_and_no_other(site: Site, document: Dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    ours = {(operation.method, ADMIN_PREFIX + re.sub("<([a-z_]+)>", r"{\1}", operation.path))
            for operation in OPERATIONS}
    assert {one for one in described if one[1].startswith(ADMIN_PREFIX)} == ours
    rest = {path for _, path in described - ours}
    assert rest == {*SERVICES, "/v1/ext/health", "/v1/ext/ready", "/v1/ext/openapi.json"}
    for path in rest:
        response = requests.options(f"http://127.0.0.1:{site.port}{path}?{token(site, path)}", timeout=60)
        assert response.status_code == 405, (path, response.text)  # it is there


def token(site: Site, path: str) -> str:
    return site.url(SERVICES[path]).partition("?")[2] if path in SERVICES else ""


def test_it_says_who_may(document: Dict[str, Any]) -> None:
    for operation in OPERATIONS:
        path = ADMIN_PREFIX + re.sub("<([a-z_]+)>", r"{\1}", operation.path)
        described = document["paths"][path][operation.method.lower()]
        assert described["operationId"] == operation.name
        assert ("viewer" in described["description"]) == (not operation.changes)
        assert set(described["security"][0]) == {"timestamp", "nonce", "appKey", "signature"}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="schemathesis as tested is for Python 3.10 and later")
class TestRequestsMadeOfIt:
    """Whatever is sent, no endpoint fails with an error of its own, and each answers as the document says."""

    @pytest.mark.hypothesis
    def test_all(self, site: Site, document: Dict[str, Any]) -> None:
        programs.need_package("schemathesis", "'schemathesis>=4.32'")
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from schemathesis.checks import not_a_server_error
        from schemathesis.specs.openapi.checks import (
            content_type_conformance,
            response_schema_conformance,
            status_code_conformance,
        )

        reader = ApiReader(site)
        reader.status(reader.job(["u1"], view="credit"))
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=f"http://127.0.0.1:{site.port}")
        checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
        seen: List[int] = []
        session = requests.Session()
        for found in schema.get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @settings(examples(EXAMPLES), phases=[Phase.explicit, Phase.generate],
                      suppress_health_check=list(HealthCheck))
            def run(case: Any) -> None:
                request = prepared(site, case)
                response = session.send(request, timeout=60, allow_redirects=False)
                seen.append(response.status_code)
                if case.operation.path.startswith(ADMIN_PREFIX):
                    assert response.status_code != 401, (request.url, request.body, response.text)
                case.validate_response(response, checks=checks)
            run()
        assert len(seen) > len(OPERATIONS) * EXAMPLES / 3
        assert seen.count(200) > 50 and {400, 404} < set(seen)


def prepared(site: Site, case: Any) -> requests.PreparedRequest:
    """The request with a token or a signature, as its endpoint needs it."""
    operation = case.operation
    if operation.path in SERVICES:
        case.query = {**(case.query or {}), "token": token(site, operation.path).partition("=")[2]}
    options = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{site.port}")
    options.pop("cookies", None)
    headers = {name: value for name, value in options.pop("headers").items()
               if name.upper() not in ("TIMESTAMP", "NONCE", "APP-KEY", "SIGNATURE")}
    request = requests.Request(**{"method": operation.method.upper(), **options, "headers": headers}).prepare()
    if operation.path.startswith(ADMIN_PREFIX):
        stamp, nonce = str(round(time.time() * 1000)), str(uuid.uuid4())
        body = request.body or b""
        path, question, query = str(request.path_url).partition("?")
        text = b"\n".join([stamp.encode(), nonce.encode(), b"ops", f"{unquote(path)}{question}{query}".encode(),
                           body.encode() if isinstance(body, str) else body, b""])
        digest = hmac.new(site.secrets["ops"].encode(), text, "sha1").digest()
        request.headers.update({"TIMESTAMP": stamp, "NONCE": nonce, "APP-KEY": "ops",
                                "SIGNATURE": base64.b64encode(digest).decode()})
    return request
