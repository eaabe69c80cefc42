"""Whose turn it is: the one place that chooses between runs.

Between tenants: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996; Waldspurger's stride scheduling is the
same arithmetic). Virtual time is slot-seconds per unit of weight. Every tenant with something to grant has a **start
tag**; the smallest is served, and its tag grows by the lease's work over the tenant's weight. Virtual time is the tag
served last. What a tile took beyond its estimate is added to the tenant's next charge, so shares are of slot-seconds
consumed, not of those guessed.

* **Lent**: a tenant without ready work has no tag, so its slots go to the others at once.
* **Reclaimed** by carving, never by killing: a tenant that comes back begins at the virtual time of now, before all who
  are ahead of it, and gets the next slots that fall free. Leases are at most 2 s of work, and are queued behind a
  running one only when that has less than 60 ms left; an interactive run need not even wait for those (`reclaim`).
* **No hoard**: nobody begins or goes on below virtual time. What a tenant did not use while it was away, or while no
  worker had its kernels, is gone. What it was charged for and gave back is settled with its next charges.

Bound (L2). A charge is at least `charge_s_min`; let C be the largest. Between two grants to a tenant t that always has
something ready, any other tenant i gets at most C/charge_s_min * w_i/w_t + 1 grants: its tag passes t's after so many.
So t gets one within k * sum(w)/w_t + n grants, with k = C/charge_s_min and n the tenants; and the first lease of a
tenant that comes waits for one grant per tenant at most, whoever floods: its tag is virtual time, and the others' are
no smaller. Who was charged ahead of the others and comes back while they still wait lets them have as much first; once
nobody has had to wait, nobody owes anything. Grants to workers that lack the kernels of t do not count.

Inside a tenant: interactive before batch, then the nearest deadline (none is the farthest), then turns, a lease each,
in order of submission. First in, first out would end the earlier run sooner, but a desk's small run would wait behind
somebody's 10 million tiles; with turns it waits for one lease per other run. Batch may starve behind interactive runs
of its own tenant: that is what the tenant asked for.

Shares are soft state: after a restart all tenants begin at equal tags.

Only runs that may have something to grant are in the queue: a run leaves when it has nothing ready or is paused, and
comes back when one of its tiles is recorded or returned. Cost of a grant: one search and one move in a sorted list of
the tenants with something ready (0.3 us at 1,000 of them), however many runs wait.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from xip_scheduler.core.words import Priority, RunId

if TYPE_CHECKING:
    from xip_scheduler.core.run_state import LiveRun

Rank = tuple[bool, float]
"""(is batch, deadline on the scheduler's clock): the smaller goes first."""

SHARES_KEPT_MAX = 4_096
"""Tenants whose tags are remembered while they have no run; a forgotten one begins at virtual time like a new one."""

WEIGHT_DEFAULT = 1.0


def rank_of(run: LiveRun) -> Rank:
    return run.priority is Priority.BATCH, run.deadline_s


class Share:
    """What a tenant gets.

    Attributes:
        start: its tag; valid while it has something ready, a lower bound for the next one otherwise.
        unsettled_s: slot-seconds that reported tiles took beyond (below 0: short of) what was charged for them.
        charged_s: slot-seconds charged since the start, for metrics.
        live_count: runs of the tenant that are not final.
    """

    __slots__ = (
        "_keys",
        "_ranks",
        "charged_s",
        "is_placed",
        "live_count",
        "sequence",
        "start",
        "tenant",
        "unsettled_s",
        "weight",
    )

    def __init__(self, tenant: str, weight: float) -> None:
        self.tenant = tenant
        self.weight = weight
        self.start = 0.0
        self.unsettled_s = 0.0
        self.charged_s = 0.0
        self.live_count = 0
        self.is_placed = False  # in `RunQueue._order`, by start and sequence
        self.sequence = 0
        self._ranks: dict[Rank, OrderedDict[RunId, LiveRun]] = {}
        self._keys: list[Rank] = []

    def __bool__(self) -> bool:
        return bool(self._keys)

    def enter(self, run: LiveRun) -> None:
        rank = rank_of(run)
        turns = self._ranks.get(rank)
        if turns is None:
            turns = self._ranks[rank] = OrderedDict()
            insort(self._keys, rank)
        turns[run.run_id] = run
        run.turns = turns

    def leave(self, run: LiveRun) -> None:
        rank = rank_of(run)
        turns = self._ranks[rank]
        del turns[run.run_id]
        if not turns:
            del self._ranks[rank]
            del self._keys[bisect_left(self._keys, rank)]

    def first(self) -> LiveRun:
        return next(iter(self._ranks[self._keys[0]].values()))

    def in_order(self) -> list[LiveRun]:
        """Its runs in the queue, the next to be served first."""
        return [run for key in self._keys for run in self._ranks[key].values()]


class RunQueue:
    """
    Attributes:
        runs: those that may have something to grant; for others to read only.
        waiting: the interactive ones of these that never had a lease.
        shares: of tenants with live runs, and of some that had.
        retry_count: tiles of the queued runs that wait for another worker.
    """

    __slots__ = (
        "_charge_s_min",
        "_latest",
        "_order",
        "_sequence",
        "_virtual",
        "_weights",
        "retry_count",
        "runs",
        "shares",
        "waiting",
    )

    def __init__(self, weights: Mapping[str, float] | None = None, charge_s_min: float = 0.005) -> None:
        self.runs: dict[RunId, LiveRun] = {}
        self.waiting: dict[RunId, LiveRun] = {}
        self.shares: dict[str, Share] = {}
        self.retry_count = 0
        self._weights = weights or {}
        self._charge_s_min = charge_s_min
        self._order: list[tuple[float, int, Share]] = []  # by start tag; equal ones in the order they got it
        self._sequence = 0
        self._virtual = 0.0
        self._latest = 0.0  # the largest tag of all

    # --- runs of tenants

    def begin(self, run: LiveRun) -> None:
        """The run is live from now on and belongs to its tenant's share."""
        share = self.shares.get(run.tenant)
        if share is None:
            if len(self.shares) >= SHARES_KEPT_MAX:
                self._forget_one()
            share = self.shares[run.tenant] = Share(run.tenant, self._weights.get(run.tenant, WEIGHT_DEFAULT))
        share.live_count += 1
        run.share = share

    def end(self, run: LiveRun) -> None:
        """The run is final."""
        self.leave(run)
        run.share.live_count -= 1

    def _forget_one(self) -> None:
        for share in self.shares.values():
            if not share.live_count:
                del self.shares[share.tenant]
                return

    def enter(self, run: LiveRun) -> None:
        """The run may have something to grant; without effect when it is queued already or paused."""
        if run.is_queued or run.is_paused:
            return
        run.is_queued = True
        self.retry_count += len(run.retries)
        self.runs[run.run_id] = run
        if run.first_lease_s is None and run.priority is Priority.INTERACTIVE:
            self.waiting[run.run_id] = run
        share = run.share
        share.enter(run)
        if not share.is_placed:
            if not self._order:
                self._virtual = self._latest
            if share.start <= self._virtual:  # what it was overcharged before it went away has not kept it waiting
                share.unsettled_s = max(share.unsettled_s, 0.0)
            share.start = max(share.start, self._virtual)
            self._place(share)

    def leave(self, run: LiveRun) -> None:
        if not run.is_queued:
            return
        run.is_queued = False
        self.retry_count -= len(run.retries)
        del self.runs[run.run_id]
        self.waiting.pop(run.run_id, None)
        share = run.share
        share.leave(run)
        if not share:
            self._displace(share)

    # --- turns

    def candidates(self) -> Iterable[LiveRun]:
        """The runs to be asked, in this order, for something to grant; `served` is told which one had it."""
        if len(self.runs) > 1:
            return self._in_order()
        return tuple(self.runs.values())

    def _in_order(self) -> Iterator[LiveRun]:
        first = self._order[0][2].first()
        yield first  # nearly always the only one asked: spare it the copies below
        for _, _, share in list(self._order):
            for run in share.in_order():
                if run is not first:
                    yield run

    def served(self, run: LiveRun, work_s: float) -> None:
        """The run, queued or not, was granted a lease of so many estimated slot-seconds."""
        share = run.share
        charge_s = work_s + share.unsettled_s
        if charge_s < self._charge_s_min:
            share.unsettled_s = charge_s - self._charge_s_min
            charge_s = self._charge_s_min
        else:
            share.unsettled_s = 0.0
        if self.waiting:
            self.waiting.pop(run.run_id, None)
        share.charged_s += charge_s
        start, virtual = share.start, self._virtual
        if start > virtual:
            virtual = start
        start = virtual + charge_s / share.weight
        if start > self._latest:
            self._latest = start
        if not share.is_placed:
            share.start = start
            return
        self._virtual = virtual
        if len(self._order) > 1:
            self._displace(share)
            share.start = start
            self._place(share)
        else:
            share.start = start
        if run.is_queued and len(run.turns) > 1:  # it has had its turn: behind those of equal rank
            run.turns.move_to_end(run.run_id)

    def _place(self, share: Share) -> None:
        order = self._order
        if len(order) == 1:  # while it was alone nobody kept its tag here up to date
            alone = order[0][2]
            order[0] = (alone.start, alone.sequence, alone)
        self._sequence += 1
        share.sequence = self._sequence
        share.is_placed = True
        insort(order, (share.start, share.sequence, share))

    def _displace(self, share: Share) -> None:
        order = self._order
        share.is_placed = False
        del order[0 if len(order) == 1 else bisect_left(order, (share.start, share.sequence))]

    def check(self) -> None:
        """Assert that the order holds the tenants with queued runs, by tag, and nobody else."""
        ready = [share for share in self.shares.values() if share]
        assert [share for _, _, share in self._order] == sorted(ready, key=lambda share: (share.start, share.sequence))
        if len(self._order) > 1:
            assert all((start, sequence) == (share.start, share.sequence) for start, sequence, share in self._order)
        assert all(share.is_placed is bool(share) for share in self.shares.values())
        assert {run.run_id for share in ready for run in share.in_order()} == self.runs.keys()
        assert self.waiting.keys() <= self.runs.keys(), "runs that are not queued wait for their first lease"
        assert self.retry_count == sum(len(run.retries) for run in self.runs.values())
        for run in self.runs.values():
            assert run.is_queued, run.run_id
            assert not run.is_paused, run.run_id
            assert self.shares[run.tenant] is run.share, (run.run_id, "share of a tenant that was forgotten")
