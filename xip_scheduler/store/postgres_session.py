"""How a scheduler reaches PostgreSQL: an address without a password, and connections whose promises are checked.

Each connection is asserted when it opens, because each of these was seen to matter:

* `synchronous_commit = on` and `fsync = on`: an acknowledged commit survives a power loss. (Surviving the loss of the
  primary needs `synchronous_standby_names` as well; that is the operator's, see docs/store.md.)
* not in recovery: a replica answers with the past, so even reads go to the primary.
* `idle_in_transaction_session_timeout`: a leader that is stopped in the middle of a transaction holds its locks; the
  server ends that session, and whatever it had not committed is gone. For the same reason nothing is written with COPY:
  a session that waits for the rest of a COPY counts as active and keeps its locks until somebody ends it.
* `client_connection_check_interval` and TCP user timeouts: each side notices in seconds that the other has vanished.

Sessions say in `application_name` which term they write for, so that the one who takes over can end them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg import conninfo
from sqlalchemy.pool import StaticPool

from xip_core.errors import RequestError, StoreError

SERVER_VERSION_MIN = 140_000
"""PostgreSQL 14: client_connection_check_interval."""

CONNECT_TIMEOUT_S = 5
IDLE_IN_TRANSACTION_LIMIT_S = 3
LOCK_PATIENCE_S = 30
"""Somebody else's lock on our tables (a backup tool, a person) holds commits up; after this the leader gives up."""

_PARAMETERS = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "target_session_attrs": "read-write",  # with several hosts: the one that is the primary now
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}

_SESSION = {
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",  # the fence needs to see a takeover that committed meanwhile
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_LIMIT_S}s",
    "lock_timeout": f"{LOCK_PATIENCE_S}s",
    "client_connection_check_interval": "1s",
    "timezone": "UTC",
}


def session_name(term: int) -> str:
    return f"xip-scheduler term {term}"


class DatabaseAddress(msgspec.Struct, frozen=True):
    """
    Attributes:
        url: postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE, never with a password.
        password_file: file with the password, "" for what libpq finds (PGPASSWORD, PGPASSFILE, a certificate, peer).
    """

    url: str
    password_file: str = ""

    def check(self) -> None:
        """
        Raises:
            RequestError: BAD_SETTING: the url is none, or carries a password.
        """
        try:
            parts = conninfo.conninfo_to_dict(self.url)
        except psycopg.ProgrammingError:  # its text would repeat parts of what may be a password
            sentence = "store must be postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE, got something else"
            raise RequestError("BAD_SETTING", sentence) from None
        if "password" in parts:
            raise RequestError(
                "BAD_SETTING",
                "store must not carry a password, for settings are printed: use store_password_file, PGPASSFILE or "
                "PGPASSWORD",
            )

    def password(self) -> str | None:
        """
        Raises:
            StoreError: the file cannot be read.
        """
        if not self.password_file:
            return None
        try:
            with open(self.password_file, encoding="utf-8") as file:
                return file.read().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"store_password_file {self.password_file} must be readable: {error}") from None

    def connect(self, name: str) -> psycopg.Connection:
        """
        A connection in autocommit mode, its promises asserted.

        Args:
            name: shown in pg_stat_activity.

        Raises:
            psycopg.OperationalError: the database cannot be reached now.
            StoreError: it can, and must not be used.
        """
        parameters: dict[str, Any] = {**_PARAMETERS, "application_name": name}
        if (password := self.password()) is not None:
            parameters["password"] = password
        connection = psycopg.connect(self.url, autocommit=True, **parameters)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: psycopg.Connection) -> None:
    version = connection.info.server_version
    if version < SERVER_VERSION_MIN:
        wanted = SERVER_VERSION_MIN // 10_000
        raise StoreError(f"the server must be PostgreSQL {wanted} or newer, got version number {version}")
    for name, value in _SESSION.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    for name, wanted_value in (("synchronous_commit", "on"), ("fsync", "on"), ("transaction_read_only", "off")):
        got = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if got != (wanted_value,):
            raise StoreError(f"the server must run with {name} = {wanted_value}, got {got and got[0]}")


def sqlalchemy_over(driver: psycopg.Connection) -> sa.Connection:
    """SQLAlchemy's face of *driver*, which must be outside of a transaction now and may begin them itself later."""
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: driver,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,  # the driver belongs to the caller, who may have closed it
    )
    return engine.connect()
