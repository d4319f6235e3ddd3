"""What a partner can't do with a job that a real FATE Flow has permitted, and what honest schedulers still can."""
import json
from typing import Any, Dict, List

import pytest
import requests

from tests.fate_flow.features import expected
from tests.fate_flow.flow import GUEST, HOST, JOB_SECONDS, Flow, Installation
from tests.fate_flow.permission import LEAST, grant, needs_mysql, refusal, submit
from tests.support.site import wait_until

pytestmark = needs_mysql
IDS = [*LEAST, "--dataset", "exp/ids"]
DSL = {"components": {"reader_0": {"module": "Reader", "output": {"data": ["data"]}}}}


@pytest.fixture
def flow(permission_flow: Flow) -> Flow:
    return permission_flow


def reads(name: str) -> Dict[str, Any]:
    """Component parameters with which the host's Reader reads exp/<name>."""
    return {"role": {"host": {"0": {"reader_0": {"table": {"name": name, "namespace": "exp"}}}}}}


def ask(flow: Flow, path: str, body: Any, party: int = GUEST) -> Dict[str, Any]:
    """A request to FATE Flow's schedulers, as ``party`` sends it."""
    answer = requests.post(f"{flow.url}/v1{path}", json=body, headers={"SRC-PARTY-ID": str(party)}, timeout=60)
    return dict(answer.json())


def create(flow: Flow, job: str, role: str, party: int, **changes: Any) -> str:
    """Ask for a job of one Reader that reads exp/ids; what FATE Flow answers. ``changes``: to the columns it sends."""
    conf = {"dsl_version": 2, "initiator": {"role": "guest", "party_id": HOST}, "role": {role: [party]},
            "job_parameters": {"common": {"job_type": "train", "model_id": f"guest-{HOST}#model",
                                          "model_version": job}},
            "component_parameters": {"role": {role: reads("ids")["role"]["host"]}}}
    body = {"dsl": DSL, "runtime_conf": conf, "train_runtime_conf": {}, **changes}
    return json.dumps(ask(flow, f"/party/{job}/{role}/{party}/create", body, HOST))


def test_a_permitted_job_can_not_be_made_to_read_another_table(
    flow: Flow, installation: Installation
) -> None:
    """FATE Flow's schedulers may write any column of a job and its tasks, and where the output of a component lies."""
    grant(flow, *IDS, "--name", "least")
    job_id = flow.submit()
    job, task = f"/party/{job_id}/host/{HOST}", f"{job_id}/reader_0/{job_id}_reader_0/0/host/{HOST}"
    changed = {"component_parameters": reads("secret")}
    for path, body in (
        (f"{job}/align", {"runtime_conf": changed}), (f"{job}/align/", {"runtime_conf_on_party": changed}),
        (f"{job}/align", [["runtime_conf", changed]]), (f"{job}/start", {"runtime_conf": changed}),
        (f"{job}/start", {"role": "guest", "party_id": GUEST}), (f"{job}/update", {"dsl": DSL}),
        (f"{job}/update", {"inheritance_status": "waiting"}), (f"{job}/parameter/update", changed),
        (f"/party/{task}/update", {"provider_info": {"path": "/tmp"}}),
        (f"/party/{task}/report", {"run_ip": "10.0.0.5"}),
        (f"/party/{task}/create", {"job_id": "another", "component_name": "reader_0"}),
        (f"/initiator/{task}/report", {"component_parameters": {}}),
        (f"/tracker/{task}/output_data_info/save",
         {"data_name": "data", "table_namespace": "exp", "table_name": "secret"}),
        (f"/tracker/{task}/table_meta/create", {"name": "ids", "namespace": "exp"}),
    ):
        assert ask(flow, path, body, HOST)["retcode"] == 108, path
    assert ask(flow, "/operation/json_conf/load", {"config_path": "/etc/passwd"}, HOST)["retcode"] == 109
    assert flow.wait(job_id) == ("success" if installation.api_reader_works else "failed")
    if installation.api_reader_works:
        assert flow.output(job_id) == expected(range(990, 1010))


def test_the_output_of_another_job_can_not_be_inherited_without_a_grant(flow: Flow) -> None:
    grant(flow, *IDS, "--name", "least")
    source = flow.submit()
    flow.wait(source)
    info = {"job_id": source, "component_list": ["reader_0"]}
    inheriting = {"common": {"task_parallelism": 1, "inheritance_info": info}}
    named = f"may not use dataset {source}/reader_0 here"
    assert named in refusal(flow, job_parameters=inheriting)
    # Only the job's own column counts for FATE Flow, which it does not show to whoever decides.
    grant(flow, "--party", str(HOST), "--component", "reader", "--dataset", "exp/ids", "--name", "other")
    assert named in create(flow, "202601010000000000001", "host", HOST + 1, inheritance_info=info)
    permitted = flow.submit()
    for command, body in (("update", {"inheritance_info": info, "inheritance_status": "waiting"}),
                          ("align", {"inheritance_info": info})):
        assert ask(flow, f"/party/{permitted}/host/{HOST}/{command}", body)["retcode"] == 108
    flow.wait(permitted)

    grant(flow, "--party", str(GUEST), "--role", "host", "--dataset", f"{source}/*", "--name", "inherit")
    inherited = str(submit(flow, job_parameters=inheriting)["jobId"])
    assert flow.wait(inherited) == flow.job(source)["f_status"], flow.report(inherited)


def test_a_used_up_grant_can_not_be_used_by_a_known_job_in_another_role(flow: Flow) -> None:
    grant(flow, "--party", str(HOST), "--component", "reader", "--dataset", "exp/*", "--name", "once",
          "--max-uses", "1")
    job_id = "202601010000000000002"
    assert "permission check failed" not in create(flow, job_id, "host", HOST + 1)
    found: List[str] = [create(flow, job_id, role, party) for role, party in (("guest", HOST + 1), ("host", HOST + 2))]
    assert all("grant once used 1 of 1." in answer for answer in found), found
    assert json.loads(flow.fate_ext("grant", "show", "once", "--json"))["uses"] == 1
    # A row of another job would not be counted.
    assert "job_id is not the one" in create(flow, job_id, "host", HOST + 1, job_id=job_id[:-1] + "3")
    # FATE Flow sends a request up to three times.
    assert "permission check failed" not in create(flow, job_id, "host", HOST + 1)


def test_an_arbiter_reads_nothing_and_needs_no_dataset(flow: Flow) -> None:
    grant(flow, *IDS, "--name", "host")
    roles = {"guest": [GUEST], "host": [HOST], "arbiter": [HOST]}
    assert "may not use component reader here as arbiter" in refusal(flow, role=roles)
    grant(flow, "--party", str(GUEST), "--role", "arbiter", "--component", "reader", "--component", "apireader",
          "--name", "arbiter")
    job_id = str(submit(flow, role=roles)["jobId"])
    assert flow.wait(job_id) == "success", flow.report(job_id)


def test_a_permitted_job_can_be_rerun_as_it_is(flow: Flow) -> None:
    """FATE Flow makes each task anew then, by a request that writes a whole row."""
    grant(flow, *IDS, "--name", "least")
    job_id = flow.submit()
    flow.wait(job_id)
    flow.call("/job/rerun", {"job_id": job_id, "component_name": "pipeline", "force": True})

    def rerun() -> bool:
        tasks = flow.call("/job/task/query", {"job_id": job_id, "component_name": "reader_0", "role": "host"})["data"]
        return any(int(task["f_task_version"]) > 0 and task["f_status"] == "success" for task in tasks)

    wait_until(rerun, JOB_SECONDS, "the Reader to succeed a second time")
    assert flow.wait(job_id) in ("success", "failed")
