"""What a client sent last, so that the next blob of the kind travels as a delta; and the blob of a tick."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from xip_core.errors import RequestError
from xip_core.graph.plan import digest_of

BLOBS_KEPT_MAX = 4
"""A book, a market and scenarios, and one more."""

BLOB_SIZE_BYTES_MAX = 64 << 20
HEAD_BYTES = 12
"""Blobs that begin with the same bytes are of one kind; a wrong guess makes a delta too large to be used."""


class SentBlobs:
    """The last blobs that the scheduler was seen to hold."""

    def __init__(self) -> None:
        self._blobs: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, digest: str, blob: bytes) -> None:
        if len(blob) <= BLOB_SIZE_BYTES_MAX:
            self._blobs[digest] = blob
            self._blobs.move_to_end(digest)
            if len(self._blobs) > BLOBS_KEPT_MAX:
                self._blobs.popitem(last=False)

    def find(self, digest: str) -> bytes | None:
        return self._blobs.get(digest)

    def digest_of(self, blob: bytes) -> str:
        """Digest of *blob*; that of the very object sent before is known, and bytes do not change: 35 ms for 35 MB."""
        if type(blob) is bytes:
            for digest, kept in self._blobs.items():
                if kept is blob:
                    return digest
        return digest_of(blob)

    def delta_of(self, blob: bytes) -> tuple[str, bytes] | None:
        """(digest of the base, delta) where one is worth it: less than half of *blob*."""
        from xip_core.model.delta import make_delta

        for digest, base in reversed(self._blobs.items()):
            if base[:HEAD_BYTES] == blob[:HEAD_BYTES] and 2 * len(base) > len(blob):
                delta = make_delta(base, blob)
                return (digest, delta) if 2 * len(delta) < len(blob) else None
        return None


def ticked(market: bytes, quotes: Mapping[str, float]) -> bytes:
    """
    The snapshot *market* with other values of *quotes*.

    Raises:
        RequestError: UNKNOWN_QUOTE, the snapshot has no such one.
    """
    from xip_core.model.market import decode_snapshot, encode_snapshot

    snapshot = decode_snapshot(market)
    unknown = [name for name in quotes if name not in snapshot.quotes]
    if unknown:
        raise RequestError("UNKNOWN_QUOTE", f"a tick must name quotes of the snapshot, got {unknown[0]!r}")
    changed = {**snapshot.quotes, **{name: float(value) for name, value in quotes.items()}}
    return encode_snapshot(msgspec.structs.replace(snapshot, quotes=changed))
