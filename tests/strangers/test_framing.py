"""Requests that two programs may read in two ways: a proxy that lets them pass must not let a caller put a request of
its own behind another's. One answer, 400, and the connection is closed."""
import json
from typing import List, Tuple

import pytest

from tests.support.admin import Admin
from tests.support.all_services import APP_KEY, SECRET
from tests.support.site import Site, wait_until
from tests.support.stranger import answers, connect, exchange, head, is_well, of_process, reset
from tests.support.wire import target

HEALTH = head("GET", "/v1/ext/health")
CHUNK = b"3\r\nu1\n\r\n"


@pytest.mark.parametrize(("headers", "body"), [
    (["Content-Length: 60", "Content-Length: 2"], b"1\n" + HEALTH),
    (["Content-Length: 2", "Content-Length: 2"], b"1\n"),
    (["Content-Length: 2, 2"], b"1\n"),
    (["Content-Length: -1"], b""),
    (["Content-Length: +2"], b"1\n"),
    (["Content-Length: 1_0"], b"1\n" + HEALTH),
    (["Content-Length: 0x2"], b"1\n"),
    (["Content-Length:"], b""),
    (["Content-Length: 99999999999999999999999999"], b""),
    (["Content-Length : 2"], b"1\n"),
    (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + HEALTH),
    (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n" + HEALTH),
    (["Transfer-Encoding : chunked"], CHUNK + b"0\r\n\r\n"),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], CHUNK + b"0\r\n\r\n"),
    (["Transfer-Encoding: chunked, chunked"], CHUNK + b"0\r\n\r\n"),
    (["Transfer-Encoding: identity"], HEALTH),
    (["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
    (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + HEALTH),
    (["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n" + HEALTH),
    (["Transfer-Encoding:\r\n chunked"], b"0\r\n\r\n" + HEALTH),
    (["Host: b"], b""),
    (["X: a\rContent-Length: 5"], b"0\r\n\r\n"),
    (["X: a\nContent-Length: 5"], b"0\r\n\r\n"),
    (["X: a\x00"], b""),
    (["no colon"], b""),
    ([": no name"], b""),
    (["\u00fc: b"], b""),
], ids=repr)
def test_no_request_is_hidden_in_another(alone: Site, headers: List[str], body: bytes) -> None:
    sent = head("POST", target(alone.url("upload")), "Content-Type: text/plain", *headers) + body
    (status, rest), *others = exchange(alone, sent)
    assert status == 400 and not others, rest
    is_well(alone)


@pytest.mark.parametrize("line", [
    b"GET //[ HTTP/1.1", b"GET http://a/v1/ext/health HTTP/1.1", b"GET /v1/ext/health HTTP/1.10000", b"GET * HTTP/1.1",
    b"GET /v1/ext/health HTTP/1.-5", b"G\xcbT /v1/ext/health HTTP/1.1", b"get /v1/ext/health HTTP/1.1",
    b"GET /v1/ext/health HTTP/2.0", b"GET /v1/ext/health", b"GET  /v1/ext/health HTTP/1.1", b"\x16\x03\x01\x02\x00",
    b"GET /a#b HTTP/1.1", b"", b"CONNECT a:1 HTTP/1.1"])
def test_no_malformed_request_line_is_an_error_of_the_server(alone: Site, line: bytes) -> None:
    (status, rest), *others = exchange(alone, line + b"\r\nHost: a\r\n\r\n")
    assert 400 <= status < 600 and status != 500 and not others, rest
    is_well(alone)


@pytest.mark.parametrize("chunks", [
    b"ffffffffffffffffffff\r\nu1\n", b"-1\r\nu1\n", b"0x3\r\nu1\n\r\n0\r\n\r\n", b"3 3\r\nu1\n\r\n0\r\n\r\n", b"\r\n",
    b"3\nu1\n\r\n0\r\n\r\n", b"3\r\nu1\nXX0\r\n\r\n", b"3;" + b"a" * 5000, b"+3\r\nu1\n\r\n0\r\n\r\n",
    CHUNK + b"0\r\n" + b"X: y\r\n" * 5000, CHUNK + b"0\r\nX: y\n\r\n"], ids=lambda chunks: repr(chunks[:12]))
def test_no_malformed_chunk_is_an_error_of_the_server(alone: Site, chunks: bytes) -> None:
    path = f"{target(alone.url('upload'))}&requestBody=%7B%7D"
    (status, rest), *others = exchange(
        alone, head("POST", path, "Content-Type: text/plain", "Transfer-Encoding: chunked") + chunks)
    assert status == 400 and json.loads(rest.split(b"\r\n\r\n")[1])["code"] == 40004 and not others, rest
    is_well(alone)


def test_a_trailer_is_not_read_as_the_next_request(alone: Site) -> None:
    path = f"{target(alone.url('upload'))}&requestBody=%7B%7D"
    with connect(alone, head("POST", path, "Content-Type: text/plain", "Transfer-Encoding: chunked")
                 + CHUNK + b"0;last\r\nX-A: b\r\nX-C: d\r\n\r\n") as connection:
        first = b""
        while not first.endswith(b"}\n"):
            first += connection.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 200 "), first
        connection.sendall(head("GET", "/v1/ext/health", "Connection: close"))
        (status, _), = answers(connection)
    assert status == 200


@pytest.mark.parametrize("chunk", [b"7fffffffffffffff\r\nu1\n", b"80000000\r\nu1\n", b"ffff\r\nu1\n", b""])
@pytest.mark.parametrize("path", ["/v1/ext/console/sign-in", "/v1/ext/upload", "the url of upload"])
def test_no_thread_outlives_a_connection_that_ends_within_a_chunk(site: Site, path: str, chunk: bytes) -> None:
    if path == "the url of upload":
        path = f"{target(site.url('upload'))}&requestBody=%7B%7D"
    is_well(site)
    threads = of_process(site, "Threads")
    for end in (lambda connection: connection.close(), reset):
        end(connect(site, head("POST", path, "Content-Type: text/plain", "Transfer-Encoding: chunked") + chunk))
    wait_until(lambda: of_process(site, "Threads") <= threads, 60, "the requests' threads to end")
    is_well(site)


def test_a_large_chunk_is_not_kept_in_memory(alone: Site) -> None:
    """Of a stranger's refused one, and of an upload."""
    is_well(alone)
    for path in ("/v1/ext/upload", f"{target(alone.url('upload'))}&requestBody=%7B%7D"):
        memory = of_process(alone, "VmRSS")
        with connect(alone, head("POST", path, "Content-Type: text/plain", "Transfer-Encoding: chunked")
                     + b"7ffffff\r\n") as connection:
            for _ in range(100):
                connection.sendall(b"1234567\n" * (1 << 17))
            assert of_process(alone, "VmRSS") - memory < 50_000


NETWORK = [("X-Forwarded-For: 203.0.113.9", "X_Forwarded_For: 127.0.0.1"),
           ("X_Forwarded_For: 127.0.0.1", "X-Forwarded-For: 203.0.113.9"),
           ("X-Forwarded-For: 203.0.113.9", "X-Forwarded_For: 127.0.0.1"),
           ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1")]


@pytest.mark.parametrize("headers", NETWORK, ids=repr)
def test_no_second_header_forges_where_a_request_comes_from(site: Site, headers: Tuple[str, str]) -> None:
    (status, _), = exchange(site, head("GET", "/v1/ext/health", *headers, "Connection: close"))
    assert status == 403
    (status, _), = exchange(site, head("GET", "/v1/ext/health", "X-Forwarded-For: 127.0.0.1", "Connection: close"))
    assert status == 200


def test_fates_own_header_with_an_underscore_is_read(alone: Site) -> None:
    """APP_KEY, as FATE's client sends it."""
    admin = Admin(f"http://127.0.0.1:{alone.port}", APP_KEY, SECRET)
    for app_key, status in ((APP_KEY, 403), ("another", 401)):  # known, but without a role; unknown
        prepared = admin.prepare("GET", "/health")
        del prepared.headers["APP-KEY"]
        prepared.headers["APP_KEY"] = app_key
        assert admin.send(prepared).status_code == status
