"""The document of an upload, taken apart as it streams in: what is sent is what is read, however it is cut up."""
import io
from typing import Dict, List, Tuple

import pytest
from flask import Flask, Request, request
from hypothesis import example, given
from hypothesis import strategies as st
from requests_toolbelt import MultipartEncoder
from werkzeug.test import create_environ

from fate_ext_plugin.apps.request_body import body_of
from fate_ext_plugin.apps.upload_body import open_document
from fate_ext_plugin.errors import ExtError, IncompleteUpload, InvalidRequestBody
from tests.support.examples import examples

BOUNDARY = "81c7e4"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Cut(io.RawIOBase):
    """A connection: each read gives at most the next of ``sizes``, then 7 bytes at a time."""

    def __init__(self, content: bytes, sizes: List[int]) -> None:
        self._content, self._sizes = io.BytesIO(content), iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._content.read(min(len(buffer), next(self._sizes, 7)))
        buffer[:len(data)] = data
        return len(data)


def read(body: bytes, sizes: List[int], content_type: str = TYPE) -> Tuple[Dict[str, str], bytes]:
    """The form fields and the file."""
    environ = create_environ(method="POST")
    environ.update({
        "wsgi.input": Cut(body, sizes), "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))})
    fields, chunks = open_document(Request(environ))
    return fields.to_dict(), b"".join(chunks)


# What a parser may stumble over: line breaks, dashes, and pieces of the boundary itself.
TRICKY = st.lists(st.sampled_from(
    [b"u1\n", b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"--81c7e4", b"\r\n--81c7e", b"\n--81c7e4", b"\xff"]
)).map(b"".join).filter(lambda content: b"\r\n--81c7e4" not in content)
SIZES = st.lists(st.integers(1, 60))


@examples(300)
@given(content=TRICKY, fields=st.dictionaries(st.sampled_from(["requestBody", "note"]), st.text(max_size=20)),
       sizes=SIZES, octets=st.booleans())
@example(content=b"", fields={}, sizes=[], octets=True)
@example(content=b"\r\n", fields={"note": "\r\n"}, sizes=[1] * 300, octets=False)
def test_what_is_sent_is_read(content: bytes, fields: Dict[str, str], sizes: List[int], octets: bool) -> None:
    encoder = MultipartEncoder({**fields, "file": ("/data/身.csv", content, "text/csv")}, boundary=BOUNDARY)
    body = encoder.to_string()
    read_fields, read_content = read(body, sizes, "application/octet-stream" if octets else TYPE)
    assert read_content == content
    assert read_fields == fields


@examples(300)
@given(content=TRICKY, end=st.integers(0, 200), sizes=SIZES)
def test_a_document_cut_anywhere_is_not_taken_for_a_whole_one(content: bytes, end: int, sizes: List[int]) -> None:
    whole = MultipartEncoder({"note": "x", "file": ("id", content)}, boundary=BOUNDARY).to_string()
    last = whole.rindex(b"--")  # the document is whole with these
    with pytest.raises(IncompleteUpload):
        read(whole[:min(end, last)], sizes)


@examples(300)
@given(body=st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(
    [b"--81c7e4", b"\r\n", b"\r\n\r\n", b"--", b'Content-Disposition: form-data; name="file"', b"Content-", b";"]))),
    sizes=SIZES)
def test_any_bytes_are_read_or_refused(body: List[bytes], sizes: List[int]) -> None:
    try:
        read(b"".join(body), sizes)
    except ExtError as error:
        assert error.status == 400


@pytest.mark.parametrize(("document", "error"), [
    ("preamble\r\n--B\r\n{file}\r\n--B--", IncompleteUpload),
    ("--B junk\r\n{file}\r\n--B--", IncompleteUpload),
    ("--B\n{file}\r\n--B--", IncompleteUpload),
    ("--B\r\nContent-Type: text/plain\r\n\r\nu1\r\n--B--", InvalidRequestBody),
    ("--B\r\n" + "x: y\r\n" * 17 + "{file}\r\n--B--", IncompleteUpload),
    ("--B\r\n{file}\r\n--B--\r\nu2", InvalidRequestBody),
    ("--B\r\n{file}\r\n--B--\r\n--B\r\n{file}\r\n--B--", InvalidRequestBody),
])
def test_what_is_no_form(document: str, error: type) -> None:
    part = 'Content-Disposition: form-data; name="file"\r\n\r\nu1'
    with pytest.raises(error):
        read(document.replace("{file}", part).encode(), [], "multipart/form-data; boundary=B")


def test_white_space_that_the_standard_allows() -> None:
    part = 'content-disposition:form-data;  name=file\r\nX-Other: 1\r\n\r\nu1'
    assert read(f"\r\n--B \t\r\n{part}\r\n--B--\r\n\r\n".encode(), [], "multipart/form-data; boundary=B") == ({}, b"u1")


def test_a_body_that_the_host_has_read_is_not_waited_for() -> None:
    """FATE Flow reads it where it asks for client authentication itself, as for a path beside ours."""
    with Flask("host").test_request_context(method="POST", data=b"{}"):
        assert request.get_data() == b"{}"
        assert list(body_of(request).chunks()) == []
