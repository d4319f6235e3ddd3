"""README.zh.md says what README.md says: the same commands, examples, headings and links."""
import re

import pytest

from tests.support.documents import ROOT, blocks

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
OF_BOTH = {
    "blocks of code, without comments": lambda readme: [
        [line.split("  #")[0].rstrip() for line in block.text.splitlines()] for block in blocks(readme)],
    "what stands between backticks": lambda readme: sorted(
        " ".join(code.split()) for code in re.findall(r"`([^`]+)`", readme.read_text("utf-8"))),
    "levels of headings": lambda readme: re.findall(r"^#+", readme.read_text("utf-8"), flags=re.MULTILINE),
    "links": lambda readme: sorted(
        target for target in re.findall(r"\]\(([^)\s]+)\)", readme.read_text("utf-8")) if "README" not in target),
}


@pytest.mark.parametrize("what", OF_BOTH)
def test_both_have_the_same(what: str) -> None:
    assert OF_BOTH[what](CHINESE) == OF_BOTH[what](ENGLISH)


def test_each_leads_to_the_other() -> None:
    assert "(README.zh.md)" in ENGLISH.read_text("utf-8") and "(README.md)" in CHINESE.read_text("utf-8")
