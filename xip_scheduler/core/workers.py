"""Workers come, speak, fall silent and go; leases follow them.

A lease is soft state and belongs to a connection only as long as the worker vouches for it:

* A worker that attaches says what it holds. What is still its own is kept, as short as it says (its answer to a trim
  may have been lost); what can be its own again is **adopted** under its old epoch, the rest is revoked. Adoption
  needs: the run lives, no tile of it is in another lease or was granted under a newer epoch since, the inputs are done,
  the epoch is below the high-water mark (and not below the floor a restored backup sets), and the worker has announced
  the kernels. After a restart of the scheduler nothing is leased, so whoever presents a lease first gets it, and
  nothing is granted for `gathering_s`, so that what is held is not computed twice; recording stays once only in any
  case, because tiles do.
* A stream that ends returns the leases at once, a worker that is silent for `lease_duration_s` at the deadline. The
  tiles it was at are suspects (`leases`). A worker that comes back with them is acquitted.
* The detach of a connection that is not the worker's current one is old news.
"""

from __future__ import annotations

from xip_scheduler.core.actions import Action, RevokeLease
from xip_scheduler.core.breakers import drain
from xip_scheduler.core.events import (
    HeartbeatReceived,
    HeldLease,
    LeaseReturned,
    LeasesSent,
    WorkerAttached,
    WorkerDetached,
)
from xip_scheduler.core.fleets import kernel_set
from xip_scheduler.core.leases import Lease, Worker
from xip_scheduler.core.poison import acquit, blame, hand_over, take_back_stalled
from xip_scheduler.core.retries import Retry
from xip_scheduler.core.state import SchedulerState
from xip_scheduler.core.words import WorkerId


def attached(state: SchedulerState, event: WorkerAttached, now_s: float, actions: list[Action]) -> None:
    assert event.slot_count >= 1, event
    announced = kernel_set(event.kernels)
    worker = state.workers.get(event.worker_id)
    if worker is None:
        worker = state.workers[event.worker_id] = Worker(event.worker_id, now_s)
    else:
        if worker.is_active:
            state.deactivate(worker)
        held_leases = {held.epoch: held for held in event.held}
        for lease in list(worker.leases.values()):
            held_lease = held_leases.get(lease.epoch)
            if held_lease is None or not _is_same(lease, held_lease) or not lease.node.kernels <= announced:
                state.lose_lease(lease, actions)
    worker.connection_id = event.connection_id
    worker.slot_count = event.slot_count
    worker.announce(announced)
    worker.heard_s = now_s
    worker.is_draining = worker.is_silent = False
    state.activate(worker)
    for held in event.held:
        known = state.leases.get(held.epoch)
        if known is not None and known.worker is worker and _is_same(known, held):
            known.asked_end = None
            state.renew(known, now_s)
            state.shorten_lease(known, held.tile_end, actions)
        elif not _adopt(state, worker, held, now_s, actions):
            actions.append(RevokeLease(worker.worker_id, worker.connection_id, held.epoch))
    state.settle(worker)
    reason = state.breakers.drained.get(worker.worker_id)
    if reason is not None:
        drain(state, worker, reason, "before it attached again", actions)


def _is_same(lease: Lease, held: HeldLease) -> bool:
    """Is it the lease, whole or trimmed?"""
    if not lease.tile_begin == held.tile_begin < held.tile_end <= lease.tile_end:
        return False
    return (lease.run.run_id, lease.node.node_id) == (held.run_id, held.node_id)


def _adopt(
    state: SchedulerState, worker: Worker, held: HeldLease, now_s: float, actions: list[Action]
) -> bool:
    """Take the open tiles of a lease that was lost, if nobody else has had them since."""
    run = state.runs.get(held.run_id)
    if run is None or held.epoch in state.leases or not 0 < held.epoch < state.epoch_next:
        return False
    if held.epoch < state.epoch_floor:
        return False
    if not 0 <= held.node_id < len(run.nodes):
        return False
    node = run.nodes[held.node_id]
    if not worker.can(node.kernels):
        return False
    if not 0 <= held.tile_begin < held.tile_end <= node.tile_count:
        return False
    if node.needs and node.ready_until(held.tile_begin, held.tile_end) < held.tile_end:
        return False
    retries = state.find_retries(run, node, held.tile_begin, held.tile_end)
    own = [retry for retry in retries if _is_own(retry, held, worker)]
    lease = Lease(held.epoch, worker, run, node, held.tile_begin, held.tile_end, 0.0, 0.0)
    for retry in retries:
        lease.let_go(retry.tile)
    ranges = lease.open_ranges()
    if not ranges and not own:
        return False
    if not all(node.pending.may_take(begin, end, held.epoch) for begin, end in ranges):
        return False
    for begin, end in ranges:
        node.pending.take(begin, end)
    lease.failed = None
    for retry in retries:
        if retry not in own:
            lease.let_go(retry.tile)
        elif retry.suspected_under == held.epoch:
            acquit(state, lease, retry, actions)
        else:
            state.take_retry(retry)
            hand_over(lease, retry)
    lease.open_count = sum(end - begin for begin, end in lease.open_ranges())
    lease.work_s = lease.open_count * node.cost.tile_s
    state.open_lease(lease)
    state.renew(lease, now_s)
    run.epoch_last = max(run.epoch_last, held.epoch)
    if node.times.begin_s is None:
        node.times.begin_s = now_s
    state.counters.leases_adopted += 1
    return True


def _is_own(retry: Retry, held: HeldLease, worker: Worker) -> bool:
    """Does a tile that waits belong to the lease still? It does when the worker was thought to have died of it, or when
    it was leased for this tile alone and nobody has had it since (a restart of the scheduler)."""
    if retry.suspected_under == held.epoch:
        return True
    is_alone = held.tile_end - held.tile_begin == 1
    return is_alone and held.epoch >= retry.fence and worker.worker_id not in retry.tried


def detached(state: SchedulerState, event: WorkerDetached, actions: list[Action]) -> None:
    worker = state.workers.get(event.worker_id)
    if worker is None or worker.connection_id != event.connection_id:
        return
    message = f"worker {worker.worker_id} left while it evaluated the tile"
    leases = list(worker.leases.values())
    if worker.is_active:
        state.deactivate(worker)
    worker.is_draining = True
    _lose(state, worker, leases, not event.is_orderly, message, actions)
    state.counters.leases_lost += len(leases)
    state.settle(worker)
    del state.workers[worker.worker_id]
    state.breakers.marks.pop(worker.worker_id, None)


def _lose(
    state: SchedulerState, worker: Worker, leases: list[Lease], is_suspicious: bool, message: str, actions: list[Action]
) -> None:
    """Return leases of a worker that died or fell silent, or that left."""
    if is_suspicious:
        blame(state, worker, leases, message, actions)
    for lease in leases:
        state.lose_lease(lease, actions)


def draining(state: SchedulerState, worker_id: WorkerId) -> None:
    worker = state.workers.get(worker_id)
    if worker is None or worker.is_draining:
        return
    if worker.is_active:
        state.deactivate(worker)
    worker.is_draining = True
    state.settle(worker)


def heartbeat(state: SchedulerState, event: HeartbeatReceived, now_s: float, actions: list[Action]) -> None:
    worker = state.workers.get(event.worker_id)
    if worker is None:
        return
    state.hear(worker, now_s)
    worker.memory_bytes = event.memory_bytes
    for epoch, _ in event.progress:
        lease = worker.leases.get(epoch)
        if lease is not None:
            state.renew(lease, now_s)
        else:
            actions.append(RevokeLease(worker.worker_id, worker.connection_id, epoch))
    if event.stalled:
        take_back_stalled(state, worker, event.stalled, actions)


def leases_sent(state: SchedulerState, event: LeasesSent, now_s: float) -> None:
    for epoch in event.epochs:
        lease = state.leases.get(epoch)
        if lease is not None:
            state.renew(lease, now_s)


def lease_returned(state: SchedulerState, event: LeaseReturned, now_s: float, actions: list[Action]) -> None:
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.refuse_stale(event.worker_id, now_s)
        return
    state.hear(lease.worker, now_s)
    state.counters.leases_returned += 1
    state.lose_lease(lease, actions)
    state.settle(lease.worker)


def expire(state: SchedulerState, now_s: float, actions: list[Action]) -> None:
    """Return every lease whose deadline has passed; a holder not heard of either gets nothing until it speaks.

    A holder may have been heard just after the grant, by a heartbeat that crossed it and did not name the lease: so it
    counts as silent when two heartbeats are missing, not only after a whole lease.
    """
    expired: dict[WorkerId, list[Lease]] = {}
    for lease in state.leases.values():
        if lease.deadline_s > now_s:
            break
        expired.setdefault(lease.worker.worker_id, []).append(lease)
    for leases in expired.values():
        is_silent = leases[0].worker.heard_s + state.limits.duplicate_after_s <= now_s
        expire_worker(state, leases, is_silent, actions)


def expire_worker(state: SchedulerState, leases: list[Lease], is_silent: bool, actions: list[Action]) -> None:
    """End leases of one worker; a silent one gets nothing until it speaks, and the tiles it was at are suspects."""
    leases = [lease for lease in leases if lease.epoch in state.leases]  # a breaker may have taken some back just now
    if not leases:
        return
    worker = leases[0].worker
    if is_silent and worker.is_active:
        state.deactivate(worker)
    worker.is_silent = worker.is_silent or is_silent
    message = f"worker {worker.worker_id} fell silent while it evaluated the tile"
    for lease in leases:
        actions.append(RevokeLease(worker.worker_id, worker.connection_id, lease.epoch))
    _lose(state, worker, leases, is_silent, message, actions)
    state.counters.leases_expired += len(leases)
    state.settle(worker)
