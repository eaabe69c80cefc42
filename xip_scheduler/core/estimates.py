"""When a run will be final, by the cost model, at the share of the grid it has now.

    share of its tenant     slots x w / sum of the weights of tenants with a live run that is not paused
    before it is served     all work of the tenant's runs of higher rank
    beside it               of each run of equal rank as much as its own: they take turns
    eta_s                   (before + beside + own) / share

This is the fluid limit of what `fairness` does. It knows nothing of the shape of the graph (the last tile of a node
that all others wait for), of work that comes later, of workers that lack a kernel: it says when at the earliest, if all
stays as it is. Costs not measured yet are the plan's guesses and may be wrong by 10x. Nothing is decided by it.

Cost: the work of a tenant's runs is added up once per `KEPT_S`, so a page of a thousand runs is no thousand sums.
"""

from __future__ import annotations

import msgspec

from xip_scheduler.core.fairness import Rank, rank_of
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.state import SchedulerState
from xip_scheduler.core.words import RunId

KEPT_S = 0.25
"""How long sums are used again: as often as a watcher is told anything."""


class _Sums(msgspec.Struct):
    """Per tenant: (rank, run, slot-seconds left) of its runs that are not paused; *weight* of all such tenants."""

    made_s: float
    weight: float
    work: dict[str, list[tuple[Rank, RunId, float]]]


class Estimates:
    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: _Sums | None = None

    def eta_s(self, state: SchedulerState, run: LiveRun, now_s: float) -> float:
        """Seconds until *run* is final; 0 when nobody can say: no slot, paused, or waiting for a kernel."""
        if not state.slot_count or run.is_paused or run.waits_for:
            return 0.0
        sums = self._sums
        if sums is None or not sums.made_s <= now_s < sums.made_s + KEPT_S:
            sums = self._sums = _sum_up(state, now_s)
        own_s, rank = work_left_s(run), rank_of(run)
        total_s = own_s
        for other_rank, other_id, work_s in sums.work.get(run.tenant, ()):
            if other_rank < rank:
                total_s += work_s
            elif other_rank == rank and other_id != run.run_id:
                total_s += min(work_s, own_s)
        weight = run.share.weight
        slots = state.slot_count * weight / max(sums.weight, weight)
        return total_s / slots


def work_left_s(run: LiveRun) -> float:
    """Slot-seconds of all tiles that are not done, leased ones included."""
    return sum((node.tile_count - node.done.count) * node.cost.tile_s for node in run.nodes)


def _sum_up(state: SchedulerState, now_s: float) -> _Sums:
    work: dict[str, list[tuple[Rank, RunId, float]]] = {}
    for run in state.runs.values():
        if not run.is_paused:
            work.setdefault(run.tenant, []).append((rank_of(run), run.run_id, work_left_s(run)))
    return _Sums(now_s, sum(state.queue.shares[tenant].weight for tenant in work), work)


def lateness(run: LiveRun, eta_s: float, now_s: float) -> str:
    """A sentence about the deadline of a run that has missed it or will; "" for every other."""
    late_s = now_s + eta_s - run.deadline_s
    if late_s <= 0.0:
        return ""
    if now_s >= run.deadline_s:
        return f"has missed its deadline of {run.deadline_after_s:g} s"
    return f"will miss its deadline of {run.deadline_after_s:g} s by about {late_s:.0f} s at its present share"
