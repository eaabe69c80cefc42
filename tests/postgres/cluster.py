"""Schedulers of one database as processes, and what tests do to them."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from tests.integration.cluster import START_LIMIT_S, Daemon
from tests.patience import PATIENCE_S
from tests.postgres.server import PrivateServer
from xip_scheduler.store.postgres_session import DatabaseAddress, session_name

SILENCE_S = 4.0
"""Of the leaders here; the default is 5. Where a machine stands still for longer, another leads than a test wants."""


class SchedulerDaemon(Daemon):
    """`python -m xip_scheduler` on a free port, known to wait or to lead when constructed."""

    def __init__(self, address: DatabaseAddress, data_dir: Path, *options: str, silence_s: float = SILENCE_S) -> None:
        super().__init__(
            [
                "xip_scheduler",
                "--listen=127.0.0.1:0",
                f"--data-dir={data_dir}",
                f"--store={address.url}",
                f"--store-password-file={address.password_file}",
                f"--leader-silence={silence_s}",
                *options,
            ]
        )
        self.address = str(self.wait_for_log("waiting to lead")["address"])

    def until_serving(self, limit_s: float = START_LIMIT_S) -> int:
        """Its term, when it leads and serves."""
        return int(self.wait_for_log("serving", limit_s)["term"])

    def exit_code(self, limit_s: float = START_LIMIT_S) -> int:
        """Of a process that ends by itself."""
        return self.process.wait(timeout=limit_s)


def until_idle_in_transaction(server: PrivateServer, term: int, limit_s: float = PATIENCE_S) -> None:
    """Wait until the leader's session has an open transaction and nothing to do: its process must be stopped."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = %s AND state = 'idle in transaction'"
    with server.administrator() as operator:
        until(operator, query, (session_name(term),), limit_s)


def until_blocked(server: PrivateServer, term: int, limit_s: float = PATIENCE_S) -> None:
    """Wait until the leader's session waits for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with server.administrator() as operator:
        until(operator, query, (session_name(term),), limit_s)


def until(operator: psycopg.Connection, query: str, parameters: tuple[object, ...], limit_s: float) -> None:
    """Ask the server, ten milliseconds apart by its own clock, until *query* has a row."""
    deadline_s = time.monotonic() + limit_s
    while operator.execute(query, parameters).fetchone() is None:
        assert time.monotonic() < deadline_s, f"not within {limit_s} s: {query}"
        operator.execute("SELECT pg_sleep(0.01)")
