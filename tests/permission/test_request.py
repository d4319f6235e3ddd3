"""What is read of FATE Flow's requests, and what of them is not believed (contract section 7)."""
import copy
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.errors import InvalidPermissionRequest
from fate_ext_plugin.permission.item import component, dataset
from fate_ext_plugin.permission.request import MAX_ITEMS, PermissionRequest, read_request
from tests.support.permission import recorded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6)


def request(**changes: Any) -> Dict[str, Any]:
    """The host's of the recorded job; a change to ... leaves the key out."""
    changed = {**copy.deepcopy(recorded()[3]), **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def datasets(**changes: Any) -> List[Any]:
    return [item.parts for item in read_request(request(**changes), "10000").items if item.kind == "dataset"]


def reader(*parameters: Any) -> Dict[str, Any]:
    return {"reader": [{**instance, "_name": "Reader#reader_0"} for instance in parameters]}


class TestRealRequests:
    def test_uploads_are_local(self) -> None:
        for upload in recorded()[:2]:
            read = read_request(upload, "10000")
            assert read.local and read.party == "10000" and read.items == (component("upload"),)

    def test_the_guest_s_own_part_of_a_job_is_local(self) -> None:
        assert read_request(recorded()[2], "9999").local

    def test_the_host_is_asked_by_the_initiator(self) -> None:
        assert read_request(recorded()[3], "10000") == PermissionRequest(
            party="9999", role="host", site="10000", initiator="9999", job="202611231038053132510",
            items=(component("reader"), component("apireader"), dataset("exp", "host_ids")))

    def test_one_survives_the_audit_trail(self) -> None:
        read = read_request(recorded()[3], "10000")
        assert PermissionRequest.from_dict(read.to_dict()) == read

    @pytest.mark.parametrize("key", ["src_role", "src_party_id", "role", "party_id", "initiator", "roles",
                                     "dataset_list", "run_time_conf", "component_parameters", "dsl"])
    def test_only_the_components_must_be_there(self, key: str) -> None:
        assert component("apireader") in read_request(request(**{key: ...}), "10000").items
        assert component("apireader") in read_request(request(**{key: None}), "10000").items
        with pytest.raises(InvalidPermissionRequest, match="component_list"):
            read_request(request(component_list=...), "10000")


class TestLocalJobs:
    @pytest.mark.parametrize("changes, local", [
        (dict(src_party_id="", role="local", party_id="0"), True),
        (dict(src_party_id="10000", role="local", party_id="0"), True),
        (dict(src_party_id="10000", role="host", party_id="10000"), True),
        (dict(src_party_id="9999", role="host", party_id="9999"), False),  # the path is the caller's
        (dict(src_party_id="10000", role="host", party_id="9999"), False),
        (dict(src_party_id="9999", role="guest", party_id="0"), False),
        (dict(src_party_id="9999", role="local", party_id="0"), False),  # another party calls its job local
        (dict(src_party_id="9999", role="host", party_id="10000"), False),
        (dict(src_party_id="", role="host", party_id="10000"), False),
        (dict(src_party_id="", role="host", party_id=""), False),
    ])
    def test_are_those_that_this_site_starts_for_itself(self, changes: Dict[str, str], local: bool) -> None:
        assert read_request(request(**changes), "10000").local is local


class TestDatasets:
    @pytest.mark.parametrize("value", [
        {"namespace": "exp", "name": "ids"}, '{"name": "ids", "namespace": "exp"}', "exp.ids"])
    def test_come_as_objects_as_json_and_as_text(self, value: Any) -> None:
        assert datasets(dataset_list=[value], component_parameters=None) == [("exp", "ids")]

    @pytest.mark.parametrize("value", [
        "a.b.c", "ids", "", 7, None, True, ["exp", "ids"], {"namespace": "exp"}, {"name": "ids", "namespace": None},
        {"namespace": ["exp"], "name": "ids"}, "{" * 100_000, '{"a.b": 1}'])
    def test_that_can_not_be_told_are_refused(self, value: Any) -> None:
        with pytest.raises(InvalidPermissionRequest, match="dataset_list"):
            datasets(dataset_list=[value], component_parameters=None)

    def test_a_name_with_dots_is_asked_for_whole(self) -> None:
        """FATE Flow cuts exp/ids.secret to exp/ids in its list; the reader reads exp/ids.secret."""
        assert datasets(dataset_list=[{"namespace": "exp", "name": "ids"}],
                        component_parameters=reader({"table": {"namespace": "exp", "name": "ids.secret"}})
                        ) == [("exp", "ids.secret")]

    def test_a_table_among_common_parameters_is_asked_for(self) -> None:
        """FATE Flow's list looks at the parameters of roles only."""
        assert datasets(dataset_list=[], component_parameters=reader({"table": {"namespace": "exp", "name": "ids"}})
                        ) == [("exp", "ids")]

    def test_another_job_s_output_is_a_dataset_as_fate_flow_names_it(self) -> None:
        output = {"job_id": "202601010000000000000", "component_name": "intersection_0", "data_name": "data"}
        assert datasets(dataset_list=[], component_parameters=reader({"table": output})
                        ) == [("202601010000000000000", "intersection_0")]

    @pytest.mark.parametrize("instance", [{"table": None}, {}, {"table": {"name": "ids"}}, {"table": "exp.ids"}])
    def test_a_reader_that_does_not_say_what_it_reads_is_refused(self, instance: Any) -> None:
        """FATE Flow may fill it in from parameters stored with a model."""
        with pytest.raises(InvalidPermissionRequest, match="does not say what it reads"):
            datasets(component_parameters=reader(instance))

    def test_models_and_caches_are_datasets_too(self) -> None:
        assert datasets(component_list=["modelloader", "cacheloader", "writer"], component_parameters={
            "modelloader": [{"model_id": "guest-9999#model", "model_version": "2026", "component_name": "lr_0"}],
            "cacheloader": [{"job_id": "2026", "component_name": "intersection_0"}],
            "writer": [{"namespace": "exp", "name": "in", "output_namespace": "exp", "output_name": "out"}]}) == [
                ("exp", "in"), ("exp", "out"), ("guest-9999#model", "2026"), ("2026", "intersection_0")]

    def test_every_reader_counts_and_a_download_is_one(self) -> None:
        parameters = {**reader({"table": {"namespace": "a", "name": "1"}}, {"any": {"namespace": "a", "name": "2"}}),
                      "download": [{"namespace": "b", "name": "3", "_name": "Download#download_0"}],
                      "upload": [{"namespace": "c", "name": "4"}]}
        assert datasets(component_parameters=parameters) == [("a", "1"), ("a", "2"), ("b", "3")]


class TestJobs:
    def test_the_job_s_id_is_the_version_of_the_model_it_makes(self) -> None:
        assert read_request(request(), "10000").job == "202611231038053132510"

    def test_a_predict_job_names_the_model_it_uses_so_its_own_id_is_not_known(self) -> None:
        conf = {"job_parameters": {"common": {"job_type": "predict", "model_version": "202611231038053132510"}}}
        assert read_request(request(run_time_conf=conf), "10000").job is None
        assert read_request(request(run_time_conf=conf), "10000", job="202611250000000000001"
                            ).job == "202611250000000000001"

    @pytest.mark.parametrize("conf", [None, {}, [], "x", {"job_parameters": 1}, {"job_parameters": {"common": []}},
                                      {"job_parameters": {"common": {"model_version": 7}}}])
    def test_one_without_an_id_has_none(self, conf: Any) -> None:
        assert read_request(request(run_time_conf=conf), "10000").job is None


class TestParties:
    def test_those_that_take_part_beside_the_one_that_asks_and_this_site(self) -> None:
        roles = {"guest": [9999], "host": [10000, 10001], "arbiter": [10002]}
        assert read_request(request(roles=roles), "10000").others == {"10001", "10002"}

    def test_one_that_the_path_names_takes_part(self) -> None:
        roles = {"guest": [9999], "host": [7777]}
        assert read_request(request(roles=roles, party_id="7777"), "10000").others == {"7777"}

    def test_where_they_are_not_told_they_are_nobody_that_a_grant_names(self) -> None:
        assert read_request(request(roles=None), "10000").others == {"?"}


class TestBadInput:
    @pytest.mark.parametrize("changes", [
        dict(component_list="reader"), dict(component_list=[None]), dict(component_list=[["reader"]]),
        dict(component_list={"reader": 1}), dict(component_list=[True]), dict(src_party_id=["9999"]),
        dict(src_party_id=1.5), dict(role={}), dict(role="Host"), dict(role="x\ny"), dict(src_party_id="9" * 256),
        dict(component_list=["x" * 256]), dict(component_list=["a\u200bb"]), dict(party_id="1\x00"),
 dict(party_id=[]), dict(initiator="guest"),
        dict(initiator={"party_id": {}}), dict(roles=[]), dict(roles={"host": 10000}), dict(roles={"host": [None]}),
        dict(dataset_list="exp.ids", component_parameters=None), dict(component_parameters=[]),
        dict(component_parameters={"reader": {}}), dict(component_parameters={"reader": [1]}),
        dict(component_parameters=reader({"table": {"namespace": {}, "name": "x"}})),
    ])
    def test_wrong_types_are_refused_with_the_field_s_name(self, changes: Dict[str, Any]) -> None:
        with pytest.raises(InvalidPermissionRequest) as refused:
            read_request(request(**changes), "10000")
        assert next(iter(changes)) in refused.value.message

    @given(st.dictionaries(st.sampled_from(
        ["src_party_id", "role", "party_id", "initiator", "roles", "component_list", "dataset_list",
         "component_parameters", "run_time_conf"]), JSON))
    def test_anything_else_is_read_or_refused(self, given: Dict[str, Any]) -> None:
        try:
            read = read_request(given, "10000")
        except InvalidPermissionRequest:
            return
        assert read.items or given["component_list"] == []

    def test_parties_may_be_numbers(self) -> None:
        read = read_request(request(src_party_id=9999, initiator={"role": "guest", "party_id": 9999}), "10000")
        assert read.party == read.initiator == "9999"

    def test_two_hundred_items_are_enough(self) -> None:
        # The parameters add reader, apireader and a dataset.
        names = [f"c{number}" for number in range(MAX_ITEMS - 3)]
        assert len(read_request(request(component_list=names * 5), "10000").items) == MAX_ITEMS
        with pytest.raises(InvalidPermissionRequest, match="200"):
            read_request(request(component_list=[*names, "one", "too many"]), "10000")

    def test_unicode_and_separators_stay_as_they_are(self) -> None:
        name = "样本/表.1;\"' é"
        assert datasets(component_parameters=reader({"table": {"namespace": "实验", "name": name}})) == [("实验", name)]
