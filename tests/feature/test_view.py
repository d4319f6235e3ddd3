"""Feature views: how requestBody chooses a view, narrows its features and gives its parameters."""
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Mapping

import pytest

from fate_ext_plugin.errors import InvalidRequestBody
from fate_ext_plugin.feature.view import Parameter, View, choose_view
from fate_ext_plugin.settings.load import parse_settings


@pytest.fixture
def views(tmp_path: Path) -> Mapping[str, View]:
    return parse_settings({
        "data_dir": "ext",
        "views": {
            "credit": {
                "source": {"type": "file", "path": "/data/{stat_month}/{version}/*.parquet"},
                "columns": ["amount", "age"],
                "parameters": {
                    "stat_month": {"pattern": r"\d{6}", "required": True},
                    "version": {"pattern": r"v\d+", "default": "v1"},
                    "region": {"pattern": "[A-Z]{2}", "column": "region_code"},
                },
            },
            "debit": {"source": {"type": "file", "path": "/data/debit.csv"}, "columns": ["limit"]},
        },
    }, tmp_path).views


def test_every_column_that_a_job_may_read_is_known(views: Mapping[str, View]) -> None:
    """For fate-ext check. A parameter may filter a column that is served, too."""
    assert views["credit"].source_columns() == ["id", "amount", "age", "region_code"]
    age = Parameter(pattern=r"\d+", column="age")
    assert replace(views["debit"], columns=["age"], parameters={"age": age}).source_columns() == ["id", "age"]


def refusal(view: View, body: Dict[str, Any]) -> str:
    with pytest.raises(InvalidRequestBody) as caught:
        view.join(body)
    return caught.value.message


def test_parameters_fill_the_path_or_filter_a_column(views: Mapping[str, View]) -> None:
    join = views["credit"].join({"stat_month": "202201", "region": "CN"})
    assert join.path_values == {"stat_month": "202201", "version": "v1"}
    assert join.filters == {"region_code": "CN"}


def test_numbers_are_taken_as_their_text(views: Mapping[str, View]) -> None:
    assert views["credit"].join({"stat_month": 202201}).path_values["stat_month"] == "202201"


def test_all_columns_are_served_unless_narrowed(views: Mapping[str, View]) -> None:
    assert views["debit"].join({}).columns == ["limit"]
    assert views["credit"].join({"stat_month": "202201", "features": ["age"]}).columns == ["age"]


@pytest.mark.parametrize("body, said", [
    ({}, "'stat_month' of view 'credit' is required"),
    ({"stat_month": None}, "'stat_month' of view 'credit' is required"),
    ({"stat_month": "2022"}, r"'2022' does not match the pattern '\\d{6}'"),
    ({"stat_month": "202201\n"}, "does not match the pattern"),
    ({"stat_month": ["202201"]}, "must be a text or a number"),
    ({"stat_month": True}, "must be a text or a number"),
    ({"stat_month": "202201", "month": "1"},
     "Undeclared in requestBody: 'month'. Parameters of view 'credit': stat_month"),
    ({"stat_month": "202201", "features": ["ssn"]}, "unknown: 'ssn'. View 'credit' has: amount, age"),
    ({"stat_month": "202201", "features": []}, "features: empty. View 'credit' has: amount, age"),
    ({"stat_month": "202201", "features": ["age", "age"]}, "names a column twice"),
])
def test_anything_undeclared_is_refused_with_what_is_allowed(
    views: Mapping[str, View], body: Dict[str, Any], said: str
) -> None:
    assert said in refusal(views["credit"], body)


class TestChoice:
    def test_by_name(self, views: Mapping[str, View]) -> None:
        assert choose_view(views, None, "debit").name == "debit"

    def test_the_default_or_the_only_one(self, views: Mapping[str, View]) -> None:
        assert choose_view(views, "credit", None).name == "credit"
        assert choose_view({"debit": views["debit"]}, None, None).name == "debit"

    @pytest.mark.parametrize("wanted, said", [(None, "Say which view"), ("ghost", "Unknown view 'ghost'")])
    def test_otherwise_the_views_are_named(self, views: Mapping[str, View], wanted: Any, said: str) -> None:
        with pytest.raises(InvalidRequestBody, match=f"{said}.*credit, debit"):
            choose_view(views, None, wanted)
