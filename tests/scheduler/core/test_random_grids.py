"""xip_scheduler.core under random histories: workers come, work, fail, vanish, return and lie; the scheduler restarts.

After every event: the invariants hold, the store accepts every order (no tile twice, nothing after a final state),
memory and store agree (S19), no result is recorded under an epoch that is not the newest granted for its tile (S2), no
epoch is granted twice (S3). At the end all but one healthy worker are gone, and every run must become final (L1, L3).
"""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.scheduler.core.builders import MemoryStore, a_book_plan, a_probe_plan
from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan
from xip_core.model.detail import Detail
from xip_scheduler.core.actions import GrantLease, RecordTiles, RevokeLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    HeldLease,
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
from xip_scheduler.core.words import ConnectionId, Epoch, Priority, RunId, WorkerId

KERNELS = (("terms", "1"), ("black.european", "1"), ("probe.noop", "1"))
PLANS: tuple[Plan, ...] = (
    a_probe_plan(9, tiles_per_lease=2, kernels=KERNELS[2:]),
    a_probe_plan(5, tiles_per_lease=1, kernels=KERNELS[:2]),
    a_probe_plan(7, tiles_per_lease=1),
    a_probe_plan(40, tiles_per_lease=5),
    a_probe_plan(60, tiles_per_lease=0),
    a_probe_plan(30, tiles_per_lease=1),
    a_book_plan(3, 2, tiles_per_lease=1),
    a_book_plan(2, 4, tiles_per_lease=3),
    a_book_plan(4, 3, tiles_per_lease=0),
    a_book_plan(4, 3, tiles_per_lease=0, detail=Detail.NONE),
)
LIMITS = Limits(
    kernel_deaths_max=2,
    kernel_failures_max=1,
    kernel_successes_needed=4,
    worker_marks_max=2,
    worker_marks_share=0.0,
)
"""Breakers that break within histories of this length."""

WORKERS = ("w1", "w2", "w3", "w4")


class Grid:
    """A core, its store, and workers that remember every lease they were ever sent."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.core = Core(LIMITS)
        self.now_s = 0.0
        self.connection_id = 0
        self.connections: dict[str, int] = {}
        self.held: dict[str, dict[int, GrantLease]] = {worker: {} for worker in WORKERS}
        self.past: list[GrantLease] = []
        self.newest: dict[tuple[str, int, int], int] = {}
        self.epochs: set[int] = set()
        self.run_count = 0
        self.counted: Counter[str] = Counter()

    def handle(self, event: Event) -> None:
        actions = self.core.handle(event, self.now_s)
        for action in actions:
            if isinstance(action, GrantLease):
                self._granted(action)
            elif isinstance(action, RevokeLease):
                self.held[action.worker_id].pop(action.epoch, None)
            elif isinstance(action, RecordTiles):
                for tile in range(action.tile_begin, action.tile_end):
                    newest = self.newest.get((action.run_id, action.node_id, tile), action.epoch)
                    assert action.epoch >= newest, f"{action} although epoch {newest} was granted since"
        self.store.commit(actions)
        self.core.check_invariants()
        assert self.core.durable_runs() == self.store.live_runs()

    def _granted(self, grant: GrantLease) -> None:
        assert grant.connection_id == self.connections[grant.worker_id], f"{grant} to a connection that is gone"
        assert grant.epoch not in self.epochs, f"{grant} under a used epoch"
        self.epochs.add(grant.epoch)
        self.held[grant.worker_id][grant.epoch] = grant
        self.past.append(grant)
        for tile in range(grant.tile_begin, grant.tile_end):
            self.newest[grant.run_id, grant.node_id, tile] = grant.epoch

    def pick(self, worker: str, number: int) -> GrantLease | None:
        leases = list(self.held[worker].values())
        return leases[number % len(leases)] if leases else None

    # --- what can happen; *number* chooses among the possibilities

    def submit(self, worker: str, number: int) -> None:
        self.run_count += 1
        run_id = RunId(f"r{self.run_count}")
        submission = RunSubmitted(
            run_id,
            f"desk{number % 3}",
            run_id,
            f"q{run_id}",
            PLANS[number % len(PLANS)],
            "",
            "",
            priority=Priority(1 + number % 2),
            deadline_after_s=float(number % 5),
        )
        self.handle(submission)

    def attach(self, worker: str, number: int) -> None:
        self.connection_id += 1
        self.connections[worker] = self.connection_id
        held = tuple(
            HeldLease(lease.epoch, lease.run_id, lease.node_id, lease.tile_begin, lease.tile_end)
            for lease in self.held[worker].values()
        )
        if number % 7 == 0:
            held = ()
            self.held[worker].clear()
        if number % 5 == 0 and self.past:  # somebody's lease of old, or one of the worker's own
            lie = self.past[number % len(self.past)]
            held = (*held, HeldLease(lie.epoch, lie.run_id, lie.node_id, lie.tile_begin, lie.tile_end))
        kernels = KERNELS if number % 4 else KERNELS[: number % 3]
        self.handle(WorkerAttached(WorkerId(worker), ConnectionId(self.connection_id), number % 3 + 1, held, kernels))

    def detach(self, worker: str, number: int) -> None:
        connection = self.connections.get(worker, 1) - (number % 4 == 0)
        self.handle(WorkerDetached(WorkerId(worker), ConnectionId(connection), number % 2 == 0))
        if number % 3 == 0:
            self.held[worker].clear()

    def report(self, worker: str, number: int) -> None:
        lease = self.pick(worker, number)
        if lease is None:
            return
        begin = lease.tile_begin + number % (lease.tile_end - lease.tile_begin)
        end = lease.tile_end if number % 2 else begin + 1
        self.handle(TilesReported(WorkerId(worker), lease.epoch, begin, end, end - begin, (), number % 99 * 10**6))

    def report_late(self, worker: str, number: int) -> None:
        if self.past:
            lease = self.past[number % len(self.past)]
            span = (lease.tile_begin, lease.tile_end + number % 2)
            self.handle(TilesReported(WorkerId(worker), lease.epoch, *span, 1, (), 1))

    def fail(self, worker: str, number: int) -> None:
        lease = self.pick(worker, number)
        if lease is not None:
            tile = lease.tile_begin + number % (lease.tile_end - lease.tile_begin)
            reason = (FailureReason.EVALUATION_FAILED, FailureReason.CRASHED)[number // 2 % 2]
            self.handle(TileFailed(WorkerId(worker), lease.epoch, tile, reason, "boom"))

    def stall(self, worker: str, number: int) -> None:
        lease = self.pick(worker, number)
        if lease is not None:
            progress = tuple((Epoch(epoch), 0) for epoch in self.held[worker])
            self.handle(HeartbeatReceived(WorkerId(worker), progress, 0, ((lease.epoch, float(number)),)))

    def give_back(self, worker: str, number: int) -> None:
        lease = self.pick(worker, number)
        if lease is not None:
            del self.held[worker][lease.epoch]
            self.handle(LeaseReturned(WorkerId(worker), lease.epoch))

    def keep(self, worker: str, number: int) -> None:
        """The worker shortens a lease, asked or not; now and then the answer is lost, and its Hello must tell."""
        lease = self.pick(worker, number)
        if lease is None:
            return
        tile_end = lease.tile_begin + number % (lease.tile_end - lease.tile_begin + 1)
        if tile_end > lease.tile_begin:
            self.held[worker][lease.epoch] = msgspec.structs.replace(lease, tile_end=tile_end)
        else:
            del self.held[worker][lease.epoch]
        if number % 4:
            self.handle(LeaseKept(WorkerId(worker), lease.epoch, tile_end))
            self.handle(LeaseKept(WorkerId(worker), lease.epoch, tile_end))
        else:
            self.attach(worker, 1 + 7 * 5 * 4 * number)

    def drain(self, worker: str, number: int) -> None:
        self.handle(WorkerDraining(WorkerId(worker)))

    def beat(self, worker: str, number: int) -> None:
        named = list(self.held[worker])[number % 2 :]
        self.handle(HeartbeatReceived(WorkerId(worker), tuple((Epoch(epoch), 0) for epoch in named)))
        if number % 3 == 0:  # a commit was slow; some of its leases may have ended since
            self.handle(LeasesSent(tuple(Epoch(epoch) for epoch in (*named, number))))

    def fall_silent(self, worker: str, number: int) -> None:
        """Two heartbeats of one worker are missing; all others beat."""
        for _ in range(2):
            self.now_s += 5.5
            for other in self.connections:
                if other != worker:
                    self.handle(HeartbeatReceived(WorkerId(other), tuple((Epoch(e), 0) for e in self.held[other])))

    def cancel(self, worker: str, number: int) -> None:
        self.handle(RunCancelled(RunId(f"r{number % (self.run_count + 1)}")))

    def pause(self, worker: str, number: int) -> None:
        self.handle(RunPaused(RunId(f"r{number % (self.run_count + 1)}")))

    def resume(self, worker: str, number: int) -> None:
        self.handle(RunResumed(RunId(f"r{number % (self.run_count + 1)}")))

    def wait(self, worker: str, number: int) -> None:
        self.now_s += number % 20
        self.handle(Tick())

    def restart(self, worker: str, number: int) -> None:
        self.count()
        self.core = self.store.restart(self.now_s, limits=LIMITS)
        self.newest.clear()
        self.connections.clear()
        self.core.check_invariants()
        assert self.core.durable_runs() == self.store.live_runs()

    def count(self) -> None:
        self.counted.update(msgspec.structs.asdict(self.core.counters))

    def heal(self) -> None:
        """Everybody leaves; paused runs go on; one worker that never fails comes and works."""
        for number in range(1, self.run_count + 1):
            self.handle(RunResumed(RunId(f"r{number}")))
        for worker, connection in list(self.connections.items()):
            self.handle(WorkerDetached(WorkerId(worker), ConnectionId(connection)))
        self.held["healthy"] = {}
        self.connections["healthy"] = self.connection_id + 1
        self.handle(WorkerAttached(WorkerId("healthy"), ConnectionId(self.connection_id + 1), 2, (), KERNELS))
        for _ in range(2_000):
            lease = self.pick("healthy", 0)
            if lease is None:
                break
            for tile in range(lease.tile_begin, lease.tile_end):
                self.handle(TilesReported(WorkerId("healthy"), lease.epoch, tile, tile + 1, 1, (), 1_000_000))
            del self.held["healthy"][lease.epoch]


WORK = ("submit", "attach", "detach", "report", "report_late", "fail", "give_back", "keep", "drain", "beat", "wait")
MOVES = (*WORK, "stall", "cancel", "pause", "resume")
# Work is what happens most; the rest is what happens to it.
WEIGHTED = (*MOVES, "fall_silent", "restart", *["report"] * 8, *["attach"] * 3, *["fail"] * 4)

histories = st.lists(
    st.tuples(st.sampled_from(WEIGHTED), st.sampled_from(WORKERS), st.integers(0, 1_000)), min_size=5, max_size=80
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(histories)
@example([("submit", "w1", 1), ("attach", "w1", 1), ("detach", "w1", 1), ("attach", "w1", 1), ("restart", "w1", 0)])
def test_any_history_ends_with_every_tile_recorded_once(history: list[tuple[str, str, int]]) -> None:
    grid = Grid()
    grid.submit("w1", len(history))
    for move, worker, number in history:
        getattr(grid, move)(worker, number)
    grid.heal()
    assert grid.core.live_runs() == []
    assert grid.core.lease_count() == 0
    assert len(grid.store.final) == grid.run_count


def a_long_history(seed: int) -> Grid:
    chance, grid = random.Random(seed), Grid()
    grid.submit("w1", chance.randrange(1_000))
    for _ in range(chance.choice((20, 80, 200))):
        getattr(grid, chance.choice(WEIGHTED))(chance.choice(WORKERS), chance.randrange(1_000))
    grid.heal()
    grid.count()
    return grid


def test_long_histories_end_too_and_reach_every_rare_state() -> None:
    """A state that is never reached is a state that is not tested: every counter must have counted."""
    counted: Counter[str] = Counter()
    for seed in range(90):
        grid = a_long_history(seed)
        assert grid.core.live_runs() == [], f"seed {seed}"
        assert grid.core.lease_count() == 0, f"seed {seed}"
        assert len(grid.store.final) == grid.run_count, f"seed {seed}"
        counted += grid.counted
    assert [name for name in msgspec.structs.asdict(grid.core.counters) if not counted[name]] == []


def test_the_same_history_gives_the_same_orders() -> None:
    def orders() -> list[object]:
        grid, seen = Grid(), []
        commit = grid.store.commit
        grid.store.commit = lambda actions: (seen.extend(actions), commit(actions))[1]  # type: ignore[method-assign]  # a spy
        for number in range(400):
            move = WEIGHTED[number * 7 % len(WEIGHTED)]
            getattr(grid, move)(WORKERS[number * 5 % len(WORKERS)], number * 13 % 1_000)
        return seen

    first = orders()
    assert len(first) > 100
    assert first == orders()
