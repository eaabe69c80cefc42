"""What a worker keeps of what it fetched or derived: bounded, shared by all slots, loaded once.

`LoadingCache` is the one mechanism. A key is absent, in flight (one thread loads it, others wait), or held with a size;
the least recently used entries go when the sizes exceed the limit. An error is not kept: each waiter then tries for
itself, and gets an error of its own with its own traceback.

    absent ──claim──> in flight ──fulfil──> held ──limit──> absent
                          └──────release────────────────────┘

    BlobCache      digest             -> bytes, verified against the digest before anything sees them
    OutputCache    run, node, tile    -> columns, fetched a range at a time; the run is that which computed them
    Memo           any key            -> whatever pricing derives from blobs

A value that is larger than the limit is handed to whoever asked and not kept. Values are shared between threads and
must not be changed; columns are read-only arrays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import msgspec
import numpy as np

from xip_core.errors import IntegrityError
from xip_core.pricing.polling import wait_for
from xip_core.pricing.tile import Columns
from xip_worker.arrival import Received

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

BLOBS_BYTES_MAX = 512 << 20
"""A book of a million trades and a few snapshots of 10 MB."""

OUTPUTS_BYTES_MAX = 256 << 20
"""Some hundred calibrated blocks of 1 MiB, so that the value tiles of a scenario block find theirs."""

MEMO_BYTES_MAX = 512 << 20
"""Of columns and texts. A book of 100,000 trades needs 150 MB, nearly all of it resolved rows; each market
calibrated under 500 scenarios 7 MB more."""

MEMO_OBJECTS_MAX = 32
"""Of all other values, whose size nobody knows: scenario sets, layouts (each with its latest calibrated blocks, up to
64 MB), snapshots. A tick adds a snapshot. They have room of their own: rows without end must not push out what a tick
begins with, for to calibrate without the blocks of before takes 0.2 s."""

TEXT_OVERHEAD_BYTES = 48

RANGE_TILES_MAX = 64
"""Tiles fetched in one stream; with tiles of at most 1 MiB this bounds what a range holds in memory."""

COLUMN_OVERHEAD_BYTES = 256
"""Counted for an array beside its data."""


class _Flight:
    """A load under way."""

    __slots__ = ("done", "thread_id")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.thread_id = threading.get_ident()


class _Entry(msgspec.Struct, Generic[V]):
    value: V
    size: int


class LoadingCache(Generic[K, V]):
    """Least recently used values up to a total size; concurrent requests for a key load it once."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._size = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._flights: dict[K, _Flight] = {}

    @property
    def size(self) -> int:
        return self._size

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, load: Callable[[], tuple[V, int]]) -> V:
        """The value of *key*; `load` gives it and its size, in this thread, unless another thread is at it."""
        while True:
            entry = self.find_or_claim(key)
            if entry is not None:
                return entry.value
            try:
                value, size = load()
            except BaseException:
                self.release((key,))
                raise
            self.fulfil(key, value, size)
            return value

    def peek(self, key: K) -> V | None:
        """The value where it is held."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else entry.value

    def find(self, key: K) -> V | None:
        """The value where it is held, which counts as used."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def find_or_claim(self, key: K) -> _Entry[V] | None:
        """The entry; or None, and then the caller must `fulfil` or `release` the key. Waits while another loads it."""
        while True:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
                    return entry
                flight = self._flights.get(key)
                if flight is None:
                    self._flights[key] = _Flight()
                    return None
            if flight.thread_id == threading.get_ident():
                raise RuntimeError(f"loading {key!r} needs {key!r}")
            wait_for(flight.done)

    def claim_absent(self, keys: Iterable[K]) -> list[K]:
        """Claim keys from the first on, up to one that is held or in flight."""
        claimed: list[K] = []
        with self._lock:
            for key in keys:
                if key in self._entries or key in self._flights:
                    break
                self._flights[key] = _Flight()
                claimed.append(key)
        return claimed

    def fulfil(self, key: K, value: V, size: int) -> None:
        """Give a claimed key its value, and wake who waits for it."""
        self.put(key, value, size)
        self.release((key,))

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value, claimed or not; the oldest others make room."""
        if size > self._size_max:
            return
        with self._lock:
            old = self._entries.pop(key, None)
            self._size += size - (old.size if old is not None else 0)
            self._entries[key] = _Entry(value, size)
            while self._size > self._size_max:
                _, dropped = self._entries.popitem(last=False)
                self._size -= dropped.size

    def release(self, keys: Iterable[K]) -> None:
        """End claims, fulfilled or not; whoever waits looks again."""
        with self._lock:
            flights = [self._flights.pop(key, None) for key in keys]
        for flight in flights:
            if flight is not None:
                flight.done.set()


class BlobCache:
    """Blobs by digest."""

    def __init__(self, bytes_max: int = BLOBS_BYTES_MAX) -> None:
        self._cache: LoadingCache[str, bytes] = LoadingCache(bytes_max)

    def get(self, digest: str, *fetches: Callable[[str], Received]) -> bytes:
        """
        The blob; when it is not held, what the first of *fetches*, called in this thread, gives of that digest.

        Raises:
            IntegrityError: the bytes fetched last have another digest too; nothing is kept.
        """

        def load() -> tuple[bytes, int]:
            for fetch in fetches:
                received = fetch(digest)
                size_bytes = len(received.content)
                if received.digest == digest:
                    return received.content, size_bytes
            raise IntegrityError(f"blob {digest}: the {size_bytes} bytes fetched have digest {received.digest}")

        return self._cache.get(digest, load)

    def peek(self, digest: str) -> bytes | None:
        """The blob where it is held; nobody waits or fetches."""
        return self._cache.peek(digest)

    def find(self, digest: str) -> bytes | None:
        """The same, which counts as used."""
        return self._cache.find(digest)


class OutputKey(msgspec.Struct, frozen=True, gc=False):
    run_id: str
    node_id: int
    tile: int


FetchRange = Callable[[OutputKey, int], Iterable[tuple[int, Columns]]]
"""From a key on, up to so many tiles: (tile, columns) in tile order; may end early, but not before the first."""


class OutputCache:
    """Output columns of finished tiles, fetched in ranges of what a lease is going to need next."""

    def __init__(self, bytes_max: int = OUTPUTS_BYTES_MAX) -> None:
        self._cache: LoadingCache[OutputKey, Columns] = LoadingCache(bytes_max)

    def find(self, key: OutputKey) -> Columns | None:
        """The columns where they are held; nobody waits or fetches."""
        return self._cache.find(key)

    def put(self, key: OutputKey, columns: Columns) -> None:
        self._cache.put(key, columns, columns_size_bytes(columns))

    def get(self, key: OutputKey, fetch_range: FetchRange, following_count: int = 0) -> Columns:
        """
        The columns of *key*; when they have to be fetched, those of up to *following_count* tiles behind it come along.

        Raises:
            IntegrityError: the fetch gave other tiles than asked for, or broken bytes.
        """
        entry = self._cache.find_or_claim(key)
        if entry is not None:
            return entry.value
        claimed = deque([key])
        try:
            count = min(following_count, RANGE_TILES_MAX - 1)
            claimed.extend(
                self._cache.claim_absent(
                    OutputKey(key.run_id, key.node_id, key.tile + ahead) for ahead in range(1, count + 1)
                )
            )
            return self._fetch_claimed(claimed, fetch_range)
        finally:
            self._cache.release(claimed)

    def _fetch_claimed(self, claimed: deque[OutputKey], fetch_range: FetchRange) -> Columns:
        """Fulfil the claims and take them off the list, from the first on."""
        first: Columns | None = None
        asked = claimed[0]
        for tile, columns in fetch_range(asked, len(claimed)):
            if not claimed or tile != claimed[0].tile:
                raise IntegrityError(f"{asked}: tile {claimed[0].tile if claimed else 'end'} is next, got {tile}")
            self._cache.fulfil(claimed[0], columns, columns_size_bytes(columns))
            claimed.popleft()  # after fulfil another thread may claim the key again: it is no longer ours
            if first is None:
                first = columns
        if first is None:
            raise IntegrityError(f"{asked}: the scheduler sent no output")
        return first


class Memo:
    """Values derived from blobs, made once per key, the least recently used dropped first."""

    def __init__(self, bytes_max: int = MEMO_BYTES_MAX, objects_max: int = MEMO_OBJECTS_MAX) -> None:
        self._sized: LoadingCache[Hashable, object] = LoadingCache(bytes_max)
        self._objects: LoadingCache[Hashable, object] = LoadingCache(objects_max)
        self._not_kept = bytes_max + 1

    def get(self, key: Hashable, make: Callable[[], object]) -> object:
        def load() -> tuple[object, int]:
            made = self._objects.find(key)  # by the thread that this one waited for
            if made is not None:
                return made, self._not_kept
            value = make()
            size = _size_bytes(value)
            if size is None:
                self._objects.put(key, value, 1)
            return value, self._not_kept if size is None else size

        found = self._objects.find(key)
        return self._sized.get(key, load) if found is None else found


def _size_bytes(value: object) -> int | None:
    """Of columns and of texts; None where nobody knows."""
    match value:
        case dict() if all(isinstance(array, np.ndarray) for array in value.values()):
            return columns_size_bytes(value)
        case str() | bytes():
            return len(value) + TEXT_OVERHEAD_BYTES
        case list() | tuple() if all(isinstance(text, str | bytes) for text in value):
            return sum(map(len, value)) + TEXT_OVERHEAD_BYTES * (1 + len(value))
        case _:
            return None


def columns_size_bytes(columns: Columns) -> int:
    return sum(array.nbytes + COLUMN_OVERHEAD_BYTES for array in columns.values()) + COLUMN_OVERHEAD_BYTES
