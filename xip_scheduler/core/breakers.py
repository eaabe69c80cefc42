"""Circuit breakers: when it is not the tile, but the kernel or the worker.

**Kernel version** (the operation of a node)::

    CLOSED ──workers died at its tiles: deaths_max distinct ones──> GUARDED ──successes_needed isolated tiles──> CLOSED
                                                                     │   ^
             failures_max tiles in a row failed whole, isolated ─────┘   └── cool-down over, a run wants it (half open:
                                                                STOPPED       one failure stops it again)

GUARDED: every lease of it is isolated, so nobody dies of it any more. STOPPED: what is left of it is given up with
KERNEL_STOPPED and the evidence. A death counts until the tile the worker died at is computed, without a refused row, by
somebody else: then it was the host. Each time a breaker closes it wants twice as many successes the next time, so
that rare poison rows in a large run cost workers in the logarithm of their number.

**Worker**: one that failed, alive, at `worker_marks_max` distinct tiles within `worker_marks_window_s` which others
then computed without refusing a row, and these are a share of what it tried that no accident is, is drained, with the
evidence. A tile at which all fail leaves no mark on anybody, and a worker that fails everything leaves none on the
tiles: host and task are blamed separately. What fails everywhere now and then (a network) drains nobody.

Soft: a restart closes every breaker and forgets every mark; attempts at tiles are what is durable (`poison`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from xip_scheduler.core.actions import Action, DrainWorker, KernelJudged
from xip_scheduler.core.words import RunId, WorkerId

if TYPE_CHECKING:
    from xip_scheduler.core.leases import Lease, Worker
    from xip_scheduler.core.run_state import NodeState
    from xip_scheduler.core.state import SchedulerState

KernelKey = tuple[str, str]
TileKey = tuple[RunId, int, int]

KERNELS_MAX = 1_024
"""Breakers kept, each made by a death or a failure in isolation; beyond it the oldest closed one is forgotten."""

SUCCESSES_NEEDED_MAX = 10_000
DRAINED_MAX = 1_000
EVIDENCE_SHOWN_MAX = 3


class BreakerState(enum.Enum):
    CLOSED = "closed"
    GUARDED = "guarded"
    STOPPED = "stopped"


class Death(msgspec.Struct, frozen=True):
    """A worker that died at a tile, and when it was heard last on the scheduler's clock."""

    sentence: str
    heard_s: float


class Mark(msgspec.Struct, frozen=True):
    """When a worker was found to have failed at what another one computes, and how many tiles it had computed then."""

    marked_s: float
    tiles_done: int


class KernelBreaker:
    """
    Attributes:
        deaths: by worker that died at a tile of it, without another explanation so far.
        failures: sentence by tile that failed whole, isolated, since the last one that succeeded.
        failing_workers: where.
        success_count: isolated tiles since it was guarded.
        stopped_until_s: scheduler clock.
        reason: why it is not closed, with the evidence; for operators.
        summary: the same in counts, for tenants: evidence names runs of others (S13).
    """

    __slots__ = (
        "deaths",
        "failing_workers",
        "failures",
        "is_half_open",
        "key",
        "reason",
        "state",
        "stopped_until_s",
        "success_count",
        "successes_needed",
        "summary",
    )

    def __init__(self, key: KernelKey, successes_needed: int) -> None:
        self.key = key
        self.state = BreakerState.CLOSED
        self.deaths: dict[WorkerId, Death] = {}
        self.failures: dict[TileKey, str] = {}
        self.failing_workers: dict[WorkerId, None] = {}
        self.success_count = 0
        self.successes_needed = successes_needed
        self.stopped_until_s = 0.0
        self.is_half_open = False
        self.reason = ""
        self.summary = ""


class BreakerView(msgspec.Struct, frozen=True):
    """A kernel version that is not leased as usual, and why: for operators, and in counts for everybody (S13)."""

    kernel: str
    version: str
    state: str
    reason: str
    summary: str


class Breakers:
    """
    Attributes:
        guarded: keys of those not CLOSED; empty nearly always, and asked at every grant.
        marks: by worker, tiles it failed at and others computed.
        drained: reasons, by worker, newest last.
    """

    __slots__ = ("drained", "guarded", "kernels", "marks")

    def __init__(self) -> None:
        self.kernels: dict[KernelKey, KernelBreaker] = {}
        self.guarded: dict[KernelKey, KernelBreaker] = {}
        self.marks: dict[WorkerId, dict[TileKey, Mark]] = {}
        self.drained: dict[WorkerId, str] = {}

    def of(self, node: NodeState, successes_needed: int) -> KernelBreaker:
        key = kernel_of(node)
        breaker = self.kernels.get(key)
        if breaker is None:
            if len(self.kernels) >= KERNELS_MAX:
                oldest = next((k for k in self.kernels if k not in self.guarded), None)
                if oldest is not None:
                    del self.kernels[oldest]
            breaker = self.kernels[key] = KernelBreaker(key, successes_needed)
        return breaker

    def views(self) -> list[BreakerView]:
        return [
            BreakerView(*breaker.key, breaker.state.value, breaker.reason, breaker.summary)
            for breaker in self.guarded.values()
        ]


def kernel_of(node: NodeState) -> KernelKey:
    return node.plan_node.kernel, node.plan_node.kernel_version


def is_stopped(state: SchedulerState, node: NodeState, now_s: float, actions: list[Action]) -> bool:
    """May nothing of the node be leased? Asked when a run comes; after the cool-down the first one half-opens it."""
    breaker = state.breakers.guarded.get(kernel_of(node))
    if breaker is None or breaker.state is not BreakerState.STOPPED:
        return False
    if now_s < breaker.stopped_until_s:
        return True
    breaker.is_half_open = True
    breaker.failures.clear()
    breaker.failing_workers.clear()
    breaker.success_count = 0
    reason = f"half open after its cool-down, it was stopped because {breaker.reason}"
    _judge(state, breaker, BreakerState.GUARDED, reason, actions)
    return False


def worker_died(state: SchedulerState, lease: Lease, tile: int, message: str, actions: list[Action]) -> bool:
    """The lease's worker died or fell silent at *tile*; is its kernel guarded from now on?"""
    breaker = state.breakers.of(lease.node, state.limits.kernel_successes_needed)
    if breaker.state is not BreakerState.CLOSED or lease.is_isolated:
        return False
    worker = lease.worker
    sentence = f"{message} (run {lease.run.run_id}, {lease.node.plan_node.name} tile {tile})"
    breaker.deaths[worker.worker_id] = Death(sentence, worker.heard_s)
    since_s = worker.heard_s - state.limits.kernel_deaths_window_s
    for old in [other for other, death in breaker.deaths.items() if death.heard_s < since_s]:
        del breaker.deaths[old]
    if len(breaker.deaths) < state.limits.kernel_deaths_max:
        return False
    breaker.success_count = 0
    breaker.failures.clear()
    breaker.failing_workers.clear()
    evidence = [death.sentence for death in breaker.deaths.values()]
    breaker.summary = f"{len(evidence)} workers died at tiles of it"
    _judge(state, breaker, BreakerState.GUARDED, _shown(breaker.summary, evidence), actions)
    return True


def failed_isolated(
    state: SchedulerState, lease: Lease, tile: int, message: str, now_s: float, actions: list[Action]
) -> KernelBreaker | None:
    """A tile failed whole in a child process; the breaker, when its kernel is stopped from now on."""
    breaker = state.breakers.of(lease.node, state.limits.kernel_successes_needed)
    breaker.failures[lease.run.run_id, lease.node.node_id, tile] = message
    breaker.failing_workers[lease.worker.worker_id] = None
    if breaker.state is not BreakerState.GUARDED:
        return None
    workers_wanted = min(2, state.fleets.count(lease.node.kernels))
    is_enough = breaker.is_half_open or len(breaker.failures) >= state.limits.kernel_failures_max
    if not is_enough or len(breaker.failing_workers) < workers_wanted:
        return None
    count = len(breaker.failures)
    tiles = "1 tile" if count == 1 else f"{count} tiles in a row"
    what = f"{tiles} failed alone in a process of {'its' if count == 1 else 'their'} own"
    evidence = _shown(what, list(breaker.failures.values()))
    if breaker.is_half_open:  # not appended: a kernel may be broken for a thousand cool-downs
        reason = f"tried again after its cool-down, {evidence}"
        breaker.summary = f"tried again after its cool-down, {what}"
    else:
        reason = f"{breaker.reason}; then {evidence}"
        breaker.summary = f"{breaker.summary}, then {what}"
    breaker.stopped_until_s = now_s + state.limits.kernel_cool_down_s
    breaker.is_half_open = False
    _judge(state, breaker, BreakerState.STOPPED, reason, actions)
    return breaker


def acquit(state: SchedulerState, lease: Lease) -> None:
    """The worker has come back: it did not die."""
    breaker = state.breakers.kernels.get(kernel_of(lease.node))
    if breaker is not None:
        breaker.deaths.pop(lease.worker.worker_id, None)


def tile_computed(
    state: SchedulerState, lease: Lease, tile: int, is_clean: bool, now_s: float, actions: list[Action]
) -> None:
    """A tile that was tried before, or isolated, was computed; *is_clean*: without a row refused for poison."""
    breakers = state.breakers
    breaker = breakers.kernels.get(kernel_of(lease.node))
    if not is_clean:
        return
    history = lease.run.histories.get((lease.node.node_id, tile))
    if history is not None:
        for worker_id in dict.fromkeys(history.tried):
            if breaker is not None:
                breaker.deaths.pop(worker_id, None)
        live = (attempt.worker_id for attempt in history.attempts if attempt.reason and not attempt.is_suspect)
        for worker_id in dict.fromkeys(live):
            if worker_id != lease.worker.worker_id:
                _mark(state, worker_id, (lease.run.run_id, lease.node.node_id, tile), now_s, actions)
    if breaker is None or not lease.is_isolated:
        return
    breaker.failures.clear()
    breaker.failing_workers.clear()
    if breaker.state is BreakerState.GUARDED:
        breaker.success_count += 1
        if breaker.success_count >= breaker.successes_needed:
            breaker.successes_needed = min(2 * breaker.successes_needed, SUCCESSES_NEEDED_MAX)
            breaker.deaths.clear()
            breaker.is_half_open = False
            _judge(state, breaker, BreakerState.CLOSED, f"{breaker.success_count} isolated tiles succeeded", actions)


def _mark(state: SchedulerState, worker_id: WorkerId, tile: TileKey, now_s: float, actions: list[Action]) -> None:
    """The worker failed at what another one has computed."""
    worker = state.workers.get(worker_id)
    if worker is None or worker.is_draining:
        return
    marks = state.breakers.marks.setdefault(worker_id, {})
    marks[tile] = Mark(now_s, worker.tiles_done)
    since_s = now_s - state.limits.worker_marks_window_s
    for old in [key for key, mark in marks.items() if mark.marked_s < since_s]:
        del marks[old]
    computed_count = worker.tiles_done - min(mark.tiles_done for mark in marks.values())
    share = len(marks) / (len(marks) + computed_count)
    if len(marks) < state.limits.worker_marks_max or share < state.limits.worker_marks_share:
        return
    tiles = ", ".join(f"run {run_id} node {node_id} tile {number}" for run_id, node_id, number in marks)
    reason = f"failed at {len(marks)} tiles that others then computed, {share:.0%} of what it tried meanwhile"
    drained = state.breakers.drained
    drained[worker_id] = reason
    while len(drained) > DRAINED_MAX:
        del drained[next(iter(drained))]
    drain(state, worker, reason, tiles, actions)


def drain(state: SchedulerState, worker: Worker, reason: str, evidence: str, actions: list[Action]) -> None:
    """The worker gets nothing more, and is told to leave."""
    state.breakers.marks.pop(worker.worker_id, None)
    state.counters.workers_drained += 1
    if worker.is_active:
        state.deactivate(worker)
    worker.is_draining = True
    worker.drain_reason = reason
    state.settle(worker)
    actions.append(DrainWorker(worker.worker_id, worker.connection_id, reason, evidence))


def _judge(
    state: SchedulerState, breaker: KernelBreaker, judgement: BreakerState, reason: str, actions: list[Action]
) -> None:
    breaker.state = judgement
    breaker.reason = reason
    if judgement is BreakerState.CLOSED:
        state.breakers.guarded.pop(breaker.key, None)
    else:
        state.breakers.guarded[breaker.key] = breaker
        state.counters.kernels_guarded += judgement is BreakerState.GUARDED
        state.counters.kernels_stopped += judgement is BreakerState.STOPPED
    actions.append(KernelJudged(*breaker.key, judgement.value, reason))


def _shown(what: str, evidence: list[str]) -> str:
    shown = evidence[:EVIDENCE_SHOWN_MAX]
    more = len(evidence) - len(shown)
    return f"{what}: {'; '.join(shown)}" + (f"; and {more} more" if more else "")
