"""Restricts what FATE Flow 1.9 to 1.11 does on behalf of others (contract section 3).

FATE Flow forwards what others ask for in three places, and signs it with its own app key each time:

- the gRPC server sends the path, method, headers and body of any packet to the server's own HTTP port;
- ``task_request_proxy`` sends a request for a task to the address in the task's row, which a partner can write;
- ``/v1/forward/<role>/do`` sends a client's request to a registered server, which may be FATE Flow itself.

The first two get a sender that refuses what partners do not send (``partner_requests``), and none of the three signs
any more. Since nothing is signed for a partner, site authentication takes over the three paths of models that partners
call.
"""
import inspect
import re
import sys
from types import CodeType, FunctionType
from typing import Any, Callable, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from fate_ext_plugin.errors import AUTHENTICATION_ERROR, UnsupportedHost
from fate_ext_plugin.host.partner_requests import (
    MODEL_PATHS,
    RefusedRequest,
    partner_headers,
    require_job_id,
    require_partner_request,
)

# Host name or IPv4 address, and port: no user, which would make another part of the URL the host.
_ADDRESS = re.compile(r"[A-Za-z0-9._-]+:[0-9]+")

#: called with the packet, the gRPC context and the :class:`RefusedRequest`
OnRefusal = Callable[[Any, Any, RefusedRequest], None]


def guard_partner_requests(on_refusal: OnRefusal) -> None:
    """Restrict this server's gRPC interface and its forwarding of tasks. Does nothing where that is done already.

    FATE Flow imports hook modules before it starts its gRPC server, so no packet comes earlier.

    :raises UnsupportedHost: FATE Flow's code is not the one known; nothing was changed.
    """
    try:
        from fate_flow.utils import api_utils, grpc_utils, requests_utils, task_utils

        if grpc_utils.request is send_for_partner:
            return
        apps = sys.modules["fate_flow.apps"]
        forward_page: Any = sys.modules["fate_flow.apps.proxy"]
        unknown = next(_unknown_parts(grpc_utils, task_utils, requests_utils, apps), None)
        if not unknown and not _uses(forward_page.forward_api.__code__, "request"):
            unknown = "forward_api does not forward with request()"
    except (ImportError, AttributeError, KeyError) as error:
        unknown = str(error)
    if unknown:
        raise UnsupportedHost(
            f"This FATE Flow is not one of 1.9 to 1.11 as released ({unknown}). Its gRPC port can't be restricted to "
            "what partners need, so authentication is not in force.")
    grpc_utils.UnaryService.unaryCall = staticmethod(
        _guarded(grpc_utils.UnaryService.unaryCall, grpc_utils.wrap_grpc_packet, on_refusal))
    _authenticate_partners_of_models(apps)
    task_utils.request = send_for_partner
    # request() of api_utils has other callers, whose requests must be signed: so a function of its own for this one.
    forward_page.forward_api = FunctionType(
        forward_page.forward_api.__code__, {**vars(api_utils), "request": send_unsigned})
    grpc_utils.request = send_for_partner  # last, as it says that all is done


def _unknown_parts(grpc_utils: Any, task_utils: Any, requests_utils: Any, apps: Any) -> Iterator[str]:
    """What differs from 1.9 to 1.11 in the code that is restricted here.

    :raises AttributeError: a part is missing.
    """
    methods = {name: value for name, value in vars(grpc_utils.UnaryService).items() if not name.startswith("_")}
    if set(methods) != {"unaryCall"} or not isinstance(methods["unaryCall"], staticmethod):
        yield "UnaryService has other methods than a static unaryCall"
    unary_call = grpc_utils.UnaryService.unaryCall
    if list(inspect.signature(unary_call).parameters) != ["_request", "context"]:
        yield "UnaryService.unaryCall has other parameters"
    if not _uses(unary_call.__code__, "request"):
        yield "UnaryService.unaryCall does not forward with request()"
    if not _uses(task_utils.task_request_proxy.__code__, "request"):
        yield "task_request_proxy does not forward with request()"
    if not grpc_utils.request is task_utils.request is requests_utils.request:
        yield "request() has been replaced"
    if list(inspect.signature(grpc_utils.wrap_grpc_packet).parameters)[:6] != [
            "json_body", "http_method", "url", "src_party_id", "dst_party_id", "job_id"]:
        yield "wrap_grpc_packet has other parameters"
    for name in ("client_authentication_before_request", "site_authentication_before_request"):
        if not _uses(apps.authentication_before_request.__code__, name):
            yield f"authentication_before_request does not call {name}()"


def _uses(code: CodeType, name: str) -> bool:
    """Whether a function, or one inside it, uses this global name."""
    return name in code.co_names or any(
        _uses(inner, name) for inner in code.co_consts if isinstance(inner, CodeType))


def _guarded(unary_call: Callable[[Any, Any], Any], wrap: Callable[..., Any], on_refusal: OnRefusal) -> Any:
    """``unary_call`` for the requests that partners send; all others are answered here."""

    def guarded(packet: Any, context: Any) -> Any:
        header, path = packet.header, packet.body.key
        try:
            require_partner_request(header.operator, path)
            require_job_id(header.task.taskId)
        except RefusedRequest as refusal:
            on_refusal(packet, context, refusal)
            answer = {"retcode": AUTHENTICATION_ERROR, "retmsg": str(refusal)}
            return wrap(answer, header.operator, path, header.dst.partyId, header.src.partyId, header.task.taskId)
        return unary_call(packet, context)

    return guarded


def send_for_partner(method: str, url: str, json: Any, headers: Optional[Mapping[str, Any]]) -> Any:
    """Send a partner's request to a server of this site, in place of FATE Flow's ``requests_utils.request``.

    It is not signed: what a partner may do is decided by the partner's own signature.

    :param url: of the server, with the partner's path.
    :return: the ``requests.Response``.
    :raises RefusedRequest: not a request that partners send.
    """
    parts = urlsplit(url)
    if not _ADDRESS.fullmatch(parts.netloc) or url != f"http://{parts.netloc}{parts.path}":
        raise RefusedRequest("Partners have no access to this URL.")
    require_partner_request(method, parts.path)
    return send_unsigned(method, url, json, partner_headers(headers or {}))


def send_unsigned(method: str, url: str, json: Any, headers: Mapping[str, Any]) -> Any:
    """Send a request as FATE Flow's ``requests_utils.request`` does, but without the signature of its app key.

    :return: the ``requests.Response``; a redirect is not followed.
    """
    import requests

    spelled = {name.replace("_", "-").upper(): value for name, value in headers.items()}
    prepared = requests.Request(method, url, json=json, headers=spelled).prepare()
    with requests.Session() as session:
        session.trust_env = False  # no proxy: FATE Flow's own request() takes none from the environment either
        return session.send(prepared, allow_redirects=False)


def _authenticate_partners_of_models(apps: Any) -> None:
    """Let site authentication, where it is on, decide about the paths of models that partners call.

    For FATE Flow they are client paths. A partner has no app key here; what it has is the signature of its site.
    """
    if not apps.SITE_AUTHENTICATION:
        return
    # Exactly one of the two looks at a request: the same signature must not be counted twice.
    if apps.CLIENT_AUTHENTICATION:
        by_client = apps.client_authentication_before_request
        apps.client_authentication_before_request = lambda: (
            _authenticate_site(apps) if _is_model_request() and _is_signed_by_site() else by_client())
    else:
        by_site = apps.site_authentication_before_request
        apps.site_authentication_before_request = lambda: (
            _authenticate_site(apps) if _is_model_request() else by_site())


def _is_model_request() -> bool:
    """By FATE Flow's own rule, which a path matches in more spellings than one."""
    from flask import request

    return request.url_rule is not None and request.url_rule.rule in MODEL_PATHS


def _is_signed_by_site() -> bool:
    from flask import request

    return "SITE-SIGNATURE" in request.headers


def _authenticate_site(apps: Any) -> Any:
    from flask import request

    result = apps.HookManager.site_authentication(apps.AuthenticationParameters(
        src_party_id=request.headers.get("SRC-PARTY-ID"), site_signature=request.headers.get("SITE-SIGNATURE"),
        body=request.get_json(force=True, silent=True)))
    return apps.get_json_result(result.code, result.message) if result.code else None
