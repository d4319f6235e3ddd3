"""Names of components and datasets, and patterns of them: * stands for any text, and nothing else is special."""
from typing import List

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fate_ext_plugin.permission.item import Item, component, dataset, fold, matches

# Few letters, so that patterns and texts meet; those that MySQL takes for equal among them.
TEXT = st.text("ab/ AáÁ\u0301*.", max_size=8)


@pytest.mark.parametrize("pattern, text, covered", [
    ("hetero_lr", "hetero_lr", True), ("hetero_lr", "hetero_lr2", False), ("hetero*", "hetero_lr", True),
    ("hetero*", "hetero", True), ("*", "", True), ("*", "anything", True), ("*_lr", "hetero_lr", True),
    ("he*o_*r", "hetero_lr", True), ("a*a", "a", False), ("ab*ba", "aba", False), ("a**b", "ab", True),
])
def test_a_star_stands_for_any_text(pattern: str, text: str, covered: bool) -> None:
    assert matches(pattern, text) is covered


@pytest.mark.parametrize("pattern", ["hetero_.r", "hetero_[l]r", "(hetero_lr|x)", "hetero_l?r?", "^hetero_lr$", r"\w+"])
def test_regular_expressions_are_taken_letter_by_letter(pattern: str) -> None:
    assert not matches(pattern, "hetero_lr")
    assert matches(pattern, pattern)


def test_no_pattern_is_slow() -> None:
    """A backtracking matcher would not end in this universe; this one goes over a text once."""
    searched: List[int] = []

    class Text(str):
        def find(self, part: str, start: int, end: int) -> int:  # type: ignore[override]
            searched.append(start)
            return super().find(part, start, end)
    assert not matches("a*" * 120 + "c*b", Text("a" * 250 + "b"))
    assert searched == list(range(1, 121))


def test_a_namespace_can_not_be_mistaken_for_a_name() -> None:
    assert not dataset("a/b", "c").covers(dataset("a", "b/c"))
    assert not dataset("a", "*").covers(dataset("a/b", "c"))
    assert not dataset("*", "c").covers(dataset("a", "b/c"))
    assert dataset("a", "*").covers(dataset("a", "b/c"))
    assert not component("exp").covers(dataset("exp", ""))


def test_components_are_lower_case_as_fate_flow_names_them() -> None:
    assert component("HeteroLR").covers(component("heterolr"))


@pytest.mark.parametrize("spelled", ["SECRET", "secret  ", "sécret", "se\u0301cret", "ｓｅｃｒｅｔ"])
def test_a_denied_dataset_is_denied_in_every_spelling_under_which_mysql_finds_its_table(spelled: str) -> None:
    assert dataset("exp", "secret").covers_folded(dataset("exp", spelled))
    assert not dataset("exp", "secret").covers(dataset("exp", spelled))


def test_the_sharp_s_is_two_letters_in_mysql() -> None:
    assert fold("straße") == fold("STRASSE")


@given(patterns=st.tuples(TEXT, TEXT), names=st.tuples(TEXT, TEXT))
@example(patterns=("abc *", ""), names=("abc ", ""))
@example(patterns=("a*", "b"), names=("a/b", "b"))
def test_whatever_a_pattern_covers_is_found_under_its_key(
    patterns: "tuple[str, str]", names: "tuple[str, str]"
) -> None:
    pattern, item = Item("dataset", patterns), Item("dataset", names)
    if pattern.covers(item) or pattern.covers_folded(item):
        assert pattern.key("9999") in set(item.keys("9999"))


@given(name=st.text(max_size=300))
def test_a_name_of_any_kind_is_found_and_its_keys_are_few(name: str) -> None:
    keys = list(component(name).keys("9999"))
    assert component(name).key("9999") in keys or "*" in name
    assert len(keys) <= 8 and all(len(key) == 32 for key in keys)


def test_keys_of_one_party_are_no_other_s() -> None:
    assert component("a").key("9999") not in set(component("a").keys("10000"))
