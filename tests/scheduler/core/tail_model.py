"""A grid in virtual time, to see how a run ends: the real core, and workers that are only as fast as they are.

    python -m tests.scheduler.core.tail_model        one line per scenario: how long the idle waited, in medians

A worker evaluates its leases in order, tile by tile, one lease a slot; reports what it has finished every REPORT_S and
at the end of a lease; answers a trim with what it has begun. Every message takes LATENCY_S. A tile takes its declared
time over the worker's speed, times something between 0.5 and 1.5 that follows from its number.

Measured, from the moment 95 % of the run's work is recorded until the run's last tile is evaluated:

    wait      of a slot: the longest time it had nothing while another slot computed
    median    of the times slots spent on partitions, over the whole run
"""

from __future__ import annotations

import heapq
import itertools
import statistics
import sys
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from tests.scheduler.core.builders import a_probe_plan
from xip_scheduler.core.actions import Action, GrantLease, RecordTiles, RevokeLease, TrimLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    LeaseKept,
    RunSubmitted,
    Tick,
    TilesReported,
    WorkerAttached,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, RunId, WorkerId

LATENCY_S = 0.002
"""One way, a commit included."""

REPORT_S = 0.020
HEARTBEAT_S = 5.0
TAIL_FRACTION = 0.05


class Scenario(msgspec.Struct, frozen=True):
    """
    Attributes:
        speeds: of the workers; 1 is the one the plan's costs are true for.
        change: (worker, when, its speed from then on).
    """

    name: str
    speeds: tuple[float, ...]
    tile_s: float
    tile_count: int
    slot_count: int = 1
    change: tuple[int, float, float] | None = None


class Figures(msgspec.Struct, frozen=True):
    """
    Attributes:
        ideal_s: how long the work takes if no slot ever waits.
    """

    elapsed_s: float
    ideal_s: float
    median_s: float
    wait_s: float
    lease_count: int
    trim_count: int

    @property
    def wait_in_medians(self) -> float:
        return self.wait_s / self.median_s


class Held:
    def __init__(self, grant: GrantLease) -> None:
        self.epoch = grant.epoch
        self.next_tile = grant.tile_begin
        self.reported_tile = grant.tile_begin
        self.tile_end = grant.tile_end
        self.begun_s = self.reported_s = 0.0
        self.tile_begun_s = 0.0


class Slots:
    """One worker: *running* of its leases are in slots, the others wait."""

    def __init__(self, grid: Grid, number: int, speed: float, slot_count: int) -> None:
        self.grid = grid
        self.worker_id = WorkerId(f"w{number}")
        self.speed = speed
        self.queue: deque[Held] = deque()
        self.running: list[Held | None] = [None] * slot_count
        self.idle_since_s: list[float] = [0.0] * slot_count

    def find(self, epoch: int) -> Held | None:
        return next((held for held in (*self.running, *self.queue) if held is not None and held.epoch == epoch), None)

    def granted(self, grant: GrantLease) -> None:
        self.queue.append(Held(grant))
        self.fill()

    def revoked(self, epoch: int) -> None:
        held = self.find(epoch)
        if held is not None:
            held.tile_end = held.next_tile

    def fill(self) -> None:
        for slot, busy in enumerate(self.running):
            while self.queue and self.queue[0].tile_end <= self.queue[0].next_tile:
                self.queue.popleft()
            if busy is None and self.queue:
                self.running[slot] = held = self.queue.popleft()
                held.begun_s = held.reported_s = self.grid.now_s
                self.grid.slot_idle(self.idle_since_s[slot], self.grid.now_s)
                self.next_tile(slot, held)

    def next_tile(self, slot: int, held: Held) -> None:
        held.next_tile += 1
        draw = (held.next_tile * 2_654_435_761) % 1_024 / 1_024
        held.tile_begun_s = self.grid.now_s
        self.grid.later(self.grid.scenario.tile_s * (0.5 + draw) / self.speed, lambda: self.tile_done(slot, held))

    def tile_done(self, slot: int, held: Held) -> None:
        grid = self.grid
        grid.computing_until_s = grid.now_s
        is_over = held.next_tile >= held.tile_end
        if is_over or grid.now_s - held.reported_s >= REPORT_S:
            begin, end = held.reported_tile, held.next_tile
            elapsed_ns = round((grid.now_s - held.reported_s) * 1e9)
            held.reported_tile, held.reported_s = end, grid.now_s
            grid.tell(TilesReported(self.worker_id, held.epoch, begin, end, end - begin, (), elapsed_ns))
        if not is_over:
            self.next_tile(slot, held)
            return
        grid.partitions_s.append(grid.now_s - held.begun_s)
        self.running[slot] = None
        self.idle_since_s[slot] = grid.now_s
        self.fill()

    def trimmed(self, trim: TrimLease) -> None:
        held = self.find(trim.epoch)
        if held is not None:
            held.tile_end = min(held.tile_end, max(trim.tile_end, held.next_tile))
            self.grid.tell(LeaseKept(self.worker_id, held.epoch, held.tile_end))

    def beat(self) -> None:
        held = [held for held in (*self.running, *self.queue) if held is not None]
        self.grid.tell(HeartbeatReceived(self.worker_id, tuple((lease.epoch, 0) for lease in held)))
        self.grid.later(HEARTBEAT_S, self.beat)


class Grid:
    def __init__(self, scenario: Scenario, limits: Limits | None = None) -> None:
        self.scenario = scenario
        self.core = Core(limits)
        self.now_s = 0.0
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.partitions_s: list[float] = []
        self.recorded = 0
        self.tail_s: float | None = None
        self.computing_until_s = 0.0
        self.idle: list[tuple[float, float]] = []
        self.workers = [Slots(self, number, speed, scenario.slot_count) for number, speed in enumerate(scenario.speeds)]

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (self.now_s + delay_s, next(self.order), do))

    def tell(self, event: Event) -> None:
        self.later(LATENCY_S, lambda: self.handle(event))

    def handle(self, event: Event) -> None:
        for action in self.core.handle(event, self.now_s):
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        if isinstance(action, RecordTiles):
            self.recorded += action.tile_end - action.tile_begin
            if self.tail_s is None and self.recorded >= (1 - TAIL_FRACTION) * self.scenario.tile_count:
                self.tail_s = self.now_s
        elif isinstance(action, GrantLease | TrimLease | RevokeLease):
            worker = self.workers[int(action.worker_id[1:])]
            self.later(LATENCY_S, lambda: self.deliver(worker, action))

    def deliver(self, worker: Slots, action: GrantLease | TrimLease | RevokeLease) -> None:
        match action:
            case GrantLease():
                worker.granted(action)
            case TrimLease():
                worker.trimmed(action)
            case RevokeLease():
                worker.revoked(action.epoch)

    def slot_idle(self, begin_s: float, end_s: float) -> None:
        self.idle.append((begin_s, end_s))

    def run(self) -> Figures:
        scenario = self.scenario
        for worker in self.workers:
            self.handle(WorkerAttached(worker.worker_id, ConnectionId(1), scenario.slot_count))
            self.later(HEARTBEAT_S, worker.beat)
        if scenario.change is not None:
            number, when_s, speed = scenario.change
            self.later(when_s, lambda: setattr(self.workers[number], "speed", speed))
        plan = a_probe_plan(scenario.tile_count, 0, scenario.tile_s)
        self.handle(RunSubmitted(RunId("r1"), "desk", "r1", "q1", plan, "", ""))
        while self.core.live_run_count():
            deadline_s = self.core.next_deadline_s()
            if deadline_s is not None and deadline_s < self.timers[0][0]:
                self.now_s = max(self.now_s, deadline_s)
                self.handle(Tick())
                continue
            self.now_s, _, do = heapq.heappop(self.timers)
            do()
        return self.figures()

    def figures(self) -> Figures:
        end_s, tail_s = self.computing_until_s, self.tail_s or 0.0
        for worker in self.workers:
            for slot, held in enumerate(worker.running):
                assert held is None, "the run is over"
                self.slot_idle(worker.idle_since_s[slot], end_s)
        waits = [min(end, end_s) - max(begin, tail_s) for begin, end in self.idle]
        scenario = self.scenario
        counters = self.core.counters
        return Figures(
            elapsed_s=end_s,
            ideal_s=scenario.tile_count * scenario.tile_s / (sum(scenario.speeds) * scenario.slot_count),
            median_s=statistics.median(self.partitions_s),
            wait_s=max([0.0, *waits]),
            lease_count=counters.leases_granted,
            trim_count=counters.leases_trimmed,
        )


MIXED = tuple(1.0 / (1 + number % 10) for number in range(40))
"""Ten times as fast, and everything between."""

SCENARIOS = (
    Scenario("40 equal workers, 1 ms tiles", (1.0,) * 40, 0.001, 400_000),
    Scenario("40 workers 1 to 10x, 1 ms tiles", MIXED, 0.001, 200_000),
    Scenario("40 workers 1 to 10x, 20 ms tiles", MIXED, 0.020, 10_000),
    Scenario("40 workers 1 to 10x, 200 ms tiles", MIXED, 0.200, 2_000),
    Scenario("10 workers 1 to 10x, 4 slots, 5 ms tiles", MIXED[:10], 0.005, 20_000, 4),
    Scenario("two workers, one 10x slower, 10 ms tiles", (1.0, 0.1), 0.010, 3_000),
    Scenario("one of 20 becomes 10x slower, 5 ms tiles", (1.0,) * 20, 0.005, 20_000, change=(3, 2.0, 0.1)),
    Scenario("one of 20 becomes 10x slower at the end", (1.0,) * 20, 0.005, 20_000, change=(3, 4.6, 0.1)),
)


def main(scenarios: Sequence[Scenario] = SCENARIOS) -> int:
    print(f"{'scenario':44} {'wait':>8} {'median':>8} {'medians':>8} {'elapsed':>8} {'ideal':>8} {'leases':>7} trims")
    worst = 0.0
    for scenario in scenarios:
        figures = Grid(scenario).run()
        worst = max(worst, figures.wait_in_medians)
        print(
            f"{scenario.name:44} {figures.wait_s:6.3f} s {figures.median_s:6.3f} s {figures.wait_in_medians:8.2f} "
            f"{figures.elapsed_s:6.2f} s {figures.ideal_s:6.2f} s {figures.lease_count:7} {figures.trim_count:5}"
        )
    print(f"longest wait in the last {TAIL_FRACTION:.0%} of the work: {worst:.2f} median partition times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
