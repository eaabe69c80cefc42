"""xip_scheduler.core.ahead: a run of sums that is alone at a worker needs few messages, and its slots are busy."""

from __future__ import annotations

import pytest

from tests.scheduler.core.builders import a_submission, an_attachment
from tests.scheduler.core.message_model import (
    PARTS,
    ROWS_PER_BLOCK,
    SCENARIO_BLOCKS,
    MessageGrid,
    a_run_of_parts,
    measured_s,
)
from xip_core.graph.plan import NodeKind, Plan
from xip_core.model.detail import Detail
from xip_scheduler.core.actions import Action, GrantLease
from xip_scheduler.core.ahead import ROWS_AHEAD_MAX
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import TilesReported
from xip_scheduler.core.words import Epoch, WorkerId

CALIBRATE, RESOLVE, VALUE = NodeKind.CALIBRATE, NodeKind.RESOLVE, NodeKind.VALUE


def granted(plan: Plan, slot_counts: tuple[int, ...] = (1,), tile_ns: int = 10_000_000) -> list[GrantLease]:
    """Leases of a run in the order granted; whoever holds the oldest one ends its first tile next."""
    core = Core()
    actions: list[Action] = []
    for number, slot_count in enumerate(slot_counts):
        actions += core.handle(an_attachment(f"w{number}", number + 1, slot_count), 0.0)
    actions += core.handle(a_submission(plan=plan), 0.0)
    leases: list[GrantLease] = []
    ended = 0
    while True:
        leases += [action for action in actions if isinstance(action, GrantLease)]
        if ended == len(leases):
            return leases
        lease, actions = leases[ended], []
        ended += 1
        for tile in range(lease.tile_begin, lease.tile_end):
            report = TilesReported(WorkerId(lease.worker_id), Epoch(lease.epoch), tile, tile + 1, 1, (), tile_ns)
            actions += core.handle(report, 0.0)
            core.check_invariants()


def kinds(plan: Plan, leases: list[GrantLease]) -> list[NodeKind]:
    return [plan.nodes[lease.node_id].kind for lease in leases]


@pytest.mark.parametrize(
    ("slot_counts", "message_count_max", "idle_share_max"),
    [((1,), 26, 0.005), ((2,), 24, 0.01), ((8,), 26, 0.20)],
    ids=["one slot", "two slots", "eight slots, which all wait for the base market"],
)
def test_a_run_of_sums_needs_few_messages_and_its_slots_are_busy(
    slot_counts: tuple[int, ...], message_count_max: int, idle_share_max: float
) -> None:
    figures = MessageGrid(a_run_of_parts(), measured_s(), slot_counts).run()
    assert figures.messages <= message_count_max
    assert figures.idle_s <= idle_share_max * sum(slot_counts) * figures.elapsed_s


def test_rows_are_not_resolved_further_ahead_than_a_worker_keeps_them() -> None:
    figures = MessageGrid(a_run_of_parts(copies=7), measured_s(), (2,)).run()
    assert figures.ahead * ROWS_PER_BLOCK <= 2 * ROWS_AHEAD_MAX
    assert figures.messages <= 80
    assert figures.idle_s <= 0.005 * 2 * figures.elapsed_s


def test_sums_are_resolved_first_and_the_largest_value_tiles_come_first_of_either() -> None:
    plan = a_run_of_parts()
    leases = granted(plan)
    order = kinds(plan, leases)
    assert max(i for i, kind in enumerate(order) if kind is RESOLVE) < order.index(VALUE)
    for kind in (RESOLVE, VALUE):
        parts = [int(plan.nodes[lease.node_id].kernel) for lease in leases if plan.nodes[lease.node_id].kind is kind]
        by_size = sorted(range(len(PARTS)), key=lambda part: -PARTS[part].declared_value_s)
        assert list(dict.fromkeys(parts)) == by_size, kind


def test_beyond_the_bound_values_go_first() -> None:
    plan = a_run_of_parts(copies=7)
    leases = granted(plan)
    order = kinds(plan, leases)
    first_value = order.index(VALUE)
    resolved = sum(lease.tile_end - lease.tile_begin for lease in leases[:first_value] if lease.node_id <= len(PARTS))
    assert resolved * ROWS_PER_BLOCK >= ROWS_AHEAD_MAX
    assert RESOLVE in order[first_value:]
    assert order[-1] is NodeKind.REDUCE


@pytest.mark.parametrize(
    ("slot_counts", "detail"), [((1, 1), Detail.NONE), ((1,), Detail.BASE)], ids=["two workers", "watched"]
)
def test_values_go_first_where_rows_are_with_another_worker_or_somebody_watches(
    slot_counts: tuple[int, ...], detail: Detail
) -> None:
    plan = a_run_of_parts(copies=7, detail=detail)
    order = kinds(plan, granted(plan, slot_counts))
    ready = order.index(VALUE)
    assert order[ready:].index(RESOLVE) > order[ready:].index(VALUE)
    leases = granted(plan, slot_counts)
    left = [lease for lease in leases[ready:] if plan.nodes[lease.node_id].kind is RESOLVE]
    tiles = sum(lease.tile_end - lease.tile_begin for lease in left)
    assert tiles > 0.8 * sum(node.tile_count for node in plan.nodes if node.kind is RESOLVE)


def test_leases_reach_over_row_blocks_that_became_ready_since_the_last_one() -> None:
    plan = a_run_of_parts()
    values = [lease for lease in granted(plan) if plan.nodes[lease.node_id].kind is VALUE]
    assert max(lease.tile_end - lease.tile_begin for lease in values) > 2 * SCENARIO_BLOCKS


def test_tiny_leases_of_a_run_that_is_alone_wait_as_long_as_the_others() -> None:
    plan = a_run_of_parts()
    alone = [lease for lease in granted(plan, tile_ns=50_000) if not lease.work_us]
    shared = [lease for lease in granted(plan, (1, 1), tile_ns=50_000) if not lease.work_us]
    assert alone
    assert all(lease.patience_ms > 0 for lease in alone)
    assert shared
    assert all(lease.patience_ms == 0 for lease in shared)
