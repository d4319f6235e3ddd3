"""The machine's clock jumps under a running server, forward and back."""
from pathlib import Path

import pytest
import requests

from fate_ext_plugin.audit.search import read
from tests.support.all_services import ALL_SERVICES, Services, good
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.programs import takes_long
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, lines, wait_started

pytestmark = takes_long
DAY = 86400.0


@pytest.fixture
def site(make_site: MakeSite, tmp_path: Path) -> Site:
    """Its janitor comes every second."""
    site = make_site(start=False, **ALL_SERVICES, concurrent_jobs=1,
                     constants={"feature.runner.JANITOR_SECONDS": 1.0})
    site.clock = tmp_path / "clock"
    site.set_clock(0)
    return site.start()


@pytest.mark.parametrize("jump", [2 * DAY, -2 * DAY])
def test_jobs_under_way_end_as_they_should(site: Site, tmp_path: Path, jump: float) -> None:
    """No limit of time is measured by that clock, but for the retention of results that are there already."""
    api_reader = ApiReader(site)
    before = api_reader.job(["u0"])
    assert api_reader.status(before)["status"] == "success"
    job_ids = [api_reader.job([name], do="wait") for name in ("u1", "u2")]
    wait_started(tmp_path, "u1")
    query = api_reader.held(job_ids[0])
    site.set_clock(jump)
    job_ids.append(api_reader.job(["u3"]))
    go(tmp_path)
    held = query.result()
    assert held["status"] == "success" and held["elapsedSeconds"] >= 0
    for job_id, name in zip(job_ids, ("u1", "u2", "u3")):
        assert api_reader.status(job_id)["status"] == "success"
        assert api_reader.download(job_id).text.splitlines() == lines(name)
    if jump < 0:
        assert api_reader.download(before).text.splitlines() == lines("u0")
    else:  # older than a day by now
        wait_until(lambda: api_reader.download(before).status_code == 410, what="the old result to expire")
        assert api_reader.status(before)["status"] == "expired"


def test_who_signs_by_another_clock_is_refused_until_they_agree(site: Site) -> None:
    services = Services(site)
    assert good("client_authentication", services.client_authentication())
    for jump, says in ((3600.0, " s behind ours"), (-3600.0, " s ahead of ours")):
        site.set_clock(jump)
        answer = services.client_authentication().json()
        assert (answer["code"], says in answer["msg"]) == (109, True), answer
        # within the site itself both clocks are the same one
        signature = services.signature().json()["data"]
        assert own(site, signature).json()["code"] == 0
    site.set_clock(0)
    assert good("client_authentication", services.client_authentication())
    wait_until(lambda: len(list(read(site.data_dir / "audit"))) == 8, what="the audit log")


@pytest.mark.parametrize("nonces", ["memory", "database"])
def test_what_was_signed_once_does_not_count_again_after_a_jump_there_and_back(site: Site, nonces: str) -> None:
    site.stop()
    site.write_settings(authentication={**site.section["authentication"], "nonces": nonces})
    site.constants["fate_ext_plugin.auth.nonces.PURGE_SECONDS"] = 0.0  # those of the database that ended go each time
    site.start()
    signature = Services(site).signature().json()["data"]
    codes = [own(site, signature).json()["code"] for _ in range(4)]
    assert codes == [0, 0, 0, 109]  # FATE Flow's own retries
    site.set_clock(3600)
    other = Services(site).signature().json()["data"]
    assert own(site, other).json()["code"] == 0
    site.set_clock(0)
    assert own(site, signature).json() == {
        "code": 109, **dict.fromkeys(("msg", "message"), "This request was sent before; sign each one anew.")}


def own(site: Site, signature: str) -> requests.Response:
    """Site authentication of a request of the site's own."""
    return requests.post(site.url("site_authentication"), json={
        "src_party_id": "", "site_signature": signature, "body": {"job": 1}}, timeout=PATIENCE_SECONDS)
