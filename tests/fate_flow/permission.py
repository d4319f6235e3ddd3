"""Sites of a real FATE Flow whose permission switch is on, with our hook in place of FATE Flow's own check."""
import json
import os
import time
from typing import Any, Dict, List

import pytest

from tests.fate_flow.flow import GUEST, Flow

CONF: Dict[str, Any] = {
    "party_id": GUEST, "permission": {"switch": True, "component": True, "dataset": True},
    "hook_module": {"permission": "fate_ext_plugin.hook.permission"}}
# FATE Flow's own check opens MySQL at its import, whatever hook is configured (contract section 7).
needs_mysql = pytest.mark.skipif(
    os.environ.get("FATE_FLOW_MYSQL") != "1", reason="FATE Flow's permission switch needs MySQL: FATE_FLOW_MYSQL=1")
LEAST = ["--party", str(GUEST), "--role", "host", "--component", "reader", "--component", "apireader"]


def forget_grants(flow: Flow) -> None:
    policy = flow.folder / "policy.yaml"
    policy.write_text("grants: []\n")
    flow.fate_ext("grant", "apply", str(policy), "--yes")


def grant(flow: Flow, *options: str) -> None:
    flow.fate_ext("grant", "add", *options)
    time.sleep(2)  # as is promised


def refusal(flow: Flow, **changes: Any) -> str:
    """What FATE Flow answers to a job that is not let in."""
    answer = submit(flow, **changes)
    assert answer["retcode"] != 0, answer
    return json.dumps(answer)


def submit(flow: Flow, **changes: Any) -> Dict[str, Any]:
    """The two-party job Reader -> ApiReader; ``changes`` to its configuration."""
    answers: List[Dict[str, Any]] = []

    class Posted(Exception):
        pass

    def post(path: str, body: Any) -> Any:
        body["runtime_conf"].update(changes)
        answers.append(flow.post(path, body).json())
        raise Posted

    call, flow.call = flow.call, post  # type: ignore[method-assign]
    try:
        flow.submit()
    except Posted:
        pass
    finally:
        flow.call = call  # type: ignore[method-assign]
    return answers[0]
