"""Scheduler memory grows with live leases, not with tiles."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from tests.scheduler.core.builders import a_book_plan, a_probe_plan
from xip_core.graph.plan import Plan
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import RunSubmitted, TilesReported, WorkerAttached
from xip_scheduler.core.words import ConnectionId, RunId, WorkerId

MEMORY_GROWTH_BYTES_MAX = 1 << 20


def memory_in_mid_run_bytes(plan: Plan, report_count: int) -> int:
    """What a core holds after *report_count* results that came back in an order far from that of the grants."""
    gc.collect()
    tracemalloc.start()
    core = Core()
    leases: list[GrantLease] = []

    def take(actions: list[object]) -> None:
        leases.extend(action for action in actions if isinstance(action, GrantLease))

    for number in range(4):
        take(core.handle(WorkerAttached(WorkerId(f"w{number}"), ConnectionId(number), 8), 0.0))
    take(core.handle(RunSubmitted(RunId("r1"), "desk", "r1", "q1", plan, "", ""), 0.0))
    for number in range(report_count):
        if not leases:
            break
        lease = leases.pop(number * 7919 % len(leases))
        size = lease.tile_end - lease.tile_begin
        report = TilesReported(lease.worker_id, lease.epoch, lease.tile_begin, lease.tile_end, size, (), size * 20_000)
        take(core.handle(report, number * 1e-4))
    assert core.run(RunId("r1")) is not None
    leases.clear()
    gc.collect()
    current_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return current_bytes


@pytest.mark.parametrize("tiles_per_lease", [0, 1, 100])
def test_ten_million_tiles_take_at_most_one_megabyte_more_than_a_thousand(tiles_per_lease: int) -> None:
    small = memory_in_mid_run_bytes(a_probe_plan(1_000, tiles_per_lease, cost_s=2e-5), 100)
    large = memory_in_mid_run_bytes(a_probe_plan(10_000_000, tiles_per_lease, cost_s=2e-5), 5_000)
    assert large - small <= MEMORY_GROWTH_BYTES_MAX


def test_a_book_of_ten_million_value_tiles_takes_at_most_one_megabyte_more_than_one_of_a_thousand() -> None:
    """The rows of the plan itself, 4 bytes each, are made before the measurement starts."""
    small_plan, large_plan = a_book_plan(100, 10), a_book_plan(100_000, 100)
    assert large_plan.nodes[2].tile_count == 10_000_000
    small = memory_in_mid_run_bytes(small_plan, 500)
    large = memory_in_mid_run_bytes(large_plan, 5_000)
    assert large - small <= MEMORY_GROWTH_BYTES_MAX
