"""The aggregate tile: a table of risk numbers made of a vector, by hierarchy keys.

Leaf groups that agree in the keys an aggregate goes by are added, in their order, to the rows of its table, which are
ordered by label; the
mathematics of each measure is a pure function of `xip_core.risk`. One function a measure here, in the table `KERNELS`:
it takes P&Ls (K, S) without the base and gives named columns.

Every table has `aggregate` (JSON: what was asked for), `key` (JSON: the labels of each row), `rows_expected`, and
`rows_used`, the smallest number of rows used under any of its scenarios: a number is of the whole group where they are
equal, and not there (NaN) where no row was used. Columns: docs/graph.md.

A weighted sum of vectors (theta, the P&L between two days) is a vector again: `combine_tile`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.graph.nodes import COMBINE_OPERATION
from xip_core.graph.plan import Node, Plan
from xip_core.model.aggregates import QUANTILE_RULES, SHORTFALL_RULES, Aggregate, scenarios_of
from xip_core.model.covariance import decode_covariance
from xip_core.model.sensitivity import Expansion
from xip_core.pricing.evaluate import expansion_of, scenario_names
from xip_core.pricing.polling import poll
from xip_core.pricing.quadratic_table import quadratic_columns
from xip_core.pricing.tile import Columns, TileData, TileValue
from xip_core.pricing.vectors import Floats, read_vector, vector_block
from xip_core.risk.contributions import component_es, component_var, incremental_var
from xip_core.risk.hierarchy import group_leaves, sum_leaves
from xip_core.risk.ladder import combine, ladder_rows
from xip_core.risk.measures import expected_shortfall, value_at_risk
from xip_core.risk.quantiles import QuantileRule, ShortfallRule
from xip_core.risk.worst import worst_scenarios

DRIVER_COUNT = 5
"""Drivers named for each of the worst scenarios."""


class Rows(msgspec.Struct, frozen=True, eq=False):
    """What a measure is made of: K rows of a table, S scenarios without the base.

    Attributes:
        keys: labels of each row.
        pnl: (K, S).
        base: (K, 1 + M), pv and the measures beside it.
        measures: names of the columns of *base*.
        scenarios: (S,) their positions in the source's set.
    """

    keys: tuple[tuple[str, ...], ...]
    pnl: Floats
    base: Floats
    measures: tuple[str, ...]
    scenarios: npt.NDArray[np.int32]


def aggregate_tile(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """
    The table of an aggregate node, or one block of a combined vector.

    Raises:
        XipError: a tile of the vectors was given up.
        ArgumentError: a P&L is not finite.
    """
    if node.kernel == COMBINE_OPERATION:
        return TileValue(output=combine_tile(plan, node, tile, data), detail={}, cell_count=0)
    assert node.aggregate is not None, node.name
    table = _table(plan, node, node.aggregate, data)
    return TileValue(output=table, detail=table, cell_count=0)


def combine_tile(plan: Plan, node: Node, tile: int, data: TileData) -> Columns:
    """One scenario block of a weighted sum of vectors, inputs added in their order.

    A row is used where it is in every input: its smallest count. Rows are expected as often as in the largest input.
    """
    blocks = []
    for ref in node.inputs:
        needed = ref.tile_needed(tile)
        assert needed is not None, "a combined block reads one block of each vector"
        blocks.append(vector_block(plan.nodes[ref.node_id], needed, data))
    columns: Columns = {
        "pnl": _weighted(node.weights, [block["pnl"] for block in blocks]),
        "rows_used": np.minimum.reduce([block["rows_used"] for block in blocks]),
        "rows_expected": np.maximum.reduce([block["rows_expected"] for block in blocks]),
    }
    if all("base" in block for block in blocks):
        width = min(block["base"].shape[1] for block in blocks)
        columns["base"] = _weighted(node.weights, [block["base"][:, :width] for block in blocks])
    return columns


def _weighted(weights: tuple[float, ...], arrays: list[Floats]) -> Floats:
    total = np.zeros(arrays[0].shape)
    for weight, array in zip(weights, arrays, strict=True):
        total += weight * array
    return total


def _table(plan: Plan, node: Node, aggregate: Aggregate, data: TileData) -> Columns:
    source = plan.source_of(node)
    vector = read_vector(plan.nodes[node.inputs[0].node_id], data)
    poll()
    places = [plan.groups.keys.index(key) for key in aggregate.by]
    occurring = _by_label(np.flatnonzero(vector.rows_expected), plan.groups.labels, places)
    grouping = group_leaves([plan.groups.labels[group] for group in occurring.tolist()], places)
    scenarios = _scenarios(plan, node, aggregate, vector.pnl.shape[1], data)
    used = sum_leaves(vector.rows_used[occurring].astype("<i8"), grouping)
    rows = Rows(
        keys=grouping.keys,
        pnl=np.ascontiguousarray(sum_leaves(vector.pnl[occurring], grouping)[:, scenarios]),
        base=sum_leaves(vector.base[occurring], grouping),
        measures=source.measures[: vector.base.shape[1]],
        scenarios=scenarios,
    )
    considered = np.concatenate(([0], scenarios))
    table: Columns = {
        "aggregate": _text(aggregate),
        "key": _text(rows.keys),
        "rows_expected": sum_leaves(vector.rows_expected[occurring].astype("<i8"), grouping),
        "rows_used": used[:, considered].min(axis=1),
    }
    if aggregate.measure == "ladder":
        return table | _ladder(rows, used, expansion_of(source, data))
    if aggregate.measure == "delta_gamma_var":
        covariance = decode_covariance(data.blob(aggregate.covariance))
        numbers = quadratic_columns(expansion_of(source, data), covariance, _of_columns(rows), aggregate)
    else:
        numbers = KERNELS[aggregate.measure](rows, aggregate)
    if aggregate.measure != "worst":
        empty = table["rows_used"] == 0
        for values in numbers.values():
            if values.dtype == np.float64:
                values[empty] = np.nan  # of no trade there is no number, not even 0
    return table | numbers


def _ladder(rows: Rows, used: npt.NDArray[np.int64], expansion: Expansion) -> Columns:
    """Sensitivities of each row, what each of them is, and the smallest number of rows used under its columns."""
    columns = [[0, *(column for column, _ in item.terms)] for item in expansion.sensitivities]
    return {
        "sensitivity": _text(ladder_rows(expansion)),
        "value": combine(expansion, _of_columns(rows)),
        "used": np.stack([used[:, needed].min(axis=1) for needed in columns], axis=1),
    }


def _of_columns(rows: Rows) -> Floats:
    """P&L under every column of an expansion, the base, whose P&L is 0, first."""
    return np.concatenate((np.zeros((len(rows.pnl), 1)), rows.pnl), axis=1)


def _by_label(
    groups: npt.NDArray[np.int64], labels: tuple[tuple[str, ...], ...], places: list[int]
) -> npt.NDArray[np.int64]:
    """Groups ordered by the labels that a table shows, so that its rows are."""
    return np.array(sorted(groups.tolist(), key=lambda group: [labels[group][place] for place in places]), "<i8")


def _scenarios(
    plan: Plan, node: Node, aggregate: Aggregate, scenario_count: int, data: TileData
) -> npt.NDArray[np.int32]:
    """Positions of the scenarios that the aggregate runs over."""
    if not aggregate.scenarios:
        return np.arange(1, scenario_count, dtype="<i4")
    return np.array(scenarios_of(aggregate, scenario_names(plan.source_of(node), data)), "<i4")


def _text(value: object) -> npt.NDArray[np.uint8]:
    return np.frombuffer(msgspec.json.encode(value), "u1")


def _sum(rows: Rows, aggregate: Aggregate) -> Columns:
    return {name: rows.base[:, at].copy() for at, name in enumerate(rows.measures)}


def _pnl(rows: Rows, aggregate: Aggregate) -> Columns:
    return {"scenario": rows.scenarios, "pnl": rows.pnl}


def _var(rows: Rows, aggregate: Aggregate) -> Columns:
    return {"var": value_at_risk(rows.pnl, aggregate.q, _quantile_rule(aggregate))}


def _es(rows: Rows, aggregate: Aggregate) -> Columns:
    return {"es": expected_shortfall(rows.pnl, aggregate.q, _shortfall_rule(aggregate))}


def _component_var(rows: Rows, aggregate: Aggregate) -> Columns:
    part, whole = np.empty(len(rows.keys)), np.empty(len(rows.keys))
    for members in _wholes(rows, aggregate).values():
        found = component_var(rows.pnl[members], aggregate.q, _quantile_rule(aggregate))
        part[members], whole[members] = found.parts, found.total
    return {"component_var": part, "var": whole}


def _component_es(rows: Rows, aggregate: Aggregate) -> Columns:
    part, whole = np.empty(len(rows.keys)), np.empty(len(rows.keys))
    for members in _wholes(rows, aggregate).values():
        found = component_es(rows.pnl[members], aggregate.q, _shortfall_rule(aggregate))
        part[members], whole[members] = found.parts, found.total
    return {"component_es": part, "es": whole}


def _incremental_var(rows: Rows, aggregate: Aggregate) -> Columns:
    part, whole = np.empty(len(rows.keys)), np.empty(len(rows.keys))
    rule = _quantile_rule(aggregate)
    for members in _wholes(rows, aggregate).values():
        poll()
        total = np.zeros((1, rows.pnl.shape[1]))
        for member in members:
            total += rows.pnl[member]
        part[members] = incremental_var(rows.pnl[members], aggregate.q, rule)
        whole[members] = value_at_risk(total, aggregate.q, rule)[0]
    return {"incremental_var": part, "var": whole}


def _worst(rows: Rows, aggregate: Aggregate) -> Columns:
    """A row of the table a whole; its parts, which drive, are listed in `part`."""
    wholes = _wholes(rows, aggregate)
    count = min(aggregate.count, rows.pnl.shape[1])
    scenario, pnl = np.zeros((len(wholes), count), "<i4"), np.zeros((len(wholes), count))
    driver = np.full((len(wholes), count, DRIVER_COUNT), -1, "<i4")
    driver_pnl = np.zeros((len(wholes), count, DRIVER_COUNT))
    for at, members in enumerate(wholes.values()):
        poll()
        for rank, found in enumerate(worst_scenarios(rows.pnl[members], count, DRIVER_COUNT)):
            scenario[at, rank], pnl[at, rank] = rows.scenarios[found.scenario], found.pnl
            for place, one in enumerate(found.drivers):
                driver[at, rank, place], driver_pnl[at, rank, place] = members[one.child], one.pnl
    return {
        "whole": _text(list(wholes)),
        "scenario": scenario,
        "pnl": pnl,
        "driver": driver,
        "driver_pnl": driver_pnl,
    }


def _wholes(rows: Rows, aggregate: Aggregate) -> dict[tuple[str, ...], list[int]]:
    """Rows by the whole they are parts of, wholes in the order of their first row."""
    places = [aggregate.by.index(key) for key in aggregate.within]
    wholes: dict[tuple[str, ...], list[int]] = {}
    for at, key in enumerate(rows.keys):
        wholes.setdefault(tuple(key[place] for place in places), []).append(at)
    return wholes


def _quantile_rule(aggregate: Aggregate) -> QuantileRule:
    return QuantileRule(aggregate.rule or QUANTILE_RULES[0])


def _shortfall_rule(aggregate: Aggregate) -> ShortfallRule:
    return ShortfallRule(aggregate.rule or SHORTFALL_RULES[0])


KERNELS: dict[str, Callable[[Rows, Aggregate], Columns]] = {
    "sum": _sum,
    "pnl": _pnl,
    "var": _var,
    "es": _es,
    "component_var": _component_var,
    "component_es": _component_es,
    "incremental_var": _incremental_var,
    "worst": _worst,
}
"""By measure: the names of `model.aggregates.MEASURES_OF_VECTORS`, but for those of bumps."""
