"""Headers that strangers send, read without Werkzeug.

Werkzeug 2.3, which FATE pins, takes minutes for ``name="`` and some backslashes in what has parameters: Content-Type,
Content-Disposition and each Accept header, so ``request.mimetype``, ``request.form``, ``request.accept_languages`` and
the like. The whole interpreter stands still meanwhile. Its readers of cookies and of If-None-Match take a time that
grows with the square of the length. So nothing under our prefix may use them; here each character is looked at once.
"""
import re
from typing import Dict, Tuple

# No header that has a meaning for us is longer.
MAX_LENGTH = 4096
_parameter = re.compile(r';[ \t]*([^\s;="]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))[ \t]*(?=;|\Z)')
_escaped = re.compile(r"\\(.)")


def parse_parameters(header: str) -> Tuple[str, Dict[str, str]]:
    """What stands before the first semicolon, and the parameters after it by their names in lower case, such as
    ``("text/csv", {"charset": "utf-8"})``. What is no parameter is left out; so is all of a header of over
    :data:`MAX_LENGTH` characters."""
    if len(header) > MAX_LENGTH:
        return "", {}
    value, _, _ = header.partition(";")
    parameters = {
        name.lower(): _escaped.sub(r"\1", quoted) if quoted is not None else plain.rstrip()
        for name, quoted, plain in (found.groups() for found in _parameter.finditer(header, len(value)))}
    return value.strip().lower(), parameters


def preferences(header: str) -> Dict[str, float]:
    """What an Accept header names, in lower case, with its weight from 0 to 1."""
    weights: Dict[str, float] = {}
    for item in header[:MAX_LENGTH].split(","):
        value, parameters = parse_parameters(item)
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            continue
        if value and 0 <= weight <= 1:
            weights[value] = weight
    return weights


def cookies(header: str) -> Dict[str, str]:
    """By name; of two with one name the first, which belongs to the longer path. Ours are never quoted."""
    found: Dict[str, str] = {}
    for pair in header[:MAX_LENGTH].split(";"):
        name, _, value = pair.partition("=")
        if name.strip():
            found.setdefault(name.strip(), value.strip())
    return found
