"""What a plan comes to before anything runs: nodes, tiles, declared cost, bytes.

Costs are the cost model's declared seconds on a v3 core (`graph.cost`), the same that the scheduler begins with; bytes
are computed from the shapes of the columns (docs/tile-outputs.md). Pruned scenarios, factors that a group of a
delta-gamma VaR does not have, and tiles taken over from earlier runs make a run cheaper than its outline.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from xip_core.graph import cost
from xip_core.graph.nodes import SUM_OPERATION
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.model.detail import Detail
from xip_core.model.market import decode_snapshot
from xip_core.model.market_objects import market_objects

BYTES_PER_SUM = 12  # pnl f8 and rows_used i4 of a leaf group under a scenario


class NodeOutline(msgspec.Struct, frozen=True):
    """One node.

    Attributes:
        inputs: ids of the nodes it reads, each once.
        core_s: declared seconds of all tiles on one core.
        output_bytes: what later nodes read.
        detail_bytes: what clients stream.
    """

    node_id: int
    name: str
    kind: str
    kernel: str
    kernel_version: str
    inputs: tuple[int, ...]
    tile_count: int
    row_count: int
    scenario_count: int
    core_s: float
    output_bytes: int
    detail_bytes: int


class Outline(msgspec.Struct, frozen=True):
    """A plan in numbers.

    Attributes:
        groups: leaf groups, by *keys*.
        blob_bytes: of the uploaded inputs, each once.
        plan_bytes: of the plan itself.
        core_s: declared seconds on one core.
    """

    nodes: tuple[NodeOutline, ...]
    cell_count: int
    quarantined_row_count: int
    tile_count: int
    keys: tuple[str, ...]
    group_count: int
    core_s: float
    blob_bytes: int
    plan_bytes: int
    output_bytes: int
    detail_bytes: int


def outline(plan: Plan, blob: Callable[[str], bytes]) -> Outline:
    """
    Args:
        blob: content of the plan's inputs by digest.
    """
    nodes = tuple(_node_outline(plan, node, blob) for node in plan.nodes)
    return Outline(
        nodes=nodes,
        cell_count=plan.cell_count,
        quarantined_row_count=len(plan.quarantine),
        tile_count=sum(node.tile_count for node in nodes),
        keys=plan.groups.keys,
        group_count=len(plan.groups.labels),
        core_s=sum(node.core_s for node in nodes),
        blob_bytes=sum(len(blob(digest)) for digest in plan.input_digests),
        plan_bytes=len(plan.encode()),
        output_bytes=sum(node.output_bytes for node in nodes),
        detail_bytes=sum(node.detail_bytes for node in nodes),
    )


def _node_outline(plan: Plan, node: Node, blob: Callable[[str], bytes]) -> NodeOutline:
    return NodeOutline(
        node_id=node.node_id,
        name=node.name,
        kind=str(node.kind),
        kernel=node.kernel,
        kernel_version=node.kernel_version,
        inputs=tuple(dict.fromkeys(ref.node_id for ref in node.inputs)),
        tile_count=node.tile_count,
        row_count=node.row_count,
        scenario_count=node.scenario_count,
        core_s=node.cost_s * node.tile_count,
        output_bytes=_output_bytes(plan, node, blob),
        detail_bytes=_detail_bytes(plan, node),
    )


def _output_bytes(plan: Plan, node: Node, blob: Callable[[str], bytes]) -> int:
    match node.kind:
        case NodeKind.RESOLVE:
            return node.row_count  # a status each; resolved rows stay with the worker that made them
        case NodeKind.CALIBRATE:
            snapshot = decode_snapshot(blob(plan.source_of(node).market_digest))
            factor_count = sum(len(item.quotes) for item in market_objects(snapshot).values())
            return cost.CALIBRATED_BYTES_PER_FACTOR * factor_count * node.scenario_count
        case NodeKind.VALUE:
            return BYTES_PER_SUM * _groups_of_blocks(node, node.groups) * node.scenario_count
        case NodeKind.REDUCE if node.kernel == SUM_OPERATION:
            value = plan.nodes[node.inputs[0].node_id]
            return BYTES_PER_SUM * _groups_of_blocks(node, value.groups) * node.scenario_count
        case NodeKind.REDUCE | NodeKind.AGGREGATE if node.aggregate is None:
            return BYTES_PER_SUM * len(plan.groups.labels) * node.scenario_count
        case _:
            return 0


def _detail_bytes(plan: Plan, node: Node) -> int:
    """Of value nodes exactly, of tables over a kernel likewise; sums and tables of aggregates are small beside them."""
    source = plan.source_of(node)
    if node.kind is NodeKind.KERNEL:
        return node.row_count * (cost.KERNEL_BYTES_PER_ROW + cost.KERNEL_BYTES_PER_OUTPUT * len(plan.outputs))
    if node.kind is not NodeKind.VALUE or source.detail is Detail.NONE:
        return 0
    scenarios = node.scenario_count if source.detail is Detail.ALL else 1
    return node.row_count * (cost.DETAIL_BYTES_PER_CELL * scenarios + cost.DETAIL_BYTES_PER_ROW)


def _groups_of_blocks(node: Node, row_groups: bytes) -> int:
    """Leaf groups that occur in each row block, all blocks together."""
    groups = np.frombuffer(row_groups, "<i4")
    return sum(len(np.unique(groups[slice(*node.block_range(block))])) for block in range(node.row_block_count))
