"""How long finished tiles may wait before they are sent, so that many share a message.

A message costs a worker 0.15 ms of CPU and a scheduler 1.5 ms, most of it for the commit; a result inside one costs it
20 us. Two facts say how long a result may wait, and each side knows one:

    the scheduler    who waits for it. A lease says how long nobody will miss its results (`Lease.patience_s`).
    the worker       when a slot of its own finds no lease any more. Before that the scheduler must have heard what is
                     finished, or it would not send the next lease in time. Once is enough: it had none to send.

So nothing waits behind a failure, nor when the worker has no other lease of the run: that may be its end. What is
finished beside an idle slot waits for a round trip at most, while the last message is on its way. A worker that dies
takes what waited with it: HELD_OUTCOMES_MAX results, which is also how far behind the tile it died of the scheduler's
suspicion may begin.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from xip_worker.events import Epoch, FailedTile, Lease, Outcome
from xip_worker.held import Batch, Held, NodeKey

HELD_OUTCOMES_MAX = 48
"""Results that wait: they cost half of what the message does by then. Fewer than a scheduler isolates behind a death
(`suspects_max`)."""

RESERVE_S = 0.015
"""Work left in a slot when the scheduler is told at the latest: some round trips with their commits."""

GAP_S = 0.01
"""Between two messages while all slots are busy: what the scheduler was told so lately, it can still act on."""

IDLE_GAP_S = 0.003
"""Between two messages while a slot is idle and the scheduler knows: until then it may be committing the last one."""

EARLY_S = 1e-6
"""A timer may ring so early: sums of times are rounded, and one that only then is due would ring for ever."""

QUEUED_LOOKED_AT_MAX = 64
"""Queued leases looked at to tell when a slot runs dry; tiny ones beyond are time nobody counts on."""

HELD_LOOKED_AT_MAX = 64
"""Leases looked at for one of the same run; where there are more, one is taken to be among them."""

AVERAGE_WEIGHT = 0.3
"""Of the newest batch in a node's average seconds per tile."""

NODES_REMEMBERED_MAX = 256
"""Averages kept, least recently run dropped first."""


def node_key(lease: Lease) -> NodeKey:
    """Isolated leases of a node count as those of another one: they last longer, and share no batch with others."""
    return lease.run_id, ~lease.node_id if lease.is_isolated else lease.node_id


class TileDurations:
    """Running average of the seconds a tile takes, by node."""

    def __init__(self) -> None:
        self._averages_s: OrderedDict[NodeKey, float] = OrderedDict()

    def learn(self, node: NodeKey, tile_s: float) -> None:
        average_s = self._averages_s.pop(node, tile_s)
        self._averages_s[node] = average_s + AVERAGE_WEIGHT * (tile_s - average_s)
        if len(self._averages_s) > NODES_REMEMBERED_MAX:
            self._averages_s.popitem(last=False)

    def of(self, node: NodeKey) -> float | None:
        """None for a node never seen to its end."""
        return self._averages_s.get(node)


class Holdback:
    """Until when pending outcomes wait for company.

    Attributes:
        until_s: on the clock of the core; None while nothing waits for company.
    """

    def __init__(self) -> None:
        self.until_s: float | None = None
        self._sent_s = -math.inf
        self._dry_s = math.inf
        self._is_told = False

    @property
    def is_holding(self) -> bool:
        return self.until_s is not None

    def hold(self, patience_s: float, dry_in_s: float | None, now_s: float) -> None:
        """More is pending, which may wait for *patience_s*; a slot has no lease in *dry_in_s*, None for now."""
        self._dry_s = now_s + (dry_in_s or 0.0)
        if dry_in_s is None:
            told_s = self._sent_s + IDLE_GAP_S if self._is_told else now_s
        else:
            told_s = math.inf if self._is_told else max(self._dry_s - RESERVE_S, self._sent_s + GAP_S)
        until_s = min(now_s + patience_s, told_s, math.inf if self.until_s is None else self.until_s)
        self.until_s = until_s if until_s > now_s + EARLY_S else None

    def release(self) -> None:
        self.until_s = None

    def sent(self, now_s: float) -> None:
        """A message went: when a slot was about to run dry then, the scheduler knows it from now on."""
        self._sent_s = now_s
        self._is_told = self._is_told or now_s >= self._dry_s - RESERVE_S - EARLY_S

    def fed(self) -> None:
        """Leases came."""
        self._is_told = False
        self._dry_s = math.inf

    def disconnected(self) -> None:
        """Whoever answers at the next stream knows nothing."""
        self.release()
        self.fed()

    def is_over(self, now_s: float) -> bool:
        """Has the time come? Then nothing is held any more."""
        if self.until_s is None or now_s < self.until_s - EARLY_S:
            return False
        self.until_s = None
        return True


def patience_of(outcome: Outcome, held: Held) -> float:
    """Seconds for which *outcome* of the lease may wait: as long as the lease says, but failures go at once."""
    return 0.0 if isinstance(outcome, FailedTile) else held.lease.patience_s


def may_wait(outcome_count: int, ended_run_ids: set[str], held: Mapping[Epoch, Held]) -> bool:
    """
    May so many outcomes wait for company? A lease of each of *ended_run_ids* has just ended; there must be another one
    of it among *held* whose tiles are not all finished.
    """
    if not 0 < outcome_count < HELD_OUTCOMES_MAX:
        return False
    if len(held) > HELD_LOOKED_AT_MAX or not ended_run_ids:
        return True
    open_of = {each.lease.run_id for each in held.values() if each.tiles_done < each.lease.tile_count}
    return ended_run_ids <= open_of


def runs_dry_in_s(
    slots: Sequence[Batch | None], queue: Iterable[Epoch], held: Mapping[Epoch, Held], durations: TileDurations
) -> float | None:
    """
    Seconds until the first slot finds no lease, as far as averages and the scheduler's estimates tell; None when a slot
    has none now. The tile a slot is at counts as done.
    """
    ends_s: list[float] = []
    for batch in slots:
        if batch is None:
            return None
        leases = [held[epoch] for epoch in batch.epochs if epoch in held]
        left_s = [(entry.lease.tile_count - entry.tiles_done) * _tile_s(entry, durations) for entry in leases]
        under_way_s = _tile_s(leases[0], durations) if leases else 0.0
        ends_s.append(max(0.0, sum(left_s) - under_way_s))
    heapq.heapify(ends_s)
    for epoch in islice(queue, QUEUED_LOOKED_AT_MAX):
        entry = held[epoch]
        heapq.heapreplace(ends_s, ends_s[0] + entry.lease.tile_count * _tile_s(entry, durations))
    return ends_s[0]


def _tile_s(held: Held, durations: TileDurations) -> float:
    """Seconds a tile of the lease takes: by experience, its newest result, or what the scheduler expects."""
    lease = held.lease
    return durations.of(node_key(lease)) or held.tile_s or lease.work_s / max(1, lease.tile_count)
