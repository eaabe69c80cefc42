"""A slot for an interactive run that has none yet, without killing anything: lent slots are asked back.

Every slot is busy and an interactive run waits for its first lease. It would wait for the first lease to end, up to
`lease_work_s_max`, and for what is queued behind it. Instead one worker is asked for what it has not begun (TrimLease,
as in `tail`): the rest of one running lease, and all that is queued. Its slot is free when the tile it is at is done,
and whoever's turn it is then (`fairness`) gets it: the run that waited, or one with a better claim.

Asked are only leases that must **yield**: batch runs of the same tenant, and runs of tenants that have had more, by
weight, than the tenant of the run that waits. So nobody gets more than a fair share by many small interactive runs;
they come sooner to what is theirs. What is given back costs its tenant nothing.

One question at a time for each run, and only for its first lease: from then on turns are enough. Nothing is asked while
some lease ends within `GAIN_S_MIN` anyway.

Cost: nothing while no interactive run waits; else a look over `WORKERS_TRIED_MAX` workers, `look_interval_s` apart.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from xip_scheduler.core.actions import Action, TrimLease
from xip_scheduler.core.leases import Lease, Worker
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.state import SchedulerState
from xip_scheduler.core.words import Priority

GAIN_S_MIN = 0.1
"""What a person does not notice is not worth a question and a lease in two pieces."""

WORKERS_TRIED_MAX = 64
RUNS_TRIED_MAX = 8


class _Offer(NamedTuple):
    """
    Attributes:
        free_in_s, frees_in_s: when a slot of the worker is free if it is asked for *leases*, and if it is not.
        leases: with the bound each is asked to end at.
    """

    free_in_s: float
    frees_in_s: float
    leases: list[tuple[Lease, int]]


def reclaim(state: SchedulerState, now_s: float, actions: list[Action]) -> None:
    """Ask for a slot for each run that waits for its first lease; called after a grant round that left some waiting."""
    if now_s < state.reclaim_next_s or now_s < state.gathering_until_s:
        return
    state.reclaim_next_s = now_s + state.limits.look_interval_s
    for run in itertools.islice(state.queue.waiting.values(), RUNS_TRIED_MAX):
        asked = state.leases.get(run.reclaimed_epoch)
        if asked is not None and asked.asked_end is not None:
            continue
        workers = itertools.islice(state.workers.values(), WORKERS_TRIED_MAX)
        offers = [offer for worker in workers if (offer := _offer(worker, run)) is not None]
        if not offers:
            continue
        best = min(offers, key=lambda offer: offer.free_in_s)
        if min(offer.frees_in_s for offer in offers) - best.free_in_s < GAIN_S_MIN:
            continue
        for lease, end in best.leases:
            lease.asked_end = end
            run.reclaimed_epoch = lease.epoch
            state.counters.trims_asked += 1
            state.counters.leases_reclaimed += 1
            worker = lease.worker
            actions.append(TrimLease(worker.worker_id, worker.connection_id, lease.epoch, end))


def _offer(worker: Worker, run: LiveRun) -> _Offer | None:
    """What the worker could do for the run; None when it lacks a kernel or has work with a better claim queued."""
    if not worker.is_active or not worker.leases or not _can(worker, run):
        return None
    leases = list(worker.leases.values())
    running, queued = leases[: worker.slot_count], leases[worker.slot_count :]
    frees_in_s = min(_left_s(lease, lease.open_count) for lease in running)
    if queued:
        if not all(_yields(lease, run) for lease in queued):
            return None
        frees_in_s += min(_left_s(lease, lease.open_count) for lease in queued)
    asked = [(lease, lease.tile_begin) for lease in queued]
    free_in_s = min(_left_s(lease, lease.open_count) for lease in running)
    splittable = [lease for lease in running if lease.open_count > 1 and _yields(lease, run)]
    if splittable:
        lease = max(splittable, key=lambda lease: _left_s(lease, lease.open_count))
        if _left_s(lease, 1) < free_in_s:
            free_in_s = _left_s(lease, 1)
            asked.insert(0, (lease, lease.open_ranges()[0][0] + 1))
    return _Offer(free_in_s, frees_in_s, asked)


def _can(worker: Worker, run: LiveRun) -> bool:
    return any(node.pending.count and worker.can(node.kernels) for node in run.nodes)


def _yields(lease: Lease, run: LiveRun) -> bool:
    """May the lease be asked for the sake of *run*, and is it known how long it takes?"""
    if lease.retry is not None or lease.is_isolated or lease.asked_end is not None:
        return False
    if not (lease.pace.is_measured or lease.node.cost.is_measured):
        return False
    other = lease.run
    if other.share is run.share:
        return other.priority is Priority.BATCH
    return other.share.start > run.share.start


def _left_s(lease: Lease, tile_count: int) -> float:
    return tile_count * (lease.pace.tile_s if lease.pace.is_measured else lease.node.cost.tile_s)
