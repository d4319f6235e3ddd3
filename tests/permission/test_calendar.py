"""Dates, weekdays and hours of grants are those of the clocks at the site."""
import sys
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.permission.calendar import Calendar, Hours, Moment, parse_hours

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo
else:
    from backports.zoneinfo import ZoneInfo

BERLIN, SHANGHAI = Calendar(ZoneInfo("Europe/Berlin")), Calendar(ZoneInfo("Asia/Shanghai"))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000)


@pytest.mark.parametrize("text, calendar, meant", [
    ("2027-01-31", BERLIN, "2027-01-30T23:00"), ("2027-07-31 18:00", BERLIN, "2027-07-31T16:00"),
    ("2027-01-31", SHANGHAI, "2027-01-30T16:00"), ("2027-01-31T18:00", SHANGHAI, "2027-01-31T10:00"),
    ("2027-01-31 18:00:05+00:00", SHANGHAI, "2027-01-31T18:00:05"),
])
def test_a_date_is_the_site_s_unless_it_says_its_offset(text: str, calendar: Calendar, meant: str) -> None:
    assert calendar.parse(text) == utc(meant)


def test_a_date_without_a_zone_is_the_machine_s() -> None:
    assert Calendar().parse("2027-01-31 18:00") == int(datetime(2027, 1, 31, 18).timestamp() * 1000)


@pytest.mark.parametrize("text, says", [
    ("2026-03-29 02:30", "does not exist"), ("2026-10-25 02:30", "twice"), ("31.1.2027", "2027-01-31"),
    ("2027-02-30", "none of"), ("9999-12-31 23:59:59-12:00", "2200"), ("0001-01-01 00:00+14:00", "1970"),
    ("tomorrow", "none of"), ("", "none of"),
])
def test_a_date_that_is_none_or_two_is_refused_and_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BERLIN.parse(text)


@given(ms=st.integers(utc("1990-01-01"), utc("2090-01-01")), calendar=st.sampled_from([BERLIN, SHANGHAI, Calendar()]))
def test_what_is_shown_of_a_time_is_read_back_as_that_time(ms: int, calendar: Calendar) -> None:
    assert calendar.parse(calendar.text(ms)) == ms // 1000 * 1000


@pytest.mark.parametrize("text", [
    "8:00-18:00", "08:00", "08:00-08:00", "24:00-06:00", "08:00-24:01", "a-b", "08:00-18:00 "])
def test_hours_are_two_times_of_day(text: str) -> None:
    with pytest.raises(ValueError, match="08:00-18:00"):
        parse_hours(text)


@pytest.mark.parametrize("span", ["08:00-18:00", "22:00-06:00", "00:00-24:00"])
def test_hours_are_shown_as_they_were_written(span: str) -> None:
    assert str(parse_hours(span)) == span


@pytest.mark.parametrize("hours, wall, began", [
    ("08:00-18:00", "2026-11-25 08:00", "2026-11-25"), ("08:00-18:00", "2026-11-25 17:59", "2026-11-25"),
    ("08:00-18:00", "2026-11-25 18:00", None), ("08:00-18:00", "2026-11-25 07:59", None),
    ("22:00-06:00", "2026-11-25 23:00", "2026-11-25"), ("22:00-06:00", "2026-11-26 05:59", "2026-11-25"),
    ("22:00-06:00", "2026-11-26 06:00", None), ("00:00-24:00", "2026-11-26 23:59", "2026-11-26"),
])
def test_a_night_belongs_to_the_day_on_which_it_began(hours: str, wall: str, began: Any) -> None:
    day = Moment(0, datetime.fromisoformat(wall)).day_of(parse_hours(hours))
    assert (day and day.isoformat()) == began


def test_the_hour_that_clocks_skip_never_comes_and_the_one_they_repeat_comes_twice() -> None:
    night = Hours(2 * 60, 3 * 60)
    def minutes_in(day: str) -> int:
        start = BERLIN.parse(day)
        return sum(BERLIN.moment(start + minute * 60_000).day_of(night) is not None for minute in range(6 * 60))
    assert minutes_in("2026-03-29") == 0
    assert minutes_in("2026-10-25") == 120
    assert minutes_in("2026-11-25") == 60
