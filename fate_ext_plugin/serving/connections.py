"""Connections, which take a thread only while a request is answered.

A client that is slow, or means to be, would otherwise keep threads that others need, and there are few. So cheroot's
thread that watches idle connections also receives a request, until its headers are there, and with them a body of up to
:data:`MAX_AWAITED_BODY`; and after a refusal it reads what the client still sends, so that closing does not lose the
answer on its side. How many may wait is bounded, and the one that has waited longest makes room; so are their
bytes, and the one that sent most makes room.
"""
import fcntl
import re
import socket
import struct
import termios
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Set

from cheroot import wsgi
from cheroot.makefile import StreamWriter
from cheroot.server import HTTPConnection

from fate_ext_plugin.serving.body import Reader
from fate_ext_plugin.serving.request import Request

# Of the request line and headers; requestBody fits in, percent-encoded.
MAX_HEADER_BYTES = 1 << 18
# All that is read before it is known who sends it, such as a form of the console, is smaller.
MAX_AWAITED_BODY = 1 << 20
MAX_WAITING, MAX_WAITING_BYTES = 256, 1 << 26
# What is read of a body that was refused; the time is the one that a client may be silent.
MAX_UNREAD_BYTES = 1 << 30
_end_of_head = re.compile(rb"\n\r?\n")
_framing = re.compile(rb"\n(?:content-length|transfer-encoding)(.*)", re.IGNORECASE)
_length = re.compile(rb":[ \t]*([0-9]{1,7})[ \t]*\r")
_expect = re.compile(rb"\nexpect:[ \t]*100-continue[ \t]*\r?\n", re.IGNORECASE)


class Connection(HTTPConnection):
    """One client's, from its first request to its end."""

    RequestHandlerClass = Request
    rfile: Reader

    def __init__(self, server: "Server", connection: socket.socket, makefile: Any = None) -> None:
        """``makefile`` is cheroot's, and not used."""
        super().__init__(server, connection, _file)
        #: whether it is to be closed after what the client still sends
        self.lingers = False
        self.lingering = False
        self._unread = 0
        self._begin_request()
        server.open.add(self)

    def _begin_request(self) -> None:
        #: seconds since 1970, as cheroot's ``last_used``
        self.since = time.time()
        self._searched = 0
        self._needed = 0
        self._continued = False

    def communicate(self) -> bool:
        kept = bool(super().communicate())
        self._begin_request()
        return kept

    def receive(self) -> bool:
        """Take in what has come.

        :return: False: the client has closed its side, or may send no more. :raises OSError: the connection broke.
        """
        if self.lingering:
            received = len(self.socket.recv(1 << 18))
            self._unread += received
            return received > 0 and self._unread <= MAX_UNREAD_BYTES
        if not self.rfile.buffer:
            self.since = time.time()
        return self.rfile.fill()

    def has_request(self) -> bool:
        """Whether there is as much of a request as is waited for."""
        buffer = self.rfile.buffer
        if not self._needed:
            found = _end_of_head.search(buffer, self._searched)
            if found is None:
                self._searched = max(0, len(buffer) - 2)
                return len(buffer) > MAX_HEADER_BYTES
            self._needed = found.end() + self._awaited_body(bytes(buffer[:found.end()]))
        # A body may come slowly, as long as it comes.
        self.since = time.time()
        return len(buffer) >= self._needed

    def _awaited_body(self, head: bytes) -> int:
        framing = _framing.findall(head)
        # What is not plain is refused at once, or read as it comes.
        length = _length.fullmatch(framing[0]) if len(framing) == 1 else None
        if length is None or int(length.group(1)) > MAX_AWAITED_BODY:
            return 0
        if _expect.search(head) and not self.has_unread_answer():  # else writing may take long
            self.send_continue()
        return int(length.group(1))

    def send_continue(self) -> None:
        """Tell the client to send its body, which it holds back until then."""
        if not self._continued:
            self._continued = True
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def has_unread_answer(self) -> bool:
        """Whether the client has not taken all that was sent to it."""
        waiting = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return bool(struct.unpack("i", waiting)[0])

    def close(self) -> None:
        """Close it, or first let it linger."""
        if self.lingers and not self.lingering and self.server.ready:
            self.lingering = True
            self._begin_request()
            self.rfile.buffer.clear()
            with suppress(OSError, ValueError):  # the client is gone, or the server stops
                self.socket.shutdown(socket.SHUT_WR)
                self.server.wait_for(self)
                return
        self.server.waiting.remove(self)
        self.server.open.discard(self)
        super().close()

    def cut(self) -> None:
        """End whatever is read or written now."""
        with suppress(OSError):  # it is closed meanwhile
            self.socket.shutdown(socket.SHUT_RDWR)


def _file(connection: socket.socket, mode: str, size: int) -> Any:
    return Reader(connection) if "r" in mode else StreamWriter(connection, mode, size)


class Waiting:
    """Who waits without a thread, the longest first."""

    def __init__(self) -> None:
        self._bytes: OrderedDict[Connection, int] = OrderedDict()
        self._sum = 0
        self._lock = threading.Lock()

    def add(self, connection: Connection) -> None:
        """One that waits already keeps its place. One that makes room is cut, which ends its wait."""
        with self._lock:
            size = len(connection.rfile.buffer)
            self._sum += size - self._bytes.get(connection, 0)
            self._bytes[connection] = size
            if len(self._bytes) > MAX_WAITING:
                self._cut(next(iter(self._bytes)))
            while self._sum > MAX_WAITING_BYTES and len(self._bytes) > 1:
                self._cut(max(self._bytes, key=self._bytes.__getitem__))

    def remove(self, connection: Connection) -> None:
        with self._lock:
            self._sum -= self._bytes.pop(connection, 0)

    def _cut(self, connection: Connection) -> None:
        self._sum -= self._bytes.pop(connection)
        connection.cut()


class Server(wsgi.Server):
    """Cheroot's, with :class:`Connection`."""

    ConnectionClass = Connection

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.max_request_header_size = MAX_HEADER_BYTES
        self.waiting = Waiting()
        self.open: Set[Connection] = set()

    def process_conn(self, conn: Connection) -> None:
        """Cheroot's watching thread calls it: for a new connection, and for one that has sent something."""
        try:
            more = conn.last_used is None or conn.receive()
            if conn.lingering:
                self.wait_for(conn) if more else conn.close()
            elif conn.has_request() or not more and conn.rfile.buffer:
                self.waiting.remove(conn)
                # Several requests at once, and the answers not read: writing the next would keep a thread.
                conn.close() if conn.has_unread_answer() else super().process_conn(conn)
            else:
                self.wait_for(conn) if more else conn.close()
        except OSError:
            conn.lingers = False
            conn.close()

    def wait_for(self, conn: Connection) -> None:
        """Watch a connection until it sends something, or has had ``timeout`` seconds."""
        self.waiting.add(conn)
        self._connections.put(conn)  # type: ignore[attr-defined]  # left out of cheroot's stubs
        conn.last_used = conn.since

    def put_conn(self, conn: Connection) -> None:
        """A thread has answered, and the connection stays open. Requests that did not wait for the answer are not
        read: no client of ours sends them."""
        if conn.rfile.buffer:
            conn.lingers = True
            conn.close()
        else:
            super().put_conn(conn)

    def cut(self) -> None:
        """End all requests, so that :meth:`stop` does not wait for them."""
        for conn in list(self.open):
            conn.cut()
