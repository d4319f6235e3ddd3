"""The document of an upload in its three forms (contract section 2): multipart/form-data, a multipart document sent as
application/octet-stream, and bare IDs. The file name in it is the caller's and never used."""
import re
from typing import Iterator, Mapping, Tuple

from flask import Request
from werkzeug.datastructures import MultiDict

from fate_ext_plugin.apps.headers import parse_parameters
from fate_ext_plugin.apps.request_body import body_of
from fate_ext_plugin.errors import IncompleteUpload, InvalidRequestBody, UnsupportedBody

BARE_TYPES = ("", "application/octet-stream", "text/plain", "text/csv")
# Of all that is not the file: what is held in memory.
MAX_FORM_BYTES = 1 << 20
MAX_FIELD_BYTES = 1 << 16
FIELD_COST_BYTES = 1 << 10
MAX_PART_HEADERS = 16
# The first line of a multipart document and the header after it, which no ID file starts with.
_document = re.compile(rb"\A(?:\r\n)?--([^\r\n]{1,70})\r\ncontent-", re.IGNORECASE)


def open_document(request: Request) -> Tuple[MultiDict, Iterator[bytes]]:
    """Form fields in front of the file, and the file's bytes as they stream in.

    :raises UnsupportedBody: none of the three forms.
    """
    header = request.headers.get("Content-Type", "")
    content_type, options = parse_parameters(header)
    chunks = body_of(request).chunks()
    if content_type == "multipart/form-data":
        boundary = options.get("boundary", "").encode("utf-8")
    elif content_type in BARE_TYPES and (content_type or not header):
        first = _at_least(chunks, 256)
        chunks = _prepended(first, chunks)
        match = _document.match(first)
        if not match:
            return MultiDict(), chunks
        boundary = match.group(1)
    else:
        raise UnsupportedBody(
            f"Content-Type {header[:80]!r} is no upload; send multipart/form-data with one part named file, or "
            "the IDs as application/octet-stream.")
    if not boundary:
        raise InvalidRequestBody("Content-Type multipart/form-data names no boundary.")
    parts = _Parts(boundary, chunks)
    return parts.fields(), parts.file()


def _at_least(chunks: Iterator[bytes], size: int) -> bytes:
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= size:
            break
    return first


def _prepended(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


class _Parts:
    """Streams one multipart document (RFC 2046, RFC 7578): form fields, then the one part named ``file``.

    Not Werkzeug's decoder: it searches every byte for a boundary, which takes about as long as all the rest of an
    upload. Here bytes of the file are searched only where there is a CR, and copied nowhere.
    """

    def __init__(self, boundary: bytes, chunks: Iterator[bytes]) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._chunks = chunks
        # The first delimiter's line break may be missing.
        first = _at_least(chunks, 2)
        self._unread = first if first.startswith(b"\r\n") else b"\r\n" + first

    def fields(self) -> MultiDict:
        """Read up to the file part."""
        fields: MultiDict = MultiDict()
        held = 0
        if any(self._body()):
            raise _broken()
        while self._has_part():
            disposition = self._disposition()
            name = disposition.get("name", "")
            if name == "file":
                return fields  # with a file name or, from curl -F 'file=<ids.csv', without
            if "filename" in disposition:
                raise InvalidRequestBody(f"The file part must be named file, not {name[:80]!r}.")
            value = b""
            for data in self._body():
                value += data
                if len(value) > MAX_FIELD_BYTES:
                    break
            held += len(value) + FIELD_COST_BYTES
            if len(value) > MAX_FIELD_BYTES or held > MAX_FORM_BYTES:
                raise InvalidRequestBody(f"The form field {name[:80]!r} is too long.")
            fields.add(name, value.decode("utf-8", "replace"))
        raise InvalidRequestBody("The form has no part named file.")

    def file(self) -> Iterator[bytes]:
        """The bytes of the file part; nothing may follow it."""
        yield from self._body()
        if self._has_part():
            raise InvalidRequestBody("The form has a part after file; send requestBody before it, and one file.")
        after = self._unread[2:].strip()
        for chunk in self._chunks:
            after = after or chunk.strip()
        if after:
            raise InvalidRequestBody("The form goes on after its closing boundary.")

    def _body(self) -> Iterator[bytes]:
        """What comes before the next delimiter, as it arrives."""
        data = self._unread
        while True:
            end = data.find(self._delimiter) if b"\r" in data else -1
            if end >= 0:
                self._unread = data[end + len(self._delimiter):]
                if end:
                    yield data[:end]
                return
            # A delimiter may have begun where the data ends.
            begun = data.find(b"\r", max(0, len(data) - len(self._delimiter) + 1))
            if begun < 0:
                begun = len(data)
            if begun:
                yield data[:begun]
            data = data[begun:] + self._more()

    def _has_part(self) -> bool:
        """Whether the delimiter just read opens a part, or ends the document."""
        while len(self._unread) < 2:
            self._unread += self._more()
        if self._unread.startswith(b"--"):
            return False
        if self._line().strip(b" \t"):
            raise _broken()
        return True

    def _disposition(self) -> Mapping[str, str]:
        """The parameters of a part's Content-Disposition; reads all of its headers."""
        parameters: Mapping[str, str] = {}
        for _ in range(MAX_PART_HEADERS):
            line = self._line().decode("utf-8", "replace")
            if not line:
                return parameters
            header, _, value = line.partition(":")
            if header.lower() == "content-disposition":
                parameters = parse_parameters(value)[1]
        raise _broken()

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            if len(self._unread) > MAX_FIELD_BYTES:
                raise InvalidRequestBody("A header of the multipart document is too long.")
            self._unread += self._more()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _more(self) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise _broken()
        return chunk


def _broken() -> IncompleteUpload:
    return IncompleteUpload("The multipart document is broken or ends without its closing boundary.")


def request_body_of(request: Request, fields: MultiDict) -> str:
    """The text of the parameter ``requestBody``, from the url or a form field.

    :raises InvalidRequestBody: it is missing, or there twice.
    """
    found = request.args.getlist("requestBody") + fields.getlist("requestBody")
    if len(found) != 1:
        how = "stands twice" if found else "is missing"
        raise InvalidRequestBody(f"requestBody {how}; send it once, in the url or as a form field before the file.")
    return str(found[0])
