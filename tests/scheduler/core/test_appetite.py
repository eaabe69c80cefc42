"""xip_scheduler.core.state and leases: when a worker can take more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.scheduler.core.builders import a_probe_plan
from xip_scheduler.core.costs import CostModel
from xip_scheduler.core.leases import LEASES_LOOKED_AT_MAX, Appetite, Lease, Worker
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.run_state import LiveRun, build_nodes
from xip_scheduler.core.state import SchedulerState
from xip_scheduler.core.words import Epoch, RunId, WorkerId

LIMITS = Limits(prefetch_behind_s=0.060)


def a_worker(works_s: Sequence[float], slot_count: int = 2) -> Worker:
    plan = a_probe_plan(tile_count=1_000)
    nodes = build_nodes(plan, CostModel())
    run = LiveRun(RunId("r1"), "desk", "r1", plan, "", 0.0, 0.0, nodes)
    worker = Worker(WorkerId("w1"), 0.0)
    worker.slot_count = slot_count
    worker.ahead_s = LIMITS.prefetch_behind_s
    for number, work_s in enumerate(works_s):
        epoch = Epoch(number + 1)
        worker.leases[epoch] = Lease(epoch, worker, run, nodes[0], number, number + 1, work_s, 15.0)
    worker.queued_s = math.fsum(works_s)
    return worker


@pytest.mark.parametrize(
    ("works_s", "dry_in_s"),
    [((0.9, 0.01), 0.01), ((0.9, 0.01, 0.2), 0.21), ((0.1, 0.2, 0.3, 0.4), 0.4), ((0.1, 0.2, 0.3, 0.4, 0.05), 0.45)],
)
def test_the_first_slot_to_run_dry_takes_the_leases_that_are_queued(
    works_s: tuple[float, ...], dry_in_s: float
) -> None:
    assert a_worker(works_s).dry_in_s() == pytest.approx(dry_in_s)


def test_one_slot_and_very_many_leases_are_not_looked_at() -> None:
    assert a_worker((0.1, 0.2), slot_count=1).dry_in_s() == math.inf
    assert a_worker((0.001,) * (LEASES_LOOKED_AT_MAX + 1)).dry_in_s() == math.inf


@pytest.mark.parametrize(
    ("works_s", "appetite"),
    [
        ((0.9,), Appetite.IDLE),
        ((0.05, 0.06), Appetite.QUEUE),
        ((0.9, 0.05), Appetite.QUEUE),
        ((0.9, 0.01, 0.02, 0.02), Appetite.DEEP),
        ((0.9, 0.07), Appetite.NONE),
        ((0.9, 0.03, 0.04), Appetite.NONE),
    ],
    ids=["idle slot", "both soon", "one slot soon", "one slot soon, small leases queued", "neither", "queue for it"],
)
def test_a_worker_can_take_more_when_it_has_little_left_or_one_of_its_slots_has(
    works_s: tuple[float, ...], appetite: Appetite
) -> None:
    assert SchedulerState(LIMITS, 1, 1).appetite(a_worker(works_s)) is appetite


def test_before_a_run_has_shown_anything_a_slot_may_run_dry() -> None:
    """What is deeper may be ready by then, and must not wait behind a lease that came sooner."""
    worker = a_worker((0.9, 0.05))
    worker.ahead_s = 0.0
    assert SchedulerState(LIMITS, 1, 1).appetite(worker) is Appetite.NONE
