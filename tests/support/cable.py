"""A way to a database that can be cut, or swallow what is sent."""
import socket
import threading
from contextlib import suppress
from typing import List
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import database_url


class Cable:
    """From a port of its own to the MariaDB or PostgreSQL of the tests."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        there = urlsplit(database_url(kind)["url"])
        self._address = str(there.hostname), int(there.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        here = there._replace(netloc=f"{there.username}@127.0.0.1:{self._listener.getsockname()[1]}")
        #: the section ``database`` of a server behind it
        self.section = {**database_url(kind), "url": urlunsplit(here)}
        self._lock = threading.Lock()
        self._ends: List[socket.socket] = []
        self._whole = True
        #: how often someone tried to reach the database in vain
        self.tries = 0
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            there = socket.create_connection(self._address)
            with self._lock:
                if not self._whole:
                    self.tries += 1
                    here.close()
                    there.close()
                    continue
                self._ends += here, there
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            for block in iter(lambda: source.recv(65536), b""):
                if not self._flows.is_set():
                    with self._lock:
                        self.tries += 1
                    self._flows.wait()
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """As a restart of the database or a firewall does."""
        with self._lock:
            self._whole = False
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def freeze(self) -> None:
        """As a database that hangs: connections are accepted, and nothing is answered."""
        self._flows.clear()

    def mend(self) -> None:
        with self._lock:
            self._whole = True
        self._flows.set()
