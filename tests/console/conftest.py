"""A site with an administrator and a viewer, and what stands between a test and its pages."""
from typing import Iterator

import pytest

from tests.support.browser import ADMIN, CLIENTS, VIEWER, Browser
from tests.support.builder import sites_in
from tests.support.credit import credit_view
from tests.support.site import Site
from tests.support.slow_source import slow_view


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests that leave it usable."""
    with sites_in(tmp_path_factory.mktemp("console")) as make:
        yield make(
            views={"credit": credit_view, "slow": slow_view}, authentication={"party_id": "9999"}, permission={},
            clients=CLIENTS, min_free_bytes=1, trusted_proxies=["127.0.0.1"], allowed_networks=["10.0.3.0/24"])


@pytest.fixture(scope="session")
def _admin(site: Site) -> Browser:
    return Browser(site).sign_in(ADMIN)


@pytest.fixture(scope="session")
def _viewer(site: Site) -> Browser:
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
