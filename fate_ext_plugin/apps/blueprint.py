"""What all views share: the blueprint that guards them, how errors are answered, and what a request was."""
import logging
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, NoReturn, Optional, Tuple

from flask import Blueprint, Flask, Request, Response, g, jsonify, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Rule

from fate_ext_plugin.access.guard import TOKEN_ARGUMENT, AccessGuard
from fate_ext_plugin.admin import ADMIN_PREFIX
from fate_ext_plugin.apps.request_body import body_of, finish_body
from fate_ext_plugin.errors import ExtError, MethodNotAllowed, NoSuchPath, NotMounted
from fate_ext_plugin.util.network import Address

logger = logging.getLogger(__name__)
PREFIX = "/v1/ext"
# fate_flow.entity.RetCode for an HTTP status of ours; any other is 100, an exception.
RETCODES = {400: 101, 401: 109, 403: 108, 404: 102, 405: 101, 409: 103, 410: 102, 413: 101, 415: 101, 422: 102,
            429: 103}
# A client that neither sends nor reads for so long is dropped.
TIMEOUT_SECONDS = 60
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
View = Callable[[], Any]
# Is told of each request: the service, the answer's status, and the seconds until the answer began.
Measure = Callable[[str, int, float], None]


class ServiceBlueprint:
    """A blueprint under :data:`PREFIX`. Every view passes access control, and every error is answered in our format.

    FATE Flow's app answers any exception, werkzeug's own included, with HTTP 200 (contract section 3), so the
    blueprint handles all of them, and takes every path under its prefix.
    """

    def __init__(self, guard: AccessGuard, measure: Optional[Measure] = None) -> None:
        self.manager = Blueprint("fate_ext", __name__, url_prefix=PREFIX)
        self._guard = guard
        self.manager.register_error_handler(Exception, answer_error)
        self.manager.after_request(finish_body)
        take_everything(self.manager, "unknown", self._unknown)
        if measure is not None:
            self._measure(measure)

    def add(self, service: str, methods: List[str], view: View, path: str = "", token: bool = True) -> None:
        """Serve ``/v1/ext/<service><path>``, behind the service's token.

        :param token: False: without one, for what tells a stranger nothing.
        """

        def guarded() -> Any:
            current = current_request()
            _limit_patience(current)
            # Not getlist(), which goes through all headers: WSGI has joined those of one name.
            peer, joined = current.remote_addr, current.headers.get("X-Forwarded-For")
            forwarded = [joined] if joined else []
            if token:
                self._guard.check(service, peer, forwarded, current.args.getlist(TOKEN_ARGUMENT))
                body_of(current).trust()
            else:
                self._guard.check_probe(service, peer, forwarded)
            if current.method not in methods:
                raise MethodNotAllowed(f"{current.method} is not allowed here; use {' or '.join(methods)}.")
            return view()
        # All methods: Flask itself would answer HEAD and OPTIONS with 200, and FATE Flow's app a wrong one.
        endpoint = f"{service}{path}".replace(".", "_")
        self.manager.add_url_rule(f"/{service}{path}", endpoint, guarded, methods=METHODS)

    def add_signed(self, path: str, methods: List[str], view: Callable[..., Any]) -> None:
        """Serve ``/v1/ext/admin<path>``. ``view`` asks :meth:`caller` first, and then for a signature in place of a
        token: it proves more. Of two paths that fit the first with that method is taken; others get the view's 405."""
        endpoint = f"admin{path}".replace(".", "_")
        rule = f"/admin{path}"
        self.manager.add_url_rule(rule, endpoint, view, methods=methods, provide_automatic_options=False)
        others = [method for method in METHODS if method not in methods]
        self.manager.add_url_rule(rule, f"{endpoint} others", view, methods=others, provide_automatic_options=False)

    def add_pages(self, view: Callable[..., Response]) -> None:
        """Serve all under ``/v1/ext/console``. ``view`` gets the path behind it, asks :meth:`caller` first, and answers
        its own errors: with pages, not JSON."""
        for rule in ("", "/", "/<path:path>"):
            self.manager.add_url_rule(f"/console{rule}", "console", view, methods=METHODS,
                                      provide_automatic_options=False)

    def is_https(self) -> bool:
        """Whether the caller's browser speaks https, to us or to a trusted proxy."""
        current = current_request()
        if not self._guard.trusts(current.remote_addr):
            return current.is_secure
        return current.headers.get("X-Forwarded-Proto", current.scheme).rpartition(",")[2].strip() == "https"

    def caller(self, service: str) -> Address:
        """:raises Forbidden: the request comes from no allowed network."""
        current = current_request()
        _limit_patience(current)
        return self._guard.check_network(service, current.remote_addr, current.headers.getlist("X-Forwarded-For"))

    def _measure(self, measure: Measure) -> None:

        def begin() -> None:
            g.fate_ext_began = time.monotonic()

        def end(response: Response) -> Response:
            began = g.pop("fate_ext_began", None)
            if began is not None:  # else another's before_request answered
                # Of the blueprint's endpoint fate_ext.permission/explain: permission. No name is a caller's own.
                service = str(request.endpoint).rpartition(".")[2].partition("/")[0]
                measure(service, response.status_code, time.monotonic() - began - g.pop("fate_ext_held", 0.0))
            return response

        self.manager.before_request(begin)
        self.manager.after_request(end)

    def _unknown(self, path: str = "") -> NoReturn:
        if current_request().method not in METHODS:
            raise MethodNotAllowed(f"{current_request().method} is allowed nowhere here.")
        raise NoSuchPath("There is no such service. This is fate_ext_plugin.")


def current_request() -> Request:
    """The request itself: every look at it through Flask's ``request`` takes up to a microsecond more."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    return current


def _limit_patience(current: Request) -> None:
    """FATE Flow's server, which is Werkzeug's, waits for ever for a client that has gone silent, with a thread, a
    connection and, of an upload, a file. It closes the connection after each request, so this one alone is meant."""
    connection = current.environ.get("werkzeug.socket")
    if connection is not None:
        connection.settimeout(TIMEOUT_SECONDS)


@contextmanager
def held() -> Iterator[None]:
    """Time that a request is held on purpose, which its latency leaves out."""
    began = time.monotonic()
    try:
        yield
    finally:
        g.fate_ext_held = time.monotonic() - began


def refusing_blueprint(reason: str) -> Blueprint:
    """What is mounted where the plugin can't work: FATE Flow's own 404 is a 200, which ApiReader ignores."""
    manager = Blueprint("fate_ext", __name__, url_prefix=PREFIX)

    def refuse(path: str = "") -> Tuple[Response, int]:
        return jsonify(code=NotMounted.code, message=reason), NotMounted.status
    manager.after_request(finish_body)
    take_everything(manager, "refuse", refuse)
    return manager


def take_everything(manager: Blueprint, endpoint: str, view: Callable[..., Any]) -> None:
    """Let ``view`` answer what no other rule under the prefix fits, whichever method it has: FATE Flow's app would
    answer TRACE, for one, with HTTP 200."""
    manager.add_url_rule("/", endpoint, view, methods=METHODS)

    def add_rules(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["fate_ext_rest"] = _Rest
        for rule in ("", "/", "/<fate_ext_rest:path>"):
            # Flask's own add_url_rule() can't leave out the methods, which means: all of them.
            state.app.url_map.add(Rule(f"{PREFIX}{rule}", endpoint=f"{manager.name}.{endpoint}"))

    manager.record(add_rules)


def answer_error(error: Exception) -> Tuple[Response, int]:
    """The one place where an error becomes an answer: code and message, never a ``data``.

    ApiReader dies of a missing ``data`` at once, where it would poll on for hours otherwise (contract section 2).
    """
    if isinstance(error, ExtError):
        return _answer(error.status, error.code, told(error))
    if isinstance(error, HTTPException):
        status = error.code or 500
        return _answer(status, status * 100, f"{error.name}: {error.description}")
    logger.exception("%s %s", request.method, request.path)
    return _answer(500, 50000, "Internal error; look at the server's log.")


def trust_caller() -> None:
    """From here on this request's caller is known as an operator of this site, who may read whole messages."""
    g.fate_ext_operator = True


def told(error: ExtError) -> str:
    """What this request's caller may know of an error. What an operator alone may know goes to the log for others."""
    if error.public == error.message or g.get("fate_ext_operator"):
        return error.message
    logger.error("%s %s: %s", request.method, request.path, error.message)
    return error.public


def _answer(status: int, code: int, message: str) -> Tuple[Response, int]:
    """In the style of FATE Flow's own REST interface where people call, not FATE Flow."""
    if f"{request.path}/".startswith(f"{ADMIN_PREFIX}/"):
        return jsonify(retcode=RETCODES.get(status, 100), retmsg=message, code=code), status
    return jsonify(code=code, message=message), status


class _Rest(BaseConverter):
    """Of a path all that is left, one that begins with a slash included: Werkzeug would redirect from there, to a host
    that the caller names."""

    regex, part_isolating, weight = ".*?", False, 300


def create_app(manager: Blueprint) -> Flask:
    """A Flask app of our own, for ``fate-ext serve``."""
    app = Flask("fate_ext_plugin", static_folder=None)
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    app.register_blueprint(manager)
    app.register_error_handler(Exception, answer_error)
    return app
