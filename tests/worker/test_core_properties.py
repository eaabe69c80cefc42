"""`xip_worker.core` against a scheduler that loses connections, revokes, and forgets nothing it recorded.

The model keeps its own books: which tiles were granted, which outcomes reached it. After any schedule of faults, once
the faults stop, each tile of each lease it still wants is recorded, and the worker holds nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xip_worker.core import Connection, WorkerCore
from xip_worker.events import (
    Connected,
    ConnectionLost,
    Epoch,
    EvaluateLeases,
    Event,
    FailedTile,
    FinishedTiles,
    Lease,
    LeaseBound,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    ResultsAcknowledged,
    ResultsWritten,
    RevokeRunning,
    SendHello,
    SendResults,
    SlotFreed,
    SlotIndex,
    Ticked,
    TrimRunning,
    Welcomed,
    WorkReported,
)

RESULT_BYTES = 300


class Slot:
    """A slot's thread: works through its batch, tile by tile, when the machine says so."""

    def __init__(self) -> None:
        self.leases: deque[Lease] = deque()
        self.ends: dict[Epoch, int] = {}
        self.tile = 0
        self.is_busy = False

    def begin(self, leases: tuple[Lease, ...]) -> None:
        assert not self.is_busy
        self.leases = deque(leases)
        self.ends = {lease.epoch: lease.tile_end for lease in leases}
        self.tile = self.leases[0].tile_begin
        self.is_busy = True

    def trim(self, bounds: tuple[LeaseBound, ...]) -> tuple[LeaseBound, ...]:
        """What the cursors of an executor do; the tile that is next has not begun."""
        for bound in bounds:
            for position, lease in enumerate(self.leases):
                if lease.epoch == bound.epoch:
                    begun = lease.tile_begin if position else self.tile
                    self.ends[lease.epoch] = min(lease.tile_end, max(bound.tile_end, begun))
        trimmed = [msgspec.structs.replace(lease, tile_end=self.ends[lease.epoch]) for lease in self.leases]
        at = trimmed[0].epoch if trimmed else None
        self.leases = deque(
            lease for lease in trimmed if lease.tile_count and (lease.epoch != at or self.tile < lease.tile_end)
        )
        if self.leases and self.leases[0].epoch != at:
            self.tile = self.leases[0].tile_begin
        return tuple(LeaseBound(bound.epoch, self.ends[bound.epoch]) for bound in bounds)

    def stop(self, epochs: tuple[Epoch, ...]) -> None:
        is_current_stopped = bool(self.leases) and self.leases[0].epoch in epochs
        self.leases = deque(lease for lease in self.leases if lease.epoch not in epochs)
        if is_current_stopped:
            self.tile = self.leases[0].tile_begin if self.leases else 0


class WorkerAndScheduler(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.epoch = 0
        self.wanted: dict[Epoch, Lease] = {}
        self.asked: set[Epoch] = set()
        self.answers: list[LeaseBound] = []
        self.recorded: set[tuple[Epoch, int]] = set()
        self.wire: deque[SendResults] = deque()
        self.acknowledgements: deque[int] = deque()
        self.sequence_received = 0

    @initialize(slot_count=st.integers(1, 3), message_bytes_max=st.sampled_from([RESULT_BYTES, 1000, 1 << 20]))
    def start(self, slot_count: int, message_bytes_max: int) -> None:
        self.core = WorkerCore(slot_count, message_bytes_max=message_bytes_max, retained_bytes_max=8 * RESULT_BYTES)
        self.slots = [Slot() for _ in range(slot_count)]

    def tell(self, event: Event) -> None:
        for action in self.core.handle(event, self.now_s):
            match action:
                case EvaluateLeases():
                    self.slots[action.slot].begin(action.leases)
                case RevokeRunning():
                    self.slots[action.slot].stop(action.epochs)
                case TrimRunning():
                    self.answers += self.slots[action.slot].trim(action.bounds)
                case SendHello():
                    for lease in action.held:
                        self.kept(lease.epoch, lease.tile_end)
                    held = {lease.epoch for lease in action.held}
                    assert held <= self.wanted.keys(), "a revoked lease is held"
                    forgotten = self.wanted.keys() - held
                    assert not self.missing(forgotten - self.asked), "forgotten before its tiles are recorded"
                    for epoch in forgotten:
                        del self.wanted[epoch]
                case SendResults():
                    self.wire.append(action)
                case _:
                    pass

    def kept(self, epoch: Epoch, tile_end: int) -> None:
        """The worker says where a lease ends; what was not asked for ends where it did."""
        lease = self.wanted.get(epoch)
        if lease is None:
            return
        assert lease.tile_end == tile_end or epoch in self.asked, "shorter than anybody asked for"
        self.wanted[epoch] = msgspec.structs.replace(lease, tile_end=min(lease.tile_end, tile_end))

    def missing(self, epochs: Iterable[Epoch]) -> list[tuple[Epoch, int]]:
        """Tiles of these leases that never reached the scheduler."""
        return [
            (epoch, tile)
            for epoch in epochs
            for tile in range(self.wanted[epoch].tile_begin, self.wanted[epoch].tile_end)
            if (epoch, tile) not in self.recorded
        ]

    @property
    def is_attached(self) -> bool:
        return self.core.connection is Connection.ATTACHED

    @precondition(lambda self: self.core.connection is Connection.DISCONNECTED)
    @rule()
    def connect(self) -> None:
        self.wire.clear()
        self.acknowledgements.clear()
        self.sequence_received = 0
        self.tell(Connected())

    @precondition(lambda self: self.core.connection is Connection.GREETING)
    @rule()
    def welcome(self) -> None:
        self.tell(Welcomed(1, 1.0, 30.0))

    @precondition(lambda self: self.core.connection is not Connection.DISCONNECTED)
    @rule()
    def lose_connection(self) -> None:
        self.tell(ConnectionLost())

    @precondition(lambda self: self.is_attached)
    @rule(
        tile_counts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
        node_id=st.integers(0, 1),
        patience_s=st.sampled_from([0.0, 0.1]),
    )
    def grant(self, tile_counts: list[int], node_id: int, patience_s: float) -> None:
        leases = []
        for tile_count in tile_counts:
            self.epoch += 1
            work_s = 0.3 * tile_count
            lease = Lease(Epoch(self.epoch), "r", node_id, 0, tile_count, b"plan", False, patience_s, work_s)
            leases.append(lease)
        self.wanted |= {lease.epoch: lease for lease in leases}
        self.tell(LeasesReceived(tuple(leases)))

    @precondition(lambda self: self.is_attached and self.wanted)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.wanted)))
        del self.wanted[epoch]
        self.tell(LeasesRevoked((epoch,)))

    @precondition(lambda self: self.is_attached and self.wanted)
    @rule(data=st.data(), tile_end=st.integers(0, 4))
    def trim(self, data: st.DataObject, tile_end: int) -> None:
        epochs = data.draw(st.lists(st.sampled_from(sorted(self.wanted)), min_size=1, max_size=3, unique=True))
        self.asked.update(epochs)
        self.tell(LeasesTrimmed(tuple(LeaseBound(epoch, tile_end) for epoch in epochs)))

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        answers, self.answers = tuple(self.answers), []
        self.tell(WorkReported(answers))

    @precondition(lambda self: any(slot.is_busy for slot in self.slots))
    @rule(data=st.data(), step_count=st.integers(1, 8), fails=st.booleans())
    def evaluate(self, data: st.DataObject, step_count: int, fails: bool) -> None:
        busy = [index for index, slot in enumerate(self.slots) if slot.is_busy]
        self.work(data.draw(st.sampled_from(busy)), step_count, fails)

    def work(self, index: int, step_count: int, fails: bool) -> None:
        slot = self.slots[index]
        reports: list[FinishedTiles | FailedTile | LeaseBound | SlotFreed] = [*self.answers]
        self.answers = []
        for _ in range(step_count):
            if not slot.leases:
                break
            lease = slot.leases[0]
            reports.append(
                FailedTile(lease.epoch, slot.tile, 9, "it broke")
                if fails
                else FinishedTiles(lease.epoch, slot.tile, slot.tile + 1, 1, 10, size_bytes=RESULT_BYTES)
            )
            slot.tile += 1
            if slot.tile == lease.tile_end:
                slot.leases.popleft()
                slot.tile = slot.leases[0].tile_begin if slot.leases else 0
        if not slot.leases:
            reports.append(SlotFreed(SlotIndex(index), 1_000_000))
            slot.is_busy = False
        self.tell(WorkReported(tuple(reports)))

    @precondition(lambda self: self.wire and self.is_attached)
    @rule()
    def receive_results(self) -> None:
        message = self.wire.popleft()
        assert message.sequence == self.sequence_received + 1, "sequences grow by one"
        self.sequence_received = message.sequence
        for outcome in message.outcomes:
            if outcome.epoch in self.wanted:
                end = outcome.tile_end if isinstance(outcome, FinishedTiles) else outcome.tile + 1
                begin = outcome.tile_begin if isinstance(outcome, FinishedTiles) else outcome.tile
                self.recorded |= {(outcome.epoch, tile) for tile in range(begin, end)}
        for bound in message.kept:
            self.kept(bound.epoch, bound.tile_end)
        assert not message.returned_epochs, "nothing is handed back without a drain"
        self.acknowledgements.append(message.sequence)
        self.tell(ResultsWritten())

    @precondition(lambda self: self.acknowledgements and self.is_attached)
    @rule(count=st.integers(1, 3))
    def acknowledge(self, count: int) -> None:
        for _ in range(min(count, len(self.acknowledgements)) - 1):
            self.acknowledgements.popleft()
        self.tell(ResultsAcknowledged(self.acknowledgements.popleft()))

    @rule(duration_s=st.floats(0.0, 3.0))
    def let_time_pass(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.tell(Ticked())

    @invariant()
    def core_is_consistent(self) -> None:
        if hasattr(self, "core"):
            self.core.check_invariants()

    def teardown(self) -> None:
        """Faults stop; all that is wanted must arrive."""
        if not hasattr(self, "core"):
            return
        if self.core.connection is not Connection.DISCONNECTED:
            self.lose_connection()
        self.connect()
        self.welcome()
        while self.wire or self.acknowledgements or self.answers or any(slot.is_busy for slot in self.slots):
            if self.answers:
                self.answer()
            for index, slot in enumerate(self.slots):
                if slot.is_busy:
                    self.work(index, 8, fails=False)
            if self.wire:
                self.receive_results()
            if self.acknowledgements:
                self.acknowledge(3)
            self.let_time_pass(0.2)
            self.core.check_invariants()
        assert not self.missing(self.wanted), "tiles were lost"
        self.tell(ConnectionLost())
        assert self.core.handle(Connected(), self.now_s) == [SendHello(())], "something is held for ever"


WorkerAndScheduler.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestNoTileIsLostWhateverTheConnectionDoes = WorkerAndScheduler.TestCase
