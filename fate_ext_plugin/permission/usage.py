"""How often grants with a limit were used, also by several servers at once."""
import time
from hashlib import blake2b
from typing import Callable, Dict, Iterable, Optional, Sequence

from peewee import Case

from fate_ext_plugin.db.base import Store, create_once
from fate_ext_plugin.db.permission import GrantJob, GrantUse
from fate_ext_plugin.permission.grant import Grant, Used
from fate_ext_plugin.permission.request import PermissionRequest

# So long after it was allowed, a job is taken for the same when it is tried again.
REMEMBERED_SECONDS = 90 * 86400.0
PURGE_SECONDS = 86400.0


class _UsedUp(Exception):
    """Takes the transaction back."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Uses:
    """:param clock: seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._last_purge = 0.0

    def spend(self, grants: Iterable[Grant], request: PermissionRequest, day: str) -> Optional[str]:
        """Count one use of each for the request's job, or of none.

        :param day: today's date at the site, ``2027-01-31``.
        :return: the name of a grant that is used up; None where all were counted.
        """
        # In the same order everywhere, so that no two servers wait for each other.
        ordered = sorted(grants, key=lambda grant: grant.name)

        def count() -> None:
            with self._store.database.atomic():
                for grant in ordered:
                    _count(grant, request, day)

        self._store.call(lambda: [create_once(GrantUse, f_grant=grant.name) for grant in ordered])
        try:
            self._store.call(count)
            self._purge()
        except _UsedUp as used_up:
            return used_up.name
        return None

    def _purge(self) -> None:
        """Forget jobs that nobody tries again."""
        now = self._clock()
        if abs(now - self._last_purge) > PURGE_SECONDS:  # the clock may have been set back
            self._last_purge = now
            old = int((now - REMEMBERED_SECONDS) * 1000)
            self._store.call(lambda: GrantJob.delete().where(GrantJob.f_create_time < old).execute())

    def of(self, names: Sequence[str], day: str) -> Dict[str, Used]:
        """How often grants were used; those never used are missing."""
        if not names:
            return {}
        rows = self._store.call(lambda: list(GrantUse.select().where(GrantUse.f_grant.in_(list(names)))))
        return {row.f_grant: Used(row.f_total, row.f_on_day if row.f_day >= day else 0) for row in rows}


def _count(grant: Grant, request: PermissionRequest, day: str) -> None:
    """:raises _UsedUp: a limit is reached; the transaction must be taken back."""
    mine = GrantUse.f_grant == grant.name
    # Takes the row's lock, so that what is read next is not older than it. The day only moves on: clocks of servers
    # differ, and near midnight one would begin the other's count anew.
    GrantUse.change(
        f_on_day=Case(None, [(GrantUse.f_day < day, 0)], GrantUse.f_on_day),
        f_day=Case(None, [(GrantUse.f_day < day, day)], GrantUse.f_day)).where(mine).execute()
    if _counted(grant.name, request):
        return
    limits = [mine]
    if grant.max_uses is not None:
        limits.append(GrantUse.f_total < grant.max_uses)
    if grant.max_uses_per_day is not None:
        limits.append(GrantUse.f_on_day < grant.max_uses_per_day)
    counted = GrantUse.change(f_total=GrantUse.f_total + 1, f_on_day=GrantUse.f_on_day + 1).where(*limits).execute()
    if not counted:
        raise _UsedUp(grant.name)


def _counted(grant: str, request: PermissionRequest) -> bool:
    """Whether this very use was counted before; it is noted for the next time.

    The partner chooses the job's ID, our role and our party, and FATE Flow runs a job apart for each: so each counts,
    and counts again when it comes with other components or datasets. A job whose ID is not known counts each time.
    """
    if request.job is None:
        return False
    asked = _hash(*map(str, request.items))
    key = _hash(grant, request.party, request.job, request.role, request.site)
    if create_once(GrantJob, f_key=key, f_grant=grant, f_asked=asked):
        return False
    return not GrantJob.change(f_asked=asked).where((GrantJob.f_key == key) & (GrantJob.f_asked != asked)).execute()


def _hash(*parts: str) -> str:
    return blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
