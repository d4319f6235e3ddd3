"""Scheduling requests of FATE Flow 1.9 to 1.11, looked at before it carries them out on jobs that were permitted."""
import sys
from typing import Any

from fate_ext_plugin.host.fate_flow_v1 import FateFlowV1, server_logger
from fate_ext_plugin.host.own_workers import says_it_is_this_site
from fate_ext_plugin.permission.scheduling import PREFIXES, objection
from fate_ext_plugin.util.text import escape_control_characters


def refuse_changed_jobs() -> None:
    """Refuse requests that would change what permitted jobs run or read, where FATE Flow's permission switch is on.

    FATE Flow asks for permission when a job is created, and never again.
    """
    from fate_flow.settings import PERMISSION_SWITCH

    checks = sys.modules["fate_flow.apps"].app.before_request_funcs.setdefault(None, [])
    if PERMISSION_SWITCH and _refuse_changed_job not in checks:
        checks.append(_refuse_changed_job)


def _refuse_changed_job() -> Any:
    """By the route that FATE Flow will take: a path has many spellings. FATE Flow has checked before who asks."""
    from flask import request

    if request.url_rule is None or not request.url_rule.rule.startswith(PREFIXES):
        return None
    from fate_flow.entity import RetCode
    from fate_flow.utils.api_utils import get_json_result

    path = request.view_args or {}
    refusal = objection(request.url_rule.rule, path, request.get_json(force=True, silent=True),
                        says_it_is_this_site(), lambda: _inheritance(path))
    if refusal is None:
        return None
    server_logger().warning("fate_ext_plugin refuses %s: %s", escape_control_characters(request.path), refusal)
    return get_json_result(RetCode.PERMISSION_ERROR, refusal)


def _inheritance(path: Any) -> Any:
    return FateFlowV1().inheritance_info(path["job_id"], path["role"], path["party_id"])
