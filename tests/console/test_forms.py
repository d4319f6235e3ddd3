"""What a form must prove before anything changes, who may send it, and what becomes of what was typed."""
import re
from typing import Any, Dict

import pytest
import requests

from fate_ext_plugin.db.auth import Client, SiteKey, SitePolicy
from fate_ext_plugin.db.base import dicts
from fate_ext_plugin.db.permission import Grant
from tests.support.api_reader import ApiReader
from tests.support.browser import ADMIN, PAGES, VIEWER, Browser, Seen, console_of
from tests.support.site import Site, wait_until
from tests.support.slow_source import jobs_of
from tests.support.tables import Tables

# Every form that changes something, on things that do not exist: whoever may send it is told so.
CHANGES: Dict[str, Dict[str, str]] = {
    "jobs/none/cancel": {}, "jobs/none/delete": {}, "views/none/test": {"ids": "u1"},
    "clients": {"app_key": "new", "name": "New"}, "clients/none/change": {"enabled": "false"},
    "clients/none/rotate": {"keep_old_hours": "0"}, "clients/none/remove": {},
    "keys": {"party_id": "1", "public_key": "none"}, "keys/1/none/remove": {}, "policies/1/change": {"md5": "true"},
    "grants": {"party": "1", "components": "x"}, "grants/none/remove": {}}


@pytest.fixture
def nothing_changes(site: Site) -> Any:
    def tables() -> Any:
        return Tables(site).store.call(
            lambda: [dicts(table.select()) for table in (Client, SiteKey, SitePolicy, Grant)])

    before = tables()
    yield
    assert tables() == before


# -- forgery ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*CHANGES, "sign-out", "sign-in", "explain"])
def test_a_form_needs_its_token(admin: Browser, nothing_changes: None, path: str) -> None:
    other = Browser(admin.site)
    other.get("sign-in")
    for token in ("", "x", other.form_token(), admin.http.cookies["fate_ext_console"]):
        response = admin.post(path, form_token=token, **CHANGES.get(path, {}))
        assert response.status_code == 403
        assert "no longer valid" in Seen(response).text
    assert admin.get().status_code == 200, "still signed in"


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"}])
@pytest.mark.parametrize("path", ["clients", "sign-in"])
def test_a_form_of_another_site_is_refused(
    admin: Browser, nothing_changes: None, headers: Dict[str, str], path: str
) -> None:
    response = admin.post(path, headers=headers, app_key="forged", name="Forged")
    assert response.status_code == 403


def test_a_browser_that_says_where_a_form_comes_from_is_believed(admin: Browser) -> None:
    """Behind a proxy the host may be another one."""
    response = admin.post("explain", headers={"Sec-Fetch-Site": "same-origin", "Origin": "https://ops.example"},
                          party="10000", components="hetero_lr")
    assert response.status_code == 200


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_a_form_is_a_form(admin: Browser, content_type: str) -> None:
    response = admin.http.post(
        f"{console_of(admin.site)}/clients", data=f"form_token={admin.form_token()}&app_key=x&name=x", timeout=60,
        headers={"Content-Type": content_type, "Origin": f"http://127.0.0.1:{admin.site.port}"})
    assert response.status_code == 415


def test_a_form_that_is_too_long_is_refused(admin: Browser) -> None:
    assert admin.post("explain", party="1", components="x" * (1 << 20)).status_code == 413
    many = {f"field-{number}": "x" for number in range(1001)}
    assert admin.post("explain", **many).status_code == 400
    assert admin.get("jobs", params=many).status_code == 400
    assert admin.get().status_code == 200


def test_a_form_sent_after_the_session_asks_to_sign_in(site: Site) -> None:
    browser = Browser(site).sign_in()
    token = browser.form_token()
    second = Browser(site)
    second.http.cookies.update(browser.http.cookies)
    second.get()
    second.submit("sign-out")
    response = browser.post("clients", form_token=token, app_key="late", name="Late")
    assert response.status_code == 401
    assert "the session is over" in Seen(response).text


# -- roles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", list(CHANGES))
def test_a_viewer_changes_nothing(viewer: Browser, nothing_changes: None, path: str) -> None:
    response = viewer.post(path, **CHANGES[path])
    assert response.status_code == 403
    assert "This needs a client with the role admin" in Seen(response).text
    wait_until(lambda: "no such role" in Seen(viewer.get("audit?allowed=false&who=" + VIEWER)).text, what="the log")


@pytest.mark.parametrize("path", PAGES)
def test_a_viewer_sees_all_pages_and_no_button_that_changes(viewer: Browser, path: str) -> None:
    response = viewer.get(path)
    assert response.status_code == 200
    posts = {form["action"].rpartition("/")[2] for form in Seen(response).all("form", method="post")}
    assert posts <= {"sign-out", "explain"}


def test_a_viewer_may_ask_why(viewer: Browser) -> None:
    viewer.get("explain")
    assert "no grant names it" in Seen(viewer.post("explain", party="77", components="hetero_lr")).text


def test_a_client_bound_to_some_paths_may_do_here_what_it_may_there(site: Site, admin: Browser) -> None:
    """Its limits of /v1/ext/admin hold for its person, too."""
    page = admin.submit("clients", app_key="jobs-only", name="Jobs", role="admin",
                        paths="/v1/ext/admin/jobs*\n/v1/ext/admin/overview\n/v1/ext/admin/health", methods="GET")
    bound = Browser(site).sign_in("jobs-only", Seen(page).all("input", id="new-secret")[0]["value"])
    assert bound.get("jobs").status_code == 200
    response = bound.get("clients")
    assert response.status_code == 401 and "may not call this path" in Seen(response).text
    bound.get("jobs")
    assert "may not use this method" in Seen(bound.post("jobs/none/cancel")).text
    assert bound.post("clients", app_key="x", name="x").status_code == 401


def test_a_client_without_a_role_is_no_way_in_over_http(site: Site) -> None:
    assert requests.get(f"{console_of(site)}/jobs", headers={"APP-KEY": ADMIN}, timeout=60).url.endswith(
        "/sign-in?next=jobs")


# -- what was typed --------------------------------------------------------------------------------------------------


def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(admin: Browser) -> None:
    typed = {"party": "10000", "name": "Not A Name", "components": "hetero_lr\nreader", "valid_from": "tomorrow",
             "max_uses": "many", "hours": "8-18", "weekdays": ["mon", "fri"], "note": "say <b>why</b>", "role": "guest"}
    response = admin.post("grants", **typed)
    assert response.status_code == 400
    page = Seen(response)
    assert "Some of it is not right; nothing was changed." in page.text
    for name, message in (("name", "A grant's name is 1 to 64 lower"), ("valid_from", "'tomorrow' is none"),
                          ("max_uses", "Not a valid integer."), ("hours", "are no hours such as")):
        assert page.field(name)["aria-invalid"] == "true"
        assert message in page.text and f"grants-add-{name}-wrong" in page.field(name)["aria-describedby"]
    assert page.field("note")["value"] == "say <b>why</b>" and "aria-invalid" not in page.field("note")
    assert "hetero_lr\nreader</textarea>" in response.text
    assert {box["value"] for box in page.all("input", name="weekdays") if "checked" in box} == {"mon", "fri"}
    assert [option["value"] for option in page.all("option") if "selected" in option and option["value"] == "guest"]


def test_an_error_of_the_plugin_is_shown_in_place(admin: Browser) -> None:
    response = admin.post("clients", app_key=VIEWER, name="Again", networks="10.0.0.0/8")
    assert response.status_code == 409
    page = Seen(response)
    assert f"There is a client {VIEWER} already" in page.text
    assert page.field("name")["value"] == "Again" and "10.0.0.0/8" in response.text
    assert page.all("details", id="add")[0].keys() >= {"open"}, "the form is open"


def test_a_filter_that_is_wrong_is_told_and_kept(admin: Browser) -> None:
    response = admin.get("jobs?since=yesterday&status=failed")
    assert response.status_code == 400
    page = Seen(response)
    assert page.field("since")["value"] == "yesterday" and page.field("since")["aria-invalid"] == "true"
    assert "is none of 2027-01-31" in page.text
    assert [option for option in page.all("option", value="failed") if "selected" in option]
    assert admin.get("overview?span=eternity").status_code == 404
    assert admin.get("?span=eternity").status_code == 400


def test_what_was_done_is_said_once_and_not_done_again_by_a_reload(admin: Browser) -> None:
    page = admin.submit("grants", party="10001", name="said-once", components="reader")
    assert "Grant said-once is added." in Seen(page).text
    assert "is added" not in Seen(admin.get(page.url.partition("/console/")[2])).text
    admin.submit("grants/said-once/remove")


def test_a_secret_is_shown_once_and_only_to_who_made_it(site: Site, admin: Browser, viewer: Browser) -> None:
    admin.get("clients")
    response = admin.post("clients", app_key="once", name="Once", role="viewer")
    location = response.headers["Location"].partition("/console/")[2]
    assert not Seen(viewer.get(location)).all("input", id="new-secret"), "another session's word tells nothing"
    assert admin.http.head(f"{console_of(site)}/{location}", timeout=20).status_code == 200  # which shows nothing
    secret = Seen(admin.get(location)).all("input", id="new-secret")[0]["value"]
    Browser(site).sign_in("once", secret)
    for path in (location, *PAGES):
        for browser in (admin, viewer):
            assert secret not in browser.get(path).text
    for path in (site.data_dir / "audit").glob("*.*"):
        assert secret not in path.read_text("ascii")
    assert secret not in site.log.read_text("utf-8") and secret not in response.headers["Location"]


def test_no_page_holds_any_secret(site: Site, admin: Browser) -> None:
    ApiReader(site).features(["u1"], view="credit")
    secrets = [*site.secrets.values(), (site.data_dir / "master_key").read_text().strip(), "PRIVATE KEY",
               site.url("upload").rpartition("token=")[2]]
    job_id = jobs_of(site).find(limit=1)[0].job_id
    for path in (*PAGES, f"jobs/{job_id}"):
        page = admin.get(path)
        assert page.status_code == 200
        assert not [secret for secret in secrets if secret in page.text], path


@pytest.mark.parametrize("path", ["jobs/none/cancel", "views/none/test", "clients/none/remove", "keys/1/none/remove",
                                  "grants/none/remove"])
def test_what_is_gone_meanwhile_is_told(admin: Browser, path: str) -> None:
    response = admin.post(path, **CHANGES[path])
    assert response.status_code == 404
    assert re.search("There is no|has no key", Seen(response).text)
