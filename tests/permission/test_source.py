"""What FATE Flow will read for a job: no more than that needs a grant, and no less."""
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.errors import InvalidPermissionRequest
from fate_ext_plugin.permission.item import DATASET, dataset
from fate_ext_plugin.permission.request import PermissionRequest, read_request
from tests.support.permission import recorded

JOB = "202611231038053132510"  # the recorded one
SECRET = {"namespace": "credit", "name": "secret"}
OK = {"namespace": "credit", "name": "ok"}


def read(job: Any = None, **changes: Any) -> PermissionRequest:
    return read_request({**recorded()[3], **changes}, "10000", job)


def read_by(module: str, *instances: Any, role: str = "host") -> List[Tuple[str, ...]]:
    """The datasets that a job of components of one module is asked for."""
    found = read(role=role, component_list=[module] * len(instances), component_parameters={module: list(instances)})
    return [item.parts for item in found.items if item.kind == DATASET]


class TestRoles:
    @pytest.mark.parametrize("module, roles", [
        ("reader", ["arbiter", "local"]), ("cacheloader", ["arbiter", "local"]), ("modelloader", ["local"]),
        ("writer", ["arbiter"]), ("download", ["guest", "host", "arbiter"])])
    def test_for_which_fate_flow_runs_no_such_component_read_nothing(self, module: str, roles: List[str]) -> None:
        """FATE Flow hands over {} for them."""
        for role in roles:
            assert read_by(module, {}, role=role) == []

    @pytest.mark.parametrize("role", ["guest", "host", ""])
    def test_for_which_it_runs_must_say_what_they_read(self, role: str) -> None:
        with pytest.raises(InvalidPermissionRequest, match="does not say what it reads"):
            read_by("reader", {}, role=role)

    def test_what_is_named_all_the_same_is_asked_for(self) -> None:
        assert read_by("reader", {"table": SECRET}, role="arbiter") == [("credit", "secret")]


class TestReaders:
    def test_without_any_dataset_are_refused(self) -> None:
        for parameters in (None, {}, {"apireader": [{}]}, {"reader": []}):
            with pytest.raises(InvalidPermissionRequest, match="not say what"):
                read(component_parameters=parameters, dataset_list=[])

    def test_are_as_many_as_the_components(self) -> None:
        with pytest.raises(InvalidPermissionRequest, match="does not say what it reads"):
            read(component_list=["reader", "Reader"], component_parameters={"reader": [{"table": OK}]})

    @pytest.mark.parametrize("nested", [
        {"deeper": {"still": SECRET}}, {"listed": [OK, [{"x": SECRET}]]}, {"beside": {**OK, "inner": SECRET}}])
    def test_are_asked_for_tables_at_any_depth(self, nested: Any) -> None:
        assert ("credit", "secret") in read_by("writer", {**OK, **nested})

    @pytest.mark.parametrize("instance", [
        {"table": None, "decoy": OK}, {"table": [SECRET], "decoy": OK}, {"table": {"x": SECRET}, "decoy": OK},
        {"table": {"namespace": "credit"}, "decoy": OK}, {"table": {"namespace": "", "name": ""}}, {"_name": OK}])
    def test_say_it_in_each_parameter_as_fate_flow_reads_the_first(self, instance: Any) -> None:
        with pytest.raises(InvalidPermissionRequest, match="does not say what it reads"):
            read_by("reader", instance)

    def test_of_a_cache_by_its_key_are_refused(self) -> None:
        """FATE Flow then looks at nothing else."""
        named = {"job_id": "2026", "component_name": "intersection_0", "cache_key": None}
        assert read_by("cacheloader", named) == [("2026", "intersection_0")]
        with pytest.raises(InvalidPermissionRequest, match="does not say what it reads"):
            read_by("cacheloader", {**named, "cache_key": "another's"})

    def test_a_component_that_fate_flow_adds_is_asked_for(self) -> None:
        """It makes readers of the inputs of a configuration of version 1."""
        found = read(component_list=["heterolr"], component_parameters={"reader": [{"table": OK}], "heterolr": [{}]})
        assert [str(item) for item in found.items] == ["component heterolr", "component reader", "dataset credit/ok"]

    def test_no_component_has_the_name_under_which_tables_are_read_without_a_reader(self) -> None:
        dsl = {"components": {"args": {"module": "Reader", "output": {"data": ["x"]}}}}
        with pytest.raises(InvalidPermissionRequest, match="called args"):
            read(dsl=dsl)

    def test_this_site_s_own_jobs_need_not_say_what_they_read(self) -> None:
        given = {**recorded()[2], "component_parameters": {"reader": [{}]}}
        assert read_request(given, "9999", trust_own=True).local
        with pytest.raises(InvalidPermissionRequest):
            read_request(given, "9999")
        with pytest.raises(InvalidPermissionRequest):
            read_request({**given, "src_party_id": "10001"}, "9999", trust_own=True)

    @given(depth=st.lists(st.sampled_from(["list", "dict"]), max_size=40))
    def test_no_depth_hides_a_table(self, depth: List[str]) -> None:
        value: Any = SECRET
        for kind in depth:
            value = [OK, value] if kind == "list" else {"a": value, "table": OK}
        assert ("credit", "secret") in read_by("writer", {**OK, "x": value})


class TestInheritance:
    INFO = {"job_id": "202601010000000000001", "component_list": ["reader_0", "intersection_0"]}
    NAMED = {dataset("202601010000000000001", "reader_0"), dataset("202601010000000000001", "intersection_0")}

    def test_is_a_dataset_for_each_component_whose_output_is_copied(self) -> None:
        """By the job's own column, which FATE Flow reads; over HTTP its configuration is all that is known."""
        conf: Dict[str, Any] = {"job_parameters": {"common": {"inheritance_info": self.INFO}}}
        assert set(read(inheritance_info=self.INFO).items) >= self.NAMED
        assert set(read(run_time_conf=conf).items) >= self.NAMED

    def test_without_any_is_nothing(self) -> None:
        assert read(inheritance_info={}).items == read(inheritance_info=None).items == read().items

    @pytest.mark.parametrize("info", [
        "x", ["x"], {"job_id": "1"}, {"component_list": ["a"]}, {"job_id": "1", "component_list": "a"},
        {"job_id": "1", "component_list": [["a"]]}, {"job_id": ["1", "2"], "component_list": ["a"]},
        {"job_id": "../../1", "component_list": ["a"]}, {"job_id": "1", "component_list": ["../a"]},
        {"job_id": "1", "component_list": ["a/b"]}, {"job_id": "", "component_list": ["a"]}])
    def test_that_is_no_job_with_components_is_refused(self, info: Any) -> None:
        """FATE Flow makes paths of these names, too."""
        with pytest.raises(InvalidPermissionRequest, match="inheritance_info"):
            read(inheritance_info=info)


class TestModels:
    @staticmethod
    def conf(**common: Any) -> Dict[str, Any]:
        return {"job_parameters": {"common": {"model_id": "guest-10001#host-10000#model", "model_version": "1",
                                              "job_type": "predict", **common}}}

    def test_of_other_parties_are_datasets(self) -> None:
        model = dataset("guest-10001#host-10000#model", "1")
        assert model in read(run_time_conf=self.conf()).items
        # A train job may read another job's model, too.
        assert model in read(JOB, run_time_conf=self.conf(job_type="train")).items

    @pytest.mark.parametrize("model", ["guest-9999#host-10000#model", "arbiter-1#guest-10001#host-10000_9999#model"])
    def test_that_the_asking_party_took_part_in_need_no_grant(self, model: str) -> None:
        assert read(run_time_conf=self.conf(model_id=model)).items == read().items

    def test_that_the_job_makes_need_no_grant(self) -> None:
        conf = self.conf(job_type="train", model_version=JOB)
        assert read(JOB, run_time_conf=conf).items == read(run_time_conf=conf).items == read().items

    def test_that_the_training_job_names_count_where_the_predict_job_names_none(self) -> None:
        used = {"model_id": "guest-10001#model", "model_version": "7"}
        conf = {"job_parameters": {"common": {"job_type": "predict"}}}
        train = {"job_parameters": {"common": used}}
        assert dataset("guest-10001#model", "7") in read(run_time_conf=conf, train_runtime_conf=train).items

    @pytest.mark.parametrize("section", ["job_parameters", "component_parameters"])
    def test_are_named_for_all_parties_alike(self, section: str) -> None:
        """FATE Flow 1.9 and 1.10 let the one section change them for a party, 1.11 the other."""
        hidden = {"role": {"host": {"0": {"model_id": "guest-10001#model"}}}}
        with pytest.raises(InvalidPermissionRequest, match="common only"):
            read(run_time_conf={**self.conf(), section: {**self.conf().get(section, {}), **hidden}})
        with pytest.raises(InvalidPermissionRequest, match="common only"):
            read(run_time_conf=self.conf(), train_runtime_conf={section: hidden})
