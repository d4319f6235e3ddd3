"""The database goes down under a running server, and comes back."""
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator, List
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from fate_ext_plugin.cached import RETRY_SECONDS
from fate_ext_plugin.permission.grants import REFRESH_SECONDS
from tests.permission.conftest import recorded
from tests.support.api_reader import ApiReader
from tests.support.databases import SERVERS, database_url, empty_store
from tests.support.site import Site
from tests.support.slow_source import go, install_slow_source, lines, slow_view, wait_started


class Cable:
    """A way to a database that can be cut."""

    def __init__(self, kind: str) -> None:
        there = urlsplit(database_url(kind)["url"])
        self._address = str(there.hostname), int(there.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        here = there._replace(netloc=f"{there.username}@127.0.0.1:{self._listener.getsockname()[1]}")
        #: the section ``database`` of a server behind it
        self.section = {**database_url(kind), "url": urlunsplit(here)}
        self._ends: List[socket.socket] = []
        self.whole = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            if not self.whole:
                here.close()
                continue
            there = socket.create_connection(self._address)
            self._ends += here, there
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            for block in iter(lambda: source.recv(65536), b""):
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.whole = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()


@pytest.fixture(params=SERVERS)
def cable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cable]:
    with empty_store(request.param, tmp_path):
        yield Cable(request.param.upper())


def test_jobs_survive_it_and_nobody_is_told_a_wrong_end(cable: Cable, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = install_slow_source(Site(tmp_path / "site", {
        "views": {"slow": slow_view(tmp_path)}, "database": cable.section, "min_free_bytes": 0}))
    site.start()
    try:
        api_reader = ApiReader(site)
        job_id = api_reader.job(["u1"], do="wait")
        wait_started(tmp_path, "u1")
        cable.cut()
        answers: List[requests.Response] = []
        calls = [threading.Thread(target=lambda call=call: answers.append(call())) for call in (  # type: ignore[misc]
            lambda: api_reader.query(job_id), lambda: api_reader.upload(["u2"]))]
        for call in calls:
            call.start()
        go(tmp_path)  # it ends meanwhile
        for call in calls:
            call.join()
        # ApiReader asks again after any status but 200, as long as there is a `data.status`.
        assert sorted(answer.status_code for answer in answers) == [503, 503], [answer.text for answer in answers]
        query, = (answer for answer in answers if "jobId" in answer.text)
        assert query.json()["data"]["status"] == "running"
        assert query.json()["message"] == "The database does not answer; look at the server's log."
        cable.whole = True
        assert api_reader.status(job_id)["status"] == "success"
        assert api_reader.download(job_id).text.splitlines() == lines("u1")
        assert site.files() == [f"jobs/{job_id}/result.1"]  # nothing of the upload that was refused
    finally:
        cable.whole = True
        site.stop()


def test_permission_is_refused_meanwhile_and_comes_back_by_itself(cable: Cable, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", {"permission": {}, "database": cable.section, "min_free_bytes": 0}).start()

    def ask() -> requests.Response:
        return requests.post(site.url("permission"), json=recorded()[3], timeout=30)

    try:
        granted = ["--component", "*", "--dataset", "exp/*", "--max-uses", "1"]
        assert site.command("grant", "add", "--party", "9999", *granted).returncode == 0
        time.sleep(REFRESH_SECONDS)
        assert ask().json()["code"] == 0
        cable.cut()
        time.sleep(REFRESH_SECONDS)  # so long, what was read is still believed
        refused = ask()
        assert (refused.status_code, refused.json()["code"]) == (503, 50301)
        cable.whole = True
        time.sleep(RETRY_SECONDS)
        assert ask().json()["code"] == 0  # the same job, which is not counted again
    finally:
        cable.whole = True
        site.stop()
