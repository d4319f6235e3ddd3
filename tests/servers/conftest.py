from typing import Iterator

import pytest

from tests.support.cluster import Cluster, make_cluster


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Each server has its files for itself."""
    yield from make_cluster(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All files lie in a folder that both see."""
    folder = tmp_path_factory.mktemp("together")
    yield from make_cluster(folder, shared_dir=str(folder / "shared"))
