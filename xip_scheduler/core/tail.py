"""The end of the work: nobody waits for a slow worker, nobody waits long for a silent one.

Looked at after a grant round that leaves slots idle. Then nothing is ready, and what could keep the idle slots busy is
in leases of others.

**Trim.** The tail of a lease is asked back in two steps, because only its worker knows what it has begun::

    HELD ──TrimLease──> ASKED ──LeaseKept(tile_end)──> HELD, shorter; the tail is pending, fenced by the old epoch
      ^                   │
      └── worker attaches again (its Hello says what it holds, shortened or not)
    either ──returned, expired, detached, cancelled──> gone, whole; an answer that comes later is stale

Until the answer the lease is what it was: its results are recorded, its deadline runs. After it the tail is leased anew
under a new epoch, and a result of the old one for a tile of the tail is outside of its lease (S2); epochs of a tile
still only grow (S3). A worker only ever shortens a lease, so a repeated or late answer changes nothing, and an answer
that was lost is in the next Hello. A lease is asked only when its class has been measured, when the last question was
answered with all that was asked for, and when an idle slot would end the work `trim_gain_s_min` sooner; looks are
`look_interval_s` apart, so that a lease is asked no more often than that, and tiles do not go back and forth.

**Sparing.** A worker that would be at a single tile for longer than all the others need for the rest of the node gets
none while a faster one is at work or idle: see `leaves_to_faster`. Only when there is nothing else for it to do: while
others have work no slot falls idle, and whose turn it is would have to wait (L2).

**Duplicates.** Of a worker that has been silent for `duplicate_after_s` (two heartbeats are missing) the leases end
early when slots wait for them: fence first, then lease again. So a duplicate is computed twice at most, never leased
twice; a late result of the old epoch is refused like any other (S2, S3 need no new rule), and suspicion is as at any
silence (S16). Only within `duplicate_share_max` of the run's work, and not when more than a third of the workers are
silent: then it is the network or the scheduler's own machine, and more work is what helps least. A worker that beats
but is stalled in a tile is no matter of this module: its queue and its tail are trimmed, and the tile itself belongs to
whoever limits the time of tiles; to lease it again each time it takes long would never end it.

Cost: a look goes over the live leases once, 1 us each, so looks are further apart the more there are: 5 % of the
scheduler's time at most.
"""

from __future__ import annotations

import heapq
import itertools
from typing import NamedTuple

from xip_scheduler.core.actions import Action, TrimLease
from xip_scheduler.core.events import LeaseKept
from xip_scheduler.core.leases import Lease, Worker
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.state import IDLE, SchedulerState
from xip_scheduler.core.words import WorkerId
from xip_scheduler.core.workers import expire_worker

LOOK_S_PER_LEASE = 20e-6
"""Of the interval between looks: twenty times what a lease costs one."""

LEASES_TRIED_MAX = 8
"""Leases looked at for one idle slot, those with the most time left first; the rest differ by kernels only."""

TAKERS_TRIED_MAX = 16
"""Idle workers that find nothing worth asking for; the others would find no more, but for their kernels and speed."""

WORKERS_TRIED_MAX = 64
"""Workers asked whether one is faster; when none of so many is, the slow one is not so slow for this grid."""

FRESH_S = 5.0
"""A worker that has finished nothing for so long is not waited for: it may be at something endless."""


# ---- sparing


def leaves_to_faster(state: SchedulerState, worker: Worker, node: NodeState, now_s: float) -> bool:
    """
    Would one tile of *node* keep everybody waiting for *worker*?

    Never the only hope: some worker that has what it needs, twice as fast, is idle or has finished tiles lately. It
    comes back for more, falls silent and is no longer counted, or is idle and asked next.
    """
    cost = node.cost
    tile_s = worker.paces.tile_s(cost)
    rest_s = (node.pending.count + node.leased_count) * cost.tile_s / state.slot_count
    if tile_s <= rest_s + max(state.limits.lease_work_s_min, cost.tile_s):
        return False
    return any(
        other.is_active
        and (other.appetite is IDLE or now_s - other.reported_s < FRESH_S)
        and other.can(node.kernels)
        and 2.0 * other.paces.tile_s(cost) <= tile_s
        for other in itertools.islice(state.workers.values(), WORKERS_TRIED_MAX)
    )


# ---- the look


def look(state: SchedulerState, now_s: float, actions: list[Action]) -> bool:
    """Slots are idle and nothing is ready: take it back from those who have too much; True when some came at once."""
    state.look_due_s = None
    if not state.leases or now_s < state.gathering_until_s:
        return False
    if now_s < state.look_next_s:
        state.look_due_s = state.look_next_s
        return False
    state.look_next_s = now_s + max(state.limits.look_interval_s, len(state.leases) * LOOK_S_PER_LEASE)
    idle = list(state.hungry[IDLE].values())
    if _trim(state, idle, now_s, actions):
        return False
    is_more_pending = _end_silent_leases(state, now_s, actions)
    if state.leases:
        silent_s = min(lease.worker.heard_s for lease in state.leases.values()) + state.limits.duplicate_after_s
        state.look_due_s = silent_s if silent_s > now_s else None
    return is_more_pending


class _Offer(NamedTuple):
    """A lease that may be asked; a heap of them gives the one with the most time left first.

    Attributes:
        ends_in_s: when its worker is done with it.
        spare_count: tiles at its end that need not have been begun.
    """

    minus_ends_in_s: float
    epoch: int
    lease: Lease
    tile_s: float
    spare_count: int


def _trim(state: SchedulerState, idle: list[Worker], now_s: float, actions: list[Action]) -> bool:
    """Split what is left between those who hold it and the idle slots; False when there is nothing to gain."""
    offers = [offer for worker in state.workers.values() if worker.leases for offer in _offers(state, worker, now_s)]
    if not offers:
        return False
    heapq.heapify(offers)
    asked: dict[int, tuple[Lease, int]] = {}
    empty_handed_count = 0
    for taker in idle:
        for _ in range(taker.slot_count - len(taker.leases)):
            if not _take(state, taker, offers, asked):
                empty_handed_count += 1
                break
        if empty_handed_count >= TAKERS_TRIED_MAX:
            break
    for lease, tile_count in asked.values():
        lease.asked_end = _bound(lease, tile_count)
        state.counters.trims_asked += 1
        worker = lease.worker
        actions.append(TrimLease(worker.worker_id, worker.connection_id, lease.epoch, lease.asked_end))
    return bool(asked)


def _offers(state: SchedulerState, worker: Worker, now_s: float) -> list[_Offer]:
    """The leases of a worker that may be asked; queued ones wait for those before them."""
    offers: list[_Offer] = []
    if now_s - worker.heard_s >= state.limits.duplicate_after_s:
        return offers
    before_s = 0.0
    for position, lease in enumerate(worker.leases.values()):
        pace = lease.pace
        tile_s = pace.tile_s if pace.is_measured else worker.paces.tile_s(lease.node.cost)
        left_s = lease.open_count * tile_s
        is_running = position < worker.slot_count
        ends_in_s = left_s if is_running else before_s / worker.slot_count + left_s
        before_s += left_s
        spare_count = lease.open_count - is_running
        is_known = pace.is_measured or lease.node.cost.is_measured
        if spare_count and is_known and _may_be_asked(lease):
            offers.append(_Offer(-ends_in_s, lease.epoch, lease, tile_s, spare_count))
    return offers


def _may_be_asked(lease: Lease) -> bool:
    """A tile tried again goes alone as it is; and of a paused run nothing would be leased again."""
    return lease.asked_end is None and lease.retry is None and not (lease.is_isolated or lease.run.is_paused)


def _take(state: SchedulerState, taker: Worker, offers: list[_Offer], asked: dict[int, tuple[Lease, int]]) -> bool:
    """Give one idle slot a share of the offer with the most time left that it can evaluate."""
    passed_over: list[_Offer] = []
    is_taken = False
    while offers and not is_taken and len(passed_over) < LEASES_TRIED_MAX:
        offer = heapq.heappop(offers)
        lease, ends_in_s = offer.lease, -offer.minus_ends_in_s
        taker_tile_s = taker.paces.tile_s(lease.node.cost)
        tile_count = min(offer.spare_count, int(ends_in_s / (offer.tile_s + taker_tile_s)))
        rest_s = ends_in_s - tile_count * offer.tile_s
        is_taken = (
            tile_count > 0
            and ends_in_s - max(rest_s, tile_count * taker_tile_s) >= state.limits.trim_gain_s_min
            and taker.can(lease.node.kernels)
        )
        if is_taken:
            _, before = asked.get(offer.epoch, (lease, 0))
            asked[offer.epoch] = (lease, before + tile_count)
            offer = _Offer(-rest_s, offer.epoch, lease, offer.tile_s, offer.spare_count - tile_count)
        passed_over.append(offer)
    for offer in passed_over:
        heapq.heappush(offers, offer)
    return is_taken


def _bound(lease: Lease, tile_count: int) -> int:
    """Where the lease must end for its last *tile_count* open tiles to be beyond."""
    for begin, end in reversed(lease.open_ranges()):
        if end - begin >= tile_count:
            return end - tile_count
        tile_count -= end - begin
    return lease.tile_begin


# ---- the answer


def lease_kept(state: SchedulerState, event: LeaseKept, now_s: float, actions: list[Action]) -> None:
    lease = state.leases.get(event.epoch)
    if lease is None or lease.worker.worker_id != event.worker_id:
        state.refuse_stale(event.worker_id, now_s)
        return
    state.hear(lease.worker, now_s)
    if lease.asked_end is not None and event.tile_end <= lease.asked_end:
        lease.asked_end = None  # otherwise all that it keeps is begun, and there is nothing more to ask for
    state.shorten_lease(lease, event.tile_end, actions)
    state.settle(lease.worker)


# ---- duplicates


def _end_silent_leases(state: SchedulerState, now_s: float, actions: list[Action]) -> bool:
    """End the leases of silent workers before their deadline, within the budget of their runs; True when one ended."""
    limits = state.limits
    silent: dict[WorkerId, list[Lease]] = {}
    for lease in state.leases.values():
        if lease.worker.heard_s + limits.duplicate_after_s <= now_s:
            silent.setdefault(lease.worker.worker_id, []).append(lease)
    if not silent:
        return False
    silent_count = sum(worker.is_silent or worker.worker_id in silent for worker in state.workers.values())
    if 3 * silent_count > len(state.workers):
        return False
    ended_count = 0
    for leases in silent.values():
        affordable = [lease for lease in leases if _may_duplicate(state, lease)]
        if affordable:
            ended_count += len(affordable)
            expire_worker(state, affordable, True, actions)
    state.counters.leases_duplicated += ended_count
    return ended_count > 0


def _may_duplicate(state: SchedulerState, lease: Lease) -> bool:
    """Is the lease within its run's budget? Then it is charged."""
    run = lease.run
    work_s = lease.open_count * lease.node.cost.tile_s
    if run.duplicated_s + work_s > state.limits.duplicate_share_max * _work_s(run):
        return False
    run.duplicated_s += work_s
    return True


def _work_s(run: LiveRun) -> float:
    return sum(node.tile_count * node.cost.tile_s for node in run.nodes)
