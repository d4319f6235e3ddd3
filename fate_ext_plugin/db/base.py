"""What all models share, and how threads reach the database.

The same models live in FATE Flow's own database (SQLite through APSW 3.9, or pooled MySQL, on peewee 3.9) and in
one of our own (SQLite, MySQL, PostgreSQL, on any newer peewee). So: no upsert, which FATE Flow redefines for the
whole process on SQLite, and no window functions or RETURNING, which its SQLite is too old for (contract section 4).
"""
import logging
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, TypeVar

from peewee import (
    BigIntegerField,
    CharField,
    Database,
    InterfaceError,
    InternalError,
    Model,
    OperationalError,
    TextField,
)

from fate_ext_plugin.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")
BUSY_TRIES = 5
# Whoever waited so long is told that there is no answer, and tries no more.
PATIENCE_SECONDS = 10.0
# MySQL's that pass: it is going down, waited too long for a lock, met a deadlock, or the connection was killed. To
# PyMySQL before 0.10 they are internal errors.
PASSING_CODES = (1053, 1205, 1213, 1927)


def now_ms() -> int:
    return int(time.time() * 1000)


class DateField(CharField):
    """``YYYY-MM-DD HH:MM:SS`` local time as text: APSW binds no datetime."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=19, null=True, **kwargs)


class AnyTextField(TextField):
    """Text from outside, stored as ASCII with Python's escapes: FATE Flow's MySQL may know no character beyond
    utf8mb3 or latin1, PostgreSQL stores no NUL, and no text may keep a job from ending."""

    def db_value(self, value: Optional[str]) -> Optional[str]:
        return None if value is None else value.encode("unicode_escape").decode("ascii")

    def python_value(self, value: Optional[str]) -> Optional[str]:
        return None if value is None else value.encode("ascii").decode("unicode_escape")


def date_of(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


class ExtModel(Model):
    """FATE Flow's four columns, kept by the base as in its ``DataBaseModel``."""

    f_create_time = BigIntegerField(null=True)
    f_create_date = DateField()
    f_update_time = BigIntegerField(null=True)
    f_update_date = DateField()

    @classmethod
    def create(cls, **values: Any) -> Any:
        now = now_ms()
        return super().create(f_create_time=now, f_create_date=date_of(now), **stamped(values))

    @classmethod
    def change(cls, **values: Any) -> Any:
        """``update`` that keeps the time of the change."""
        return cls.update(**stamped(values))


def create_once(model: Any, **values: Any) -> bool:
    """Insert a row, unless there is one with its primary key; returns whether it was inserted."""
    key = model._meta.primary_key

    def exists() -> bool:
        return bool(model.select().where(key == values[key.name]).exists())

    if exists():
        return False
    try:
        # A failed statement would leave PostgreSQL's transaction unusable.
        with model._meta.database.atomic():
            model.create(**values)
        return True
    except Exception:  # each driver calls it differently: another thread or server was faster
        if exists():
            return False
        raise


def dicts(query: Any) -> List[Dict[str, Any]]:
    """The rows of a query, by columns."""
    return list(query.dicts())


def stamped(values: Dict[str, Any]) -> Dict[str, Any]:
    now = now_ms()
    return {**values, "f_update_time": now, "f_update_date": date_of(now)}


class Store:
    """A database and the models bound to it, for any number of threads: each call takes and returns a connection."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def bind(self, models: List[Any]) -> None:
        self.database.bind(models, bind_refs=False, bind_backrefs=False)

    @contextmanager
    def connection(self) -> Iterator[Database]:
        """A connection for this thread; one that is already open is used and left open."""
        opened = self.database.is_closed()
        if opened:
            self.database.connect()
        try:
            yield self.database
        finally:
            if opened:
                self.database.close()

    def call(self, action: Callable[[], T]) -> T:
        """Run ``action`` with a connection; once more on a fresh one where the database dropped it.

        ``action`` must be safe to repeat.

        :raises DatabaseUnavailable: the database does not answer.
        """
        began = time.monotonic()
        for attempt in range(BUSY_TRIES):
            try:
                with self.connection():
                    return action()
            except Exception as error:
                if not self._passing(error):
                    raise
                if attempt == BUSY_TRIES - 1 or time.monotonic() - began >= PATIENCE_SECONDS:
                    logger.error("database unavailable: %s: %s", type(error).__name__, error)
                    raise DatabaseUnavailable("The database does not answer; look at the server's log.") from error
                self._drop()
                time.sleep(0.05 * 4**attempt)
        raise AssertionError("unreachable")

    def _drop(self) -> None:
        """Close this thread's connection for good, and those that wait in a pool: they broke with it."""
        try:
            getattr(self.database, "manual_close", self.database.close)()
            getattr(self.database, "close_idle", bool)()
        except Exception as error:  # of peewee, or of its driver
            logger.debug("closing a broken connection: %s", error)

    @staticmethod
    def _passing(error: Exception) -> bool:
        """Errors that pass. By name where peewee does not translate APSW's, and where a pool is not always there."""
        passing = ("BusyError", "LockedError", "MaxConnectionsExceeded")
        return (isinstance(error, (OperationalError, InterfaceError)) or type(error).__name__ in passing
                or (isinstance(error, InternalError) and error.args[:1] in [(code,) for code in PASSING_CODES]))
