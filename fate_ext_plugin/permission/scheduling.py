"""Which requests FATE Flow may carry out on jobs once they were permitted.

FATE Flow asks for permission when a job is created, and never again. Its schedulers then send requests that write
columns of jobs and tasks, all that the body names: what a job runs and reads among them. So only those pass that FATE
Flow 1.9 to 1.11 really send, with what they send. Knows no Flask and no FATE Flow: a request is told by the rule of
its route, the parts of its path, and its body.
"""
from typing import Any, Callable, Dict, FrozenSet, Mapping, Optional

#: The prefixes of the routes that are looked at: those of FATE Flow's scheduling_apps that partners may call.
PREFIXES = ("/v1/party/", "/v1/initiator/", "/v1/tracker/")
# What a site's own task workers write and read. Of partners' requests only one is among them, see RULES.
OWN_PREFIX = "/v1/tracker/"

_JOB = "<job_id>/<role>/<party_id>"
_TASK = "<job_id>/<component_name>/<task_id>/<task_version>/<role>/<party_id>"
CREATE, ALIGN = f"/v1/party/{_JOB}/create", f"/v1/party/{_JOB}/align"
# FATE Flow takes these from the path; a body may repeat its sender's.
_JOB_KEYS = frozenset({"job_id", "role", "party_id"})
_TASK_KEYS = _JOB_KEYS | {"component_name", "task_id", "task_version"}
_TIMES = frozenset({"start_time", "update_time", "end_time", "elapsed"})
_PROGRESS = _TASK_KEYS | _TIMES | {"party_status", "error_report"}
# A task made anew, to run again. FATE Flow hands its body over as arguments, which have other names, too.
_TASK_COLUMNS = _PROGRESS | {
    "auto_retries", "auto_retry_delay", "cmd", "component_module", "component_parameters", "create_date",
    "create_time", "deepspeed_id", "end_date", "engine_conf", "federated_mode", "federated_status_collect_type",
    "initiator_party_id", "initiator_role", "is_deepspeed", "kill_status", "provider_info", "run_ip",
    "run_on_this_party", "run_pid", "run_port", "start_date", "status", "status_code", "update_date", "worker_id",
}
_NOTHING: FrozenSet[str] = frozenset()
_NOT_WRITTEN = None

#: By the rule of its route, what the body of a request may hold; None where FATE Flow writes nothing of it.
RULES: Dict[str, Optional[FrozenSet[str]]] = {
    CREATE: _NOT_WRITTEN,  # permission is asked for it
    ALIGN: _JOB_KEYS | {"inheritance_info"},
    f"/v1/party/{_JOB}/start": _NOTHING,
    f"/v1/party/{_JOB}/update":
        _JOB_KEYS | {"progress", "ready_signal", "ready_time", "rerun_signal", "end_time", "elapsed"},
    **{f"/v1/party/{_JOB}/{command}": _NOT_WRITTEN for command in (
        "component/inheritance/check", "component/rerun/check", "dependence/check", "resource/apply", "resource/return",
        "status/<status>", "model", "stop/<stop_status>", "clean")},
    f"/v1/party/{_TASK}/create": _TASK_COLUMNS,
    f"/v1/party/{_TASK}/start": frozenset({"user_id"}),
    f"/v1/party/{_TASK}/update": _PROGRESS,
    **{f"/v1/party/{_TASK}/{command}": _NOT_WRITTEN for command in (
        "collect", "status/<status>", "stop/<stop_status>", "clean/<content_type>")},
    **{f"/v1/initiator/{_JOB}/{command}": _NOT_WRITTEN for command in ("stop/<stop_status>", "rerun")},
    f"/v1/initiator/{_TASK}/report": _PROGRESS,
    "/v1/tracker/<job_id>/<component_name>/<role>/<party_id>/output/table": _NOT_WRITTEN,
}
#: The same for requests of the site's own task workers, under OWN_PREFIX beside.
OWN_RULES: Dict[str, Optional[FrozenSet[str]]] = {
    f"/v1/party/{_TASK}/report": _PROGRESS | {"run_ip", "run_port", "run_pid"},
}
UNCHANGED = "What a job runs, and on which data, can't be changed after it was permitted; start a new job."


def objection(
    rule: str, path: Mapping[str, Any], body: Any, own: bool, inheritance: Callable[[], Any]
) -> Optional[str]:
    """Why a request under PREFIXES is refused; None where it may pass.

    :param rule: of its route, such as ``/v1/party/<job_id>/<role>/<party_id>/start``.
    :param path: what stands in the path for the names in ``rule``.
    :param body: what its JSON holds, None where it is none.
    :param own: whether this site itself sends it.
    :param inheritance: returns the ``inheritance_info`` that the job was created with, None where there is no such job.
    """
    if rule == CREATE:
        return _disagreement(path, body)
    if own and (rule.startswith(OWN_PREFIX) or rule in OWN_RULES):
        fields = OWN_RULES.get(rule, _NOT_WRITTEN)
    elif rule in RULES:
        fields = RULES[rule]
    else:
        return UNCHANGED if rule.startswith("/v1/party/") else "Only this site itself may ask for this."
    if fields is _NOT_WRITTEN or not body:
        return None
    # A list of pairs would be taken for an object.
    if not isinstance(body, dict) or not fields.issuperset(body):
        return UNCHANGED
    if any(str(body[name]) != str(path.get(name)) for name in ("job_id", "component_name") if name in body):
        return UNCHANGED
    if rule == ALIGN and "inheritance_info" in body and not _narrows(body["inheritance_info"], inheritance()):
        return UNCHANGED
    return None


def _disagreement(path: Mapping[str, Any], body: Any) -> Optional[str]:
    """Permission is asked for by the path and by ``runtime_conf``; FATE Flow then keeps the body's own columns, and
    refuses a body that lacks one."""
    conf = body.get("runtime_conf") if isinstance(body, dict) else None
    initiator = conf.get("initiator") if isinstance(conf, dict) else None
    if not isinstance(conf, dict) or not isinstance(initiator, dict):
        return "runtime_conf must be an object with an initiator."
    for name, kept, asked in (
        ("job_id", body.get("job_id"), path.get("job_id")),
        ("initiator_role", body.get("initiator_role"), initiator.get("role")),
        ("initiator_party_id", str(body.get("initiator_party_id")), str(initiator.get("party_id"))),
        ("roles", body.get("roles"), conf.get("role")),
    ):
        if name in body and kept != asked:
            return f"{name} is not the one that permission is asked for."
    return None


def _narrows(info: Any, created: Any) -> bool:
    """Whether FATE Flow only leaves out components whose output is not there any more."""
    if not isinstance(info, dict) or not isinstance(created, dict):
        return False
    components, permitted = info.get("component_list"), created.get("component_list")
    if not isinstance(components, list) or not isinstance(permitted, list):
        return False
    same_job = {**info, "component_list": None} == {**created, "component_list": None}
    return same_job and all(name in permitted for name in components)
