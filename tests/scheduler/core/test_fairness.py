"""xip_scheduler.core.fairness: the bounds its head promises, over random grids, counted in grants and slot-seconds."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.scheduler.core.builders import MemoryStore, a_book_plan, a_probe_plan, a_submission, an_attachment
from xip_core.errors import FailureReason
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import (
    Event,
    LeaseReturned,
    RunPaused,
    RunResumed,
    TileFailed,
    TilesReported,
)
from xip_scheduler.core.fairness import SHARES_KEPT_MAX, RunQueue
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.words import Epoch, Priority, RunId, WorkerId

COSTS = (0.01, 0.05, 0.3, 1.0)
ENOUGH_TILES = 10_000


class Desks:
    """Tenants whose runs never end, and workers that take what they get, in any order."""

    def __init__(self, weights: list[float], slot_counts: list[int]) -> None:
        self.weights = {f"t{number}": weight for number, weight in enumerate(weights)}
        self.core = Core(Limits(tenant_weights=self.weights))
        self.now_s = 0.0
        self.tenants: dict[RunId, str] = {}
        self.costs: dict[RunId, float] = {}
        self.held: list[GrantLease] = []
        self.grants: list[str] = []
        self.consumed_s: Counter[str] = Counter()
        for number, slot_count in enumerate(slot_counts):
            self.handle(an_attachment(f"w{number}", slot_count=slot_count))

    def handle(self, event: Event) -> None:
        for action in self.core.handle(event, self.now_s):
            if isinstance(action, GrantLease):
                self.held.append(action)
                self.grants.append(self.tenants[action.run_id])
                self.consumed_s[self.tenants[action.run_id]] += self.costs[action.run_id]
        self.core.check_invariants()

    def submit(self, tenant: str, cost_s: float, tile_count: int = ENOUGH_TILES) -> RunId:
        run_id = RunId(f"r{len(self.tenants)}")
        self.tenants[run_id] = tenant
        self.costs[run_id] = cost_s
        self.handle(a_submission(run_id, a_probe_plan(tile_count, cost_s=cost_s), tenant))
        return run_id

    def finish(self, number: int) -> None:
        """One lease ends, having taken just what it was said to take; or the tile fails; or it is handed back."""
        lease = self.held.pop(number % len(self.held))
        worker, epoch = WorkerId(lease.worker_id), Epoch(lease.epoch)
        self.now_s += 0.001
        if number % 11 == 7:
            message = TileFailed(worker, epoch, lease.tile_begin, FailureReason.EVALUATION_FAILED, "boom")
            self.handle(message)
        elif number % 13 == 5:
            self.handle(LeaseReturned(worker, epoch))
        else:
            took_ns = round(self.costs[lease.run_id] * 1e9)
            self.handle(TilesReported(worker, epoch, lease.tile_begin, lease.tile_end, 1, (), took_ns))

    def longest_wait(self, tenant: str, since: int) -> int:
        """Grants from one to the next of a tenant, at most, and up to now."""
        waits, waited = [0], 0
        for granted in self.grants[since:]:
            waited = 0 if granted == tenant else waited + 1
            waits.append(waited)
        return max(waits)


weights_of_tenants = st.lists(st.sampled_from((0.5, 1.0, 2.0, 5.0)), min_size=2, max_size=5)
slot_counts_of_workers = st.lists(st.integers(1, 4), min_size=1, max_size=4)
ends = st.lists(st.integers(0, 1_000), min_size=60, max_size=200)
quickly = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # a failing grid is told as it was found: shrinking one takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)


@quickly
@given(weights_of_tenants, slot_counts_of_workers, st.lists(st.sampled_from(COSTS), min_size=5, max_size=5), ends)
def test_no_tenant_with_ready_work_waits_longer_than_the_bound(
    weights: list[float], slot_counts: list[int], costs: list[float], numbers: list[int]
) -> None:
    """L2: k * sum(w) / w_t + n grants, k the largest charge over the smallest, failing and returned leases included."""
    desks = Desks(weights, [])
    for tenant, cost_s in zip(desks.weights, costs, strict=False):
        desks.submit(tenant, cost_s)
    for number, slot_count in enumerate(slot_counts):
        desks.handle(an_attachment(f"w{number}", slot_count=slot_count))
    for number in numbers:
        desks.finish(number)
    used = costs[: len(weights)]
    k = max(used) / min(used)
    for tenant, weight in desks.weights.items():
        bound = math.ceil(k * sum(weights) / weight) + len(weights)
        assert desks.longest_wait(tenant, 0) <= bound, (tenant, weights, used)


@quickly
@given(weights_of_tenants, slot_counts_of_workers, st.lists(st.sampled_from(COSTS), min_size=5, max_size=5), ends)
def test_what_two_busy_tenants_consume_per_weight_differs_by_a_lease_each(
    weights: list[float], slot_counts: list[int], costs: list[float], numbers: list[int]
) -> None:
    """The fairness theorem of start-time fair queueing (Goyal et al., 1996, theorem 1)."""
    desks = Desks(weights, [])
    for tenant, cost_s in zip(desks.weights, costs, strict=False):
        desks.submit(tenant, cost_s)
    for number, slot_count in enumerate(slot_counts):
        desks.handle(an_attachment(f"w{number}", slot_count=slot_count))
    for number in numbers:
        desks.finish(13 * 11 * number)  # no failures: a tile that is tried again counts as much as the first time
        per_weight = {tenant: desks.consumed_s[tenant] / weight for tenant, weight in desks.weights.items()}
        for (one, cost_s), (other, other_cost_s) in zip(
            list(zip(desks.weights, costs, strict=False))[:-1],
            list(zip(desks.weights, costs, strict=False))[1:],
            strict=True,
        ):
            bound_s = cost_s / desks.weights[one] + other_cost_s / desks.weights[other]
            assert abs(per_weight[one] - per_weight[other]) <= bound_s + 1e-9


@quickly
@given(weights_of_tenants, slot_counts_of_workers, ends, st.integers(1, 30))
def test_a_flood_delays_the_first_lease_of_another_tenant_by_a_grant_per_tenant_at_most(
    weights: list[float], slot_counts: list[int], numbers: list[int], flood_runs: int
) -> None:
    desks = Desks(weights, slot_counts)
    *flooding, late = desks.weights
    for number in range(flood_runs):
        desks.submit(flooding[number % len(flooding)], COSTS[number % len(COSTS)])
    for number in numbers:
        desks.finish(number)
    granted_before = len(desks.grants)
    desks.submit(late, 0.05)
    while len(desks.grants) < granted_before + len(weights):
        desks.finish(len(desks.grants))
    assert late in desks.grants[granted_before : granted_before + len(weights)]


@quickly
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1_000)), min_size=20, max_size=120))
def test_every_run_of_a_tenant_gets_its_turn(history: list[tuple[int, int]]) -> None:
    """Runs of equal rank: between two grants to one, no other gets more than one; runs come, pause and go on."""
    desks = Desks([1.0], [2])
    runs = [desks.submit("t0", 0.05) for _ in range(3)]
    paused: set[RunId] = set()
    since: Counter[RunId] = Counter()
    for move, number in history:
        run = runs[number % len(runs)]
        before = len(desks.held)
        if move == 0 and len(runs) < 8:
            runs.append(desks.submit("t0", 0.05))
        elif move == 1 and run not in paused and len(paused) < len(runs) - 1:
            paused.add(run)
            desks.handle(RunPaused(run))
        elif move == 2:
            paused.discard(run)
            desks.handle(RunResumed(run))
        elif desks.held:
            desks.finish(13 * 11 * number)
            before -= 1
        if move <= 2:
            since.clear()
        for lease in desks.held[before:]:
            since[lease.run_id] += 1
            assert lease.run_id not in paused
            ready = [since[other] for other in runs if other not in paused]
            assert max(ready) - min(ready) <= 1, since


def test_priorities_and_deadlines_order_the_runs_of_one_tenant() -> None:
    core = Core()
    wanted = ("now", "soon", "later", "any", "batch-soon", "batch")
    submitted = {
        "batch": (Priority.BATCH, 0.0),
        "any": (Priority.INTERACTIVE, 0.0),
        "later": (Priority.INTERACTIVE, 60.0),
        "batch-soon": (Priority.BATCH, 1.0),
        "soon": (Priority.INTERACTIVE, 30.0),
        "now": (Priority.INTERACTIVE, 5.0),
    }
    for name, (priority, deadline_after_s) in submitted.items():
        plan = a_probe_plan(1, cost_s=1.0)
        core.handle(a_submission(name, plan, priority=priority, deadline_after_s=deadline_after_s), 0.0)
    orders = core.handle(an_attachment(slot_count=len(wanted)), 0.0)
    assert [order.run_id for order in orders if isinstance(order, GrantLease)] == list(wanted)


def test_retries_do_not_starve_first_attempts_of_another_run() -> None:
    """Every tile of one run fails, again and again; the other of equal rank gets every second grant all the same."""
    desks = Desks([1.0], [])
    failing, well = desks.submit("t0", 0.3), desks.submit("t0", 0.3)
    desks.handle(an_attachment())
    order = []
    for _ in range(60):
        lease = desks.held.pop(0)
        order.append(lease.run_id)
        worker, epoch = WorkerId(lease.worker_id), Epoch(lease.epoch)
        if lease.run_id == failing:
            desks.handle(TileFailed(worker, epoch, lease.tile_begin, FailureReason.EVALUATION_FAILED, "boom"))
        else:
            desks.handle(TilesReported(worker, epoch, lease.tile_begin, lease.tile_end, 1, (), 300_000_000))
    assert order == [failing, well] * 30


def test_the_deadlines_of_a_restored_run_count_from_the_restart() -> None:
    """A clock never decides correctness: the wall clock of before is not asked (S18)."""
    store = MemoryStore()
    core = Core()
    core.handle(an_attachment(), 0.0)
    store.commit(core.handle(a_submission(plan=a_book_plan(), deadline_after_s=10.0), 0.0))
    restored = store.restart(1_000.0)
    restored.handle(an_attachment(), 1_000.0)
    [view] = restored.live_runs()
    assert view.deadline_after_s == 10.0
    assert "missed" not in view.message


@pytest.mark.parametrize("live_count", [0, 1])
def test_shares_of_tenants_that_are_gone_are_forgotten_and_no_others(live_count: int) -> None:
    queue = RunQueue()
    for number in range(SHARES_KEPT_MAX + 10):
        run = LiveRun(RunId(f"r{number}"), f"t{number}", "", a_probe_plan(1), "", 0.0, 0.0, ())
        queue.begin(run)
        if number >= live_count:
            queue.end(run)
    assert len(queue.shares) <= SHARES_KEPT_MAX
    assert ("t0" in queue.shares) is bool(live_count)


def test_runs_of_a_tenant_are_counted_when_nothing_of_them_is_ready() -> None:
    core = Core()
    core.handle(an_attachment("w1", slot_count=4), 0.0)
    core.handle(a_submission("r1", a_probe_plan(2), tenant="rates"), 0.0)
    assert core.live_run_count_of("rates") == 1
    assert core.live_run_count_of("credit") == 0
