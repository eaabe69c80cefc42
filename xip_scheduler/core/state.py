"""Everything the scheduler knows, and the moves every handler is made of.

Handlers (`results`, `workers`, `granting`, `submitting`) are functions of (state, event, now_s, actions): they change
the state by the moves below and append orders. No handler calls another module's private parts, nothing here looks at
events.

Orders that matter:

* `leases` is ordered by deadline: all last equally long and a renewed one goes to the end. So the next deadline is the
  first one's, and expiry looks at the expired ones only.
* `hungry` holds the workers that want work, by appetite, in the order they came to want it, and each grant sends the
  worker to the end: a grant round touches as many workers as it makes grants.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from xip_scheduler.core.actions import Action, ReserveEpochs, RunChanged
from xip_scheduler.core.breakers import Breakers
from xip_scheduler.core.costs import CostModel
from xip_scheduler.core.fairness import RunQueue
from xip_scheduler.core.fleets import Fleets
from xip_scheduler.core.leases import Appetite, Lease, Worker
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.retries import Retry
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.views import RunView
from xip_scheduler.core.words import Epoch, RunId, WorkerId

NONE, DEEP, QUEUE, IDLE = Appetite  # looking a member up in its enum takes ten times as long


Pool = OrderedDict[WorkerId, Worker]


class Counters(msgspec.Struct):
    """What happened since the start, for metrics and `explain`; only ever counts up.

    `refused_*` are results that came too late or twice: normal in a grid, told apart to see when they are not.
    """

    leases_granted: int = 0
    leases_adopted: int = 0
    leases_isolated: int = 0
    leases_returned: int = 0
    leases_expired: int = 0
    leases_lost: int = 0
    leases_stalled: int = 0
    leases_trimmed: int = 0
    leases_duplicated: int = 0
    trims_asked: int = 0
    leases_reclaimed: int = 0
    tiles_recorded: int = 0
    tiles_failed_once: int = 0
    tiles_given_up: int = 0
    suspects: int = 0
    kernels_guarded: int = 0
    kernels_stopped: int = 0
    workers_drained: int = 0
    refused_stale: int = 0
    refused_outside: int = 0
    refused_duplicate: int = 0
    runs_submitted: int = 0
    runs_finished: int = 0


class SchedulerState:
    """
    Attributes:
        runs: not final, in order of submission.
        finished: last views of final runs, oldest first, at most `limits.finished_runs_max`.
        epoch_next, epoch_end: the next epoch to be granted, and the end of those reserved in the store.
        epoch_floor: leases of older epochs are of a past that the store has forgotten; never adopted.
        hungry: workers by appetite; that of NONE stays empty.
        is_uneven: in this grant round a worker was passed over because it is slow.
        look_next_s, look_due_s: before the one `tail` does not look again; at the other it must, None for never.
        reclaim_next_s: before that `reclaim` does not look again.
        gathering_until_s: until then nothing is granted (`Limits.gathering_s`).
        slot_count: slots of active workers; active_count: such workers; fleets: such workers by what they announced.
    """

    __slots__ = (
        "active_count",
        "breakers",
        "costs",
        "counters",
        "epoch_end",
        "epoch_floor",
        "epoch_next",
        "finished",
        "fleets",
        "gathering_until_s",
        "hungry",
        "is_uneven",
        "leases",
        "limits",
        "look_due_s",
        "look_next_s",
        "queue",
        "reclaim_next_s",
        "runs",
        "slot_count",
        "term",
        "workers",
    )

    def __init__(self, limits: Limits, epoch_next: int, term: int) -> None:
        self.limits = limits
        self.term = term
        self.runs: dict[RunId, LiveRun] = {}
        self.finished: dict[RunId, RunView] = {}
        self.workers: dict[WorkerId, Worker] = {}
        self.leases: OrderedDict[Epoch, Lease] = OrderedDict()
        self.hungry: tuple[Pool, Pool, Pool, Pool] = (OrderedDict(), OrderedDict(), OrderedDict(), OrderedDict())
        self.queue = RunQueue(limits.tenant_weights, limits.charge_s_min)
        self.fleets = Fleets()
        self.costs = CostModel()
        self.breakers = Breakers()
        self.counters = Counters()
        self.epoch_next = epoch_next
        self.epoch_end = epoch_next
        self.is_uneven = False
        self.look_next_s = 0.0
        self.reclaim_next_s = 0.0
        self.look_due_s: float | None = None
        self.epoch_floor = 0
        self.gathering_until_s = 0.0
        self.slot_count = 0
        self.active_count = 0

    # --- epochs and leases

    def new_epoch(self, actions: list[Action]) -> Epoch:
        epoch = self.epoch_next
        if epoch >= self.epoch_end:
            self.epoch_end = epoch + self.limits.epoch_block
            actions.append(ReserveEpochs(Epoch(self.epoch_end)))
        self.epoch_next = epoch + 1
        return Epoch(epoch)

    def open_lease(self, lease: Lease) -> None:
        """The lease's tiles have been taken from where they were; the caller settles the worker."""
        self.leases[lease.epoch] = lease
        worker = lease.worker
        worker.leases[lease.epoch] = lease
        worker.queued_s += lease.work_s
        lease.node.leased_count += lease.open_count

    def close_lease(self, lease: Lease) -> None:
        """Forget the lease; its open tiles have been dealt with. The caller settles the worker."""
        del self.leases[lease.epoch]
        worker = lease.worker
        del worker.leases[lease.epoch]
        worker.queued_s = worker.queued_s - lease.work_s if worker.leases else 0.0

    def lose_lease(self, lease: Lease, actions: list[Action]) -> None:
        """Close the lease and return its open tiles. The caller settles the worker."""
        run, node = lease.run, lease.node
        ranges = lease.open_ranges()
        node.leased_count -= lease.open_count
        self.close_lease(lease)
        if not ranges:
            return
        if lease.retry is not None:
            self.keep_retry(lease.retry)
        else:
            for begin, end in ranges:
                node.pending.put_back(begin, end, lease.epoch)
            self.queue.enter(run)
        actions.append(RunChanged(run.run_id))

    def shorten_lease(self, lease: Lease, tile_end: int, actions: list[Action]) -> None:
        """The worker holds no tile from *tile_end* on: those are pending again, and their tenant has them back.

        The caller settles the worker.
        """
        if tile_end >= lease.tile_end:
            return
        if tile_end <= lease.tile_begin:
            self.counters.leases_trimmed += 1
            lease.run.share.unsettled_s -= lease.work_s
            self.lose_lease(lease, actions)
            return
        tail = [(max(begin, tile_end), end) for begin, end in lease.open_ranges() if end > tile_end]
        lease.tile_end = tile_end
        tail_count = sum(end - begin for begin, end in tail)
        if not tail_count:
            return
        self.counters.leases_trimmed += 1
        work_s = lease.work_s * tail_count / lease.open_count
        lease.work_s -= work_s
        lease.worker.queued_s -= work_s
        lease.run.share.unsettled_s -= work_s
        lease.open_count -= tail_count
        lease.node.leased_count -= tail_count
        for begin, end in tail:
            lease.node.pending.put_back(begin, end, lease.epoch)
        if lease.open_count == 0:
            self.close_lease(lease)
        self.queue.enter(lease.run)
        actions.append(RunChanged(lease.run.run_id))

    def renew(self, lease: Lease, now_s: float) -> None:
        lease.deadline_s = now_s + self.limits.lease_duration_s
        self.leases.move_to_end(lease.epoch)

    # --- retries

    def keep_retry(self, retry: Retry) -> None:
        """The tile waits for another worker."""
        run = retry.run
        run.retries[retry.node.node_id, retry.tile] = retry
        self.queue.retry_count += run.is_queued
        self.queue.enter(run)

    def find_retries(self, run: LiveRun, node: NodeState, begin: int, end: int) -> list[Retry]:
        """Retries waiting among tiles [begin, end) of a node, by tile."""
        found = [retry for retry in run.retries.values() if retry.node is node and begin <= retry.tile < end]
        return sorted(found, key=lambda retry: retry.tile)

    def take_retry(self, retry: Retry) -> None:
        del retry.run.retries[retry.node.node_id, retry.tile]
        self.queue.retry_count -= retry.run.is_queued

    # --- workers

    def settle(self, worker: Worker) -> None:
        """Put the worker where it belongs among those that want work; to be called after every change to it."""
        appetite = self.appetite(worker)
        before = worker.appetite
        if appetite is before:
            return
        worker.appetite = appetite
        if before is not NONE:
            del self.hungry[before][worker.worker_id]
        if appetite is not NONE:
            self.hungry[appetite][worker.worker_id] = worker

    def appetite(self, worker: Worker) -> Appetite:
        """What the worker could take now; whether there is anything for it is for `granting` to say."""
        if worker.is_draining or worker.is_silent:
            return NONE
        lease_count, slot_count = len(worker.leases), worker.slot_count
        if lease_count < slot_count:
            return IDLE
        limits = self.limits
        ahead_s = max(limits.prefetch_behind_s, worker.ahead_s)
        if worker.queued_s >= slot_count * ahead_s and (not worker.ahead_s or worker.dry_in_s() >= ahead_s):
            return NONE
        if lease_count < 2 * slot_count:
            return QUEUE
        return DEEP if lease_count < slot_count * limits.leases_per_slot_max else NONE

    def hear(self, worker: Worker, now_s: float) -> None:
        """The worker said something, whatever it was: one that was silent may have work again."""
        worker.heard_s = now_s
        if worker.is_silent:
            worker.is_silent = False
            if worker.is_active:
                self.activate(worker)
            self.settle(worker)

    def refuse_stale(self, sender: WorkerId, now_s: float) -> None:
        """Something came for a lease that is not the sender's, or not any more; the sender lives all the same."""
        self.counters.refused_stale += 1
        worker = self.workers.get(sender)
        if worker is not None:
            self.hear(worker, now_s)

    def activate(self, worker: Worker) -> None:
        self.active_count += 1
        self.fleets.enter(worker.kernels)
        self.slot_count += worker.slot_count

    def deactivate(self, worker: Worker) -> None:
        self.active_count -= 1
        self.fleets.leave(worker.kernels)
        self.slot_count -= worker.slot_count

    # --- runs

    def finish(self, run: LiveRun, view: RunView) -> None:
        """Forget a final run but for its last view; it has no lease left."""
        self.queue.end(run)
        del self.runs[run.run_id]
        self.finished[run.run_id] = view
        while len(self.finished) > self.limits.finished_runs_max:
            del self.finished[next(iter(self.finished))]
        self.counters.runs_finished += 1
