"""Several servers on one database, each with a data_dir of its own, and nginx in front of them.

Whichever server nginx chooses, it takes an upload and knows every job. A result lies with one of them: the others send
the caller there. What a server has alone is lost to the others while it is down.
"""
import re
from typing import Any, List
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.server import Server
from tests.support.api_reader import ApiReader
from tests.support.background import Background
from tests.support.cluster import Cluster
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, has_ended, lines, wait_started
from tests.support.wire import refused


@pytest.fixture
def one(apart: Cluster) -> ApiReader:
    apart.restart()
    return ApiReader(apart.one)


@pytest.fixture
def two(apart: Cluster) -> ApiReader:
    return ApiReader(apart.two)


def ended(reader: ApiReader, ids: List[str], **parameters: Any) -> str:
    job_id = reader.job(ids, **parameters)
    assert reader.status(job_id)["status"] == "success"
    return job_id


# -- any server will do ------------------------------------------------------------------------------------------------


def test_a_fate_job_does_not_notice_that_there_are_two(apart: Cluster) -> None:
    """nginx takes them in turn, so upload, query and download of a job meet different servers."""
    for number in range(4):
        assert apart.behind_nginx.features([f"u{number}"]) == lines(f"u{number}")
    wait_until(lambda: set(apart.nginx.served_by()) == {str(site.port) for site in apart.sites},
               what="requests to both in nginx's log")
    assert {job.owner for job in apart.jobs.find()} == {site.instance() for site in apart.sites}


def test_a_large_upload_streams_through_nginx(apart: Cluster) -> None:
    ids = "".join(f"u{number}\n" for number in range(300_000)).encode()
    header, *found = apart.behind_nginx.features(ids, view="credit")
    assert header == "id,amount,age,vip" and len(found) == 1000


def test_nginx_s_log_has_no_token(apart: Cluster) -> None:
    before = len(apart.nginx.log())
    apart.behind_nginx.features(["u1"])
    log = wait_until(lambda: next((log for log in [apart.nginx.log()[before:]] if "/v1/ext/download" in log), None),
                     what="the last request in nginx's log")
    assert '"POST /v1/ext/upload" 200' in log
    for service in ("upload", "query", "download"):
        assert apart.one.url(service).split("token=")[1] not in log


def test_all_have_the_same_tokens_those_of_the_first(apart: Cluster) -> None:
    """FATE Flow's registry has one url for all. The second server made a secret of its own, and gave it up."""
    for service in ("upload", "query", "download"):
        first, second = (site.url(service).split("/v1/")[1] for site in apart.sites)
        assert first == second


# -- a download where the result is not --------------------------------------------------------------------------------


def download(reader: ApiReader, job_id: str) -> requests.Response:
    return reader.download(job_id, allow_redirects=False)


def test_leads_to_the_server_that_has_it(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    """ApiReader posts, and a 307 keeps it a POST; whoever registered GET keeps that."""
    job_id = ended(one, ["u1"])
    response = download(two, job_id)
    assert (response.status_code, response.headers["Cache-Control"]) == (307, "no-store")
    place = urlsplit(response.headers["Location"])
    assert (place.netloc, place.path) == (f"127.0.0.1:{apart.one.port}", "/v1/ext/download")
    assert parse_qs(place.query)["token"] == [apart.one.url("download").split("token=")[1]]
    assert two.download(job_id).text.splitlines() == lines("u1")
    assert requests.get(two.site.url("download"), params={"requestBody": f'{{"jobId": "{job_id}"}}'},
                        timeout=PATIENCE_SECONDS).text.splitlines() == lines("u1")


def test_leads_nobody_without_a_token(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    job_id = ended(one, ["u1"])
    url = two.site.url("download").replace("token=", "token=x")
    response = requests.post(url, params={"requestBody": f'{{"jobId": "{job_id}"}}'}, allow_redirects=False,
                             timeout=PATIENCE_SECONDS)
    assert response.status_code == 403 and "Location" not in response.headers
    download(two, job_id)
    token = two.site.url("download").split("token=")[1]
    assert not [site for site in apart.sites if token in site.log.read_text("utf-8")]


def test_says_so_where_addresses_lead_astray(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    """Both servers say that they are 127.0.0.1:9380, for one: a redirect would lead back here for ever."""
    job_id = ended(one, ["u1"])
    change(apart.one, apart, f_address=f"http://127.0.0.1:{apart.two.port}")
    refused(two.download(job_id), 421, "This is not the server that has the result",
            "give each server an address of its own (fateflow.host, or listen.host where it runs alone)")
    change(apart.one, apart, f_address=f"http://127.0.0.1:{apart.one.port}")


def change(site: Site, apart: Cluster, **values: Any) -> None:
    apart.store.call(lambda: Server.update(**values).where(Server.f_instance == site.instance()).execute())


# -- a job that another server runs ------------------------------------------------------------------------------------


def test_is_canceled_from_any_server(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    job_id = one.job(["canceled"], do="wait")
    wait_started(apart.folder, "canceled")
    assert apart.two.command("jobs", "cancel", job_id).stdout == f"canceled {job_id}\n"
    assert two.status(job_id)["status"] == "canceled"
    wait_until(lambda: not [name for name in apart.one.files() if job_id in name], what="its files to be deleted")
    assert ended(one, ["after"]), "its turn is free again"


def test_ends_queries_that_are_held_on_any_server(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    job_id = one.job(["held"], do="wait")
    wait_started(apart.folder, "held")
    queries = [reader.held(job_id) for reader in (one, two)]
    go(apart.folder)
    assert [query.result()["status"] for query in queries] == ["success", "success"]


def test_does_not_fill_this_one_s_queue(apart: Cluster) -> None:
    """max_waiting_jobs is each server's own: those of one that is down would keep all others shut."""
    apart.store.call(lambda: FeatureJob.insert_many([
        {"f_job_id": f"{number:032}", "f_status": "waiting", "f_owner": "another", "f_view": "slow", "f_request": "{}",
         "f_id_name": "id"} for number in range(101)]).execute())
    try:
        assert apart.behind_nginx.upload(["u1"]).status_code == 200
    finally:
        apart.store.call(lambda: FeatureJob.delete().where(FeatureJob.f_owner == "another").execute())


# -- a server that is gone ---------------------------------------------------------------------------------------------


def test_leaves_its_held_queries_to_another(apart: Cluster, one: ApiReader, two: ApiReader) -> None:
    """nginx asks again, as long as nothing of an answer has come."""
    job_id = two.job(["asked again"], do="wait")
    wait_started(apart.folder, "asked")
    queries = [Background(lambda: apart.behind_nginx.status(job_id)) for _ in range(2)]
    wait_until(lambda: [site.held_queries() for site in apart.sites] == [1, 1], what="each server to hold one")
    apart.one.kill()
    go(apart.folder)
    assert [query.result()["status"] for query in queries] == ["success", "success"]
    wait_until(lambda: re.search(rf"/v1/ext/query.*:{apart.one.port}, .*:{apart.two.port}$", apart.nginx.log(), re.M),
               what="a query in nginx's log that both were asked")


def test_is_skipped_by_nginx_and_its_jobs_fail_with_the_reason(
    apart: Cluster, one: ApiReader, two: ApiReader
) -> None:
    finished, running = ended(one, ["u1"]), one.job(["lost"], do="wait")
    waiting = one.job(["lost too"])
    wait_started(apart.folder, "lost")
    apart.one.kill()
    assert apart.behind_nginx.features(["u2"]) == lines("u2")
    assert {apart.jobs.get(job_id).status for job_id in (running, waiting)} == {"running", "waiting"}, "not too early"
    apart.let_notice(apart.two)
    for job_id in (running, waiting):
        data = two.status(job_id)
        assert (data["status"], data["message"]) == (
            "failed", "The server that has the job's files shows no life (server_timeout_seconds); run the FATE job "
                      "again.")
    refused(download(two, finished), 503, "The result lies with another server, which shows no life; start it again")
    assert f"http://127.0.0.1:{apart.one.port}, which shows no life" in apart.two.log.read_text("utf-8")
    apart.one.start()
    wait_until(lambda: two.download(finished).text.splitlines() == lines("u1"), what="its life to be noticed")
    wait_until(lambda: not [name for name in apart.one.files() if running in name or waiting in name])


def test_that_was_only_paused_writes_nothing_about_jobs_that_failed_meanwhile(
    apart: Cluster, one: ApiReader, two: ApiReader
) -> None:
    job_id = one.job(["paused"], do="wait")
    process = wait_started(apart.folder, "paused")
    apart.one.pause()
    apart.let_notice(apart.two)
    assert two.status(job_id)["status"] == "failed"
    failed = apart.jobs.get(job_id)
    go(apart.folder)  # its child was not paused, and has a result for it
    wait_until(lambda: has_ended(process), what="the child to end")
    apart.one.resume()
    wait_until(lambda: not [name for name in apart.one.files() if job_id in name], what="its files to be deleted")
    assert apart.jobs.get(job_id) == failed
    apart.restart()
    assert ended(one, ["u1"])
