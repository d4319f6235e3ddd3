"""docs/settings.md and docs/errors.md say what the code says; `make docs` brings them up to date."""
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fate_ext_plugin import errors
from fate_ext_plugin.errors import ExtError
from tests.support.documents import DOCS, ROOT

GENERATED = ["settings.md", "errors.md"]
ERRORS = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, ExtError)]


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    for name in GENERATED:
        shutil.copy(str(DOCS / name), str(folder))
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_docs"), str(folder)], cwd=ROOT, check=True, timeout=60)
    return folder


@pytest.mark.parametrize("name", GENERATED)
def test_the_tables_are_up_to_date(made_anew: Path, name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == (made_anew / name).read_text("utf-8"), "run `make docs`"


def test_each_error_has_a_code_of_its_own_that_begins_with_its_status() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    assert [error.__name__ for error in ERRORS if error.code // 100 != error.status] == []
