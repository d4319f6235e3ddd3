"""What a stranger may send is never an error of the server, and never taken for a success of FATE Flow's."""
import json
from typing import Callable, Dict

import pytest
import requests

from tests.support.site import Site
from tests.support.stranger import exchange, head

METHODS = ["TRACE", "CONNECT", "PROPFIND", "FOO"]
PATHS = ["/v1/ext", "/v1/ext/", "/v1/ext/health", "/v1/ext/upload", "/v1/ext/admin/jobs", "/v1/ext/console",
         "/v1/ext/console/sign-in", "/v1/ext/nothing/at/all"]


@pytest.mark.parametrize("path", PATHS)
def test_no_method_is_answered_with_fate_flows_200(site: Site, path: str) -> None:
    for method in METHODS:
        if method == "CONNECT" and not site.module:
            continue  # refused before it is one of ours
        (status, answer), = exchange(site, head(method, path, "Connection: close"))
        assert status == 405, (method, answer)


@pytest.mark.parametrize("host", ["[", "a:\\", "a, b", "", "a:99999999", "\xff"])
@pytest.mark.parametrize("path", ["/v1/ext//console", "/v1/ext/console//sign-in", "/v1/ext//", "/v1/ext/upload/"])
def test_no_host_is_an_error_of_the_server_or_redirected_to(site: Site, path: str, host: str) -> None:
    sent = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    (status, answer), = exchange(site, sent.encode("latin-1"))
    assert status in (303, 403, 404, 405) and b"Location: http" not in answer, answer


@pytest.mark.parametrize("origin", ["http://[", "http://]", "//", "http://[::1", "null", "\xff", "http://a:b:c"])
def test_no_origin_is_an_error_of_the_server(site: Site, origin: str) -> None:
    (status, _), = exchange(site, head(
        "POST", "/v1/ext/console/sign-in", "Content-Type: application/x-www-form-urlencoded", f"Origin: {origin}",
        "Content-Length: 4", "Connection: close") + b"a=b&")
    assert status == 403


DEEP: Dict[str, Callable[[int], str]] = {
    "lists": lambda depth: '{"body": ' + "[" * depth + "]" * depth + "}",
    "objects": lambda depth: '{"body": ' + '{"a":' * depth + "1" + "}" * depth + "}",
    "headers as text": lambda depth: json.dumps({"full_path": "/", "headers": '{"a":' * depth + "1" + "}" * depth}),
}


@pytest.mark.parametrize("depth", [200, 960, 970, 980, 990, 1000, 100_000])
@pytest.mark.parametrize("text", list(DEEP.values()), ids=list(DEEP))
@pytest.mark.parametrize("service", [
    "query", "client_authentication", "site_authentication", "signature", "permission"])
def test_no_depth_of_json_is_an_error_of_the_server(
    site: Site, service: str, text: Callable[[int], str], depth: int
) -> None:
    answer = requests.post(site.url(service), data=text(depth), timeout=60)
    assert answer.status_code == 400, answer.text


def test_json_as_deep_as_fates_own_is_read(site: Site) -> None:
    answer = requests.post(site.url("signature"), data=DEEP["objects"](50), timeout=60)
    assert answer.json()["code"] == 0
