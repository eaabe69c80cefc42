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
has not died of the tile. A recorded tile makes its attempts void. A retry of the run takes one attempt over for each
tile that was poison (`take_attempts_over`): it begins isolated there, with a try less. What cannot be known is a worker
that dies while no scheduler runs: such a death counts for no tile, so the bound is `attempts_max` deaths and one for
each restart that fell between a death and its record.

**Death during isolation** counts like any other, though the child contains most of what a tile can do and the worker
may have been killed from outside. From here the two look alike: a tile that takes the memory of the whole host, or
forks until nothing answers, reaches beyond its child, and such a tile must be given up after `attempts_max` workers
(S16). Every rule that spares innocent tiles by not counting such a death allows one more; to lease the tile further
until a child died would lose a worker each time. So three kills from outside while workers are at one tile give
that tile up, and a retry of the run computes it. What can be told apart is not counted: a worker
that had other work beside it (`blame`), one that left in order, one that comes back.

**One death, one attempt**: the tile at the head has it. Those behind it are suspects as well (`NodeState.suspect`),
because results of the last 2 ms are not heard, and are leased isolated, but have no attempt and are not durable: that
they were evaluated at all is unlikely, an attempt each would give innocent tiles up, and what a restart forgets costs
one worker more at most, which then is an attempt at the right tile and within its `attempts_max`.

Sizes: 0.3 kB per attempt at a tile that is not decided; tiles that never failed cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from xip_core.errors import FailureReason
from xip_scheduler.core import breakers
from xip_scheduler.core.actions import Action, RecordAttempt, RevokeLease
from xip_scheduler.core.breakers import KernelBreaker, failed_isolated, is_stopped, kernel_of, worker_died
from xip_scheduler.core.events import TileFailed
from xip_scheduler.core.results import give_up
from xip_scheduler.core.retries import CONTAINED_REASONS, WITHDRAWN, Attempt, Retry
from xip_scheduler.core.words import Epoch

if TYPE_CHECKING:
    from xip_scheduler.core.leases import Lease, Worker
    from xip_scheduler.core.run_state import LiveRun, NodeState
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
    if lease.is_isolated and event.reason in CONTAINED_REASONS:
        breaker = failed_isolated(state, lease, tile, event.message, now_s, actions)
        if breaker is not None:
            _stop(state, breaker, actions)
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
    run.retried_count += 1
    node.times.wasted_s += node.cost.tile_s
    attempt = Attempt(lease.worker.worker_id, int(reason), message, is_suspect)
    _record(state, retry, attempt, actions)
    retry.suspected_under = lease.epoch if is_suspect else Epoch(0)
    retry.fence = lease.epoch
    if len(retry.tried) < state.limits.attempts_max:
        state.keep_retry(retry)
        return
    sentence = f"given up after {len(retry.tried)} attempts on {', '.join(dict.fromkeys(retry.tried))}: {message}"
    give_up(state, run, node, [(tile, tile + 1)], reason, sentence, actions)


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
    """The worker died or fell silent with *leases*: the tiles its slots were at are suspects.

    Not so an isolated one beside others: what is evaluated in a child ends the child, the worker died of something
    else. Alone it is a suspect still, so every such death is an attempt at some tile.

    Which tile a slot was at is known but for the results that were not heard: it may be further on, in a lease that
    waited in its queue. So what comes behind is leased isolated too; the first one has the attempt.
    """
    at_work = [lease for lease in worker.running() if not lease.is_isolated] or worker.running()
    rest = state.limits.suspects_max * worker.slot_count
    for lease in leases:
        is_guarded = False
        if lease in at_work:
            tile, _ = lease.open_ranges()[0]
            state.counters.suspects += 1
            is_guarded = worker_died(state, lease, tile, message, actions)
            fail_tile(state, lease, tile, FailureReason.CRASHED, message, is_suspect=True, actions=actions)
        for begin, end in lease.open_ranges():
            if rest > 0:
                lease.node.suspect(begin, min(end, begin + rest))
                rest -= end - begin
        if is_guarded:
            _isolate(state, lease.node, leases, actions)


def _isolate(state: SchedulerState, node: NodeState, but: list[Lease], actions: list[Action]) -> None:
    """Take the leases of a kernel that is guarded now back from those who have not died of it yet."""
    key = kernel_of(node)
    for lease in [lease for lease in state.leases.values() if lease not in but and not lease.is_isolated]:
        if kernel_of(lease.node) == key:
            _revoke(state, lease, actions)


def _revoke(state: SchedulerState, lease: Lease, actions: list[Action]) -> None:
    worker = lease.worker
    state.lose_lease(lease, actions)
    state.settle(worker)
    actions.append(RevokeLease(worker.worker_id, worker.connection_id, lease.epoch))


def _stop(state: SchedulerState, breaker: KernelBreaker, actions: list[Action]) -> None:
    """Give up what is left of a kernel in every run."""
    for run in list(state.runs.values()):
        for node in run.nodes:
            if kernel_of(node) == breaker.key and run.run_id in state.runs:
                _give_up_rest(state, run, node, breaker, actions)


def stop_where_stopped(state: SchedulerState, run: LiveRun, now_s: float, actions: list[Action]) -> None:
    """A run came that wants a kernel which is stopped."""
    if not state.breakers.guarded:
        return
    for node in run.nodes:
        if run.run_id in state.runs and is_stopped(state, node, now_s, actions):
            _give_up_rest(state, run, node, state.breakers.guarded[kernel_of(node)], actions)


def _give_up_rest(
    state: SchedulerState, run: LiveRun, node: NodeState, breaker: KernelBreaker, actions: list[Action]
) -> None:
    for lease in [lease for lease in state.leases.values() if lease.node is node]:
        _revoke(state, lease, actions)
    for retry in state.find_retries(run, node, 0, node.tile_count):
        state.take_retry(retry)
    for begin, end in list(node.pending):
        node.pending.drop(begin, end)
    rest = node.done.gaps(0, node.tile_count)
    if rest:
        name, version = breaker.key
        # Counts, not the evidence, which names runs of other tenants (S13); the operators' log has it.
        sentence = f"given up because kernel {name}@{version} is stopped: {breaker.summary}"
        give_up(state, run, node, rest, FailureReason.KERNEL_STOPPED, sentence, actions)


def take_back_stalled(
    state: SchedulerState, worker: Worker, stalled: Iterable[tuple[Epoch, float]], actions: list[Action]
) -> None:
    """End leases whose slots have not looked up for too long: the worker lives, its kernel does not come back."""
    for epoch, stalled_s in stalled:
        lease = worker.leases.get(epoch)
        if lease is None:
            continue
        if stalled_s <= max(state.limits.stalled_after_s, state.limits.stalled_factor * lease.pace.tile_s):
            continue
        state.counters.leases_stalled += 1
        message = f"worker {worker.worker_id} did not come back from the tile for {stalled_s:.0f} s"
        tile = lease.open_ranges()[0][0]
        fail_tile(state, lease, tile, FailureReason.TIMED_OUT, message, is_suspect=False, actions=actions)
        _revoke(state, lease, actions)


def acquit(state: SchedulerState, lease: Lease, retry: Retry, actions: list[Action]) -> None:
    """The worker came back with *lease*, under which it was thought to have died of the tile: the attempt is void."""
    state.take_retry(retry)
    withdrawal = Attempt(lease.worker.worker_id, WITHDRAWN, "the worker came back with the tile", False)
    _record(state, retry, withdrawal, actions)
    retry.suspected_under = Epoch(0)
    breakers.acquit(state, lease)
    hand_over(lease, retry)


def hand_over(lease: Lease, retry: Retry) -> None:
    """The lease is the retry's own from now on, unless no attempt stands against the tile."""
    if retry.tried:
        lease.retry = retry
        lease.is_isolated = retry.is_isolated


def take_attempts_over(
    state: SchedulerState, run: LiveRun, attempts: tuple[RestoredAttempt, ...], actions: list[Action]
) -> None:
    """A retry begins with what is known of the poison in the run before: the attempt is recorded as its own."""
    for node_id, tile, attempt in attempts:
        node = run.nodes[node_id]
        if tile in node.done:
            continue
        if node.needs and node.ready_until(tile, tile + 1) == tile:
            node.suspect(tile, tile + 1)  # a sum that must wait for its tiles; retries are leased at once
            continue
        node.pending.take(tile, tile + 1)
        retry = run.histories[node_id, tile] = Retry(run, node, tile)
        _record(state, retry, attempt, actions)
        state.keep_retry(retry)


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
