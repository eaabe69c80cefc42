"""In which run a tile was computed that a run began with.

A run that begins with tiles of an earlier one reads outputs that this worker may have made or fetched for that earlier
run, under its name. The scheduler lists which tiles those are: by node, disjoint spans with the run whose worker
computed them, through however many runs they came. It is asked once a run, by the first tile that misses an input, for
a list that does not change: all of it was stored with the run itself.

After a tick of one curve the sums add some hundred outputs of the run before. Found here they cost 3 us each; fetched,
2 ms for a range of some dozen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from xip_worker.cache import LoadingCache

Span = tuple[int, int, str]
"""tile_begin, tile_end, run."""

ORIGINS_BYTES_MAX = 16 << 20
"""Some thousand runs of a few dozen spans."""

SPAN_BYTES = 256

TILES_BEYOND = 1 << 62
"""More than a node has tiles."""


class Origins:
    """Of one run. *spans*: (node_id, tile_begin, tile_end, run), by node and tile, disjoint."""

    def __init__(self, spans: Iterable[tuple[int, int, int, str]]) -> None:
        self._spans: dict[int, list[Span]] = {}
        for node_id, begin, end, run_id in spans:
            self._spans.setdefault(node_id, []).append((begin, end, run_id))

    @property
    def size_bytes(self) -> int:
        return SPAN_BYTES * (1 + sum(map(len, self._spans.values())))

    def of(self, node_id: int, tile: int) -> tuple[str, int]:
        """The run *tile* was computed in, "" for the run itself; and the end of the tiles from it on that share it."""
        spans = self._spans.get(node_id, ())
        position = bisect_right(spans, tile, key=_begin)
        if position and tile < spans[position - 1][1]:
            _, end, run_id = spans[position - 1]
            return run_id, end
        return "", spans[position][0] if position < len(spans) else TILES_BEYOND


def _begin(span: Span) -> int:
    return span[0]


OriginsCache = LoadingCache[str, Origins]
"""By run."""
