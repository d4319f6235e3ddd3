"""/v1/ext/admin: jobs, views, clients, keys, grants, decisions, settings and health, for people and their programs.

Whoever calls needs an address in an allowed network, and a client with a role that signs each request as FATE's clients
do. No capability token: a signature proves more, and no url of these is registered anywhere.

FATE's signed text lacks the method, and what is no JSON of the body. So here the method stands in the signed query, as
``method=DELETE``, unless it is GET; the whole body is signed, and is JSON; and a path holds nothing whose decoded form
another path may have. What is captured on its way can be delivered once, as it is, or not at all.
"""
import json
import re
from typing import Any, Dict

from flask import Response, request

from fate_ext_plugin.admin.catalog import OPERATIONS
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation
from fate_ext_plugin.apps import ServiceBlueprint, trust_caller
from fate_ext_plugin.apps.authentication_app import read_body
from fate_ext_plugin.apps.headers import parse_parameters
from fate_ext_plugin.auth.client_auth import ADMIN_CHECK
from fate_ext_plugin.auth.client_signature import ClientRequest
from fate_ext_plugin.auth.client_store import Client
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

    def __call__(self, **path: str) -> Response:
        address = self._address()
        operation = self._operations.get(request.method)
        if operation is None:
            raise MethodNotAllowed(f"{request.method} is not allowed here; use {' or '.join(self._operations)}.")
        body = read_body(MAX_BODY_BYTES)
        client = self._client(address, body, operation)
        trust_caller()
        call = Call(client.app_key, self._payload(operation, body), path)
        answer = {"retcode": 0, "retmsg": "success", "data": operation.perform(self._context, call)}
        # In the order of the schema, which jsonify would sort.
        return Response(json.dumps(answer), mimetype="application/json", headers={"Cache-Control": "no-store"})

    def _address(self) -> Address:
        try:
            return self._blueprint.caller(ADMIN_CHECK)
        except Forbidden:
            self._refused(request.remote_addr, "forbidden network")
            raise

    def _client(self, address: Address, body: bytes, operation: Operation) -> Client:
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
        signed = ClientRequest(
            full_path=f"{request.path}?{query}", headers=dict(request.headers.items()), body=body,
            method=request.method, address=address, route=request.path)
        return self._context.authentication.clients.check(
            signed, operation.roles, lambda: operation.audited_payload(_json_or_none(body)))

    def _refused(self, address: Any, reason: str) -> None:
        self._context.authentication.audit.write(
            ADMIN_CHECK, False, None, f"{request.method} {request.path}", address, reason)

    def _payload(self, operation: Operation, body: bytes) -> Any:
        if body and parse_parameters(request.headers.get("Content-Type", ""))[0] != "application/json":
            raise UnsupportedBody("Send the body as application/json.")
        if request.method != "GET":
            if set(request.args) - {METHOD_ARGUMENT}:
                raise InvalidRequestBody(f"Only {METHOD_ARGUMENT} may stand in the query; the rest is the body's.")
            return operation.load(self._context, parse(body or b"{}"))
        if body:
            raise InvalidRequestBody("A GET has no body; what it asks for stands in the query.")
        values: Dict[str, str] = request.args.to_dict()
        if any(len(request.args.getlist(name)) > 1 for name in values):
            raise InvalidRequestBody("The query: a name stands twice.")
        return operation.load(self._context, values)


def _json_or_none(body: bytes) -> Any:
    try:
        return parse(body)
    except InvalidRequestBody:
        return None
