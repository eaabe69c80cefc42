"""xip_scheduler.core.costs"""

from __future__ import annotations

import pytest

from xip_core.graph.plan import Node, NodeKind
from xip_scheduler.core.costs import CLASSES_MAX, COLD_FACTOR, PACES_MAX, TILE_S_MIN, CostModel, Paces, TileCost


def a_node(kernel: str = "terms", kind: NodeKind = NodeKind.VALUE, cost_s: float = 0.01) -> Node:
    return Node(0, "node", kind, kernel, "1", 1, cost_s)


def test_nodes_of_one_kind_kernel_and_cost_share_what_is_learnt() -> None:
    costs = CostModel()
    costs.cost_of(a_node()).measure(10, 1_000_000_000)
    assert costs.cost_of(a_node()).tile_s == pytest.approx(0.1)
    for other in (a_node("options"), a_node(kind=NodeKind.RESOLVE), a_node(cost_s=0.02)):
        assert not costs.cost_of(other).is_measured


def test_first_measurement_replaces_the_guess_and_later_ones_are_averaged_by_tile() -> None:
    cost = TileCost(5.0, kept=0.5)
    cost.measure(2, 2_000_000_000)
    assert cost.tile_s == pytest.approx(1.0)
    cost.measure(3, 6_000_000_000)
    assert cost.tile_s == pytest.approx((0.5 * 2.0 + 6.0) / (0.5 * 2 + 3))


def test_average_of_a_class_says_how_many_tiles_a_slot_does_in_a_second() -> None:
    """A worker of 1 ms and one of 9 ms a tile, equally long at work, make 10 tiles in 18 ms."""
    cost = TileCost(5.0)
    for _ in range(100):
        cost.measure(9, 9_000_000)
        cost.measure(1, 9_000_000)
    assert cost.tile_s == pytest.approx(0.0018, rel=0.05)


def test_speed_of_a_worker_is_its_work_against_the_average_at_the_same_work() -> None:
    light, heavy, paces = TileCost(1.0), TileCost(1.0), Paces()
    light.measure(1_000, 1_000_000_000)
    heavy.measure(10, 1_000_000_000)
    assert paces.speed() == 0.0
    paces[light].measure(100, 200_000_000)
    assert paces.speed() == pytest.approx(0.5)
    assert paces.tile_s(light) == pytest.approx(0.002)


def test_worker_is_expected_to_be_as_slow_at_new_work_as_at_the_old() -> None:
    light, heavy, paces = TileCost(0.001), TileCost(0.1), Paces()
    light.measure(1_000, 1_000_000_000)
    assert paces.tile_s(heavy) == pytest.approx(0.1)
    paces[light].measure(100, 200_000_000)
    assert paces.tile_s(heavy) == pytest.approx(0.2)


def test_a_cold_first_report_is_forgotten_when_the_second_says_so() -> None:
    cost = TileCost(5.0)
    pace = Paces()[cost]
    pace.report(1, 300_000_000)
    assert (pace.tile_s, cost.tile_s) == (pytest.approx(0.3), pytest.approx(0.3))
    pace.report(2, 20_000_000)
    assert (pace.tile_s, cost.tile_s) == (pytest.approx(0.01), pytest.approx(0.01))
    pace.report(2, 1_000_000)
    assert pace.tile_s > 0.005, "later ones are averaged, however far apart"


def test_a_first_report_that_was_not_so_much_longer_counts() -> None:
    pace = Paces()[TileCost(5.0)]
    pace.report(1, round((COLD_FACTOR - 0.1) * 10_000_000))
    pace.report(1, 10_000_000)
    assert pace.tile_s > 0.02


def test_no_more_paces_are_kept_than_the_bound() -> None:
    paces = Paces()
    first = TileCost(1.0)
    paces[first].measure(1, 1_000)
    for _ in range(PACES_MAX):
        assert not paces[TileCost(1.0)].is_measured
    assert not paces[first].is_measured


def test_a_clock_too_coarse_to_see_a_tile_leaves_a_finite_size() -> None:
    cost = TileCost(0.0)
    assert cost.tile_s == TILE_S_MIN
    cost.measure(1_000, 0)
    assert cost.tile_s == TILE_S_MIN


def test_no_more_classes_are_kept_than_the_bound() -> None:
    costs = CostModel()
    first = costs.cost_of(a_node(cost_s=1.0))
    for number in range(CLASSES_MAX):
        costs.cost_of(a_node(cost_s=2.0 + number))
    assert costs.cost_of(a_node(cost_s=1.0)) is not first
