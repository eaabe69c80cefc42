"""Which tile of a lease is next, and where the lease ends: the one thing that a slot and the event loop both write.

    slot     claim() ──> the next tile, begun from now on        claim_rest() ──> all that is left
    loop     trim(bound) ──> where the lease ends now: at the bound, or behind the last tile begun

A tile is so either begun, and kept, or given up, and never begun. The answer goes into the reports while the lock is
held: a slot that finds the end moved reports the end of its batch after the answer, never before it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from xip_worker.events import Lease, LeaseBound


class TileCursor:
    """
    Args:
        lock: may be shared between cursors; held for a microsecond.

    Attributes:
        tile_end: where the lease ends now.
    """

    __slots__ = ("_lock", "_next_tile", "epoch", "tile_end")

    def __init__(self, lease: Lease, lock: Lock) -> None:
        self.epoch = lease.epoch
        self._next_tile = lease.tile_begin
        self.tile_end = lease.tile_end
        self._lock = lock

    def claim(self) -> int | None:
        """The next tile; None at the end."""
        with self._lock:
            tile = self._next_tile
            if tile >= self.tile_end:
                return None
            self._next_tile = tile + 1
            return tile

    def claim_rest(self) -> range:
        """Every tile not begun yet, at once."""
        with self._lock:
            tiles = range(self._next_tile, self.tile_end)
            self._next_tile = self.tile_end
            return tiles

    def trim(self, tile_end: int, report: Callable[[LeaseBound], None]) -> None:
        """Give up what is not begun from *tile_end* on, and report what is kept."""
        with self._lock:
            self.tile_end = min(self.tile_end, max(tile_end, self._next_tile))
            report(LeaseBound(self.epoch, self.tile_end))
