"""Source classes of third parties: one method, :meth:`LookupSource.lookup`, that answers some IDs at a time."""
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

import pytest
from marshmallow import Schema

from fate_ext_plugin.errors import InvalidFeature, NoData, SourceError
from fate_ext_plugin.feature.source import Counts, Join, require_columns
from fate_ext_plugin.feature.source.lookup import LookupSource

Ask = Callable[..., List[str]]


class Scores(LookupSource):
    """As a third party would write it, over rows in memory instead of a service."""

    settings_schema = Schema
    batch_size = 3

    def __init__(self, *rows: Dict[str, Any]) -> None:
        super().__init__({})
        self.rows = rows
        self.asked: List[Sequence[str]] = []

    def inspect(self, columns: Sequence[str]) -> None:
        pass

    def lookup(self, ids: Sequence[str], join: Join) -> Iterable[Tuple[Any, ...]]:
        self.asked.append(ids)
        for row in self.rows:
            if all(row[column] == value for column, value in join.filters.items()):
                yield (row["id"], *(row[column] for column in join.columns))


def test_rows_become_lines_in_the_order_of_the_ids(ask: Ask) -> None:
    source = Scores({"id": "u2", "score": 0.5}, {"id": "u1", "score": 1.25})
    assert ask(source, ["u2", "u1", "stranger"], ["score"]) == ["id,score", "u1,1.25", "u2,0.5"]


def test_lookup_gets_distinct_ids_in_batches(ask: Ask) -> None:
    source = Scores()
    ask(source, ["d", "a", "b", "a", "c", "d"], ["score"])
    assert source.asked == [["a", "b", "c"], ["d"]]


def test_the_view_s_columns_come_in_the_order_asked_for(ask: Ask) -> None:
    source = Scores({"id": "u1", "score": 1, "age": 40, "city": "Bonn"})
    assert ask(source, ["u1"], ["city", "score"]) == ["id,city,score", "u1,Bonn,1"]


def test_filters_are_the_source_s_to_obey(ask: Ask) -> None:
    source = Scores({"id": "u1", "score": 1, "month": "01"}, {"id": "u1", "score": 2, "month": "02"})
    assert ask(source, ["u1"], ["score"], filters={"month": "02"}) == ["id,score", "u1,2"]


def test_ids_are_compared_as_exact_text(ask: Ask) -> None:
    source = Scores(*({"id": i, "score": "x"} for i in (7, "A", " b", "b ", None, "not asked for")))
    assert ask(source, ["7", "007", "a", "b"], ["score"]) == ["id,score", "7,x"]


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), (True, "1"), (False, "0"), (0.1, "0.1"), (1e22, "1e+22"), (2**70, str(2**70)), (b"\x00\xff", "00ff")])
def test_values_are_written_as_fate_reads_them(ask: Ask, value: Any, text: str) -> None:
    assert ask(Scores({"id": "u1", "v": value}), ["u1"], ["v"], null_value="-") == ["id,v", f"u1,{text}"]


def test_missing_ids_are_left_out_or_kept(ask: Ask) -> None:
    source = Scores({"id": "u2", "score": 1, "age": 2})
    assert ask(source, ["u1", "u2"], ["score", "age"]) == ["id,score,age", "u2,1,2"]
    assert ask(source, ["u1", "u2"], ["score", "age"], missing_ids="keep", null_value="NA") == [
        "id,score,age", "u1,NA,NA", "u2,1,2"]


def test_a_second_row_fails_or_is_ignored(ask: Ask) -> None:
    source = Scores({"id": "u1", "score": 1}, {"id": "u1", "score": 2})
    with pytest.raises(InvalidFeature, match="two rows or more for ID 'u1'.*duplicate_rows to first"):
        ask(source, ["u1"], ["score"])
    assert ask(source, ["u1"], ["score"], duplicate_rows="first") == ["id,score", "u1,1"]


def test_a_value_fate_would_misread_fails_or_is_replaced(ask: Ask) -> None:
    source = Scores({"id": "u1", "a": 'x,"y"', "b": "line\nbreak "})
    with pytest.raises(InvalidFeature, match="Column 'a' of ID 'u1'.*misread_values to replace"):
        ask(source, ["u1"], ["a", "b"])
    assert ask(source, ["u1"], ["a", "b"], misread_values="replace") == ["id,a,b", "u1,x__y_,line_break_"]


def test_an_id_fate_would_misread_fails(ask: Ask) -> None:
    with pytest.raises(InvalidFeature, match="ID 'u,1' holds a comma"):
        ask(Scores({"id": "u,1", "score": 1}), ["u,1"], ["score"])


def test_a_row_of_the_wrong_length_fails(ask: Ask) -> None:
    class Forgetful(Scores):
        def lookup(self, ids: Sequence[str], join: Join) -> Iterable[Tuple[Any, ...]]:
            return [(ids[0],)]

    with pytest.raises(SourceError, match="a row of 1 values; the ID and 2 columns were asked for"):
        ask(Forgetful(), ["u1"], ["a", "b"])


def test_an_error_of_lookup_is_the_job_s(ask: Ask) -> None:
    class Empty(Scores):
        def lookup(self, ids: Sequence[str], join: Join) -> Iterable[Tuple[Any, ...]]:
            raise NoData("No scores of that month.")

    with pytest.raises(NoData, match="No scores of that month"):
        ask(Empty(), ["u1"], ["score"])


def test_progress_is_told_after_each_batch(workspace: Any) -> None:
    shares: List[float] = []
    counts = Scores().join(Join("id", ["score"]), workspace("abcdefg"), shares.append)
    assert counts == Counts(ids=7, matched=0)
    assert counts.missing == 7
    assert shares == sorted(shares) and len(shares) >= 3 and shares[-1] == 1.0


def test_what_a_subclass_need_not_write(ask: Ask) -> None:
    """Nothing is refused at upload, and every kind of parameter may be declared."""
    source = Scores()
    source.check(Join("id", ["score"], filters={"month": "x"}))
    source.check_parameters({"month": object()})


def test_inspect_may_compare_the_view_s_columns() -> None:
    """Where the source can tell its own; :class:`Scores` ignores them, which is fine, too."""
    class Described(Scores):
        def inspect(self, columns: Sequence[str]) -> None:
            require_columns("The score service", columns, ["id", "score"])

    Scores().inspect(["id", "salary"])
    Described().inspect(["id", "score"])
    with pytest.raises(SourceError, match="The score service has no column 'salary'; .* It has: 'id', 'score'.$"):
        Described().inspect(["id", "salary"])
