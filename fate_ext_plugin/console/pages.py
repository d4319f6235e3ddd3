"""The pages, and what their forms do: each an operation of :mod:`fate_ext_plugin.admin`."""
import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

from werkzeug.routing import Map, Rule

from fate_ext_plugin.auth.client_signature import ALGORITHMS
from fate_ext_plugin.auth.key_store import ENVELOPES
from fate_ext_plugin.console.charts import charts
from fate_ext_plugin.console.form import Form
from fate_ext_plugin.console.page_context import PageContext
from fate_ext_plugin.errors import UnknownKey
from fate_ext_plugin.feature.job import ACTIVE, STATUSES
from fate_ext_plugin.schema.admin import CHECKS, SPANS

Context = Dict[str, Any]
PAGE_SIZE = 50


@dataclass(frozen=True)
class Page:
    """``show``: what its template is given; a form that could not be carried out, and what one that was gave, if any.
    ``live``: seconds after which it asks again by itself."""

    rule: str
    name: str
    section: str
    show: Callable[[PageContext, Form, Any], Context]
    live: Optional[float] = None


@dataclass(frozen=True)
class Action:
    """What a form does. Where it fails ``page`` is shown again, with what was typed.

    ``then``: the page that follows where it does not; None: ``page`` itself, with the outcome.
    """

    rule: str
    operation: str
    page: Page
    then: Optional[str] = None


def overview(page_context: PageContext, form: Form, outcome: Any) -> Context:
    found, asked = page_context.search("overview.show", {})
    return {"overview": found, "charts": charts(found) if found else [], "span": found.get("span"), "spans": SPANS,
            "asked": asked, "health": page_context.read("health.show")}


def jobs(page_context: PageContext, form: Form, outcome: Any) -> Context:
    found, asked = page_context.search("jobs.list", {"jobs": [], "count": 0, "page": 1, "page_size": PAGE_SIZE})
    return {**found, "asked": asked, "statuses": STATUSES, "views": sorted(page_context.context.settings.views),
            "active": sum(job["status"] in ACTIVE for job in found["jobs"])}


def job(page_context: PageContext, form: Form, outcome: Any) -> Context:
    found = page_context.read("jobs.show", **page_context.path)
    return {"job": found, "active": found["status"] in ACTIVE, "request": json.dumps(
        found["request"], ensure_ascii=False, indent=2)}


def views(page_context: PageContext, form: Form, outcome: Any) -> Context:
    return {**page_context.read("views.list"), "sample": outcome, "tested": form.path.get("name")}


def clients(page_context: PageContext, form: Form, outcome: Any) -> Context:
    return {**page_context.read("clients.list"), "algorithms": list(ALGORITHMS)}


def keys(page_context: PageContext, form: Form, outcome: Any) -> Context:
    own, why_none = [], None
    try:
        own = page_context.read("keys.own")["keys"]
    except UnknownKey as error:
        why_none = error.message
    return {**page_context.read("keys.list"), **page_context.read("policies.list"), "own": own, "why_none": why_none,
            "envelopes": ENVELOPES}


def grants(page_context: PageContext, form: Form, outcome: Any) -> Context:
    found, asked = page_context.search("grants.list", {"grants": [], "count": 0, "page": 1, "page_size": PAGE_SIZE})
    return {**found, "asked": asked}


def grant(page_context: PageContext, form: Form, outcome: Any) -> Context:
    return {"grant": page_context.read("grants.show", **page_context.path)}


def explain(page_context: PageContext, form: Form, outcome: Any) -> Context:
    if page_context.context.settings.permission is None:
        page_context.read("grants.list")  # says so
    return {"decision": outcome}


def audit(page_context: PageContext, form: Form, outcome: Any) -> Context:
    found, asked = page_context.search("audit.search", {"decisions": [], "cursor": None})
    return {**found, "asked": asked, "checks": CHECKS}


def site(page_context: PageContext, form: Form, outcome: Any) -> Context:
    return {"settings": page_context.read("settings.show"), "health": page_context.read("health.show")}


OVERVIEW = Page("/", "overview", "overview", overview, live=30)
JOBS = Page("/jobs", "jobs", "jobs", jobs, live=2)
JOB = Page("/jobs/<job_id>", "job", "jobs", job, live=2)
VIEWS = Page("/views", "views", "views", views)
CLIENTS = Page("/clients", "clients", "clients", clients)
KEYS = Page("/keys", "keys", "keys", keys)
GRANTS = Page("/grants", "grants", "grants", grants)
GRANT = Page("/grants/<name>", "grant", "grants", grant)
EXPLAIN = Page("/explain", "explain", "explain", explain)
AUDIT = Page("/audit", "audit", "audit", audit)
SITE = Page("/site", "site", "site", site)
PAGES = [OVERVIEW, JOBS, JOB, VIEWS, CLIENTS, KEYS, GRANTS, GRANT, EXPLAIN, AUDIT, SITE]
SECTIONS = [(page.section, page.rule[1:]) for page in PAGES if "<" not in page.rule]
ACTIONS = [
    Action("/jobs/<job_id>/cancel", "jobs.cancel", JOB, "jobs/{job_id}"),
    Action("/jobs/<job_id>/delete", "jobs.delete", JOB, "jobs"),
    Action("/views/<name>/test", "views.test", VIEWS),
    Action("/clients", "clients.add", CLIENTS, "clients"),
    Action("/clients/<app_key>/change", "clients.change", CLIENTS, "clients"),
    Action("/clients/<app_key>/rotate", "clients.rotate", CLIENTS, "clients"),
    Action("/clients/<app_key>/remove", "clients.remove", CLIENTS, "clients"),
    Action("/keys", "keys.add", KEYS, "keys"),
    Action("/keys/<party_id>/<fingerprint>/remove", "keys.remove", KEYS, "keys"),
    Action("/policies/<party_id>/change", "policies.change", KEYS, "keys"),
    Action("/grants", "grants.add", GRANTS, "grants"),
    Action("/grants/<name>/remove", "grants.remove", GRANTS, "grants"),
    Action("/explain", "grants.explain", EXPLAIN),
]
ROUTES = Map(
    [*(Rule(page.rule, endpoint=page, methods=["GET"]) for page in PAGES),
     *(Rule(action.rule, endpoint=action, methods=["POST"]) for action in ACTIONS)],
    strict_slashes=False, merge_slashes=False)
