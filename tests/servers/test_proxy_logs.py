"""What nginx writes down of requests, with the configuration that conf/nginx gives operators.

Never a query string, which holds the token and what FATE users ask for.
"""
import json
import socket
from pathlib import Path
from typing import List
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.support.cluster import Cluster
from tests.support.nginx import Behind
from tests.support.site import Site, wait_until
from tests.support.slow_source import lines


@pytest.fixture
def url(apart: Cluster) -> str:
    """Of upload, as FATE Flow's registry holds it: nginx's."""
    apart.restart()
    return Behind(apart.nginx, apart.one).url("upload")


def logged(cluster: Cluster, secrets: List[str]) -> List[str]:
    """Lines in any file of nginx with one of them."""
    files = [path for path in cluster.nginx.folder.rglob("*") if path.is_file() and path.suffix != ".conf"]
    return [f"{path.name}: {line}" for path in files for line in path.read_text("utf-8", "replace").splitlines()
            if any(secret in line for secret in secrets)]


def half_an_upload(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port))
    body = b"u1\n" * 1_000_000
    head = (
        f"POST {parts.path}?{parts.query}&requestBody={quote(json.dumps({}))} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {2 * len(body)}\r\n\r\n")
    connection.sendall(head.encode() + body)
    return connection


def receives(site: Site) -> bool:
    return any(path.is_dir() for path in Path(site.data_dir, "incoming").iterdir())


def test_no_log_has_the_query_string_of_a_request_that_ends_well_or_whose_server_dies(apart: Cluster, url: str) -> None:
    assert apart.behind_nginx.features(["u1"]) == lines("u1")
    with half_an_upload(url) as upload:
        server = wait_until(lambda: next(filter(receives, apart.sites), None), 60, "the upload to reach a server")
        server.kill()
        assert upload.makefile("rb").readline().split()[1] == b"502"
    for site in apart.sites:
        if site.runs():
            site.kill()
    assert apart.behind_nginx.upload(["u1"]).status_code == 502
    # each is in the access log, which says which server it was
    wait_until(lambda: apart.nginx.log().count('"POST /v1/ext/upload" 502') == 2, 60, "both to be logged")
    first = next(line for line in apart.nginx.log().splitlines() if " 502 " in line)
    assert first.endswith(f'"502" 127.0.0.1:{server.port}')
    token, = parse_qs(urlsplit(url).query)["token"]
    assert '/v1/ext/download" 200' in apart.nginx.log()
    assert logged(apart, [token, "token=", "requestBody"]) == []
