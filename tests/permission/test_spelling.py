"""Names that a database may take for others: none of them gets past a deny."""
import sys
import unicodedata
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.errors import InvalidGrant, InvalidPermissionRequest
from fate_ext_plugin.permission.check import decide
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.grants import ListedGrants
from fate_ext_plugin.permission.item import code_point, dataset, fold, is_plain, unusable
from fate_ext_plugin.permission.request import read_request
from tests.support.databases import empty_store
from tests.support.permission import MACHINE, asked, grant, recorded

EVERY_CHARACTER = [chr(number) for number in range(sys.maxunicode + 1)]
# Whoever wants to hide a name hides it in these, or takes letters that look or compare alike.
DISGUISES = [
    "secret\u034f", "sec\ufe0fret", "se\u00adcret", "s\u200becret", "secret\u3164", "sec\u115fret", "\u2060secret",
    "se\u0301cret", "s\U000e0101ecret", "\u202esecret", "sec\u180eret", "secret\x00", "se\u212aret", "\uf900secret"]


def decided(grants: List[Grant], name: str) -> Any:
    request = asked("reader", datasets=[f"open/{name}"])
    return decide(request, ListedGrants(grants), MACHINE.moment(0), MACHINE, {})


def ask(name: str) -> Any:
    table = {"namespace": "open", "name": name}
    return read_request({**recorded()[3], "component_parameters": {"reader": [{"table": table}]}}, "10000")


class TestNoNameHolds:
    @pytest.mark.parametrize("name", DISGUISES)
    def test_what_shows_nothing_or_has_another_spelling(self, name: str) -> None:
        with pytest.raises(InvalidPermissionRequest, match=r"may not hold U\+[0-9A-F]{4,}\.") as refused:
            ask(name)
        assert code_point(str(unusable(name))) in refused.value.message
        with pytest.raises(InvalidGrant, match=r"U\+[0-9A-F]{4,} is not part of any name"):
            grant(datasets=[f"open/{name}"])

    def test_a_mark_a_control_or_a_format_character(self) -> None:
        for character in EVERY_CHARACTER:
            # Unicode keeps the block of ideographs for ideographs, also where this Python does not know them yet.
            if unicodedata.category(character)[0] in "MCZ" and not is_plain(character):
                assert unusable(character) == character, code_point(character)

    @given(name=st.text())
    def test_what_normal_form_c_changes(self, name: str) -> None:
        if unicodedata.normalize("NFC", name) != name:
            assert unusable(name) is not None


class TestAStarStandsFor:
    @pytest.mark.parametrize("name", ["ids", "客户表", "customers 2026-01.v2;a'b", "㐀䶿", "信用_Credit"])
    def test_ascii_and_chinese(self, name: str) -> None:
        assert decided([grant(datasets=["open/*"], components=["*"])], name).allowed

    @pytest.mark.parametrize("name, missing", [
        ("sécret", "U+00E9"), ("ｓecret", "U+FF53"), ("ßecret", "U+00DF"), ("данные", "U+0430"),
        ("アイ", "U+30A2"),
        ("客户（一）", "U+FF08"), ("\U00020000", "U+20000"), ("二〇二六", "U+3007"), ("ſecret", "U+017F"),
        ("①", "U+2460"),
    ])
    def test_no_other_letters_unless_the_grant_is_written_with_them(self, name: str, missing: str) -> None:
        star = grant("star", datasets=["open/*"], components=["*"])
        assert missing in decided([star], name).message()
        assert "for which no * stands" in decided([star], name).message()
        assert ask(name)
        assert decided([star, grant("written", datasets=[f"open/{name}*"])], f"{name}_1").allowed

    def test_a_letter_written_in_a_namespace_is_none_of_the_name(self) -> None:
        assert not decided([grant(datasets=["*é/*"], components=["*"])], "é").allowed

    @pytest.mark.parametrize("name", ["SECRET", "secret ", "sécret", "ｓｅｃｒｅｔ"])
    def test_a_deny_covers_them_even_where_a_grant_is_written_with_them(self, name: str) -> None:
        grants = [grant("all", datasets=["open/*", f"open/{name}"], components=["*"]),
                  grant("no", datasets=["open/secret"], effect="deny")]
        assert "grant no denies it" in decided(grants, name).message()


def test_a_star_alone_stands_for_all_datasets() -> None:
    assert grant(datasets=["*"]).items == (dataset("*", "*"),)
    assert decided([grant(datasets=["*"], components=["*"])], "ids").allowed


def test_no_collation_takes_a_plain_character_for_another_or_for_none(tmp_path: Path) -> None:
    """Case aside. Two languages' collations take ASCII letters for equal; the documents name them."""
    with empty_store("mysql", tmp_path) as store, store.connection():
        for collation, group in taken_for_equal(store.database):
            assert "lithuanian" in collation or "roman" in collation, (collation, group)


def taken_for_equal(database: Any) -> Iterator[Tuple[str, str]]:
    """By each collation of the database, groups of equal plain characters that no fold makes one."""
    collations = [row[0] for row in database.execute_sql("SHOW COLLATION WHERE Charset = 'utf8mb4'").fetchall()]
    assert {"utf8mb4_general_ci", "utf8mb4_unicode_ci"} <= set(collations)
    database.execute_sql("SET SESSION group_concat_max_len = 1000000")
    database.execute_sql("CREATE TEMPORARY TABLE plain (c VARCHAR(1)) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    rows = ["", *filter(is_plain, EVERY_CHARACTER)]
    database.execute_sql("INSERT INTO plain VALUES " + ", ".join(["(%s)"] * len(rows)), rows)
    for collation in collations:
        # A letter in front, as blanks at the end of a text are ignored.
        equal = database.execute_sql(
            "SELECT GROUP_CONCAT(CONCAT(c, 'x') SEPARATOR '\n') FROM plain "
            f"GROUP BY WEIGHT_STRING(CONCAT(c, 'x') COLLATE {collation}) HAVING COUNT(*) > 1")
        for (group,) in equal.fetchall():
            if len(set(map(fold, group.split("\n")))) > 1:
                yield collation, group
