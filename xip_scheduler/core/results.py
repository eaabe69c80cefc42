"""What becomes of tiles: recorded, refused, given up; and the end of a run. Failed attempts are in `poison`.

A result is recorded once: its epoch must be that of a live lease of the worker that sends it, its tiles inside the
lease and not decided yet. Everything else is refused and counted, never an error: late and repeated results are normal.
"""

from __future__ import annotations

from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan
from xip_scheduler.core.accounts import account_of, add_inputs
from xip_scheduler.core.actions import Action, RecordFailedTiles, RecordRunState, RecordTiles, RevokeLease
from xip_scheduler.core.breakers import tile_computed
from xip_scheduler.core.events import TilesReported
from xip_scheduler.core.failures import cells_of_tiles
from xip_scheduler.core.leases import Lease
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.state import NONE, SchedulerState
from xip_scheduler.core.views import view_run
from xip_scheduler.core.words import RunState


def tiles_reported(state: SchedulerState, event: TilesReported, now_s: float, actions: list[Action]) -> None:
    """The hot path: one call per tile result of the whole grid."""
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.refuse_stale(event.worker_id, now_s)
        return
    begin, end = event.tile_begin, event.tile_end
    if begin < lease.tile_begin or end > lease.tile_end or begin >= end:
        state.counters.refused_outside += 1
        return
    node, worker = lease.node, lease.worker
    worker.heard_s = worker.reported_s = now_s
    if worker.is_silent:
        state.hear(worker, now_s)
    if not lease.is_open(begin, end) or not node.done.add_new(begin, end):
        node.times.wasted_s += event.elapsed_ns * 1e-9
        lease.run.duplicated_count += 1
        _refuse_decided(state, lease, begin, end, actions)
        return
    tile_count = end - begin
    run = lease.run
    run.open_count -= tile_count
    run.cells_done += event.cell_count
    quarantined_count = _quarantined_cells(run.plan, event) if event.quarantined else 0
    run.cells_quarantined += quarantined_count
    worker.tiles_done += tile_count
    times = node.times
    times.end_s = now_s
    times.elapsed_ns += event.elapsed_ns
    if event.elapsed_ns > times.slow_ns * tile_count:
        times.keep_slow(event.elapsed_ns // tile_count, begin, event.worker_id)
    if event.fetch_ns or event.pruned_count:
        add_inputs(run, times, event)
    state.counters.tiles_recorded += tile_count
    if not lease.is_isolated:  # a child's start and the search for a row say nothing about a tile
        lease.pace.report(tile_count, event.elapsed_ns)
    if lease.is_isolated or lease.retry is not None:
        tile_computed(state, lease, begin, not event.poison_count, now_s, actions)
    if run.histories:
        run.forget_histories(node.node_id, begin, end)
    node.leased_count -= tile_count
    done_s = lease.work_s * tile_count / lease.open_count
    run.share.unsettled_s += event.elapsed_ns * 1e-9 - done_s
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


def give_up(
    state: SchedulerState,
    run: LiveRun,
    node: NodeState,
    tiles: list[tuple[int, int]],
    reason: FailureReason,
    sentence: str,
    actions: list[Action],
) -> None:
    """Decide tiles nobody works at without output, and with them every tile that cannot do without them."""
    name = _named(node, *tiles[0])
    run.message = run.message or f"{name} was {sentence}"
    cause = f"needs {name}, {sentence}"
    decided: list[tuple[NodeState, int, int]] = []
    for begin, end in tiles:
        _decide_without_output(state, run, node, begin, end, reason, sentence, actions)
        decided.append((node, begin, end))
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


def _named(node: NodeState, begin: int, end: int) -> str:
    tiles = f"tile {begin}" if end - begin == 1 else f"tiles [{begin}, {end})"
    return f"{node.plan_node.name} {tiles}"


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
    if run.histories:
        run.forget_histories(node.node_id, begin, end)
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


def close_run(
    state: SchedulerState, run: LiveRun, final: RunState, message: str, actions: list[Action], who: str = ""
) -> None:
    actions.append(RecordRunState(run.run_id, final, message, who))
    state.finish(run, view_run(run, final, message, account=account_of(run)))
