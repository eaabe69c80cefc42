"""xip_scheduler.core.failures against counting cell by cell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.scheduler.core.builders import a_book_plan, a_probe_plan
from xip_core.graph.plan import Node, NodeKind, Plan, Source
from xip_scheduler.core.failures import cells_of_tiles, failed_cells


def a_value_node(row_count: int, rows_per_tile: int, scenario_count: int, scenarios_per_tile: int) -> Node:
    rows = b"".join((10 * row).to_bytes(4, "little") for row in range(row_count))
    tile_count = -(-row_count // rows_per_tile) * -(-scenario_count // scenarios_per_tile)
    return Node(
        0,
        "value",
        NodeKind.VALUE,
        "terms",
        "1",
        tile_count,
        0.01,
        row_count=row_count,
        rows_per_tile=rows_per_tile,
        scenario_count=scenario_count,
        scenarios_per_tile=scenarios_per_tile,
        rows=rows,
    )


shapes = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4))


@given(shapes, st.data())
def test_cells_of_tiles_are_those_of_their_rows_and_scenarios(
    shape: tuple[int, int, int, int], data: st.DataObject
) -> None:
    node = a_value_node(*shape)
    plan = Plan((node,), 0, sources=(Source(measures=("pv", "delta", "dv01")),))
    begin = data.draw(st.integers(0, node.tile_count - 1))
    end = data.draw(st.integers(begin + 1, node.tile_count))
    expected = set()
    for tile in range(begin, end):
        for row in range(*node.row_range(tile)):
            for scenario in range(*node.scenario_range(tile)):
                expected |= {(10 * row, scenario, measure) for measure in (range(3) if scenario == 0 else range(1))}
    assert cells_of_tiles(plan, node, begin, end) == len(expected)
    listed = [(row, scenario) for row, low, high in failed_cells(node, begin, end) for scenario in range(low, high)]
    assert sorted(listed) == sorted((row, scenario) for row, scenario, measure in expected if measure == 0)


def test_a_kernel_tile_given_up_costs_every_output_of_its_rows() -> None:
    node = Node(
        0, "k", NodeKind.KERNEL, "desk.twice", "3", tile_count=3, cost_s=1e-6, row_count=10, rows_per_tile=4,
        scenario_count=2, scenarios_per_tile=2,
    )  # fmt: skip
    plan = Plan((node,), cell_count=20, outputs=("pv", "delta"))
    assert [cells_of_tiles(plan, node, tile, tile + 1) for tile in range(3)] == [8, 8, 4]
    assert cells_of_tiles(plan, node, 0, 3) == plan.cell_count
    assert list(failed_cells(node, 2, 3)) == [(8, 0, 2), (9, 0, 2)]


def test_only_value_and_probe_tiles_carry_cells() -> None:
    book = a_book_plan(2, 2)
    counts = [cells_of_tiles(book, node, 0, node.tile_count) for node in book.nodes]
    assert counts == [0, 0, book.cell_count, 0]
    assert [list(failed_cells(node, 0, 1)) for node in book.nodes[:2]] == [[], []]
    probe = a_probe_plan(5)
    assert cells_of_tiles(probe, probe.nodes[0], 1, 4) == 3
    assert list(failed_cells(probe.nodes[0], 0, 5)) == []
