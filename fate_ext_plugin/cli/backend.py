"""Where the commands of administration are carried out: here, or by a server over REST. The commands do not know."""
from typing import Any, Dict, Iterator, Mapping, Optional

MAX_PAGE = 1000
Payload = Mapping[str, Any]


class Backend:
    """Performs operations of :mod:`fate_ext_plugin.admin.catalog` by name."""

    #: whether this machine's own files can be reached, too
    here = False

    def perform(self, name: str, payload: Optional[Payload] = None, /, **path: str) -> Any:
        """The operation's outcome, as plain data.

        :param payload: what the operation's request schema reads; None stands for what is left out, also as a value.
        :param path: what stands in the operation's path.
        :raises ExtError: it can't be done.
        """
        raise NotImplementedError

    def pages(self, name: str, key: str, limit: Optional[int] = None, **payload: Any) -> Iterator[Any]:
        """All that a listing with pages has under ``key``, or the first ``limit``."""
        number, left = 1, limit
        size = min(MAX_PAGE, limit or MAX_PAGE)
        while left is None or left > 0:
            found = self.perform(name, {**payload, "page": number, "page_size": size})[key]
            yield from found[:left]
            if len(found) < size:
                return
            number += 1
            left = None if left is None else left - size


def spoken(payload: Optional[Payload]) -> Dict[str, Any]:
    return {key: value for key, value in (payload or {}).items() if value is not None}


def as_query(values: Payload) -> Dict[str, str]:
    """As a url holds them."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}
