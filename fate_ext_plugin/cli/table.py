"""Plain tables for a terminal."""
import unicodedata
from typing import Any, List, Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, header_line: bool = True) -> str:
    """Columns as wide as their widest cell; None is empty."""
    cells: List[List[str]] = [["" if cell is None else harmless(str(cell)) for cell in row] for row in rows]
    shown = [list(header), *cells] if header_line else cells
    widths = [max((_width(row[i]) for row in shown), default=0) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths)).rstrip() for row in shown)


def harmless(text: str) -> str:
    """Text of a stranger must not steer the terminal, nor break the line."""
    return text if text.isprintable() else "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
