"""HTTP below the level of a client library, and what all refusals have in common."""
import socket
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Set, Tuple

import requests

from tests.support.recordings import lines_of
from tests.support.site import PATIENCE_SECONDS, Site


def recorded(service: str) -> Dict[str, Any]:
    """What a real FATE Flow 1.11.2 sent to the registered ``service`` in an ApiReader job."""
    return next(request for request in lines_of("fate_flow_1.11.2_api_reader.jsonl") if request["service"] == service)


def target(url: str) -> str:
    """Path and query of a url, as a request line holds them."""
    return "/" + url.split("/", 3)[3]


def exchange(site: Site, sent: bytes) -> Tuple[Dict[str, str], bytes]:
    """Send bytes, then say that no more will come; returns the answer's headers (its status line as "") and body."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return {"": status, **{name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}}, body


def refused(response: requests.Response, status: int, *says: str) -> None:
    """ApiReader fails its FATE job with our message if the status is an error's; a ``data`` would make it go on."""
    assert response.status_code == status, response.text
    answer = response.json()
    assert set(answer) == {"code", "message"}
    assert answer["code"] // 100 == status
    for text in says:
        assert text in answer["message"], answer["message"]
    assert "Traceback" not in response.text


@contextmanager
def leaves_nothing(site: Site) -> Iterator[None]:
    """Nothing of what happens inside stays on disk, and the server still answers."""
    before = uploaded_files(site)
    yield
    assert uploaded_files(site) <= before
    response = requests.post(site.url("query"), json={"jobId": "any"}, timeout=PATIENCE_SECONDS)
    assert response.status_code == 200
    assert response.json()["data"]["status"] == "unknown"


def uploaded_files(site: Site) -> Set[str]:
    """Without the log of the child process that waits for the next job."""
    return {name for name in site.files() if not name.startswith("incoming/child-")}
