"""health and ready for a load balancer, and metrics for Prometheus, of a real server."""
import json
import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Set

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from fate_ext_plugin import __version__
from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.blueprint import ServiceBlueprint, create_app, held
from fate_ext_plugin.errors import InvalidSettings, NotReady
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.monitoring.readiness import Readiness
from fate_ext_plugin.plugin import Plugin
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.util.network import LOOPBACK
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.clock import Clock
from tests.support.credit import credit_view
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, slow_view, wait_started
from tests.support.wire import refused

# What the database says is kept for a shorter time.
HASTY = {"apps.metrics.KEEP_SECONDS": 0.2}
DASHBOARD = Path(__file__).resolve().parents[2] / "conf" / "grafana" / "fate_ext_plugin.json"


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    return make_shared_site(
        views={"credit": credit_view}, authentication={"party_id": "9999"}, permission={}, metrics=True,
        min_free_bytes=1, allowed_networks=["10.0.3.0/24"], trusted_proxies=["127.0.0.1"], constants=HASTY)


def scrape(site: Site, **headers: str) -> requests.Response:
    response = requests.get(site.url("metrics"), headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    return response


def value(site: Site, name: str, **labels: str) -> float:
    """Of one sample; 0 where there is none yet."""
    found = [sample.value for family in parse(scrape(site).text) for sample in family.samples
             if sample.name == name and labels.items() <= sample.labels.items()]
    return sum(found)


def names(site: Site) -> Set[str]:
    return {sample.name for family in parse(scrape(site).text) for sample in family.samples}


# -- health and readiness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "message"), [("health", "alive"), ("ready", "ready")])
def test_a_load_balancer_needs_no_token(site: Site, path: str, message: str) -> None:
    url = f"http://127.0.0.1:{site.port}/v1/ext/{path}"
    wait_until(lambda: site.probe(path).json() == {"code": 0, "message": message}, what=message)
    assert requests.head(url, timeout=60).status_code == 200
    refused(requests.post(url, timeout=60), 405, "POST is not allowed here; use GET or HEAD.")


@pytest.mark.parametrize("path", ["health", "ready"])
def test_strangers_may_not_ask(site: Site, path: str) -> None:
    """Callers from allowed networks may, and a trusted proxy itself, but nobody else behind it."""
    url = f"http://127.0.0.1:{site.port}/v1/ext/{path}"
    for forwarded, status in (("10.0.3.7", 200), ("8.8.8.8", 403), ("10.0.3.7, 8.8.8.8", 403), ("unknown", 403)):
        assert requests.get(url, headers={"X-Forwarded-For": forwarded}, timeout=60).status_code == status, forwarded
    refused(requests.get(url, headers={"X-Forwarded-For": "8.8.8.8"}, timeout=60), 403, "Forbidden.")


def test_too_little_disk_is_named(make_site: MakeSite) -> None:
    site = make_site(min_free_bytes=2**60)
    assert site.probe("health").status_code == 200
    said = r"disk: The disk of data_dir has \d+ MiB free, .*; free space there, or lower min_free_bytes\."
    wait_until(lambda: re.fullmatch(said, site.probe("ready").json()["message"]), what="the disk to be looked at")
    answer = site.probe("ready")
    assert (answer.status_code, answer.json()["code"]) == (503, 50302)


def test_a_table_that_is_gone_is_named_without_details(make_site: MakeSite) -> None:
    site = make_site(min_free_bytes=0, metrics=True, constants={**HASTY, "db.base.BUSY_TRIES": 2})
    wait_until(lambda: site.probe("ready").status_code == 200, what="the server to be ready")
    (site.data_dir / "fate_ext.db").rename(site.data_dir / "elsewhere.db")
    for name in ("fate_ext.db-wal", "fate_ext.db-shm"):
        (site.data_dir / name).unlink(missing_ok=True)
    wait_until(lambda: site.probe("ready").status_code == 503, what="the database to be missed")
    answer = site.probe("ready")
    assert answer.json()["message"].startswith("database: ")
    assert "fate_ext.db" not in answer.text and "t_ext_" not in answer.text
    assert site.probe("health").status_code == 200
    # What can't be had is left out of the metrics; a 0 would be a lie.
    wait_until(lambda: "fate_ext_jobs" not in names(site), what="the counts to be gone")
    assert value(site, "fate_ext_ready", check="database") == 0
    assert value(site, "fate_ext_ready", check="runner") == 1


def test_a_server_that_runs_no_jobs_is_not_ready(make_site: MakeSite) -> None:
    site = make_site(start=False, min_free_bytes=0)
    plugin = Plugin(site.settings, Standalone(site.settings))
    with pytest.raises(NotReady, match="^runner: The thread that runs jobs has ended"):
        plugin.readiness.require()  # not started
    plugin.stop()
    with pytest.raises(NotReady, match="^runner: The server is stopping"):
        Readiness({"runner": plugin.runner.require_alive}).require()


def test_a_hook_that_can_not_work_makes_the_server_not_ready(make_site: MakeSite) -> None:
    def broken() -> None:
        raise InvalidSettings("fate_ext_plugin.authentication is missing.")

    site = make_site(start=False, min_free_bytes=0)
    plugin = Plugin(site.settings, Standalone(site.settings), hooks=[broken])
    plugin.start()
    try:
        with pytest.raises(NotReady, match="^hooks: The server's settings can't be used; "):
            plugin.readiness.require()
        assert plugin.readiness.problems() == {"hooks": "fate_ext_plugin.authentication is missing."}
    finally:
        plugin.stop()


# -- metrics ---------------------------------------------------------------------------------------------------------


def test_off_unless_enabled(make_site: MakeSite) -> None:
    site = make_site()
    assert requests.get(site.url("metrics"), timeout=60).status_code == 404
    complaint = site.command("metrics-url")
    assert complaint.returncode != 0 and "set `metrics: true`" in complaint.stdout


def test_access_control_stands_before_them(site: Site) -> None:
    url = site.url("metrics")
    refused(requests.get(url.split("?")[0], timeout=60), 403, "Forbidden.")
    refused(requests.get(url.replace("token=", "token=x"), timeout=60), 403, "Forbidden.")
    refused(requests.get(url, headers={"X-Forwarded-For": "8.8.8.8"}, timeout=60), 403, "Forbidden.")
    refused(requests.post(url, timeout=60), 405, "POST is not allowed here; use GET.")


def test_a_command_prints_the_url_for_prometheus(site: Site) -> None:
    assert site.command("metrics-url").stdout == f"{site.url('metrics')}\n"


def test_a_job_is_counted(site: Site) -> None:
    def now() -> Any:
        return [value(site, name) for name in (
            "fate_ext_upload_bytes_total", "fate_ext_ids_total", "fate_ext_ids_matched_total",
            "fate_ext_job_seconds_count")]
    before = now()
    ApiReader(site).features(["u1", "u2", "nobody"])
    wait_until(lambda: now()[3] > before[3], what="the job to be counted")
    size = len(b"u1\nu2\nnobody\n")
    assert [round(after - earlier) for after, earlier in zip(now(), before)] == [size, 3, 2, 1]
    wait_until(lambda: value(site, "fate_ext_jobs", status="success") >= 1, what="the cached counts to be renewed")
    assert value(site, "fate_ext_jobs", status="waiting") == value(site, "fate_ext_oldest_waiting_seconds") == 0


def test_requests_are_counted_by_service_and_status(site: Site) -> None:
    before = value(site, "fate_ext_requests_total", service="upload", status="403")
    seconds = value(site, "fate_ext_request_seconds_count", service="upload")
    requests.post(site.url("upload").split("?")[0], timeout=60)
    assert value(site, "fate_ext_requests_total", service="upload", status="403") == before + 1
    assert value(site, "fate_ext_request_seconds_count", service="upload") == seconds + 1


def test_strangers_make_no_series(site: Site) -> None:
    requests.get(f"http://127.0.0.1:{site.port}/v1/ext/", timeout=60)
    before = len([line for line in scrape(site).text.splitlines() if "unknown" in line])
    for number in range(50):
        requests.get(f"http://127.0.0.1:{site.port}/v1/ext/x{number}?a={number}", timeout=60)
        ask = requests.post(site.url("site_authentication"), timeout=60, json={
            "src_party_id": f"x{number}", "site_signature": "abc", "body": {}})
        assert ask.json()["code"] == 109
    assert "x49" not in scrape(site).text
    assert len([line for line in scrape(site).text.splitlines() if "unknown" in line]) == before


def test_decisions_are_counted_by_check_and_outcome(site: Site) -> None:
    def refusals() -> float:
        return value(site, "fate_ext_decisions_total", check="site", outcome="refused")
    before = refusals()
    requests.post(site.url("site_authentication"), timeout=60, json={
        "src_party_id": "8888", "site_signature": "abc", "body": {}})
    wait_until(lambda: refusals() == before + 1, what="the decision to be counted")
    wait_until(lambda: value(site, "fate_ext_audit_waiting_lines") == 0, what="its line to be written")
    assert {"client", "site", "signature", "permission"} == {
        sample.labels["check"] for family in parse(scrape(site).text) for sample in family.samples
        if sample.name == "fate_ext_decisions_total"}


def test_a_held_query_is_shown(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(views={"slow": slow_view}, min_free_bytes=0, metrics=True)
    reader = ApiReader(site)
    job_id = reader.job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    query = threading.Thread(target=reader.query, args=(job_id,))
    query.start()
    wait_until(lambda: value(site, "fate_ext_held_queries") == 1, what="the query to be held")
    go(tmp_path)
    query.join()
    assert value(site, "fate_ext_request_seconds_count", service="query") == 1
    assert value(site, "fate_ext_held_queries") == 0


def test_the_time_that_a_request_is_held_does_not_count_as_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, measured = Clock(), []

    def view() -> str:
        clock.now += 1
        with held():
            clock.now += 1000
        clock.now += 2
        return "done"
    monkeypatch.setattr("fate_ext_plugin.apps.blueprint.time", SimpleNamespace(monotonic=clock))
    blueprint = ServiceBlueprint(AccessGuard(b"s" * 32, LOOPBACK, ()), lambda *measure: measured.append(measure))
    blueprint.add("query", ["GET"], view, token=False)
    create_app(blueprint.manager).test_client().get("/v1/ext/query")
    assert measured == [("query", 200, 3.0)]


def test_disk_memory_and_version(site: Site) -> None:
    disk = os.statvfs(site.data_dir)
    assert value(site, "fate_ext_disk_bytes", state="free") == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert value(site, "fate_ext_disk_bytes", state="used") > 0
    assert value(site, "fate_ext_disk_min_free_bytes") == 1
    assert 10 * 2**20 < value(site, "process_resident_memory_bytes") < 2**30
    assert value(site, "fate_ext_build_info", version=__version__) == 1


def test_openmetrics_for_those_who_ask(site: Site) -> None:
    response = scrape(site, Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {family.name for family in parse_openmetrics(response.text)} >= {"fate_ext_requests", "fate_ext_jobs"}


def test_the_dashboard_shows_what_there_is(site: Site) -> None:
    ApiReader(site).features(["u1"])
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queried = {name for text in expressions for name in re.findall(r"\b(?:fate_ext|process)_\w+", text)}
    exposed = wait_until(lambda: (lambda found: found if queried <= found else None)(names(site)),
                         what=f"all of {queried}")
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in exposed
            if name.startswith("fate_ext") and not name.endswith("_created")}
    assert ours == {re.sub("_(bucket|sum|count)$", "", name) for name in queried if name.startswith("fate_ext")}
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_prometheus_client_is_asked_for_where_it_is_missing(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(start=False)
    site.write_settings(metrics=True)
    monkeypatch.setattr("fate_ext_plugin.settings.schema.find_spec", lambda name: None)
    with pytest.raises(InvalidSettings, match=r"metrics: Needs the package prometheus_client: pip install"):
        read_settings_file(site.conf)
    site.write_settings(metrics=False)
    assert read_settings_file(site.conf).metrics is False
