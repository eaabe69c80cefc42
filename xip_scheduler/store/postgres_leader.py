"""The row that says who leads, and what the leader and those who wait do to it (`core.leadership` decides when).

Taking over is one transaction: compare-and-swap of the leader row on (term, beat), end the sessions of the old term,
then raise the fence every commit looks at. The order matters. The swap proves that nobody renewed since the last look;
ending the sessions releases the locks of a leader that was stopped in the middle of a transaction; raising the fence
waits for a commit of the old leader that is still under way, so that it is either whole and seen by the new leader, or
refused. Ending sessions is for speed: the server would end them itself some seconds later (`postgres_session`).
"""

from __future__ import annotations

import os
import socket
import time

import psycopg

from xip_core.errors import StoreError
from xip_scheduler.core.leadership import Observation
from xip_scheduler.store import audit
from xip_scheduler.store.past import leave_the_past
from xip_scheduler.store.postgres_audit import append, read_head
from xip_scheduler.store.postgres_session import DatabaseAddress, session_name, sqlalchemy_over
from xip_scheduler.store.postgres_setup import prepare_schema, upgrade_schema

_OBSERVE = """
SELECT term, beat, is_released, holder,
       EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'xip-scheduler term ' || term)
  FROM leader
"""

_SWAP = """
UPDATE leader SET term = %s, beat = 0, is_released = false, holder = %s
 WHERE term = %s AND beat = %s AND is_released = %s
"""

_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND application_name = %s
"""


class LeaderRow:
    """One connection to the row; blocks, so call it from a thread. Opens itself again after a failure.

    Every method raises `psycopg.OperationalError` when the database cannot be reached now, `StoreError` when it must
    not be used.

    Attributes:
        holder: where the leader is found, for people.
        is_restored: a backup was put back; the next claim leaves the past (`past`).
    """

    def __init__(self, address: DatabaseAddress, holder: str = "") -> None:
        self._address = address
        self.holder = holder
        self.is_restored = False
        self._connection: psycopg.Connection | None = None
        self._name = "xip-scheduler standing by"

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._address.connect(self._name)
            self._connection.execute("SET statement_timeout = '5s'")  # as long as whoever waits has patience
        return self._connection

    def prepare(self) -> None:
        """Make or check the schema."""
        prepare_schema(self._address)

    def observe(self) -> Observation:
        found = self._connected().execute(_OBSERVE).fetchone()
        if found is None:
            raise StoreError("the leader row must exist in the database, got none: restore it from a backup")
        term, beat, is_released, holder, has_session = found
        return Observation(term, beat, is_released, has_session, holder)

    def claim(self, observed: Observation) -> int | None:
        """Lead from now on, if the row is still as *observed*: the new term, or None."""
        connection = self._connected()
        with sqlalchemy_over(connection) as tables, connection.transaction():
            numbers: dict[str, int] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
            entries = [leave_the_past(numbers, 0)] if self.is_restored else []
            term = max(numbers["term"], observed.term) + 1
            swapped = connection.execute(
                _SWAP, (term, self.holder, observed.term, observed.beat, observed.is_released)
            )
            if not swapped.rowcount:
                return None
            connection.execute(_END_SESSIONS, (session_name(observed.term),))
            raised = connection.execute(
                "UPDATE meta SET value = %s WHERE name = 'term' AND value < %s", (term, term)
            )
            if not raised.rowcount:
                raise StoreError(f"the store must have a term below {term}, as its leader row: restore both together")
            for name in ("epoch_end", "epoch_floor") if self.is_restored else ():
                connection.execute("UPDATE meta SET value = %s WHERE name = %s", (numbers[name], name))
            self._write_audit(connection, [*entries, *upgrade_schema(tables)], term)
        self.is_restored = False
        self._name = session_name(term)
        connection.execute("SELECT set_config('application_name', %s, false)", (self._name,))
        return term

    def _write_audit(self, connection: psycopg.Connection, entries: list[audit.Entry], term: int) -> None:
        process = {"host": socket.gethostname(), "pid": os.getpid(), "holder": self.holder}
        head = read_head(connection)
        for entry in (*entries, audit.Entry("term raised", detail=process)):
            head = append(connection, head, entry, 0, time.time(), term)

    def renew(self, term: int) -> bool:
        """Say that the leader of *term* lives; False when it was replaced."""
        connection = self._connected()
        return connection.execute("UPDATE leader SET beat = beat + 1 WHERE term = %s", (term,)).rowcount == 1

    def release(self, term: int) -> None:
        """Say goodbye: whoever waits may lead at once."""
        self._connected().execute("UPDATE leader SET is_released = true WHERE term = %s", (term,))
