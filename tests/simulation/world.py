"""One seed, one schedule: hosts, a scheduler, a disk, clients, faults; then a partial heal.

    [0, FAULTS_END_S)   faults strike; safety is checked at every commit, grant, acknowledgement and restart
    from then on        no new fault; some hosts stay dead for ever; every run must become final within
                        HEALED_BOUND_S + the work

Poison and failing tiles are properties of the work, not faults that heal: they go on killing until the scheduler gives
them up.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from tests.simulation.clockwork import VirtualLoop
from tests.simulation.disk import Disk
from tests.simulation.faults import FAULTS_END_S, KINDS, Fault, draw_faults
from tests.simulation.ghost import Ghost, Violation
from tests.simulation.network import Link
from tests.simulation.scheduler_node import SchedulerNode, ServerConnection
from tests.simulation.worker_node import WorkerNode
from tests.simulation.workload import SERIAL_BYTES, Request, tiles_needed
from xip_core.graph.plan import Node
from xip_scheduler import driver
from xip_scheduler.core.events import WorkerAttached
from xip_worker.events import Epoch, Lease, LeasesReceived, LeasesRevoked, ResultsAcknowledged, Welcomed

HEALED_BOUND_S = 300.0
"""L1: lease durations, detection and attempts at poison tiles; all the work at the slowest host comes on top."""

CRASHES_MAX = 3
"""S16: workers one poison tile may kill in one term of the scheduler. The goal is 3; see tests/README.md."""

QUIET_S = 45.0
"""After the last run ended, until every worker must have heard: silences end after 25 s, heartbeats come each 5 s."""

REPLY_TIMEOUT_S = 5.0
DOUBLED_SHARE = 0.5
HEARTBEAT_INTERVAL_S = 5.0
LEASE_DURATION_S = 15.0


class CommitFate(msgspec.Struct, frozen=True):
    """Attributes: kill_at: point of the commit where the scheduler is killed, 0 for none (see scheduler_node)."""

    write_s: float
    sync_s: float
    kill_at: int = 0
    error: str = ""


class Outcome(msgspec.Struct):
    """What a seed came to."""

    seed: int
    violation: str = ""
    trace: int = 0
    calls: int = 0
    healed_after_s: float = 0.0
    injected: Counter[str] = msgspec.field(default_factory=Counter)
    probes: Counter[str] = msgspec.field(default_factory=Counter)
    story: list[str] = []


class World:
    def __init__(self, seed: int, faults: list[Fault] | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        drawn = draw_faults(self.chance)
        self.faults = drawn if faults is None else faults
        self.loop = VirtualLoop()
        self.disk = Disk()
        self.ghost = Ghost(self.disk)
        self.injected: Counter[str] = Counter()
        self.story: list[str] = []
        self.next_commits: list[tuple[int, str, bool]] = []
        self.slow_disk_until_s = self.doubled_until_s = 0.0
        self.stuck_commit_s = 0.0
        self.replies_to_lose = 0
        self.is_power_loss = False
        self.is_healed = False
        self.rng_spikes = self.chance.choice((0.0, 0.05, 0.2))
        self.epoch_block = self.chance.choice((1, 3, 20, 10_000))
        self.requests: dict[str, Request] = {}
        for number in range(self.chance.choice((2, 4, 6, 9))):
            request = Request(self.chance, number)
            self.requests[request.run_id] = request
        self.ghost.requests = self.requests
        self.links: list[Link] = []
        self.clients: set[asyncio.Task[None]] = set()
        self.scheduler: SchedulerNode | None = None

    # ---- the schedule

    def begin(self) -> None:
        self.start_scheduler()
        self.hosts = [
            WorkerNode(self, f"h{number}", self.chance.choice((1, 1, 2, 3)), self.chance.choice((0.5, 1.0, 1.0, 3.0)))
            for number in range(self.chance.choice((2, 3, 4, 5)))
        ]
        for request in self.requests.values():
            self.loop.call_at(request.at_s, lambda request=request: self.spawn(self.submit(request)))
        for fault in self.faults:
            self.loop.call_at(fault.at_s, self.strike, fault)
        self.loop.call_at(FAULTS_END_S, self.heal)

    def strike(self, fault: Fault) -> None:
        self.injected[fault.kind] += 1
        self.tell(f"{fault.kind} (target {fault.target}, amount {fault.amount:.3f})")
        KINDS[fault.kind][1](self, fault)

    def heal(self) -> None:
        """No new faults; a random part of the hosts is gone for good, at least one is not."""
        self.is_healed = True
        self.tell("heal")
        self.next_commits.clear()
        self.slow_disk_until_s = self.doubled_until_s = self.stuck_commit_s = 0.0
        self.replies_to_lose = 0
        for host in self.hosts[1 + self.chance.randrange(len(self.hosts)) :]:
            host.is_gone_for_good = True
            host.die(is_silent_s=25.0 * self.chance.random())
        for link in self.links:
            link.spike_share = 0.0

    def work_s(self) -> float:
        """Seconds of all tiles, one after the other, on the slowest host at its slowest."""
        slowest = 1.5 * max(host.speed for host in self.hosts)
        tiles = ((request.tile_s, node.tile_count) for request in self.requests.values() for node in request.plan.nodes)
        return slowest * sum(tile_s * tile_count for tile_s, tile_count in tiles)

    def is_over(self) -> bool:
        return self.is_healed and not self.clients and len(self.ghost.final) == len(self.requests)

    def run(self) -> Outcome:
        outcome = Outcome(self.seed, injected=self.injected, probes=self.ghost.probes, story=self.story)
        asyncio._set_running_loop(self.loop)
        logger, driver.logger = driver.logger, _Silence  # a failed commit is no news here
        try:
            self.begin()
            bound_s = HEALED_BOUND_S + self.work_s()
            self.loop.run(FAULTS_END_S + bound_s, self.is_over)
            outcome.healed_after_s = max(0.0, self.loop.now_s - FAULTS_END_S)
            if not self.is_over():
                late = sorted(self.requests.keys() - self.ghost.final.keys())
                raise Violation(f"L1: not final {bound_s:g} s after the heal: {late}")
            self.loop.run(self.loop.now_s + QUIET_S, lambda: False)
            for host in self.hosts:
                host.check_quiet()
            self.check_end()
        except (Violation, AssertionError) as error:
            outcome.violation = f"{type(error).__name__} {error}" if str(error) else repr(error)
            self.tell(outcome.violation)
        except (KeyError, IndexError, ValueError, TypeError) as error:  # a mutation may break the code itself
            outcome.violation = f"raised {error!r}"
            self.tell(outcome.violation)
        finally:
            asyncio._set_running_loop(None)
            driver.logger = logger
            self.end()
        outcome.trace = self.loop.trace
        outcome.calls = self.loop.call_count
        return outcome

    def check_end(self) -> None:
        """Everything is final: nothing may be held, and a restart finds nothing to do."""
        node = self.scheduler
        if node is not None and node.is_alive:
            self.ghost.demand(node.core.lease_count() == 0, "L7", "leases of final runs are held")
            self.ghost.equal(node.core)
            node.core.check_invariants()
            for name, count in msgspec.structs.asdict(node.core.counters).items():
                if count:
                    self.ghost.probes[f"counter {name}"] += count
        self.scheduler_died("the end")
        self.start_scheduler()

    def end(self) -> None:
        """Let no task outlive the world."""
        if self.scheduler is not None:
            self.scheduler.die()
        for client in self.clients:
            client.cancel()
        for _ in range(3):
            while self.loop._ready:
                call = self.loop._ready.popleft()
                if not call.is_cancelled:
                    try:
                        call.callback(*call.args)
                    except (Violation, AssertionError, KeyError, IndexError, ValueError, TypeError):
                        continue

    # ---- books

    def tell(self, line: str) -> None:
        self.story.append(f"{self.loop.now_s:8.3f}  {line}")

    def probe(self, name: str) -> None:
        self.ghost.probes[name] += 1

    def note(self, text: str) -> None:
        self.loop.note(text)

    def count(self, kind: str) -> None:
        self.injected[kind] += 1

    def host(self, number: int) -> WorkerNode:
        return self.hosts[number % len(self.hosts)]

    def nth_request(self, number: int) -> Request:
        return list(self.requests.values())[number % len(self.requests)]

    # ---- the scheduler's life

    def start_scheduler(self) -> None:
        rate = 1.0 if self.is_healed else self.chance.choice((0.5, 1.0, 1.0, 2.0))
        if rate != 1.0:
            self.count("clock rate skew")
        self.scheduler = SchedulerNode(self, rate)
        self.tell(f"scheduler starts, term {self.scheduler.store.term}, clock rate {rate:g}")

    def scheduler_died(self, reason: str) -> None:
        node = self.scheduler
        if node is None or not node.is_alive:
            return
        node.die()
        self.tell(f"scheduler dies: {reason}")
        unsynced = len(self.disk.entries) - self.disk.synced_count
        kept = self.chance.randint(0, unsynced) if self.is_power_loss else unsynced
        lost = self.disk.lose_unsynced(kept)
        if lost:
            self.probe("unsynced writes lost")
        elif unsynced:
            self.probe("unsynced writes survived")
        self.ghost.lost(lost)
        self.is_power_loss = False
        for link in self.links:
            if link.server_open:
                link.server_open = False
                self.loop.call_later(self.chance.random() * 0.5, link.lose_worker)
        self.links.clear()
        if reason != "the end":
            self.loop.call_later(0.3 + 2.0 * self.chance.random(), self.start_scheduler)

    def commit_fate(self) -> CommitFate:
        write_s, sync_s = 0.0005, 0.001
        if self.loop.now_s < self.slow_disk_until_s:
            sync_s += self.chance.random() * 2.0
            self.count("slow commit")
        if self.stuck_commit_s:
            sync_s, self.stuck_commit_s = self.stuck_commit_s, 0.0
            if sync_s > LEASE_DURATION_S:
                self.probe("commit longer than a lease")
        if self.next_commits:
            kill_at, error, self.is_power_loss = self.next_commits.pop(0)
            return CommitFate(write_s, sync_s, kill_at, error)
        return CommitFate(write_s, sync_s)

    # ---- streams

    def connect(self, worker: WorkerNode) -> Link | None:
        node = self.scheduler
        if node is None or not node.is_alive:
            return None
        link = Link(self.loop, self.chance, 0.0 if self.is_healed else self.rng_spikes, self.count)
        self.links = [known for known in self.links if known.worker_open or known.server_open]
        self.links.append(link)
        link.node = node
        link.connection = None
        return link

    def hello(self, link: Link, worker_id: str, slot_count: int, attached: WorkerAttached, worker: WorkerNode) -> None:
        def deliver() -> None:
            node = link.node
            connection = link.connection = node.hello(link, worker_id, slot_count, attached)
            link.break_server = lambda: node.closed(connection)
            welcomed = Welcomed(node.store.term, HEARTBEAT_INTERVAL_S, LEASE_DURATION_S)
            link.down(lambda: worker.receive(link, welcomed))

        link.worker = worker
        link.up(deliver)

    def up(self, link: Link, do: Callable[[SchedulerNode, ServerConnection], None]) -> None:
        def deliver() -> None:
            if link.node.is_alive and link.connection is not None:
                do(link.node, link.connection)

        link.up(deliver)

    def is_doubled(self) -> bool:
        if self.loop.now_s < self.doubled_until_s and self.chance.random() < DOUBLED_SHARE:
            self.count("message doubled")
            return True
        return False

    def send_leases(self, connection: ServerConnection, leases: tuple[Lease, ...]) -> None:
        link = connection.link
        link.down(lambda: link.worker.receive(link, LeasesReceived(leases)))

    def send_revoked(self, connection: ServerConnection, epochs: tuple[Any, ...]) -> None:
        link = connection.link
        link.down(lambda: link.worker.receive(link, LeasesRevoked(tuple(Epoch(epoch) for epoch in epochs))))

    def acknowledge(self, connection: ServerConnection, sequence: int) -> None:
        link = connection.link
        if connection.is_open:
            link.down(lambda: link.worker.receive(link, ResultsAcknowledged(sequence)))

    # ---- inputs and poison

    def can_fetch(self, link: Link | None) -> bool:
        return link is not None and link.worker_open and link.server_open and link.node.is_alive

    def fetch(self, request: Request, node: Node, tile: int) -> list[bytes] | None:
        """Values of a tile's inputs as the store has them; b"" for one given up, None when one is not recorded."""
        values = []
        for needed in tiles_needed(request.plan, node, tile):
            key = (request.run_id, *needed)
            if key not in self.ghost.decided:
                return None
            values.append(self.disk.tables.outputs.get(key, b"")[SERIAL_BYTES:])
        return values

    def crashed(self, worker: WorkerNode, lease: Lease, tile: int) -> None:
        self.count("poison crash")
        self.tell(f"{worker.worker_id} is killed by {lease.run_id} node {lease.node_id} tile {tile}")
        key = (lease.run_id, lease.node_id, tile, self.ghost.term)
        self.ghost.crashes[key] += 1
        self.ghost.demand(self.ghost.crashes[key] <= CRASHES_MAX, "S16", f"poison {key} killed {CRASHES_MAX} workers")

    # ---- clients

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self.clients.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self.clients.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

        task.add_done_callback(done)

    async def call(self, ask: Callable[[SchedulerNode], Coroutine[Any, Any, Any]]) -> tuple[Any]:
        """A call repeated until it is answered, in a 1-tuple."""
        while True:
            await self.loop.passed(0.002)
            node = self.scheduler
            if node is not None and node.is_alive:
                answer = self.loop.create_task(ask(node))
                await asyncio.wait({answer}, timeout=REPLY_TIMEOUT_S)
                if answer.done() and node.is_alive:
                    if self.replies_to_lose:
                        self.replies_to_lose -= 1
                        self.probe("reply lost")
                    else:
                        return (answer.result(),)
                answer.cancel()
            await self.loop.passed(0.1 + 0.4 * self.chance.random())

    async def submit(self, request: Request) -> None:
        (run_id,) = await self.call(lambda node: node.submit(request, request.payload_hash))
        self.ghost.demand(run_id is not None, "S6", f"{request.request_id} with the same content is refused")
        self.ghost.acknowledged_submit(request, run_id)

    async def submit_other(self, request: Request) -> None:
        (run_id,) = await self.call(lambda node: node.submit(request, "other"))
        self.ghost.demand(run_id is None, "S6", f"{request.request_id} with other content became {run_id}")

    async def cancel(self, request: Request) -> None:
        (is_known,) = await self.call(lambda node: node.cancel(request.run_id))
        if is_known:
            self.ghost.acknowledged_cancel(request.run_id)
        else:
            known = request.run_id in self.ghost.acknowledged_runs
            self.ghost.demand(not known, "S5", f"{request.run_id} was acknowledged and is unknown")


class _Silence:
    """A logger that nobody reads."""

    def __init__(self, name: str) -> None: ...

    def critical(self, *_: object, **__: object) -> None: ...


def run_seed(seed: int, faults: list[Fault] | None = None) -> Outcome:
    return World(seed, faults).run()
