"""One thing an operator can do, and all that the doors need to know of it."""
import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type

from marshmallow import Schema, ValidationError

from fate_ext_plugin.admin import ADMIN_PREFIX
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.auth.client_store import ADMIN, ROLES
from fate_ext_plugin.errors import ExtError, InvalidRequestBody
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.permission import CalendarSchema
from fate_ext_plugin.settings.load import explain


def not_audited(allowed: bool, reason: str, payload: Optional[Mapping[str, Any]]) -> None:
    """Of a page that reads several things to show one."""


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    :param who: the app key of who makes it, or the user of this machine.
    :param path: what stands in the path, by name.
    :param audit: puts the outcome into the audit log: whether it was done, why not, and what was asked for.
    :param over_http: False for a command on this machine.
    :param payload: what the operation's request schema loaded.
    """

    who: str
    path: Mapping[str, str]
    audit: Callable[[bool, str, Optional[Mapping[str, Any]]], None] = not_audited
    over_http: bool = True
    payload: Any = None


@dataclass(frozen=True)
class Operation:
    """``path`` as in Flask, behind /v1/ext/admin; ``request_schema``: of the query of a GET, else of the body.

    ``response_schema``: what its outcome is dumped with, so that nothing else, such as a secret, can be shown.
    ``changes``: only the role ``admin`` may do it, and the audit log keeps the payload without ``redacted_fields``.
    """

    name: str
    method: str
    path: str
    run: Callable[[AdminContext, Call], Any]
    response_schema: Type[Schema]
    summary: str
    request_schema: Type[CalendarSchema] = schemas.Nothing
    changes: bool = True
    redacted_fields: Tuple[str, ...] = ()

    @property
    def roles(self) -> List[str]:
        return [ADMIN] if self.changes else list(ROLES)

    def url(self, path: Mapping[str, str]) -> str:
        """Path of a request for it. :param path: what stands in it, by name."""
        return ADMIN_PREFIX + re.sub("<([a-z_]+)>", lambda match: path[match.group(1)], self.path)

    def load(self, context: AdminContext, values: Any) -> Any:
        """The payload, checked. Of a query every value is text.

        :raises InvalidRequestBody: names each wrong key, what was found and what is allowed.
        """
        schema = self.request_schema(context.calendar)
        try:
            return schema.load(values)
        except ValidationError as error:
            subject = self.name.partition(".")[0]
            reasons = explain(error.normalized_messages(), values, schema, [subject])
            raise InvalidRequestBody("; ".join(reasons)) from None

    def audited_payload(self, values: Any) -> Optional[Dict[str, Any]]:
        """What the audit log keeps of what was asked for: of a key that is not known nobody knows whether it is a
        secret."""
        if not self.changes or not isinstance(values, dict):
            return None
        known = self.request_schema(Calendar()).fields.keys() - set(self.redacted_fields)
        return {key: value for key, value in values.items() if key in known} or None

    def perform(
        self, context: AdminContext, call: Call, values: Any, load: Optional[Callable[[], Any]] = None
    ) -> Any:
        """Check what is asked for, do it, and audit the outcome.

        :param values: what is asked for, as it came.
        :param load: makes the payload of it; default: :meth:`load`.
        :return: plain data, fit for JSON.
        :raises ExtError: it can't be done, with the reason for whoever asked.
        """
        kept = self.audited_payload(values)
        try:
            payload = load() if load else self.load(context, values)
            outcome = self.response_schema().dump(self.run(context, replace(call, payload=payload)))
        except Exception as error:
            call.audit(False, reason_of(error), kept)
            raise
        call.audit(True, "ok", kept)
        return outcome


def reason_of(error: BaseException) -> str:
    """A few words for the audit log."""
    code = f"code {error.code}" if isinstance(error, ExtError) else "error"
    return str(getattr(error, "reason", code))


def read(
    name: str, path: str, run: Callable[[AdminContext, Call], Any], response_schema: Type[Schema], summary: str,
    request_schema: Optional[Type[CalendarSchema]] = None,
) -> Operation:
    """An operation that changes nothing."""
    return Operation(name, "GET", path, run, response_schema, summary, request_schema or schemas.Nothing, changes=False)
