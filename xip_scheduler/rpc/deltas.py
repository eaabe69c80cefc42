"""Deltas between blobs that are here (`xip_core.model.delta`): put together for uploads, made for downloads.

Nothing of a delta is stored: a blob is whole or not there. Those made for workers are kept for the next worker, for all
of them ask for the same one within a moment. Methods block and may be called from any thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from xip_core.errors import IntegrityError
from xip_core.graph.plan import digest_of
from xip_core.model.delta import apply_delta, make_delta
from xip_scheduler.store.blobs import FileBlobs

DELTAS_KEPT_MAX = 32
BASES_LOOKED_AT_MAX = 8
BLOB_SIZE_BYTES_MAX = 64 << 20
"""Larger blobs travel whole: both have to be in memory to be compared."""


class Deltas:
    def __init__(self, blobs: FileBlobs) -> None:
        self._blobs = blobs
        self._made: OrderedDict[tuple[str, str], bytes | None] = OrderedDict()
        self._lock = threading.Lock()

    def keep_whole(self, digest: str, base_digest: str, delta: bytes, size_limit_bytes: int) -> None:
        """
        Store what *delta* makes of the blob *base_digest*.

        Raises:
            NotFoundError: the base is not here.
            IntegrityError: the whole does not have *digest*; nothing is kept.
        """
        whole = apply_delta(self._blobs.get(base_digest), delta, size_limit_bytes)
        if (got := digest_of(whole)) != digest:
            raise IntegrityError(f"blob {digest}: the delta makes a content with digest {got}")
        self._blobs.put(whole)

    def find(self, digest: str, base_digests: Sequence[str]) -> tuple[str, bytes] | None:
        """(base digest, delta) for a reader that holds the bases; None where the whole blob is no worse.

        Raises:
            NotFoundError: there is no blob *digest*.
        """
        size_bytes = self._blobs.size_bytes(digest)
        if size_bytes > BLOB_SIZE_BYTES_MAX:
            return None
        for base in base_digests[:BASES_LOOKED_AT_MAX]:
            if base != digest and self._blobs.has(base) and self._blobs.size_bytes(base) <= BLOB_SIZE_BYTES_MAX:
                delta = self._delta(base, digest)
                if delta is not None:
                    return base, delta
        return None

    def _delta(self, base_digest: str, digest: str) -> bytes | None:
        """None where it is not less than half of the whole."""
        key = (base_digest, digest)
        with self._lock:  # one thread makes it, the others wait
            if key not in self._made:
                whole = self._content(digest)
                delta = make_delta(self._content(base_digest), whole)
                self._made[key] = delta if 2 * len(delta) < len(whole) else None
                if len(self._made) > DELTAS_KEPT_MAX:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]

    def _content(self, digest: str) -> bytes:
        """Not held against its digest, which whoever applies the delta does with what comes of it."""
        return b"".join(self._blobs.chunks(digest))
