"""/v1/ext/console: who may come in, what a form must prove, and what every answer carries.

FATE Flow's app would answer an error with HTTP 200 and JSON, so all of them become pages here.
"""
import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import parse_qs

from flask import Response, request
from werkzeug.exceptions import HTTPException

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.apps.authentication_app import read_body
from fate_ext_plugin.apps.blueprint import ServiceBlueprint, told, trust_caller
from fate_ext_plugin.apps.headers import cookies, parse_parameters, preferences
from fate_ext_plugin.auth.client_auth import ADMIN_CHECK
from fate_ext_plugin.auth.client_signature import ClientRequest
from fate_ext_plugin.auth.client_store import Client
from fate_ext_plugin.console.assets import ASSETS
from fate_ext_plugin.console.form import Form
from fate_ext_plugin.console.language import ENGLISH, LANGUAGES, Language, language_of, preferred_language
from fate_ext_plugin.console.page_context import CONSOLE, PageContext, url
from fate_ext_plugin.console.pages import ROUTES, SECTIONS, Action, Page
from fate_ext_plugin.console.render import rendered
from fate_ext_plugin.console.session import COOKIE, FlashMessage, Session, Sessions
from fate_ext_plugin.errors import (
    ExtError,
    Forbidden,
    InvalidRequestBody,
    MethodNotAllowed,
    NoSuchPath,
    RoleMissing,
    StaleForm,
    Unauthenticated,
    UnsupportedBody,
)
from fate_ext_plugin.util.network import Address

logger = logging.getLogger(__name__)
LANGUAGE_COOKIE, LANGUAGE_SECONDS = "fate_ext_console_language", 365 * 86400
# Sent by our script where it asks again by itself.
POLL_HEADER = "Fate-Ext-Poll"
MAX_FORM_BYTES, MAX_FIELDS = 1 << 20, 1000
FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "Content-Security-Policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer, with which a browser says that a form's origin is null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_console(blueprint: ServiceBlueprint, context: AdminContext, key: bytes) -> None:
    """:param key: of 32 bytes, which signs cookies and forms."""
    blueprint.add_pages(Console(blueprint, context, Sessions(key)))


@dataclass(frozen=True)
class Browser:
    """Who asks, as far as a request tells. ``session`` and ``client``: None where nobody is signed in."""

    address: Address
    language: Language
    cookie: str
    session: Optional[Session] = None
    client: Optional[Client] = None


class Console:
    def __init__(self, blueprint: ServiceBlueprint, context: AdminContext, sessions: Sessions) -> None:
        self._blueprint, self._context, self._sessions = blueprint, context, sessions
        self._clients = context.authentication.clients

    def __call__(self, path: str = "") -> Response:
        browser = None
        try:
            address = self._address()
            if path.startswith("static/"):
                response = _asset(path.partition("/")[2])
            else:
                browser = self._browser(address)
                response = self._answer(browser, f"/{path}".rstrip("/") or "/")
                self._keep_language(browser, response)
        except Exception as error:
            response = self._error(error, browser)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        # A path is enough, and the host of a redirect would be the caller's to choose.
        response.autocorrect_location_header = False
        return response

    # -- who asks ------------------------------------------------------------------------------------------------------

    def _address(self) -> Address:
        try:
            return self._blueprint.caller("console")
        except Forbidden:
            self._context.authentication.audit.write(
                ADMIN_CHECK, False, None, f"{request.method} {request.path}", request.remote_addr, "forbidden network")
            raise

    def _browser(self, address: Address) -> Browser:
        language = (
            language_of(request.args.get("lang")) or language_of(_cookies().get(LANGUAGE_COOKIE))
            or preferred_language(preferences(request.headers.get("Accept-Language", ""))) or ENGLISH)
        cookie = _cookies().get(COOKIE, "")
        if not self._sessions.is_ours(cookie):
            return Browser(address, language, self._sessions.new_cookie())
        session = self._sessions.find(cookie, touch=POLL_HEADER not in request.headers)
        client = self._clients.signed_in(session.app_key) if session else None
        if session and (client is None or client.secret_version() != session.version
                        or not client.may_come_from(address)):
            self._sessions.end(cookie)
            session = client = None
        return Browser(address, language, cookie, session, client)

    def _keep_language(self, browser: Browser, response: Response) -> None:
        """Where it was chosen just now."""
        if request.args.get("lang") == browser.language.short:
            response.set_cookie(
                LANGUAGE_COOKIE, browser.language.short, max_age=LANGUAGE_SECONDS, path=CONSOLE, httponly=True,
                samesite="Strict", secure=self._blueprint.is_https())

    def _set_cookie(self, response: Response, cookie: str) -> None:
        response.set_cookie(
            COOKIE, cookie, path=CONSOLE, httponly=True, samesite="Strict", secure=self._blueprint.is_https())

    # -- what is asked -------------------------------------------------------------------------------------------------

    def _answer(self, browser: Browser, path: str) -> Response:
        if request.method not in ("GET", "HEAD", "POST"):
            raise MethodNotAllowed(f"{request.method} is not allowed here; use GET, HEAD or POST.")
        typed = self._form(browser) if request.method == "POST" else {}
        if path == "/sign-in":
            return self._sign_in(browser, typed)
        if browser.session is None or browser.client is None:
            return self._stranger(browser, path)
        trust_caller()
        if path == "/sign-out":
            return self._sign_out(browser)
        route, variables = _route(path)
        query = _fields(request.query_string)
        page_context = PageContext(self._context, browser.client, browser.address, variables, query)
        if isinstance(route, Page):
            return self._page(browser, route, page_context, Form(), None, 200)
        return self._act(browser, browser.session, route, page_context, typed)

    def _form(self, browser: Browser) -> Mapping[str, List[str]]:
        """:raises StaleForm: it does not come from a page that this browser got from us."""
        body = read_body(MAX_FORM_BYTES)
        if parse_parameters(request.headers.get("Content-Type", ""))[0] != FORM:
            raise UnsupportedBody(f"Send the form as {FORM}.")
        typed = _fields(body)
        token = typed.pop("form_token", [""])
        if not self._from_here() or not self._sessions.accepts(browser.cookie, token[0]):
            self._note(browser, False, StaleForm.reason)
            raise StaleForm("This form is no longer valid. Load the page again, and send it once more.")
        return typed

    def _from_here(self) -> bool:
        """Whether a page of this site sent the form, as the browser says."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site == "same-origin"
        return request.headers.get("Origin", "") in (f"http://{request.host}", f"https://{request.host}")

    def _note(
        self, browser: Browser, allowed: bool, reason: str, payload: Optional[Mapping[str, Any]] = None
    ) -> None:
        who = browser.session.app_key if browser.session else None
        self._clients.note(_as_asked(browser), allowed, who, reason, payload)

    # -- signing in and out --------------------------------------------------------------------------------------------

    def _stranger(self, browser: Browser, path: str) -> Response:
        if POLL_HEADER in request.headers or request.method == "POST":
            return self._sign_in_page(browser, Form(), 401, ended=True)
        if not _cookies() and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            # Behind a link of another site a browser leaves out the cookie that it has, and would lose with a new one.
            return _html(rendered("again", t=browser.language, here=_here()))
        return _to(url("sign-in", next=_known(path)))

    def _sign_in(self, browser: Browser, typed: Mapping[str, List[str]]) -> Response:
        if request.method != "POST":
            return self._sign_in_page(browser, Form(), 200)
        app_key, secret = (typed.get(name, [""])[0].strip() for name in ("app_key", "secret"))
        try:
            client = self._clients.sign_in(
                replace(_as_asked(browser), headers={"app-key": app_key}), secret)
        except ExtError as error:
            form = Form("sign-in", {"app_key": [app_key]}, ExtError(told(error)))
            return self._sign_in_page(browser, form, error.status)
        self._sessions.end(browser.cookie)
        response = _to(url(_known(f"/{request.args.get('next', '')}")))
        self._set_cookie(response, self._sessions.begin(client))
        return response

    def _sign_in_page(self, browser: Browser, form: Form, status: int, ended: bool = False) -> Response:
        following = _known(f"/{request.args.get('next', '')}")
        response = _html(rendered(
            "sign_in", **self._frame(browser), form=form, ended=ended, here=url("sign-in", next=following)), status)
        if _cookies().get(COOKIE) != browser.cookie:
            self._set_cookie(response, browser.cookie)
        return response

    def _sign_out(self, browser: Browser) -> Response:
        if request.method != "POST":
            raise MethodNotAllowed("Sign out with the button of that name.")
        self._sessions.end(browser.cookie)
        self._note(browser, True, "signed out")
        response = _to(url("sign-in"))
        self._set_cookie(response, self._sessions.new_cookie())
        return response

    # -- pages and forms -----------------------------------------------------------------------------------------------

    def _act(
        self, browser: Browser, session: Session, action: Action, page_context: PageContext,
        typed: Mapping[str, List[str]],
    ) -> Response:
        try:
            outcome = page_context.perform(action.operation, typed, page_context.path, partial(self._note, browser))
        except (RoleMissing, Unauthenticated) as error:
            self._note(browser, False, error.reason)
            raise
        except ExtError as error:
            form = Form(action.operation, typed, error, page_context.path)
            try:
                return self._page(browser, action.page, page_context, form, None, error.status)
            except ExtError:  # there is no such page, or not for this client
                raise error from None
        if action.then is None:
            return self._page(
                browser, action.page, page_context, Form(action.operation, typed, path=page_context.path), outcome, 200)
        last_in_path = next(reversed(list(page_context.path.values())), None)
        about = last_in_path or outcome.get("name") or outcome.get("app_key") or ""
        word = session.leave(FlashMessage(action.operation, about, outcome.get("secret")))
        return _to(url(action.then.format(**page_context.path), note=word))

    def _page(
        self, browser: Browser, page: Page, page_context: PageContext, form: Form, outcome: Any, status: int
    ) -> Response:
        flash_message = None
        # A HEAD, as of a link checker, shows nothing: a secret in the message is still to be seen.
        if browser.session and POLL_HEADER not in request.headers and request.method != "HEAD":
            flash_message = browser.session.take(page_context.asked("note"))
        context = page.show(page_context, form, outcome)
        asked = context.get("asked")
        if asked is not None and asked.wrong:
            status = 400
        here = _here() if request.method != "POST" else url(page.section)
        return _html(rendered(
            page.name, **self._frame(browser), page_context=page_context, may=page_context.may, form=form,
            flash_message=flash_message, here=here, section=page.section, live=page.live, **context), status)

    def _frame(self, browser: Browser) -> Dict[str, Any]:
        return {"t": browser.language, "languages": LANGUAGES, "client": browser.client, "sections": SECTIONS,
                "party_id": self._context.party_id, "form_token": self._sessions.form_token(browser.cookie),
                "query": request.args.to_dict(flat=False)}

    def _error(self, error: Exception, browser: Optional[Browser]) -> Response:
        if isinstance(error, HTTPException):
            status, message = error.code or 500, f"{error.name}: {error.description}"
        elif isinstance(error, ExtError):
            status, message = error.status, told(error)
        else:
            logger.exception("%s %s", request.method, request.path)
            status, message = 500, "Internal error; look at the server's log."
        if browser is None:
            return _html(rendered("refused", t=ENGLISH, status=status, message=message), status)
        return _html(rendered(
            "error", **self._frame(browser), status=status, message=message, here=url(), section=""), status)


def _route(path: str) -> Tuple[Any, Dict[str, str]]:
    try:
        route, variables = ROUTES.bind("").match(path, method="POST" if request.method == "POST" else "GET")
    except HTTPException as error:
        if error.code == 405:
            raise MethodNotAllowed(f"{request.method} is not allowed here.") from None
        raise NoSuchPath("There is no such page.") from None
    return route, dict(variables)


def _fields(text: bytes) -> Dict[str, List[str]]:
    """Of a query or a form.

    :raises InvalidRequestBody: there are too many."""
    try:
        return parse_qs(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidRequestBody(f"More than {MAX_FIELDS} fields.") from None


def _known(path: str) -> str:
    """A page of ours, without its first slash; '' for the overview, and for whatever else somebody may write there."""
    try:
        route, _ = ROUTES.bind("").match(path, method="GET")
    except HTTPException:
        return ""
    return path[1:] if isinstance(route, Page) else ""


def _cookies() -> Dict[str, str]:
    return cookies(request.headers.get("Cookie", ""))


def _here() -> str:
    """The page that is asked for, as a path of ours."""
    return url(request.path[len(CONSOLE) + 1:], request.args.to_dict(flat=False), lang=None, note=None)


def _as_asked(browser: Browser) -> ClientRequest:
    return ClientRequest(
        full_path=request.path, headers={}, method=request.method, address=browser.address, route=request.path)


def _html(text: str, status: int = 200) -> Response:
    return Response(text, status, content_type="text/html; charset=utf-8")


def _to(path: str) -> Response:
    return Response(status=303, headers={"Location": path})


def _asset(name: str) -> Response:
    asset = ASSETS.get(name)
    if asset is None:
        raise NoSuchPath("There is no such file.")
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{request.method} is not allowed here; use GET or HEAD.")
    response = Response(asset.content, content_type=asset.content_type)
    named = request.args.get("v") == asset.version
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if named else "no-cache"
    response.set_etag(asset.version)
    if f'"{asset.version}"' in request.headers.get("If-None-Match", ""):
        response.status_code, response.response = 304, []
    return response
