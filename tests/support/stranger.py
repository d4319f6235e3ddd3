"""What a stranger without a token or an app key may send from an allowed network, and what it does to a server."""
import os
import re
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import List, Tuple

import requests

from tests.support.all_services import ALL_SERVICES
from tests.support.site import Site, wait_until

#: All waits for what can't be told by an event end here, and the test fails.
LONG = 60.0
HELD = 1
#: of ``fate-ext serve`` on these sites
THREADS = 16 + HELD
SITE = {**ALL_SERVICES, "max_held_queries": HELD, "trusted_proxies": ["127.0.0.0/8"]}


def connect(site: Site, sent: bytes = b"", receive_buffer: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(LONG)
    connection.connect(("127.0.0.1", site.port))
    connection.sendall(sent)
    return connection


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode("latin-1")


def answers(connection: socket.socket) -> List[Tuple[int, bytes]]:
    """Status and the rest of each answer on a connection, until the server closes it."""
    received = b""
    with suppress(ConnectionError):
        while True:
            more = connection.recv(1 << 16)
            if not more:
                break
            received += more
    found = re.split(rb"HTTP/1\.[01] (?!100 )(\d{3}) ", received)[1:]
    return [(int(status), rest) for status, rest in zip(found[::2], found[1::2])]


def exchange(site: Site, sent: bytes) -> List[Tuple[int, bytes]]:
    """The client goes on listening, and does not close its side."""
    with connect(site, sent) as connection:
        return answers(connection)


def drip_until_closed(connection: socket.socket, byte: bytes) -> None:
    """Send a byte again and again until the server has closed the connection; it never may go silent for that."""
    def closed() -> bool:
        try:
            connection.send(byte)
            connection.settimeout(0.02)
            return connection.recv(1 << 16) == b""
        except socket.timeout:
            return False
        except OSError:
            return True
    wait_until(closed, LONG, "the connection to be closed")


def is_well(site: Site) -> None:
    """Health answers, and so does the host where there is one."""
    assert requests.get(f"http://127.0.0.1:{site.port}/v1/ext/health", timeout=LONG).status_code == 200
    if site.module:
        assert requests.post(f"http://127.0.0.1:{site.port}/v1/version/get", timeout=LONG).json() == {"retcode": 0}


def sockets(site: Site) -> int:
    assert site.process
    found = 0
    for descriptor in Path(f"/proc/{site.process.pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += os.readlink(descriptor).startswith("socket:")
    return found


def of_process(site: Site, field: str) -> int:
    """A number of the server's process as the kernel counts it, such as Threads, or VmRSS in KiB."""
    assert site.process
    text = Path(f"/proc/{site.process.pid}/status").read_text()
    return int(re.findall(rf"^{field}:\s+(\d+)", text, re.MULTILINE)[0])


def reset(connection: socket.socket) -> None:
    """Close it so that the other side sees a broken connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
