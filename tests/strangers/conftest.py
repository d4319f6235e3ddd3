"""Sites as a stranger on an allowed network sees them, who has neither a token nor an app key."""
from pathlib import Path
from typing import Callable, Iterator, List

import pytest

from tests.support.site import Site
from tests.support.stranger import make


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """It waits an hour for a client: what a test sees it close is not closed for having waited."""
    site = make(tmp_path_factory.mktemp("alone"), **{"apps.TIMEOUT_SECONDS": 3600, "server.TIMEOUT_SECONDS": 3600})
    yield site.start()
    site.stop()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make(tmp_path_factory.mktemp("mounted"), True, **{"apps.TIMEOUT_SECONDS": 3600})
    yield site.start()
    site.stop()


@pytest.fixture(params=["alone", "mounted"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def make_impatient(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start a site with other constants of the server."""
    sites: List[Site] = []

    def start(mounted: bool = False, **constants: object) -> Site:
        sites.append(make(tmp_path / str(len(sites)), mounted, **constants))
        return sites[-1].start()

    (tmp_path / "0").mkdir()
    yield start
    for site in sites:
        site.stop()
