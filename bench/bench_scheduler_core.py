"""How many events a second does the scheduler's core handle, alone, in one thread?

One event is one TilesReported of a one-tile lease, answered by RecordTiles and the next GrantLease: the core's share of
the end-to-end figure for one-tile partitions. Making the event and walking the answer are in the time.

    python -m pytest bench/bench_scheduler_core.py --benchmark-only

And does it need more memory for a larger run? `memory_more_bytes` of 10 million tiles against 1,000, each half done.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque

import msgspec
import pytest

from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_scheduler.core.actions import GrantLease, RecordTiles
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import RunSubmitted, TilesReported, WorkerAttached
from xip_scheduler.core.words import ConnectionId, RunId, WorkerId

EVENT_COUNT = 100_000
LEASE_S = 1e-3  # so that runs of any size have as many leases alive


def probe_plan(tile_count: int) -> Plan:
    node = Node(0, "probe", NodeKind.PROBE, "probe.noop", "1", tile_count, 1e-6, tiles_per_lease=1)
    return Plan((node,), tile_count)


def value_plan(row_blocks: int, scenario_blocks: int) -> Plan:
    """Resolve and calibrate tiles first, then one value tile for each pair, all leased one by one."""
    value_count = row_blocks * scenario_blocks
    resolve = Node(0, "resolve", NodeKind.RESOLVE, "terms", "1", row_blocks, 1e-6, tiles_per_lease=1)
    calibrate = Node(1, "calibrate", NodeKind.CALIBRATE, "calibrate", "1", scenario_blocks, 1e-6, tiles_per_lease=1)
    needs = (InputRef(0, scenario_blocks, row_blocks), InputRef(1, 1, scenario_blocks), InputRef(1, 1, 1))
    value = Node(2, "value", NodeKind.VALUE, "terms", "1", value_count, 1e-6, needs, tiles_per_lease=1)
    return Plan((resolve, calibrate, value), value_count)


def grid(plan: Plan, worker_count: int) -> tuple[Core, deque[GrantLease]]:
    """A core with workers of two slots and one run, and the leases they hold."""
    core = Core()
    leases: deque[GrantLease] = deque()
    for number in range(worker_count):
        core.handle(WorkerAttached(WorkerId(f"w{number}"), ConnectionId(number), 2), 0.0)
    for action in core.handle(RunSubmitted(RunId("r1"), "desk", "bench", "q1", plan, "", ""), 0.0):
        if type(action) is GrantLease:
            leases.append(action)
    return core, leases


def report_tiles(core: Core, leases: deque[GrantLease], event_count: int) -> int:
    """Answer leases in the order granted; returns how many tiles were recorded."""
    handle, recorded = core.handle, 0
    for number in range(event_count):
        lease = leases.popleft()
        event = TilesReported(lease.worker_id, lease.epoch, lease.tile_begin, lease.tile_end, 1, (), 20_000, None)
        for action in handle(event, number * 1e-5):
            if type(action) is GrantLease:
                leases.append(action)
            elif type(action) is RecordTiles:
                recorded += 1
    return recorded


@pytest.mark.parametrize("worker_count", [2, 1_000])
def test_one_tile_results_of_a_probe(benchmark, worker_count):
    def set_up():
        return (*grid(probe_plan(10_000_000), worker_count), EVENT_COUNT), {}

    recorded = benchmark.pedantic(report_tiles, setup=set_up, rounds=5)
    assert recorded == EVENT_COUNT
    benchmark.extra_info["events_per_s"] = EVENT_COUNT / benchmark.stats.stats.median


def test_one_tile_results_of_a_book(benchmark):
    def set_up():
        return (*grid(value_plan(10_000, 100), 100), EVENT_COUNT), {}

    recorded = benchmark.pedantic(report_tiles, setup=set_up, rounds=5)
    assert recorded == EVENT_COUNT
    benchmark.extra_info["events_per_s"] = EVENT_COUNT / benchmark.stats.stats.median


def memory_half_way(tile_count: int) -> int:
    """Bytes the core holds after half the tiles of a run, in leases of at most 1,000 tiles."""
    tracemalloc.start()
    try:
        per_lease = max(1, tile_count // 10_000)
        [node] = probe_plan(tile_count).nodes
        node = msgspec.structs.replace(node, tiles_per_lease=per_lease, cost_s=LEASE_S / per_lease)
        core, leases = grid(Plan((node,), tile_count), 2)
        report_leases(core, leases, tile_count // per_lease // 2)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def report_leases(core: Core, leases: deque[GrantLease], lease_count: int) -> None:
    for number in range(lease_count):
        lease = leases.popleft()
        begin, end = lease.tile_begin, lease.tile_end
        event = TilesReported(lease.worker_id, lease.epoch, begin, end, end - begin, (), round(LEASE_S * 1e9), None)
        leases.extend(action for action in core.handle(event, number * 1e-3) if type(action) is GrantLease)


def test_memory_of_a_large_run_against_a_small_one(benchmark):
    memory_half_way(1_000)  # what is allocated once, is
    small_bytes = memory_half_way(1_000)
    large_bytes = benchmark.pedantic(memory_half_way, (10_000_000,), rounds=1)
    benchmark.extra_info.update(small_bytes=small_bytes, memory_more_bytes=large_bytes - small_bytes)
