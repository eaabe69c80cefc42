"""The reduce tile: partial sums of all value tiles become the vectors of leaf groups, and totals per asset class.

Order. Partials are added value node by value node (by id), then tile by tile (by number), left to right in double
precision; of a node of many row blocks a **sum** node adds 32 blocks at a time first, in the same order. Totals are
leaf groups added in their order, which puts the groups of an asset class together. Nothing about who computed a tile,
or when, enters, so sums are equal to the byte on any cluster. Of n partials x the error is at most
(n - 1) 2^-53 sum |x|: 10^-10 of the gross value for a million tiles.

Scenario blocks. Tile j of J adds the tiles (., j) of every value node, those of its own scenarios. Small vectors are
one tile, which reads all.

Missing numbers. Every sum stands beside how many rows it expected and how many it used. A row counts as expected though
its value tile was given up (that tile's output is an empty set of columns), or though planning had quarantined it; then
it is counted in its group, "unclassified" where its labels could not be read. Nothing is ever added for a row without a
number.

Columns: docs/tile-outputs.md. Memory: the partials of one row block at a time, and G x scenarios sums.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.graph.nodes import SUM_OPERATION
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.pricing.polling import poll
from xip_core.pricing.tile import Columns, TileData, TileValue

Array = npt.NDArray[Any]


class GroupSums:
    """Running sums of G leaf groups over scenarios [begin, end). *measure_count* counts those other than pv."""

    def __init__(self, group_count: int, begin: int, end: int, measure_count: int) -> None:
        self._begin, self._end = begin, end
        self.pnl = np.zeros((group_count, end - begin))
        self.rows_used = np.zeros((group_count, end - begin), "<i4")
        self.rows_expected = np.zeros(group_count, "<i4")
        self.base = np.zeros((group_count, 1 + measure_count))

    def add_row_block(self, node: Node, tiles: Sequence[int], row_groups: bytes, partials: Sequence[Columns]) -> None:
        """
        Add the partials of value or sum tiles of one row block, whose scenarios follow each other; an empty set of
        columns is a tile that was given up.

        Rows are expected once, however many scenario blocks there are: by the first that this tile reads. Tiles of a
        row block have the same groups and no cell in common: together they are added as one.

        Args:
            row_groups: int32 leaf groups of the rows of *node*.
        """
        begin, end = node.scenario_range(tiles[0])[0], node.scenario_range(tiles[-1])[1]
        if begin == self._begin:
            row_begin, row_end = node.row_range(tiles[0])
            groups = np.frombuffer(row_groups, "<i4")[row_begin:row_end]
            self.rows_expected += np.bincount(groups, minlength=len(self.rows_expected)).astype("<i4")
        if all(partials):
            self._add(begin, end, partials[0], *(_joined(partials, name) for name in ("pnl_sum", "rows_used")))
            return
        for tile, partial in zip(tiles, partials, strict=True):
            if partial:
                self._add(*node.scenario_range(tile), partial, partial["pnl_sum"], partial["rows_used"])

    def _add(self, begin: int, end: int, first: Columns, pnl: Array, rows_used: Array) -> None:
        own = slice(begin - self._begin, end - self._begin)
        groups = first["group"]
        self.pnl[groups, own] += pnl  # each group is there once
        self.rows_used[groups, own] += rows_used
        if begin == 0:
            self.base[groups, 0] += first["pv_sum"]
            self.base[groups, 1:] += first["measure_sum"]

    def expect_row(self, group: int) -> None:
        """Count a row that has no tile."""
        self.rows_expected[group] += 1

    def partial(self) -> Columns:
        """The groups that occur, as a value tile puts them out."""
        group = np.flatnonzero(self.rows_expected).astype("<i4")
        columns: Columns = {
            "group": group,
            "rows_expected": self.rows_expected[group].astype("<i8"),
            "rows_used": self.rows_used[group],
            "pnl_sum": self.pnl[group],
        }
        if self._begin == 0:
            columns |= {"pv_sum": self.base[group, 0], "measure_sum": np.ascontiguousarray(self.base[group, 1:])}
        return columns

    def columns(self) -> Columns:
        columns: Columns = {"pnl": self.pnl, "rows_used": self.rows_used, "rows_expected": self.rows_expected}
        if self._begin == 0:
            columns["base"] = self.base
        return columns


def reduce_tile(plan: Plan, node_id: int, tile: int, data: TileData) -> TileValue:
    """One scenario block of the vectors of one source with its totals, or of a sum node. See the module's head."""
    reduce = plan.nodes[node_id]
    assert reduce.kind == NodeKind.REDUCE, reduce.name
    source = plan.source_of(reduce)
    begin, end = reduce.scenario_range(tile)
    sums = GroupSums(len(plan.groups.labels), begin, end, len(source.measures) - 1)
    for ref in reduce.inputs:
        node = plan.nodes[ref.node_id]
        groups = node.groups or plan.nodes[node.inputs[0].node_id].groups  # a sum node has those of its value node
        for _, of_block in itertools.groupby(ref.tiles_needed(tile, node.tile_count), node.row_range):
            tiles = list(of_block)
            sums.add_row_block(node, tiles, groups, [_output(data, node, each) for each in tiles])
    if reduce.kernel == SUM_OPERATION:
        return TileValue(output=sums.partial(), detail={}, cell_count=0)
    for quarantined in plan.quarantine:
        if 0 <= quarantined.row - source.row_begin < source.row_count:
            sums.expect_row(quarantined.group)
    columns = sums.columns()
    totals = _totals(plan.groups.labels, source.measures, columns)
    return TileValue(output=columns, detail=totals | {"scenario": np.arange(begin, end, dtype="<i4")}, cell_count=0)


def _output(data: TileData, node: Node, tile: int) -> Columns:
    """What may have to be fetched first."""
    poll()
    return data.output(node.node_id, tile)


def _joined(partials: Sequence[Columns], name: str) -> Array:
    return partials[0][name] if len(partials) == 1 else np.concatenate([each[name] for each in partials], axis=1)


def _totals(labels: tuple[tuple[str, ...], ...], measures: tuple[str, ...], columns: Columns) -> Columns:
    """Sums per asset class, over leaf groups in their order. Classes without a row of this source are left out."""
    expected = columns["rows_expected"]
    classes = list(dict.fromkeys(label[0] for label, count in zip(labels, expected, strict=True) if count))
    index = {name: at for at, name in enumerate(classes)}
    members = [(group, index[label[0]]) for group, label in enumerate(labels) if label[0] in index]
    totals: Columns = {"asset_class": np.frombuffer(msgspec.json.encode(classes), "u1")}
    if "base" in columns:
        base = _added(members, len(classes), columns["base"])
        totals |= {name: base[:, at].copy() for at, name in enumerate(measures)}
    totals["pnl"] = _added(members, len(classes), columns["pnl"])
    totals["rows_used"] = _added(members, len(classes), columns["rows_used"].astype("<i8"))
    rows_expected = _added(members, len(classes), expected.astype("<i8"))
    totals["rows_expected"] = np.repeat(rows_expected[:, None], totals["pnl"].shape[1], axis=1)
    return totals


def _added(
    members: list[tuple[int, int]], class_count: int, values: npt.NDArray[np.generic]
) -> npt.NDArray[np.generic]:
    added = np.zeros((class_count, *values.shape[1:]), values.dtype)
    for group, at in members:
        added[at] += values[group]
    return added
