"""The document of an upload in its three forms (contract section 2): multipart/form-data, a multipart document sent as
application/octet-stream, and bare IDs. The file name in it is the caller's and never used."""
import re
from typing import Iterator, Optional, Tuple

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from fate_ext_plugin.errors import IncompleteUpload, InvalidRequestBody, UnsupportedBody

CHUNK_BYTES = 1 << 16
BARE_TYPES = ("", "application/octet-stream", "text/plain", "text/csv")
# Of all that is not the file: what the decoder holds in memory.
MAX_FORM_BYTES = 1 << 20
MAX_FIELD_BYTES = 1 << 16
FIELD_COST_BYTES = 1 << 10
# The first line of a multipart document and the header after it, which no ID file starts with.
_document = re.compile(rb"\A(?:\r\n)?--([^\r\n]{1,70})\r?\ncontent-", re.IGNORECASE)


def read_chunks(request: Request) -> Iterator[bytes]:
    """The raw body.

    :raises IncompleteUpload: the client went away before all of it arrived.
    """
    received = 0
    while True:
        try:
            chunk = request.stream.read(CHUNK_BYTES)
        except Exception as error:  # each server and werkzeug version has its own for a client that is gone
            raise IncompleteUpload(f"The upload broke off after {received} bytes: {type(error).__name__}.") from None
        if not chunk:
            break
        received += len(chunk)
        yield chunk
    if request.content_length is not None and received < request.content_length:
        raise IncompleteUpload(f"The upload broke off: {received} of {request.content_length} bytes arrived.")


def open_document(request: Request) -> Tuple[MultiDict, Iterator[bytes]]:
    """Form fields in front of the file, and the file's bytes as they stream in.

    :raises UnsupportedBody: none of the three forms.
    """
    content_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    content_type = content_type.lower()
    chunks = read_chunks(request)
    if content_type == "multipart/form-data":
        boundary = options.get("boundary", "").encode("utf-8")
    elif content_type in BARE_TYPES:
        first = _at_least(chunks, 256)
        chunks = _prepended(first, chunks)
        match = _document.match(first)
        if not match:
            return MultiDict(), chunks
        boundary = match.group(1)
    else:
        raise UnsupportedBody(
            f"Content-Type {content_type[:80]!r} is no upload; send multipart/form-data with one part named file, or "
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
    """Streams one multipart document: fields first, then the one part named ``file``."""

    def __init__(self, boundary: bytes, chunks: Iterator[bytes]) -> None:
        self._decoder = MultipartDecoder(boundary, max_form_memory_size=MAX_FORM_BYTES)
        self._chunks = chunks

    def fields(self) -> MultiDict:
        """Read up to the file part."""
        fields: MultiDict = MultiDict()
        name, value, held = "", b"", 0
        for event in self._events():
            if isinstance(event, Field):
                if event.name == "file":
                    return fields  # curl -F 'file=<ids.csv' sends no file name
                name, value = event.name or "", b""
            elif isinstance(event, File):
                if event.name == "file":
                    return fields
                raise InvalidRequestBody(f"The file part must be named file, not {str(event.name)[:80]!r}.")
            elif isinstance(event, Data):
                value += event.data
                held += len(event.data) + FIELD_COST_BYTES
                if len(value) > MAX_FIELD_BYTES or held > MAX_FORM_BYTES:
                    raise InvalidRequestBody(f"The form field {name[:80]!r} is too long.")
                if not event.more_data:
                    fields.add(name, value.decode("utf-8", "replace"))
        raise InvalidRequestBody("The form has no part named file.")

    def file(self) -> Iterator[bytes]:
        """The bytes of the file part; whatever follows it is read, and must be nothing."""
        in_file = True
        for event in self._events():
            if isinstance(event, Data) and in_file:
                if event.data:
                    yield event.data
                in_file = event.more_data
            elif isinstance(event, (Field, File)):
                raise InvalidRequestBody("The form has a part after file; send requestBody before it, and one file.")

    def _events(self) -> Iterator[object]:
        try:
            while True:
                event = self._decoder.next_event()
                if isinstance(event, NeedData):
                    chunk: Optional[bytes] = next(self._chunks, None)
                    self._decoder.receive_data(chunk)
                    continue
                yield event
                if isinstance(event, Epilogue):
                    return
        except ValueError:
            raise IncompleteUpload("The multipart document is broken or ends without its closing boundary.") from None


def request_body_of(request: Request, fields: MultiDict) -> str:
    """The text of the parameter ``requestBody``, from the url or a form field.

    :raises InvalidRequestBody: it is missing, or there twice.
    """
    found = request.args.getlist("requestBody") + fields.getlist("requestBody")
    if len(found) != 1:
        how = "stands twice" if found else "is missing"
        raise InvalidRequestBody(f"requestBody {how}; send it once, in the url or as a form field before the file.")
    return str(found[0])
