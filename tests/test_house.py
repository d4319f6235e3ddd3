"""What several test files need is in tests/support, or beside them in a module named for what it holds."""
import ast
from pathlib import Path
from typing import Iterator

import pytest

TESTS = Path(__file__).parent
MODULES = sorted(TESTS.rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    """The full name of each module, or of what is taken out of it."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not for the tests: they move"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(TESTS)))
def test_nothing_is_imported_from_a_conftest_or_a_test_file(module: Path) -> None:
    for name in imported(module):
        package, *parts = name.split(".")
        private = [part for part in parts if part == "conftest" or part.startswith("test_")]
        assert package != "tests" or not private, name
