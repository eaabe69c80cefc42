"""A kernel tile: one kernel over some rows of a table.

Rows do not see each other, so `kernel_rows` gives the same bytes for a row whichever range it is asked in, and with
whichever rows left out: a tile is a range like any other, and whoever hunts for the row that kills its process may cut
as he likes.

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
from xip_core.model.table import decode_table
from xip_core.pricing.tile import Columns, QuarantinedCells, TileCancelledError, TileData, TileValue

BLOCK_S = 10e-3
"""Rows evaluated between two looks at the cancellation, by the declared cost: a cancel is to reach a running kernel
within 100 ms even if the declaration is wrong by a factor of ten."""

Refused = Mapping[int, Failure]
"""By row of the table."""

NOTHING_REFUSED: Refused = {}

def kernel_tile(plan: Plan, node: Node, tile: int, data: TileData, is_cancelled: Callable[[], bool]) -> TileValue:
    """See `kernel_rows`."""
    return kernel_rows(plan, node, node.row_range(tile), data, is_cancelled)


def kernel_rows(
    plan: Plan,
    node: Node,
    row_range: tuple[int, int],
    data: TileData,
    is_cancelled: Callable[[], bool],
    refused: Refused = NOTHING_REFUSED,
) -> TileValue:
    """
    Outputs and statuses of the half-open *row_range* of the node's table; docs/tile-outputs.md lists the columns.

    Args:
        refused: rows that the kernel must not see; they have no numbers, for the reasons given.

    Raises:
        TileCancelledError: *is_cancelled* said so.
        CellError: UNSUPPORTED, the kernel here is not the one that was planned with.
        Exception: what the kernel raises.
    """
    _check_version(node)
    begin, end = row_range
    table = decode_table(data.blob(plan.table_digest))
    rows = np.arange(begin, end, dtype="<i4")
    outputs = {name: np.full(end - begin, np.nan) for name in plan.outputs}
    status = np.zeros(end - begin, np.uint8)
    for row in refused:
        if begin <= row < end:
            status[row - begin] = refused[row].reason
    positions = np.flatnonzero(status == 0)
    block_rows = max(1, int(BLOCK_S * node.rows_per_tile / node.cost_s))
    for first in range(0, len(positions), block_rows):
        if is_cancelled():
            raise TileCancelledError
        block = positions[first : first + block_rows]
        numbers = evaluate(node.kernel, outputs=plan.outputs, **_columns(table, block + begin))
        for name, values in outputs.items():
            values[block] = numbers[name]
        status[block] = numbers["status"]
    detail: Columns = {"row": rows, **outputs, "status": status}
    return TileValue(
        output={},
        detail=detail,
        cell_count=(end - begin) * len(plan.outputs),
        quarantine=tuple(_quarantine(plan, node, begin, status, refused)),
    )


def _check_version(node: Node) -> None:
    """The scheduler leases a node to those that announced its kernel (S14); this is for one that announced wrongly."""
    kernel = find_kernel(node.kernel)
    have = kernel.version if kernel is not None else "none"
    if have != node.kernel_version:
        sentence = f"kernel {node.kernel} must be of version {node.kernel_version} as planned, this worker has {have}"
        raise CellError(FailureReason.UNSUPPORTED, sentence)


def _columns(table: Columns, rows: npt.NDArray[np.int64]) -> Columns:
    """The table's values in *rows*: copies, because columns of a blob begin at any byte and kernels read aligned
    numbers. One value stands for all; the first column is spread, so that the outputs have as many rows."""
    columns = {name: values[rows] if len(values) > 1 else values.copy() for name, values in table.items()}
    first = next(iter(columns))
    columns[first] = np.broadcast_to(columns[first], len(rows))
    return columns


def _quarantine(
    plan: Plan, node: Node, begin: int, status: npt.NDArray[np.uint8], refused: Refused
) -> Iterator[QuarantinedCells]:
    for position in np.flatnonzero(status).tolist():
        row = begin + position
        reason = FailureReason(int(status[position]))
        sentence = f"{node.kernel} gives no number, a column is outside its domain or a result is not finite"
        if row in refused:
            sentence = refused[row].message
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
