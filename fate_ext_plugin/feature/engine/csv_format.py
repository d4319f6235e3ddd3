"""The text that FATE reads as a table (contract section 2), said once for SQL and once for Python rows.

A header line, then ``id,<features>``. FATE splits each line at every comma after ``rstrip()`` and knows no quoting,
so a value may hold neither comma, quote nor line break, and the last one may not end in white space.
"""
import re
from decimal import Decimal
from typing import Any, Optional, Sequence

from fate_ext_plugin.errors import InvalidFeature

MISREAD = r'[,"\r\n]'
# What str.rstrip() takes away: FATE would shorten the last value of a line. For RE2 as for Python's re.
STRIPPED = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$"
REPLACEMENT = "_"

_misread = re.compile(MISREAD)
_stripped = re.compile(STRIPPED[:-1] + r"\Z")


def misread_error(column: str, identifier: str, value: str) -> InvalidFeature:
    return InvalidFeature(
        f"Column {column!r} of ID {identifier[:80]!r} holds {value[:80]!r}, which FATE would misread: it splits at "
        "every comma, knows no quoting and strips white space from a line's end. Clean the source, or set the view's "
        "misread_values to replace.")


def misread_id_error(identifier: str) -> InvalidFeature:
    return InvalidFeature(
        f"ID {identifier[:80]!r} holds a comma or a quote, which FATE would misread in the feature table. "
        "Clean the ID table.")


def duplicate_error(identifier: str) -> InvalidFeature:
    return InvalidFeature(
        f"The source has two rows or more for ID {identifier[:80]!r}. Make the ID unique, add a parameter that chooses "
        "one row, or set the view's duplicate_rows to first.")


def text(value: Any) -> Optional[str]:
    """A Python value as FATE's text; None for NULL. Floats are shortest round-trip, booleans 1/0."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value)


class LineWriter:
    """Formats one row of Python values, or says why FATE would misread it."""

    def __init__(self, columns: Sequence[str], null_value: str, replace: bool) -> None:
        self._columns = columns
        self._null_value = null_value
        self._replace = replace

    def header(self, id_name: str) -> str:
        return ",".join((id_name, *self._columns)) + "\n"

    def line(self, identifier: str, values: Sequence[Any]) -> str:
        """``values`` in the order of the columns.

        :raises InvalidFeature: names the column and the ID.
        """
        if _misread.search(identifier):
            raise misread_id_error(identifier)
        texts = [self._null_value if value is None else text(value) or "" for value in values]
        line = ",".join((identifier, *texts))
        # One look at the whole line decides for nearly every row.
        if line.count(",") == len(texts) and not line[-1].isspace() and '"' not in line \
                and "\n" not in line and "\r" not in line:
            return line + "\n"
        return ",".join((identifier, *(self._clean(i, identifier, t) for i, t in enumerate(texts)))) + "\n"

    def _clean(self, index: int, identifier: str, value: str) -> str:
        last = index == len(self._columns) - 1
        if not _misread.search(value) and not (last and _stripped.search(value)):
            return value
        if not self._replace:
            raise misread_error(self._columns[index], identifier, value)
        cleaned = _misread.sub(REPLACEMENT, value)
        return _stripped.sub(REPLACEMENT, cleaned) if last else cleaned
