"""client_authentication, site_authentication and signature, over HTTP.

FATE Flow reads ``code`` and ``msg`` of an answer with status 200, and takes any other status for a service that is
broken; either way the request is refused.
"""
import json
from typing import Any, Callable, Mapping

from flask import Response

from fate_ext_plugin.apps.blueprint import ServiceBlueprint, current_request
from fate_ext_plugin.apps.request_body import body_of
from fate_ext_plugin.auth.client_signature import ClientRequest
from fate_ext_plugin.auth.setup import Authentication
from fate_ext_plugin.errors import AUTHENTICATION_ERROR, Unauthenticated
from fate_ext_plugin.schema.authentication import MAX_BODY_BYTES, load_client_request, load_site_request

SUCCESS = {"code": 0, "msg": "success", "message": "success"}


def add_authentication_services(
    blueprint: ServiceBlueprint, authentication: Authentication, signature_over_http: bool
) -> None:

    def client_authentication() -> Any:
        body = load_client_request(read_body())
        return _decision(lambda: authentication.clients.check(client_request(body)))

    def site_authentication() -> Any:
        body = load_site_request(read_body())
        return _decision(
            lambda: authentication.sites.check(body.get("src_party_id"), body.get("site_signature"), body["body"]))

    def signature() -> Any:
        body = load_site_request(read_body())
        signed = authentication.sites.sign(body.get("party_id"), body["body"])
        # ``data`` is what FATE Flow reads, ``site_signature`` what its published page says.
        return _answer({**SUCCESS, "data": signed, "site_signature": signed})

    blueprint.add("client_authentication", ["POST"], client_authentication)
    blueprint.add("site_authentication", ["POST"], site_authentication)
    if signature_over_http:
        blueprint.add("signature", ["POST"], signature)


def client_request(body: Mapping[str, Any]) -> ClientRequest:
    """The request that is spoken of. Its method and address are not told: a client that is bound to some is refused."""
    form = {name: str(value) for name, value in (body["form"] or {}).items()}
    return ClientRequest(
        full_path=body["full_path"], headers=body["headers"],
        body=_signed_body(body["data"], body["json"]), form=form or None)


def _signed_body(data: Any, parsed: Any) -> bytes:
    """The raw body where it holds JSON that is not empty, as FATE's clients sign it.

    Exact where ``data`` is there; otherwise ``json`` is written with json.dumps' defaults, as they write it.
    """
    if not data:
        return json.dumps(parsed).encode("ascii") if parsed else b""
    if parsed is None:
        try:
            parsed = json.loads(data)
        except (ValueError, RecursionError):
            return b""
    return data.encode("utf-8", "surrogatepass") if parsed else b""


def _decision(check: Callable[[], object]) -> Any:
    try:
        check()
    except Unauthenticated as error:
        return _answer({"code": AUTHENTICATION_ERROR, "msg": error.message, "message": error.message})
    return _answer(SUCCESS)


def _answer(content: Mapping[str, Any]) -> Response:
    """Written by json alone: Flask's jsonify takes about twice as long."""
    return Response(json.dumps(content), mimetype="application/json")


def read_body(most: int = MAX_BODY_BYTES) -> bytes:
    """:raises RequestTooLarge: it has over ``most`` bytes."""
    return body_of(current_request()).read(most)
