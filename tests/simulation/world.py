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
from collections.abc import Callable
from typing import Any

import msgspec

from tests.simulation.clients import Clients
from tests.simulation.clockwork import VirtualLoop
from tests.simulation.disk import Disk, ModelStore, SharedStore
from tests.simulation.fates import CommitFate, NextCommit
from tests.simulation.faults import FAULTS_END_S, KINDS, Fault, draw_faults
from tests.simulation.ghost import CRASHES_MAX, Ghost, Violation
from tests.simulation.network import Link
from tests.simulation.scheduler_node import SchedulerNode, ServerConnection
from tests.simulation.seats import SESSION_ENDS_S, Seat, Succession, draw_seats
from tests.simulation.ticking import TICKING_FIRST, TICKING_ONE_IN, draw_ticking
from tests.simulation.worker_node import WorkerNode
from tests.simulation.workload import SERIAL_BYTES, Fate, Request, draw_detail, tiles_needed
from xip_core.graph.plan import Node
from xip_scheduler import driver, retention
from xip_scheduler.core.events import WorkerAttached
from xip_scheduler.retention import RetentionRules
from xip_worker.events import (
    DrainRequested,
    Epoch,
    Lease,
    LeaseBound,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    ResultsAcknowledged,
    Welcomed,
)
from xip_worker.messages import DRAIN_ORDERED_GRACE_S

PAUSE_FOUND_AFTER_S = 60.0
"""After the heal: calls of before have been answered, given up or carried out by then."""

HEALED_BOUND_S = 300.0
"""L1: lease durations, detection and attempts at poison tiles; all the work at the slowest host comes on top."""

QUIET_S = 45.0
"""After the last run ended, until every worker must have heard: silences end after 25 s, heartbeats come each 5 s."""

PAIR_SHARE = 0.4
"""Of the schedules with two schedulers on a shared store."""

FLOOD_SHARE = 0.08
FEW_REQUESTS = 9
"""With more of them, workers that hold little hand leases back as fast as they get them, and nothing else is seen."""

SEAT_LOST_SHARE = 0.5
LOOK_INTERVAL_S = 0.5
STORE_TIMEOUT_S = 3.0
DOUBLED_SHARE = 0.5
HEARTBEAT_INTERVAL_S = 5.0
LEASE_DURATION_S = 15.0


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
        self.is_pair = self.chance.random() < PAIR_SHARE
        drawn = draw_faults(self.chance, self.is_pair)
        self.faults = drawn if faults is None else faults
        self.loop = VirtualLoop()
        self.disk = Disk(self.chance)
        self.ghost = Ghost(self.disk)
        self.injected: Counter[str] = Counter()
        self.story: list[str] = []
        self.next_commits: list[NextCommit] = []
        self.slow_disk_until_s = self.doubled_until_s = self.full_disk_until_s = 0.0
        self.stuck_commit_s = 0.0
        self.is_power_loss = False
        self.is_healed = False
        self.rng_spikes = self.chance.choice((0.0, 0.05, 0.2))
        self.epoch_block = self.chance.choice((1, 3, 20, 10_000))
        self.requests: dict[str, Request] = {}
        self.retention: RetentionRules | None = None
        self.originals = self.draw_requests()
        for request in self.originals:
            self.requests[request.run_id] = request
        self.live_runs_max, self.tenant_live_runs_max = self.chance.choice(((1_000, 1_000), (1_000, 4), (6, 3)))
        self.ghost.live_runs_max, self.ghost.tenant_live_runs_max = self.live_runs_max, self.tenant_live_runs_max
        self.leases_held_choice = (64,) if len(self.originals) > FEW_REQUESTS else (16, 64)
        self.gathering_s = self.chance.choice((0.0, 2.0))
        self.tenant_weights = {"rates": self.chance.choice((1.0, 1.0, 4.0)), "flood": self.chance.choice((1.0, 0.5))}
        self.ghost.requests = self.requests
        self.links: list[Link] = []
        self.clients = Clients(self)
        self.succession = Succession(self.ghost)
        self.seats = draw_seats(self)

    def draw_requests(self) -> list[Request]:
        """Runs of their own, and now and then a tenant that submits more than there is room for, all at once; or desks
        whose runs begin with tiles of earlier ones, while retention removes these."""
        chance, aside = self.chance, random.Random(f"detail of {self.seed}")
        if self.seed % TICKING_ONE_IN == TICKING_FIRST:
            self.retention = RetentionRules(chance.choice((5.0, 20.0)), 0, chance.choice((1, 3, 5)))
            return list(draw_ticking(chance, draw_detail(aside)))
        requests = [
            Request(chance, number, detail=draw_detail(aside)) for number in range(chance.choice((2, 4, 6, 9)))
        ]
        if chance.random() < FLOOD_SHARE:
            at_s, count = chance.uniform(1.0, 40.0), chance.choice((10, 20))
            requests += [Request(chance, number, "flood", at_s, draw_detail(aside)) for number in range(count)]
        return requests

    # ---- the schedule

    def begin(self) -> None:
        for seat in self.seats:
            seat.start()
        if self.is_pair:
            self.loop.call_later(LOOK_INTERVAL_S, self.look)
        self.hosts = [
            WorkerNode(self, f"h{number}", self.chance.choice((1, 1, 2, 3)), self.chance.choice((0.5, 1.0, 1.0, 3.0)))
            for number in range(self.chance.choice((2, 3, 4, 5)))
        ]
        for request in self.requests.values():
            self.loop.call_at(request.at_s, lambda request=request: self.clients.spawn(self.clients.submit(request)))
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
        self.slow_disk_until_s = self.doubled_until_s = self.full_disk_until_s = self.stuck_commit_s = 0.0
        self.clients.replies_to_lose = 0
        for host in self.hosts[1 + self.chance.randrange(len(self.hosts)) :]:
            host.is_gone_for_good = True
            host.die(is_silent_s=25.0 * self.chance.random())
        for link in self.links:
            link.spike_share = 0.0
        self.disk.damaged_blobs = False
        for request in list(self.requests.values()):
            self.clients.spawn(self.clients.resume(request))
        for seat in self.seats:
            seat.store_cut_until_s = seat.cut_until_s = 0.0
        if self.is_pair and self.chance.random() < SEAT_LOST_SHARE:
            seat = self.chance.choice(self.seats)
            seat.is_gone_for_good = True
            seat.die("its host is gone for good")

    def has_session(self) -> bool:
        """Does the server know of a connection of the scheduler whose term it has?"""
        node = self.scheduler
        return node is not None and self.loop.now_s - node.seat.store_cut_since_s() < SESSION_ENDS_S

    def look(self) -> None:
        """Watch the schedulers."""
        self.succession.look(self.seats, self.ghost.term, LOOK_INTERVAL_S)
        if self.loop.now_s > FAULTS_END_S + PAUSE_FOUND_AFTER_S:
            self.clients.find_paused()
        self.loop.call_later(LOOK_INTERVAL_S, self.look)

    @property
    def scheduler(self) -> SchedulerNode | None:
        """Whoever leads by right."""
        for seat in self.seats:
            if seat.node is not None and seat.node.store.term == self.ghost.term:
                return seat.node
        return None

    def work_s(self) -> float:
        """Seconds of all tiles, one after the other, on the slowest host at its slowest, attempts at poison too."""
        slowest = 1.5 * max(host.speed for host in self.hosts)
        work_s = 0.0
        for request in self.requests.values():
            tile_count = sum(node.tile_count for node in request.plan.nodes)
            poison_count = sum(fate is Fate.CRASHES for fate in request.fates.values())
            work_s += request.tile_s * (tile_count + CRASHES_MAX * poison_count)
        return slowest * work_s

    def is_over(self) -> bool:
        return self.is_healed and not self.clients.tasks and self.clients.wanted.keys() <= self.ghost.final.keys()

    def run(self) -> Outcome:
        outcome = Outcome(self.seed, injected=self.injected, probes=self.ghost.probes, story=self.story)
        asyncio._set_running_loop(self.loop)
        loggers = driver.logger, retention.logger
        driver.logger = retention.logger = _Silence  # a failed commit is no news here
        try:
            self.begin()
            bound_s = HEALED_BOUND_S + self.work_s()
            self.loop.run(FAULTS_END_S + bound_s, self.is_over)
            outcome.healed_after_s = max(0.0, self.loop.now_s - FAULTS_END_S)
            if not self.is_over():
                late = sorted(self.clients.wanted.keys() - self.ghost.final.keys())
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
            driver.logger, retention.logger = loggers
            self.end()
        outcome.trace = self.loop.trace
        outcome.calls = self.loop.call_count
        return outcome

    def check_end(self) -> None:
        """Everything is final: nothing may be held, and a restart finds nothing to do."""
        node = self.scheduler
        if node is not None and node.is_alive:
            self.ghost.demand(node.core.lease_count() == 0, "L7", "leases of final runs are held")
            self.ghost.memory.compare(node.core)
            self.ghost.takeovers.check_end()
            node.core.check_invariants()
            for name, count in msgspec.structs.asdict(node.core.counters).items():
                if count:
                    self.ghost.probes[f"counter {name}"] += count
        for seat in self.seats:
            seat.die("the end")
        self.seats[0].is_gone_for_good = False
        self.seats[0].is_up = True
        if self.is_pair:
            self.disk.claim(self.disk.observe(has_session=False), is_committing=False)
        self.seats[0].lead(SharedStore if self.is_pair else ModelStore)

    def end(self) -> None:
        """Let no task outlive the world."""
        for seat in self.seats:
            seat.process.wake()
            if seat.node is not None:
                seat.node.die()
        for client in self.clients.tasks:
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
        return self.originals[number % len(self.originals)]

    # ---- the schedulers' lives

    def seat(self, number: int) -> Seat:
        return self.seats[number % len(self.seats)]

    def is_disk_full(self) -> bool:
        return self.loop.now_s < self.full_disk_until_s

    def disk_after_death(self) -> None:
        """What an embedded store's disk has of what its scheduler had written and not synced."""
        unsynced = len(self.disk.entries) - self.disk.synced_count
        kept = self.chance.randint(0, unsynced) if self.is_power_loss else unsynced
        lost = self.disk.lose_unsynced(kept)
        if lost:
            self.probe("unsynced writes lost")
        elif unsynced:
            self.probe("unsynced writes survived")
        self.ghost.lost(lost)
        self.is_power_loss = False

    def put_back(self, share: float) -> None:
        """Somebody copies a backup over the store and starts the scheduler with `--restored`, at once or in the end."""
        newest = self.disk.acknowledged_count - 1
        if newest < 1:
            return
        for seat in self.seats:
            seat.die("a backup is put back")
        self.disk.put_back(1 + int(share * (newest - 1)))
        self.disk.is_restored = self.chance.random() < 0.5
        if not self.disk.is_restored:
            self.loop.call_later(5.0, self.say_restored)
        self.ghost.put_back()
        now_s = self.loop.now_s
        self.clients.wanted.clear()
        for request in self.originals:  # clients submit again what they want; those of retries have given up
            if request.at_s <= now_s:
                self.clients.spawn(self.clients.submit(request))

    def say_restored(self) -> None:
        self.disk.is_restored = len(self.disk.entries) < self.disk.acknowledged_count

    def lose_links(self, node: SchedulerNode | None) -> None:
        """The streams of a scheduler that is gone."""
        gone = [link for link in self.links if link.node is node]
        self.links = [link for link in self.links if link.node is not node]
        for link in gone:
            if link.server_open:
                link.server_open = False
                self.loop.call_later(self.chance.random() * 0.5, link.lose_worker)

    def commit_fate(self, seat: Seat) -> CommitFate:
        write_s, sync_s = 0.0005, 0.001
        if self.loop.now_s < self.slow_disk_until_s:
            sync_s += self.chance.random() * 2.0
            self.count("slow commit")
        if self.stuck_commit_s:
            sync_s, self.stuck_commit_s = self.stuck_commit_s, 0.0
            if sync_s > LEASE_DURATION_S:
                self.probe("commit longer than a lease")
        if not seat.is_store_reachable():
            return CommitFate(STORE_TIMEOUT_S, sync_s, error="refused")
        if self.next_commits:
            fate = self.next_commits.pop(0)
            self.is_power_loss = fate.is_power_loss
            return CommitFate(write_s, sync_s, fate.kill_at, fate.error, fate.stop_s)
        return CommitFate(write_s, sync_s)

    # ---- streams

    def connect(self, worker: WorkerNode) -> Link | None:
        worker.seat_turn += 1
        seat = self.seat(worker.seat_turn)
        node = seat.node
        if node is None or not seat.is_reachable() or node.is_ending:
            return None
        link = Link(self.loop, self.chance, 0.0 if self.is_healed else self.rng_spikes, self.count)
        self.links = [known for known in self.links if known.worker_open or known.server_open]
        self.links.append(link)
        link.node = node
        link.connection = None
        return link

    def hello(self, link: Link, worker_id: str, slot_count: int, attached: WorkerAttached, worker: WorkerNode) -> None:
        node = link.node

        def deliver() -> None:
            node.process.do(attach)

        def attach() -> None:
            if not (node.is_alive and link.server_open):
                return
            connection = link.connection = node.hello(link, worker_id, slot_count, attached)
            link.break_server = lambda: node.process.do(lambda: node.closed(connection))
            welcomed = Welcomed(node.store.term, HEARTBEAT_INTERVAL_S, LEASE_DURATION_S)
            link.down(lambda: worker.receive(link, welcomed))

        link.worker = worker
        link.up(deliver)

    def up(self, link: Link, do: Callable[[SchedulerNode, ServerConnection], None]) -> None:
        node = link.node

        def deliver() -> None:
            node.process.do(read)

        def read() -> None:
            if node.is_alive and link.server_open and link.connection is not None:
                do(node, link.connection)

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

    def send_drain(self, connection: ServerConnection, reason: str) -> None:
        link = connection.link
        link.down(lambda: link.worker.receive(link, DrainRequested(reason, DRAIN_ORDERED_GRACE_S)))

    def send_trimmed(self, connection: ServerConnection, bounds: tuple[LeaseBound, ...]) -> None:
        link = connection.link
        link.down(lambda: link.worker.receive(link, LeasesTrimmed(bounds)))

    def acknowledge(self, connection: ServerConnection, sequence: int) -> None:
        link = connection.link
        if connection.is_open:
            link.down(lambda: link.worker.receive(link, ResultsAcknowledged(sequence)))

    # ---- inputs and poison

    def can_fetch(self, link: Link | None) -> bool:
        return link is not None and link.worker_open and link.server_open and link.node.can_read()

    def fetch(self, request: Request, node: Node, tile: int) -> list[bytes] | None:
        """Values of a tile's inputs as the store has them; b"" for one given up, None when one is not recorded."""
        values = []
        for needed in tiles_needed(request.plan, node, tile):
            key = (request.run_id, *needed)
            if key not in self.ghost.decided:
                return None
            values.append((self.disk.tables.output(*key) or b"")[SERIAL_BYTES:])
        return values

    def crashed(self, worker: WorkerNode, lease: Lease, tile: int) -> None:
        self.count("poison crash")
        self.tell(f"{worker.worker_id} is killed by {lease.run_id} node {lease.node_id} tile {tile}")
        self.ghost.crashed((lease.run_id, lease.node_id, tile), worker.worker_id, self.loop.now_s)


class _Silence:
    """A logger that nobody reads."""

    def __init__(self, name: str) -> None: ...

    def critical(self, *_: object, **__: object) -> None: ...

    def info(self, *_: object, **__: object) -> None: ...


def run_seed(seed: int, faults: list[Fault] | None = None) -> Outcome:
    return World(seed, faults).run()
