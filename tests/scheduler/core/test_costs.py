"""xip_scheduler.core.costs"""

from __future__ import annotations

import pytest

from xip_core.graph.plan import Node, NodeKind
from xip_scheduler.core.costs import CLASSES_MAX, TILE_S_MIN, CostModel, TileCost


def a_node(kernel: str = "terms", kind: NodeKind = NodeKind.VALUE, cost_s: float = 0.01) -> Node:
    return Node(0, "node", kind, kernel, "1", 1, cost_s)


def test_nodes_of_one_kind_kernel_and_cost_share_what_is_learnt() -> None:
    costs = CostModel()
    costs.cost_of(a_node()).measure(10, 1_000_000_000)
    assert costs.cost_of(a_node()).tile_s == pytest.approx(0.1)
    for other in (a_node("options"), a_node(kind=NodeKind.RESOLVE), a_node(cost_s=0.02)):
        assert not costs.cost_of(other).is_measured


def test_first_measurement_replaces_the_guess_and_later_ones_move_it_by_a_fifth() -> None:
    cost = TileCost(5.0)
    cost.measure(2, 2_000_000_000)
    assert cost.tile_s == pytest.approx(1.0)
    cost.measure(1, 2_000_000_000)
    assert cost.tile_s == pytest.approx(1.2)


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
