"""A checkout of a newcomer's own, in a folder whose name is unusual, and make in it."""
import pytest

from tests.support.checkout import Checkout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("newcomer") / "a folder, é 数据")
