"""Who gets what, and how much: leases are carved at the moment a worker can take one.

Size (guided self-scheduling): a lease is what remains of its run, by the cost model, over twice the slots of the grid,
between 50 ms and 2 s at this worker's own pace (`costs`): large while much is left, small at the tail, so the last
leases end together. Of a node whose tiles others wait for one by one it is what remains of the node, so that all slots
have a part in it. Until a tile of its class has been measured, leases are as small as allowed, because a declared
cost may be wrong by 10x. A node with `tiles_per_lease` has its way. Whether a slow worker gets the last tiles at all,
and how the idle come by the work of others: `tail`.

Depth: slots that stand idle are served first, then workers that could queue a lease behind those that run, up to one
per slot, then more of them when they are small. A worker can take more while less than 60 ms a slot is left of what it
has, so that deeper tiles, ready by then, come first; while much is left of a run that has been measured and has shown
its first numbers, up to 250 ms, or when its first slot runs dry within that, for each time that a worker has to say how
far it is costs a message and a commit. At the tail of the grid, when all that is ready is less than a smallest lease a
slot, queueing stops, for a queued tile would wait while another worker's slot stands idle; only work shorter than the
round trip it saves is still queued. The tail of one run while others have work is no tail: no slot would fall idle, and
the small run would wait for the large one's end.

Alone: where one worker computes the sums of a book (`ahead.is_alone`) there is no such slot elsewhere, and its own
share one queue. It has 250 ms a slot queued from the beginning to the end, of leases that shrink to 10 ms: they come
many to a message, so they may be small, and its slots end together. Nor does anybody wait for the first value, so rows
are resolved ahead of it (`ahead`). A run so needs a message for each time that results have waited long enough
(`patience`), and hardly any because a slot ran dry.

Order: the run whose turn it is (`fairness`), in it retries before first attempts (so retries stay as few as the leases
alive, even when every tile fails), then the first node in its order (`run_state`) with a ready tile at its head. Until
a scenario block is calibrated a worker has one lease of them, as long as there is anything else. Retries of a run whose
turn it is not wait like everything else of it: at the tail, where nothing is queued behind a busy slot, nor are they
(L2).

Cost: a round makes one grant per step and ends at the first worker that gets nothing for a reason that holds for all.
Only when what is left are retries which that worker has tried already, or kernels that it does not have, are all the
others asked; of workers that announced the same kernels only the first, the others cost 0.2 us each.
"""

from __future__ import annotations

import itertools

from xip_core.graph.plan import NodeKind
from xip_scheduler.core.actions import Action, GrantLease
from xip_scheduler.core.ahead import is_alone
from xip_scheduler.core.breakers import kernel_of
from xip_scheduler.core.fleets import KernelSet
from xip_scheduler.core.leases import Lease, Worker
from xip_scheduler.core.patience import WORK_S_MIN, is_awaited, patience_of, patience_of_tiny
from xip_scheduler.core.poison import hand_over
from xip_scheduler.core.rests import rest_of
from xip_scheduler.core.retries import Retry
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.state import DEEP, IDLE, NONE, QUEUE, SchedulerState
from xip_scheduler.core.tail import leaves_to_faster
from xip_scheduler.core.words import Epoch

SPARED_MAX = 64
"""Workers passed over in one round because they are slow; the next event's round goes on with the others."""

RETRIES_LOOKED_AT_MAX = 8
"""Waiting retries looked at for one grant; the ones beyond come up when these have found their worker."""


def grant(state: SchedulerState, now_s: float, actions: list[Action]) -> None:
    """Give work to every worker that wants some, as long as there is any and all had time to say what they hold."""
    if not state.queue.runs or now_s < state.gathering_until_s:
        return
    state.is_uneven = False
    for appetite in (IDLE, QUEUE, DEEP):
        pool = state.hungry[appetite]
        passed_over_count = 0
        nothing_for: set[KernelSet] | None = None
        while pool:
            if appetite is DEEP and len(state.leases) >= state.limits.deep_leases_max:
                break
            worker = next(iter(pool.values()))
            if nothing_for is not None and worker.kernels in nothing_for:
                lease = None
            else:
                lease = _next_lease(state, worker, now_s, actions)
            if lease is not None:
                _send(state, lease, now_s, actions)
                continue
            passed_over_count += 1
            is_personal = state.queue.retry_count > 0
            if passed_over_count >= len(pool) or not (is_personal or state.is_uneven or state.fleets.is_mixed):
                break
            if state.is_uneven and passed_over_count >= SPARED_MAX and not is_personal:
                break
            if not (is_personal or state.is_uneven):
                nothing_for = (nothing_for or set()) | {worker.kernels}
            pool.move_to_end(worker.worker_id)


def _send(state: SchedulerState, lease: Lease, now_s: float, actions: list[Action]) -> None:
    run, worker = lease.run, lease.worker
    state.open_lease(lease)
    if run.first_lease_s is None:
        run.first_lease_s = now_s
    run.last_lease_s = now_s
    times = lease.node.times
    if times.begin_s is None:
        times.begin_s = now_s
    run.epoch_last = lease.epoch
    state.queue.served(run, lease.work_s)
    state.counters.leases_granted += 1
    state.settle(worker)
    actions.append(
        GrantLease(
            worker.worker_id,
            worker.connection_id,
            lease.epoch,
            run.run_id,
            lease.node.node_id,
            lease.tile_begin,
            lease.tile_end,
            lease.is_isolated,
            *(patience_of(state, lease, now_s) if lease.work_s >= WORK_S_MIN else patience_of_tiny(state, lease)),
        )
    )
    if lease.is_isolated:
        state.counters.leases_isolated += 1
    if worker.appetite is not NONE:
        state.hungry[worker.appetite].move_to_end(worker.worker_id)


def _next_lease(state: SchedulerState, worker: Worker, now_s: float, actions: list[Action]) -> Lease | None:
    """A lease of the run whose turn it is; for a worker with busy slots only while more than a tail is left."""
    limits, slot_count = state.limits, state.slot_count
    first: tuple[LiveRun, NodeState, int, int] | None = None
    spared: tuple[LiveRun, NodeState, int, int] | None = None
    later: tuple[LiveRun, NodeState, int, int] | None = None
    lease_count, work_s = 0, 0.0
    for run in state.queue.candidates():
        retry = _retry_for(state, worker, run) if run.retries else None
        if retry is not None:
            first = first or spared
            if first is None:
                return _lease_of_retry(state, worker, retry, now_s, actions)
            if worker.appetite is IDLE:
                return _carve(state, worker, *first, now_s, actions)
            lease_count += 1
            work_s += retry.node.cost.tile_s
        is_blocked = True
        for node in _order_of(state, run, now_s):
            pending_count = node.pending.count
            if not pending_count:
                continue
            begin, end = node.ready_head()
            if begin == end:
                continue
            if node.kernels and not worker.can(node.kernels):
                is_blocked = is_blocked and not state.fleets.count(node.kernels)
                continue
            if _makes_base_market(worker, node):
                is_blocked = False
                later = later or (run, node, begin, end)
                continue
            pace = worker.paces[node.cost]
            if pace.tile_s > 2.0 * node.cost.tile_s and leaves_to_faster(state, worker, node, now_s):
                is_blocked = False
                spared = spared or (run, node, begin, end)
                continue
            if worker.appetite is IDLE:
                return _carve(state, worker, *(spared or (run, node, begin, end)), now_s, actions)
            is_blocked = False
            first = first or spared or (run, node, begin, end)
            lease_count += pending_count // (node.tiles_per_lease or 1)
            work_s += pending_count * node.cost.tile_s
            if lease_count >= slot_count and work_s >= slot_count * limits.lease_work_s_min:
                return _carve(state, worker, *first, now_s, actions)
        if is_blocked and not run.retries:
            state.queue.leave(run)
    first = first or later
    if first is not None and first is later and (worker.appetite is IDLE or _is_no_tail(state, later[1])):
        return _carve(state, worker, *later, now_s, actions)
    prefetch_s = worker.slot_count * limits.prefetch_tail_s
    if first is not None and (worker.queued_s < prefetch_s or is_alone(state, first[0])):
        return _carve(state, worker, *first, now_s, actions)
    state.is_uneven = state.is_uneven or spared is not None or later is not None
    return None


def _order_of(state: SchedulerState, run: LiveRun, now_s: float) -> tuple[NodeState, ...]:
    """The nodes of the run in the order in which they are asked for a ready tile."""
    ahead = run.ahead
    return run.grant_order if ahead is None or state.active_count > 1 or ahead.is_far(now_s) else ahead.order


def _is_no_tail(state: SchedulerState, node: NodeState) -> bool:
    count, slot_count = node.pending.count, state.slot_count
    return count >= slot_count and count * node.cost.tile_s >= slot_count * state.limits.lease_work_s_min


def _makes_base_market(worker: Worker, node: NodeState) -> bool:
    """A slot of *worker* makes what each of its tiles of *node* begins with: a second one would wait for it."""
    if node.plan_node.kind is not NodeKind.CALIBRATE or node.done.count:
        return False
    return any(lease.node is node for lease in worker.leases.values())


def _retry_for(state: SchedulerState, worker: Worker, run: LiveRun) -> Retry | None:
    retries = itertools.islice(run.retries.values(), RETRIES_LOOKED_AT_MAX)
    return next((retry for retry in retries if _may_try(state, worker, retry)), None)


def _may_try(state: SchedulerState, worker: Worker, retry: Retry) -> bool:
    """A worker that failed at a tile gets it again only when everybody else who could try has failed as well."""
    needed = retry.node.kernels
    if not worker.can(needed):
        return False
    if worker.worker_id not in retry.tried:
        return True
    others = (state.workers.get(worker_id) for worker_id in set(retry.tried))
    return sum(other is not None and other.is_active and other.can(needed) for other in others) >= state.fleets.count(
        needed
    )


def _carve(
    state: SchedulerState,
    worker: Worker,
    run: LiveRun,
    node: NodeState,
    begin: int,
    end: int,
    now_s: float,
    actions: list[Action],
) -> Lease:
    is_isolated = False
    if node.suspects is not None:
        is_isolated = begin in node.suspects
        end = min(end, node.suspects.end_at(begin) if is_isolated else node.suspects.next_begin(begin, end))
    if state.breakers.guarded and kernel_of(node) in state.breakers.guarded:
        is_isolated, end = True, begin + 1
    pace = worker.paces[node.cost]
    tile_s = pace.tile_s if pace.is_measured else worker.paces.tile_s(node.cost)
    tile_count, worker.ahead_s = node.tiles_per_lease, 0.0
    if not tile_count:
        work_s_max, worker.ahead_s = _guided_work_s(state, run, node, now_s)
        tile_count = max(1, int(work_s_max / tile_s))
    if end - begin < tile_count and node.suspects is None and not is_isolated:
        end = node.ready_further(begin, end)
    if end - begin > tile_count:
        end = begin + tile_count
    node.pending.take_ready(begin, end)
    run.rest.pending_s -= (end - begin) * node.cost.tile_s
    work_s = (end - begin) * tile_s
    deadline_s = now_s + state.limits.lease_duration_s
    lease = Lease(state.new_epoch(actions), worker, run, node, begin, end, work_s, deadline_s, pace)
    lease.is_isolated = is_isolated
    return lease


def _guided_work_s(state: SchedulerState, run: LiveRun, node: NodeState, now_s: float) -> tuple[float, float]:
    """Seconds of work for a lease of *node*, and how much a slot may have before it, 0 for as little as may be."""
    limits, cost, part = state.limits, node.cost, 2 * state.slot_count
    rest = rest_of(run, now_s)
    alone = is_alone(state, run)
    if not (alone or rest.is_measured or cost.is_measured):
        return limits.lease_work_s_min, 0.0
    share_s = rest.pending_s / part
    ahead_s = limits.prefetch_behind_s_max
    if not alone:
        ahead_s = 0.0 if run.shows_nothing_yet else min(0.5 * share_s, ahead_s)
    least_s = limits.lease_work_s_alone_min if alone else limits.lease_work_s_min
    most_s = limits.lease_work_s_max if cost.is_measured else limits.lease_work_s_min
    if is_awaited(node):
        share_s = node.pending.count * cost.tile_s / part
    return min(max(share_s, least_s), most_s), ahead_s


def _lease_of_retry(
    state: SchedulerState, worker: Worker, retry: Retry, now_s: float, actions: list[Action]
) -> Lease:
    state.take_retry(retry)
    retry.suspected_under = Epoch(0)  # from here on the tile belongs to somebody else
    lease = Lease(
        state.new_epoch(actions),
        worker,
        retry.run,
        retry.node,
        retry.tile,
        retry.tile + 1,
        retry.node.cost.tile_s,
        now_s + state.limits.lease_duration_s,
    )
    hand_over(lease, retry)
    retry.fence = lease.epoch
    return lease
