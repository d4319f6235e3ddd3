"""What others wrote is text on every page, whatever it holds: no element, no attribute, no script."""
import json
from typing import Dict, List

import pytest
import requests

from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.db.feature_job import FeatureJob
from tests.support.browser import PAGES, Browser, Seen
from tests.support.site import Site, wait_until
from tests.support.tables import Tables

# Breaks out of a text, an attribute in either quotes, a script and a comment, wherever one of them is not escaped.
EVIL = "\"'--></script></textarea><evil onfocus=alert(1) autofocus>{{7777*7777}}&lt;"
JOB_ID = "e" * 32


def harmless(response: requests.Response) -> Seen:
    seen = Seen(response)
    assert "evil" not in seen.tags, "it became an element"
    assert not [name for _, attributes in seen.elements for name in attributes if name in ("onfocus", "autofocus")]
    assert str(7777 * 7777) not in seen.text, "it was run as a template"
    return seen


@pytest.fixture(scope="module", autouse=True)
def written(site: Site, _admin: Browser) -> None:
    """Put it wherever a column holds any text."""
    admin = _admin
    now = now_ms()
    Tables(site).store.call(lambda: FeatureJob.insert(
        f_job_id=JOB_ID, f_fate_job_id=EVIL[:64], f_status="failed", f_owner="x", f_view=EVIL[:64],
        f_request=json.dumps({EVIL: EVIL}), f_id_name=EVIL, f_error=EVIL, f_error_code=40001, f_create_time=now,
        f_create_date=date_of(now), f_end_time=now, f_start_time=now).execute())
    admin.get()
    admin.submit("clients", app_key="evil-name", name=EVIL)
    admin.submit("grants", party="10000", name="evil-note", note=EVIL, components="x", datasets=f"{EVIL}/{EVIL}")
    api = f"http://127.0.0.1:{site.port}/v1/ext/admin"
    requests.get(f"{api}/jobs/{EVIL}", headers={"APP-KEY": EVIL, "TIMESTAMP": "1", "NONCE": "1", "SIGNATURE": EVIL},
                 timeout=60)
    requests.get(f"{api}/jobs", headers={"APP-KEY": EVIL, "TIMESTAMP": "1", "NONCE": "1", "SIGNATURE": "x"}, timeout=60)


@pytest.mark.parametrize("path", [*PAGES, f"jobs/{JOB_ID}", "grants/evil-note", "audit?check=admin&allowed=false"])
@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_stored_text(request: pytest.FixtureRequest, role: str, path: str) -> None:
    browser: Browser = request.getfixturevalue(role)
    harmless(browser.get(path))


def test_it_is_shown_as_it_is(admin: Browser) -> None:
    """So that these tests see it at all."""
    job = harmless(admin.get(f"jobs/{JOB_ID}")).text
    assert job.count(EVIL) >= 2 and json.dumps(EVIL, ensure_ascii=False) in job
    assert EVIL[:64] in job
    assert EVIL in harmless(admin.get("clients")).text
    assert EVIL in harmless(admin.get("grants/evil-note")).text
    wait_until(lambda: EVIL in harmless(admin.get("audit?check=admin")).text, what="who and what in the audit log")


@pytest.mark.parametrize("query", [
    {"status": EVIL}, {"view": EVIL}, {"since": EVIL}, {"page": EVIL}, {"note": EVIL}, {"lang": EVIL}, {EVIL: EVIL},
    {"span": EVIL}, {"party": EVIL}, {"who": EVIL}, {"cursor": EVIL}, {"next": EVIL}])
@pytest.mark.parametrize("path", ["", "jobs", "grants", "audit", "sign-in"])
def test_what_stands_in_a_url(admin: Browser, path: str, query: Dict[str, str]) -> None:
    response = admin.get(path, params=query)
    assert response.status_code in (200, 400)
    harmless(response)


@pytest.mark.parametrize("path", [f"jobs/{EVIL}", f"grants/{EVIL}", EVIL, f"static/{EVIL}", f"no/{EVIL}?lang=zh"])
def test_what_stands_in_a_path(admin: Browser, path: str) -> None:
    response = admin.get(requests.utils.quote(path, safe="/?="))
    assert response.status_code == 404
    harmless(response)


FORMS: Dict[str, List[str]] = {
    "clients": ["app_key", "name", "role", "algorithm", "expires", "paths", "methods", "networks"],
    "keys": ["party_id", "public_key", "valid_from", "valid_until"],
    "grants": ["party", "name", "effect", "role", "components", "datasets", "valid_from", "valid_until", "hours",
               "weekdays", "max_uses", "max_uses_per_day", "initiators", "partners", "note"],
    "explain": ["party", "role", "components", "datasets", "initiator", "others", "at"],
    "views/credit/test": ["ids", "parameters.month", f"parameters.{EVIL}", "features"],
    "clients/ops-viewer/rotate": ["keep_old_hours"], "policies/10000/change": ["envelope", "md5"],
    "sign-in": ["app_key", "secret"]}


@pytest.mark.parametrize("path", list(FORMS))
def test_what_is_typed(admin: Browser, path: str) -> None:
    response = admin.post(path, **dict.fromkeys(FORMS[path], EVIL))
    assert response.status_code in (400, 401), response.status_code
    harmless(response)


def test_data_of_a_view(admin: Browser, site: Site) -> None:
    """What a source holds, and how it fails."""
    page = harmless(admin.post("views/slow/test", ids="<evil>\n<img/src=x/onerror=alert(1)>"))
    assert "amount=<evil>" in page.text
    page = harmless(admin.post("views/slow/test", ids="u1", **{"parameters.do": "raise:RuntimeError"}))
    assert "two" in page.text


def test_charts_hold_figures_only(admin: Browser) -> None:
    for plot in Seen(admin.get()).all("div"):
        if "data-chart" in plot:
            chart = json.loads(plot["data-chart"])
            values = [value for one in chart["series"] for value in one["values"]]
            assert all(value is None or isinstance(value, (int, float)) for value in values)
