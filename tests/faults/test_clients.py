"""Clients that are slow, stall, or vanish: they take bounded memory and threads, and hold up no others for long."""
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import Callable, List, Tuple
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.programs import takes_long
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import lines, slow_view
from tests.support.stranger import of_process, sockets

TIMEOUT = 2
MAX_HELD = 1
THREADS = 16 + MAX_HELD
WIDE = [f"{number}{'x' * 200}" for number in range(10)]


@pytest.fixture(scope="module", params=["alone", pytest.param("mounted", marks=takes_long)])
def site(request: pytest.FixtureRequest, make_shared_site: MakeSite) -> Site:
    """``fate-ext serve``, and a host with Werkzeug's server as FATE Flow's; both wait 2 s for a client, not 60."""
    return make_shared_site(
        request.param, views={"slow": slow_view, "wide": partial(slow_view, columns=WIDE)}, default_view="slow",
        min_free_bytes=0, max_held_queries=MAX_HELD, mounted=request.param == "mounted",
        constants={"apps.blueprint.TIMEOUT_SECONDS": TIMEOUT, "server.TIMEOUT_SECONDS": TIMEOUT})


def connect(site: Site, sent: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE_SECONDS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(sent.encode())
    return connection


def head(site: Site, service: str, length: int, body: str = "{}") -> str:
    url = urlsplit(site.url(service))
    return (f"POST {url.path}?{url.query}&requestBody={body} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n")


def stalled_upload(site: Site) -> str:
    return head(site, "upload", 3_000_000) + 10_000 * "u1\n"


def unread_download(site: Site) -> str:
    """Of 11 MB; the client reads none of it."""
    api_reader = ApiReader(site)
    job_id = api_reader.job([f"u{number}" for number in range(5_000)], view="wide")
    assert api_reader.status(job_id)["status"] == "success"
    return head(site, "download", 0, f'{{"jobId":"{job_id}"}}')


@pytest.mark.parametrize("request_of", [stalled_upload, unread_download])
def test_clients_that_stall_are_dropped(site: Site, request_of: Callable[[Site], str]) -> None:
    """More than ``fate-ext serve`` has threads."""
    api_reader = ApiReader(site)
    assert api_reader.features(["u1"]) == lines("u1")
    sent = request_of(site)
    memory, threads = of_process(site, "VmRSS"), of_process(site, "Threads")
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            stack.enter_context(connect(site, sent))
        assert requests.post(
            f"http://127.0.0.1:{site.port}/v1/version/get", timeout=PATIENCE_SECONDS).status_code in (200, 404)
        assert api_reader.features(["u2"]) == lines("u2")
        wait_until(lambda: sockets(site) <= THREADS // 2, what="connections to be dropped")
        wait_until(lambda: of_process(site, "Threads") <= threads + 2, what="threads to end")
        assert of_process(site, "VmRSS") - memory < 2 * THREADS * 1024  # KiB: a MiB each
    wait_until(lambda: not [name for name in site.files() if "incoming/" in name and "child" not in name],
               what="what they sent to be deleted")


def test_a_slow_upload_is_taken(site: Site) -> None:
    """One that goes on, however slowly. Where this busy machine made it stall for long, it is tried again."""
    longest_pause = float(TIMEOUT)
    while longest_pause > TIMEOUT / 2:
        longest_pause, answer = upload_slowly(site)
    assert answer.startswith("HTTP/1.1 200 OK"), answer


def upload_slowly(site: Site) -> Tuple[float, str]:
    """Takes longer than the server waits for a client; returns the longest pause, in seconds, and the answer."""
    body = "".join(f"u{number}\n" for number in range(8))
    sent, answer = [time.monotonic()], ""
    with connect(site, head(site, "upload", len(body))) as connection, suppress(OSError):
        for character in body:
            connection.sendall(character.encode())
            sent.append(time.monotonic())
            time.sleep(1.2 * TIMEOUT / len(body))
        answer = connection.recv(65536).decode()
    return max((after - before for before, after in zip(sent, sent[1:])), default=0.0), answer


def test_half_open_connections_hold_up_nobody(site: Site) -> None:
    """Nothing comes, or half a request line; each kind would do for all threads."""
    with ExitStack() as stack:
        for sent in ("", "POST /v1/ext/upl"):
            for _ in range(THREADS):
                stack.enter_context(connect(site, sent))
        answers: List[List[str]] = [ApiReader(site).features([f"u{number}"]) for number in range(2)]
    assert answers == [lines("u0"), lines("u1")]
