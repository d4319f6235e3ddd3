"""Plain tables for a terminal, and JSON for scripts."""
import json
import unicodedata
from typing import Any, List, Mapping, Sequence

from fate_ext_plugin.util.text import escape_control_characters


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, header_line: bool = True) -> str:
    """Columns as wide as their widest cell; None is empty."""
    cells: List[List[str]] = [
        ["" if cell is None else escape_control_characters(str(cell)) for cell in row] for row in rows]
    shown = [list(header), *cells] if header_line else cells
    widths = [max((_width(row[i]) for row in shown), default=0) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths)).rstrip() for row in shown)


def pairs(found: Mapping[str, Any]) -> str:
    """Names and values, a line each."""
    return table(["", ""], [
        [key, ", ".join(map(str, value)) if isinstance(value, list) else value] for key, value in found.items()],
        header_line=False)


def as_json_text(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


def _width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
