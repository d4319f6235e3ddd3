"""README and docs/, and the blocks of code in them."""
import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("README*.md")), *sorted(DOCS.glob("*.md"))]
#: what a line begins with that is for a shell
PROGRAMS = {"fate-ext", "make", "pip", "curl", "docker", "systemctl", "journalctl", "useradd", "cp", "tar", "source",
            "bash", "flow", "mysqldump"}


@dataclass(frozen=True)
class Block:
    """``text`` is dedented, or what stood between two fences."""

    document: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"

    @cached_property
    def commands(self) -> Optional[List[str]]:
        """One a line, without comments; None where this is not for a shell."""
        lines = [without_comment(line) for line in re.sub(r"\\\n\s*", "", self.text).splitlines()]
        lines = [line for line in lines if line]
        return lines if lines and lines[0].split()[0] in PROGRAMS else None

    @cached_property
    def mapping(self) -> Optional[Mapping[str, Any]]:
        """What YAML reads; None where that is no mapping."""
        try:
            read = yaml.safe_load(self.text)
        except yaml.YAMLError:
            return None
        return read if isinstance(read, dict) else None

    @cached_property
    def python(self) -> bool:
        try:
            return any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(self.text).body)
        except SyntaxError:
            return False


def without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)#\s.*$", "", line).strip()


def blocks(document: Path) -> Iterator[Block]:
    """Those that are fenced, and those of lines that begin with four blanks."""
    guard, start, lines, blank = False, 0, [], True
    for number, line in enumerate([*document.read_text("utf-8").splitlines(), ""], start=1):
        if line.startswith("```"):
            if guard:
                yield Block(document, start, "\n".join(lines))
            guard, start, lines = not guard, number + 1, []
        elif guard:
            lines.append(line)
        elif line.startswith("    ") and (lines or blank):
            start = start if lines else number
            lines.append(line)
        elif lines and line.strip():
            yield Block(document, start, textwrap.dedent("\n".join(lines)).strip("\n"))
            lines = []
        elif lines:
            lines.append("")
        blank = not line.strip()
    if lines:
        yield Block(document, start, textwrap.dedent("\n".join(lines)).strip("\n"))


def inline_commands(document: Path) -> List[str]:
    """What stands between backticks in a sentence and begins with fate-ext."""
    return [" ".join(found.split()) for found in re.findall(r"`(fate-ext [^`]+)`", document.read_text("utf-8"))]
