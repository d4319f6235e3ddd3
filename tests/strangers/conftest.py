"""Sites as a stranger on an allowed network sees them, who has neither a token nor an app key."""

import pytest

from tests.support.builder import MakeSite
from tests.support.site import Site
from tests.support.stranger import SITE


@pytest.fixture(scope="module")
def alone(make_shared_site: MakeSite) -> Site:
    """It waits an hour for a client: what a test sees it close is not closed for having waited."""
    return make_shared_site("alone", **SITE, constants={
        "apps.blueprint.TIMEOUT_SECONDS": 3600, "server.TIMEOUT_SECONDS": 3600})


@pytest.fixture(scope="module")
def mounted(make_shared_site: MakeSite) -> Site:
    return make_shared_site("mounted", **SITE, mounted=True, constants={"apps.blueprint.TIMEOUT_SECONDS": 3600})


@pytest.fixture(params=["alone", "mounted"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]
