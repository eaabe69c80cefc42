"""Blobs in PostgreSQL, for schedulers that share no disk; the data directory keeps copies of those this one has used.

Why in the database and not in a directory that all mount: a run is acknowledged when its blobs are durable, and a
standby must find them in the moment it takes over. A shared file system would be a second system whose durability,
locking and failover an operator has to get right, and whose backup must fit the database's. Here one backup holds both,
and what synchronous replication promises for runs it promises for their books. The price is a copy through the
database, once: 100 MB take about a second, on sessions of their own, so no commit waits behind them.

    put      local file, checked and synced ──> one transaction of 1 MiB chunks ──> stored
    read     local file, or the chunks into one, checked against the digest

Only the database says whether a blob is stored. The local files are a cache: they may be removed while no scheduler
runs.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg

from xip_core.errors import NotFoundError, StoreError
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES, BlobWriter, FileBlobs
from xip_scheduler.store.postgres_reads import told
from xip_scheduler.store.postgres_session import DatabaseAddress

RECONNECT_PATIENCE_S = 30.0
RECONNECT_PAUSE_S = 0.2

USED_AGAIN_AFTER_S = 3600.0
"""A blob is marked as used at most once in so long: far below the day for which an unused one is kept."""

Result = TypeVar("Result")

SESSIONS_MAX = 4
"""Transfers at a time; more wait. Each holds a chunk."""


class SharedBlobs(FileBlobs):
    """`FileBlobs` whose files are copies of what the database holds; may be called from any thread.

    All methods raise StoreError when the database cannot be used.
    """

    def __init__(self, directory: Path, address: DatabaseAddress) -> None:
        super().__init__(directory)
        self._address = address
        self._idle: list[psycopg.Connection] = []
        self._term = 0
        self._free = threading.BoundedSemaphore(SESSIONS_MAX)

    def lead(self, term: int) -> None:
        """From now on for the leader of *term*: nobody else removes blobs."""
        self._term = term

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _ask(self, action: Callable[[psycopg.Connection], Result]) -> Result:
        """What *action* gives; done again on another session when its own was cut, so it must bear that.

        Raises:
            StoreError: the database refuses, or stays away for `RECONNECT_PATIENCE_S`.
        """
        deadline_s = time.monotonic() + RECONNECT_PATIENCE_S
        with self._free:
            while True:
                session: psycopg.Connection | None = None
                try:
                    session = self._idle.pop() if self._idle else self._address.connect("xip-scheduler blobs")
                    result = action(session)
                except psycopg.Error as error:
                    if session is not None:
                        session.close()
                    if not isinstance(error, psycopg.OperationalError) or time.monotonic() > deadline_s:
                        raise StoreError(f"blobs cannot be read or kept: {told(error)}") from error
                    time.sleep(RECONNECT_PAUSE_S)
                except BaseException:
                    if session is not None:
                        session.close()
                    raise
                else:
                    self._idle.append(session)
                    return result

    def _found(self, digest: str) -> tuple[int, float] | None:
        """Size and time of last use of a stored blob."""
        self._path(digest)
        statement = "SELECT size_bytes, used_at_s FROM blob WHERE digest = %s"
        return self._ask(lambda session: session.execute(statement, (digest,)).fetchone())

    def _fetch(self, digest: str) -> None:
        """Have a local copy.

        Raises:
            NotFoundError: the database has none.
            IntegrityError: what it has is not what was stored.
        """
        if super().has(digest):
            return
        with super().writer(digest, self.size_bytes(digest)) as writer:
            for position in itertools.count():
                place = (digest, position)
                chunk = self._ask(lambda session, place=place: session.execute(_CHUNK, place, binary=True).fetchone())  # type: ignore[misc]  # bound at once
                if chunk is None:
                    break
                writer.write(chunk[0])
            writer.commit()

    def has(self, digest: str) -> bool:
        found = self._found(digest)
        now_s = time.time()
        if found is not None and found[1] < now_s - USED_AGAIN_AFTER_S:
            statement = "UPDATE blob SET used_at_s = %s WHERE digest = %s"
            return self._ask(lambda session: session.execute(statement, (now_s, digest)).rowcount) == 1
        return found is not None

    def size_bytes(self, digest: str) -> int:
        found = self._found(digest)
        if found is None:
            raise NotFoundError(f"blob {digest}: not stored")
        return found[0]

    def unused_since(self, time_s: float) -> Iterator[str]:
        """Like `FileBlobs.unused_since`; uses are noted to `USED_AGAIN_AFTER_S`."""
        statement = "SELECT digest FROM blob WHERE used_at_s < %s"
        for (digest,) in self._ask(lambda session: session.execute(statement, (time_s,)).fetchall()):
            yield digest

    def remove(self, digests: Iterable[str], time_s: float) -> int:
        """Like `FileBlobs.remove`, by the leader only.

        Raises:
            StoreError: another scheduler leads.
        """
        offered = list(digests)

        def remove(session: psycopg.Connection) -> list[tuple[str]]:
            with session.transaction():
                found = session.execute("SELECT value FROM meta WHERE name = 'term' FOR SHARE").fetchone()
                if found != (self._term,):
                    raise StoreError(f"another scheduler leads: term must be {self._term} to remove blobs, got {found}")
                statement = "DELETE FROM blob WHERE digest = ANY(%s) AND used_at_s < %s RETURNING digest"
                return session.execute(statement, (offered, time_s)).fetchall()

        removed = self._ask(remove)
        for (digest,) in removed:
            self._path(digest).unlink(missing_ok=True)
        return len(removed)

    def get(self, digest: str) -> bytes:
        self._fetch(digest)
        return super().get(digest)

    def chunks(self, digest: str) -> Iterator[bytes]:
        self._fetch(digest)
        return super().chunks(digest)

    def writer(self, digest: str, size_bytes: int) -> BlobWriter:
        return _SharedBlobWriter(self, self._incoming / str(next(self._serial)), digest, size_bytes)

    def store(self, path: Path, digest: str, size_bytes: int) -> None:
        """Bring a checked file into the database, whole or not at all; one that is there already is left alone."""

        def store(session: psycopg.Connection) -> None:
            with session.transaction(), path.open("rb") as file:
                statement = "INSERT INTO blob VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
                if not session.execute(statement, (digest, size_bytes, time.time())).rowcount:
                    return
                for position in itertools.count():
                    chunk = file.read(CHUNK_SIZE_BYTES)
                    if not chunk:
                        return
                    session.execute("INSERT INTO blob_chunk VALUES (%s, %s, %b)", (digest, position, chunk))

        self._ask(store)


_CHUNK = "SELECT content FROM blob_chunk WHERE digest = %s AND position = %s"


class _SharedBlobWriter(BlobWriter):
    """An upload that is stored when both the file and the rows are."""

    def __init__(self, blobs: SharedBlobs, incoming: Path, digest: str, size_bytes: int) -> None:
        super().__init__(incoming, blobs._path(digest), digest, size_bytes, blobs._hashed)
        self._blobs = blobs

    def commit(self) -> None:
        super().commit()
        self._blobs.store(self._target, self._digest, self._size_bytes)
