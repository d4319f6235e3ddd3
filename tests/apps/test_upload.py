"""upload: what an ID file and its requestBody may look like, and how everything else is refused.

ApiReader ignores a ``code`` other than 0 that comes with status 200 (contract section 2), so each refusal has the
status of an error, a message that says what to do, and leaves nothing behind.
"""
import io
import json
import socket
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional
from urllib.parse import quote, urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests_toolbelt import MultipartEncoder

from fate_ext_plugin.errors import EmptyUpload, InvalidIdFile, UploadTooLarge
from fate_ext_plugin.feature.id_file import BLANKS, IdFile
from tests.support import programs
from tests.support.api_reader import ApiReader, md5
from tests.support.builder import MakeSite
from tests.support.credit import credit_view
from tests.support.examples import examples
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, slow_view, wait_started
from tests.support.wire import exchange, leaves_nothing, recorded, refused, target, uploaded_files

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """Two views: ``credit``, whose parameter fills a path, and ``loans``, whose parameters filter columns."""
    return make_shared_site(views={"credit": careless_view, "loans": loans_view}, default_view="credit")


def careless_view(folder: Path) -> Dict[str, Any]:
    """Its parameter may be anything: the path must be safe all the same."""
    view = credit_view(folder)
    view["parameters"]["month"]["pattern"] = ".*"
    return view


def loans_view(folder: Path) -> Dict[str, Any]:
    rows = [f'u{i},{i},2022{i % 3 + 1:02d},v{i % 2 + 1}' for i in range(1000)]
    (folder / "loans.csv").write_text("\n".join(["id,sum,stat_month,version", *rows]), "utf-8")
    return {
        "source": {"type": "file", "path": str(folder / "loans.csv")},
        "columns": ["sum"],
        "parameters": {"stat_month": {"pattern": r"\d{6}", "column": "stat_month", "required": True},
                       "version": {"pattern": ".*", "column": "version"}},
    }


@pytest.fixture(scope="module")
def narrow(make_shared_site: MakeSite) -> Site:
    """A server with limits that a test can reach: 4,000 bytes, 5 IDs, one job running and one waiting."""
    return make_shared_site(
        "narrow", views={"credit": credit_view, "slow": slow_view}, default_view="credit", max_upload_bytes=4000,
        max_ids=5, concurrent_jobs=1, max_waiting_jobs=1)


def post(site: Site, data: Any, request_body: Optional[str] = "{}", **options: Any) -> requests.Response:
    """Upload bare IDs, unless ``options`` say otherwise; ``request_body`` is text, for it may be no JSON."""
    params = {} if request_body is None else {"requestBody": request_body}
    return requests.post(
        site.url("upload"), **{"params": params, "data": data, "headers": OCTETS, "timeout": 60, **options})


def features_of(site: Site, response: requests.Response) -> List[str]:
    """The lines of the feature file of an upload that must have been accepted."""
    assert response.status_code == 200, response.text
    reader, job_id = ApiReader(site), response.json()["data"]["jobId"]
    data = reader.status(job_id)
    assert data["status"] == "success", data
    header, *lines = reader.download(job_id).content.decode().splitlines()
    return [header, *sorted(lines)]


# -- the forms of a body ---------------------------------------------------------------------------------------------


AGES = ["id,age", "u1,1", "u2,2"]
AGE = '{"features": ["age"]}'


def multipart(content: bytes = b"u1\nu2\n", **fields: str) -> MultipartEncoder:
    return MultipartEncoder(fields={**fields, "file": ("id", io.BytesIO(content), "application/octet-stream")})


def test_multipart_as_apireader_sends_it(site: Site) -> None:
    document = multipart()
    response = post(site, document, AGE, headers={"Content-Type": document.content_type})
    assert features_of(site, response) == AGES


def test_a_multipart_document_sent_as_octet_stream_as_in_fates_example(site: Site) -> None:
    assert features_of(site, post(site, multipart().to_string(), AGE)) == AGES


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/csv; charset=utf-8", None])
def test_the_bare_ids(site: Site, content_type: Optional[str]) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert features_of(site, post(site, b"u1\nu2\n", AGE, headers=headers)) == AGES


def test_a_body_in_chunks_without_a_length(site: Site) -> None:
    assert features_of(site, post(site, iter([b"u", b"1\nu2", b"\n"]), AGE)) == AGES


def test_request_body_as_a_form_field_before_the_file(site: Site) -> None:
    document = multipart(requestBody=AGE)
    response = post(site, document, None, headers={"Content-Type": document.content_type})
    assert features_of(site, response) == AGES


def test_the_files_name_is_not_used(site: Site) -> None:
    """FATE Flow 1.9 and 1.10 put an absolute path in it."""
    document = MultipartEncoder(fields={"file": ("/../../etc/passwd", b"u1\nu2\n", "text/plain")})
    response = post(site, document, AGE, headers={"Content-Type": document.content_type})
    assert features_of(site, response) == AGES
    assert "passwd" not in str(uploaded_files(site))


def test_a_file_part_without_a_file_name(site: Site) -> None:
    """``curl -F 'file=<ids.csv'``"""
    document = MultipartEncoder(fields={"file": b"u1\nu2\n"})
    response = post(site, document, AGE, headers={"Content-Type": document.content_type})
    assert features_of(site, response) == AGES


def test_the_recorded_upload_of_a_real_fate_flow(site: Site) -> None:
    request = recorded("upload")
    url = f"{site.url('upload')}&{urlsplit(request['path']).query}"
    body = json.loads(requests.utils.unquote(urlsplit(request["path"]).query.split("=", 1)[1].replace("+", " ")))
    assert body["stat_month"] == "202201" and body["version"] == "v1"
    url = url.replace(quote('{"'), quote('{"view": "loans", "'), 1)
    headers = {name: value for name, value in request["headers"].items() if name != "Host"}
    lines = features_of(site, requests.post(url, data=request["body"]["text"], headers=headers, timeout=60))
    assert lines[0] == "id,sum"
    assert lines[1:] == sorted(f"u{i},{i}" for i in range(0, 1000, 6))


# -- the ID file -----------------------------------------------------------------------------------------------------


def test_head_true_takes_any_first_line_for_a_header(site: Site) -> None:
    """The header's name is of the FATE user's choosing, and comes back as the name of the ID column."""
    assert features_of(site, post(site, b"u2\nu1\n", '{"features": ["age"], "head": true}')) == ["u2,age", "u1,1"]


def test_head_false_takes_every_line_for_an_id(site: Site) -> None:
    reader = ApiReader(site)
    assert reader.status(reader.job(b"id\nu1\n", head=False))["ids"] == 2


@pytest.mark.parametrize("header", ["id", "sid", "ID", " sid ", "\ufeffid", "\n \nid", "Phone"])
def test_known_names_and_the_views_id_column_are_taken_for_a_header(header: str) -> None:
    """The known ones are the setting ``header_names``, in any case."""
    assert read([f"{header}\nu1\nu2\n".encode()], None) == (header.strip("\ufeff \n"), ["u1", "u2"])


def test_any_other_first_line_is_an_id() -> None:
    assert read([b"name\nu1\n"], None) == ("phone", ["name", "u1"])


@pytest.mark.parametrize("content", [
    b"\xef\xbb\xbfu1\nu2\n", b"u1\r\nu2\r\n", b"\n\nu1\n \t\n\nu2\n\n", b"u1\nu2", b"u1\nu2\r",
], ids=["bom", "crlf", "blank lines", "no line end", "last line end cut"])
def test_what_editors_do_to_a_file_does_no_harm(content: bytes) -> None:
    assert read([content], None) == ("phone", ["u1", "u2"])


def test_all_of_it_at_once(site: Site) -> None:
    content = b"\xef\xbb\xbf\r\nid\r\nu2\r\n\r\nu2\n\t\nu1\r\nu2\r"
    assert features_of(site, post(site, content, AGE)) == AGES


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\n", b"id\n", b"sid", b"\n\nid\n\n"])
def test_no_id_at_all_is_what_an_old_fate_flow_sends(site: Site, content: bytes) -> None:
    with leaves_nothing(site):
        refused(post(site, content), 400, "No ID arrived", "older than 1.11.1", "Upgrade")
        refused(ApiReader(site).upload(content), 400, "Upgrade FATE Flow to 1.11.1")


@pytest.mark.parametrize(("content", "says"), [
    (b"u1\nu\x002\n", "0x00"),
    (b"u1\nu\x1f2\n", "0x1f"),
    (b"u1\n\xff\xfeu2\n", "not UTF-8 near its start"),
    ("u1\nü\n".encode("latin-1"), "Save it as UTF-8"),
    ("u1\nu2\n".encode("utf-16"), "UTF-8"),
    (b"u1\n\xc3", "ends within a character"),
    (b"u1\ru2\ru3", "carriage return"),
    (b"u1\ru2\n", "LF or CRLF"),
    (b"u1\r\r\nu2\n", "carriage return"),
    (b"x" * 4097 + b"\n", "over 4096 bytes"),
    (b"u1\n" + b"x" * 10_000_000, "after line 1"),
    (b"\r" * 1_000_000, "one ID a line"),
])
def test_what_is_no_text_with_one_id_a_line(site: Site, content: bytes, says: str) -> None:
    with leaves_nothing(site):
        refused(post(site, content), 400, says)
        refused(ApiReader(site).upload(content), 400, says)


def test_a_bad_character_across_a_border_of_chunks(site: Site) -> None:
    character = "é".encode()
    assert features_of(site, post(site, iter([b"u1\n" + character[:1], character[1:] + b"\nu2\n"]), AGE)) == AGES
    with leaves_nothing(site):
        refused(post(site, iter([b"u1\n" + character[:1], b"\nu2\n"])), 400, "not UTF-8")


def test_an_id_may_be_long_and_hold_anything_but_line_ends(site: Site) -> None:
    longest = b"u" * 4096
    odd = "'; DROP TABLE ids; -- \\ {id} %s ${x} 身份 😀 #".encode()
    reader = ApiReader(site)
    data = reader.status(reader.job(b"\n".join([longest, odd, b"u1"])))
    assert (data["status"], data["ids"], data["matched"]) == ("success", 3, 1)


BLANK_LINES = ["", " ", "\t", " \t "]
WHITE_SPACE = ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff"]


def test_only_lines_of_spaces_and_tabs_are_blank_to_the_upload_and_to_the_join(site: Site) -> None:
    """The table in docs/feature_service.md."""
    reader = ApiReader(site)
    for lines in ([*BLANK_LINES, *WHITE_SPACE, "u1"], [*reversed(WHITE_SPACE), *BLANK_LINES, "u1"]):
        # the second list begins with a U+FEFF of its own, after the file's
        data = reader.status(reader.job(("\ufeff" + "\n".join(lines)).encode()))
        assert (data["ids"], data["matched"]) == (len(WHITE_SPACE) + 1, 1)
    for line in WHITE_SPACE:
        data = reader.status(reader.job(f"id\n{line}\n".encode()))
        assert (data["status"], data["ids"], data["matched"]) == ("success", 1, 0), ascii(line)
    with leaves_nothing(site):
        refused(post(site, "\n".join(BLANK_LINES).encode()), 400, "No ID arrived")


def test_white_space_is_part_of_an_id(site: Site) -> None:
    reader = ApiReader(site)
    data = reader.status(reader.job("u1\n u1\nu1 \nu1\x0b\n\xa0u1\n".encode()))
    assert (data["ids"], data["matched"]) == (5, 1)
    assert reader.status(reader.job("id\n\ufeffu1\n".encode()))["matched"] == 0  # the join sees the mark, too


@pytest.mark.parametrize(("header", "says"), [
    (b"id,amount", "comma"), (b'the "id"', "quote"), (b"n" * 256, "longer than 255"),
    (b"\x0b", "nothing but white space"), (b"amount", "name of a feature"), (b"AGE", "Rename the ID column"),
])
def test_a_header_that_fate_would_misread(site: Site, header: bytes, says: str) -> None:
    with leaves_nothing(site):
        refused(post(site, header + b"\nu1\n", '{"head": true}'), 400, says)


def test_a_header_like_a_feature_that_is_not_asked_for(site: Site) -> None:
    response = post(site, b"amount\nu1\n", '{"head": true, "features": ["age"]}')
    assert features_of(site, response) == ["amount,age", "u1,1"]


# -- requestBody -----------------------------------------------------------------------------------------------------


def test_without_a_request_body(site: Site) -> None:
    with leaves_nothing(site):
        refused(post(site, b"u1\n", None), 400, "requestBody is missing", "form field before the file")


def test_with_two(site: Site) -> None:
    document = multipart(requestBody="{}")
    with leaves_nothing(site):
        refused(post(site, b"u1\n", params=[("requestBody", "{}"), ("requestBody", "{}")]), 400, "stands twice")
        refused(post(site, document, headers={"Content-Type": document.content_type}), 400, "stands twice")


@pytest.mark.parametrize(("text", "says"), [
    ("", "not valid JSON"),
    ("{", "not valid JSON"),
    ("{'view': 'credit'}", "not valid JSON"),
    ("null", "must be a JSON object"),
    ("[]", "must be a JSON object"),
    ('"credit"', "must be a JSON object"),
    ('{"view": "credit", "view": "loans"}', "a key stands twice"),
    ('{"month": {"a": 1, "a": 2}}', "a key stands twice"),
    ('{"month": NaN}', "NaN is not JSON"),
    ('{"month": -Infinity}', "-Infinity is not JSON"),
    ("[" * 15_000, "nested too deeply"),
    ('{"month": ' + "9" * 5000 + "}", ""),
    ('{"month": "' + "1" * 16_000 + '"}', "longer than 16000 characters"),
    ('{"month": "a\\u0000"}', "NUL"),
    ('{"a\\u0000b": "1"}', "NUL"),
    ('{"month": "\\ud800"}', "not valid Unicode"),
    ('{"view": "\\udfff"}', "not valid Unicode"),
    ("\ufeff{}", "JSON"),
])
def test_a_request_body_that_is_no_json_object(site: Site, text: str, says: str) -> None:
    with leaves_nothing(site):
        refused(post(site, b"u1\n", text), 400, says)


ODD_VALUES: List[Any] = [None, True, 1, 1.5, "", [], [1], [None], {}, {"a": 1}, "x" * 1000]


@pytest.mark.parametrize(("field", "good"), [
    ("view", ("",)), ("features", ()), ("head", (True, 1)), ("job_id", ("",)), ("sign", ()), ("month", (None,)),
    ("version", (None, "", 1, 1.5)), ("nonsense", ()),
])
def test_values_of_the_wrong_type(site: Site, field: str, good: Any) -> None:
    body: Dict[str, Any] = {"view": "loans", "stat_month": "202201"} if field == "version" else {}
    with leaves_nothing(site):
        for value in ODD_VALUES:
            if not any(value is fine or (value == fine and type(value) is type(fine)) for fine in good):
                response = post(site, b"u1\nu2\n", json.dumps({**body, field: value}))
                assert response.status_code in (400, 404), (field, value, response.text)
                assert field in response.json()["message"] or "sign" in response.json()["message"]


def test_the_right_types(site: Site) -> None:
    body = {"view": "loans", "stat_month": 202201, "version": "v1", "features": ["sum"], "head": 0}
    assert features_of(site, post(site, b"u0\nu1\n", json.dumps(body))) == ["id,sum", "u0,0"]


def test_what_is_not_declared_is_answered_with_what_is(site: Site) -> None:
    with leaves_nothing(site):
        refused(post(site, b"u1\n", '{"view": "debts"}'), 400, "Unknown view 'debts'", "credit, loans")
        refused(post(site, b"u1\n", '{"features": ["age", "salary"]}'), 400, "'salary'", "amount, age, vip")
        refused(post(site, b"u1\n", '{"features": ["id"]}'), 400, "'id'", "amount, age, vip")
        refused(post(site, b"u1\n", '{"features": []}'), 400, "empty", "amount, age, vip")
        refused(post(site, b"u1\n", '{"features": ["age", "age"]}'), 400, "twice")
        refused(post(site, b"u1\n", '{"year": "2022"}'), 400, "'year'", "month")
        refused(post(site, b"u1\n", '{"view": "loans"}'), 400, "'stat_month'", "required")
        refused(post(site, b"u1\n", '{"view": "loans", "stat_month": "2022-01"}'), 400, "stat_month", r"\\d{6}")


def test_a_month_for_which_nothing_is_stored(site: Site) -> None:
    with leaves_nothing(site):
        refused(post(site, b"u1\n", '{"month": "209901"}'), 404, "No data is stored for month=209901")


@pytest.mark.parametrize("value", [
    "../..", "..", ".", "a/b", "/etc", "*", "2022*", "20220?", "[0-9]", "{a,b}", "%2e", "%2e%2e%2f", "~root", "-x",
    ".hidden", "202201/../202202", "202201\\..", "202201\n", " ", "", "２０２２０１", "202201\u200b", "file:202201",
    "$HOME"])
def test_a_parameter_is_never_more_than_one_name_in_a_path(site: Site, value: str) -> None:
    with leaves_nothing(site):
        response = post(site, b"u1\n", json.dumps({"month": value}))
        assert response.status_code in (400, 404)
        refused(response, response.status_code, "month")


SQL = ["' OR '1'='1", "'; DROP TABLE t_ext_feature_job; --", '" FROM ids; --', "1' UNION FROM read_csv('/etc/passwd')"]


def test_sql_is_refused_where_names_are_expected(site: Site) -> None:
    with leaves_nothing(site):
        for text in SQL:
            for body in ({"view": text}, {"features": [text]}, {"month": text}, {text: "1"},
                         {"view": "loans", "stat_month": text}):
                refused(post(site, b"u1\n", json.dumps(body)), 400)


def test_sql_is_text_where_texts_are_expected(site: Site) -> None:
    text = SQL[0]
    filtered = post(site, b"u0\n", json.dumps({"view": "loans", "stat_month": "202201", "version": text}))
    assert features_of(site, filtered) == ["id,sum"]
    body = {"head": True, "features": ["age"], "job_id": text}
    named = post(site, f"{text}\nu1\n{SQL[1]}".encode(), json.dumps(body))
    assert features_of(site, named) == [f"{text},age", "u1,1"]


def test_the_sign_is_the_md5_of_the_job_id(site: Site) -> None:
    good = json.dumps({"job_id": "7", "sign": md5("7"), "features": ["age"]})
    assert features_of(site, post(site, b"u1\nu2\n", good)) == AGES
    with leaves_nothing(site):
        for sign in (md5("8"), md5("7").upper(), "", "é"):
            refused(post(site, b"u1\n", json.dumps({"job_id": "7", "sign": sign})), 400, "MD5 of the job ID")
        refused(post(site, b"u1\n", json.dumps({"sign": md5("7")})), 400, "leave it out")


def test_the_sign_may_be_missing(site: Site) -> None:
    """FATE Flow 1.9 and 1.10 send none."""
    assert features_of(site, post(site, b"u1\nu2\n", '{"job_id": "7", "features": ["age"]}')) == AGES


def test_a_retry_uploads_again_under_the_same_job_id(site: Site) -> None:
    reader = ApiReader(site)
    first, second = reader.job(["u1"]), reader.job(["u1"])
    assert first != second
    assert reader.status(first)["status"] == reader.status(second)["status"] == "success"


# -- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_other_method_is_an_error(site: Site, method: str) -> None:
    """ApiReader uses the method in FATE Flow's registry, whatever it is."""
    with leaves_nothing(site):
        response = requests.request(method, site.url("upload"), data=b"u1\n", timeout=60)
        assert response.status_code == 405
        if method != "HEAD":
            refused(response, 405, method, "use POST")


@pytest.mark.parametrize("path", ["", "uploads", "upload/", "upload/x", "../ext/nothing", "UPLOAD", "a/b/c"])
def test_an_unknown_path_is_an_error(site: Site, path: str) -> None:
    response = requests.post(f"http://127.0.0.1:{site.port}/v1/ext/{path}", data=b"u1\n", timeout=60)
    assert response.status_code == 403 if path == "upload/" else 404  # that one is upload, without its token


@pytest.mark.parametrize("content_type", [
    "application/json", "application/x-www-form-urlencoded", "image/png", "nonsense"])
def test_a_body_of_another_kind(site: Site, content_type: str) -> None:
    with leaves_nothing(site):
        response = post(site, b"u1\n", headers={"Content-Type": content_type})
        refused(response, 415, content_type, "multipart/form-data", "application/octet-stream")


def document_of(*parts: str, end: str = "--B--\r\n") -> bytes:
    return ("".join(f"--B\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + end).encode()


FILE = 'name="file"; filename="id"\r\n\r\nu1'


@pytest.mark.parametrize(("body", "says"), [
    (document_of('name="files"; filename="id"\r\n\r\nu1'), "must be named file, not 'files'"),
    (document_of('name="note"\r\n\r\nu1'), "no part named file"),
    (document_of(end="--B--\r\n"), ""),
    (document_of(FILE, FILE), "and one file"),
    (document_of(FILE, 'name="requestBody"\r\n\r\n{}'), "requestBody before it"),
    (document_of('name="note"\r\n\r\n' + "x" * 70_000, FILE), "'note' is too long"),
    (document_of(FILE, end=""), "without its closing boundary"),
    (document_of(FILE)[:-4], "without its closing boundary"),
    (document_of(FILE)[:40], "without its closing boundary"),
    (b"no multipart at all", "broken"),
    (b"", ""),
])
def test_a_broken_form(site: Site, body: bytes, says: str) -> None:
    with leaves_nothing(site):
        response = post(site, body, headers={"Content-Type": "multipart/form-data; boundary=B"})
        refused(response, 400, says)


@pytest.mark.parametrize("body", [
    b"x" * 3_000_000 + b"\r\n" + document_of(FILE),
    b"--B\r\nContent-Disposition: form-data; x=" + b"x" * 3_000_000,
    document_of(FILE) + b"x" * 3_000_000,
    document_of(*['name="note"\r\n\r\n' + "x" * 60_000] * 40, FILE),
], ids=["before the form", "header of a part", "after the form", "many fields"])
def test_what_is_not_the_file_is_not_kept_in_memory_without_end(site: Site, body: bytes) -> None:
    with leaves_nothing(site):
        response = post(site, body, headers={"Content-Type": "multipart/form-data; boundary=B"})
        assert response.status_code in (400, 413), response.text
        assert response.json()["code"] != 0


def test_a_form_without_a_boundary(site: Site) -> None:
    with leaves_nothing(site):
        refused(post(site, document_of(FILE), headers={"Content-Type": "multipart/form-data"}), 400, "no boundary")


def upload_head(site: Site, *headers: str) -> bytes:
    lines = [f"POST {target(site.url('upload'))}&requestBody=%7B%7D HTTP/1.1", "Host: x", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("sent", [
    (("Content-Length: 1000", "Content-Type: text/plain"), b"u1\nu2\n"),
    (("Content-Length: 1000", "Content-Type: multipart/form-data; boundary=B"), document_of(FILE)),
    (("Transfer-Encoding: chunked", "Content-Type: text/plain"), b"3\r\nu1\n\r\n"),
    (("Transfer-Encoding: chunked", "Content-Type: text/plain"), b"3\r\nu1\n\r\nffff\r\nu2"),
], ids=["bare", "multipart", "chunked", "within a chunk"])
def test_a_body_that_breaks_off(site: Site, sent: Any) -> None:
    headers, body = sent
    with leaves_nothing(site):
        answer, text = exchange(site, upload_head(site, *headers) + body)
        assert answer[""].startswith("HTTP/1.1 400")
        assert json.loads(text)["code"] == 40004


def test_a_client_that_vanishes(site: Site) -> None:
    with leaves_nothing(site):
        with socket.create_connection(("127.0.0.1", site.port)) as connection:
            head = upload_head(site, "Content-Length: 2000000", "Content-Type: text/plain")
            connection.sendall(head + b"u1\n" * 100_000)
            wait_until(lambda: any(name.startswith("incoming/") for name in uploaded_files(site)))
        wait_until(lambda: not any(name.startswith("incoming/") for name in uploaded_files(site)))


def test_an_error_reaches_a_client_that_is_still_sending(site: Site) -> None:
    """To the end, and without the server keeping in memory what it throws away."""
    assert site.process
    peak = f"/proc/{site.process.pid}/status"
    megabyte = b"u" * 2**20
    with leaves_nothing(site):
        refused(post(site, iter([megabyte] * 150)), 400, "one ID a line")
        url = site.url("upload").replace("token=", "token=x")
        refused(requests.post(url, data=megabyte * 150, timeout=60), 403)
    memory = next(line for line in Path(peak).read_text("ascii").splitlines() if line.startswith("VmHWM"))
    assert int(memory.split()[1]) < 160 * 1024


# -- limits ----------------------------------------------------------------------------------------------------------


def test_too_many_bytes(narrow: Site) -> None:
    exact = (b"u" * 999 + b"\n") * 4
    assert len(exact) == 4000
    assert features_of(narrow, post(narrow, exact)) == ["id,amount,age,vip"]
    with leaves_nothing(narrow):
        refused(post(narrow, exact + b"\n"), 413, "max_upload_bytes (4000)", "Split the ID table")
        refused(post(narrow, iter([exact, b"\n"])), 413, "max_upload_bytes (4000)")
        refused(post(narrow, multipart(exact + b"\n").to_string()), 413, "raise the setting")


def test_too_many_ids(narrow: Site) -> None:
    """Blank lines and a header are no IDs; a duplicate is one, for counting it costs no memory."""
    assert features_of(narrow, post(narrow, b"id\n\nu1\n2\n \n3\n4\r\n\r\n5", AGE)) == ["id,age", "u1,1"]
    with leaves_nothing(narrow):
        for content in (b"1\n2\n3\n4\n5\n6\n", b"1\n2\n3\n4\n5\n6", b"1\n1\n1\n1\n1\n1\n"):
            refused(post(narrow, content), 413, "More than 5 IDs", "max_ids")
            refused(post(narrow, iter([content[:-2], content[-2:]])), 413, "max_ids")


def test_too_many_waiting_jobs(narrow: Site) -> None:
    reader = ApiReader(narrow)
    running = reader.job(["runs"], view="slow", do="wait")
    wait_started(narrow.folder, "runs")
    waiting = reader.job(["u1"])
    with leaves_nothing(narrow):
        refused(reader.upload(["u1"]), 429, "max_waiting_jobs", "try again later")
    go(narrow.folder)
    assert reader.status(running)["status"] == reader.status(waiting)["status"] == "success"
    assert reader.status(reader.job(["u1"]))["status"] == "success"


def test_too_little_room_on_the_disk(make_site: MakeSite) -> None:
    site = make_site(min_free_bytes=2**60)
    with leaves_nothing(site):
        refused(post(site, b"u1\n"), 507, "min_free_bytes")
        refused(post(site, iter([b"u1\n"])), 507, "free space there")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        programs.missing(f"a small disk can't be mounted, which takes root: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_runs_full(small_disk: Path, make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(
        data_dir=str(small_disk), min_free_bytes=0, database={"url": f"sqlite:///{tmp_path / 'jobs.db'}"})
    with leaves_nothing(site):
        refused(post(site, iter([b"u123456\n" * 2**13] * 100)), 507, "is full", "run the FATE job again")
        refused(post(site, b"u123456\n" * 2**19), 507, "free space there")
    assert features_of(site, post(site, b"u1\nu2\n", AGE)) == AGES


# -- the reader of ID files alone ------------------------------------------------------------------------------------


def model(content: bytes, has_header: Optional[bool]) -> Any:
    """What :class:`IdFile` does, for files that fit in memory: the name of the ID column and the IDs."""
    ids = [line for line in content.decode("utf-8-sig").replace("\r\n", "\n").split("\n") if line.strip(BLANKS)]
    name = "phone"
    if ids and (has_header or (has_header is None and ids[0].strip().lower() in ("id", "sid", "phone"))):
        name = ids.pop(0).strip()
        if not name:
            return InvalidIdFile
    return (name, ids) if ids else EmptyUpload


def read(chunks: List[bytes], has_header: Optional[bool], max_ids: int = 10**6) -> Any:
    target = io.BytesIO()
    file = IdFile(target, has_header, ("id", "sid", "phone"), "phone", max_ids)
    try:
        for chunk in chunks:
            file.write(chunk)
        file.finish()
    except (EmptyUpload, InvalidIdFile) as error:
        return type(error)
    stored = target.getvalue()
    assert stored.endswith(b"\n") and b"\r" not in stored
    assert not stored.startswith(b"\xef\xbb\xbf")
    ids = [line for line in stored.decode("utf-8").split("\n") if line.strip(BLANKS)]
    return file.id_name, ids


LINES = st.lists(st.one_of(
    st.sampled_from(["", " ", "\t", "id", "ID", " phone ", "Phone", "\ufeff", "\x0b", "\x85"]),
    st.text("ab1 \té身😀'#\\\x0b\x0c\x85\xa0\ufeff", max_size=6)))


@examples(150)
@example(lines=["id", "\ufeffu1"], ends=["\n"], last=True, bom=True, cuts=[6], has_header=None)
@given(lines=LINES, ends=st.lists(st.sampled_from(["\n", "\r\n"]), min_size=1), last=st.booleans(), bom=st.booleans(),
       cuts=st.lists(st.integers(0, 200)), has_header=st.sampled_from([None, True, False]))
def test_any_file_in_any_chunks(
    lines: List[str], ends: List[str], last: bool, bom: bool, cuts: List[int], has_header: Optional[bool]
) -> None:
    text = "".join(line + ends[index % len(ends)] for index, line in enumerate(lines))
    content = (b"\xef\xbb\xbf" if bom else b"") + (text if last else text.rstrip("\r\n")).encode()
    borders = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    chunks = [content[start:end] for start, end in zip(borders, borders[1:])]
    expected = model(content, has_header)
    assert read(chunks, has_header) == expected
    if expected not in (EmptyUpload, InvalidIdFile):
        count = len(expected[1])
        assert read(chunks, has_header, max_ids=count) == expected
        with pytest.raises(UploadTooLarge):
            read(chunks, has_header, max_ids=count - 1)


@examples(150)
@given(chunks=st.lists(st.binary(min_size=1)))
@example(chunks=[b"\x0b"])  # white space elsewhere, but not here: an ID
@example(chunks=[b"\x0c\n \t\n"])
@example(chunks=[b"\n", b"\xef\xbb\xbfu1"])  # no byte order mark of the file
@example(chunks=[b"\xef\xbb", b"\xbf\xef\xbb\xbfu1\n"])
@example(chunks=[b"id\n\xef\xbb\xbfu1"])
@example(chunks=[b"\xef\xbb\xbf \n", b"\xef\xbb\xbfid\nu1"])
@example(chunks=[b"u1\r", b"\n\r"])
@example(chunks=[b"\xc2", b"\x85\n\xc2\xa0"])
def test_any_bytes_are_read_or_refused(chunks: List[bytes]) -> None:
    result = read(chunks, None)
    assert result is InvalidIdFile or result == model(b"".join(chunks).rstrip(b"\r"), None)
