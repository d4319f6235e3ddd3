"""The bytes of a connection, and the bodies of requests in them (RFC 9112 sections 6 and 7)."""
import re
import socket
from typing import Callable, Optional

RECEIVE_BYTES = 1 << 16
# A chunk's size with its extensions, and all lines of a trailer together.
MAX_LINE_BYTES, MAX_TRAILER_BYTES = 1 << 10, 1 << 13
_chunk_size = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")


class BrokenBody(ValueError):
    """The body is not framed as HTTP demands, or ends early."""


class Reader:
    """What a connection has sent and nobody has read yet, and then what it goes on to send.

    In place of cheroot's reader, to know how much is there without waiting for more.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.buffer = bytearray()
        self.closed = False

    def fill(self) -> bool:
        """Receive once.

        :return: False: the client has closed its side.
        """
        received = self._socket.recv(RECEIVE_BYTES)
        self.buffer += received
        return bool(received)

    @staticmethod
    def has_data() -> bool:
        """Cheroot asks whether to serve a connection without watching it. Never: our server has looked before."""
        return False

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, as they come; none only at the end."""
        if not self.buffer:
            return self._socket.recv(size)
        return self._take(size)

    def readline(self, size: int) -> bytes:
        """A line with its end, or its first ``size`` bytes; less only where the client has closed its side."""
        searched = 0
        while True:
            end = self.buffer.find(b"\n", searched, size) + 1
            if end or len(self.buffer) >= size:
                return self._take(end or size)
            searched = len(self.buffer)
            if not self.fill():
                return self._take(size)

    def close(self) -> None:
        self.closed = True

    def _take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken


class Body:
    """A request's body, as WSGI's ``wsgi.input``.

    :param begin: called before the first read; None: nothing is to be done.
    """

    def __init__(self, reader: Reader, begin: Optional[Callable[[], None]] = None) -> None:
        self._reader, self._begin = reader, begin
        #: whether all of it has been read
        self.ended = False

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, as they come; none only at the end.

        :raises BrokenBody: it is badly framed. :raises OSError: the connection broke, or was silent for too long.
        """
        if self._begin is not None:
            begin, self._begin = self._begin, None
            begin()
        return b"" if self.ended else self._read(size)

    def _read(self, size: int) -> bytes:
        raise NotImplementedError


class SizedBody(Body):
    """:param length: as Content-Length says, in bytes."""

    def __init__(self, reader: Reader, length: int, begin: Optional[Callable[[], None]] = None) -> None:
        super().__init__(reader, begin)
        self._left = length
        self.ended = length == 0

    def _read(self, size: int) -> bytes:
        data = self._reader.read(min(size, self._left))
        self._left -= len(data)
        self.ended = self._left == 0
        return data


class ChunkedBody(Body):
    """A chunk may be of any size, and never is in memory as a whole; a trailer is read and ignored."""

    def __init__(self, reader: Reader, begin: Optional[Callable[[], None]] = None) -> None:
        super().__init__(reader, begin)
        self._left = 0  # of the current chunk

    def _read(self, size: int) -> bytes:
        if not self._left:
            self._left = self._next_size()
            if not self._left:
                self._skip_trailer()
                self.ended = True
                return b""
        data = self._reader.read(min(size, self._left))
        if not data:
            raise BrokenBody("the connection was closed within a chunk")
        self._left -= len(data)
        if not self._left and self._reader.readline(2) != b"\r\n":
            raise BrokenBody("a chunk is longer than its size")
        return data

    def _next_size(self) -> int:
        found = _chunk_size.fullmatch(self._reader.readline(MAX_LINE_BYTES))
        if not found:
            raise BrokenBody("a chunk has no valid size")
        return int(found.group(1), 16)

    def _skip_trailer(self) -> None:
        left = MAX_TRAILER_BYTES
        while left > 0:
            line = self._reader.readline(left)
            if line == b"\r\n":
                return
            if not line.endswith(b"\r\n"):
                break
            left -= len(line)
        raise BrokenBody("the trailer does not end")
