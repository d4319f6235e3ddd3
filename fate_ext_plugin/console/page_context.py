"""One request of somebody who is signed in, as pages see it."""
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode

from fate_ext_plugin.admin.catalog import BY_NAME
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, not_audited
from fate_ext_plugin.auth.client_auth import authorize
from fate_ext_plugin.auth.client_signature import ClientRequest
from fate_ext_plugin.auth.client_store import Client
from fate_ext_plugin.console.form import Form, InvalidForm, Typed, load_form, values_of
from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.util.network import Address

CONSOLE = "/v1/ext/console"


@dataclass(frozen=True)
class PageContext:
    """``path``: what stands in the url's path, by name; ``query``: what stands behind it."""

    context: AdminContext
    client: Client
    address: Address
    path: Mapping[str, str] = field(default_factory=dict)
    query: Typed = field(default_factory=dict)

    def perform(
        self, operation_name: str, typed: Typed, path: Mapping[str, str], audit: Any = not_audited
    ) -> Any:
        """What /v1/ext/admin would answer this client.

        :param audit: as :class:`fate_ext_plugin.admin.operation.Call` has it.
        :raises RoleMissing, Unauthenticated: this client may not do it.
        :raises InvalidForm: what was typed is wrong. :raises ExtError: it can't be done.
        """
        operation = BY_NAME[operation_name]
        authorize(self.client, self._request(operation, path), operation.roles)
        schema = operation.request_schema(self.context.calendar)
        return operation.perform(
            self.context, Call(self.client.app_key, path, audit), values_of(schema, typed),
            lambda: load_form(schema, typed))

    def read(self, operation_name: str, **path: str) -> Any:
        """:meth:`perform` an operation that is told nothing."""
        return self.perform(operation_name, {}, path)

    def search(self, operation_name: str, nothing: Mapping[str, Any]) -> Tuple[Any, Form]:
        """What the query asks for, and the form it came from; ``nothing`` where the query is wrong."""
        try:
            return self.perform(operation_name, self.query, {}), Form(operation_name, self.query)
        except InvalidForm as error:
            return nothing, Form(operation_name, self.query, error)

    def may(self, operation_name: str, **path: str) -> bool:
        operation = BY_NAME[operation_name]
        try:
            authorize(self.client, self._request(operation, path), operation.roles)
        except ExtError:
            return False
        return True

    def when(self, seconds: float) -> str:
        """By the clocks at the site. :param seconds: since 1970."""
        return self.context.calendar.text(int(seconds) * 1000)

    def asked(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def _request(self, operation: Operation, path: Mapping[str, str]) -> ClientRequest:
        route = operation.url(path)
        return ClientRequest(
            full_path=route, headers={}, method=operation.method, address=self.address, route=route)


def url(path: str = "", query: Optional[Typed] = None, **changes: Any) -> str:
    """Of a page. :param changes: of the query; None takes one out."""
    changed: Dict[str, Sequence[str]] = {
        **(query or {}), **{name: [] if value is None else [str(value)] for name, value in changes.items()}}
    pairs = [(name, text) for name, texts in changed.items() for text in texts if text]
    return f"{CONSOLE}/{quote(path)}{'?' if pairs else ''}{urlencode(pairs)}"
