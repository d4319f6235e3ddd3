"""download: the feature file as it is, or an error that nobody takes for one.

ApiReader's client does not notice a body shorter than its Content-Length (urllib3 1.26), only a broken chunked one.
"""
import gzip
import json
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import pytest
import requests

from tests.support.api_reader import ApiReader, md5
from tests.support.builder import MakeSite
from tests.support.credit import credit_view
from tests.support.site import Site
from tests.support.slow_source import go, slow_view, wait_started
from tests.support.wire import exchange, recorded, refused, target

LINES = ["id,age", "u1,1", "u2,2"]


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    return make_shared_site(views={"credit": credit_view, "slow": slow_view}, default_view="credit")


@pytest.fixture(scope="module")
def small(site: Site) -> str:
    """A job that has ended with success."""
    return ended(site, b"u1\nu2\n", features=["age"])


def ended(site: Site, ids: bytes, **parameters: Any) -> str:
    reader = ApiReader(site)
    job_id = reader.job(ids, **parameters)
    assert reader.status(job_id)["status"] == "success"
    return job_id


@pytest.fixture(scope="module")
def big(make_shared_site: MakeSite) -> Tuple[Site, str]:
    """A server that compresses, and a result too large for what sockets buffer, compressed or not."""
    def keeping(folder: Path) -> Dict[str, Any]:
        return {**credit_view(folder), "missing_ids": "keep"}
    site, source = make_shared_site("big", views={"credit": keeping}, gzip=True), random.Random(7)
    return site, ended(site, b"".join(b"%064x\n" % source.getrandbits(256) for _ in range(300_000)))


def result_path(site: Site, job_id: str) -> Path:
    return site.data_dir / "jobs" / job_id / "result.1"


def fetch(site: Site, body: Any, method: str = "POST", **options: Any) -> requests.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return requests.request(method, site.url("download"), params={"requestBody": text}, timeout=60, **options)


# -- what is answered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_feature_file(site: Site, small: str, method: str) -> None:
    response = fetch(site, {"jobId": small, "sign": md5(small)}, method)
    assert response.status_code == 200
    header, *lines = response.text.splitlines()
    assert [header, *sorted(lines)] == LINES
    assert response.content == result_path(site, small).read_bytes()


def test_it_can_be_fetched_again_and_without_a_sign(site: Site, small: str) -> None:
    assert fetch(site, {"jobId": small}).content == fetch(site, {"jobId": small}).content != b""


def test_the_recorded_download_of_a_real_fate_flow(site: Site, small: str) -> None:
    request = recorded("download")
    query = request["path"].split("?", 1)[1]
    old = json.loads(requests.utils.unquote(query.split("=", 1)[1].replace("+", " ")))
    query = query.replace(old["jobId"], small).replace(old["sign"], md5(small))
    headers = {name: value for name, value in request["headers"].items() if name != "Host"}
    response = requests.post(f"{site.url('download')}&{query}", data="", headers=headers, timeout=60)
    assert response.content == result_path(site, small).read_bytes()


def test_it_is_chunked_over_http_1_1(site: Site, small: str) -> None:
    response = fetch(site, {"jobId": small})
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in response.headers
    assert response.headers["Content-Type"].startswith("text/csv")


def test_http_1_0_is_refused(site: Site, small: str) -> None:
    """nginx speaks it to us unless told otherwise, and would pass a broken download on as a whole one."""
    uri = target(site.url("download")) + f"&requestBody=%7B%22jobId%22:%22{small}%22%7D"
    headers, body = exchange(site, f"GET {uri} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    assert headers[""].split()[1] == "505"
    assert b"proxy_http_version 1.1" in body


def test_it_is_compressed_only_where_both_sides_want_it(site: Site, small: str, big: Tuple[Site, str]) -> None:
    assert "Content-Encoding" not in fetch(site, {"jobId": small}, headers={"Accept-Encoding": "gzip"}).headers
    site, _ = big
    job_id = ended(site, b"u1\nu2\n", features=["age"])
    for accepts in ("identity", "gzip;q=0", "deflate"):
        response = fetch(site, {"jobId": job_id}, headers={"Accept-Encoding": accepts})
        assert "Content-Encoding" not in response.headers
        assert sorted(response.text.splitlines()) == sorted(LINES)
    response = fetch(site, {"jobId": job_id}, headers={"Accept-Encoding": "gzip, deflate"}, stream=True)
    assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert sorted(gzip.decompress(response.raw.read(decode_content=False)).decode().splitlines()) == sorted(LINES)


def test_a_big_result_arrives_whole(big: Tuple[Site, str]) -> None:
    site, job_id = big
    assert fetch(site, {"jobId": job_id}).content == result_path(site, job_id).read_bytes()


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_wrong_sign(site: Site, small: str) -> None:
    for sign in (md5("another"), "", md5(small).upper(), "é"):
        refused(fetch(site, {"jobId": small, "sign": sign}), 400, "sign is not the MD5 of the job ID")


@pytest.mark.parametrize("job_id", [
    "18acd8eb400e428486fa3030d6f05e07", "../../secret", "..", "/etc/passwd", "' OR '1'='1", "身份"])
def test_an_unknown_job(site: Site, job_id: str) -> None:
    refused(fetch(site, {"jobId": job_id}), 404, "Upload the IDs again")


def test_a_job_that_still_runs(site: Site) -> None:
    reader = ApiReader(site)
    job_id = reader.job(["u1"], view="slow", do="wait")
    wait_started(site.folder, "u1")
    refused(fetch(site, {"jobId": job_id}), 409, "is running", "nothing to download")
    go(site.folder)
    assert reader.status(job_id)["status"] == "success"
    assert fetch(site, {"jobId": job_id}).text == "id,amount\nu1,amount=u1\n"


def test_a_job_that_failed(site: Site) -> None:
    reader = ApiReader(site)
    job_id = reader.job(["u1"], view="slow", do="raise:NoData")
    assert reader.status(job_id)["status"] == "failed"
    refused(fetch(site, {"jobId": job_id}), 409, "is failed", "Nothing is stored for month 209901.")


def test_an_expired_result(site: Site) -> None:
    job_id = ended(site, b"u1\n")
    with closing(sqlite3.connect(str(site.data_dir / "fate_ext.db"))) as database, database:
        database.execute("UPDATE t_ext_feature_job SET f_status = 'expired' WHERE f_job_id = ?", [job_id])
    refused(fetch(site, {"jobId": job_id}), 410, "result_retention_seconds", "run the FATE job again")


def test_a_result_that_is_no_longer_on_disk(site: Site) -> None:
    job_id = ended(site, b"u1\n")
    result_path(site, job_id).unlink()
    refused(fetch(site, {"jobId": job_id}), 410, "no longer on disk", "run the FATE job again")


@pytest.mark.parametrize(("body", "says"), [
    ("", "not valid JSON"), ("{", "not valid JSON"), ("[]", "must be a JSON object"), ("{}", "jobId"),
    ({"jobId": None}, "jobId"), ({"jobId": 1}, "jobId"), ({"jobId": ""}, "jobId"), ({"jobId": ["a"]}, "jobId"),
    ({"jobId": "a\0"}, "NUL"), ({"jobId": "x" * 65}, "jobId"), ({"jobId": "a", "sign": 1}, "sign"),
    ('{"jobId": "a", "jobId": "b"}', "a key stands twice"),
])
def test_a_broken_request_body(site: Site, body: Any, says: str) -> None:
    refused(fetch(site, body), 400, says)


def test_no_request_body_or_two(site: Site, small: str) -> None:
    text = json.dumps({"jobId": small})
    for params, says in (({}, "is missing"), ({"requestBody": [text, text]}, "stands twice")):
        refused(requests.post(site.url("download"), params=params, timeout=60), 400, says)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS"])
def test_any_other_method_is_an_error(site: Site, small: str, method: str) -> None:
    """HEAD, too: its empty body with status 200 would be an empty table to ApiReader."""
    response = fetch(site, {"jobId": small}, method)
    assert response.status_code == 405
    if method != "HEAD":
        refused(response, 405, "use GET or POST")


# -- a truncated body is never mistaken for a whole one --------------------------------------------------------------

ENCODINGS = pytest.mark.parametrize("accepts", ["identity", "gzip"])
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)


def begin(site: Site, job_id: str, accepts: str) -> Tuple[requests.Response, Iterator[bytes]]:
    """A download of which the first piece has arrived."""
    response = fetch(site, {"jobId": job_id}, headers={"Accept-Encoding": accepts}, stream=True)
    assert response.status_code == 200
    pieces = response.iter_content(1024)
    assert next(pieces)
    return response, pieces


@ENCODINGS
def test_a_server_that_dies_midway(big: Tuple[Site, str], accepts: str) -> None:
    site, job_id = big
    response, pieces = begin(site, job_id, accepts)
    site.kill()
    with response, pytest.raises(BROKEN):
        for _ in pieces:
            pass
    site.start()
    assert len(fetch(site, {"jobId": job_id}).content) == result_path(site, job_id).stat().st_size


@ENCODINGS
def test_a_result_that_is_truncated_midway(big: Tuple[Site, str], accepts: str) -> None:
    site, job_id = big
    path = result_path(site, job_id)
    whole = path.read_bytes()
    try:
        response, pieces = begin(site, job_id, accepts)
        os.truncate(path, len(whole) // 2)
        with response, pytest.raises(BROKEN):
            for _ in pieces:
                pass
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kept", [0, 5])
def test_a_result_that_was_truncated_before(site: Site, kept: int) -> None:
    job_id = ended(site, b"u1\nu2\n")
    os.truncate(result_path(site, job_id), kept)
    try:
        response = fetch(site, {"jobId": job_id})
    except BROKEN:
        return
    assert response.status_code == 500
