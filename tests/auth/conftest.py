import pytest

from fate_ext_plugin.db.base import Store
from tests.support.federation import BODY, Federation
from tests.support.keys import private_pem
from tests.support.recordings import vectors


@pytest.fixture
def other_pem() -> str:
    """A private key that no vector knows."""
    return private_pem(2048)


@pytest.fixture
def federation(store: Store, other_pem: str) -> Federation:
    return Federation(store, vectors("1.11.2")["private_key"], other_pem)


@pytest.fixture
def signed(federation: Federation) -> str:
    """The header of one request, with :data:`BODY`."""
    return federation.guest.sign("9999", BODY)
