"""Poison: tiles at which workers fail or die, who tried them, and when they are given up.

    open tile of a lease ──failed, or its worker died or fell silent──> Retry, waiting ──leased alone──> recorded
                                  ^                                        │                                │
                                  └────────────────────────────────────────┘        attempts_max reached: given up

A tile that an evaluation raised at is tried by another worker as it is. A **suspect** (a worker died or fell silent
while a slot was at the tile, or ran out of memory there) is leased **isolated**: the worker evaluates it in a child
process, so what kills costs a child; down there the row is found, refused with its reason, and its neighbours are
computed. So is whatever is on its last attempt: an exception of one row then takes one row with it. A poison row so
costs one worker process; no tile is tried again after `attempts_max` attempts, in any interleaving.

Every attempt is durable (`RecordAttempt`), in the batch that decides on it, so a restart of the scheduler forgives
nothing. An attempt is **withdrawn**, by another record, when a worker thought dead comes back with the very lease: it
has not died of the tile. A recorded tile makes its attempts void. What cannot be known is a worker that dies while no
scheduler runs: such a death counts for no tile, so the bound is `attempts_max` deaths and one for each restart that
fell between a death and its record.

Sizes: 0.3 kB per attempt at a tile that is not decided; tiles that never failed cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xip_core.errors import FailureReason
from xip_scheduler.core.actions import Action, RecordAttempt
from xip_scheduler.core.events import TileFailed
from xip_scheduler.core.results import give_up
from xip_scheduler.core.retries import WITHDRAWN, Attempt, Retry
from xip_scheduler.core.words import Epoch

if TYPE_CHECKING:
    from xip_scheduler.core.leases import Lease, Worker
    from xip_scheduler.core.run_state import LiveRun
    from xip_scheduler.core.state import SchedulerState

RestoredAttempt = tuple[int, int, Attempt]
"""node_id, tile, attempt; of one tile in the order they were made."""


def tile_failed(state: SchedulerState, event: TileFailed, now_s: float, actions: list[Action]) -> None:
    """A worker could not evaluate a tile, and lives."""
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.refuse_stale(event.worker_id, now_s)
        return
    tile = event.tile
    if not lease.tile_begin <= tile < lease.tile_end:
        state.counters.refused_outside += 1
        return
    state.hear(lease.worker, now_s)
    if not lease.is_open(tile, tile + 1) or tile in lease.node.done:
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
    retry = run.histories.get((node.node_id, tile))
    if retry is None:
        retry = run.histories[node.node_id, tile] = Retry(run, node, tile)
    attempt = Attempt(lease.worker.worker_id, int(reason), message, is_suspect)
    _record(state, retry, attempt, actions)
    retry.suspected_under = lease.epoch if is_suspect else Epoch(0)
    retry.fence = lease.epoch
    if len(retry.tried) < state.limits.attempts_max:
        state.keep_retry(retry)
        return
    sentence = f"given up after {len(retry.tried)} attempts on {', '.join(dict.fromkeys(retry.tried))}: {message}"
    give_up(state, run, node, tile, reason, sentence, actions)


def _record(state: SchedulerState, retry: Retry, attempt: Attempt, actions: list[Action]) -> None:
    number = len(retry.attempts)
    actions.append(
        RecordAttempt(
            retry.run.run_id,
            retry.node.node_id,
            retry.tile,
            number,
            attempt.worker_id,
            attempt.reason,
            attempt.message,
            attempt.is_suspect,
        )
    )
    retry.add((attempt,), state.limits.attempts_max)


def blame(state: SchedulerState, worker: Worker, leases: list[Lease], message: str, actions: list[Action]) -> None:
    """
    The worker died or fell silent with *leases*: the tiles its slots were at are suspects. Not so an isolated one
    beside others: what is evaluated in a child ends the child, the worker died of something else. Alone it is a suspect
    still, so every such death is an attempt at some tile.
    """
    at_work = [lease for lease in worker.running() if not lease.is_isolated] or worker.running()
    for lease in leases:
        if lease in at_work:
            tile = lease.open_ranges()[0][0]
            state.counters.suspects += 1
            fail_tile(state, lease, tile, FailureReason.CRASHED, message, is_suspect=True, actions=actions)


def acquit(state: SchedulerState, lease: Lease, retry: Retry, actions: list[Action]) -> None:
    """The worker came back with *lease*, under which it was thought to have died of the tile: the attempt is void."""
    state.take_retry(retry)
    withdrawal = Attempt(lease.worker.worker_id, WITHDRAWN, "the worker came back with the tile", False)
    _record(state, retry, withdrawal, actions)
    retry.suspected_under = Epoch(0)
    hand_over(lease, retry)


def hand_over(lease: Lease, retry: Retry) -> None:
    """The lease is the retry's own from now on, unless no attempt stands against the tile."""
    if retry.tried:
        lease.retry = retry
        lease.is_isolated = retry.is_isolated


def restore_attempts(state: SchedulerState, run: LiveRun, attempts: tuple[RestoredAttempt, ...]) -> None:
    """Tiles that were tried before the restart wait for their next attempt; decided ones need none."""
    by_tile: dict[tuple[int, int], list[Attempt]] = {}
    for node_id, tile, attempt in attempts:
        by_tile.setdefault((node_id, tile), []).append(attempt)
    for (node_id, tile), made in by_tile.items():
        node = run.nodes[node_id]
        if tile in node.done:
            continue
        retry = run.histories[node_id, tile] = Retry(run, node, tile)
        retry.add(made, state.limits.attempts_max)
        if retry.tried:
            node.pending.take(tile, tile + 1)
            state.keep_retry(retry)


def undecided_attempts(run: LiveRun) -> tuple[RestoredAttempt, ...]:
    """What `restore_attempts` would be given: the durable projection, by node, tile and number."""
    return tuple((*key, attempt) for key in sorted(run.histories) for attempt in run.histories[key].attempts)
