"""Leases, the workers that hold them, and tiles that failed before.

A lease lives from its grant (or adoption) until every tile of it has been reported, or until it is lost: returned by
the worker, expired, detached with its worker, cancelled. A lost lease gives its unreported tiles back and its epoch is
dead for good, unless the worker comes back and the lease is adopted again.

A worker evaluates its leases in the order it got them, `slot_count` at a time; the rest are prefetched. So the suspects
of a death are the first unreported tiles of its first `slot_count` leases.

A tile that failed (the evaluation raised) or is a suspect (the worker died) waits as a **retry** and gets a lease of
its own; `poison` has the rules.
"""

from __future__ import annotations

import enum
import heapq
import math

from xip_scheduler.core.costs import Pace, Paces
from xip_scheduler.core.fleets import REQUIREMENTS_KEPT_MAX, KernelSet
from xip_scheduler.core.intervals import IntervalSet
from xip_scheduler.core.retries import Retry
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.words import ConnectionId, Epoch, WorkerId

LEASES_LOOKED_AT_MAX = 64
"""Of a worker, to tell when a slot of it runs dry: 3 us."""


class Lease:
    """Tiles [tile_begin, tile_end) of a node, at one worker.

    Attributes:
        open_count: tiles neither done nor failed; the lease closes when it reaches 0.
        work_s: estimated work when it was granted.
        failed: tiles of it that failed and so do not belong to it any more; None while there are none.
        retry: the failed tile this lease was made for alone, or None.
        is_isolated: the worker evaluates it in a child process.
        asked_end: where its worker was asked to end it (`tail`); None when it may be asked.
        pace: the worker's own estimate for these tiles.
    """

    __slots__ = (
        "asked_end",
        "deadline_s",
        "epoch",
        "failed",
        "is_isolated",
        "node",
        "open_count",
        "pace",
        "retry",
        "run",
        "tile_begin",
        "tile_end",
        "work_s",
        "worker",
    )

    def __init__(
        self,
        epoch: Epoch,
        worker: Worker,
        run: LiveRun,
        node: NodeState,
        tile_begin: int,
        tile_end: int,
        work_s: float,
        deadline_s: float,
        pace: Pace | None = None,
    ) -> None:
        self.epoch = epoch
        self.worker = worker
        self.run = run
        self.node = node
        self.tile_begin = tile_begin
        self.tile_end = tile_end
        self.open_count = tile_end - tile_begin
        self.work_s = work_s
        self.deadline_s = deadline_s
        self.failed: IntervalSet | None = None
        self.retry: Retry | None = None
        self.is_isolated = False
        self.asked_end: int | None = None
        self.pace = pace or worker.paces[node.cost]

    def open_ranges(self) -> list[tuple[int, int]]:
        """Tiles that belong to the lease and are not decided, ascending."""
        ranges = self.node.done.gaps(self.tile_begin, self.tile_end)
        if self.failed is None:
            return ranges
        return [part for begin, end in ranges for part in self.failed.gaps(begin, end)]

    def is_open(self, begin: int, end: int) -> bool:
        """Is none of [begin, end), a part of the lease, a tile that it has let go?"""
        return self.failed is None or not self.failed.count_in(begin, end)

    def let_go(self, tile: int) -> None:
        """The tile, an open one, does not belong to the lease any more."""
        if self.failed is None:
            self.failed = IntervalSet()
        self.failed.add_new(tile, tile + 1)
        self.open_count -= 1


class Appetite(enum.IntEnum):
    """What a worker can take, the most urgent last."""

    NONE = 0
    DEEP = 1
    """Tiny leases only: one per slot is queued already, but all of them are little work."""
    QUEUE = 2
    """A lease to queue behind those that run."""
    IDLE = 3
    """A lease for a slot that stands idle."""


class Worker:
    """A worker with an open stream.

    Attributes:
        leases: in the order granted, which is the order of evaluation.
        queued_s: estimated work of all of them.
        ahead_s: such work a slot may have before more is queued, where that is more than `Limits.prefetch_behind_s`;
            by what was left of the run it was served last, 0 where slots may rather run dry than have much queued.
        is_silent: a lease of it expired and nothing was heard since; it gets nothing until it speaks.
        attached_s, heard_s, reported_s: scheduler clock; *reported_s* of the last tiles it finished.
        paces: how fast it is at which work.
        kernels: (name, version) of what it announced.
        drain_reason: why the scheduler wants no more of it, "" when it does.
    """

    __slots__ = (
        "_can",
        "ahead_s",
        "appetite",
        "attached_s",
        "connection_id",
        "drain_reason",
        "heard_s",
        "is_draining",
        "is_silent",
        "kernels",
        "leases",
        "memory_bytes",
        "paces",
        "queued_s",
        "reported_s",
        "slot_count",
        "tiles_done",
        "worker_id",
    )

    def __init__(self, worker_id: WorkerId, now_s: float) -> None:
        self.worker_id = worker_id
        self.connection_id = ConnectionId(0)
        self.slot_count = 0
        self.leases: dict[Epoch, Lease] = {}
        self.queued_s = 0.0
        self.ahead_s = 0.0
        self.appetite = Appetite.NONE
        self.is_draining = False
        self.drain_reason = ""
        self.is_silent = False
        self.attached_s = now_s
        self.heard_s = now_s
        self.reported_s = now_s
        self.paces = Paces()
        self.tiles_done = 0
        self.memory_bytes = 0
        self.kernels: KernelSet = frozenset()
        self._can: dict[KernelSet, bool] = {}

    @property
    def is_active(self) -> bool:
        return not (self.is_draining or self.is_silent)

    def announce(self, kernels: KernelSet) -> None:
        self.kernels = kernels
        self._can = {}

    def can(self, needed: KernelSet) -> bool:
        """Did it announce all of *needed*? Asked at every grant."""
        can = self._can.get(needed)
        if can is None:
            if len(self._can) >= REQUIREMENTS_KEPT_MAX:
                self._can.clear()
            can = self._can[needed] = needed <= self.kernels
        return can

    def dry_in_s(self) -> float:
        """
        Seconds until its first slot has no lease left, by the work that is left of them. Infinite with one slot, of
        which `queued_s` says as much, and with more leases than LEASES_LOOKED_AT_MAX.
        """
        slot_count, lease_count = self.slot_count, len(self.leases)
        if slot_count == 1 or lease_count > LEASES_LOOKED_AT_MAX:
            return math.inf
        works_s = [lease.work_s for lease in self.leases.values()]
        if lease_count == slot_count:
            return min(works_s)
        ends_s = works_s[:slot_count]
        heapq.heapify(ends_s)
        for work_s in works_s[slot_count:]:
            heapq.heapreplace(ends_s, ends_s[0] + work_s)
        return ends_s[0]

    def running(self) -> list[Lease]:
        """The leases its slots are at, in order."""
        return [lease for lease, _ in zip(self.leases.values(), range(self.slot_count), strict=False)]
