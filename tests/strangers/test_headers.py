"""Headers with which Werkzeug's readers need minutes: nothing of ours hands them any."""
import ast
from pathlib import Path
from typing import List

import pytest
from flask import Flask, Request

import fate_ext_plugin
from fate_ext_plugin.apps.headers import cookies, parse_parameters, preferences
from fate_ext_plugin.host import scheduling
from tests.support.site import Site
from tests.support.stranger import exchange, head, is_well
from tests.support.wire import target

#: Doubles the time of Werkzeug 2.3 for each backslash.
BACKSLASHES = 'a/b; name="' + 60 * "\\"
#: The square of it.
BLANKS = "a" + 60_000 * " " + "b"
NAMES = ["Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control",
         "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cookie", "Date",
         "Expect", "Forwarded", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
         "If-Unmodified-Since", "Max-Forwards", "Origin", "Pragma", "Range", "Referer", "Sec-Fetch-Site", "TE",
         "Upgrade", "User-Agent", "X-Forwarded-For",
         "X-Forwarded-Proto"]
PATHS = [("POST", "/v1/ext/console/sign-in"), ("GET", "/v1/ext/console/jobs"),
         ("GET", "/v1/ext/console/static/icon.svg"),
         ("POST", "/v1/ext/admin/grants?method=POST"), ("GET", "/v1/ext/health"), ("GET", "/v1/ext/openapi.json"),
         ("POST", "/v1/ext/upload"), ("POST", "/v1/ext/nothing"), ("PUT", "/v1/ext/query")]
SERVICES = ["upload", "query", "download", "client_authentication", "signature", "permission", "metrics"]


@pytest.mark.parametrize("value", [BACKSLASHES, BLANKS, f"a,{BACKSLASHES}"], ids=["backslashes", "blanks", "in a list"])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_no_header_of_a_stranger_stops_the_interpreter(site: Site, method: str, path: str, value: str) -> None:
    for name in NAMES:
        if name == "Expect" and site.module:
            continue  # Python's own server waits for the body then
        (status, _), *others = exchange(
            site, head(method, path, f"{name}: {value}", "Content-Length: 2", "Connection: close") + b"{}")
        assert status < 500 and not others, (name, status)
    is_well(site)


@pytest.mark.parametrize("service", SERVICES)
def test_nor_one_of_whoever_has_a_token(site: Site, service: str) -> None:
    path, method = target(site.url(service)), "GET" if service == "metrics" else "POST"
    for name in NAMES:
        (status, _), *others = exchange(
            site, head(method, path, f"{name}: {BACKSLASHES}", "Content-Length: 2", "Connection: close") + b"{}")
        assert status < 500 and not others, (name, status)
    is_well(site)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=B", "application/octet-stream"])
def test_nor_a_header_within_a_form(site: Site, content_type: str) -> None:
    body = b"--B\r\nContent-Disposition: form-data; " + BACKSLASHES.encode() + b"\r\n\r\nu1\r\n--B--\r\n"
    (status, answer), = exchange(site, head(
        "POST", f"{target(site.url('upload'))}&requestBody=%7B%7D", f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}", "Connection: close") + body)
    assert status == 400, answer
    is_well(site)


def test_nor_what_is_read_of_it_for_a_hook_of_fate_flow() -> None:
    """FATE Flow's own reading of a form comes before, where client authentication is on; see docs/security.md."""
    app = Flask("fate_flow")
    with app.test_request_context(
            "/v1/party/1/guest/9999/update", method="POST", data="{}", headers={"Content-Type": BACKSLASHES}):
        assert scheduling._refuse_changed_job() is None


#: What of a request Werkzeug reads with the readers that are slow.
SLOW = {name for name in dir(Request) if name.startswith(("accept_", "if_"))} | {
    "authorization", "cache_control", "content_encoding", "cookies", "date", "files", "form", "is_json", "json",
    "max_forwards", "mimetype", "mimetype_params", "pragma", "range", "values", "data", "get_data", "stream"}


def test_no_code_of_ours_uses_werkzeugs_readers() -> None:
    found: List[str] = []
    for path in Path(fate_ext_plugin.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used = node.module == "werkzeug.http"
            else:
                used = isinstance(node, ast.Attribute) and (node.attr == "make_conditional" or (
                    # auth/ has requests of its own, which are not Flask's
                    node.attr in SLOW and path.parent.name != "auth"
                    and isinstance(node.value, ast.Name) and node.value.id in ("request", "current")))
            if used:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


def test_headers_as_clients_send_them_are_read_as_they_mean_them() -> None:
    assert parse_parameters("Multipart/Form-Data; boundary=abc") == ("multipart/form-data", {"boundary": "abc"})
    assert parse_parameters('multipart/form-data;Boundary = "a;b" ; charset=utf-8') == (
        "multipart/form-data", {"boundary": "a;b", "charset": "utf-8"})
    assert parse_parameters('form-data; name="file"; filename="a \\"b\\" \\\\c;d=\u8eab.csv"') == (
        "form-data", {"name": "file", "filename": 'a "b" \\c;d=\u8eab.csv'})
    assert parse_parameters("text/csv") == ("text/csv", {})
    assert parse_parameters('text/csv; broken; name="open') == ("text/csv", {})
    assert parse_parameters("text/csv; a=" + "b" * 5000) == ("", {})
    assert preferences("zh-CN,zh;q=0.9, en-US;q=0.8,*;q=0.1, fr;q=x, it;q=7") == {
        "zh-cn": 1, "zh": 0.9, "en-us": 0.8, "*": 0.1}
    assert preferences("") == {}
    assert cookies("a=1; b = 2;a=3;; c") == {"a": "1", "b": "2", "c": ""}
