"""What becomes of tiles: recorded, refused, tried again, given up; and the end of a run.

A result is recorded once: its epoch must be that of a live lease of the worker that sends it, its tiles inside the
lease and not decided yet. Everything else is refused and counted, never an error: late and repeated results are normal.
"""

from __future__ import annotations

from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan
from xip_scheduler.core.actions import Action, RecordFailedTiles, RecordRunState, RecordTiles, RevokeLease
from xip_scheduler.core.events import TileFailed, TilesReported
from xip_scheduler.core.failures import cells_of_tiles
from xip_scheduler.core.leases import Lease, Retry
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.state import NONE, SchedulerState
from xip_scheduler.core.views import view_run
from xip_scheduler.core.words import Epoch, RunState


def tiles_reported(state: SchedulerState, event: TilesReported, now_s: float, actions: list[Action]) -> None:
    """The hot path: one call per tile result of the whole grid."""
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.counters.refused_stale += 1
        return
    begin, end = event.tile_begin, event.tile_end
    if begin < lease.tile_begin or end > lease.tile_end or begin >= end:
        state.counters.refused_outside += 1
        return
    node, worker = lease.node, lease.worker
    worker.heard_s = worker.reported_s = now_s
    if not _is_open(lease, begin, end) or not node.done.add_new(begin, end):
        _refuse_decided(state, lease, begin, end, actions)
        return
    tile_count = end - begin
    run = lease.run
    run.open_count -= tile_count
    run.cells_done += event.cell_count
    quarantined_count = _quarantined_cells(run.plan, event) if event.quarantined else 0
    run.cells_quarantined += quarantined_count
    worker.tiles_done += tile_count
    state.counters.tiles_recorded += tile_count
    lease.pace.report(tile_count, event.elapsed_ns)
    node.leased_count -= tile_count
    done_s = lease.work_s * tile_count / lease.open_count
    lease.work_s -= done_s
    worker.queued_s -= done_s
    lease.open_count -= tile_count
    actions.append(
        RecordTiles(
            run.run_id,
            node.node_id,
            begin,
            end,
            event.epoch,
            event.worker_id,
            event.cell_count,
            quarantined_count,
            event.payload,
        )
    )
    if lease.open_count == 0:
        state.close_lease(lease)
        state.settle(worker)
    else:
        state.renew(lease, now_s)
        if worker.appetite is NONE:
            state.settle(worker)
    if run.open_count == 0:
        finish_run(state, run, actions)
    elif node.dependents and not run.is_queued:
        state.queue.enter(run)


def _quarantined_cells(plan: Plan, event: TilesReported) -> int:
    """Cells in the quarantined rows, every row at least one, never more than the tiles have."""
    return min(event.cell_count, sum([max(1, plan.cells_of_row(*span)) for span in event.quarantined]))


def _is_open(lease: Lease, begin: int, end: int) -> bool:
    """Is none of [begin, end) a tile that failed in this very lease?"""
    return lease.failed is None or not lease.failed.count_in(begin, end)


def _refuse_decided(state: SchedulerState, lease: Lease, begin: int, end: int, actions: list[Action]) -> None:
    """A repeated report is harmless; one that is new in part cannot be split, so the lease starts over elsewhere."""
    state.counters.refused_duplicate += 1
    open_count = sum(
        max(0, min(end, range_end) - max(begin, range_begin)) for range_begin, range_end in lease.open_ranges()
    )
    if open_count:
        worker = lease.worker
        state.lose_lease(lease, actions)
        state.settle(worker)
        actions.append(RevokeLease(worker.worker_id, worker.connection_id, lease.epoch))


def tile_failed(state: SchedulerState, event: TileFailed, now_s: float, actions: list[Action]) -> None:
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.counters.refused_stale += 1
        return
    tile = event.tile
    if not lease.tile_begin <= tile < lease.tile_end:
        state.counters.refused_outside += 1
        return
    lease.worker.heard_s = now_s
    if not _is_open(lease, tile, tile + 1) or tile in lease.node.done:
        state.counters.refused_duplicate += 1
        return
    state.renew(lease, now_s)
    state.counters.tiles_failed_once += 1
    fail_tile(state, lease, tile, event.reason, event.message, is_suspect=False, actions=actions)
    if lease.open_count == 0 and lease.epoch in state.leases:
        state.close_lease(lease)
    state.settle(lease.worker)


def fail_tile(
    state: SchedulerState,
    lease: Lease,
    tile: int,
    reason: FailureReason,
    message: str,
    *,
    is_suspect: bool,
    actions: list[Action],
) -> None:
    """One more worker has failed at an open tile of the lease: it waits for another one, or is given up."""
    run, node = lease.run, lease.node
    lease.let_go(tile)
    node.leased_count -= 1
    retry = lease.retry or Retry(run, node, tile)
    retry.tried = (*retry.tried, lease.worker.worker_id)
    retry.reason = reason
    retry.message = message
    retry.has_crashed = retry.has_crashed or is_suspect
    retry.suspected_under = lease.epoch if is_suspect else Epoch(0)
    if len(retry.tried) < state.limits.attempts_max:
        state.keep_retry(retry)
        return
    sentence = f"given up after {len(retry.tried)} attempts on {', '.join(dict.fromkeys(retry.tried))}: {message}"
    give_up(state, run, node, tile, reason, sentence, actions)


def give_up(
    state: SchedulerState,
    run: LiveRun,
    node: NodeState,
    tile: int,
    reason: FailureReason,
    sentence: str,
    actions: list[Action],
) -> None:
    """Decide a tile nobody works at without output, and with it every tile that cannot do without it."""
    run.message = run.message or f"{node.plan_node.name} tile {tile} was {sentence}"
    cause = f"needs {node.plan_node.name} tile {tile}, {sentence}"
    _decide_without_output(state, run, node, tile, tile + 1, reason, sentence, actions)
    decided = [(node, tile, tile + 1)]
    while decided:
        source, begin, end = decided.pop()
        for dependent, need in source.dependents:
            if dependent.goes_on_without_inputs:
                continue
            tile_count = dependent.tile_count
            spans = {span: None for needed in range(begin, end) for span in need.dependents(needed, tile_count)}
            for span_begin, span_end in spans:
                for gap_begin, gap_end in dependent.done.gaps(span_begin, span_end):
                    dependent.pending.drop(gap_begin, gap_end)
                    _decide_without_output(state, run, dependent, gap_begin, gap_end, reason, cause, actions)
                    decided.append((dependent, gap_begin, gap_end))
    if run.open_count == 0:
        finish_run(state, run, actions)
    else:
        state.queue.enter(run)


def _decide_without_output(
    state: SchedulerState,
    run: LiveRun,
    node: NodeState,
    begin: int,
    end: int,
    reason: FailureReason,
    message: str,
    actions: list[Action],
) -> None:
    """Tiles that are in no lease, retry or pending interval any more become done and failed."""
    is_new = node.done.add_new(begin, end) and node.failed.add_new(begin, end)
    assert is_new, ("tiles are decided already", run.run_id, node.node_id, begin, end)
    cell_count = cells_of_tiles(run.plan, node.plan_node, begin, end)
    run.open_count -= end - begin
    run.cells_done += cell_count
    run.cells_quarantined += cell_count
    state.counters.tiles_given_up += end - begin
    actions.append(RecordFailedTiles(run.run_id, node.node_id, begin, end, cell_count, reason, message))


def finish_run(state: SchedulerState, run: LiveRun, actions: list[Action]) -> None:
    """Every tile is decided: the run is final."""
    cell_nodes = [node for node in run.nodes if node.carries_cells]
    if cell_nodes and all(node.failed.count == node.tile_count for node in cell_nodes):
        final, message = RunState.FAILED, f"nothing was computed: {run.message}"
    elif run.cells_quarantined or run.tiles_failed or run.plan.quarantine:
        final, message = RunState.COMPLETED_WITH_QUARANTINE, run.message
    else:
        final, message = RunState.COMPLETED, ""
    close_run(state, run, final, message, actions)


def close_run(state: SchedulerState, run: LiveRun, final: RunState, message: str, actions: list[Action]) -> None:
    actions.append(RecordRunState(run.run_id, final, message))
    state.finish(run, view_run(run, final, message))
