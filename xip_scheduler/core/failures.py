"""What giving up a tile means in cells.

Only value, kernel, suitability and probe tiles carry cells. A given-up resolve or calibrate tile costs the cells of the
value tiles that need it, which are given up with it; a given-up reduce costs no cell, only the sums.
"""

from __future__ import annotations

from collections.abc import Iterator

from xip_core.graph.plan import Node, NodeKind, Plan

_WITH_ROWS = (NodeKind.VALUE, NodeKind.KERNEL, NodeKind.SUITABILITY)


def cells_of_tiles(plan: Plan, node: Node, tile_begin: int, tile_end: int) -> int:
    """Cells decided by tiles [tile_begin, tile_end) of *node*, as the plan counts them."""
    if node.kind is NodeKind.PROBE:
        return tile_end - tile_begin
    if node.kind not in _WITH_ROWS:
        return 0
    source = plan.source_of(node)
    if node.kind is not NodeKind.VALUE:
        return sum(count * (end - begin) for _, count, begin, end in _blocks(node, tile_begin, tile_end))
    return sum(
        row_count * source.cells_of_row(scenario_begin, scenario_end)
        for _, row_count, scenario_begin, scenario_end in _blocks(node, tile_begin, tile_end)
    )


def failed_cells(node: Node, tile_begin: int, tile_end: int) -> Iterator[tuple[int, int, int]]:
    """(row, scenario_begin, scenario_end) of the cells of given-up tiles, for the quarantine list; rows of the book, of
    the table of a kernel node, or clients, numbered behind the rows of the book."""
    if node.kind not in _WITH_ROWS:
        return
    rows = node.row_numbers
    for row_begin, row_count, scenario_begin, scenario_end in _blocks(node, tile_begin, tile_end):
        for row in rows[row_begin : row_begin + row_count]:
            yield row, scenario_begin, scenario_end


def _blocks(node: Node, tile_begin: int, tile_end: int) -> Iterator[tuple[int, int, int, int]]:
    """(first node row, row count, scenario_begin, scenario_end) per row block touched: one each, not one per tile."""
    width = node.scenario_block_count
    while tile_begin < tile_end:
        block_end = min(tile_end, (tile_begin // width + 1) * width)
        row_begin, row_end = node.row_range(tile_begin)
        scenario_begin, _ = node.scenario_range(tile_begin)
        _, scenario_end = node.scenario_range(block_end - 1)
        yield row_begin, row_end - row_begin, scenario_begin, scenario_end
        tile_begin = block_end
