"""JSON that others wrote."""
import re
from typing import Any, Callable

from fate_ext_plugin.errors import InvalidRequestBody

# Python ends what is nested too deep wherever it happens to be, in a log line, for one, and Python 3.8 ends as a whole.
# FATE's own requests are not nested deeper than 12.
MAX_DEPTH = 100
_token = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


def parse_json(decode: Callable[[str], Any], text: str, what: str) -> Any:
    """What ``decode`` makes of ``text``.

    :raises InvalidRequestBody: ``what`` is not JSON, or is nested deeper than :data:`MAX_DEPTH`.
    """
    # Counting is fast, and enough for nearly all that comes.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(text):
        raise InvalidRequestBody(f"{what} is nested too deeply, over {MAX_DEPTH} levels.")
    try:
        return decode(text)
    except ValueError as error:
        raise InvalidRequestBody(f"{what} is not valid JSON: {error}.") from None


def _is_deep(text: str) -> bool:
    depth, in_string = 0, False
    for found in _token.finditer(text):
        token = found.group()
        if token == '"':
            in_string = not in_string
        elif not in_string and token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif not in_string and token in "]}":
            depth -= 1
    return False
