"""Rows of a tile one by one: what is asked when a tile as a whole kills, hangs or raises.

    row_count        how many rows a tile has; 0 where it has none (calibrate, reduce, probe)
    evaluate_rows    some of them, their result thrown away: does it end?
    evaluate_without the whole tile with some rows refused: each of them is quarantined with the reason given, the
                     others have the bytes they would have without it

A refused row is an empty row of the program with a status, which is what a trade that cannot be resolved is already: so
sums, statuses and quarantine need no case of their own. The rows of a value tile are resolved again from the book, for
a refused row has to be empty in the columns that value it. Rows of a kernel's table do not see each other at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from xip_core.errors import Failure
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.pricing.evaluate import (
    evaluate_tile,
    lines_of_book,
    market_block,
    market_view,
    refused_by,
    report_of,
    tile_groups,
    tile_rows,
)
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import Columns, TileCancelledError, TileData, TileValue

if TYPE_CHECKING:
    from xip_core.model.trade import Trade
    from xip_core.pricing.resolve import RefusedTrade

Refused = Mapping[int, Failure]
"""By position of the row in its tile, counted from 0."""


def row_count(plan: Plan, node_id: int, tile: int) -> int:
    """Rows of a tile that can be evaluated and refused one by one."""
    node = plan.nodes[node_id]
    if node.kind not in (NodeKind.RESOLVE, NodeKind.VALUE, NodeKind.KERNEL):
        return 0
    begin, end = node.row_range(tile)
    return end - begin


def evaluate_rows(
    plan: Plan, node_id: int, tile: int, positions: range, data: TileData, is_cancelled: IsCancelled
) -> None:
    """Evaluate the rows at *positions* of a tile as if there were no others; raises what the tile would."""
    node = plan.nodes[node_id]
    _evaluate(plan, node, tile, positions, _refused_before(node, tile, data), data, is_cancelled)


def evaluate_without(
    plan: Plan, node_id: int, tile: int, refused: Refused, data: TileData, is_cancelled: IsCancelled
) -> TileValue:
    """The value of a tile whose rows at the positions of *refused* have no number, for the reasons given."""
    if not refused:
        return evaluate_tile(plan, node_id, tile, data, is_cancelled)
    node = plan.nodes[node_id]
    all_refused = {**refused, **_refused_before(node, tile, data)}
    return _evaluate(plan, node, tile, range(row_count(plan, node_id, tile)), all_refused, data, is_cancelled)


def _evaluate(
    plan: Plan, node: Node, tile: int, positions: range, refused: Refused, data: TileData, is_cancelled: IsCancelled
) -> TileValue:
    if is_cancelled():
        raise TileCancelledError
    if node.kind is NodeKind.KERNEL:
        from xip_core.pricing.kernel_tile import kernel_rows, tile_columns

        key = ("tile of a table", plan.table_digest, node.row_range(tile))  # a look at a row must not fetch the table
        columns = cast(Columns, data.memo(key, lambda: tile_columns(plan, node, tile, data)))
        return kernel_rows(plan, node, tile, positions, columns, is_cancelled, refused)
    from xip_core.pricing.resolve import resolve_rows
    from xip_core.pricing.value_tile import value_tile

    source, chosen = plan.source_of(node), slice(positions.start, positions.stop)
    rows = tile_rows(node, tile)[chosen]
    lines = lines_of_book(source, rows - np.int32(source.row_begin), data)
    trades = [_trade(line, refused.get(position)) for position, line in zip(positions, lines, strict=True)]
    columns = resolve_rows(trades, market_view(source, data))
    if node.kind is NodeKind.RESOLVE:
        return TileValue(output=report_of(columns), detail={}, cell_count=0)
    if is_cancelled():
        raise TileCancelledError
    return value_tile(source, rows, tile_groups(node, tile)[chosen], columns, market_block(node, tile, data))


def _trade(line: bytes, failure: Failure | None) -> Trade | RefusedTrade:
    from xip_core.pricing.resolve import decode_rows, refused_trade

    return decode_rows([line])[0] if failure is None else refused_trade(line, failure)


def _refused_before(node: Node, tile: int, data: TileData) -> dict[int, Failure]:
    """Rows that the resolve tile of a value tile has refused: one of them may be poison to resolving."""
    if node.kind is not NodeKind.VALUE:
        return {}
    ref = node.inputs[0]
    needed = ref.tile_needed(tile)
    assert needed is not None, "a value tile reads single tiles"
    return refused_by(data.output(ref.node_id, needed))
