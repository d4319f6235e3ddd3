"""Clients that are slow on purpose: none takes a thread of ``fate-ext serve``, or one of the host's for good."""
import re
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests

from tests.support.builder import MakeSite
from tests.support.site import Site, wait_until
from tests.support.stranger import (
    LONG,
    SITE,
    THREADS,
    answers,
    connect,
    drip_until_closed,
    head,
    is_well,
    of_process,
    sockets,
)

CLIENTS = 100
SIGN_IN = ["POST", "/v1/ext/console/sign-in", "Content-Type: application/x-www-form-urlencoded"]
SLOW = {
    "nothing": b"",
    "half a request line": b"GET /v1/ext/hea",
    "half the headers": b"GET /v1/ext/health HTTP/1.1\r\nHost: a\r\nX: ",
    "many headers": b"GET /v1/ext/health HTTP/1.1\r\n" + b"X: y\r\n" * 1000,
    "half a form": head(*SIGN_IN, "Content-Length: 1000000") + b"app_key=",
    "a form that waits to be asked for": head(*SIGN_IN, "Content-Length: 1000", "Expect: 100-continue"),
    "a form in chunks": head(*SIGN_IN, "Transfer-Encoding: chunked") + b"5\r\napp",
    "a form that is too long": head(*SIGN_IN, "Content-Length: 10000000") + b"app_key=",
    "half a request of administration": head(
        "POST", "/v1/ext/admin/grants?method=POST", "Content-Type: application/json", "Content-Length: 9999") + b"{",
    "a refused upload": head("POST", "/v1/ext/upload", "Content-Length: 10000000") + b"u1\n",
    "a refused upload in chunks": head("POST", "/v1/ext/upload", "Transfer-Encoding: chunked") + b"ffff\r\nu1\n",
    "a body that nobody reads": head("GET", "/v1/ext/health", "Content-Length: 10000000") + b"u1\n",
    "a malformed request": b"nonsense\r\n\r\n",
    "answers that are not read": head("GET", "/v1/ext/openapi.json") * 50,
}


@pytest.mark.parametrize("sent", list(SLOW.values()), ids=list(SLOW))
def test_no_number_of_slow_strangers_holds_up_the_others(site: Site, sent: bytes) -> None:
    """They are more than there are threads, and the server would wait an hour for each."""
    assert CLIENTS > 2 * THREADS
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(connect(site, sent, receive_buffer=2048))
        is_well(site)
    wait_until(lambda: sockets(site) < THREADS, LONG, "the connections to be closed")
    is_well(site)


SECOND = {"apps.blueprint.TIMEOUT_SECONDS": 1, "server.TIMEOUT_SECONDS": 1, "apps.request_body.STRANGER_SECONDS": 1}


@pytest.fixture(scope="module")
def impatient(make_shared_site: MakeSite) -> Site:
    return make_shared_site("impatient", **SITE, constants=SECOND)


@pytest.fixture(scope="module")
def impatient_host(make_shared_site: MakeSite) -> Site:
    return make_shared_site("impatient_host", **SITE, mounted=True, constants=SECOND)


@pytest.mark.parametrize("begun", ["half the headers", "a refused upload", "a refused upload in chunks",
                                   "a body that nobody reads", "a malformed request"])
def test_no_stranger_keeps_a_connection_by_going_on_slowly(impatient: Site, begun: str) -> None:
    """The time counts from the beginning, not from the last byte."""
    with connect(impatient, SLOW[begun]) as connection:
        drip_until_closed(connection, b"a")
    is_well(impatient)


@pytest.mark.parametrize("begun", ["half a form", "a refused upload", "a refused upload in chunks",
                                   "a body that nobody reads", "a form in chunks", "a form that is too long"])
def test_nor_a_thread_of_the_host(impatient_host: Site, begun: str) -> None:
    """Headers are the host's own to wait for."""
    with connect(impatient_host, SLOW[begun]) as connection:
        drip_until_closed(connection, b"a")
    is_well(impatient_host)


@pytest.mark.parametrize("mounted", [False, True], ids=["alone", "mounted"])
def test_what_is_read_of_a_refused_body_has_a_bound(make_site: MakeSite, mounted: bool) -> None:
    bounds = {"apps.request_body.STRANGER_BYTES": 1 << 20, "serving.connections.MAX_UNREAD_BYTES": 1 << 20}
    site = make_site(**SITE, mounted=mounted, constants=bounds)
    memory = of_process(site, "VmRSS")
    endless = head("POST", "/v1/ext/upload", f"Content-Length: {1 << 40}")
    with connect(site, endless) as connection, pytest.raises(ConnectionError):
        for _ in range(1 << 20):
            connection.sendall(b"u" * (1 << 20))
    assert of_process(site, "VmRSS") - memory < 50_000
    is_well(site)


def test_a_stranger_who_is_refused_while_sending_sees_why(site: Site) -> None:
    answer = requests.post(f"http://127.0.0.1:{site.port}/v1/ext/upload", data=b"u" * (20 << 20), timeout=LONG)
    assert (answer.status_code, answer.json()["code"]) == (403, 40301)


def test_of_those_that_wait_the_one_that_has_waited_longest_makes_room(make_site: MakeSite) -> None:
    site = make_site(**SITE, constants={"serving.connections.MAX_WAITING": 10})
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(site, b"GET /v1/ext/health HTTP/1.1\r\n")) for _ in range(30)]
        for client in clients[:20]:
            assert answers(client) == []
        is_well(site)
        clients[-1].sendall(b"Host: a\r\nConnection: close\r\n\r\n")
        assert answers(clients[-1])[0][0] == 200


def test_nor_do_those_that_wait_fill_the_memory_and_who_sent_little_is_not_the_one_to_go(make_site: MakeSite) -> None:
    site = make_site(**SITE, constants={"serving.connections.MAX_WAITING_BYTES": 1 << 20})
    is_well(site)
    memory = of_process(site, "VmRSS")
    with ExitStack() as stack:
        first = stack.enter_context(connect(site, b"GET /v1/ext/health HTTP/1.1\r\n"))
        is_well(site)  # and so has heard of the one before
        for _ in range(200):
            connection = stack.enter_context(connect(site, head(*SIGN_IN, f"Content-Length: {1 << 20}")))
            with suppress(ConnectionError):  # it is cut
                connection.sendall(b"a" * ((1 << 20) - 1))
        is_well(site)
        assert of_process(site, "VmRSS") - memory < 100_000  # KiB: half of what they sent
        first.sendall(b"Host: a\r\nConnection: close\r\n\r\n")
        assert answers(first)[0][0] == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_once(alone: Site) -> None:
    with connect(alone, head(*SIGN_IN, "Content-Length: 7", "Expect: 100-continue", "Connection: close")) as connection:
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"app_key")
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert re.match(rb"HTTP/1\.1 4\d\d ", received), received


def test_a_refused_upload_is_not_asked_for_its_body(alone: Site) -> None:
    sent = head("POST", "/v1/ext/upload", "Content-Length: 9999999", "Expect: 100-continue")
    with connect(alone, sent) as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 403 ")


def test_a_connection_is_kept_for_the_next_request(alone: Site) -> None:
    with requests.Session() as session:
        ports: Any = set()
        for _ in range(5):
            answer = session.get(f"http://127.0.0.1:{alone.port}/v1/ext/health", timeout=LONG, stream=True)
            ports.add(answer.raw._connection.sock.getsockname() if answer.raw._connection else None)
            assert answer.json()["code"] == 0
    assert len(ports) == 1 and None not in ports
