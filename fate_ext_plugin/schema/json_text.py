"""JSON that others wrote."""
from typing import Any, Callable

from fate_ext_plugin.errors import InvalidRequestBody

# Python ends what is nested too deep wherever it happens to be, in a log line, for one. FATE's own requests are not
# nested deeper than 12.
MAX_DEPTH = 100


def parse_json(decode: Callable[[str], Any], text: str, what: str) -> Any:
    """What ``decode`` makes of ``text``.

    :raises InvalidRequestBody: ``what`` is not JSON, or is nested deeper than :data:`MAX_DEPTH`.
    """
    try:
        value = decode(text)
        # Counting is fast, and enough for nearly all that comes.
        deep = text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value)
    except RecursionError:
        deep = True
    except ValueError as error:
        raise InvalidRequestBody(f"{what} is not valid JSON: {error}.") from None
    if deep:
        raise InvalidRequestBody(f"{what} is nested too deeply, over {MAX_DEPTH} levels.")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level if isinstance(outer, (dict, list))
                 for inner in (outer.values() if isinstance(outer, dict) else outer)]
        if not level:
            return False
    return True
