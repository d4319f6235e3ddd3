"""When a grant counts: dates, weekdays and hours, by the clocks on the wall at the site."""
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Optional

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_hours = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])", re.A)
LATEST_MS = 7_258_032_000_000  # 2199-12-31, a day before it ends anywhere
FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Hours:
    """From ``start`` on, before ``end``, both in minutes since midnight; ``end`` may be on the next day."""

    start: int
    end: int

    def __str__(self) -> str:
        return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (self.start, self.end))


ALL_DAY = Hours(0, 24 * 60)


@dataclass(frozen=True)
class Moment:
    """A time as ms since 1970, and what the clocks at the site show then."""

    ms: int
    wall: datetime

    @property
    def day(self) -> str:
        return self.wall.strftime("%Y-%m-%d")

    def day_of(self, hours: Hours) -> Optional[date]:
        """The day on which the span of ``hours`` began that this moment is in; None where it is in none."""
        minutes = self.wall.hour * 60 + self.wall.minute
        if hours.start < hours.end:
            return self.wall.date() if hours.start <= minutes < hours.end else None
        if minutes >= hours.start:
            return self.wall.date()
        return self.wall.date() - timedelta(days=1) if minutes < hours.end else None


class Calendar:
    """:param zone: the site's time zone; None: the machine's."""

    def __init__(self, zone: Optional[tzinfo] = None) -> None:
        self._zone = zone

    def moment(self, ms: int) -> Moment:
        return Moment(ms, datetime.fromtimestamp(ms / 1000, self._zone))

    def parse(self, text: str) -> int:
        """A date and time of the site's, or one with its offset from UTC, as ms since 1970.

        :raises ValueError: says what is wrong.
        """
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            given = None  # type: ignore[assignment]
        if given is not None and given.tzinfo is not None:
            return self._in_range(text, int(given.timestamp()) * 1000)
        wall = self._wall(text)
        earlier, later = (wall.replace(fold=fold, tzinfo=self._zone).timestamp() for fold in (0, 1))
        if datetime.fromtimestamp(earlier, self._zone).replace(tzinfo=None) != wall:
            raise ValueError(f"{text} does not exist here: clocks are put forward then.")
        if earlier != later:
            raise ValueError(f"{text} is there twice, as clocks are put back then; say which: {text}+00:00.")
        return self._in_range(text, int(earlier) * 1000)

    @staticmethod
    def _in_range(text: str, ms: int) -> int:
        if not 0 <= ms < LATEST_MS:
            raise ValueError(f"{text} is not between 1970 and 2200.")
        return ms

    @staticmethod
    def _wall(text: str) -> datetime:
        for form in FORMS:
            try:
                return datetime.strptime(text.replace("T", " "), form)
            except ValueError:
                continue
        raise ValueError(f"{text!r} is none of 2027-01-31, 2027-01-31 18:00 or 2027-01-31 18:00+01:00.")

    def text(self, ms: int) -> str:
        """``2027-01-31 18:00``, with the offset from UTC where the clocks show that time twice."""
        wall = datetime.fromtimestamp(ms / 1000, self._zone)
        shown = wall.strftime("%Y-%m-%d %H:%M:%S" if ms % 60_000 else "%Y-%m-%d %H:%M")
        try:
            unique = self.parse(shown) // 1000 == ms // 1000
        except ValueError:
            unique = False
        return shown if unique else (wall if wall.tzinfo else wall.astimezone()).isoformat(" ", "seconds")


def parse_hours(text: str) -> Hours:
    """``08:00-18:00``; ``22:00-06:00`` ends on the next day.

    :raises ValueError: says what is wrong.
    """
    match = _hours.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} are no hours such as 08:00-18:00.")
    hours, minutes, end_hours, end_minutes = map(int, match.groups())
    span = Hours(hours * 60 + minutes, end_hours * 60 + end_minutes)
    if span.start == span.end or span.end > 24 * 60:
        raise ValueError(f"{text!r} are no hours such as 08:00-18:00.")
    return span
