"""xip_scheduler.core.remainder: what a retry takes over, compared with the definition tile by tile."""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.scheduler.core.builders import a_book_plan, a_probe_plan
from xip_core.errors import FailureReason
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_scheduler.core.remainder import CURABLE, remainder_of

RESOLVE, VALUE, REDUCE = 1, 2, 3


def spans(tiles: set[int]) -> tuple[tuple[int, int], ...]:
    """*tiles* as ascending, disjoint, merged intervals."""
    found: list[tuple[int, int]] = []
    for tile in sorted(tiles):
        begin = found.pop()[0] if found and found[-1][1] == tile else tile
        found.append((begin, tile + 1))
    return tuple(found)


def by_definition(plan: Plan, computed: list[set[int]], curable: list[set[int]]) -> list[set[int]]:
    taken: list[set[int]] = []
    for node in plan.nodes:
        well = set()
        for tile in computed[node.node_id] - curable[node.node_id]:
            needed = [(ref.node_id, ref.tile_needed(tile)) for ref in node.inputs]
            is_met = all(
                len(taken[source]) == plan.nodes[source].tile_count if one is None else one in taken[source]
                for source, one in needed
            )
            if is_met:
                well.add(tile)
        taken.append(well)
    return taken


@pytest.mark.parametrize("seed", range(60))
def test_what_is_taken_over_is_what_the_definition_says(seed: int) -> None:
    chance = random.Random(seed)
    rows_per_tile = 3
    plan = a_book_plan(chance.randint(1, 5), chance.randint(1, 5), rows_per_tile=rows_per_tile)
    missing = chance.choice((0.0, 0.05, 0.5))
    computed = [{tile for tile in range(node.tile_count) if chance.random() >= missing} for node in plan.nodes]
    value = plan.nodes[VALUE]
    quarantine, curable = [], [set[int]() for _ in plan.nodes]
    for _ in range(chance.choice((0, 1, 4))):
        tile = chance.randrange(value.tile_count)
        reason = chance.choice((FailureReason.MISSING_DATA, FailureReason.CRASHED))
        row = value.row_range(tile)[0] + chance.randrange(rows_per_tile)
        quarantine.append((row, *value.scenario_range(tile), int(reason)))
        if reason in CURABLE:
            curable[VALUE].add(tile)
    expected = by_definition(plan, computed, curable)
    remainder = remainder_of(plan, [spans(tiles) for tiles in computed], quarantine)
    assert remainder.done == tuple(spans(tiles) for tiles in expected)
    assert remainder.open_count == sum(node.tile_count for node in plan.nodes) - sum(map(len, expected))
    kept = {quarantine[position] for position in remainder.kept}
    for entry in quarantine:
        tile = entry[0] // rows_per_tile * value.scenario_block_count + entry[1] // value.scenarios_per_tile
        assert (entry in kept) is (tile in expected[VALUE])


def test_a_sum_over_a_tile_that_is_computed_again_is_added_again() -> None:
    plan = a_book_plan(2, 2)
    everything = [((0, node.tile_count),) for node in plan.nodes]
    remainder = remainder_of(plan, everything, [(0, 0, 4, FailureReason.TIMED_OUT)])
    assert remainder.done == (((0, 2),), ((0, 2),), ((1, 4),), ())
    assert remainder.open_count == 2


@pytest.mark.parametrize("reason", sorted(set(FailureReason) - CURABLE))
def test_cells_that_would_come_out_the_same_leave_nothing_to_retry(reason: FailureReason) -> None:
    plan = a_book_plan(2, 2)
    remainder = remainder_of(plan, [((0, node.tile_count),) for node in plan.nodes], [(4, 0, 4, reason)])
    assert (remainder.open_count, remainder.kept) == (0, (0,))


def test_a_row_that_stays_in_quarantine_stays_though_a_sum_over_it_is_added_again() -> None:
    plan = a_book_plan(4, 1)
    value, reduce = plan.nodes[VALUE], plan.nodes[VALUE + 1]
    summed = msgspec.structs.replace(
        reduce,
        kernel="sum",
        inputs=(InputRef(VALUE, rows=2),),
        tile_count=2,
        row_count=value.row_count,
        rows_per_tile=2 * value.rows_per_tile,
        scenario_count=value.scenario_count,
        scenarios_per_tile=value.scenarios_per_tile,
    )
    plan = msgspec.structs.replace(plan, nodes=(*plan.nodes[:3], summed))
    kept = (0, 0, 4, int(FailureReason.MISSING_DATA))
    cured = (value.rows_per_tile, 0, 4, int(FailureReason.CRASHED))  # a row of the second value tile
    remainder = remainder_of(plan, [((0, node.tile_count),) for node in plan.nodes], [kept, cured])
    assert remainder.done[VALUE] == ((0, 1), (2, 4))
    assert remainder.done[VALUE + 1] == ((1, 2),)
    assert remainder.kept == (0,)
    assert remainder.poison == ((VALUE, 1, int(FailureReason.CRASHED)),)


def test_a_row_is_found_wherever_its_node_has_it() -> None:
    """Row blocks follow dependency, not the order of the book."""
    plan = a_book_plan(4, 1)
    order = random.Random(7).sample(range(12), 12)
    rows = b"".join(row.to_bytes(4, "little") for row in order)
    nodes = [msgspec.structs.replace(node, rows=rows) if node.rows else node for node in plan.nodes]
    plan = msgspec.structs.replace(plan, nodes=tuple(nodes))
    for crashed in ((3,), (0, 7), tuple(range(12))):
        entries = [(row, 0, 4, int(FailureReason.CRASHED)) for row in crashed]
        remainder = remainder_of(plan, [((0, node.tile_count),) for node in nodes], entries)
        again = {order.index(row) // nodes[VALUE].rows_per_tile for row in crashed}
        assert remainder.done[VALUE] == spans(set(range(4)) - again)


def test_a_row_of_a_table_is_found_by_its_number() -> None:
    shape = {"row_count": 10, "rows_per_tile": 3, "scenario_count": 2, "scenarios_per_tile": 2, "row_begin": 5}
    node = Node(0, "kernel", NodeKind.KERNEL, "equity.european", "1", 4, 0.01, **shape)
    crashed = [(row, 0, 2, int(FailureReason.CRASHED)) for row in (4, 9, 14, 15)]
    assert remainder_of(Plan((node,), 20), [((0, 4),)], crashed).done == (((0, 1), (2, 3)),)


def test_rows_the_planner_refused_belong_to_no_tile() -> None:
    """They are quarantined again with the new run, so none of theirs is copied."""
    remainder = remainder_of(a_probe_plan(4), [((0, 2),)], [(17, 0, 1, FailureReason.BAD_TRADE)])
    assert (remainder.done, remainder.kept, remainder.open_count) == ((((0, 2),),), (), 2)


def test_ten_million_tiles_are_looked_at_as_intervals() -> None:
    computed = tuple((begin, begin + 999_999) for begin in range(0, 10_000_000, 1_000_000))
    remainder = remainder_of(a_probe_plan(10_000_000), [computed], [])
    assert remainder.done == (computed,)
    assert remainder.open_count == 10
