"""Who may come in, for how long, and what a browser is told to keep to itself."""
import json
import re
from http.cookies import SimpleCookie
from typing import Any

import pytest
import requests

from fate_ext_plugin.auth.client_auth import WRONG_SIGN_IN
from fate_ext_plugin.auth.client_signature import Signer
from fate_ext_plugin.auth.client_store import Client
from fate_ext_plugin.auth.throttle import FREE_FAILURES
from fate_ext_plugin.console.session import COOKIE, IDLE_SECONDS, LONGEST_SECONDS, MAX_SESSIONS, FlashMessage, Sessions
from fate_ext_plugin.db.auth import Client as Row
from tests.support.browser import ADMIN, CLIENTS, CONSOLE, PAGES, VIEWER, Browser, Seen, console_of
from tests.support.builder import MakeSite
from tests.support.clock import Clock
from tests.support.site import Site, wait_until
from tests.support.tables import Tables

CLIENT = Client("ops", "Ops", ((Signer("a secret of sixteen", "hmac-sha1"), None),), role="admin")


def audited(site: Site, reason: str) -> None:
    """Wait until a decision with that reason stands in the audit log, which is written a moment later."""
    viewer = Browser(site).sign_in(VIEWER)
    wait_until(lambda: reason in Seen(viewer.get("audit?check=admin&page_size=1000")).text,
               what=f"{reason!r} in the audit log")


@pytest.fixture(scope="module")
def plain_site(make_shared_site: MakeSite) -> Site:
    """Without a proxy."""
    return make_shared_site(authentication={"party_id": "9999"}, min_free_bytes=1, clients=CLIENTS)


# -- in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app_key", [ADMIN, VIEWER])
def test_a_client_with_a_role_signs_in_with_its_secret(site: Site, app_key: str) -> None:
    browser = Browser(site)
    assert browser.get().url.endswith("/sign-in"), "a stranger is asked to sign in"
    browser.sign_in(app_key)
    page = Seen(browser.get())
    assert app_key in page.text and "Overview" in page.text
    audited(site, "signed in")


@pytest.mark.parametrize(("app_key", "secret", "status", "message"), [
    (ADMIN, "wrong", 401, WRONG_SIGN_IN),
    (ADMIN, "", 401, WRONG_SIGN_IN),
    ("nobody", "wrong", 401, WRONG_SIGN_IN),
    ("", "", 401, WRONG_SIGN_IN),
    ("\x00\ud800é", "é\x00", 401, WRONG_SIGN_IN),
    ("a-program", None, 403, "This needs a client with the role admin or viewer; see `fate-ext client add --role`."),
])
def test_all_others_stay_outside(site: Site, app_key: str, secret: str, status: int, message: str) -> None:
    browser = Browser(site)
    browser.get("sign-in")
    response = browser.post(
        "sign-in", app_key=app_key.encode("utf-8", "surrogatepass"),
        secret=site.secrets[app_key] if secret is None else secret.encode("utf-8"))
    assert response.status_code == status
    assert message in Seen(response).text
    page = Seen(response)
    assert page.field("app_key")["value"] or not app_key, "what was typed is kept"
    assert not page.field("secret").get("value"), "but for the secret"
    assert browser.get().url.endswith("/sign-in")


def test_a_secret_that_was_typed_in_the_wrong_place_is_not_written_down(site: Site) -> None:
    browser = Browser(site)
    browser.get("sign-in")
    browser.post("sign-in", app_key=site.secrets[VIEWER], secret=VIEWER)
    audited(site, "unknown app key")
    for path in (site.data_dir / "audit").glob("*"):
        assert path.is_dir() or site.secrets[VIEWER] not in path.read_text("ascii")
    assert site.secrets[VIEWER] not in site.log.read_text("utf-8")


def test_guessing_is_slowed_down(site: Site) -> None:
    browser = Browser(site, **{"X-Forwarded-For": "10.0.3.66"})
    browser.get("sign-in")
    for _ in range(FREE_FAILURES):
        assert browser.post("sign-in", app_key="guessed", secret="wrong").status_code == 401
    # Each pause is twice as long as the one before, and at last longer than any request takes.
    says = [Seen(browser.post("sign-in", app_key="guessed", secret="wrong")).text for _ in range(10)]
    assert any(re.search(r"Too many failed attempts; try again in \d+ s\.", text) for text in says)
    other = Browser(site)
    other.get("sign-in")
    assert WRONG_SIGN_IN in Seen(other.post("sign-in", app_key="guessed", secret="wrong")).text, "from elsewhere"


def test_strangers_networks_see_nothing(site: Site) -> None:
    for path in ("", "sign-in", "jobs", "static/console.css"):
        response = Browser(site, **{"X-Forwarded-For": "8.8.8.8"}).get(path)
        assert response.status_code == 403
        assert Seen(response).text == "403 · fate_ext_plugin 403 Forbidden."
    audited(site, "forbidden network")


def test_no_door_lets_a_stranger_push_out_refusals_of_those_who_are_known(site: Site) -> None:
    """What anybody can have refused, without proving who it is, goes to a log of its own."""
    folder = site.data_dir / "audit"
    known, strangers = folder / "refused.jsonl", folder / "strangers.jsonl"
    assert Browser(site).sign_in(VIEWER).post("clients/of-this-test/remove").status_code == 403
    wait_until(lambda: known.exists() and "of-this-test" in known.read_text(), what="a refusal of somebody known")
    before = known.read_bytes()
    headers = {"X-Forwarded-For": "8.8.8.8"}
    for path in ("/v1/ext/console/sign-in", "/v1/ext/admin/jobs"):
        assert requests.get(f"{site.address}{path}", headers=headers, timeout=60).status_code == 403
    assert requests.get(f"{site.address}/v1/ext/admin/jobs", timeout=60).status_code == 401
    assert requests.delete(f"{site.address}/v1/ext/admin/jobs/x", timeout=60).status_code == 401
    stranger = Browser(site)
    stranger.get("sign-in")
    assert stranger.post("sign-in", app_key=VIEWER, secret="guessed").status_code == 401
    assert stranger.post("sign-in", form_token="forged").status_code == 403
    for service, body in (
        ("client_authentication", {"full_path": "/v1/job/submit", "headers": {}}),
        ("site_authentication", {"src_party_id": "77", "site_signature": "AAAA", "body": {}}),
    ):
        assert requests.post(site.url(service), json=body, timeout=60).json()["code"] == 109
    expected = {
        ("GET /v1/ext/console/sign-in", "forbidden network"), ("GET /v1/ext/admin/jobs", "forbidden network"),
        ("GET /v1/ext/admin/jobs", "not signed"), ("DELETE /v1/ext/admin/jobs/x", "method not signed"),
        ("POST /v1/ext/console/sign-in", "wrong secret"), ("POST /v1/ext/console/sign-in", "no form of ours"),
        ("/v1/job/submit", "not signed"), (None, "unknown party")}
    wait_until(lambda: expected <= {
        (entry["what"], entry["reason"]) for entry in map(json.loads, strangers.read_text().splitlines())
    }, what="the refusals of strangers")
    assert known.read_bytes() == before


def test_a_client_bound_to_a_network_signs_in_from_there_only(site: Site, admin: Browser) -> None:
    page = admin.submit("clients", app_key="near", name="Near", role="viewer", networks="10.0.3.7")
    secret = Seen(page).all("input", id="new-secret")[0]["value"]
    near, far = Browser(site, **{"X-Forwarded-For": "10.0.3.7"}), Browser(site)
    near.sign_in("near", secret)
    far.get("sign-in")
    assert "may not call from this address" in Seen(far.post("sign-in", app_key="near", secret=secret)).text
    far.http.cookies.update(near.http.cookies)
    assert far.get().url.endswith("/sign-in"), "nor is its session good elsewhere"


# -- the cookie ------------------------------------------------------------------------------------------------------


def cookie_of(response: requests.Response) -> Any:
    return SimpleCookie(response.headers["Set-Cookie"])[COOKIE]


def test_the_cookie_is_for_these_pages_and_no_script(site: Site) -> None:
    browser = Browser(site)
    browser.get("sign-in")
    plain = cookie_of(browser.post("sign-in", app_key=ADMIN, secret=site.secrets[ADMIN]))
    assert (plain["path"], plain["httponly"], plain["samesite"], plain["secure"]) == (CONSOLE, True, "Strict", "")
    assert plain["max-age"] == plain["expires"] == "", "it ends with the browser"


def test_behind_https_it_never_goes_over_http(site: Site) -> None:
    browser = Browser(site, **{"X-Forwarded-For": "10.0.3.7", "X-Forwarded-Proto": "https"})
    assert cookie_of(browser.get("sign-in"))["secure"] is True


def test_only_a_trusted_proxy_says_that_it_is_https(plain_site: Site) -> None:
    assert cookie_of(Browser(plain_site, **{"X-Forwarded-Proto": "https"}).get("sign-in"))["secure"] == ""


def test_a_new_cookie_comes_with_signing_in(site: Site) -> None:
    """Whoever planted one before does not share the session."""
    browser = Browser(site)
    browser.get("sign-in")
    planted = browser.http.cookies[COOKIE]
    browser.sign_in()
    assert browser.http.cookies[COOKIE] != planted
    stranger = Browser(site)
    stranger.http.cookies.set(COOKIE, planted, path=CONSOLE)
    assert stranger.get().url.endswith("/sign-in")


def test_a_cookie_can_not_be_made_or_changed(site: Site) -> None:
    cookie = Browser(site).sign_in().http.cookies[COOKIE]
    text, _, signature = cookie.rpartition(".")
    changed = f"{'A' if text[0] != 'A' else 'B'}{text[1:]}"
    for forged in (text, f"{text}.", f"{changed}.{signature}", f"{text}.{signature[:-1]}", f"x{cookie}", "." * 9,
                   f"{text}.{signature}".swapcase(), "é"):
        browser = Browser(site)
        response = requests.get(console_of(site), headers={
            "Cookie": f"{COOKIE}={forged}".encode().decode("latin-1")}, timeout=60)
        assert response.url.endswith("/sign-in"), forged
        assert browser.get().status_code == 200


# -- how long --------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_nothing_is_done(clock: Clock) -> None:
    sessions = Sessions(b"k" * 32, clock)
    cookie = sessions.begin(CLIENT)
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(cookie)
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(cookie), "it was used meanwhile"
    clock.now += IDLE_SECONDS
    assert sessions.find(cookie) is None
    clock.now -= IDLE_SECONDS
    assert sessions.find(cookie) is None, "for good"


def test_a_page_that_asks_again_by_itself_keeps_no_session_alive(clock: Clock) -> None:
    sessions = Sessions(b"k" * 32, clock)
    cookie = sessions.begin(CLIENT)
    for _ in range(10):
        clock.now += IDLE_SECONDS / 10
        found = sessions.find(cookie, touch=False)
    assert found is None


def test_a_session_ends_at_last_whatever_is_done(clock: Clock) -> None:
    sessions = Sessions(b"k" * 32, clock)
    cookie, began = sessions.begin(CLIENT), clock.now
    while clock.now - began < LONGEST_SECONDS:
        assert sessions.find(cookie)
        clock.now += 600
    assert sessions.find(cookie) is None


def test_there_is_a_bound_to_sessions_and_notices(clock: Clock) -> None:
    sessions = Sessions(b"k" * 32, clock)
    first, second = sessions.begin(CLIENT), sessions.begin(CLIENT)
    assert sessions.find(first)
    for _ in range(MAX_SESSIONS - 1):
        sessions.begin(CLIENT)
    assert sessions.find(second) is None and sessions.find(first), "the one that was idle for longest makes room"
    session = sessions.find(first)
    assert session
    words = [session.leave(FlashMessage("done", "it")) for _ in range(100)]
    assert len(session.flash_messages) <= 10 and session.take(words[-1]) and session.take(words[-1]) is None


def test_a_form_is_bound_to_its_cookie_and_its_server() -> None:
    sessions, other = Sessions(b"k" * 32), Sessions(b"o" * 32)
    one, two = sessions.new_cookie(), sessions.new_cookie()
    assert sessions.accepts(one, sessions.form_token(one))
    assert not sessions.accepts(one, sessions.form_token(two))
    assert not other.is_ours(one) and not other.accepts(one, sessions.form_token(one))
    assert not sessions.accepts(one, "") and not sessions.accepts(one, one.rpartition(".")[2])


def test_signing_out_ends_it_on_the_server(site: Site) -> None:
    browser = Browser(site).sign_in()
    cookie = browser.http.cookies[COOKIE]
    assert browser.get("sign-out").status_code == 405, "a link or an image signs nobody out"
    browser.get()
    assert browser.submit("sign-out").url.endswith("/sign-in")
    browser.http.cookies.clear()
    browser.http.cookies.set(COOKIE, cookie, path=CONSOLE)
    assert browser.get().url.endswith("/sign-in"), "the old cookie is worth nothing"
    audited(site, "signed out")


@pytest.mark.parametrize("change", ["disabled", "removed", "rotated"])
def test_it_ends_with_the_client(site: Site, admin: Browser, change: str) -> None:
    app_key = f"guest-{change}"
    page = admin.submit("clients", app_key=app_key, name="Guest", role="viewer")
    guest = Browser(site).sign_in(app_key, Seen(page).all("input", id="new-secret")[0]["value"])
    assert app_key in guest.get().text
    if change == "disabled":
        admin.submit(f"clients/{app_key}/change", enabled="false")
    elif change == "removed":
        admin.submit(f"clients/{app_key}/remove")
    else:
        admin.submit(f"clients/{app_key}/rotate", keep_old_hours="24")
    assert guest.get().url.endswith("/sign-in")


def test_it_ends_with_the_role(site: Site, admin: Browser) -> None:
    secret = Seen(admin.submit("clients", app_key="demoted", name="D", role="admin")).all("input", id="new-secret")
    guest = Browser(site).sign_in("demoted", secret[0]["value"])
    Tables(site).store.call(lambda: Row.change(f_role=None).where(Row.f_app_key == "demoted").execute())
    wait_until(lambda: guest.get().url.endswith("/sign-in"), what="the session's end")


def test_a_restart_ends_all(plain_site: Site) -> None:
    browser = Browser(plain_site).sign_in()
    plain_site.stop()
    plain_site.start()
    assert browser.get().url.endswith("/sign-in")
    browser.sign_in()
    assert "Overview" in browser.get().text


# -- where to --------------------------------------------------------------------------------------------------------


def test_signing_in_leads_back_to_where_one_wanted_to_go(site: Site) -> None:
    browser = Browser(site)
    assert browser.get("grants/some-grant").url.endswith("/sign-in?next=grants%2Fsome-grant")
    response = browser.post("sign-in?next=grants%2Fsome-grant", app_key=ADMIN, secret=site.secrets[ADMIN])
    assert response.headers["Location"] == f"{CONSOLE}/grants/some-grant"


@pytest.mark.parametrize("following", [
    "//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "..//evil.example",
    "sign-out", "static/console.css", "jobs%0d%0aSet-Cookie:x=1", "@evil.example", "%2f%2fevil.example"])
def test_it_leads_nowhere_else(site: Site, following: str) -> None:
    browser = Browser(site)
    browser.get(f"sign-in?next={following}")
    response = browser.post(f"sign-in?next={following}", app_key=ADMIN, secret=site.secrets[ADMIN],
                            headers={"Origin": f"http://127.0.0.1:{site.port}", "Host": f"127.0.0.1:{site.port}"})
    assert response.headers["Location"] == f"{CONSOLE}/"


def test_a_link_from_another_site_does_not_cost_the_session(site: Site) -> None:
    """A browser sends no cookie with it, so it is asked to come once more, from here."""
    response = Browser(site, **{"Sec-Fetch-Site": "cross-site"}).get("jobs?status=failed")
    assert "Set-Cookie" not in response.headers
    refresh = Seen(response).all("meta", **{"http-equiv": "refresh"})[0]["content"]
    assert refresh == f"0; url={CONSOLE}/jobs?status=failed"


# -- all answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "sign-in", "no-such-page", "jobs/nope", "static/none.js", "sign-out"])
def test_every_answer_is_protected(admin: Browser, path: str) -> None:
    response = admin.get(path)
    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
        "connect-src": "'self'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'"}
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    seen = Seen(response)
    assert "style" not in seen.tags
    assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]
    assert not [1 for _, attributes in seen.elements if "style" in attributes]
    assert all(script["src"].startswith(f"{CONSOLE}/static/") for script in seen.all("script"))


def test_errors_have_their_status(admin: Browser) -> None:
    """FATE Flow's app would make each a 200."""
    assert admin.get("no-such-page").status_code == 404
    assert admin.get("jobs/nope").status_code == 404
    assert admin.http.put(f"{console_of(admin.site)}/jobs", timeout=60).status_code == 405
    assert admin.http.delete(f"{console_of(admin.site)}/static/console.css", timeout=60).status_code == 405
    assert admin.http.head(f"{console_of(admin.site)}/jobs", timeout=60).status_code == 200


def test_own_files_are_kept_by_browsers_as_long_as_they_stay_the_same(admin: Browser) -> None:
    css = next(link["href"] for link in Seen(admin.get()).all("link", rel="stylesheet"))
    response = admin.http.get(f"http://127.0.0.1:{admin.site.port}{css}", timeout=60)
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    old = admin.get("static/console.css?v=0000000000000000")
    assert old.headers["Cache-Control"] == "no-cache"
    assert admin.get("static/console.css", headers={"If-None-Match": old.headers["ETag"]}).status_code == 304
    for path in ("static/uPlot-LICENSE", "static/../assets.py", "static/%2e%2e/assets.py", "static/", "static"):
        assert admin.get(path).status_code == 404, path
