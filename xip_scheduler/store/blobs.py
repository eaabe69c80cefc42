"""Content-addressed bytes in files: books, markets, scenarios, plans.

Why files and not rows: the store has one connection (SQLite under WAL wants one writer, see `sqlite`), so a row of
100 MB read or written through it would hold up every commit behind it, and WAL writes it twice. A blob needs no
transaction with anything: its name is the digest of its content, so it exists whole or not at all, and one that is
stored but never named by a run is only unused space.

    <directory>/ab/ab12...        the content of digest ab12...
    <directory>/incoming/...      uploads under way; emptied at start

Written to `incoming`, hashed on the way, flushed to disk, then renamed: a crash at any point leaves a whole blob or
none. A blob is durable when `put` or `BlobWriter.commit` returns, so a run that names it may be stored after it.

What this process has hashed itself, on the way in or when it read it, is not hashed again for `HASHED_FOR_S` while the
file is the same one, unwritten since (device, inode, size, times): a desk submits what it has just uploaded, and 36 MiB
take 35 ms. Whoever computes with a blob checks it again: a worker hashes what it downloads.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from xip_core.errors import IntegrityError, NotFoundError, RequestError, StoreError

DIGEST_SIZE_BYTES = 32
CHUNK_SIZE_BYTES = 1 << 19
"""Chunk of reads. A blob of 36 MiB downloaded costs the scheduler 32 to 46 ms of CPU in these, 58 to 76 ms in chunks of
1 MiB, whose copies leave the cache and whose memory is fresh pages each time; in chunks of 128 kB again 70 to 86 ms."""

HASHED_FOR_S = 600.0
"""Damage that leaves the times of a file alone is noticed after so long."""

HASHED_MAX = 4_096
"""Files known to be sound, 0.3 kB each; the oldest are forgotten first."""

Identity = tuple[int, int, int, int, int]


def digest_is_well_formed(digest: str) -> bool:
    """Whether *digest* is 64 lower-case hex digits: the only text that ever becomes part of a file name here."""
    return len(digest) == 2 * DIGEST_SIZE_BYTES and all(letter in "0123456789abcdef" for letter in digest)


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    """A disk that refuses (full, read-only) is a refusal of the store, told without the paths of this machine."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error


def _identity(found: os.stat_result) -> Identity:
    """What changes when a file is replaced or written."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _now_ns() -> tuple[int, int]:
    now_ns = time.time_ns()
    return now_ns, now_ns


class _Hashed:
    """Files that were found to be what they are called."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, digest: str, found: os.stat_result) -> bool:
        known = self._known.get(digest)
        return known is not None and known[0] == _identity(found) and time.monotonic() < known[1]

    def note(self, digest: str, descriptor: int) -> None:
        """
        The content of the open file has been hashed.

        Its time is set to the nanosecond: the clock by which a kernel dates a write goes in steps of some milliseconds.
        """
        os.utime(descriptor, ns=_now_ns())
        found = os.fstat(descriptor)
        with self._lock:
            self._known.pop(digest, None)
            self._known[digest] = _identity(found), time.monotonic() + HASHED_FOR_S
            if len(self._known) > HASHED_MAX:
                self._known.popitem(last=False)

    def touch(self, digest: str, before: os.stat_result, after: os.stat_result) -> None:
        """We have set the times of the file."""
        with self._lock:
            known = self._known.get(digest)
            if known is not None and known[0] == _identity(before):
                self._known[digest] = _identity(after), known[1]


class FileBlobs:
    """Blobs of one data directory; methods block on the disk and may be called from any thread.

    All that write raise StoreError when the disk refuses; nothing of the blob is kept then.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._incoming = directory / "incoming"
        self._serial = itertools.count()
        self._hashed = _Hashed()
        self._using = threading.Lock()  # nobody is told that a blob is there between a look at its age and its end
        shutil.rmtree(self._incoming, ignore_errors=True)
        with _refusing(f"blobs cannot be kept in {directory}"):
            self._incoming.mkdir(parents=True)

    def _path(self, digest: str) -> Path:
        if not digest_is_well_formed(digest):
            raise RequestError(
                "BAD_DIGEST", f"a digest must be {DIGEST_SIZE_BYTES} bytes (64 hex digits), got {digest!r}"
            )
        return self._directory / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the blob is there. Whoever hears so relies on it: it counts as used now (`unused_since`)."""
        path = self._path(digest)
        with self._using:
            try:
                before = path.stat()
                os.utime(path, ns=_now_ns())
                self._hashed.touch(digest, before, path.stat())
            except FileNotFoundError:
                return False
            except OSError:  # a disk that takes no time stamp still has the blob
                return path.exists()
        return True

    def unused_since(self, time_s: float) -> Iterator[str]:
        """Digests of blobs stored and asked for before *time_s* (seconds since the Unix epoch)."""
        for path in self._directory.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time_s:
                    yield path.name

    def remove(self, digests: Iterable[str], time_s: float) -> int:
        """Remove those of *digests* still unused since *time_s*; how many were."""
        count = 0
        for digest in digests:
            path = self._path(digest)
            with self._using, contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time_s:
                    path.unlink()
                    count += 1
        return count

    def size_bytes(self, digest: str) -> int:
        """Size of a blob.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest}: not stored") from None

    def get(self, digest: str) -> bytes:
        """The whole content, checked against its name (see the head of this module).

        Raises:
            NotFoundError: there is none.
            IntegrityError: the file is not what was written.
        """
        try:
            file = self._path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest}: not stored") from None
        with file:
            is_known = self._hashed.knows(digest, os.fstat(file.fileno()))
            content = file.read()
            if is_known:
                return content
            found = hashlib.blake2b(content, digest_size=DIGEST_SIZE_BYTES).hexdigest()
            if found != digest:
                raise IntegrityError(f"blob {digest}: the stored content has digest {found}")
            with contextlib.suppress(OSError):  # a disk that takes no time stamp: it is hashed every time
                self._hashed.note(digest, file.fileno())
        return content

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The content in pieces of at most `CHUNK_SIZE_BYTES`; `NotFoundError` before the first one."""
        try:
            file = self._path(digest).open("rb")
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest}: not stored") from None
        with file:
            while chunk := file.read(CHUNK_SIZE_BYTES):
                yield chunk

    def put(self, content: bytes) -> str:
        """Keep *content* durably and return its digest."""
        digest = hashlib.blake2b(content, digest_size=DIGEST_SIZE_BYTES).hexdigest()
        if not self.has(digest):
            with self.writer(digest, len(content)) as writer:
                writer.write(content)
                writer.commit()
        return digest

    def writer(self, digest: str, size_bytes: int) -> BlobWriter:
        """A writer for an upload that claims to have *digest* and *size_bytes*."""
        incoming = self._incoming / str(next(self._serial))
        return BlobWriter(incoming, self._path(digest), digest, size_bytes, self._hashed)


class BlobWriter:
    """One upload: any number of `write`, then `commit`; left without `commit`, nothing stays."""

    def __init__(self, incoming: Path, target: Path, digest: str, size_bytes: int, hashed: _Hashed) -> None:
        self._incoming = incoming
        self._target = target
        self._digest = digest
        self._size_bytes = size_bytes
        self._hashed = hashed
        self._written_bytes = 0
        self._hash = hashlib.blake2b(digest_size=DIGEST_SIZE_BYTES)
        with _refusing(f"blob {digest}: cannot be kept"):
            self._file = incoming.open("wb", buffering=0)  # so that what a full disk refuses is known at once

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._incoming.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Append *chunk*; `IntegrityError` as soon as there is more than was announced."""
        self._written_bytes += len(chunk)
        if self._written_bytes > self._size_bytes:
            raise IntegrityError(
                f"blob {self._digest}: must have {self._size_bytes} bytes as announced,"
                f" got at least {self._written_bytes}"
            )
        self._hash.update(chunk)
        with _refusing(f"blob {self._digest}: cannot be kept"):
            left = memoryview(chunk)
            while left:
                left = left[self._file.write(left) :]

    def commit(self) -> None:
        """Check size and digest, then make the blob visible and durable.

        Raises:
            IntegrityError: the content is not what was announced; nothing is kept.
        """
        if self._written_bytes != self._size_bytes:
            raise IntegrityError(
                f"blob {self._digest}: must have {self._size_bytes} bytes as announced, got {self._written_bytes}"
            )
        if self._hash.hexdigest() != self._digest:
            raise IntegrityError(f"blob {self._digest}: content has digest {self._hash.hexdigest()}")
        with _refusing(f"blob {self._digest}: cannot be kept"):
            os.fsync(self._file.fileno())
            self._target.parent.mkdir(exist_ok=True)
            self._incoming.rename(self._target)
            with contextlib.suppress(OSError):  # as in `get`
                self._hashed.note(self._digest, self._file.fileno())
            _sync_directory(self._target.parent)
            _sync_directory(self._target.parent.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename in *directory* survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
