"""The console, mounted in a real FATE Flow, whose app answers errors with HTTP 200 and has sessions of its own."""
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fate_flow.features import section_of
from tests.fate_flow.flow import Flow, MakeFlow
from tests.fate_flow.switches import CONF, KEYS
from tests.support.browser import PAGES, Browser, Seen, console_of
from tests.support.site import wait_until


@pytest.fixture(scope="module")
def flow(make_flow: MakeFlow, features: Path) -> Flow:
    """With FATE Flow's client authentication on, which must let browsers pass to the console's own."""
    flow = make_flow(section_of(features, authentication={}, permission={}), conf=CONF, start=False)
    flow.keys = KEYS
    return flow.start()


@pytest.fixture(scope="module")
def admin(flow: Flow) -> Any:
    printed = flow.fate_ext("client", "add", "console-ops", "--name", "Operations", "--role", "admin")
    secret, = (line.strip() for line in printed.splitlines() if line.startswith("    "))
    site = SimpleNamespace(address=f"http://127.0.0.1:{urlsplit(flow.url).port}", secrets={"console-ops": secret})
    browser = Browser(site)  # type: ignore[arg-type]

    def known() -> bool:
        browser.get("sign-in")
        return browser.post("sign-in", app_key="console-ops", secret=secret).status_code == 303

    wait_until(known, what="the server to know the client")
    browser.get()
    return browser


@pytest.mark.parametrize("path", PAGES)
def test_every_page(admin: Browser, path: str) -> None:
    response = admin.get(path)
    assert response.status_code == 200 and "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "console-ops" in Seen(response).text


def test_a_form_is_read_and_carried_out(admin: Browser) -> None:
    admin.get("grants")
    page = Seen(admin.submit("grants", party="10000", name="by-hand", components="hetero_lr", note="说明 <b>"))
    assert "Grant by-hand is added." in page.text
    assert "说明 <b>" in Seen(admin.get("grants/by-hand")).text
    assert "is removed" in Seen(admin.submit("grants/by-hand/remove")).text


def test_errors_have_their_status(admin: Browser) -> None:
    assert admin.get("jobs/none").status_code == 404
    assert admin.get("no-such-page").status_code == 404
    assert admin.http.put(f"{console_of(admin.site)}/jobs", timeout=30).status_code == 405
    admin.get("clients")
    assert admin.post("clients", form_token="forged").status_code == 403
    assert admin.post("clients", app_key="!", name="x").status_code == 400
    assert admin.get("static/console.css").headers["Content-Type"] == "text/css; charset=utf-8"


def test_strangers_sign_in_first(admin: Browser) -> None:
    stranger = Browser(admin.site)
    assert stranger.get("grants").url.endswith("/sign-in?next=grants")
    assert stranger.post("sign-in", app_key="console-ops", secret="wrong").status_code == 401
