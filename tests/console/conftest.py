"""A site with an administrator and a viewer, and what stands between a test and its pages."""
from typing import Iterator

import pytest

from tests.support.browser import ADMIN, VIEWER, Browser, ConsoleSite, console_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    """One server for all tests that leave it usable."""
    site = console_site(tmp_path_factory.mktemp("console"))
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="session")
def _admin(site: ConsoleSite) -> Browser:
    return Browser(site).sign_in(ADMIN)


@pytest.fixture(scope="session")
def _viewer(site: ConsoleSite) -> Browser:
    return Browser(site).sign_in(VIEWER)


@pytest.fixture
def admin(_admin: Browser) -> Browser:
    """The administrator, signed in, with the overview before them."""
    _admin.get()
    return _admin


@pytest.fixture
def viewer(_viewer: Browser) -> Browser:
    _viewer.get()
    return _viewer
