"""xip_core.graph.cost: shapes keep the promises of the module's head."""

from __future__ import annotations

import pytest

from xip_core.graph import cost
from xip_core.graph.rows import GROUPS
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF

OVERHEAD_S = 300e-6

of_every_size = pytest.mark.parametrize("row_count", [1, 100, 1000, 10_000, 10**8])
over_some_scenarios = pytest.mark.parametrize("scenario_count", [1, 251, 1000, 10_000])
of_every_group = pytest.mark.parametrize("group", GROUPS)


def test_every_group_of_rows_declares_its_cost():
    assert set(cost.COST_CLASSES) == {(PROGRAM_OF[one], ASSET_CLASS_OF[one]) for one in PROGRAM_OF}


@pytest.mark.parametrize(
    ("scenario_count", "factor_count", "per_tile"),
    [(1, 1200, 32), (251, 1200, 32), (257, 1200, 64), (10_000, 1200, 64), (10_000, 100, 256), (251, 50_000, 1)],
)
def test_a_scenario_block_is_an_eighth_of_the_scenarios_within_limits(scenario_count, factor_count, per_tile):
    assert cost.scenarios_per_tile(scenario_count, factor_count) == per_tile


@pytest.mark.parametrize("factor_count", [0, 1, 1200, 3072, 3073, cost.FACTOR_COUNT_MAX])
@over_some_scenarios
def test_calibrated_scenarios_fit_a_message(scenario_count, factor_count):
    scenarios = cost.scenarios_per_tile(scenario_count, factor_count)
    assert scenarios >= 1
    assert 8 * factor_count * scenarios <= 768 * 1024


@of_every_group
@of_every_size
@over_some_scenarios
def test_the_detail_of_a_tile_fits_a_quarter_of_a_message(group, row_count, scenario_count):
    scenarios = cost.scenarios_per_tile(scenario_count, 1200)
    assert size_bytes(cost.rows_per_tile(*group, row_count, scenarios), scenarios) <= 256 * 1024


@of_every_group
@of_every_size
def test_ten_times_heavier_rows_than_usual_still_fit_the_largest_message(group, row_count):
    rows = min(row_count, cost.rows_per_tile(*group, row_count, 32))
    assert 10 * rows * cost.COST_CLASSES[group].resolved_bytes_per_row < 4 * 1024 * 1024


@of_every_group
@of_every_size
@over_some_scenarios
def test_a_tile_is_neither_lost_nor_cancelled_dearly(group, row_count, scenario_count):
    scenarios = cost.scenarios_per_tile(scenario_count, 1200)
    rows = min(row_count, cost.rows_per_tile(*group, row_count, scenarios))
    assert cost.resolve_tile_s(*group, rows) <= 0.25
    is_one_heavy_row = rows == 1 and group == ("bermudan", "rates")
    assert is_one_heavy_row or cost.value_tile_s(*group, rows, scenarios) <= 0.03


@of_every_group
@of_every_size
def test_overhead_is_five_percent_of_a_row_block_unless_it_is_alone_or_fills_a_message(group, row_count):
    scenarios = cost.scenarios_per_tile(251, 1200)
    rows = cost.rows_per_tile(*group, row_count, scenarios)
    block_s = cost.resolve_tile_s(*group, rows) + 8 * cost.value_tile_s(*group, rows, scenarios)
    is_alone = rows >= row_count
    is_detail_full = size_bytes(rows + 1, scenarios) > 256 * 1024
    is_resolved_full = (rows + 1) * cost.COST_CLASSES[group].resolved_bytes_per_row > 384 * 1024
    is_known_exception = group == ("terms", "credit") and is_resolved_full  # 71 rows of 5.5 kB resolve in 20 ms
    assert is_alone or is_detail_full or is_known_exception or block_s >= 20 * (8 + 1) * OVERHEAD_S


@pytest.mark.parametrize(("row_count", "block_count"), [(1, 1), (75, 1), (76, 2), (200, 3), (240, 4), (742, 9)])
def test_a_small_group_is_cut_for_four_cores_as_far_as_it_is_worth_it(row_count, block_count):
    assert -(-row_count // cost.rows_per_tile("swaption", "rates", row_count, 32)) == block_count


def size_bytes(rows: int, scenarios: int) -> int:
    return rows * (scenarios * cost.DETAIL_BYTES_PER_CELL + cost.DETAIL_BYTES_PER_ROW)
