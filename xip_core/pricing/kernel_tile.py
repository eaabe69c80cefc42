"""A kernel tile: one kernel over some rows of a table.

Rows do not see each other, so `kernel_rows` gives the same bytes for a row whichever rows of the tile it is asked with:
whoever hunts for the row that kills its process (`pricing.rows`) may cut and leave out as he likes.

A cell is an output of a row. A row that the kernel refuses is NaN in all of them, with its status in the detail and its
reason in the quarantine; what a kernel raises fails the whole range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.graph.plan import Node, Plan
from xip_core.kernels.catalogue import evaluate, find_kernel
from xip_core.kernels.interruption import interrupting
from xip_core.model.table import decode_table
from xip_core.pricing.tile import Columns, QuarantinedCells, TileCancelledError, TileData, TileValue

BLOCK_S = 10e-3
"""Rows evaluated between two looks at the cancellation, by the declared cost: a cancel is to reach a running kernel
within 100 ms even if the declaration is wrong by a factor of ten."""

Refused = Mapping[int, Failure]
"""By position of the row in its tile, counted from 0."""

NOTHING_REFUSED: Refused = {}


def kernel_tile(plan: Plan, node: Node, tile: int, data: TileData, is_cancelled: Callable[[], bool]) -> TileValue:
    """All rows of a tile; see `kernel_rows`."""
    begin, end = node.row_range(tile)
    columns = tile_columns(plan, node, tile, data)
    return kernel_rows(plan, node, tile, range(end - begin), columns, is_cancelled)


def tile_columns(plan: Plan, node: Node, tile: int, data: TileData) -> Columns:
    """The rows of a tile, or the one value that stands for all: copies, because columns of a blob begin at any byte and
    kernels read aligned numbers."""
    begin, end = node.row_range(tile)
    table = decode_table(data.blob(plan.table_digest))
    return {name: (values[begin:end] if len(values) > 1 else values).copy() for name, values in table.items()}


def kernel_rows(
    plan: Plan,
    node: Node,
    tile: int,
    positions: range,
    columns: Columns,
    is_cancelled: Callable[[], bool],
    refused: Refused = NOTHING_REFUSED,
) -> TileValue:
    """
    Outputs and statuses of the rows at *positions* of a tile; docs/tile-outputs.md lists the columns.

    Args:
        columns: of the whole tile, see `tile_columns`.
        refused: rows that the kernel must not see; they have no numbers, for the reasons given.

    Raises:
        TileCancelledError: *is_cancelled* said so.
        CellError: UNSUPPORTED, the kernel here is not the one that was planned with.
        Exception: what the kernel raises.
    """
    _check_version(node)
    first_row = node.row_range(tile)[0]
    asked = np.arange(positions.start, positions.stop)
    outputs = {name: np.full(len(asked), np.nan) for name in plan.outputs}
    status = np.zeros(len(asked), np.uint8)
    for position, failure in refused.items():
        if position in positions:
            status[position - positions.start] = failure.reason
    seen = np.flatnonzero(status == 0)
    block_rows = max(1, int(BLOCK_S * node.rows_per_tile / node.cost_s))

    def ask() -> None:
        if is_cancelled():
            raise TileCancelledError

    with interrupting(ask):  # for rows of seconds, between their slices
        for begin in range(0, len(seen), block_rows):
            ask()
            block = seen[begin : begin + block_rows]
            numbers = evaluate(node.kernel, outputs=plan.outputs, **_at(columns, asked[block]))
            for name, values in outputs.items():
                values[block] = numbers[name]
            status[block] = numbers["status"]
    return TileValue(
        output={},
        detail={"row": (first_row + asked).astype("<i4"), **outputs, "status": status},
        cell_count=len(asked) * len(plan.outputs),
        quarantine=tuple(_quarantine(plan, node, first_row, asked[status != 0], status[status != 0], refused)),
    )


def _at(columns: Columns, positions: npt.NDArray[np.int64]) -> Columns:
    """The first column is spread where it is one value, so that the outputs have as many rows."""
    chosen = {name: values[positions] if len(values) > 1 else values for name, values in columns.items()}
    first = next(iter(chosen))
    chosen[first] = np.broadcast_to(chosen[first], len(positions))
    return chosen


def _check_version(node: Node) -> None:
    """The scheduler leases a node to those that announced its kernel (S14); this is for one that announced wrongly."""
    kernel = find_kernel(node.kernel)
    have = kernel.version if kernel is not None else "none"
    if have != node.kernel_version:
        sentence = f"kernel {node.kernel} must be of version {node.kernel_version} as planned, this worker has {have}"
        raise CellError(FailureReason.UNSUPPORTED, sentence)


def _quarantine(
    plan: Plan,
    node: Node,
    first_row: int,
    positions: npt.NDArray[np.int64],
    statuses: npt.NDArray[np.uint8],
    refused: Refused,
) -> Iterator[QuarantinedCells]:
    for position, status in zip(positions.tolist(), statuses.tolist(), strict=True):
        row, reason = first_row + position, FailureReason(status)
        sentence = f"{node.kernel} gives no number, a column is outside its domain or a result is not finite"
        if position in refused:
            sentence = refused[position].message
        elif reason is not FailureReason.NUMERICAL:
            sentence = f"{node.kernel} gives no number, for the reason {reason.name}"
        yield QuarantinedCells(
            row=row,
            scenario_begin=0,
            scenario_end=len(plan.outputs),
            trade_id="",
            reason=reason,
            message=f"row {row}: {sentence}",
        )
