"""Probe tiles: work without market or book, to measure the engine and its capacity.

`probe.noop` costs nothing, so a range of it is one result whatever its length: what is left to measure is the road.
`probe.spin` keeps one core busy for `Plan.tile_duration_s` a tile, outside the GIL like a kernel (hashlib releases it
for more than 2 KiB), and reports the tiles done every REPORT_INTERVAL_NS, so a lease shows progress and can be trimmed.
A probe tile has one cell.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

from xip_core.graph.plan import Node, Plan
from xip_worker.cursor import TileCursor
from xip_worker.events import FinishedTiles

NOOP_KERNEL = "probe.noop"
SPIN_KERNEL = "probe.spin"

REPORT_INTERVAL_NS = 20_000_000
"""Ranges of spun tiles: a result costs some 10 us, so this keeps reporting below a thousandth."""

_SPUN_BYTES = bytes(1 << 15)  # about 40 us of hashing between two looks at the clock


def evaluate_probe(
    plan: Plan, node: Node, cursor: TileCursor, is_cancelled: Callable[[], bool]
) -> Iterator[FinishedTiles]:
    """Evaluate the tiles of a lease; ends early, without a word, when cancelled."""
    tile_duration_ns = round(plan.tile_duration_s * 1e9) if node.kernel == SPIN_KERNEL else 0
    if tile_duration_ns == 0:
        if tiles := cursor.claim_rest():
            yield FinishedTiles(cursor.epoch, tiles.start, tiles.stop, len(tiles), 0)
        return
    first: int | None = None
    end = 0
    begun_ns = time.perf_counter_ns()
    while (tile := cursor.claim()) is not None:
        first = tile if first is None else first
        if not _spin(time.perf_counter_ns() + tile_duration_ns, is_cancelled):
            return
        end = tile + 1
        now_ns = time.perf_counter_ns()
        if now_ns - begun_ns >= REPORT_INTERVAL_NS:
            yield FinishedTiles(cursor.epoch, first, end, end - first, now_ns - begun_ns)
            first, begun_ns = None, now_ns
    if first is not None:
        yield FinishedTiles(cursor.epoch, first, end, end - first, time.perf_counter_ns() - begun_ns)


def _spin(until_ns: int, is_cancelled: Callable[[], bool]) -> bool:
    """Keep the core busy; False when cancelled before the end."""
    hasher = hashlib.blake2b()
    while time.perf_counter_ns() < until_ns:
        if is_cancelled():
            return False
        hasher.update(_SPUN_BYTES)
    return True
