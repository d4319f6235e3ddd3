"""``{parameter}`` placeholders in a source's path: declared, and filled with a request's values."""
import re
from string import Formatter
from typing import Any, Callable, Mapping, Set

from marshmallow import ValidationError

from fate_ext_plugin.errors import InvalidRequestBody, NoData

# A value becomes one part of a path: never a separator, a parent, a hidden file or a wildcard.
SAFE_PART = re.compile(r"[^\W.~-][\w.=@+-]*")


def placeholders(template: str) -> Set[str]:
    """:raises ValueError: a brace is not closed, or not opened."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def check_placeholders(template: str, parameters: Mapping[str, Any]) -> None:
    """Raise marshmallow's ValidationError where a view's parameters without a column are not those of the path."""
    try:
        names = placeholders(template)
    except ValueError as error:
        raise ValidationError(f"path: {error}.", "source") from None
    fills = {name for name, parameter in parameters.items() if parameter.column is None}
    if names - fills:
        raise ValidationError(
            f"The path's placeholders {', '.join(sorted(names - fills))} are no parameters "
            "(declare each, without a column).", "source")
    if fills - names:
        raise ValidationError(
            f"{', '.join(sorted(fills - names))}: neither in the path as {{name}} nor given a column.", "parameters")
    for name in fills:
        if not parameters[name].required and parameters[name].default is None:
            raise ValidationError(f"{name}: fills the path, so it needs required: true or a default.", "parameters")


def require_columns_given(parameters: Mapping[str, Any]) -> None:
    """Raise marshmallow's ValidationError where a parameter of a table names no column."""
    fills = sorted(name for name, parameter in parameters.items() if parameter.column is None)
    if fills:
        raise ValidationError(f"{', '.join(fills)}: a table has no path to fill; give each a column.", "parameters")


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """:raises InvalidRequestBody: a value is no safe part of a path."""
    for name, value in values.items():
        if not SAFE_PART.fullmatch(value):
            raise InvalidRequestBody(
                f"Parameter {name!r}: {value!r} can't be part of a path; use letters, digits and _ . = @ + - only.")
    return template.format(**{name: escape(value) for name, value in values.items()})


def no_data(values: Mapping[str, str]) -> NoData:
    given = ", ".join(f"{name}={value}" for name, value in values.items())
    return NoData(f"No data is stored for {given}." if given else "The source has no files yet.")
