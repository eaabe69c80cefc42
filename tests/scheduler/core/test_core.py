"""xip_scheduler.core.core: the door, its questions, and what a story cannot say well."""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.core.builders import (
    MemoryStore,
    a_book_plan,
    a_probe_plan,
    a_report,
    a_submission,
    an_attachment,
)
from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan, PlannedQuarantine
from xip_scheduler.core.actions import GrantLease, RecordRunState, ReserveEpochs
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import (
    HeartbeatReceived,
    LeaseReturned,
    LeasesSent,
    RunCancelled,
    Tick,
    TileFailed,
    WorkerAttached,
    WorkerDetached,
    WorkerDraining,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, RunState, WorkerId


def grants_of(actions: list[object]) -> list[GrantLease]:
    return [action for action in actions if isinstance(action, GrantLease)]


def test_nothing_is_due_while_nothing_is_leased() -> None:
    core = Core()
    assert core.next_deadline_s() is None
    core.handle(a_submission(), 5.0)
    assert core.next_deadline_s() is None
    core.handle(an_attachment(), 7.0)
    assert core.next_deadline_s() == 7.0 + core.lease_duration_s


def test_a_clock_that_runs_backwards_neither_expires_nor_shortens_a_lease() -> None:
    core = Core()
    core.handle(a_submission(), 100.0)
    core.handle(an_attachment(), 3.0)
    assert core.next_deadline_s() == 100.0 + core.lease_duration_s
    assert core.handle(Tick(), 100.0 + core.lease_duration_s - 0.1) == []


def test_a_lease_counts_from_when_it_was_sent() -> None:
    core = Core()
    core.handle(a_submission(), 5.0)
    (grant,) = grants_of(core.handle(an_attachment(), 7.0))
    assert core.handle(LeasesSent((grant.epoch, Epoch(99))), 50.0) == [], "also where one has ended since"
    assert core.next_deadline_s() == 50.0 + core.lease_duration_s


def test_events_of_strangers_change_nothing() -> None:
    core = Core()
    core.handle(a_submission(), 0.0)
    before = core.durable_runs()
    stranger = WorkerId("nobody")
    for event in (
        WorkerDetached(stranger, ConnectionId(1)),
        WorkerDraining(stranger),
        HeartbeatReceived(stranger, ((Epoch(1), 0),)),
        a_report("nobody", 1, 0),
        TileFailed(stranger, Epoch(1), 0, FailureReason.NUMERICAL, ""),
        LeaseReturned(stranger, Epoch(1)),
        RunCancelled(RunId("nothing")),
    ):
        assert core.handle(event, 1.0) == []
        core.check_invariants()
    assert core.durable_runs() == before


def test_epochs_are_reserved_a_block_before_they_are_used() -> None:
    core = Core(Limits(epoch_block=3), epoch_next=50)
    actions = core.handle(a_submission(plan=a_probe_plan(8)), 0.0)
    actions += core.handle(an_attachment(slot_count=8), 0.0)
    kinds = [
        action.epoch_end if isinstance(action, ReserveEpochs) else action.epoch
        for action in actions
        if isinstance(action, (ReserveEpochs, GrantLease))
    ]
    assert kinds == [53, 50, 51, 52, 56, 53, 54, 55, 59, 56, 57]


def test_rows_the_planner_quarantined_count_as_decided_without_a_number() -> None:
    book = a_book_plan(1, 1)
    scenario_count = book.nodes[0].scenario_count
    quarantine = (PlannedQuarantine(9, "T9", int(FailureReason.UNSUPPORTED), "unknown type"),)
    plan = Plan(book.nodes, book.cell_count + scenario_count, sources=book.sources, quarantine=quarantine)
    core, store = Core(), MemoryStore()
    store.commit(core.handle(a_submission(plan=plan), 0.0))
    view = core.run(RunId("r1"))
    assert view is not None
    assert (view.cells_done, view.cells_quarantined) == (scenario_count, scenario_count)
    assert core.durable_runs() == store.live_runs()
    restarted = store.restart(0.0)
    assert restarted.run(RunId("r1")) == view


def test_a_plan_without_tiles_is_final_at_once() -> None:
    quarantine = (PlannedQuarantine(0, "T0", int(FailureReason.UNSUPPORTED), "unknown type"),)
    actions = Core().handle(a_submission(plan=Plan((), 5, quarantine=quarantine)), 0.0)
    assert RecordRunState(RunId("r1"), RunState.COMPLETED_WITH_QUARANTINE, "") in actions


def test_two_runs_of_one_tenant_get_equal_shares_however_large_the_first_is() -> None:
    core = Core()
    core.handle(a_submission("big", a_probe_plan(1_000_000, cost_s=0.05)), 0.0)
    core.handle(a_submission("small", a_probe_plan(20, cost_s=0.05)), 0.0)
    leases = grants_of(core.handle(an_attachment(slot_count=2), 0.0))
    order = []
    for number in range(60):
        lease = leases.pop(0)
        order.append(lease.run_id)
        leases += grants_of(core.handle(a_report("w1", lease.epoch, lease.tile_begin), number * 0.05))
    assert order[:36].count(RunId("small")) == 18
    assert core.run(RunId("small")).state is RunState.COMPLETED  # type: ignore[union-attr]  # it was submitted above


def test_no_worker_gets_a_second_lease_before_every_idle_slot_has_one() -> None:
    core = Core()
    for number in range(5):
        core.handle(an_attachment(f"w{number}", number, slot_count=2), 0.0)
    leases = grants_of(core.handle(a_submission(plan=a_probe_plan(1_000, cost_s=0.03)), 0.0))
    workers = [lease.worker_id for lease in leases]
    assert sorted(workers[:10]) == sorted([f"w{number}" for number in range(5)] * 2)
    assert sorted(workers[10:]) == sorted(workers[:10])


def test_a_lease_is_queued_only_when_the_one_that_runs_is_about_to_end() -> None:
    core = Core(Limits(prefetch_behind_s=0.055))
    core.handle(an_attachment(slot_count=1), 0.0)
    leases = grants_of(core.handle(a_submission(plan=a_probe_plan(1_000, tiles_per_lease=10)), 0.0))
    assert [(lease.tile_begin, lease.tile_end) for lease in leases] == [(0, 10)]
    granted = []
    for tile in range(10):
        report = a_report("w1", leases[0].epoch, tile)
        granted.append(len(grants_of(core.handle(report, tile * 0.01))))
    assert granted == [0] * 4 + [1] + [0] * 5


def first_grants(plan: Plan, *slot_counts: int) -> list[tuple[WorkerId, int]]:
    """(worker, node) of the leases that workers with so many slots get of a run when they come, one after the other."""
    core = Core()
    core.handle(a_submission(plan=plan), 0.0)
    grants = []
    for number, slot_count in enumerate(slot_counts, start=1):
        grants += grants_of(core.handle(an_attachment(f"w{number}", number, slot_count), 0.0))
    return [(grant.worker_id, grant.node_id) for grant in grants]


def test_until_a_scenario_block_is_calibrated_a_workers_other_slots_resolve() -> None:
    """All blocks begin with the base market, which one of its slots makes; the others would wait for that."""
    plan = a_book_plan(row_blocks=8, scenario_blocks=8)
    assert first_grants(plan, 2, 3) == [("w1", 0), ("w1", 1), ("w2", 0), ("w2", 1), ("w2", 1)]


def test_where_there_is_nothing_to_resolve_all_slots_calibrate() -> None:
    plan = a_book_plan(row_blocks=1, scenario_blocks=8)
    assert first_grants(plan, 3) == [("w1", 0), ("w1", 1), ("w1", 0)]


def a_plan_of_nodes(*tile_counts: int) -> Plan:
    """Nodes that wait for nothing, of tiles of 10 ms in leases as large as the core likes."""
    node = a_probe_plan(tiles_per_lease=0, cost_s=0.01).nodes[0]
    nodes = [
        msgspec.structs.replace(node, node_id=node_id, name=f"n{node_id}", tile_count=tile_count)
        for node_id, tile_count in enumerate(tile_counts)
    ]
    return Plan(tuple(nodes), sum(tile_counts))


def test_the_more_is_left_of_a_run_the_more_a_worker_queues() -> None:
    core = Core()
    core.handle(an_attachment(slot_count=1), 0.0)
    held = grants_of(core.handle(a_submission(plan=a_plan_of_nodes(*[1] * 200)), 0.0))
    counts = [len(held)]
    while held:
        lease = held.pop(0)
        held += grants_of(core.handle(a_report("w1", lease.epoch, lease.tile_begin), 0.0))
        counts.append(len(held))
    assert counts[0] == 6, "60 ms while nothing is measured"
    assert max(counts) == counts[1] == 25, "250 ms"
    assert counts[190] == 6, "60 ms again"


def test_a_lease_is_a_share_of_its_run_and_not_of_its_node() -> None:
    core = Core()
    core.handle(an_attachment(slot_count=1), 0.0)
    first, *_ = grants_of(core.handle(a_submission(plan=a_plan_of_nodes(50, 1_000)), 0.0))
    lease, *_ = grants_of(core.handle(a_report("w1", first.epoch, first.tile_begin, first.tile_end), 0.05))
    assert (lease.node_id, lease.tile_end) == (0, 50), "all that is left of the small node"


def test_queues_of_tiny_leases_are_bounded_over_the_whole_grid() -> None:
    limits = Limits(deep_leases_max=100)
    core = Core(limits)
    for number in range(10):
        core.handle(an_attachment(f"w{number}", number, slot_count=2), 0.0)
    core.handle(a_submission(plan=a_probe_plan(10_000, cost_s=1e-6)), 0.0)
    assert core.lease_count() == 100


def test_a_black_hole_does_not_swallow_a_run() -> None:
    """A worker that fails whatever it gets, at once, is asked only once per tile while others are there."""
    core = Core()
    leases = grants_of(core.handle(a_submission(plan=a_probe_plan(50)), 0.0))
    leases += grants_of(core.handle(an_attachment("hole", 1), 0.0))
    leases += grants_of(core.handle(an_attachment("w1", 2), 0.0))
    while leases:
        failing = [lease for lease in leases if lease.worker_id == "hole"]
        lease = failing[0] if failing else leases[0]
        leases.remove(lease)
        if lease.worker_id == "hole":
            event = TileFailed(lease.worker_id, lease.epoch, lease.tile_begin, FailureReason.EVALUATION_FAILED, "disk")
            leases += grants_of(core.handle(event, 0.0))
        else:
            leases += grants_of(core.handle(a_report("w1", lease.epoch, lease.tile_begin), 0.0))
        core.check_invariants()
    view = core.run(RunId("r1"))
    assert view is not None
    assert view.state is RunState.COMPLETED
    assert view.cells_done == 50


def test_finished_runs_are_remembered_up_to_the_bound() -> None:
    core = Core(Limits(finished_runs_max=2))
    for number in range(4):
        core.handle(a_submission(f"r{number}"), 0.0)
        core.handle(RunCancelled(RunId(f"r{number}"), "enough"), 0.0)
    assert [core.run(RunId(f"r{number}")) is not None for number in range(4)] == [False, False, True, True]
    view = core.run(RunId("r3"))
    assert view is not None
    assert (view.state, view.message) == (RunState.CANCELLED, "enough")
    assert core.live_runs() == []


def test_views_say_what_workers_hold() -> None:
    core = Core()
    core.handle(WorkerAttached(WorkerId("w1"), ConnectionId(7), 2, kernels=(("terms", "1"),)), 1.0)
    core.handle(a_submission(plan=a_probe_plan(3)), 2.0)
    core.handle(a_report("w1", 1, 0), 3.0)
    core.handle(HeartbeatReceived(WorkerId("w1"), (), memory_bytes=5_000), 4.0)
    [worker] = core.workers()
    assert (worker.connection_id, worker.lease_count, worker.tiles_done) == (7, 2, 1)
    assert (worker.attached_s, worker.heard_s, worker.memory_bytes) == (1.0, 4.0, 5_000)
    assert worker.kernels == (("terms", "1"),)
    assert (core.worker_count(), core.slot_count(), core.lease_count()) == (1, 2, 2)
    core.handle(WorkerDraining(WorkerId("w1")), 5.0)
    assert (core.worker_count(), core.slot_count(), core.workers()[0].is_draining) == (0, 0, True)


def test_first_lease_is_timed_from_submission() -> None:
    core = Core()
    core.handle(a_submission(), 10.0)
    core.handle(an_attachment(), 12.5)
    view = core.run(RunId("r1"))
    assert view is not None
    assert view.first_lease_after_s == 2.5
    assert view.epoch_last == 1


def test_an_invariant_that_breaks_is_found() -> None:
    core = Core()
    core.handle(a_submission(), 0.0)
    core.handle(an_attachment(), 0.0)
    core._state.runs[RunId("r1")].nodes[0].done.add_new(0, 1)
    with pytest.raises(AssertionError):
        core.check_invariants()
