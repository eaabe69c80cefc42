"""Store, blobs and leadership of a scheduler on PostgreSQL, put together.

Only this module and `standby` know the driver, so a scheduler on SQLite starts without it.
"""

from __future__ import annotations

import socket
from pathlib import Path

from xip_core.errors import StoreError
from xip_scheduler.core.leadership import LeaderTimes
from xip_scheduler.settings import Settings, is_loopback
from xip_scheduler.store.lock import DirectoryLock
from xip_scheduler.store.protocol import Store

try:
    from xip_scheduler.standby import Leadership
    from xip_scheduler.store.postgres import PostgresStore
    from xip_scheduler.store.postgres_blobs import SharedBlobs
    from xip_scheduler.store.postgres_leader import LeaderRow
    from xip_scheduler.store.postgres_session import DatabaseAddress
except ModuleNotFoundError as missing:
    raise StoreError(f"a store in PostgreSQL needs the extra: pip install 'xip[postgres]' ({missing})") from missing


class SharedStore:
    """
    Raises:
        RequestError: the address is none, or carries a password.
        StoreError: the database cannot be reached or used, or the data directory belongs to another scheduler.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = DatabaseAddress(settings.store, settings.store_password_file)
        self._address.check()
        directory = Path(settings.data_dir)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = DirectoryLock(directory)
        except OSError as error:
            sentence = f"data directory {directory} must be a directory this process may write: {error.strerror}"
            raise StoreError(sentence) from error
        try:
            self.blobs = SharedBlobs(directory / "blobs", self._address)
            self._row = LeaderRow(self._address)
            self._row.is_restored = settings.restored
            self.leadership = Leadership(self._row, LeaderTimes(silence_s=settings.leader_silence_s))
            self.leadership.prepare()
        except BaseException:
            self._lock.release()
            raise

    def lead_as(self, host: str, port: int) -> None:
        """Say under which address this one is found when it leads."""
        self._row.holder = f"{host if is_loopback(host) else socket.gethostname()}:{port}"

    def open(self, term: int) -> Store:
        self.blobs.lead(term)
        return PostgresStore(self._address, term, self._row)

    def close(self) -> None:
        """Give everything back but what the store itself closes."""
        self.leadership.stop()
        self._row.close()
        self.blobs.close()
        self._lock.release()
