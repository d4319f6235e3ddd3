"""Links in README and docs/ lead somewhere, and README leads to every document."""
import re
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.support.documents import DOCS, DOCUMENTS

LINKS = [(document, target) for document in DOCUMENTS
         for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")) if "://" not in target]


def anchors(document: Path) -> List[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link[0].name}: {link[1]}")
def test_a_link_leads_somewhere(link: Tuple[Path, str]) -> None:
    document, target = link
    path, _, anchor = target.partition("#")
    found = (document.parent / path).resolve() if path else document
    assert found.exists()
    if anchor:
        assert anchor in anchors(found)


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_readme_leads_to_every_document(readme: str) -> None:
    targets = {target for document, target in LINKS if document.name == readme}
    assert {f"docs/{document.name}" for document in DOCS.glob("*.md")} <= targets
