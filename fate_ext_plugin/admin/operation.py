"""One thing an operator can do, and all that the doors need to know of it."""
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Type

from marshmallow import Schema

from fate_ext_plugin.admin.desk import Desk
from fate_ext_plugin.auth.clients import ADMIN, ROLES
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.permission import CalendarSchema


@dataclass(frozen=True)
class Call:
    """A request that was let in. ``who``: the app key of who makes it, or the user of this machine.

    ``said``: as the operation's schema loads it; ``path``: what stands in the path, by name.
    """

    who: str
    said: Any
    path: Mapping[str, str]


@dataclass(frozen=True)
class Operation:
    """``path`` as in Flask, behind /v1/ext/admin; ``says``: the schema of the query of a GET, else of the body.

    ``answer``: the schema that its outcome is dumped with, so that nothing else, such as a secret, can be shown.
    ``changes``: only the role ``admin`` may do it.
    """

    name: str
    method: str
    path: str
    run: Callable[[Desk, Call], Any]
    answer: Type[Schema]
    summary: str
    says: Type[CalendarSchema] = schemas.Nothing
    changes: bool = True

    @property
    def roles(self) -> List[str]:
        return [ADMIN] if self.changes else list(ROLES)

    def perform(self, desk: Desk, call: Call) -> Any:
        """Plain data, fit for JSON.

        :raises ExtError: it can't be done, with the reason for whoever asked.
        """
        return self.answer().dump(self.run(desk, call))


def look(
    name: str, path: str, run: Callable[[Desk, Call], Any], answer: Type[Schema], summary: str,
    says: Optional[Type[CalendarSchema]] = None,
) -> Operation:
    """An operation that changes nothing."""
    return Operation(name, "GET", path, run, answer, summary, says or schemas.Nothing, changes=False)
