"""xip_scheduler.core.run_state: readiness as arithmetic against readiness tile by tile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.scheduler.core.builders import a_book_plan
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_scheduler.core.costs import CostModel
from xip_scheduler.core.run_state import LOOK_AHEAD_MAX, build_nodes

SOURCE_TILES = 8

one_tile = st.builds(InputRef, st.just(0), st.integers(1, 4), st.integers(1, SOURCE_TILES))
columns = st.builds(
    InputRef, st.just(0), st.just(1), st.just(0), stride=st.sampled_from([1, 2, 4, 8]), rows=st.integers(0, 3)
)
a_ref = one_tile | columns


def waits_for(ref: InputRef, tile: int) -> set[int]:
    """Tiles that must be done: of a column, all of the rows that it crosses."""
    needed = set(ref.tiles_needed(tile, SOURCE_TILES))
    if ref.modulus:
        return needed
    row = tile // ref.stride
    span = range(row * ref.rows * ref.stride, (row + 1) * ref.rows * ref.stride) if ref.rows else range(SOURCE_TILES)
    return needed | {one for one in span if one < SOURCE_TILES}


@given(
    st.lists(a_ref, min_size=1, max_size=3),
    st.sets(st.integers(0, SOURCE_TILES - 1)),
    st.integers(1, 40),
    st.data(),
)
def test_ready_tiles_are_those_whose_every_input_tile_is_done(
    refs: list[InputRef], done: set[int], tile_count: int, data: st.DataObject
) -> None:
    source = Node(0, "source", NodeKind.CALIBRATE, "calibrate", "1", SOURCE_TILES, 0.01)
    inputs = tuple(refs)
    reader = Node(1, "reader", NodeKind.VALUE, "terms", "1", tile_count, 0.01, inputs)
    nodes = build_nodes(Plan((source, reader), 0), CostModel())
    for tile in sorted(done):
        nodes[0].done.add_new(tile, tile + 1)

    def is_ready(tile: int) -> bool:
        return all(waits_for(ref, tile) <= done for ref in inputs)

    begin = data.draw(st.integers(0, tile_count - 1))
    expected = begin
    while expected < tile_count and is_ready(expected):
        expected += 1
    assert nodes[1].ready_until(begin, tile_count) == expected

    begin, end = nodes[1].ready_head()
    first = next((tile for tile in range(tile_count) if is_ready(tile)), None)
    assert (begin if begin < end else None) == first
    assert all(is_ready(tile) for tile in range(begin, end))


@given(a_ref, st.integers(0, SOURCE_TILES - 1), st.integers(1, 40))
def test_dependents_are_the_tiles_that_need_a_tile(ref: InputRef, needed: int, tile_count: int) -> None:
    source = Node(0, "source", NodeKind.CALIBRATE, "calibrate", "1", SOURCE_TILES, 0.01)
    reader = Node(1, "reader", NodeKind.VALUE, "terms", "1", tile_count, 0.01, (ref,))
    nodes = build_nodes(Plan((source, reader), 0), CostModel())
    [(dependent, need)] = nodes[0].dependents
    assert dependent is nodes[1]
    spans = need.dependents(needed, tile_count)
    expected = [tile for tile in range(tile_count) if needed in waits_for(ref, tile)]
    assert [tile for begin, end in spans for tile in range(begin, end)] == expected


def test_one_late_input_leaves_behind_no_more_intervals_than_a_search_looks_at() -> None:
    scenario_blocks = 50
    nodes = build_nodes(a_book_plan(1_000, scenario_blocks), CostModel())
    calibrate, resolve, value, _ = nodes
    resolve.done.add_new(0, resolve.tile_count)
    calibrate.done.add_new(0, 1)
    calibrate.done.add_new(2, scenario_blocks)
    taken = 0
    while (span := value.ready_head())[0] < span[1]:
        value.pending.take_ready(*span)
        taken += span[1] - span[0]
    assert value.pending.returned_interval_count == LOOK_AHEAD_MAX
    assert taken == 1 + LOOK_AHEAD_MAX * (scenario_blocks - 1)
    calibrate.done.add_new(1, 2)
    assert value.ready_head() == (1, 2)


def test_depth_is_the_longest_chain_of_inputs() -> None:
    nodes = build_nodes(a_book_plan(), CostModel())
    assert [node.depth for node in nodes] == [0, 0, 1, 2]
