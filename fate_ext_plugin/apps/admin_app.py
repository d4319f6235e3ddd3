"""/v1/ext/admin: jobs, views, clients, keys, grants, decisions, settings and health, for people and their programs.

Whoever calls needs an address in an allowed network, and a client with a role that signs each request as FATE's clients
do. No capability token: a signature proves more, and no url of these is registered anywhere.

FATE's signed text lacks the method, and what is no JSON of the body. So here the method stands in the signed query, as
``method=DELETE``, unless it is GET; the whole body is signed, and is JSON; and a path holds nothing whose decoded form
another path may have. What is captured on its way can be delivered once, as it is, or not at all.
"""
import json
import re
from functools import partial
from typing import Any, Dict, Mapping, Optional

from flask import Response, request

from fate_ext_plugin.admin.catalog import OPERATIONS
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation
from fate_ext_plugin.apps.authentication_app import read_body
from fate_ext_plugin.apps.blueprint import ServiceBlueprint, trust_caller
from fate_ext_plugin.apps.headers import parse_parameters
from fate_ext_plugin.auth.client_auth import ADMIN_CHECK
from fate_ext_plugin.auth.client_signature import ClientRequest
from fate_ext_plugin.auth.path import is_plain
from fate_ext_plugin.errors import Forbidden, InvalidRequestBody, MethodNotAllowed, Unauthenticated, UnsupportedBody
from fate_ext_plugin.schema.authentication import parse
from fate_ext_plugin.util.network import Address

METHOD_ARGUMENT = "method"
MAX_BODY_BYTES = 1 << 20
# All that names of jobs, views, clients, keys and grants are made of.
_letters = re.compile(r"[A-Za-z0-9/._~:-]+")


def add_admin_services(blueprint: ServiceBlueprint, context: AdminContext) -> None:
    by_path: Dict[str, Dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    for path, found in by_path.items():
        blueprint.add_signed(path, list(found), _Entrance(blueprint, context, found))


class _Entrance:
    """What stands before the views of one path."""

    def __init__(self, blueprint: ServiceBlueprint, context: AdminContext, operations: Dict[str, Operation]) -> None:
        self._blueprint, self._context, self._operations = blueprint, context, operations
        self._clients = context.authentication.clients

    def __call__(self, **path: str) -> Response:
        address = self._address()
        operation = self._operations.get(request.method)
        if operation is None:
            raise MethodNotAllowed(f"{request.method} is not allowed here; use {' or '.join(self._operations)}.")
        body = read_body(MAX_BODY_BYTES)
        signed = self._signed(address, body)
        client = self._clients.admit(signed, operation.roles)
        trust_caller()
        call = Call(client.app_key, path, partial(self._audit, signed, client.app_key))
        outcome = operation.perform(
            self._context, call, _json_or_none(body), lambda: operation.load(self._context, _values(body)))
        answer = {"retcode": 0, "retmsg": "success", "data": outcome}
        # In the order of the schema, which jsonify would sort.
        return Response(json.dumps(answer), mimetype="application/json", headers={"Cache-Control": "no-store"})

    def _address(self) -> Address:
        try:
            return self._blueprint.caller(ADMIN_CHECK)
        except Forbidden:
            self._refused(request.remote_addr, "forbidden network")
            raise

    def _signed(self, address: Address, body: bytes) -> ClientRequest:
        """The request as it must have been signed.

        :raises Unauthenticated: it is one that a signature does not fix."""
        query = request.query_string.decode("latin-1")
        if request.args.getlist(METHOD_ARGUMENT) != ([] if request.method == "GET" else [request.method]):
            self._refused(address, "method not signed")
            raise Unauthenticated(
                f"Sign the method, too: the query must hold {METHOD_ARGUMENT}={request.method} once, and none for GET.",
                "method not signed")
        if (not _letters.fullmatch(request.path) or not is_plain(request.path) or not query.isascii()
                or query.endswith("?")):
            self._refused(address, "ambiguous url")
            raise Unauthenticated("The url holds what can be read in two ways.", "ambiguous url")
        return ClientRequest(
            full_path=f"{request.path}?{query}", headers=dict(request.headers.items()), body=body,
            method=request.method, address=address, route=request.path)

    def _audit(
        self, signed: ClientRequest, who: str, allowed: bool, reason: str, payload: Optional[Mapping[str, Any]]
    ) -> None:
        self._clients.note(signed, allowed, who, reason, payload)

    def _refused(self, address: Any, reason: str) -> None:
        self._context.authentication.audit.write(
            ADMIN_CHECK, False, None, f"{request.method} {request.path}", address, reason)


def _values(body: bytes) -> Any:
    """What is asked for: the query of a GET, else the body.

    :raises InvalidRequestBody, UnsupportedBody: it stands where it does not belong, or is no JSON."""
    if body and parse_parameters(request.headers.get("Content-Type", ""))[0] != "application/json":
        raise UnsupportedBody("Send the body as application/json.")
    if request.method != "GET":
        if set(request.args) - {METHOD_ARGUMENT}:
            raise InvalidRequestBody(f"Only {METHOD_ARGUMENT} may stand in the query; the rest is the body's.")
        return parse(body or b"{}")
    if body:
        raise InvalidRequestBody("A GET has no body; what it asks for stands in the query.")
    values: Dict[str, str] = request.args.to_dict()
    if any(len(request.args.getlist(name)) > 1 for name in values):
        raise InvalidRequestBody("The query: a name stands twice.")
    return values


def _json_or_none(body: bytes) -> Any:
    try:
        return parse(body)
    except InvalidRequestBody:
        return None
