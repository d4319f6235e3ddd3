"""How long anyone waits for a database of our own that has stopped answering, because it hangs or the network swallows
what is sent. Drivers wait for ever by themselves, and FATE Flow's requests to us would wait with them."""
import select
import time
from typing import Any, List

from peewee import OperationalError
from playhouse.db_url import register_database
from playhouse.pool import MaxConnectionsExceeded, PooledMySQLDatabase, PooledPostgresqlDatabase

# FATE Flow gives another site's answer 30 s, and a call may wait twice: for an old connection and for a new one.
ANSWER_SECONDS = 10
# After a connection could not be made, nobody tries another for so long.
RETRY_SECONDS = 1.0


class _Impatient:
    """peewee connects while it holds its one lock. Who waits for that lock learns from the first one's failure,
    instead of waiting for its own in turn."""

    _failed = float("-inf")

    def _connect(self) -> Any:
        if time.monotonic() - self._failed < RETRY_SECONDS:
            raise OperationalError("The database did not answer a moment ago.")
        try:
            return super()._connect()  # type: ignore[misc]
        except MaxConnectionsExceeded:
            raise
        except Exception:
            self._failed = time.monotonic()
            raise


class ImpatientMySQL(_Impatient, PooledMySQLDatabase):
    """Its url says ``read_timeout`` and ``write_timeout``."""

    _connections: List[Any]

    def _is_closed(self, connection: Any) -> bool:
        closed: bool = super()._is_closed(connection)
        if closed:
            self._connections = []  # they broke with it, and each would be waited for in turn
        return closed


class ImpatientPostgreSQL(_Impatient, PooledPostgresqlDatabase):
    def _connect(self) -> Any:
        import psycopg2.extensions

        psycopg2.extensions.set_wait_callback(_wait)
        return super()._connect()


def _wait(connection: Any) -> None:
    """How psycopg2 waits. The timeouts of libpq don't help where the other side's kernel still answers."""
    from psycopg2 import OperationalError as NoAnswer
    from psycopg2.extensions import POLL_OK, POLL_READ

    while True:
        state = connection.poll()
        if state == POLL_OK:
            return
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not poll.poll(ANSWER_SECONDS * 1000):
            raise NoAnswer(f"no answer within {ANSWER_SECONDS} s")


register_database(ImpatientMySQL, "mysql+impatient")
register_database(ImpatientPostgreSQL, "postgresql+impatient")
