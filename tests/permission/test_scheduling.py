"""Which requests pass after a job was permitted: those that FATE Flow's schedulers really send, as they send them."""
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.permission.scheduling import ALIGN, CREATE, RULES, UNCHANGED, objection

JOB, TASK = "/v1/party/<job_id>/<role>/<party_id>", (
    "/v1/party/<job_id>/<component_name>/<task_id>/<task_version>/<role>/<party_id>")
REPORT = TASK.replace("party", "initiator", 1) + "/report"
PATH = {"job_id": "2026", "role": "host", "party_id": "10000", "component_name": "reader_0"}
INFO = {"job_id": "2025", "component_list": ["reader_0", "lr_0"]}
SENDER = {"job_id": "2026", "role": "guest", "party_id": 9999}
# As FATE Flow 1.9 to 1.11 write them.
JOB_COLUMNS = [
    "user_id", "name", "description", "tag", "dsl", "runtime_conf", "runtime_conf_on_party", "train_runtime_conf",
    "roles", "initiator_role", "initiator_party_id", "status_code", "user", "is_initiator", "cancel_signal",
    "cancel_time", "engine_name", "engine_type", "cores", "memory", "remaining_cores", "resource_in_use",
    "inheritance_info", "inheritance_status", "start_time"]
TASK_COLUMNS = [
    "component_module", "provider_info", "component_parameters", "engine_conf", "cmd", "run_ip", "run_port",
    "run_pid", "run_on_this_party", "worker_id", "federated_mode", "auto_retries"]


def refused(rule: str, body: Any, own: bool = False, inheritance: Any = None, **path: str) -> Any:
    return objection(rule, {**PATH, **path}, body, own, lambda: inheritance)


class TestWhatSchedulersSend:
    @pytest.mark.parametrize("rule, body", [
        (f"{JOB}/start", {}), (f"{JOB}/start", None), (f"{JOB}/update", {**SENDER, "progress": 50}),
        (f"{JOB}/update", {**SENDER, "ready_signal": False, "ready_time": None, "rerun_signal": False, "progress": 0,
                           "end_time": None, "elapsed": None}),
        (f"{JOB}/align", SENDER), (f"{JOB}/status/<status>", {"status": "running", "dsl": {}, "runtime_conf": {}}),
        (f"{JOB}/stop/<stop_status>", {}), (f"{JOB}/clean", {"host": [10000]}), (f"{JOB}/model", {}),
        (f"{JOB}/resource/apply", {}), (f"{JOB}/dependence/check", {}), (f"{TASK}/start", {"user_id": ""}),
        (f"{TASK}/create", {"job_id": "2026", "component_name": "reader_0", "task_version": 1, "provider_info": {}}),
        (f"{TASK}/stop/<stop_status>", {"is_asynchronous": True}), (f"{TASK}/collect", {}),
        (REPORT, {**SENDER, "task_id": "2026_reader_0", "task_version": 0, "party_status": "success",
                  "start_time": 1, "update_time": 2, "end_time": 3, "elapsed": 2, "error_report": ""}),
        ("/v1/initiator/<job_id>/<role>/<party_id>/rerun", {"component_name": ["lr_0"], "force": True}),
        ("/v1/tracker/<job_id>/<component_name>/<role>/<party_id>/output/table", {}),
    ])
    def test_passes(self, rule: str, body: Any) -> None:
        assert refused(rule, body) is None

    @pytest.mark.parametrize("rule, body", [
        (f"{TASK}/report", {**PATH, "run_ip": "10.0.0.1", "run_port": 9380, "run_pid": 7, "party_status": "running"}),
        ("/v1/tracker/<job_id>/.../output_data_info/save", {"table_name": "x"}),
    ])
    def test_passes_from_this_site_s_own_workers_only(self, rule: str, body: Any) -> None:
        assert refused(rule, body, own=True) is None
        assert refused(rule, body)


class TestWhatChangesAJob:
    @pytest.mark.parametrize("command", ["update", "align", "start"])
    @pytest.mark.parametrize("column", JOB_COLUMNS)
    def test_no_column_is_written_that_says_what_a_job_runs(self, command: str, column: str) -> None:
        assert refused(f"{JOB}/{command}", {"progress": 1, column: {"x": 1}}, own=True) == UNCHANGED

    @pytest.mark.parametrize("rule", [f"{TASK}/update", f"{TASK}/report", REPORT])
    @pytest.mark.parametrize("column", [column for column in TASK_COLUMNS if not column.startswith("run_")])
    def test_nor_of_a_task(self, rule: str, column: str) -> None:
        assert refused(rule, {"party_status": "running", column: "x"}, own=True) == UNCHANGED

    @pytest.mark.parametrize("argument", [
        "dsl_parser", "runtime_conf", "components", "job_parameters", "check_version", "is_scheduler"])
    def test_a_task_is_made_of_its_columns_only(self, argument: str) -> None:
        """FATE Flow hands the body over as the arguments of a function."""
        assert refused(f"{TASK}/create", {"job_id": "2026", "component_name": "reader_0", argument: {}}) == UNCHANGED

    @pytest.mark.parametrize("other", [{"job_id": "2025"}, {"component_name": "secret_0"}])
    def test_a_task_is_of_the_job_in_its_path(self, other: Dict[str, str]) -> None:
        assert refused(f"{TASK}/create", other) == UNCHANGED

    def test_no_list_of_pairs_is_taken_for_an_object(self) -> None:
        assert refused(f"{JOB}/update", [["runtime_conf", {}]]) == UNCHANGED

    @pytest.mark.parametrize("rule", [
        f"{JOB}/parameter/update", f"{JOB}/anything", f"{TASK}/anything", "/v1/initiator/<job_id>/anything",
        "/v1/tracker/<job_id>/.../table_meta/create"])
    def test_what_no_scheduler_sends_is_refused(self, rule: str) -> None:
        assert refused(rule, {})

    @given(rule=st.sampled_from(sorted(rule for rule, fields in RULES.items() if fields is not None)),
           body=st.dictionaries(st.text(), st.none()))
    def test_a_body_of_any_kind_is_read_and_only_known_names_pass(self, rule: str, body: Dict[str, Any]) -> None:
        fields = RULES[rule]
        assert fields is not None
        assert (refused(rule, body) is None) == (not body or fields.issuperset(body) and "job_id" not in body)


class TestInheritance:
    @pytest.mark.parametrize("components", [["reader_0", "lr_0"], ["reader_0"], []])
    def test_may_lose_components_whose_output_is_gone(self, components: Any) -> None:
        assert refused(ALIGN, {"inheritance_info": {**INFO, "component_list": components}}, inheritance=INFO) is None

    @pytest.mark.parametrize("info", [
        {**INFO, "job_id": "2024"}, {**INFO, "component_list": ["nn_0"]}, {**INFO, "component_list": None},
        {**INFO, "more": 1}, {"component_list": []}, {}, None, [], "x"])
    def test_takes_nothing_else(self, info: Any) -> None:
        assert refused(ALIGN, {"inheritance_info": info}, inheritance=INFO) == UNCHANGED

    @pytest.mark.parametrize("created", [None, {}, {"job_id": "2025"}])
    def test_begins_with_the_job_only(self, created: Any) -> None:
        assert refused(ALIGN, {"inheritance_info": INFO}, inheritance=created) == UNCHANGED


class TestCreation:
    BODY: Dict[str, Any] = {
        "job_id": "2026", "roles": {"host": [10000]}, "initiator_role": "guest", "initiator_party_id": 9999,
        "runtime_conf": {"role": {"host": [10000]}, "initiator": {"role": "guest", "party_id": 9999}}}

    def test_keeps_what_permission_is_asked_for(self) -> None:
        assert refused(CREATE, self.BODY) is None

    @pytest.mark.parametrize("column, value", [
        ("job_id", "2025"), ("job_id", 2026), ("roles", {"host": [10001]}), ("initiator_role", "host"),
        ("initiator_party_id", 10000)])
    def test_keeps_nothing_else(self, column: str, value: Any) -> None:
        assert column in refused(CREATE, {**self.BODY, column: value})

    @pytest.mark.parametrize("body", [None, [], "x", {}, {"runtime_conf": []}, {"runtime_conf": {"initiator": 1}}])
    def test_must_say_it(self, body: Any) -> None:
        assert "runtime_conf" in refused(CREATE, body)
