"""The reduce tile: partial sums of all value tiles become totals and P&L vectors per asset class.

Order. Partials are added in the order of asset classes as they first occur in the plan, then value nodes by id, then
tiles by number, left to right in double precision. Nothing about who computed a tile, or when, enters, so totals are
equal to the byte on any cluster. Of n partials x the error is at most (n - 1) 2^-53 sum |x|: 10^-10 of the gross value
for a million tiles.

Missing numbers. Every sum stands beside how many rows it expected and how many it used. A row counts as expected though
its value tile was given up (that tile's output is an empty set of columns), or though planning had quarantined it; then
it is counted in its asset class, or in "unclassified" where not even its type could be read. Nothing is ever added for
a row without a number.

Columns: docs/tile-outputs.md. Memory: one tile's partials at a time, and A x scenarios totals.
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.pricing.polling import poll
from xip_core.pricing.tile import Columns, TileData, TileValue

UNCLASSIFIED = "unclassified"


class Totals:
    """Running sums of A asset classes over S scenarios. *measures* are those other than pv."""

    def __init__(self, asset_classes: tuple[str, ...], scenario_count: int, measures: tuple[str, ...]) -> None:
        self._index = {name: index for index, name in enumerate(asset_classes)}
        self._measures = measures
        shape = (len(asset_classes), scenario_count)
        self._pv = np.zeros(len(asset_classes))
        self._measure_sum = np.zeros((len(asset_classes), len(measures)))
        self._pnl = np.zeros(shape)
        self._rows_used = np.zeros(shape, "<i8")
        self._rows_expected = np.zeros(shape, "<i8")

    def add_tile(self, node: Node, tile: int, partial: Columns) -> None:
        """Add the partials of one value tile; an empty set of columns is a tile that was given up."""
        row_begin, row_end = node.row_range(tile)
        begin, end = node.scenario_range(tile)
        at = self._index[node.asset_class]
        self._rows_expected[at, begin:end] += row_end - row_begin
        if not partial:
            return
        self._pnl[at, begin:end] += partial["pnl_sum"]
        self._rows_used[at, begin:end] += partial["rows_used"]
        if begin == 0:
            self._pv[at] += partial["pv_sum"][0]
            self._measure_sum[at] += partial["measure_sum"]

    def expect_row(self, asset_class: str) -> None:
        """Count a row that has no tile."""
        self._rows_expected[self._index[asset_class]] += 1

    def columns(self) -> Columns:
        names = np.frombuffer(msgspec.json.encode(list(self._index)), "u1")
        measures = {measure: self._measure_sum[:, at].copy() for at, measure in enumerate(self._measures)}
        return {
            "asset_class": names,
            "pv": self._pv,
            **measures,
            "pnl": self._pnl,
            "rows_used": self._rows_used,
            "rows_expected": self._rows_expected,
        }


def reduce_tile(plan: Plan, node_id: int, tile: int, data: TileData) -> TileValue:
    """Totals of all value tiles, the one tile of the reduce node. See the module's head."""
    reduce = plan.nodes[node_id]
    assert reduce.kind == NodeKind.REDUCE, reduce.name
    assert tile == 0, tile
    values = [plan.nodes[ref.node_id] for ref in reduce.inputs]
    totals = Totals(_asset_classes(plan, values), reduce.scenario_count, plan.measures[1:])
    for node in values:
        for value_tile in range(node.tile_count):
            poll()
            totals.add_tile(node, value_tile, data.output(node.node_id, value_tile))
    for quarantined in plan.quarantine:
        totals.expect_row(quarantined.asset_class or UNCLASSIFIED)
    columns = totals.columns()
    return TileValue(output=columns, detail=columns, cell_count=0)


def _asset_classes(plan: Plan, values: list[Node]) -> tuple[str, ...]:
    """Each once, as they first occur: of value nodes, then of rows that have none."""
    names = [node.asset_class for node in values]
    names += [quarantined.asset_class or UNCLASSIFIED for quarantined in plan.quarantine]
    return tuple(dict.fromkeys(names))
