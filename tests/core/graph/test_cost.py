"""xip_core.graph.cost: shapes keep the promises of the module's head."""

from __future__ import annotations

import pytest

from xip_core.graph import cost
from xip_core.graph.cost import TileShape
from xip_core.graph.rows import GROUPS
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF

OVERHEAD_S = 300e-6

of_every_size = pytest.mark.parametrize("row_count", [1, 100, 1000, 10_000, 10**8])
over_some_scenarios = pytest.mark.parametrize("scenario_count", [1, 251, 1000, 10_000])
with_details_or_not = pytest.mark.parametrize("is_detailed", [True, False])
of_every_block = pytest.mark.parametrize("block_bytes", [cost.RESOLVED_SIZE_BYTES, cost.RESOLVED_SIZE_BYTES_MAX])
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
@of_every_block
def test_the_detail_of_a_tile_fits_a_quarter_of_a_message(group, row_count, scenario_count, block_bytes):
    scenarios = cost.scenarios_per_tile(scenario_count, 1200)
    rows = cost.rows_per_tile(*group, row_count, TileShape(scenarios, resolved_size_bytes=block_bytes))
    assert size_bytes(rows, scenarios) <= 256 * 1024


@of_every_group
@of_every_size
@over_some_scenarios
@pytest.mark.parametrize("group_count", [1, 30, 10_000])
def test_sums_of_a_tile_fit_half_a_message_however_groups_meet_in_it(group, row_count, scenario_count, group_count):
    scenarios = cost.scenarios_per_tile(scenario_count, 1200)
    shape = TileShape(scenarios, False, cost.RESOLVED_SIZE_BYTES_MAX, group_count)
    rows = min(row_count, cost.rows_per_tile(*group, row_count, shape))
    assert rows == 1 or min(rows, group_count) * scenarios * 24 <= 2 * 1024 * 1024


@of_every_group
@of_every_size
@with_details_or_not
@of_every_block
def test_a_memo_holds_blocks_of_rows_ten_times_heavier_than_usual(group, row_count, is_detailed, block_bytes):
    """Six of the usual ones, one of a large book's."""
    rows = min(row_count, cost.rows_per_tile(*group, row_count, TileShape(32, is_detailed, block_bytes)))
    heavy = 10 * rows * cost.COST_CLASSES[group].resolved_bytes_per_row
    assert heavy * (6 * cost.RESOLVED_SIZE_BYTES // block_bytes) < 256 * 1024 * 1024


@of_every_group
@of_every_size
@over_some_scenarios
@with_details_or_not
@of_every_block
def test_a_tile_is_neither_lost_nor_cancelled_dearly(group, row_count, scenario_count, is_detailed, block_bytes):
    scenarios = cost.scenarios_per_tile(scenario_count, 1200)
    rows = min(row_count, cost.rows_per_tile(*group, row_count, TileShape(scenarios, is_detailed, block_bytes)))
    assert cost.resolve_tile_s(*group, rows) <= 0.25
    is_one_heavy_row = rows == 1 and group == ("bermudan", "rates")
    assert is_one_heavy_row or cost.value_tile_s(*group, rows, scenarios) <= 0.03


@of_every_group
@of_every_size
@with_details_or_not
@of_every_block
def test_overhead_is_five_percent_of_a_tile_unless_it_is_alone_or_another_limit_binds(
    group, row_count, is_detailed, block_bytes
):
    scenarios = cost.scenarios_per_tile(500, 1200)
    rows = cost.rows_per_tile(*group, row_count, TileShape(scenarios, is_detailed, block_bytes, group_count=10_000))
    tile_s = cost.value_tile_s(*group, rows, scenarios) + cost.resolve_tile_s(*group, rows) / 8
    one_more = rows + 1
    limits = {
        "the book": rows >= row_count,
        "details": is_detailed and size_bytes(one_more, scenarios) > 256 * 1024,
        "sums": one_more * scenarios * 24 > 2 * 1024 * 1024,
        "memory": one_more * cost.COST_CLASSES[group].resolved_bytes_per_row > block_bytes,
        "resolving": cost.resolve_tile_s(*group, one_more) > 0.25,
    }
    assert any(limits.values()) or tile_s >= 0.95 * 20 * OVERHEAD_S


@pytest.mark.parametrize(("work_s", "size_mib"), [(0.0, 4), (1.5, 4), (1.6, 8), (3.0, 8), (3.1, 16), (1e9, 16)])
def test_blocks_are_larger_where_there_is_work_for_many_of_them(work_s, size_mib):
    assert cost.resolved_size_bytes(work_s) == size_mib << 20


@pytest.mark.parametrize(("row_count", "block_count"), [(1, 1), (163, 1), (164, 2), (500, 4), (652, 4), (6520, 11)])
def test_a_small_group_is_cut_for_four_cores_as_far_as_it_is_worth_it(row_count, block_count):
    """Of caps under 32 scenarios 163 rows are worth a tile, and 645 fill the memory of a block."""
    assert -(-row_count // cost.rows_per_tile("optionlet", "rates", row_count, TileShape(32))) == block_count


def size_bytes(rows: int, scenarios: int) -> int:
    return rows * (scenarios * cost.DETAIL_BYTES_PER_CELL + cost.DETAIL_BYTES_PER_ROW)
