"""Tiles by kind: the one door through which workers, quants and tests evaluate a plan.

A tile is a pure function of the plan and of the blobs and tiles it names: the same tile gives the same bytes anywhere.
What follows from blobs alone is kept in the memo of the caller: line ends of a book, the layout of a market, resolved
rows, calibrated scenarios. A memo saves time and decides no number; each entry's key names all that it depends on.

Resolved rows do not travel: a swap's are 4.5 kB, ten times its line in the book, which every worker has. Making them
takes 6 us of one core, sending them through the scheduler and its store more. So a resolve tile reports which rows
have no program and why, and a value tile takes the program from the memo of its worker, or makes it there. Calibrated
scenarios do travel where that is cheaper than to make them again (`TileValue.remake_s`), which the worker decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.graph.nodes import BUMPS_OPERATION
from xip_core.graph.plan import Node, NodeKind, Plan, Source, digest_of
from xip_core.pricing.polling import IsCancelled, asking, poll
from xip_core.pricing.tile import Columns, TileData, TileValue

if TYPE_CHECKING:
    from xip_core.model.market import Snapshot
    from xip_core.model.scenario import ScenarioSet
    from xip_core.model.sensitivity import Expansion
    from xip_core.pricing.market_layout import SnapshotLayout
    from xip_core.pricing.tile_market import MarketView
    from xip_core.pricing.value_tile import MarketBlock


POISONOUS = frozenset(
    {
        FailureReason.EVALUATION_FAILED,
        FailureReason.CRASHED,
        FailureReason.TIMED_OUT,
        FailureReason.OUT_OF_MEMORY,
        FailureReason.KERNEL_STOPPED,
    }
)
"""What a row is refused for when resolving it harmed its tile; every other reason is found again by resolving it."""

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
        case NodeKind.AGGREGATE:
            from xip_core.pricing.aggregate import aggregate_tile

            return aggregate_tile(plan, node, tile, data)
        case NodeKind.SUITABILITY:
            from xip_core.pricing.suitability_tile import suitability_tile

            return suitability_tile(plan, node, tile, data)
        case NodeKind.PROBE:
            return _probe(plan)
        case NodeKind.KERNEL:
            from xip_core.pricing.kernel_tile import kernel_tile

            return kernel_tile(plan, node, tile, data, is_cancelled)


def _resolve(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """Which rows resolve, and what of the market they need; their columns stay in the memo."""
    source, resolved = plan.source_of(node), _resolved(plan, node, tile, {}, data)
    key = ("needed", *_resolved_key(plan, node, tile, data))
    objects = data.memo(key, lambda: _needed_objects(source, resolved, data))
    return TileValue(output=report_of(resolved), detail={}, cell_count=0, objects=cast(tuple[str, ...], objects))


def report_of(resolved: Columns) -> Columns:
    """What of resolved rows travels: those without a program, and why."""
    return {name: resolved[name] for name in ("row_status", "failures")}


def _resolved_key(plan: Plan, node: Node, tile: int, data: TileData) -> tuple[object, ...]:
    """Resolved rows follow from the book and the definitions, so they outlive a run, and quotes that move."""
    source = plan.source_of(node)
    rows = tile_rows(node, tile) - np.int32(source.row_begin)
    return ("resolved", source.book_digest, rows.data.tobytes(), _definitions_digest(source, data))


def _resolved(plan: Plan, node: Node, tile: int, refused: Mapping[int, Failure], data: TileData) -> Columns:
    """The row program of a resolve tile; the trades at the positions of *refused* are not touched."""

    def make() -> Columns:
        from xip_core.pricing.resolve import refused_trade, resolve_lines

        source = plan.source_of(node)
        lines = lines_of_book(source, tile_rows(node, tile) - np.int32(source.row_begin), data)
        kept_out = {position: refused_trade(lines[position], failure) for position, failure in refused.items()}
        return resolve_lines(lines, market_view(source, data), kept_out)

    key = _resolved_key(plan, node, tile, data)
    return cast(Columns, data.memo((*key, *refused.items()) if refused else key, make))


def refused_by(report: Columns) -> dict[int, Failure]:
    """Rows without a program by position, from what a resolve tile puts out."""
    from xip_core.pricing.resolve import json_value

    return {row: Failure(FailureReason(reason), text) for row, reason, text in json_value(report["failures"])}


def rows_to_value(plan: Plan, node: Node, tile: int, data: TileData) -> Columns:
    """
    The row program that a tile of a value node values, from the memo or made anew; {} if resolving it was given up.

    A row that ended a process, or was kept from doing so, when it was resolved elsewhere is not resolved here.
    """
    ref = node.inputs[0]
    needed = _needed(ref.tile_needed(tile))
    report = data.output(ref.node_id, needed)
    if not report:
        return {}
    refused = {row: failure for row, failure in refused_by(report).items() if failure.reason in POISONOUS}
    return _resolved(plan, plan.nodes[ref.node_id], needed, refused, data)


def _needed_objects(source: Source, resolved: Columns, data: TileData) -> tuple[str, ...]:
    from xip_core.pricing.needed_objects import needed_objects
    from xip_core.pricing.resolve import json_value

    return needed_objects(resolved, json_value(resolved["object_names"]), _layout(source, data))


def tile_rows(node: Node, tile: int) -> npt.NDArray[np.int32]:
    """The plan's numbers of the rows of a tile."""
    begin, end = node.row_range(tile)
    return np.frombuffer(node.rows, dtype="<i4")[begin:end]


def tile_groups(node: Node, tile: int) -> npt.NDArray[np.int32]:
    """Leaf groups of the rows of a tile of a value node."""
    begin, end = node.row_range(tile)
    return np.frombuffer(node.groups, dtype="<i4")[begin:end]


def lines_of_book(source: Source, book_rows: npt.NDArray[np.int32], data: TileData) -> list[bytes]:
    """Lines of the source's book, by row number counted from its own first row."""
    from xip_core.pricing.book_lines import chosen_lines, line_ends

    digest = source.book_digest
    book = data.blob(digest)
    ends = cast(Columns, data.memo(("line ends", digest), lambda: {"line_ends": line_ends(book)}))
    return chosen_lines(book, ends["line_ends"], book_rows)


def _calibrate(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """Calibrated scenarios follow from market and scenarios, so another book finds them ready."""
    source, scenario_range = plan.source_of(node), node.scenario_range(tile)
    key = ("calibrated", source.market_digest, source.scenarios_digest, source.risk_classes, scenario_range)
    make = _bumped_markets if node.kernel == BUMPS_OPERATION else _calibrated_scenarios
    output = cast(Columns, data.memo(key, lambda: make(source, scenario_range, data)))
    if node.kernel == BUMPS_OPERATION:
        return TileValue(output=output, detail={}, cell_count=0)
    return TileValue(output=output, detail={}, cell_count=0, remake_s=_remake_s(source, node, scenario_range, data))


def _remake_s(source: Source, node: Node, scenario_range: tuple[int, int], data: TileData) -> float:
    from xip_core.pricing.calibrate_cost import remake_s

    scenarios = scenario_set(source, data)
    snapshot, layout = _snapshot(source, data), _layout(source, data)
    return remake_s(snapshot, layout, scenarios, *scenario_range, source.risk_classes, node.tile_count)


def _calibrated_scenarios(source: Source, scenario_range: tuple[int, int], data: TileData) -> Columns:
    from xip_core.pricing.calibrate import calibrate_tile

    scenarios = scenario_set(source, data)
    snapshot, layout = _snapshot(source, data), _layout(source, data)
    return calibrate_tile(snapshot, layout, scenarios, *scenario_range, source.risk_classes)


def _bumped_markets(source: Source, column_range: tuple[int, int], data: TileData) -> Columns:
    from xip_core.pricing.bumps import bump_tile

    return bump_tile(_snapshot(source, data), _layout(source, data), expansion_of(source, data), *column_range)


def expansion_of(source: Source, data: TileData) -> Expansion:
    """What the sensitivities of a source come to in its market."""
    from xip_core.model.sensitivity import decode_sensitivities, expand

    def make() -> Expansion:
        return expand(decode_sensitivities(data.blob(source.scenarios_digest)), _snapshot(source, data))

    key = ("expansion", source.scenarios_digest, source.market_digest)
    return cast("Expansion", data.memo(key, make))


def scenario_names(source: Source, data: TileData) -> tuple[str, ...]:
    """Names of the scenarios of a source, or of the columns of its bumps; the base first."""
    from xip_core.model.sensitivity import column_names
    from xip_core.model.sensitivity_head import is_sensitivity_set

    if is_sensitivity_set(data.blob(source.scenarios_digest)):
        return column_names(expansion_of(source, data))
    return tuple(scenario.name for scenario in scenario_set(source, data).scenarios)


def scenario_set(source: Source, data: TileData) -> ScenarioSet:
    from xip_core.model.scenario import decode_scenarios

    digest = source.scenarios_digest
    return cast("ScenarioSet", data.memo(("scenarios", digest), lambda: decode_scenarios(data.blob(digest))))


def _value(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    from xip_core.pricing.value_tile import value_tile

    resolved = rows_to_value(plan, node, tile, data)
    block = market_block(node, tile, data)
    poll()
    source, rows = plan.source_of(node), tile_rows(node, tile)
    at_base = _at_base(source, rows, resolved, block, data) if resolved and block.base else None
    return value_tile(source, rows, tile_groups(node, tile), resolved, block, at_base)


def _at_base(
    source: Source, rows: npt.NDArray[np.int32], resolved: Columns, block: MarketBlock, data: TileData
) -> Columns:
    """What the tiles of the same rows share. Rows that were refused when they were resolved are empty, so the statuses
    are part of the key: elsewhere the same rows may have been resolved."""
    from xip_core.pricing.pruning import rows_at_base

    book_rows = rows - np.int32(source.row_begin)
    statuses = resolved["row_status"].data.tobytes()  # of its memory: an array's own gives the lock away to copy
    key = ("at base", source.book_digest, book_rows.data.tobytes(), statuses, source.market_digest)

    def make() -> Columns:
        return rows_at_base(resolved, np.ascontiguousarray(block.base["market"][:, :1]))

    with np.errstate(all="ignore"):  # what is not finite is found and named in the value tile
        return cast(Columns, data.memo(key, make))


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


def _snapshot(source: Source, data: TileData) -> Snapshot:
    from xip_core.model.market import decode_snapshot

    digest = source.market_digest
    return cast("Snapshot", data.memo(("snapshot", digest), lambda: decode_snapshot(data.blob(digest))))


def _definitions_digest(source: Source, data: TileData) -> str:
    """Of the snapshot but for its quotes: all that a layout, and so a resolved row, depends on."""

    def digest() -> str:
        return digest_of(msgspec.msgpack.encode(msgspec.structs.replace(_snapshot(source, data), quotes={})))

    return cast(str, data.memo(("definitions", source.market_digest), digest))


def _layout(source: Source, data: TileData) -> SnapshotLayout:
    from xip_core.pricing.market_layout import SnapshotLayout

    key = ("layout", _definitions_digest(source, data))
    return cast("SnapshotLayout", data.memo(key, lambda: SnapshotLayout(_snapshot(source, data))))


def market_view(source: Source, data: TileData) -> MarketView:
    """What rows are resolved against."""
    from xip_core.pricing.tile_market import MarketView

    key = ("market_view", _definitions_digest(source, data))
    return cast("MarketView", data.memo(key, lambda: MarketView(_layout(source, data))))


__all__ = ["Columns", "evaluate_tile"]
