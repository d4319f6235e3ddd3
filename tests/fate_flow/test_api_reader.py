"""ApiReader as FATE ships it, in FATE's own task workers, against the plugin mounted in FATE Flow."""
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
import requests

from tests.fate_flow.features import COUNT, expected, ids_of, section_of
from tests.fate_flow.flow import HOST, Caller, Flow, Installation, MakeFlow
from tests.support.api_reader import md5
from tests.support.site import wait_until

SLOW_SECONDS = 35
NUMBERS = range(COUNT - 500, COUNT + 100)  # the last 100 have no features


@pytest.fixture(scope="module")
def flow(make_flow: MakeFlow, features: Path, slow_source: Path) -> Flow:
    section = section_of(features, default_view="credit")
    section["views"]["slow"] = {"source": {"type": "slow", "seconds": SLOW_SECONDS}, "columns": ["length"]}
    flow = make_flow(section, pythonpath=(slow_source,))
    flow.upload_table("ids", ids_of(NUMBERS))
    return flow


def needs_api_reader(installation: Installation) -> None:
    if not installation.api_reader_works:
        pytest.skip("ApiReader of this FATE Flow uploads an empty file")


def test_joined_features_become_the_hosts_table(flow: Flow, installation: Installation) -> None:
    needs_api_reader(installation)
    header, *lines = flow.output(flow.run(month="202201"))
    want_header, *want = expected(NUMBERS)
    assert header.split(",")[1:] == want_header.split(",")[1:]
    assert lines == want


def test_fate_flow_before_1_11_1_fails_loudly(flow: Flow, installation: Installation) -> None:
    if installation.api_reader_works:
        pytest.skip("ApiReader of this FATE Flow works")
    job_id = flow.submit()
    assert flow.wait(job_id) == "failed"
    assert "1.11.1" in flow.logs_of(job_id) + flow.report(job_id)


@pytest.fixture(scope="module")
def broken_jobs(flow: Flow, installation: Installation) -> Dict[str, str]:
    """Started together, since each takes FATE Flow ten seconds of overhead."""
    needs_api_reader(installation)
    flow.upload_table("none", [])
    return {
        "undeclared": flow.submit(alone=True, mouth="202201"),
        "malformed": flow.submit(alone=True, month="../../etc"),
        "empty table": flow.submit("none", alone=True, month="202201"),
        "no data": flow.submit(alone=True, month="202212"),
        "two rows": flow.submit(alone=True, month="202202"),
        "garbage": flow.submit(alone=True, month="202203"),
    }


@pytest.mark.parametrize(("case", "message"), [
    ("undeclared", "Undeclared in requestBody: 'mouth'"),
    ("malformed", "does not match the pattern"),
    ("empty table", "the ID table of the FATE job is empty"),
    ("no data", "No data is stored for month=202212"),
    ("two rows", "u505"),
    ("garbage", "The view's file 202203.parquet can't be read"),
])
def test_what_is_wrong_fails_the_fate_job_and_is_said(
    flow: Flow, broken_jobs: Dict[str, str], case: str, message: str
) -> None:
    job_id = broken_jobs[case]
    assert flow.wait(job_id) == "failed"
    assert message in flow.report(job_id).replace("\\'", "'").replace('\\"', '"'), flow.report(job_id)
    assert message in flow.logs_of(job_id).replace("\\'", "'").replace('\\"', '"')


def test_the_fate_job_does_not_learn_where_the_view_s_files_are_and_the_operator_does(
    flow: Flow, broken_jobs: Dict[str, str], features: Path
) -> None:
    job_id = broken_jobs["garbage"]
    assert flow.wait(job_id) == "failed"
    assert str(features) not in flow.report(job_id) + flow.logs_of(job_id)
    job, = json.loads(flow.fate_ext("jobs", "list", "--fate-job", job_id, "--json"))
    assert str(features / "202203.parquet") in job["error"]


def test_wait_of_api_reader_ends_with_the_feature_job(flow: Flow, installation: Installation) -> None:
    """Not up to a minute later, when it would ask again: the download is requested within 2 s of the job's end."""
    needs_api_reader(installation)
    job_id = flow.run(view="slow")
    assert len(flow.output(job_id)) == 1 + len(NUMBERS)
    ended, seconds = last_line(flow.log(), r"job \w{32}: ([\d.]+) s")
    download, _ = last_line(flow.log("fate_flow_access"), r"(POST /v1/ext/download)")
    waited = (download - ended).total_seconds()
    print(f"the feature job took {seconds} s, the download came {waited:.3f} s after it")
    assert float(seconds) >= SLOW_SECONDS
    assert abs(waited) < 2


def last_line(log: str, pattern: str) -> Tuple[datetime, str]:
    """Time of the last line of FATE's log that has ``pattern``, and what its group matched."""
    stamp, text = re.findall(r"^\[\w+\] \[([^\]]+)\].*?" + pattern, log, re.MULTILINE)[-1]
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f"), text


def test_task_workers_mount_nothing(flow: Flow, installation: Installation) -> None:
    needs_api_reader(installation)
    log = flow.logs_of(flow.run())
    assert "is mounted" not in log
    assert "is not mounted" not in log


def test_upload_of_no_running_fate_job_is_refused(flow: Flow) -> None:
    caller = Caller(flow)
    for job_id in ("202611231038053132510", "", "' OR 1=1 --"):
        response = caller.upload(["u1"], job_id=job_id, sign=md5(job_id))
        assert (response.status_code, response.json()["code"]) == (403, 40302)
    assert caller.upload(["u1"]).status_code == 403


def test_a_running_fate_job_may_upload(flow: Flow, installation: Installation) -> None:
    needs_api_reader(installation)  # its job would end before the test sees it run
    job_id = flow.submit(view="slow")
    wait_until(lambda: flow.job(job_id)["f_status"] == "running", 60, "the guest's job to run")
    wait_until(lambda: flow.job(job_id, "host", HOST)["f_status"] == "running", 60, "the host's job to run")
    assert Caller(flow).upload(ids_of(range(9)), job_id=job_id, sign=md5(job_id)).status_code == 200
    flow.call("/job/stop", {"job_id": job_id})
    flow.wait(job_id)
    assert Caller(flow).upload(["u1"], job_id=job_id, sign=md5(job_id)).status_code == 403


def test_callers_without_the_token_are_refused(flow: Flow) -> None:
    upload = flow.service("upload")
    bare = upload.partition("?")[0]
    other = upload.replace("/upload?", "/download?")
    for url in (bare, f"{bare}?token=", f"{bare}?token=wrong", f"{upload}&token=wrong", other):
        response = requests.post(url, data=b"u1\n", timeout=30)
        assert (response.status_code, response.json()) == (403, {"code": 40301, "message": "Forbidden."}), url


def test_every_answer_under_our_prefix_is_ours(flow: Flow) -> None:
    """FATE Flow would answer any of these with HTTP 200, which ApiReader takes for a success without data."""
    for method, path, status in (("POST", "/v1/ext/nothing", 404), ("POST", "/v1/ext/", 404), ("GET", "/v1/ext/", 404),
                                 ("GET", "/v1/ext/upload", 405), ("PUT", "/v1/ext/query", 405),
                                 ("DELETE", "/v1/ext/download", 405), ("POST", "/v1/ext/upload/", 404),
                                 ("POST", "/v1/ext/upload/x", 404), ("POST", "/v1/ext//upload", 404)):
        response = requests.request(method, flow.url + path, timeout=30)
        assert response.status_code in (status, 403), (method, path, response.text)
        assert response.json()["code"] // 100 in (status, 403)


def test_query_understands_broken_json(flow: Flow) -> None:
    """FATE Flow replaces Request.json by one that reads broken JSON as None."""
    url = flow.service("query")
    for body in (b"", b"{", b"[]", b"null", b"\xff", json.dumps({"jobId": 1}).encode()):
        response = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert (response.status_code, response.json()["code"]) == (400, 40001), (body, response.text)
    data: Any = requests.post(url, json={"jobId": "never"}, timeout=30).json()["data"]
    assert data["status"] == "unknown"
