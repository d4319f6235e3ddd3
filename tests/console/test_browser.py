"""The console in a real browser, headless Chromium: what scripts do, what it looks like on a phone and in the dark, who
is kept out by it, and whether its policy lets all of it through.

Needs chromium and the packages playwright and axe-playwright-python, which have no newer version for Python 3.8: there
the rest of the tests have to do.
"""
import sys
from typing import Any, Callable, Dict, Iterator, List

import pytest

from tests.support import programs
from tests.support.api_reader import ApiReader
from tests.support.browser import ADMIN, PAGES, VIEWER, Browser, console_of
from tests.support.site import Site, wait_until
from tests.support.slow_source import go, wait_started

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
OPEN_FORMS = """[...document.querySelectorAll("details.form"), ...document.querySelectorAll("details.figures")]
    .slice(0, 2).forEach(one => { one.open = true; })"""
OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if sys.version_info < (3, 9):
        pytest.skip("playwright is for Python 3.9 and later")
    programs.need_package("playwright", "playwright axe-playwright-python")
    executable = programs.find("chromium", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root may use no sandbox; nothing but our own pages is loaded.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cookies(site: Site) -> Dict[str, Any]:
    """Of somebody who signed in, by app key: signing in again for each test would take a second."""
    return {app_key: Browser(site).sign_in(app_key).http.cookies["fate_ext_console"] for app_key in (ADMIN, VIEWER)}


@pytest.fixture
def said() -> List[str]:
    """What browsers said on their consoles, which is where a broken policy shows, and requests that left the host."""
    return []


@pytest.fixture
def open_page(chromium: Any, site: Site, cookies: Dict[str, Any], said: List[str]) -> Iterator[OpenPage]:
    """A page of a browser of its own. Nothing may be said that a test does not expect."""
    contexts: List[Any] = []

    def open_page(path: str = "", who: str = ADMIN, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": DESK, "locale": "en-US", "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(60_000)
        if who:
            context.add_cookies([{"name": "fate_ext_console", "value": cookies[who], "domain": "127.0.0.1",
                                  "path": "/v1/ext/console", "httpOnly": True, "sameSite": "Strict"}])
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(f"left the host: {request.url}")
                if not request.url.startswith((console_of(site), "data:")) else None)
        page.goto(f"{console_of(site)}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def widest(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.fixture(scope="module")
def data(site: Site) -> str:
    """Something on each page; returns the ID of a job that failed."""
    reader = ApiReader(site)
    reader.features(["u1", "u2", "nobody"], view="credit")
    job_id = reader.job(["u1"], view="slow", do="raise:NoData")
    reader.status(job_id)
    admin = Browser(site).sign_in()
    admin.submit("grants", party="10000", name="shown-grant", components="hetero_lr\nreader", hours="08:00-18:00",
                 datasets="experiment/a_rather_long_name_of_a_table_*", max_uses_per_day="5", note="as agreed")
    return job_id


# -- what one does ---------------------------------------------------------------------------------------------------


def test_signing_in_and_out(open_page: OpenPage, site: Site) -> None:
    page = open_page("jobs", who="")
    assert page.title().startswith("Sign in")
    page.get_by_label("App key").fill(ADMIN)
    page.get_by_label("Secret").fill(site.secrets[ADMIN])
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/jobs")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.go_back()
    page.wait_for_url("**/sign-in*")


def test_a_job_is_watched_to_its_end(open_page: OpenPage, site: Site) -> None:
    """Without a reload: what runs shows its progress, and what it ended with."""
    job_id = ApiReader(site).job(["watched"], view="slow", do="progress:40")
    wait_started(site.folder, "watched")
    jobs, job = open_page("jobs"), open_page(f"jobs/{job_id}")
    for page in (jobs, job):
        page.evaluate("window.stayed = true")
    row = jobs.locator("tr", has_text=job_id[-8:])
    row.get_by_text("40 %").wait_for()
    jobs.get_by_role("status").get_by_text("Waiting or running on this page: 1").wait_for()
    job.get_by_text("40 %").first.wait_for()
    link = row.get_by_role("link")
    link.focus()
    go(site.folder)
    row.get_by_text("success").wait_for()
    job.locator(".timeline .end.success").wait_for()
    assert jobs.evaluate("window.stayed") and job.evaluate("window.stayed")
    assert link.evaluate("element => element === document.activeElement"), "the focus stayed where it was"
    (site.folder / "go").unlink()


def test_a_job_is_canceled(open_page: OpenPage, site: Site) -> None:
    job_id = ApiReader(site).job(["canceled"], view="slow", do="wait")
    wait_started(site.folder, "canceled")
    page = open_page(f"jobs/{job_id}")
    page.get_by_text("Cancel", exact=True).click()
    question = page.get_by_text("The FATE job that waits for it fails.")
    assert question.is_visible()
    page.keyboard.press("Escape")
    assert question.is_hidden()
    page.get_by_text("Cancel", exact=True).press("Enter")
    page.get_by_role("button", name="Yes: Cancel").click()
    page.get_by_text("is canceled.").wait_for()
    assert ApiReader(site).status(job_id)["status"] == "canceled"


def test_a_grant_is_added_and_explain_changes(open_page: OpenPage) -> None:
    page = open_page("explain")
    page.get_by_label("Party *").fill("10008")
    page.get_by_label("Components").fill("hetero_lr")
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("No grant names it.", exact=True).wait_for()
    page.get_by_role("link", name="Grants").click()
    page.get_by_text("Add a grant").first.click()
    form = page.locator("#add")
    form.get_by_label("Party *").fill("10008")
    form.get_by_label("Components").fill("hetero_*")
    form.get_by_label("Mon").check()
    for day in ("Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        form.get_by_label(day).check()
    form.get_by_role("button", name="Add a grant").click()
    page.get_by_text("is added.").wait_for()
    page.get_by_role("link", name="Explain").first.click()
    page.get_by_label("Party *").fill("10008")
    page.get_by_label("Components").fill("hetero_lr")
    page.get_by_role("button", name="Explain").click()
    page.locator(".items .yes").get_by_text("Granted by").wait_for()


def test_a_new_secret_is_copied(open_page: OpenPage) -> None:
    page = open_page("clients", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("Add a client").first.click()
    form = page.locator("#add")
    form.get_by_label("App key *").fill("copied-client")
    form.get_by_label("Name *").fill("Copied")
    form.get_by_role("button", name="Add a client").click()
    secret = page.get_by_label("Secret of copied-client").input_value()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret and len(secret) == 43
    page.reload()
    assert page.locator("#new-secret").count() == 0


def test_a_server_that_does_not_answer_is_told(open_page: OpenPage, said: List[str]) -> None:
    page = open_page("jobs")
    page.route("**/jobs", lambda route: route.abort())
    page.get_by_text("No answer from the server").wait_for()
    page.unroute("**/jobs")
    page.get_by_role("status").get_by_text("Waiting or running on this page").wait_for()
    assert set(said) == {"error: Failed to load resource: net::ERR_FAILED"}
    said.clear()


def test_a_session_that_ends_elsewhere_leads_to_sign_in(
    open_page: OpenPage, site: Site, said: List[str]
) -> None:
    other = Browser(site).sign_in()
    page = open_page("sign-in", who="")
    page.context.add_cookies([{"name": "fate_ext_console", "value": other.http.cookies["fate_ext_console"],
                               "domain": "127.0.0.1", "path": "/v1/ext/console"}])
    page.goto(f"{console_of(site)}/jobs")
    other.submit("sign-out")
    page.wait_for_url("**/sign-in?next=jobs")
    assert said == ["error: Failed to load resource: the server responded with a status of 401 (UNAUTHORIZED)"]
    said.clear()


def test_a_link_from_another_site_keeps_the_session(open_page: OpenPage, site: Site) -> None:
    page = open_page("jobs")
    page.goto(f"data:text/html,<a href='{console_of(site)}/grants'>there</a>")
    page.get_by_text("there").click()
    page.wait_for_url("**/console/grants")
    page.get_by_role("heading", name="Grants").wait_for()


def test_all_works_without_scripts(open_page: OpenPage, site: Site, data: str) -> None:
    page = open_page("", java_script_enabled=False, viewport=PHONE)
    page.get_by_text("Figures").first.click()
    assert page.locator("table").first.is_visible()
    assert page.get_by_role("link", name="Clients").is_hidden()
    page.get_by_label("Menu").press("Space")
    page.get_by_role("link", name="Clients").click()
    page.get_by_role("heading", name="Clients").first.wait_for()
    page.get_by_text("Add a client").first.click()
    page.locator("#add").get_by_label("App key *").fill("no-script")
    page.locator("#add").get_by_label("Name *").fill("No script")
    page.get_by_role("button", name="Add a client").click()
    page.get_by_text("Client no-script is added.").wait_for()


# -- what it looks like ----------------------------------------------------------------------------------------------


def test_charts_are_drawn(open_page: OpenPage, data: str) -> None:
    page = open_page("?span=hour")
    page.locator(".plot canvas").nth(4).wait_for()
    drawn = page.evaluate("""[...document.querySelectorAll(".plot canvas")].map(canvas => new Set(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size)""")
    assert len(drawn) == 5 and min(drawn) > 8, "an empty canvas has one value"
    box = page.locator(".plot").first.bounding_box()
    read = []
    for left in range(20, 200, 8):  # of the last minutes, one is the job's
        page.mouse.move(box["x"] + box["width"] - left, box["y"] + 60)
        read.append(page.locator(".readout").first.inner_text())
    assert any("success" in text for text in read), read
    image = "document.querySelector('.plot canvas').toDataURL()"
    by_day = page.evaluate(image)
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: page.evaluate(image) != by_day, what="the charts in the dark")


def test_no_page_scrolls_sideways(open_page: OpenPage, site: Site, data: str, said: List[str]) -> None:
    """On a phone, nor on anything larger."""
    page = open_page("sign-in", viewport=PHONE)
    wide = []
    for path in [*PAGES, f"jobs/{data}", "grants/shown-grant", "no-such-page", "sign-in"]:
        page.set_viewport_size(PHONE)
        page.goto(f"{console_of(site)}/{path}")
        page.evaluate(OPEN_FORMS)
        for width in (PHONE["width"], 768, 1081):
            page.set_viewport_size({"width": width, "height": 800})
            if widest(page) > width:
                wide.append((path, width, widest(page)))
    assert not wide
    assert len(said) == 1 and "404" in said.pop()


def test_chinese(open_page: OpenPage, data: str) -> None:
    page = open_page("", locale="zh-CN")
    assert page.title().startswith("概览")
    page.get_by_role("link", name="授权", exact=True).click()
    page.get_by_role("heading", name="授权", exact=True).wait_for()
    page.get_by_role("link", name="English").click()
    page.get_by_role("heading", name="Grants").wait_for()
    page.reload()
    assert page.title().startswith("Grants"), "it stays"


def test_everybody_can_use_it(open_page: OpenPage, site: Site, data: str) -> None:
    """axe-core finds nothing serious: names, labels, order, and contrast by day and by night."""
    from axe_playwright_python.sync_playwright import Axe

    page = open_page("sign-in")
    serious = []
    for path in ["sign-in", *PAGES, f"jobs/{data}", "grants/shown-grant"]:
        page.goto(f"{console_of(site)}/{path}")
        page.evaluate(OPEN_FORMS)
        page.emulate_media(color_scheme="light")
        by_day = Axe().run(page)
        page.emulate_media(color_scheme="dark")
        by_night = Axe().run(page, options={"runOnly": ["color-contrast"]})
        serious += [f"{path} {one['id']}: {node['html'][:200]} {node['failureSummary']}"
                    for found in (by_day, by_night) for one in found.response["violations"]
                    for node in one["nodes"] if one["impact"] in ("serious", "critical")]
    assert not serious


def test_the_keyboard_reaches_everything_and_shows_where_it_is(open_page: OpenPage, data: str) -> None:
    page = open_page("grants")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    while "<body" not in seen:
        page.keyboard.press("Tab")
        outline, text = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineStyle, document.activeElement.outerHTML]")
        seen.append(text[:5] if text.startswith("<body") else text)
        assert outline != "none" or text.startswith("<body"), text
    assert len(seen) >= 6 and "Explain" in seen[0] and "Add a grant" in seen[-2]
