"""Where schedulers run: one host for an embedded store, a pair of hosts for a store that is shared.

    down ──started──> waiting ──term raised──> leading ──killed, fenced, store lost──> down

A host of a store of its own leads as soon as it is up (the store's file lock keeps a second one out). Of a pair,
whoever is not leading watches the leader's row in the store; the real `core.leadership.Candidate` says when to claim.

`Succession` is the checker: it keeps times of its own and asks neither side what it believes (L4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.clockwork import Process
from tests.simulation.disk import Disk, ModelStore, SharedStore
from tests.simulation.ghost import Ghost
from tests.simulation.scheduler_node import COMMITTED_ON_THE_WAY, SchedulerNode
from xip_core.errors import StoreError
from xip_scheduler.clock import PatientClock
from xip_scheduler.core.leadership import Candidate, LeaderTimes, Observation

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMES = LeaderTimes(silence_s=5.0, gone_s=2.0, renewal_s=1.0)
SESSION_ENDS_S = 5.0
"""After its leader was cut off, until the server notices."""

STEP_S = 2.0
"""A jump of the clock may shorten a silence by so much (`PatientClock`)."""

TAKEOVER_MAX_S = 10.0
"""L4."""

KEEPALIVE_S = 30.0
"""A peer that does not answer pings for so long is given up, as `xip_worker.connection` asks gRPC to."""


class Seat:
    """One host of a scheduler."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.process = Process(world.loop)
        self.node: SchedulerNode | None = None
        self.is_up = False
        self.is_gone_for_good = False
        self.incarnation = 0
        self.stopped_until_s = self.store_cut_until_s = self.cut_until_s = 0.0
        self.store_cut_begin_s = 0.0
        self.wall_clock_offset_s = self.clock_offset_s = 0.0

    # ---- the process

    def start(self) -> None:
        if self.is_up or self.is_gone_for_good:
            return
        self.is_up = True
        self.incarnation += 1
        self.candidate = Candidate(TIMES)
        self.clock = PatientClock(lambda: self.world.loop.now_s + self.clock_offset_s)
        if self.world.is_pair:
            self.later(self.world.chance.random() * TIMES.renewal_s, self.watch)
        else:
            self.lead(ModelStore)

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """A timer of this process: void after its death, late while it is stopped."""
        incarnation = self.incarnation

        def ring() -> None:
            if self.is_up and self.incarnation == incarnation:
                do()

        self.process.call_later(delay_s, ring)

    def stop(self, duration_s: float) -> None:
        """SIGSTOP, and SIGCONT after *duration_s*."""
        world = self.world
        if not self.is_up or world.loop.now_s < self.stopped_until_s:
            return
        self.process.stop()
        self.stopped_until_s = world.loop.now_s + duration_s
        world.loop.call_at(self.stopped_until_s, self.wake)
        if self.node is not None and duration_s > KEEPALIVE_S:
            for link in [link for link in world.links if link.node is self.node]:
                world.loop.call_later(KEEPALIVE_S, link.lose_worker)

    def wake(self) -> None:
        if self.world.loop.now_s >= self.stopped_until_s:
            self.process.wake()

    def die(self, reason: str) -> None:
        """kill -9, or an end that is as sudden."""
        if not self.is_up:
            return
        world = self.world
        self.is_up = False
        node, self.node = self.node, None
        if node is not None:
            node.die()
            world.disk.abandon(node.store.term)
        world.tell(f"scheduler {self.number} dies: {reason}")
        self.stopped_until_s = 0.0
        self.process.wake()
        if not world.is_pair:
            world.disk_after_death()
        world.lose_links(node)
        world.loop.call_later(0.3 + 2.0 * world.chance.random(), self.start)

    def terminate(self) -> None:
        """SIGTERM: the streams are closed, the batch is finished, then it ends; a second one changes nothing."""
        node = self.node
        if node is None:
            self.die("told to end while it waited")
        elif not node.is_ending:
            self.world.probe("scheduler ends in order")
            node.is_ending = True
            self.process.do(lambda: node.end_orderly() if node.is_alive else None)

    # ---- leading

    def is_store_reachable(self) -> bool:
        return self.world.loop.now_s >= self.store_cut_until_s

    def store_cut_since_s(self) -> float:
        """When it lost the store; now while it has not."""
        now_s = self.world.loop.now_s
        return self.store_cut_begin_s if now_s < self.store_cut_until_s else now_s

    def is_reachable(self) -> bool:
        return self.world.loop.now_s >= self.cut_until_s

    def lead(self, open_store: Callable[[Disk], ModelStore]) -> None:
        world = self.world
        if world.is_disk_full():
            world.probe("no start on a full disk")
            self.die("the disk is full")
            return
        rate = 1.0 if world.is_healed else world.chance.choice((0.5, 1.0, 1.0, 2.0))
        if rate != 1.0:
            world.count("clock rate skew")
        try:
            store = open_store(world.disk)
            self.node = SchedulerNode(world, self, store, rate)
        except StoreError as error:
            world.probe("store refused at the start")
            self.die(str(error))
            return
        world.tell(f"scheduler {self.number} leads, term {store.term}, clock rate {rate:g}")
        if world.is_pair:
            self.later(TIMES.renewal_s, self.beat)

    def beat(self) -> None:
        """Renew the right to lead; a leader that cannot, or may not, ends."""
        self.later(self.round_trip_s(), self.renew)

    def round_trip_s(self) -> float:
        """To the store and back; whatever else the process does goes on meanwhile."""
        return 0.002 + 0.3 * self.world.chance.random() ** 4

    def renew(self) -> None:
        node = self.node
        if node is None or not node.is_alive:
            return
        if not self.is_store_reachable():
            self.die("the store cannot be reached")
            return
        assert isinstance(node.store, SharedStore)
        if not node.store.renew():
            self.world.probe("leader found itself replaced")
            self.die("another scheduler leads")
            return
        self.world.succession.beaten_s = self.world.loop.now_s
        self.later(TIMES.renewal_s, self.beat)

    # ---- waiting

    def watch(self) -> None:
        """One look at the leader's row; nobody who is cut off sees anything."""
        if self.node is not None:
            return
        self.later(TIMES.renewal_s, self.watch)
        if not self.is_store_reachable():
            return
        observed = self.world.disk.observe(self.world.has_session())
        if self.candidate.observe(observed, self.clock.now_s()):
            self.later(self.round_trip_s(), lambda: self.claim(observed))

    def claim(self, observed: Observation) -> None:
        world = self.world
        if self.node is not None or not self.is_store_reachable():
            return
        is_committing = world.chance.random() < COMMITTED_ON_THE_WAY
        if world.disk.open_transaction is not None:
            world.probe("takeover during commit")
        if not world.disk.claim(observed, is_committing):
            world.probe("claim refused")
            return
        world.succession.taken(self, observed.is_released, world.loop.now_s)
        self.lead(SharedStore)


class Succession:
    """L4: who could lead is leading, before long, and not everybody in turn."""

    def __init__(self, ghost: Ghost) -> None:
        self.ghost = ghost
        self.idle_s: dict[tuple[int, int], float] = {}
        self.beaten_s = self.taken_s = float("-inf")
        self.taken_count = 0

    def taken(self, seat: Seat, is_released: bool, now_s: float) -> None:
        """Nobody is replaced who has just proved that he leads, and nobody before he had time to; but for a goodbye."""
        demand, who = self.ghost.demand, f"scheduler {seat.number}"
        if not is_released:
            taken_s, beaten_s = now_s - self.taken_s, now_s - self.beaten_s
            demand(taken_s >= TIMES.silence_s - STEP_S, "L4", f"{who} took over {taken_s:.1f} s after another")
            demand(beaten_s >= TIMES.gone_s - TIMES.renewal_s, "L4", f"{who} replaced a leader that has just beaten")
        if self.taken_count:
            self.ghost.probes["standby took over after a goodbye" if is_released else "standby took over"] += 1
        self.taken_count += 1
        self.taken_s = now_s
        self.idle_s.clear()

    def look(self, seats: list[Seat], term: int, elapsed_s: float) -> None:
        """To be called every so often: how long has each process been able to lead, and nobody did?"""
        able = [seat for seat in seats if seat.is_up and not seat.process.is_stopped and seat.is_store_reachable()]
        is_led = any(seat.node is not None and seat.node.store.term == term for seat in able)
        before, self.idle_s = self.idle_s, {}
        for seat in able:
            who = (seat.number, seat.incarnation)
            idle_s = self.idle_s[who] = 0.0 if is_led else before.get(who, 0.0) + elapsed_s
            self.ghost.demand(idle_s <= TAKEOVER_MAX_S, "L4", f"nobody leads, and scheduler {seat.number} can")


def draw_seats(world: World) -> list[Seat]:
    return [Seat(world, number) for number in range(2 if world.is_pair else 1)]
