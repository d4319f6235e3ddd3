"""A text as a value of a column: by the kind of the column, and strictly."""
import re
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Callable, Dict, Optional
from uuid import UUID

# What a column holds, as far as a text has to become a value of it.
INTEGER, DECIMAL, FLOAT, TEXT, BYTES = "integer", "decimal", "float", "text", "bytes"
BOOLEAN, DATE, TIMESTAMP, UNIQUE_ID = "boolean", "date", "timestamp", "uuid"
ANY = "any"  # SQLite: each row has a type of its own
OTHER = "other"  # compared by its text


def canonical_integer(value: str) -> Optional[int]:
    """Within 64 bits, and written as Python and databases do: neither '007' nor '+7'."""
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", value):
        return None
    number = int(value)
    return number if -2**63 <= number < 2**63 else None


def canonical_float(value: str) -> Optional[float]:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if str(number) == value else None


def canonical_decimal(value: str) -> Optional[Decimal]:
    return Decimal(value) if re.fullmatch(r"-?(0|[1-9][0-9]{0,64})(\.[0-9]{1,64})?", value) else None


def canonical_bytes(value: str) -> Optional[bytes]:
    return bytes.fromhex(value) if re.fullmatch(r"([0-9a-f]{2})*", value) else None


def canonical_uuid(value: str) -> Optional[str]:
    return value if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) else None


# An ID is compared as text, so it becomes a value only if the value's text is the ID again.
ID_PARSERS: Dict[str, Callable[[str], Any]] = {
    INTEGER: canonical_integer, DECIMAL: canonical_decimal, BYTES: canonical_bytes,
    UNIQUE_ID: canonical_uuid,
}


def _integer(value: str) -> int:
    number = int(_matching(r"[+-]?[0-9]{1,20}", value))
    if not -2**63 <= number < 2**63:
        raise ValueError
    return number


def _decimal(value: str) -> Decimal:
    return Decimal(_matching(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?", value))


def _float(value: str) -> float:
    number = float(_matching(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", value))
    if not isfinite(number):
        raise ValueError
    return number


def _boolean(value: str) -> bool:
    return _matching("true|false|1|0", value.lower()) in ("true", "1")


def _matching(pattern: str, value: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ValueError
    return value


# A parameter's value is one of the column's type, so 07 is 7. Each raises ValueError.
FILTER_PARSERS: Dict[str, Callable[[str], Any]] = {
    INTEGER: _integer, DECIMAL: _decimal, FLOAT: _float, BOOLEAN: _boolean, BYTES: bytes.fromhex,
    DATE: date.fromisoformat, TIMESTAMP: datetime.fromisoformat, UNIQUE_ID: lambda value: str(UUID(value)),
}
