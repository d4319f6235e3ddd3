"""A grant: what a party may do here, or may not, and on which terms."""
from dataclasses import dataclass
from typing import AbstractSet, Iterable, Mapping, NamedTuple, Optional, Tuple

from fate_ext_plugin.permission.calendar import ALL_DAY, WEEKDAYS, Calendar, Hours, Moment
from fate_ext_plugin.permission.item import STAR, Item
from fate_ext_plugin.permission.request import PermissionRequest


class Used(NamedTuple):
    """How often a grant was used: in total, and on the day that is asked for."""

    total: int = 0
    on_day: int = 0


class Obstacle(NamedTuple):
    """Why a grant does not count for a request; the higher ``rank``, the nearer it came to counting."""

    rank: int
    text: str


@dataclass(frozen=True)
class Grant:
    """One row of ``t_ext_grant``. ``party`` and ``role`` may be ``*``; ``items`` are patterns; times in ms since 1970,
    ``valid_until`` excluded; empty ``weekdays``, ``initiators`` and ``partners`` mean all.

    Each item is granted by itself: to name components and datasets in one grant does not tie them to each other.
    """

    name: str
    party: str
    items: Tuple[Item, ...]
    role: str = STAR
    allow: bool = True
    valid_from: Optional[int] = None
    valid_until: Optional[int] = None
    weekdays: Tuple[str, ...] = ()
    hours: Optional[Hours] = None
    max_uses: Optional[int] = None
    max_uses_per_day: Optional[int] = None
    initiators: Tuple[str, ...] = ()
    partners: Tuple[str, ...] = ()
    note: str = ""

    @property
    def limited(self) -> bool:
        return self.max_uses is not None or self.max_uses_per_day is not None

    def covers(self, item: Item) -> bool:
        return any(pattern.covers(item) if self.allow else pattern.covers_folded(item) for pattern in self.items)

    def obstacle(
        self, request: PermissionRequest, moment: Moment, calendar: Calendar, used: Mapping[str, Used]
    ) -> Optional[Obstacle]:
        """Why this grant does not count for ``request`` at that moment, None where it does; items are not looked at.

        :param used: by the names of grants; one that is missing counts as unused.
        """
        for rank, text in enumerate((
            self._wrong_parties(request), self._wrong_time(moment, calendar),
            self._used_up(used.get(self.name, Used())),
        )):
            if text:
                return Obstacle(rank, text)
        return None

    def _wrong_parties(self, request: PermissionRequest) -> str:
        if self.party not in (STAR, request.party):
            return f"is for party {self.party}"
        if self.role not in (STAR, request.role):
            return f"is for role {self.role} here, not {request.role[:20]}"
        # Whoever asks says who started the job; FATE Flow lets the one who did ask.
        if self.initiators and not self._fits({request.party, request.initiator or request.party}, self.initiators):
            return f"is for jobs started by {' or '.join(self.initiators)}"
        if self.partners and not self._fits(request.others, self.partners):
            strangers = sorted(request.others - set(self.partners))
            return f"does not let party {strangers[0][:20]} take part" if self.allow else "is for other partners"
        return ""

    def _fits(self, parties: AbstractSet[str], named: Iterable[str]) -> bool:
        """What is allowed is allowed to those named only; what is denied is denied as soon as one of them is there."""
        return parties <= set(named) if self.allow else bool(parties & set(named))

    def _wrong_time(self, moment: Moment, calendar: Calendar) -> str:
        if self.valid_until is not None and moment.ms >= self.valid_until:
            return f"expired on {calendar.text(self.valid_until)}"
        if self.valid_from is not None and moment.ms < self.valid_from:
            return f"counts from {calendar.text(self.valid_from)} on"
        day = moment.day_of(self.hours or ALL_DAY)
        if day is None:
            return f"counts at {self.hours} only"
        if self.weekdays and WEEKDAYS[day.weekday()] not in self.weekdays:
            return f"counts on {', '.join(self.weekdays)} only"
        return ""

    def _used_up(self, used: Used) -> str:
        if self.max_uses is not None and used.total >= self.max_uses:
            return f"used {used.total} of {self.max_uses}"
        if self.max_uses_per_day is not None and used.on_day >= self.max_uses_per_day:
            return f"used {used.on_day} of {self.max_uses_per_day} today"
        return ""
