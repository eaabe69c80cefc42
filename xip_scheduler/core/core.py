"""The scheduler as a pure state machine: events in, orders out.

    driver ──event, now_s──> Core.handle ──orders──> driver: commit the persistent ones, then send the rest

No clock, no IO, no randomness: the same events give the same orders, in a test, in the simulator and in production.

    shells        ┌──── runs   tail ────┐
      │ events    │  workers   results  │ granting      what an event changes, then who gets work
      v           └─ poison ─┬─ kernels ┘    │
    core.handle ───────────> state <─────────┘          leases, workers, epochs, queues
                              ├── run_state ── intervals   tiles of a node, as intervals
                              └── fairness, costs          whose turn, how much
                                  estimates                how long until then

Every handler ends with a round of grants, so work never waits for the next event.

Sizes: about 0.4 kB per live lease, 2 kB per worker, 3 kB per node of a live run; nothing per tile or cell.
"""

from __future__ import annotations

from collections.abc import Iterable

from xip_core.model.account import RunAccount
from xip_scheduler.core import granting, invariants, kernels, poison, reclaim, results, runs, tail, workers
from xip_scheduler.core.accounts import account_of
from xip_scheduler.core.actions import Action
from xip_scheduler.core.breakers import BreakerView
from xip_scheduler.core.estimates import Estimates, lateness
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    LeaseKept,
    LeaseReturned,
    LeasesSent,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunSubmitted,
    Tick,
    TileFailed,
    TilesReported,
    WorkerAttached,
    WorkerDetached,
    WorkerDraining,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.runs import RestoredRun
from xip_scheduler.core.state import IDLE, Counters, SchedulerState
from xip_scheduler.core.views import RunView, WorkerView, view_run, view_worker
from xip_scheduler.core.words import RunId, RunState


class Core:
    """The one door to the scheduler's state. Not thread-safe: one driver owns it."""

    __slots__ = ("_estimates", "_now_s", "_state")

    def __init__(self, limits: Limits | None = None, *, epoch_next: int = 1, term: int = 1) -> None:
        """A scheduler that knows no run; *epoch_next* is the store's epoch mark, 1 for a new store."""
        self._state = SchedulerState(limits or Limits(), epoch_next, term)
        self._estimates = Estimates()
        self._now_s = 0.0

    @classmethod
    def restore(
        cls,
        restored: Iterable[RestoredRun],
        epoch_next: int,
        term: int,
        now_s: float,
        limits: Limits | None = None,
        epoch_floor: int = 0,
    ) -> Core:
        """A scheduler that goes on where the store says the last one stopped; runs in order of submission.

        Leases of epochs below *epoch_floor* were granted before a backup was put back: their holders must let go.
        """
        core = cls(limits, epoch_next=epoch_next, term=term)
        core._state.epoch_floor = epoch_floor
        core._now_s = now_s
        for run in restored:
            runs.restore_run(core._state, run, now_s)
        if core._state.runs:
            core._state.gathering_until_s = now_s + core._state.limits.gathering_s
        return core

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """
        What to do about an event received at *now_s*.

        Args:
            now_s: a clock that never runs backwards; an earlier value counts as the latest one seen.
        """
        if now_s > self._now_s:
            self._now_s = now_s
        else:
            now_s = self._now_s
        state = self._state
        actions: list[Action] = []
        if type(event) is TilesReported:  # nearly every event is one: spare it the way through the cases
            results.tiles_reported(state, event, now_s, actions)
        else:
            self._apply(event, now_s, actions)
        if state.fleets.has_changed:
            kernels.fleets_changed(state, actions)
        granting.grant(state, now_s, actions)
        if state.queue.waiting:
            reclaim.reclaim(state, now_s, actions)
        if not state.hungry[IDLE]:
            state.look_due_s = None
        elif tail.look(state, now_s, actions):
            if state.fleets.has_changed:
                kernels.fleets_changed(state, actions)
            granting.grant(state, now_s, actions)
        return actions

    def _apply(self, event: Event, now_s: float, actions: list[Action]) -> bool:
        """One case per event; a forgotten one is a missing return to the type checker."""
        state = self._state
        match event:
            case TilesReported():
                results.tiles_reported(state, event, now_s, actions)
                return True
            case HeartbeatReceived():
                workers.heartbeat(state, event, now_s, actions)
                return True
            case LeasesSent():
                workers.leases_sent(state, event, now_s)
                return True
            case Tick():
                workers.expire(state, now_s, actions)
                return True
            case TileFailed():
                poison.tile_failed(state, event, now_s, actions)
                return True
            case LeaseKept():
                tail.lease_kept(state, event, now_s, actions)
                return True
            case LeaseReturned():
                workers.lease_returned(state, event, now_s, actions)
                return True
            case WorkerAttached():
                workers.attached(state, event, now_s, actions)
                return True
            case WorkerDetached():
                workers.detached(state, event, actions)
                return True
            case WorkerDraining():
                workers.draining(state, event.worker_id)
                return True
            case RunSubmitted():
                runs.submitted(state, event, now_s, actions)
                return True
            case RunCancelled():
                runs.cancelled(state, event, actions)
                return True
            case RunPaused():
                runs.paused(state, event, actions)
                return True
            case RunResumed():
                runs.resumed(state, event, actions)
                return True

    def next_deadline_s(self) -> float | None:
        """When a Tick is due at the latest; None while nothing can expire."""
        state = self._state
        deadlines_s: list[float] = []
        if state.gathering_until_s > self._now_s:
            deadlines_s.append(state.gathering_until_s)
        if state.leases:
            deadlines_s.append(next(iter(state.leases.values())).deadline_s)
            if state.look_due_s is not None:
                deadlines_s.append(state.look_due_s)
        return min(deadlines_s, default=None)

    def check_invariants(self) -> None:
        """Assert what `invariants` promises."""
        invariants.check(self._state)

    # --- questions; none of them changes anything

    @property
    def term(self) -> int:
        return self._state.term

    @property
    def counters(self) -> Counters:
        return self._state.counters

    @property
    def lease_duration_s(self) -> float:
        return self._state.limits.lease_duration_s

    def run(self, run_id: RunId) -> RunView | None:
        """The run now; of the last final ones their last view; None for the store to answer."""
        live = self._state.runs.get(run_id)
        return self._view(live) if live else self._state.finished.get(run_id)

    def account(self, run_id: RunId) -> RunAccount | None:
        """Where the time of a live run went so far; of the last final ones, of the whole run."""
        live = self._state.runs.get(run_id)
        if live is not None:
            return account_of(live, self._now_s)
        view = self._state.finished.get(run_id)
        return None if view is None else view.account

    def breakers(self) -> list[BreakerView]:
        """Kernel versions that are guarded or stopped."""
        return self._state.breakers.views()

    def live_runs(self) -> list[RunView]:
        """Runs that are not final, in order of submission."""
        return [self._view(run) for run in self._state.runs.values()]

    def _view(self, run: LiveRun) -> RunView:
        eta_s = self._estimates.eta_s(self._state, run, self._now_s)
        message = run.waits_for or run.message or lateness(run, eta_s, self._now_s)
        return view_run(run, RunState.RUNNING, message, eta_s)

    def workers(self) -> list[WorkerView]:
        """Workers with an open stream, in order of arrival."""
        return [view_worker(worker) for worker in self._state.workers.values()]

    def slot_count(self) -> int:
        """Slots of workers that are neither draining nor silent."""
        return self._state.slot_count

    def worker_count(self) -> int:
        """Workers that are neither draining nor silent."""
        return self._state.active_count

    def lease_count(self) -> int:
        return len(self._state.leases)

    def live_run_count(self) -> int:
        return len(self._state.runs)

    def live_run_count_of(self, tenant: str) -> int:
        """Runs of the tenant that are not final."""
        share = self._state.queue.shares.get(tenant)
        return 0 if share is None else share.live_count

    def charged_s(self) -> dict[str, float]:
        """Slot-seconds charged since the start, by tenant; of tenants with live runs and some that had any."""
        return {share.tenant: share.charged_s for share in list(self._state.queue.shares.values())}

    def durable_runs(self) -> tuple[RestoredRun, ...]:
        """What the store must know once everything ordered so far is committed."""
        return runs.durable_runs(self._state)
