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

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg

from xip_core.errors import NotFoundError, StoreError
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES, BlobWriter, FileBlobs
from xip_scheduler.store.postgres_reads import told
from xip_scheduler.store.postgres_session import DatabaseAddress

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
        self._free = threading.BoundedSemaphore(SESSIONS_MAX)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        with self._free:
            session: psycopg.Connection | None = None
            try:
                session = self._open()
                yield session
            except psycopg.Error as error:
                raise StoreError(f"blobs cannot be read or kept: {told(error)}") from error
            finally:
                if session is not None and not session.closed:
                    self._idle.append(session)

    def _open(self) -> psycopg.Connection:
        """An idle session that still answers, or a new one."""
        while self._idle:
            session = self._idle.pop()
            with contextlib.suppress(psycopg.OperationalError):
                session.execute("SELECT")
                return session
            session.close()
        return self._address.connect("xip-scheduler blobs")

    def _stored_size_bytes(self, digest: str) -> int | None:
        with self._session() as session:
            found = session.execute("SELECT size_bytes FROM blob WHERE digest = %s", (digest,)).fetchone()
        return None if found is None else int(found[0])

    def _fetch(self, digest: str) -> None:
        """Have a local copy.

        Raises:
            NotFoundError: the database has none.
            IntegrityError: what it has is not what was stored.
        """
        if super().has(digest):
            return
        size_bytes = self._stored_size_bytes(digest)
        if size_bytes is None:
            raise NotFoundError(f"blob {digest}: not stored")
        with super().writer(digest, size_bytes) as writer, self._session() as session:
            position = 0
            while chunk := session.execute(_CHUNK, (digest, position), binary=True).fetchone():
                writer.write(chunk[0])
                position += 1
            writer.commit()

    def has(self, digest: str) -> bool:
        self._path(digest)
        return self._stored_size_bytes(digest) is not None

    def size_bytes(self, digest: str) -> int:
        self._path(digest)
        size_bytes = self._stored_size_bytes(digest)
        if size_bytes is None:
            raise NotFoundError(f"blob {digest}: not stored")
        return size_bytes

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
        with self._session() as session, session.transaction(), path.open("rb") as file:
            statement = "INSERT INTO blob (digest, size_bytes) VALUES (%s, %s) ON CONFLICT DO NOTHING"
            if not session.execute(statement, (digest, size_bytes)).rowcount:
                return
            position = 0
            while chunk := file.read(CHUNK_SIZE_BYTES):
                session.execute("INSERT INTO blob_chunk VALUES (%s, %s, %b)", (digest, position, chunk))
                position += 1


_CHUNK = "SELECT content FROM blob_chunk WHERE digest = %s AND position = %s"


class _SharedBlobWriter(BlobWriter):
    """An upload that is stored when both the file and the rows are."""

    def __init__(self, blobs: SharedBlobs, incoming: Path, digest: str, size_bytes: int) -> None:
        super().__init__(incoming, blobs._path(digest), digest, size_bytes)
        self._blobs = blobs

    def commit(self) -> None:
        super().commit()
        self._blobs.store(self._target, self._digest, self._size_bytes)
