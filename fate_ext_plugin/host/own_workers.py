"""Keeps ``/v1/operation/`` of FATE Flow 1.9 to 1.11 to this site's own task workers.

Those paths hand out job configurations, and any JSON file that FATE Flow can read. Only its own task workers call them,
but FATE Flow answers every site that it lets in.
"""
import sys
from typing import Any

from fate_ext_plugin.errors import AUTHENTICATION_ERROR
from fate_ext_plugin.host.switches import PERMISSION, SITE, is_on
from fate_ext_plugin.permission.request import SELF

_PREFIX = "/v1/operation/"


def keep_operation_to_own_workers() -> None:
    """Refuse other sites, where site authentication or permission is switched on."""
    checks = sys.modules["fate_flow.apps"].app.before_request_funcs.setdefault(None, [])
    if (is_on(SITE) or is_on(PERMISSION)) and _refuse_other_sites not in checks:
        checks.append(_refuse_other_sites)


def says_it_is_this_site() -> bool:
    """Whether the request that is served now names this site as its sender; site authentication has decided before
    whether that is true."""
    from fate_flow.settings import PARTY_ID
    from flask import request

    return request.headers.get("SRC-PARTY-ID", "") in (*SELF, str(PARTY_ID or ""))


def _refuse_other_sites() -> Any:
    """By the route that FATE Flow will take: a path has many spellings."""
    from flask import request

    if request.url_rule is None or not request.url_rule.rule.startswith(_PREFIX) or says_it_is_this_site():
        return None
    apps = sys.modules["fate_flow.apps"]
    return apps.get_json_result(AUTHENTICATION_ERROR, "Only this site's own task workers have access to this path.")
