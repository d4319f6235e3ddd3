"""The text that FATE reads: what a feature file may hold, checked against FATE's own way of reading a line."""
from datetime import date
from decimal import Decimal
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.errors import InvalidFeature
from fate_ext_plugin.feature.engine.csv_format import LineWriter


def read_as_fate(line: str) -> List[str]:
    """fate_flow/utils/upload_utils.py: every line, as text files give them, is split after rstrip()."""
    return line.rstrip().split(",")


def writer(columns: int, replace: bool = False) -> LineWriter:
    return LineWriter([f"x{i}" for i in range(columns)], null_value="", replace=replace)


def test_values_are_written_as_fate_means_them() -> None:
    values = [None, True, False, 0.1, 1e-7, 7, Decimal("1.10"), "text", date(2022, 1, 31), 3.0]
    assert writer(10).line("u1", values) == "u1,,1,0,0.1,1e-07,7,1.10,text,2022-01-31,3.0\n"


def test_the_header_names_the_id_first() -> None:
    assert writer(2).header("sid") == "sid,x0,x1\n"


@pytest.mark.parametrize("value", ["a,b", 'a"b', "a\nb", "a\rb", "a\r\nb"])
def test_what_fate_would_misread_is_refused_by_column_and_id(value: str) -> None:
    with pytest.raises(InvalidFeature, match="Column 'x0' of ID 'u1'"):
        writer(2).line("u1", [value, 1])


def test_white_space_at_the_end_matters_in_the_last_column_only() -> None:
    assert writer(2).line("u1", ["a ", "b"]) == "u1,a ,b\n"
    with pytest.raises(InvalidFeature, match="Column 'x1' of ID 'u1'"):
        writer(2).line("u1", ["a", "b "])


def test_or_replaced() -> None:
    assert writer(2, replace=True).line("u1", ['a,"b"', "c\t "]) == "u1,a__b_,c_\n"


def test_an_id_is_never_changed() -> None:
    with pytest.raises(InvalidFeature, match="ID 'a,b'"):
        writer(1, replace=True).line("a,b", [1])


@given(st.lists(st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.booleans()), min_size=1, max_size=5))
def test_whatever_is_written_fate_reads_back(values: List[object]) -> None:
    """Either a row is refused, or FATE finds as many values as were written, each as its text."""
    try:
        line = writer(len(values)).line("u1", values)
    except InvalidFeature:
        return
    found = read_as_fate(line)
    assert len(found) == len(values) + 1
    for value, text in zip(values, found[1:]):
        if isinstance(value, float) and value == value:
            assert float(text) == value
        if isinstance(value, str):
            assert text == value


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_replacing_always_gives_a_line_fate_reads(values: List[str]) -> None:
    assert len(read_as_fate(writer(len(values), replace=True).line("u1", list(values)))) == len(values) + 1
