"""Runs begin, are paused and resumed, are cancelled, and are rebuilt from the store.

Durable of a run: what was submitted, which tiles are done, which of those were given up, its cell counts, the failed
attempts at tiles that are not decided, and whether it is paused. Its account goes on from what was stored last
(`accounts`). Everything else (leases, costs) is soft and starts anew. `durable_runs` is the projection of memory to
what is durable: after every commit it equals what the store would hand to `restore` (S19).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from xip_core.graph.plan import Plan
from xip_core.model.account import RunAccount
from xip_scheduler.core.accounts import past_of
from xip_scheduler.core.actions import Action, PersistRun, RecordPaused, RevokeLease
from xip_scheduler.core.events import RunCancelled, RunPaused, RunResumed, RunSubmitted
from xip_scheduler.core.failures import cells_of_tiles
from xip_scheduler.core.kernels import look_again
from xip_scheduler.core.poison import (
    RestoredAttempt,
    restore_attempts,
    stop_where_stopped,
    take_attempts_over,
    undecided_attempts,
)
from xip_scheduler.core.results import close_run, finish_run
from xip_scheduler.core.run_state import Intervals, LiveRun, build_nodes
from xip_scheduler.core.state import SchedulerState
from xip_scheduler.core.words import Priority, RunId, RunState


class RestoredRun(msgspec.Struct, frozen=True):
    """A run that was not final when the scheduler stopped, as the store knows it.

    Attributes:
        done: per node, by node id: recorded tiles as ascending, disjoint, merged half-open intervals, given-up ones
            included.
        failed: likewise, the given-up ones.
        attempts: at tiles that are not done, by node, tile and number.
        cells_done, cells_quarantined: sums over the records of tiles; the planner's quarantine is not in them.
        reused: per node, by node id: tiles that were taken over.
        account: as it was stored last, None for never; elapsed_s: since the submission, by the wall clock.
    """

    run_id: RunId
    tenant: str
    name: str
    plan: Plan
    plan_digest: str
    submitted_at_s: float
    done: tuple[Intervals, ...]
    failed: tuple[Intervals, ...]
    cells_done: int = 0
    cells_quarantined: int = 0
    attempts: tuple[RestoredAttempt, ...] = ()
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    is_paused: bool = False
    retry_of: str = ""
    reuse_of: str = ""
    reused: tuple[int, ...] = ()
    account: RunAccount | None = None
    elapsed_s: float = 0.0


def submitted(state: SchedulerState, event: RunSubmitted, now_s: float, actions: list[Action]) -> None:
    if event.run_id in state.runs or event.run_id in state.finished:
        return
    actions.append(
        PersistRun(
            event.run_id,
            event.tenant,
            event.name,
            event.request_id,
            event.plan,
            event.plan_digest,
            event.payload_hash,
            event.submitted_at_s,
            event.payload,
            event.priority,
            event.deadline_after_s,
            event.retry_of,
            event.taken_over,
            event.reuse_of,
            event.reuse_note,
        )
    )
    state.counters.runs_submitted += 1
    run = LiveRun(
        event.run_id,
        event.tenant,
        event.name,
        event.plan,
        event.plan_digest,
        event.submitted_at_s,
        now_s,
        build_nodes(event.plan, state.costs, event.taken_over.done if event.taken_over else ()),
        event.priority,
        event.deadline_after_s,
        event.retry_of,
        event.reuse_of,
    )
    run.planned_s = event.planned_s
    if event.taken_over is not None:
        _count_reused(run, [node.done.count for node in run.nodes])
        run.cells_done = event.taken_over.cells_done
        run.cells_quarantined = event.taken_over.cells_quarantined
    _enter(state, run)
    if event.taken_over is not None:
        take_attempts_over(state, run, event.taken_over.attempts, actions)
    if run.open_count == 0:
        finish_run(state, run, actions)
    else:
        stop_where_stopped(state, run, now_s, actions)


def _count_reused(run: LiveRun, counts: Iterable[int]) -> None:
    for node, count in zip(run.nodes, counts, strict=True):
        node.reused_count = count


def _enter(state: SchedulerState, run: LiveRun) -> None:
    cells_without_tile = planned_cells(run.plan)
    run.cells_done += cells_without_tile
    run.cells_quarantined += cells_without_tile
    state.runs[run.run_id] = run
    state.queue.begin(run)
    state.queue.enter(run)
    look_again(state, run)


def planned_cells(plan: Plan) -> int:
    """Cells of rows the planner quarantined: those that no tile will decide."""
    if not plan.quarantine:
        return 0
    return plan.cell_count - sum(cells_of_tiles(plan, node, 0, node.tile_count) for node in plan.nodes)


def cancelled(state: SchedulerState, event: RunCancelled, actions: list[Action]) -> None:
    """The run leaves at once: no lease of it lives on, so whatever its workers still send is refused."""
    run = state.runs.get(event.run_id)
    if run is None:
        return
    for lease in [lease for lease in state.leases.values() if lease.run is run]:
        worker = lease.worker
        lease.node.leased_count -= lease.open_count
        state.close_lease(lease)
        state.settle(worker)
        actions.append(RevokeLease(worker.worker_id, worker.connection_id, lease.epoch))
    close_run(state, run, RunState.CANCELLED, event.reason, actions, event.who)


def paused(state: SchedulerState, event: RunPaused, actions: list[Action]) -> None:
    """Nothing more of the run is granted; what its workers are at is finished and recorded, what is queued comes back.

    A worker may have begun what looks queued here; its result is then refused and computed again after the resume.
    """
    run = state.runs.get(event.run_id)
    if run is None or run.is_paused:
        return
    run.is_paused = True
    state.queue.leave(run)
    actions.append(RecordPaused(run.run_id, True, event.who))
    for worker in list(state.workers.values()):
        queued = list(worker.leases.values())[worker.slot_count :]
        for lease in [lease for lease in queued if lease.run is run]:
            actions.append(RevokeLease(worker.worker_id, worker.connection_id, lease.epoch))
            run.share.unsettled_s -= lease.work_s
            state.lose_lease(lease, actions)
            state.settle(worker)


def resumed(state: SchedulerState, event: RunResumed, actions: list[Action]) -> None:
    run = state.runs.get(event.run_id)
    if run is None or not run.is_paused:
        return
    run.is_paused = False
    state.queue.enter(run)
    actions.append(RecordPaused(run.run_id, False, event.who))


def restore_run(state: SchedulerState, restored: RestoredRun, now_s: float) -> None:
    run = LiveRun(
        restored.run_id,
        restored.tenant,
        restored.name,
        restored.plan,
        restored.plan_digest,
        restored.submitted_at_s,
        now_s,
        build_nodes(restored.plan, state.costs, restored.done, restored.failed),
        restored.priority,
        restored.deadline_after_s,
        restored.retry_of,
        restored.reuse_of,
    )
    run.past = past_of(restored.account, restored.elapsed_s)
    if restored.reused:
        _count_reused(run, restored.reused)
    run.is_paused = restored.is_paused
    run.cells_done = restored.cells_done
    run.cells_quarantined = restored.cells_quarantined
    assert run.open_count, f"run {run.run_id}: every tile is recorded but no final state"
    _enter(state, run)
    restore_attempts(state, run, restored.attempts)


def durable_runs(state: SchedulerState) -> tuple[RestoredRun, ...]:
    """The durable part of what is in memory, in order of submission."""
    return tuple(
        RestoredRun(
            run.run_id,
            run.tenant,
            run.name,
            run.plan,
            run.plan_digest,
            run.submitted_at_s,
            tuple(tuple(node.done) for node in run.nodes),
            tuple(tuple(node.failed) for node in run.nodes),
            run.cells_done - planned_cells(run.plan),
            run.cells_quarantined - planned_cells(run.plan),
            undecided_attempts(run),
            run.priority,
            run.deadline_after_s,
            run.is_paused,
            run.retry_of,
            run.reuse_of,
            tuple(node.reused_count for node in run.nodes),
        )
        for run in state.runs.values()
    )
