"""Tiles by kind: the one door through which workers, quants and tests evaluate a plan.

A tile is a pure function of the plan and of the blobs and tiles it names: the same tile gives the same bytes anywhere.
What follows from blobs alone is kept in the memo of the caller: a split book, the layout of a market, resolved rows,
calibrated scenarios. A memo saves time and decides no number; each entry's key names all that the entry depends on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.graph.plan import Node, NodeKind, Plan, digest_of
from xip_core.pricing.polling import asking, poll
from xip_core.pricing.tile import Columns, TileData, TileValue

if TYPE_CHECKING:
    from xip_core.model.market import Snapshot
    from xip_core.pricing.market_layout import SnapshotLayout
    from xip_core.pricing.tile_market import MarketView
    from xip_core.pricing.value_tile import MarketBlock

IsCancelled = Callable[[], bool]

SPIN_CHECK_S = 0.002
"""How often a spinning probe looks whether it was cancelled; long enough to release the GIL in between."""


def evaluate_tile(plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: IsCancelled) -> TileValue:
    """
    Evaluate one tile of *plan*.

    Args:
        data: inputs; may block. Outputs of the tiles that the node's inputs name must be finished.
        is_cancelled: asked between steps, by `polling.poll` wherever there is a long loop; cheap.

    Raises:
        TileCancelledError: *is_cancelled* said so.
        XipError: an input cannot be read; the tile as a whole has no result.
    """
    with asking(is_cancelled):
        poll()
        return _evaluate(plan, plan.nodes[node_id], tile, data, is_cancelled)


def _evaluate(plan: Plan, node: Node, tile: int, data: TileData, is_cancelled: IsCancelled) -> TileValue:
    match node.kind:
        case NodeKind.RESOLVE:
            return _resolve(plan, node, tile, data)
        case NodeKind.CALIBRATE:
            return _calibrate(plan, node, tile, data)
        case NodeKind.VALUE:
            return _value(plan, node, tile, data)
        case NodeKind.REDUCE:
            from xip_core.pricing.reduce import reduce_tile

            return reduce_tile(plan, node.node_id, tile, data)
        case NodeKind.PROBE:
            return _probe(plan)
        case NodeKind.KERNEL:
            from xip_core.pricing.kernel_tile import kernel_tile

            return kernel_tile(plan, node, tile, data, is_cancelled)


def _resolve(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """Resolved rows follow from the book and the definitions, so they outlive a run, and quotes that move."""
    begin, end = node.row_range(tile)
    rows = node.rows[4 * begin : 4 * end]
    key = ("resolved", plan.book_digest, rows, _definitions_digest(plan, data))
    output = data.memo(key, lambda: _resolved_rows(plan, np.frombuffer(rows, dtype="<i4"), data))
    objects = data.memo(("needed", *key), lambda: _needed_objects(plan, cast(Columns, output), data))
    return TileValue(output=cast(Columns, output), detail={}, cell_count=0, objects=cast(tuple[str, ...], objects))


def _needed_objects(plan: Plan, resolved: Columns, data: TileData) -> tuple[str, ...]:
    from xip_core.pricing.needed_objects import needed_objects
    from xip_core.pricing.resolve import json_value

    return needed_objects(resolved, json_value(resolved["object_names"]), _layout(plan, data))


def _resolved_rows(plan: Plan, rows: npt.NDArray[np.int32], data: TileData) -> Columns:
    from xip_core.pricing.resolve import decode_rows, resolve_rows

    return resolve_rows(decode_rows(rows_of_book(plan, rows, data)), market_view(plan, data))


def rows_of_book(plan: Plan, rows: npt.NDArray[np.int32], data: TileData) -> list[bytes]:
    """Lines of the book by row number."""
    digest = plan.book_digest
    lines = cast(list[bytes], data.memo(("book", digest), lambda: data.blob(digest).split(b"\n")))
    return [lines[row] for row in rows.tolist()]


def _calibrate(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """Calibrated scenarios follow from market and scenarios, so another book finds them ready."""
    scenario_range = node.scenario_range(tile)
    key = ("calibrated", plan.market_digest, plan.scenarios_digest, scenario_range)
    output = data.memo(key, lambda: _calibrated_scenarios(plan, scenario_range, data))
    return TileValue(output=cast(Columns, output), detail={}, cell_count=0)


def _calibrated_scenarios(plan: Plan, scenario_range: tuple[int, int], data: TileData) -> Columns:
    from xip_core.model.scenario import ScenarioSet, decode_scenarios
    from xip_core.pricing.calibrate import calibrate_tile

    digest = plan.scenarios_digest
    scenarios = cast(ScenarioSet, data.memo(("scenarios", digest), lambda: decode_scenarios(data.blob(digest))))
    return calibrate_tile(_snapshot(plan, data), _layout(plan, data), scenarios, *scenario_range)


def _value(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    from xip_core.pricing.value_tile import value_tile

    ref = node.inputs[0]
    resolved = data.output(ref.node_id, _needed(ref.tile_needed(tile)))
    block = market_block(node, tile, data)
    poll()
    begin, end = node.row_range(tile)
    rows = np.frombuffer(node.rows, dtype="<i4")[begin:end]
    return value_tile(plan, rows, resolved, block)


def market_block(node: Node, tile: int, data: TileData) -> MarketBlock:
    """The calibrated scenarios a value tile reads, those of its own block and the base's."""
    from xip_core.pricing.value_tile import MarketBlock

    calibrated, base = (data.output(ref.node_id, _needed(ref.tile_needed(tile))) for ref in node.inputs[1:])
    return MarketBlock(calibrated, base, *node.scenario_range(tile))


def _needed(tile: int | None) -> int:
    assert tile is not None, "a value tile reads single tiles"
    return tile


def _probe(plan: Plan) -> TileValue:
    """Keep a core busy for the plan's tile duration, without the GIL; probe.noop has none."""
    until_s = time.perf_counter() + plan.tile_duration_s
    if plan.tile_duration_s > 0.0:
        import hashlib

        work = bytes(1 << 20)  # hashing a megabyte takes about SPIN_CHECK_S / 2 and releases the GIL
        while time.perf_counter() < until_s:
            poll()
            hashlib.blake2b(work)
    return TileValue(output={}, detail={}, cell_count=1)


def _snapshot(plan: Plan, data: TileData) -> Snapshot:
    from xip_core.model.market import decode_snapshot

    digest = plan.market_digest
    return cast("Snapshot", data.memo(("snapshot", digest), lambda: decode_snapshot(data.blob(digest))))


def _definitions_digest(plan: Plan, data: TileData) -> str:
    """Of the snapshot but for its quotes: all that a layout, and so a resolved row, depends on."""

    def digest() -> str:
        return digest_of(msgspec.msgpack.encode(msgspec.structs.replace(_snapshot(plan, data), quotes={})))

    return cast(str, data.memo(("definitions", plan.market_digest), digest))


def _layout(plan: Plan, data: TileData) -> SnapshotLayout:
    from xip_core.pricing.market_layout import SnapshotLayout

    key = ("layout", _definitions_digest(plan, data))
    return cast("SnapshotLayout", data.memo(key, lambda: SnapshotLayout(_snapshot(plan, data))))


def market_view(plan: Plan, data: TileData) -> MarketView:
    """What rows are resolved against."""
    from xip_core.pricing.tile_market import MarketView

    key = ("market_view", _definitions_digest(plan, data))
    return cast("MarketView", data.memo(key, lambda: MarketView(_layout(plan, data))))


__all__ = ["Columns", "evaluate_tile"]
