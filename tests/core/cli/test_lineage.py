"""xip_core.cli.lineage_of: the tiles behind a cell"""

from __future__ import annotations

import pytest

from tests.core.graph.builders import a_book_of, a_plan, some_scenarios
from xip_core.cli.lineage_of import cell_of, tiles_behind
from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind

IDS, SCENARIOS = ["A", "B@home", "C"], ["base", "up", "home"]


@pytest.mark.parametrize(
    ("cell", "found"),
    [("A", (0, 0)), ("A@up", (0, 1)), ("B@home", (1, 0)), ("B@home@up", (1, 1)), ("#2", (2, 0)), ("#2@home", (2, 2))],
)
def test_a_cell_is_a_trade_or_row_and_a_scenario(cell: str, found: tuple[int, int]) -> None:
    assert cell_of(cell, IDS, SCENARIOS) == found


@pytest.mark.parametrize("cell", ["D", "A@down", "#3", "#", "#-1", ""])
def test_a_cell_that_is_not_there_is_refused(cell: str) -> None:
    with pytest.raises(RequestError, match="the cell must name"):
        cell_of(cell, IDS, SCENARIOS)


@pytest.mark.parametrize(
    ("cell", "meant"), [("SWAP_1Y", "'SWAP_1Y_EUR'"), ("SWAP_1Y_EUR@EURUSD +20%", r"'EURUSD \+20 %'"), ("x", "of 2$")]
)
def test_a_slip_in_a_name_is_answered_with_names_like_it(cell: str, meant: str) -> None:
    with pytest.raises(RequestError, match=meant):
        cell_of(cell, ["SWAP_1Y_EUR", "OPTION_ON_ACME"], ["base", "EURUSD +20 %"])


def test_behind_a_cell_are_its_own_tiles_the_base_and_the_sums() -> None:
    plan = a_plan(book=a_book_of("swap", 900), scenarios=some_scenarios(70))
    (value,) = (node for node in plan.nodes if node.kind is NodeKind.VALUE)
    row, scenario = 450, 69
    tiles = tiles_behind(plan, row, scenario)
    of_kind = {kind: [tile for node_id, tile in tiles if plan.nodes[node_id].kind is kind] for kind in NodeKind}
    (tile,) = of_kind[NodeKind.VALUE]
    begin, end = value.row_range(tile)
    assert row in memoryview(value.rows).cast("i")[begin:end].tolist()
    assert scenario in range(*value.scenario_range(tile))
    needed = {ref.tile_needed(tile) for ref in value.inputs if plan.nodes[ref.node_id].kind is NodeKind.CALIBRATE}
    assert set(of_kind[NodeKind.CALIBRATE]) == needed
    assert 0 in needed
    assert len(of_kind[NodeKind.RESOLVE]) == 1
    assert of_kind[NodeKind.REDUCE]


def test_nothing_is_behind_a_row_the_planner_refused() -> None:
    plan = a_plan(book=a_book_of("swap", 3) + b"no trade\n")
    assert tiles_behind(plan, 3, 0) == []
