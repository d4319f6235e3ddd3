"""The body of a request, read in one place: in pieces, up to a limit, and from strangers in a limited time."""
import io
import socket
import time
from contextlib import suppress
from typing import Any, Dict, Iterator, Optional

from flask import Request, Response, request

from fate_ext_plugin.errors import IncompleteUpload, LengthRequired, RequestTooLarge

CHUNK_BYTES = 1 << 18
# For the body of somebody who has not said yet who they are, and for what is left of one that was refused.
STRANGER_SECONDS, STRANGER_BYTES = 60.0, 1 << 30


class RequestBody:
    """:func:`body_of` makes it.

    ``length``: bytes; None where the body is chunked, or there is none. ``received``: bytes so far.
    """

    def __init__(self, environ: Dict[str, Any], length: Optional[int]) -> None:
        self.length, self.received = length, 0
        self._chunked = length is None and bool(environ.get("wsgi.input_terminated"))
        self._source = environ["wsgi.input"]
        # FATE Flow's server, which is Werkzeug's, has it; cheroot as we use it looks after strangers itself.
        self._connection: Optional[socket.socket] = environ.get("werkzeug.socket")
        self._trusted = False
        self._patience = self._connection.gettimeout() if self._connection else None
        self._deadline = time.monotonic() + STRANGER_SECONDS

    def trust(self) -> None:
        """Whoever sends it has proved that they may: it may take its time, and any form."""
        self._trusted = True
        if self._connection is not None:
            self._connection.settimeout(self._patience)

    def skip(self) -> None:
        """Nothing of it is left to be read."""
        self._chunked, self.received = False, self.length or 0

    def chunks(self) -> Iterator[bytes]:
        """All of it, as it comes.

        :raises IncompleteUpload: the client went away before, or took too long.
        """
        while self._chunked or self.received < (self.length or 0):
            try:
                chunk = self._read()
            except Exception as error:  # each server and werkzeug version has its own for a client that is gone
                raise IncompleteUpload(
                    f"The upload broke off after {self.received} bytes: {type(error).__name__}.") from None
            if not chunk:
                break
            self.received += len(chunk)
            yield chunk
        if self.length is not None and self.received < self.length:
            raise IncompleteUpload(f"The upload broke off: {self.received} of {self.length} bytes arrived.")

    def read(self, most: int) -> bytes:
        """All of it.

        :raises RequestTooLarge: it has over ``most`` bytes. :raises LengthRequired: a stranger does not say how many.
        """
        if self._chunked and not self._trusted:
            raise LengthRequired("Send the body with its length, not in chunks.")
        body = b""
        if (self.length or 0) <= most:
            for chunk in self.chunks():
                body += chunk
                if len(body) > most:
                    break
            else:
                return body
        raise RequestTooLarge(f"The body has more than {most // 2**20} MiB.")

    def finish(self) -> None:
        """Read what is left, before the answer: closing a connection on it would lose the answer on the other side.

        Of a stranger's no more than :data:`STRANGER_BYTES`, and nothing after it. Alone, cheroot does it.
        """
        if self._connection is None:
            return
        with suppress(IncompleteUpload):  # nobody is there any more to answer
            if self._trusted or not self._chunked:  # else Werkzeug reads it, without a limit to a chunk's first line
                for _ in self.chunks():
                    if self.received > STRANGER_BYTES and not self._trusted:
                        break
        if not self._trusted:
            # Werkzeug would read on after its answer, as long as something comes.
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)

    def _read(self) -> bytes:
        """Up to :data:`CHUNK_BYTES`; none at the end."""
        # No more than there is: making a large buffer for each small body takes time.
        size = CHUNK_BYTES if self.length is None else min(CHUNK_BYTES, self.length - self.received)
        if self._chunked and isinstance(self._source, io.RawIOBase):
            return self._read_werkzeug_chunks(size)
        if self._connection is None or self._trusted:
            return bytes(self._source.read(size))
        # In one call to the system, so that many small pieces can't go on past the deadline.
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self._connection.settimeout(min(left, self._patience or left))
        return bytes(self._source.read1(size))

    def _read_werkzeug_chunks(self, size: int) -> bytes:
        """Where the connection ends within a chunk, Werkzeug's reader shortens the buffer that it was given, and says
        that it has filled it: its own ``read`` gives what lies in memory behind, until as much as the chunk's size."""
        buffer = bytearray(size)
        count = self._source.readinto(buffer)
        if len(buffer) < size:
            raise ConnectionError
        return bytes(buffer[:count])


def body_of(current: Request) -> RequestBody:
    """The one of this request."""
    body: Optional[RequestBody] = current.environ.get("fate_ext.body")
    if body is None:
        body = current.environ["fate_ext.body"] = RequestBody(current.environ, current.content_length)
        if "stream" in vars(current):  # the host has read it, of a path that it asks its own questions about
            body.skip()
    return body


def finish_body(response: Response) -> Response:
    """For ``after_request``."""
    body_of(request).finish()
    return response
