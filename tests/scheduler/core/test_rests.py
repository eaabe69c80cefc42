"""xip_scheduler.core.rests"""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.core.builders import a_probe_plan
from xip_core.graph.plan import Plan
from xip_scheduler.core.costs import CostModel
from xip_scheduler.core.rests import INTERVAL_S_PER_NODE, NODES_ALWAYS_ADDED, rest_of
from xip_scheduler.core.run_state import LiveRun, build_nodes
from xip_scheduler.core.words import RunId


def a_run(node_count: int) -> LiveRun:
    """Of nodes of ten tiles of 10 ms."""
    node = a_probe_plan(tile_count=10, cost_s=0.01).nodes[0]
    nodes = [msgspec.structs.replace(node, node_id=node_id, name=f"n{node_id}") for node_id in range(node_count)]
    plan = Plan(tuple(nodes), 10 * node_count)
    return LiveRun(RunId("r1"), "desk", "r1", plan, "plan", 0.0, 0.0, build_nodes(plan, CostModel()))


def test_of_a_run_of_few_nodes_it_is_always_up_to_date() -> None:
    run = a_run(NODES_ALWAYS_ADDED)
    whole_s = NODES_ALWAYS_ADDED * 0.1
    assert (rest_of(run, 0.0).pending_s, run.rest.left_s) == pytest.approx((whole_s, whole_s))
    run.nodes[0].pending.take_ready(0, 10)
    assert (rest_of(run, 0.0).pending_s, run.rest.left_s) == pytest.approx((whole_s - 0.1, whole_s))
    run.nodes[0].done.add_new(0, 10)
    assert rest_of(run, 0.0).left_s == pytest.approx(whole_s - 0.1)
    assert not run.rest.is_measured
    run.nodes[1].cost.measure(1, 10_000_000)
    assert rest_of(run, 0.0).is_measured


def test_many_nodes_are_added_up_once_in_a_while() -> None:
    run = a_run(500)
    assert rest_of(run, 7.0).pending_s == pytest.approx(50.0)
    run.nodes[0].pending.take_ready(0, 10)
    assert rest_of(run, 7.0 + 499 * INTERVAL_S_PER_NODE).pending_s == pytest.approx(50.0)
    assert rest_of(run, 7.0 + 501 * INTERVAL_S_PER_NODE).pending_s == pytest.approx(49.9)
