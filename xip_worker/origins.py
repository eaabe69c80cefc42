"""In which run a tile was computed that a run began with.

A run that begins with tiles of an earlier one reads outputs that this worker may have made or fetched for that earlier
run, under its name. The scheduler lists which tiles those are: by node, disjoint spans with the run whose worker
computed them, through however many runs they came. The list does not change, for all of it was stored with the run
itself; it is asked for once a run, when the first lease of it comes, so that it is there when a tile wants its inputs.

After a tick of one curve the sums add some hundred outputs of the run before. Found here they cost 3 us each; fetched,
2 ms for a range of some dozen.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable

from xip_core.errors import XipError
from xip_worker.cache import LoadingCache
from xip_worker.fetch import Fetcher, OriginSpan

Span = tuple[int, int, str]
"""tile_begin, tile_end, run."""

ORIGINS_BYTES_MAX = 16 << 20
"""Some thousand runs of a few dozen spans."""

SPAN_BYTES = 256

TILES_BEYOND = 1 << 62
"""More than a node has tiles."""


class Origins:
    """Of one run."""

    def __init__(self, spans: Iterable[OriginSpan] = ()) -> None:
        """*spans*: by node and tile, disjoint."""
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


class KnownOrigins:
    """Of the runs this worker had leases of last; shared by its slots."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._runs: LoadingCache[str, Origins] = LoadingCache(ORIGINS_BYTES_MAX)
        self._asking: set[asyncio.Task[None]] = set()

    def of_run(self, run_id: str, is_cancelled: Callable[[], bool]) -> Origins:
        """For slots, which wait where they are being asked for. Of a run that nobody can say them of there are none:
        every output is fetched for the run itself."""

        def load() -> tuple[Origins, int]:
            try:
                origins = Origins(self._fetcher.origins(run_id, is_cancelled))
            except XipError:
                origins = Origins()
            return origins, origins.size_bytes

        return self._runs.get(run_id, load)

    def expect(self, run_ids: Iterable[str]) -> None:
        """Ask for those of *run_ids* that are not known, on the event loop, which goes on meanwhile."""
        for run_id in run_ids:
            if self._runs.claim_absent((run_id,)):
                task = asyncio.get_running_loop().create_task(self._ask(run_id))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _ask(self, run_id: str) -> None:
        """A run whose origins cannot be had is asked for again by the slot that wants them."""
        try:
            origins = Origins(await self._fetcher.list_origins(run_id))
        except XipError:
            return
        else:
            self._runs.put(run_id, origins, origins.size_bytes)
        finally:
            self._runs.release((run_id,))
