"""A worker's process: the real core, with an executor and a stream as the daemon makes them.

A host runs one process at a time; each gets a new worker id, as the daemon does. A paused process (SIGSTOP) does
nothing at all; what happens to it meanwhile is done in order when it wakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.executor import Executor
from tests.simulation.scheduler_node import SchedulerNode, ServerConnection
from tests.simulation.workload import KERNELS
from xip_core.errors import FailureReason
from xip_scheduler.core.events import (
    Event as SchedulerEvent,
)
from xip_scheduler.core.events import (
    HeartbeatReceived,
    HeldLease,
    LeaseKept,
    LeaseReturned,
    TileFailed,
    TilesReported,
    WorkerAttached,
    WorkerDraining,
)
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId
from xip_scheduler.journal import TilePayload
from xip_scheduler.rpc.tile_reports import POISON_REASONS
from xip_worker.core import Connection, WorkerCore
from xip_worker.events import (
    Action,
    Connected,
    ConnectionLost,
    DrainRequested,
    EvaluateLeases,
    Event,
    FailedTile,
    FinishedTiles,
    LeasesReceived,
    Leave,
    Outcome,
    ResultsAcknowledged,
    ResultsWritten,
    RevokeRunning,
    SendDrain,
    SendHeartbeat,
    SendHello,
    SendResults,
    Ticked,
    TrimRunning,
    Welcomed,
)

if TYPE_CHECKING:
    from tests.simulation.network import Link
    from tests.simulation.world import World

CONNECT_TIMEOUT_S = 10.0
RESTART_S = 0.7
CHECKED_ONE_IN = 16


class WorkerNode:
    def __init__(self, world: World, host: str, slot_count: int, speed: float) -> None:
        self.world = world
        self.host = host
        self.is_last = host == "h0"
        self.slot_count = slot_count
        self.speed = speed
        self.incarnation = 0
        self.seat_turn = 0
        self.clock_offset_s = 0.0
        self.is_alive = False
        self.is_gone_for_good = False
        self.paused_until_s = 0.0
        self.backlog: list[Callable[[], None]] = []
        self.link: Link | None = None
        self.start()

    # ---- the process

    def start(self) -> None:
        if self.is_alive or self.is_gone_for_good:
            return
        self.incarnation += 1
        self.worker_id = f"{self.host}.{self.incarnation}"
        self.is_alive = True
        chance = self.world.chance
        self.kernels = KERNELS if self.is_last else chance.choice((KERNELS, KERNELS, KERNELS[:1], KERNELS[1:]))
        self.core = WorkerCore(
            self.slot_count,
            leases_held_max=chance.choice(self.world.leases_held_choice),
            message_bytes_max=chance.choice((300, 2_000)),
            retained_bytes_max=chance.choice((2_000, 1 << 20)),
        )
        self.executor = Executor(self)
        self.timer_s: float | None = None
        self.failed_tries = 0
        self.event_count = 0
        self.last_progress: tuple[int, ...] = ()
        self.vouched: set[int] = set()
        self.promised: dict[int, int] = {}
        self.unacknowledged: dict[int, tuple[Outcome, ...]] = {}
        self.owed: dict[int, Outcome] = {}
        self.is_sending = False
        self.later(0.01, self.connect)

    def die(self, is_silent_s: float = 0.0) -> None:
        """kill -9; with *is_silent_s* the machine goes, and the scheduler hears nothing for so long."""
        if not self.is_alive:
            return
        self.is_alive = False
        self.backlog.clear()
        self.paused_until_s = 0.0
        link, self.link = self.link, None
        if link is not None:
            link.break_worker = lambda: None
            link.stalled_until_s[0] = max(link.stalled_until_s[0], self.world.loop.now_s + is_silent_s)
            link.close_worker()
        self.world.loop.call_later(RESTART_S + self.world.chance.random() * 3.0, self.start)

    def pause(self, duration_s: float) -> None:
        if self.is_alive and self.world.loop.now_s >= self.paused_until_s:
            self.paused_until_s = self.world.loop.now_s + duration_s
            self.world.loop.call_at(self.paused_until_s, self.resume)

    def resume(self) -> None:
        if self.world.loop.now_s < self.paused_until_s:
            return
        backlog, self.backlog = self.backlog, []
        for waiting in backlog:
            waiting()

    def now_or_awake(self, do: Callable[[], None]) -> None:
        if self.world.loop.now_s < self.paused_until_s:
            self.backlog.append(do)
        else:
            do()

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """A timer of this process: void after its death, late while it is paused."""
        incarnation = self.incarnation

        def ring() -> None:
            if self.is_alive and self.incarnation == incarnation:
                self.now_or_awake(ring_awake)

        def ring_awake() -> None:
            if self.is_alive and self.incarnation == incarnation:
                do()

        self.world.loop.call_later(delay_s, ring)

    # ---- the daemon

    def handle(self, event: Event) -> None:
        now_s = self.world.loop.now_s + self.clock_offset_s
        for action in self.core.handle(event, now_s):
            self.carry_out(action)
        self.event_count += 1
        if self.event_count % CHECKED_ONE_IN == 0:
            self.core.check_invariants()
        deadline_s = self.core.next_deadline_s()
        if self.is_alive and deadline_s is not None and (self.timer_s is None or deadline_s < self.timer_s):
            self.timer_s = deadline_s
            self.later(deadline_s - now_s, self.ring)

    def ring(self) -> None:
        self.timer_s = None
        self.handle(Ticked())

    def carry_out(self, action: Action) -> None:
        match action:
            case EvaluateLeases():
                self.executor.begin(action.slot, action.leases)
            case RevokeRunning():
                self.executor.revoke(action)
            case TrimRunning():
                self.executor.trim(action)
            case SendHello():
                self.say_hello(action)
            case SendResults():
                self.send_results(action)
            case SendHeartbeat():
                self.last_progress = tuple(lease.epoch for lease in action.progress)
                unknown = set(self.last_progress) - self.vouched
                self.world.ghost.demand(not unknown, "L5", f"{self.worker_id} beats for leases it kept silent about")
                progress = tuple((Epoch(lease.epoch), lease.tiles_done) for lease in action.progress)
                self.send([HeartbeatReceived(WorkerId(self.worker_id), progress)])
            case SendDrain():
                self.send_drain()
            case Leave():
                self.leave(action)

    def leave(self, action: Leave) -> None:
        self.world.probe("left after a drain")
        if action.results_lost:
            self.world.probe("left with results unacknowledged")
        self.die()

    # ---- the stream

    def connect(self) -> None:
        link = self.world.connect(self)
        if link is None:
            self.connect_again()
            return
        self.link = link
        link.break_worker = lambda: self.stream_event(link, self.lost)
        self.handle(Connected())
        self.later(CONNECT_TIMEOUT_S, lambda: self.give_up_greeting(link))

    def connect_again(self) -> None:
        self.failed_tries += 1
        pause_s = self.world.chance.random() * min(5.0, 0.1 * 2.0**self.failed_tries)
        self.later(pause_s, self.connect)

    def give_up_greeting(self, link: Link) -> None:
        if self.link is link and self.core.connection is Connection.GREETING:
            link.break_worker = lambda: None
            link.close_worker()
            self.lost()

    def lost(self) -> None:
        self.link = None
        self.owed |= {id(outcome): outcome for outcomes in self.unacknowledged.values() for outcome in outcomes}
        self.unacknowledged.clear()
        self.is_sending = False
        self.handle(ConnectionLost())
        self.connect_again()

    def stream_event(self, link: Link, do: Callable[[], None]) -> None:
        """Something comes out of the stream; what comes out of one already replaced is nobody's."""

        def awake() -> None:
            if self.is_alive and self.link is link:
                do()

        if self.is_alive and self.link is link:
            self.now_or_awake(awake)

    def receive(self, link: Link, event: Event) -> None:
        self.stream_event(link, lambda: self.take(event))

    def take(self, event: Event) -> None:
        """What the scheduler says, noted in the books of what it is owed."""
        if isinstance(event, Welcomed):
            self.failed_tries = 0
        elif isinstance(event, LeasesReceived):
            self.vouched.update(lease.epoch for lease in event.leases)
        elif isinstance(event, ResultsAcknowledged):
            for sequence in [known for known in self.unacknowledged if known <= event.sequence]:
                del self.unacknowledged[sequence]
        self.handle(event)
        if isinstance(event, Welcomed):
            self.check_owed()

    def say_hello(self, action: SendHello) -> None:
        held = tuple(
            HeldLease(Epoch(lease.epoch), RunId(lease.run_id), lease.node_id, lease.tile_begin, lease.tile_end)
            for lease in action.held
        )
        self.vouched = {lease.epoch for lease in action.held}
        if held:
            self.world.probe("hello with leases")
        assert self.link is not None
        attached = WorkerAttached(WorkerId(self.worker_id), ConnectionId(0), self.slot_count, held, self.kernels)
        self.world.hello(self.link, self.worker_id, self.slot_count, attached, self)

    def send(self, events: list[SchedulerEvent]) -> None:
        if self.link is not None:
            self.world.up(self.link, lambda node, connection: node.put(events))

    def send_drain(self) -> None:
        worker_id = WorkerId(self.worker_id)

        def deliver(node: SchedulerNode, connection: ServerConnection) -> None:
            connection.is_draining = True
            node.put([WorkerDraining(worker_id)])

        if self.link is not None:
            self.world.up(self.link, deliver)

    def send_results(self, action: SendResults) -> None:
        link = self.link
        if link is None:
            return
        self.is_sending = True
        self.unacknowledged[action.sequence] = action.outcomes
        for outcome in action.outcomes:
            self.owed.pop(id(outcome), None)
        worker_id = WorkerId(self.worker_id)
        in_order = sorted(action.outcomes, key=lambda outcome: type(outcome) is FailedTile)  # as on the wire
        message = [scheduler_event(worker_id, outcome) for outcome in in_order]
        message += [LeaseReturned(worker_id, Epoch(epoch)) for epoch in action.returned_epochs]
        message += [LeaseKept(worker_id, Epoch(kept.epoch), kept.tile_end) for kept in action.kept]
        self.promised.update({kept.epoch: kept.tile_end for kept in action.kept})
        if action.returned_epochs:
            self.world.probe("leases handed back")

        def deliver(node: SchedulerNode, connection: ServerConnection) -> None:
            node.results(connection, action.sequence, list(message))

        self.world.up(link, deliver)
        if self.world.is_doubled():
            self.world.up(link, deliver)
        written_s = max(0.0, link.stalled_until_s[0] - self.world.loop.now_s)
        self.later(written_s, lambda: self.written(link))

    def written(self, link: Link) -> None:
        if self.link is link:
            self.is_sending = False
            self.handle(ResultsWritten())
            self.check_owed()

    def check_owed(self) -> None:
        """Whoever has nothing to send has sent again what no acknowledgement ever came for."""
        is_idle = self.link is not None and not self.is_sending
        if is_idle and self.core.connection is Connection.ATTACHED:
            self.world.ghost.demand(not self.owed, "S5", f"{self.worker_id} forgot outcomes nobody acknowledged")

    def check_quiet(self) -> None:
        """Long after the last run ended: nothing is held and nothing is owed."""
        if self.is_alive and self.core.connection is Connection.ATTACHED:
            ghost = self.world.ghost
            ghost.demand(not self.last_progress, "L5", f"{self.worker_id} still holds epochs {self.last_progress}")
            ghost.demand(not self.unacknowledged, "L5", f"{self.worker_id} waits for acknowledgements for ever")

    def drain(self, grace_s: float) -> None:
        if self.is_alive:
            self.now_or_awake(lambda: self.handle(DrainRequested("maintenance", grace_s)) if self.is_alive else None)


def scheduler_event(worker_id: WorkerId, outcome: FinishedTiles | FailedTile) -> SchedulerEvent:
    """What the scheduler's shell makes of an outcome on the wire."""
    if isinstance(outcome, FailedTile):
        reason = FailureReason(outcome.reason)
        return TileFailed(worker_id, Epoch(outcome.epoch), outcome.tile, reason, outcome.message)
    rows: tuple[Any, ...] = outcome.quarantine
    payload = TilePayload(outcome.output, b"", rows, "\n".join(outcome.objects)) if outcome.output else None
    return TilesReported(
        worker_id,
        Epoch(outcome.epoch),
        outcome.tile_begin,
        outcome.tile_end,
        outcome.cell_count,
        tuple(row[1:3] for row in rows),
        outcome.elapsed_ns,
        payload,
        sum(row[3] in POISON_REASONS for row in rows),
    )
