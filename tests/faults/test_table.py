"""docs/faults.md: each of its rows is a test."""
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs" / "faults.md").read_text("utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| what breaks")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_each_row_names_an_existing_test(row: str) -> None:
    *_, named, end = row.split("|")
    name = re.fullmatch(r" `(tests/[\w/]+\.py)::(test_\w+)` ", named)
    assert name and end == "", named
    assert re.search(rf"^def {name.group(2)}\(", (REPOSITORY / name.group(1)).read_text("utf-8"), re.MULTILINE)


def test_each_test_of_a_fault_has_its_row() -> None:
    tests = Path(__file__).resolve().parents[1]
    for path in [*sorted((tests / "faults").glob("test_*.py")), tests / "fate_flow" / "test_faults.py"]:
        if path != Path(__file__).resolve():
            for test in re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE):
                assert f"`{path.relative_to(REPOSITORY)}::{test}`" in TEXT, test
