"""One request, read strictly: what a proxy before us may have read in another way is refused, and the connection
closed (RFC 9112 section 11.2, request smuggling)."""
import re
import socket
from typing import Any, Dict

from cheroot.server import HTTPRequest

from fate_ext_plugin.serving.body import Body, ChunkedBody, SizedBody

# FATE's own clients send the one header with an underscore that is needed; of any other, such as X_Forwarded_For, WSGI
# could not tell that it is not X-Forwarded-For, which proxies set.
UNDERSCORED = {b"App_Key": b"App-Key"}
# Which of two would count?
ONCE = {b"Content-Length", b"Content-Type", b"Host", b"Transfer-Encoding"}
# An answer up to this size is handed to the kernel as a whole, so that no thread waits until a client has read it.
MAX_BUFFERED_ANSWER = 1 << 20
_method = re.compile(rb"[A-Z]{1,32}")
# Blanks around the value are stripped afterwards: to leave them out here would take the square of their number.
_header = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n")


class Request(HTTPRequest):
    """Cheroot's, but for headers, body and the end of the connection."""

    inheaders: Dict[bytes, bytes]
    rfile: Any

    def read_request_line(self) -> bool:
        try:
            good = bool(super().read_request_line())
        except ValueError:  # a target that urllib can't take apart
            return self._refuse("Malformed Request-URI")
        if good and (self.request_protocol not in (b"HTTP/1.0", b"HTTP/1.1") or not _method.fullmatch(self.method)):
            return self._refuse("Malformed Request-Line")
        return good

    def read_request_headers(self) -> bool:
        try:
            self.inheaders = read_headers(self.rfile)
            self._read_framing()
        except ValueError as error:
            return self._refuse(str(error))
        wishes = [wish.strip().lower() for wish in self.inheaders.get(b"Connection", b"").split(b",")]
        self.close_connection = b"close" in wishes or (
            self.response_protocol == "HTTP/1.0" and b"keep-alive" not in wishes)
        return True

    def _read_framing(self) -> None:
        """:raises ValueError: it is not certain where the body ends."""
        coding, length = self.inheaders.get(b"Transfer-Encoding"), self.inheaders.get(b"Content-Length")
        if coding is not None:
            if length is not None:
                raise ValueError("Content-Length beside Transfer-Encoding")
            if coding.lower() != b"chunked" or self.response_protocol != "HTTP/1.1":
                raise ValueError("Only chunked is understood as Transfer-Encoding, in HTTP/1.1")
        elif length is not None and not (length.isdigit() and len(length) <= 18):
            raise ValueError("Malformed Content-Length")
        self.chunked_read = coding is not None

    def _refuse(self, message: str) -> bool:
        self.simple_response("400 Bad Request", message)
        return False

    def respond(self) -> None:
        begin = self.conn.send_continue if self.inheaders.pop(b"Expect", b"").lower() == b"100-continue" else None
        reader = self.conn.rfile
        body: Body = ChunkedBody(reader, begin) if self.chunked_read else SizedBody(
            reader, int(self.inheaders.get(b"Content-Length", 0)), begin)
        self.rfile = body
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def simple_response(self, status: Any, msg: str = "") -> None:
        """After an answer of the server's own the connection is closed."""
        self.conn.lingers = True
        super().simple_response(status, msg)

    def send_headers(self) -> None:
        if not self.rfile.ended:
            # What is left of the body is not the next request.
            self.close_connection = self.conn.lingers = True
        for name, value in self.outheaders:
            if name.lower() == b"content-length" and int(value) <= MAX_BUFFERED_ANSWER:
                self.conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_BUFFERED_ANSWER)
        super().send_headers()


def read_headers(lines: Any) -> Dict[bytes, bytes]:
    """Headers by name, as ``Content-Length`` is written. Those of one name are joined with commas.

    :param lines: read with ``readline()``.
    :raises ValueError: one is malformed, or stands twice and may not.
    """
    headers: Dict[bytes, bytes] = {}
    while True:
        line = lines.readline()
        if line == b"\r\n":
            return headers
        found = _header.fullmatch(line)
        if not found:
            raise ValueError("Malformed header")
        name = found.group(1).title()
        name = UNDERSCORED.get(name, name)
        if b"_" in name:
            continue
        value = found.group(2).strip(b" \t")
        if name not in headers:
            headers[name] = value
        elif name in ONCE:
            raise ValueError(f"{name.decode('ascii')} stands twice")
        else:
            headers[name] += b", " + value
