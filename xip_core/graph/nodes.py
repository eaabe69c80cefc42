"""Nodes of a risk graph: the shapes of their tiles, what they need and what they cost.

One function a kind of node; which nodes there are, and in what order, `graph.planner` decides.
"""

from __future__ import annotations

from array import array
from collections.abc import Sized

import msgspec
import numpy as np

from xip_core.errors import RequestError
from xip_core.graph import cost
from xip_core.graph.blocks import aligned_ends
from xip_core.graph.cost import TileShape
from xip_core.graph.plan import InputRef, Node, NodeKind
from xip_core.kernel_versions import BLOCKS_OPERATION, GREEKS_OPERATION, OPERATION_VERSIONS, requirements
from xip_core.model.aggregates import Aggregate
from xip_core.model.run_spec import GREEKS

COMBINE_OPERATION = "combine"
AGGREGATE_OPERATION = "aggregate"
QUADRATIC_OPERATION = "quadratic"
"""The aggregate that simulates: a VaR of ladders and a covariance."""

SUM_OPERATION = "sum"
BUMPS_OPERATION = "bumps"
"""Of a calibrate node whose columns are bumps of a ladder."""


class ScenarioShape(msgspec.Struct, frozen=True):
    """How many scenarios there are, how tiles are cut, and what makes markets of them: "bumps" of a ladder."""

    scenario_count: int
    tile: TileShape
    kernel: str = "calibrate"


def calibrate_node(node_id: int, shape: ScenarioShape, source: int) -> Node:
    return Node(
        node_id=node_id,
        name=named(shape.kernel, source),
        kind=NodeKind.CALIBRATE,
        kernel=shape.kernel,
        kernel_version=OPERATION_VERSIONS[shape.kernel],
        kernels=requirements(shape.kernel),
        tile_count=-(-shape.scenario_count // shape.tile.scenarios),
        cost_s=cost.CALIBRATE_S_PER_SCENARIO * min(shape.scenario_count, shape.tile.scenarios),
        scenario_count=shape.scenario_count,
        scenarios_per_tile=shape.tile.scenarios,
        source=source,
    )


def resolve_node(
    node_id: int,
    program: str,
    asset_class: str,
    rows: np.ndarray,
    breaks: np.ndarray,
    shape: TileShape,
    source: int,
) -> Node:
    """
    Row blocks such that they make good value tiles with the scenario blocks of *shape*.

    Args:
        breaks: positions in *rows* at which their dependency changes.
    """
    block_rows = cost.rows_per_tile(program, asset_class, len(rows), shape)
    ends = aligned_ends(breaks, len(rows), block_rows)
    tile_count = -(-len(rows) // block_rows) if ends is None else len(ends)
    return Node(
        node_id=node_id,
        name=named(f"resolve {program}/{asset_class}", source),
        kind=NodeKind.RESOLVE,
        kernel=program,
        kernel_version=OPERATION_VERSIONS[program],
        kernels=requirements(program, *_blocks(ends is not None)),
        tile_count=tile_count,
        cost_s=cost.resolve_tile_s(program, asset_class, _rows_of_a_block(block_rows, len(rows), ends)),
        asset_class=asset_class,
        row_count=len(rows),
        rows_per_tile=block_rows,
        rows=rows.astype("<i4").tobytes(),
        source=source,
        block_ends=b"" if ends is None else ends.tobytes(),
    )


def _blocks(has_ends: bool) -> tuple[str, ...]:
    """What a node needs that has row blocks of its own, or reads tiles of such a node."""
    return (BLOCKS_OPERATION,) if has_ends else ()


def _rows_of_a_block(rows_max: int, row_count: int, ends: Sized | None) -> int:
    """Rows of a typical block."""
    return min(rows_max, row_count) if ends is None else -(-row_count // len(ends))


def value_node(
    node_id: int,
    resolve: Node,
    calibrate: Node,
    rows: np.ndarray,
    groups: np.ndarray,
    source: int,
    measures: tuple[str, ...] = (),
) -> Node:
    """
    Row blocks of *resolve* x scenario blocks of *calibrate*; who values them may have to make either anew.

    Args:
        rows: the plan's numbers of the rows of *resolve*, which may be another source's.
        groups: leaf group of each.
        measures: of the source; workers of older versions do not know all.
    """
    greeks = () if set(GREEKS).isdisjoint(measures) else (GREEKS_OPERATION,)
    scenarios = min(calibrate.scenario_count, calibrate.scenarios_per_tile)
    ends = array("i", resolve.block_ends) or None
    block_rows = _rows_of_a_block(resolve.rows_per_tile, resolve.row_count, ends)
    return Node(
        node_id=node_id,
        name=named(f"value {resolve.kernel}/{resolve.asset_class}", source),
        kind=NodeKind.VALUE,
        kernel=resolve.kernel,
        kernel_version=OPERATION_VERSIONS[resolve.kernel],
        kernels=requirements(resolve.kernel, calibrate.kernel, *_blocks(bool(resolve.block_ends)), *greeks),
        tile_count=resolve.tile_count * calibrate.tile_count,
        cost_s=cost.value_tile_s(resolve.kernel, resolve.asset_class, block_rows, scenarios),
        inputs=(
            InputRef(resolve.node_id, divisor=calibrate.tile_count, modulus=resolve.tile_count),
            InputRef(calibrate.node_id, divisor=1, modulus=calibrate.tile_count),
            InputRef(calibrate.node_id, divisor=1, modulus=1),
        ),
        asset_class=resolve.asset_class,
        row_count=resolve.row_count,
        rows_per_tile=resolve.rows_per_tile,
        scenario_count=calibrate.scenario_count,
        scenarios_per_tile=calibrate.scenarios_per_tile,
        rows=rows.astype("<i4").tobytes(),
        groups=groups.astype("<i4").tobytes(),
        source=source,
        block_ends=resolve.block_ends,
    )


def sum_node(node_id: int, value: Node) -> Node | None:
    """
    Partial sums of SUMMED_ROW_BLOCKS row blocks of *value*, scenario block by scenario block: added where they were
    computed, while later rows are still valued. None for a node of few row blocks, which reduce adds itself.
    """
    width = value.scenario_block_count
    row_blocks = value.tile_count // width
    if row_blocks < 2 * cost.SUMMED_ROW_BLOCKS:
        return None
    ends = array("i", value.block_ends)
    ends = ends[cost.SUMMED_ROW_BLOCKS - 1 : -1 : cost.SUMMED_ROW_BLOCKS] + ends[-1:]
    return Node(
        node_id=node_id,
        name=value.name.replace("value", "sum", 1),
        kind=NodeKind.REDUCE,
        kernel=SUM_OPERATION,
        kernel_version=OPERATION_VERSIONS[SUM_OPERATION],
        kernels=requirements(SUM_OPERATION, *_blocks(bool(ends))),
        tile_count=-(-row_blocks // cost.SUMMED_ROW_BLOCKS) * width,
        cost_s=cost.REDUCE_S_PER_TILE * cost.SUMMED_ROW_BLOCKS,
        inputs=(InputRef(value.node_id, stride=width, rows=cost.SUMMED_ROW_BLOCKS),),
        asset_class=value.asset_class,
        row_count=value.row_count,
        rows_per_tile=value.rows_per_tile * cost.SUMMED_ROW_BLOCKS,
        scenario_count=value.scenario_count,
        scenarios_per_tile=value.scenarios_per_tile,
        tiles_per_lease=width,  # of whole rows: what they read is then one range of tiles
        source=value.source,
        block_ends=ends.tobytes(),
    )


def reduce_node(node_id: int, values: list[Node], calibrate: Node, group_count: int, source: int) -> Node:
    """
    Of value or sum nodes. One tile, as long as the vectors of all leaf groups are small; else one a scenario block.

    Raises:
        RequestError: TOO_MANY_GROUPS, even one scenario block of all groups is too large for a message.
    """
    scenario_count, per_tile = calibrate.scenario_count, calibrate.scenarios_per_tile
    is_small = group_count * scenario_count <= cost.REDUCED_CELLS_OF_ONE_TILE
    block = scenario_count if is_small else min(per_tile, scenario_count)
    if group_count * block > cost.REDUCED_CELLS_MAX:
        most = cost.REDUCED_CELLS_MAX // block
        sentence = f"the keys of the aggregates must make at most {most} groups of rows in this run"
        raise RequestError("TOO_MANY_GROUPS", f"{sentence}, got {group_count}; go by fewer keys")
    tile_count = -(-scenario_count // block)
    stride = 1 if tile_count == 1 else calibrate.tile_count
    value_tile_count = sum(node.tile_count for node in values)
    return Node(
        node_id=node_id,
        name=named("reduce", source),
        kind=NodeKind.REDUCE,
        kernel="reduce",
        kernel_version=OPERATION_VERSIONS["reduce"],
        kernels=requirements("reduce", *_blocks(any(node.block_ends for node in values))),
        tile_count=tile_count,
        cost_s=cost.REDUCE_S_PER_TILE * (1 + value_tile_count // tile_count),
        inputs=tuple(InputRef(node.node_id, stride=stride) for node in values),
        scenario_count=scenario_count,
        scenarios_per_tile=block,
        source=source,
    )


def combine_node(node_id: int, name: str, inputs: list[Node], weights: tuple[float, ...]) -> Node:
    """The weighted sum of vectors of one shape, scenario block by scenario block."""
    first = inputs[0]
    return Node(
        node_id=node_id,
        name=f"combine {name}",
        kind=NodeKind.AGGREGATE,
        kernel=COMBINE_OPERATION,
        kernel_version=OPERATION_VERSIONS[COMBINE_OPERATION],
        kernels=requirements(COMBINE_OPERATION),
        tile_count=first.tile_count,
        cost_s=cost.REDUCE_S_PER_TILE * len(inputs),
        inputs=tuple(InputRef(node.node_id, divisor=1, modulus=node.tile_count) for node in inputs),
        scenario_count=first.scenario_count,
        scenarios_per_tile=first.scenarios_per_tile,
        source=first.source,
        weights=weights,
    )


def aggregate_node(
    node_id: int, vectors: Node, aggregate: Aggregate, group_count: int, quadratic_s: float = 0.0
) -> Node:
    """
    Args:
        quadratic_s: declared seconds of a table that does more than add and select.
    """
    cells = group_count * vectors.scenario_count
    operation = QUADRATIC_OPERATION if aggregate.measure == "delta_gamma_var" else AGGREGATE_OPERATION
    return Node(
        node_id=node_id,
        name=f"aggregate {aggregate.label}",
        kind=NodeKind.AGGREGATE,
        kernel=operation,
        kernel_version=OPERATION_VERSIONS[operation],
        kernels=requirements(operation),
        tile_count=1,
        cost_s=cost.REDUCE_S_PER_TILE * vectors.tile_count + cost.AGGREGATE_S_PER_CELL * cells + quadratic_s,
        inputs=(InputRef(vectors.node_id),),
        scenario_count=vectors.scenario_count,
        scenarios_per_tile=vectors.scenario_count,
        source=vectors.source,
        aggregate=aggregate,
    )


def named(name: str, source: int) -> str:
    """Nodes of the first source have plain names; those of others say whose they are."""
    return f"{name} #{source + 1}" if source else name
