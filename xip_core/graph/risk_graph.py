"""Sources and what is made of them, as one graph.

A **vector** is what a reduce node puts out: the P&L of every leaf group under every scenario, and the sums of the base.
Each source has one; further ones are weighted sums of vectors of one shape. Aggregates are tables made of a vector.

Sources share what is equal: one calibrate node for equal market and scenarios, one resolve node for an equal book
against equal definitions of the market. Leaf groups are numbered through all sources, so vectors of different books can
be added.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.errors import ArgumentError, RequestError
from xip_core.graph import cost, nodes
from xip_core.graph.nodes import BUMPS_OPERATION
from xip_core.graph.plan import UNCLASSIFIED, Groups, Node, Plan, PlannedQuarantine
from xip_core.graph.quadratic import check_delta_gamma, delta_gamma_s
from xip_core.graph.rows import GROUPS
from xip_core.graph.sources import Blob, ReadSource, read_sources
from xip_core.model.aggregates import MEASURES_OF_BUMPS, Aggregate, scenarios_of
from xip_core.model.run_spec import RiskWork
from xip_core.model.trade_labels import ASSET_CLASS
from xip_core.risk.quantiles import check_scenario_count

TILE_COUNT_MAX = 10_000_000
"""Tiles of a run: the size the scheduler's memory is proven for."""


class Combination(msgspec.Struct, frozen=True):
    """A weighted sum of vectors; *inputs* are positions among sources and earlier combinations."""

    name: str
    inputs: tuple[int, ...]
    weights: tuple[float, ...]


class Table(msgspec.Struct, frozen=True):
    """An aggregate of one vector, by position among sources and combinations."""

    vector: int
    aggregate: Aggregate


class RiskGraph(msgspec.Struct, frozen=True):
    """What a request comes down to; its parts were checked one by one. *keys* tell leaf groups apart beside those that
    tables go by; *is_by_trade* says that every trade is a group, so that sums are as many as numbers."""

    works: tuple[RiskWork, ...]
    names: tuple[str, ...]
    combinations: tuple[Combination, ...] = ()
    tables: tuple[Table, ...] = ()
    keys: tuple[str, ...] = ()
    is_by_trade: bool = False


def plan_graph(graph: RiskGraph, blob: Blob) -> Plan:
    """
    The plan of *graph*; equal graphs over equal blobs give equal plans.

    Raises:
        RequestError: as `planner.plan_run`.
    """
    mentioned = [key for table in graph.tables for key in table.aggregate.by]
    keys = tuple(dict.fromkeys((ASSET_CLASS, *graph.keys, *mentioned)))
    sources = read_sources(graph.works, graph.names, keys, blob)
    groups, group_of_leaf = _leaf_groups(keys, sources)
    sources = [_with_tiles(read, len(groups.labels), graph.is_by_trade) for read in sources]
    builder = _Builder(sources, group_of_leaf, len(groups.labels))
    vectors = [builder.vector(at) for at in range(len(sources))]
    for combination in graph.combinations:
        vectors.append(builder.combine(combination, [vectors[at] for at in combination.inputs]))
    for table in graph.tables:
        vector = vectors[table.vector]
        read = sources[vector.source]
        _check_scenarios(table.aggregate, read, blob)
        quadratic_s = 0.0
        if table.aggregate.measure == "delta_gamma_var" and read.expansion is not None:
            quadratic_s = delta_gamma_s(table.aggregate, read.expansion, groups)
        builder.aggregate(vector, table.aggregate, quadratic_s)
    tile_count = sum(node.tile_count for node in builder.nodes)
    if tile_count > TILE_COUNT_MAX:
        sentence = f"a run must have at most {TILE_COUNT_MAX} tiles, got {tile_count}: split the book"
        raise RequestError("TOO_LARGE", sentence)
    return Plan(
        nodes=tuple(builder.nodes),
        cell_count=sum(
            read.book.row_count * read.source.cells_of_row(0, read.shape.scenario_count) for read in sources
        ),
        sources=tuple(read.source for read in sources),
        groups=groups,
        quarantine=tuple(_quarantine(sources, group_of_leaf)),
    )


def _with_tiles(read: ReadSource, group_count: int, is_by_trade: bool) -> ReadSource:
    """
    The source with what its rows and the run's groups say of its tiles. Where every trade is a group, sums of a tile
    fit a message though no two rows share one: few scenarios each, rows as if all detail went.
    """
    tile = read.shape.tile
    if is_by_trade:
        scenarios = max(1, min(tile.scenarios, cost.REDUCED_CELLS_MAX // group_count))
        tile = msgspec.structs.replace(tile, scenarios=scenarios, is_detailed=True)
    work_s = sum(
        cost.value_tile_s(*group, len(rows), read.shape.scenario_count)
        for group, rows in zip(GROUPS, read.book.group_rows, strict=True)
    )
    tile = msgspec.structs.replace(
        tile, resolved_size_bytes=cost.resolved_size_bytes(work_s), group_count=group_count
    )
    return msgspec.structs.replace(read, shape=msgspec.structs.replace(read.shape, tile=tile))


class _Builder:
    """Nodes in topological order.

    Of each source: the cheapest resolve, calibrate, the other resolves, the values. Schedulers grant what is deepest
    first and then by node id, so the first value tile is ready after one row block of the cheapest group and one
    scenario block, not after all of either.
    """

    def __init__(self, sources: Sequence[ReadSource], group_of_leaf: list[np.ndarray], group_count: int) -> None:
        self._sources = sources
        self._group_of_leaf = group_of_leaf
        self._group_count = group_count
        self._calibrates: dict[tuple[object, ...], Node] = {}
        self._resolves: dict[tuple[object, ...], Node] = {}
        self.nodes: list[Node] = []

    def vector(self, at: int) -> Node:
        """The reduce node of a source, behind all that it needs."""
        read = self._sources[at]
        of_groups = zip(GROUPS, read.book.group_rows, read.book.group_breaks, strict=True)
        filled = [(*group, rows, breaks) for group, rows, breaks in of_groups if len(rows)]
        resolves = [self._resolve(at, *group) for group in filled[:1]]
        calibrate = self._calibrate(at)
        resolves += [self._resolve(at, *group) for group in filled[1:]]
        values = [
            self._value(at, resolve, calibrate, rows)
            for resolve, (_, _, rows, _) in zip(resolves, filled, strict=True)
        ]
        summed = [self._summed(value) for value in values]
        return self._add(nodes.reduce_node(len(self.nodes), summed, calibrate, self._group_count, at))

    def combine(self, combination: Combination, inputs: list[Node]) -> Node:
        """
        Raises:
            RequestError: SHAPE_MISMATCH.
        """
        first = self._sources[inputs[0].source]
        for node in inputs[1:]:
            other = self._sources[node.source]
            for what, ours, theirs in (
                ("scenarios", first.scenario_names, other.scenario_names),
                ("measures", first.source.measures, other.source.measures),
                ("base currencies", (first.source.base_currency,), (other.source.base_currency,)),
                ("tiles", (str(inputs[0].tile_count),), (str(node.tile_count),)),
            ):
                if ours != theirs:
                    sentence = f"vectors that {combination.name!r} adds must have the same {what}"
                    raise RequestError("SHAPE_MISMATCH", f"{sentence}, got {_difference(ours, theirs)}")
        return self._add(nodes.combine_node(len(self.nodes), combination.name, inputs, combination.weights))

    def aggregate(self, vector: Node, aggregate: Aggregate, quadratic_s: float) -> None:
        self._add(nodes.aggregate_node(len(self.nodes), vector, aggregate, self._group_count, quadratic_s))

    def _add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def _calibrate(self, at: int) -> Node:
        read = self._sources[at]
        if read.market_key not in self._calibrates:
            node = nodes.calibrate_node(len(self.nodes), read.shape, at)
            self._calibrates[read.market_key] = self._add(node)
        return self._calibrates[read.market_key]

    def _resolve(self, at: int, program: str, asset_class: str, rows: np.ndarray, breaks: np.ndarray) -> Node:
        read = self._sources[at]
        tile = read.shape.tile
        key = (*read.resolve_key, tile, program, asset_class)
        if key not in self._resolves:
            numbered = rows + np.int32(read.source.row_begin)
            node = nodes.resolve_node(len(self.nodes), program, asset_class, numbered, breaks, tile, at)
            self._resolves[key] = self._add(node)
        return self._resolves[key]

    def _value(self, at: int, resolve: Node, calibrate: Node, rows: np.ndarray) -> Node:
        read = self._sources[at]
        groups = self._group_of_leaf[at][read.book.leaf_of_row[rows]]
        numbered = rows + np.int32(read.source.row_begin)
        return self._add(
            nodes.value_node(len(self.nodes), resolve, calibrate, numbered, groups, at, read.source.measures)
        )

    def _summed(self, value: Node) -> Node:
        """What reduce reads of a value node."""
        node = nodes.sum_node(len(self.nodes), value)
        return value if node is None else self._add(node)


def _difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """The first place where they differ, or how many there are."""
    for at, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"{one[:64]!r} and {other[:64]!r} in place {at}"
    return f"{len(ours)} and {len(theirs)}"


def _leaf_groups(keys: tuple[str, ...], sources: Sequence[ReadSource]) -> tuple[Groups, list[np.ndarray]]:
    """Leaf groups of all sources, and for each source the group of each of its leaves.

    Groups of one asset class stand together: the classes in the order of the value nodes, then those of rows without a
    number; within a class by label.
    """
    classes = dict.fromkeys(
        asset_class
        for read in sources
        for (_, asset_class), rows in zip(GROUPS, read.book.group_rows, strict=True)
        if len(rows)
    )
    for read in sources:
        for quarantined in read.book.quarantine:
            classes.setdefault(quarantined.asset_class or UNCLASSIFIED)
    order = {asset_class: at for at, asset_class in enumerate(classes)}
    labels = sorted({leaf for read in sources for leaf in read.book.leaves}, key=lambda leaf: (order[leaf[0]], leaf))
    number = {leaf: at for at, leaf in enumerate(labels)}
    group_of_leaf = [np.array([number[leaf] for leaf in read.book.leaves], "<i4") for read in sources]
    return Groups(keys, tuple(labels)), group_of_leaf


def _quarantine(sources: Sequence[ReadSource], group_of_leaf: list[np.ndarray]) -> list[PlannedQuarantine]:
    return [
        msgspec.structs.replace(
            quarantined,
            row=quarantined.row + read.source.row_begin,
            group=int(groups[read.book.leaf_of_row[quarantined.row]]),
        )
        for read, groups in zip(sources, group_of_leaf, strict=True)
        for quarantined in read.book.quarantine
    ]


def _check_scenarios(aggregate: Aggregate, read: ReadSource, blob: Blob) -> None:
    """
    Raises:
        RequestError: NO_SCENARIO; TOO_FEW_SCENARIOS, a quantile is not told by so few; those of `check_delta_gamma`.
    """
    _check_bumps(aggregate, read)
    if aggregate.measure == "delta_gamma_var":
        assert read.expansion is not None, "checked with the bumps"
        check_delta_gamma(aggregate, read.expansion, blob)
        return
    scenario_count = len(scenarios_of(aggregate, read.scenario_names))
    if not aggregate.q:
        return
    try:
        check_scenario_count(scenario_count, aggregate.q)
    except ArgumentError as error:
        raise RequestError(error.reason, f"aggregate {aggregate.label!r}: {error} beside the base") from None


def _check_bumps(aggregate: Aggregate, read: ReadSource) -> None:
    """
    Raises:
        RequestError: BAD_AGGREGATE, a measure of ladders over scenarios that are no bumps, or one of scenarios over
            bumps.
    """
    has_bumps = read.shape.kernel == BUMPS_OPERATION
    if aggregate.measure in MEASURES_OF_BUMPS and not has_bumps:
        sentence = f"a {aggregate.measure} is made of sensitivities, which the run must have in place of scenarios"
        raise RequestError("BAD_AGGREGATE", f"aggregate {aggregate.label!r}: {sentence}")
    if aggregate.measure not in (*MEASURES_OF_BUMPS, "sum", "pnl") and has_bumps:
        sentence = "bumps are no scenarios of a distribution; ask for ladder, delta_gamma_var, sum or pnl"
        raise RequestError("BAD_AGGREGATE", f"aggregate {aggregate.label!r}: {sentence}")
