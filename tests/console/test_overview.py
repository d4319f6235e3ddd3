"""Jobs summed up by time, on each kind of database, and decisions beside them."""
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from fate_ext_plugin.admin.overview import SPANS
from fate_ext_plugin.db.base import Store, date_of
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.feature.job import Jobs, Totals


def add(store: Store, number: int, when: datetime, status: str, **columns: Any) -> None:
    moment = int(when.timestamp() * 1000)
    store.call(lambda: FeatureJob.insert(
        f_job_id=f"job{number}", f_status=status, f_owner="o", f_view="v", f_request="{}", f_id_name="id",
        f_create_time=moment, f_create_date=date_of(moment), **columns).execute())


@pytest.fixture
def jobs(kind_store: Store) -> Jobs:
    kind_store.call(lambda: FeatureJob.delete().execute())
    return Jobs(kind_store)


def test_sums_by_time_and_status(kind_store: Store, jobs: Jobs) -> None:
    noon = datetime(2026, 11, 25, 12, 30)
    counted = dict(f_ids=10, f_matched=4, f_elapsed=2000)
    add(kind_store, 1, noon, "success", **counted)
    add(kind_store, 2, noon + timedelta(seconds=50), "success", f_ids=5, f_matched=5, f_elapsed=7000)
    add(kind_store, 3, noon + timedelta(minutes=5), "failed", f_elapsed=1000)
    add(kind_store, 4, noon + timedelta(hours=1), "running")
    add(kind_store, 5, noon + timedelta(days=1), "expired", **counted)
    add(kind_store, 6, noon - timedelta(seconds=1), "success", **counted)
    begins = [int((noon + timedelta(hours=hours)).timestamp() * 1000) for hours in range(3)]
    first, second, last = (sorted(found, key=lambda one: one.status) for found in jobs.totals(begins))
    assert first == [Totals("failed", 1, 0, 0, 1000, 1, 1000), Totals("success", 2, 15, 9, 9000, 2, 7000)]
    assert second == [Totals("running", 1, 0, 0, 0, 0, 0)], "from its begin on"
    assert last == [Totals("expired", 1, 10, 4, 2000, 1, 2000)], "whatever came later"


def test_bytes_of_results_that_are_still_there(kind_store: Store, jobs: Jobs) -> None:
    assert jobs.result_bytes() == 0
    now = datetime.now()
    add(kind_store, 1, now, "success", f_result_bytes=2**40)
    add(kind_store, 2, now, "success", f_result_bytes=7)
    add(kind_store, 3, now, "expired", f_result_bytes=100)
    assert jobs.result_bytes() == 2**40 + 7


@pytest.mark.parametrize("name", list(SPANS))
def test_spans_end_now_and_leave_no_gap(name: str) -> None:
    span = SPANS[name]
    now = datetime(2026, 3, 29, 13, 59, 59)
    begins = span.all(now)
    assert len(begins) == span.spans
    assert begins[-1] <= now < begins[-1] + span.length
    assert {later - earlier for earlier, later in zip(begins, begins[1:])} == {span.length}
    assert all(span.begin(begin) == begin for begin in begins)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no time zones here")
def test_a_day_on_which_clocks_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for day in (datetime(2026, 3, 29, 12), datetime(2026, 10, 25, 12)):
            for span in SPANS.values():
                for begin in span.all(day):
                    again = datetime.fromtimestamp(begin.timestamp())
                    assert span.begin(again) in (begin, begin + timedelta(hours=1)), "the hour that does not exist"
    finally:
        monkeypatch.undo()
        time.tzset()
