"""How long the sums of a large run take behind its last value tile.

    python -m bench.bench_reduce [--row-blocks 1600] [--groups 400] [--scenarios 500]

Partial sums of value tiles (encoded as they travel) are added as a run would: by one reduce tile that reads all of
them; by reduce tiles of one scenario block each; and through sum nodes, of which only the last span and the reduce
tiles stand behind the last value tile. Seconds of one core, decoding included, fetching not. "tail" is what is left to
do when the last value tile is recorded, on as many slots as there are tiles to add.
"""

from __future__ import annotations

import argparse
import time

import msgspec
import numpy as np

from xip_core.graph import cost
from xip_core.graph.cost import TileShape
from xip_core.graph.nodes import ScenarioShape, calibrate_node, reduce_node, resolve_node, sum_node, value_node
from xip_core.graph.plan import Groups, Node, Plan, Source
from xip_core.pricing.reduce import reduce_tile
from xip_core.pricing.tile import Columns, Maker
from xip_core.wire.convert import decode_block, encode_block


class Outputs:
    """TileData of tiles that are all there, as bytes."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int], bytes] = {}

    def blob(self, digest: str) -> bytes:
        raise AssertionError(f"sums read no blob, got {digest}")

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        return make()

    def output(self, node_id: int, tile: int) -> Columns:
        return decode_block(self.blocks[node_id, tile])


def a_plan(row_blocks: int, group_count: int, scenario_count: int) -> tuple[Plan, Node, Node]:
    """A plan of swaps in *row_blocks* blocks, every group in most of them; its value and its sum node."""
    per_tile = cost.scenarios_per_tile(scenario_count, 1200)
    tile = TileShape(per_tile, is_detailed=False, resolved_size_bytes=cost.RESOLVED_SIZE_BYTES_MAX)
    shape = ScenarioShape(scenario_count, tile)
    block_rows = cost.rows_per_tile("terms", "rates", 10**9, tile)
    rows = np.arange(row_blocks * block_rows, dtype="<i4")
    groups = np.random.default_rng(7).integers(0, group_count, len(rows), dtype="<i4")
    calibrate = calibrate_node(0, shape, 0)
    resolve = resolve_node(1, "terms", "rates", rows, np.zeros(0, np.int64), tile, 0)
    resolve = msgspec.structs.replace(resolve, tile_count=row_blocks, rows_per_tile=block_rows)
    value = value_node(2, resolve, calibrate, rows, groups, 0)
    summed = sum_node(3, value)
    assert summed is not None, "too few row blocks for a sum node"
    reduce = reduce_node(4, [summed], calibrate, group_count, 0)
    labels = tuple(("rates", f"group {at:05}") for at in range(group_count))
    source = Source(measures=("pv",), scenario_count=scenario_count, row_count=len(rows))
    plan = Plan((calibrate, resolve, value, summed, reduce), 0, (source,), Groups(("asset_class", "desk"), labels))
    plan.check()
    return plan, value, summed


def fill(outputs: Outputs, value: Node) -> None:
    """Partial sums of every value tile; tiles of one shape share their numbers."""
    chance = np.random.default_rng(11)
    groups = np.frombuffer(value.groups, "<i4")
    for tile in range(value.tile_count):
        (row_begin, row_end), (begin, end) = value.row_range(tile), value.scenario_range(tile)
        numbers, counts = np.unique(groups[row_begin:row_end], return_counts=True)
        columns: Columns = {
            "group": numbers,
            "rows_expected": counts.astype("<i8"),
            "rows_used": np.repeat(counts.astype("<i4")[:, None], end - begin, axis=1),
            "pnl_sum": chance.standard_normal((len(numbers), end - begin)),
        }
        if begin == 0:
            columns |= {"pv_sum": chance.standard_normal(len(numbers)), "measure_sum": np.zeros((len(numbers), 0))}
        outputs.blocks[value.node_id, tile] = encode_block(columns)


def seconds(plan: Plan, node: Node, outputs: Outputs) -> list[float]:
    """Of every tile of *node*, whose outputs are kept."""
    found = []
    for tile in range(node.tile_count):
        begin_s = time.perf_counter()
        columns = reduce_tile(plan, node.node_id, tile, outputs).output
        found.append(time.perf_counter() - begin_s)
        outputs.blocks[node.node_id, tile] = encode_block(columns)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row-blocks", type=int, default=1_600)
    parser.add_argument("--groups", type=int, default=400)
    parser.add_argument("--scenarios", type=int, default=500)
    arguments = parser.parse_args()
    plan, value, summed = a_plan(arguments.row_blocks, arguments.groups, arguments.scenarios)
    outputs = Outputs()
    fill(outputs, value)
    size_mb = sum(map(len, outputs.blocks.values())) / 1e6
    print(f"{value.tile_count:,} value tiles, {arguments.groups:,} groups, {size_mb:,.0f} MB of partial sums")
    calibrate, reduce = plan.nodes[0], plan.nodes[4]
    direct = reduce_node(4, [value], calibrate, arguments.groups, 0)
    whole = msgspec.structs.replace(direct, tile_count=1, scenarios_per_tile=direct.scenario_count)
    whole = msgspec.structs.replace(
        whole, inputs=tuple(msgspec.structs.replace(ref, stride=1) for ref in direct.inputs)
    )
    rows = []
    for name, node in (("one reduce tile", whole), ("a reduce tile a scenario block", direct)):
        took = seconds(msgspec.structs.replace(plan, nodes=(*plan.nodes[:4], node)), node, outputs)
        rows.append((name, sum(took), max(took)))
    sums, last = seconds(plan, summed, outputs), seconds(plan, reduce, outputs)
    rows.append(("sum nodes, then reduce", sum(sums) + sum(last), max(sums) + max(last)))
    for name, core_s, tail_s in rows:
        print(f"{name:32} {core_s:7.3f} core-s   tail {tail_s:7.3f} s")


if __name__ == "__main__":
    main()
