"""Results of tiles as workers send them, cut to what the scheduler keeps: the core's events."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from xip_core.errors import FailureReason, RequestError
from xip_core.wire.v1 import worker_pb2
from xip_scheduler.core.events import TilesReported
from xip_scheduler.core.words import Epoch, WorkerId
from xip_scheduler.journal import TilePayload

ID_LENGTH_MAX = 200

MESSAGE_LENGTH_MAX = 2_000
"""Characters kept of a failure's sentence."""

COUNT_MAX = 1 << 32
"""Cells of one result: even a billion results of so many still add up in the store's 64 bits."""

ROW_MAX = (1 << 31) - 1
"""Rows and scenarios of a run are 32-bit; what a worker claims beyond is cut, the store would refuse it."""

OBJECT_NAMES_LENGTH_MAX = 64 << 10
"""Characters of the names of the objects of a tile: a market of 2,000 objects, all needed by the rows of one tile."""

FETCHED_KINDS_MAX = 16
KIND_LENGTH_MAX = 32

POISON_REASONS = frozenset(
    (
        FailureReason.CRASHED,
        FailureReason.TIMED_OUT,
        FailureReason.OUT_OF_MEMORY,
        FailureReason.EVALUATION_FAILED,
    )
)
"""Of rows that an isolated evaluation refuses; what a kernel reports by itself has others."""


def reported_with_payload(worker_id: WorkerId, result: worker_pb2.TileResult) -> TilesReported:
    """A result that says more than its counts: a payload, or what came for its tiles."""
    has_payload = result.output or result.detail or result.quarantine
    if has_payload and result.tile_end != result.tile_begin + 1:
        sentence = f"a result with output must be of one tile, got [{result.tile_begin}, {result.tile_end})"
        raise RequestError("BAD_TILE_RANGE", sentence)
    quarantine = tuple(
        (
            min(cells.row, ROW_MAX),
            min(cells.scenario_begin, ROW_MAX),
            min(cells.scenario_end, ROW_MAX),
            int(reason_of(cells.reason)),
            cells.message[:MESSAGE_LENGTH_MAX],
            cells.trade_id[:ID_LENGTH_MAX],
        )
        for cells in result.quarantine
    )
    return TilesReported(
        worker_id,
        Epoch(result.epoch),
        result.tile_begin,
        result.tile_end,
        min(result.cell_count, COUNT_MAX),
        tuple([(cells[1], cells[2]) for cells in quarantine]),
        result.elapsed_ns,
        TilePayload(result.output, result.detail, quarantine, _names(result.objects)),
        sum([cells[3] in POISON_REASONS for cells in quarantine]),
        result.fetch_ns,
        _fetched(result.fetched) if result.fetched else (),
        min(result.pruned_count, result.cell_count, COUNT_MAX),
    )


def _names(objects: Iterable[str]) -> str:
    """One a line; none at all of a worker that says too much, whose tiles are then never taken over."""
    names = "\n".join(objects)
    return names if len(names) <= OBJECT_NAMES_LENGTH_MAX else ""


def _fetched(fetched: Iterable[worker_pb2.Fetched]) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        [
            (item.kind[:KIND_LENGTH_MAX], min(item.size_bytes, COUNT_MAX), item.count)
            for item in itertools.islice(fetched, FETCHED_KINDS_MAX)
        ]
    )


def reason_of(reason: int) -> FailureReason:
    """A reason of a newer worker is one we have no word for."""
    try:
        return FailureReason(reason)
    except ValueError:
        return FailureReason.EVALUATION_FAILED
