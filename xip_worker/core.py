"""The worker as a pure state machine: events in, actions out; no clock, no threads, no network.

A lease passes through

    ┌─ QUEUED ──EvaluateLeases──> RUNNING ──SlotFreed──> EVALUATED ──last acknowledgement──> forgotten
    │     │                          │
    │     ├── LeasesRevoked, drain ──┴──> forgotten (what it still reports is dropped)
    │     └── LeasesTrimmed: shorter, or forgotten; a running one is as long as its slot says (`cursor`)
    └─ LeasesReceived; handed back at once when draining, empty, or LEASES_HELD_MAX are held

an outcome through

    pending ──SendResults(sequence)──> unacknowledged ──ResultsAcknowledged──> forgotten
       ^                                      │
       └──────────── ConnectionLost ──────────┘    (sent again under a new sequence; the scheduler records it once)

and the connection through

    DISCONNECTED ──Connected / SendHello──> GREETING ──Welcomed──> ATTACHED ──ConnectionLost──> DISCONNECTED

Evaluation goes on in every state of the connection: a scheduler that is away for a minute costs nothing but the
results that wait. A drain goes on in every state too; it ends with Leave when nothing is left to finish and to send,
when what is left to send finds no scheduler, or when its time is over.

Invariants (`check_invariants`):
  * every lease held is in exactly one place: the queue, one slot, or EVALUATED with outcomes on their way;
  * `tiles_done` of a lease never exceeds its tile count, and equals it once EVALUATED;
  * `retained_bytes` is the sum over pending and unacknowledged outcomes;
  * sequences of unacknowledged messages are consecutive and end at the last one sent on this stream;
  * one results message is being written at most: the stream's flow control reaches the slots through
    `retained_bytes` alone;
  * pending outcomes wait for the stream or, when nobody misses them yet, for company (`patience`).

Batches: a hand-over to a slot thread and back costs about 0.2 ms, so leases known to be short go to a slot together,
BATCH_DURATION_S of them by the running average of their node. A node never seen before gets one lease at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from xip_worker.events import (
    Action,
    Connected,
    ConnectionLost,
    DrainRequested,
    Epoch,
    EvaluateLeases,
    Event,
    Lease,
    LeaseBound,
    LeaseProgress,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    Leave,
    Outcome,
    ResultsAcknowledged,
    ResultsWritten,
    RevokeRunning,
    SendDrain,
    SendHeartbeat,
    SendHello,
    SendResults,
    SlotFreed,
    SlotIndex,
    Ticked,
    TrimRunning,
    Welcomed,
    WorkReported,
)
from xip_worker.held import Batch, Connection, Held, LeaseState, Message, NodeKey
from xip_worker.patience import Holdback, TileDurations, may_wait, node_key, patience_of, runs_dry_in_s

LEASES_HELD_MAX = 32_768
"""More are handed back: a Hello names them all, about 80 bytes each, and a gRPC message may have 4 MiB."""

MESSAGE_BYTES_MAX = 1 << 20
"""Larger messages are slower per byte, and hold up the heartbeat behind them. A single outcome above it (a heavy tile,
at most `executor.TILE_BYTES_MAX`) travels alone."""

RETAINED_BYTES_MAX = 64 << 20
"""Outcomes not yet acknowledged; above it no slot starts another lease (those that run come to their end)."""

BATCH_DURATION_S = 0.005
"""Leases handed to a slot together: 25 times the hand-over, yet too short for another slot to starve meanwhile."""

HAND_OVER_S = 0.0002
"""Cost of handing a batch to a slot and hearing of its end; less work than this is not worth splitting over slots."""

HEARTBEAT_INTERVAL_S_MIN = 0.01
"""Whatever the scheduler asks for: below this a worker would do nothing else."""

FLUSH_GRACE_S = 5.0
"""For the last results to be sent and acknowledged: after a drain's grace, and after the last tile of a drain while no
scheduler is there. One that restarts is back in 3 s; one that was told to stop in the same moment never comes."""


class WorkerCore:
    """`handle` is the only door; `next_deadline_s` says when to knock with Ticked at the latest."""

    def __init__(
        self,
        slot_count: int,
        *,
        leases_held_max: int = LEASES_HELD_MAX,
        retained_bytes_max: int = RETAINED_BYTES_MAX,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        assert slot_count > 0, slot_count
        self._leases_held_max = leases_held_max
        self._retained_bytes_max = retained_bytes_max
        self._message_bytes_max = message_bytes_max
        self._connection = Connection.DISCONNECTED
        self._held: dict[Epoch, Held] = {}
        self._queue: deque[Epoch] = deque()
        self._slots: list[Batch | None] = [None] * slot_count
        self._tile_durations = TileDurations()
        self._pending: deque[Outcome] = deque()
        self._holdback = Holdback()
        self._returned: list[Epoch] = []
        self._kept: dict[Epoch, LeaseBound] = {}
        self._unacknowledged: deque[Message] = deque()
        self._retained_bytes = 0
        self._sequence = 0
        self._is_writing = False
        self._heartbeat_interval_s = 0.0
        self._heartbeat_due_s: float | None = None
        self._drain: DrainRequested | None = None
        self._drain_until_s = 0.0
        self._alone_until_s: float | None = None
        self._is_grace_over = False
        self._has_left = False

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def is_draining(self) -> bool:
        return self._drain is not None

    def next_deadline_s(self) -> float | None:
        """When Ticked is due at the latest, on the clock of `handle`; None when nothing waits for time."""
        deadlines_s = [due_s for due_s in (self._heartbeat_due_s, self._holdback.until_s) if due_s is not None]
        if self._drain is not None and not self._has_left:
            deadlines_s.append(self._drain_until_s + (FLUSH_GRACE_S if self._is_grace_over else 0.0))
            if self._alone_until_s is not None:
                deadlines_s.append(self._alone_until_s)
        return min(deadlines_s, default=None)

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """Take one event; the actions are to be carried out in order."""
        sequence = self._sequence
        actions = self._dispatch(event, now_s)
        if self._sequence > sequence:
            self._holdback.sent(now_s)
        if self._drain is not None:
            actions += self._leave_if_done(now_s)
        return actions

    def _dispatch(self, event: Event, now_s: float) -> list[Action]:
        match event:
            case WorkReported():
                return self._work_reported(event, now_s)
            case LeasesReceived():
                return self._leases_received(event)
            case ResultsAcknowledged():
                return self._results_acknowledged(event)
            case ResultsWritten():
                self._is_writing = False
                return self._send_results()
            case Ticked():
                return self._ticked(now_s)
            case LeasesRevoked():
                return self._revoke(event.epochs)
            case LeasesTrimmed():
                return self._trim(event)
            case Connected():
                return self._connected()
            case Welcomed():
                return self._welcomed(event, now_s)
            case ConnectionLost():
                return self._connection_lost()
            case DrainRequested():
                return self._drain_requested(event, now_s)

    # Connection

    def _connected(self) -> list[Action]:
        assert self._connection is Connection.DISCONNECTED, self._connection
        self._connection = Connection.GREETING
        return [SendHello(tuple(self._held[epoch].lease for epoch in self._epochs_in_order()))]

    def _epochs_in_order(self) -> list[Epoch]:
        """Oldest first: evaluated and running leases precede queued ones, as the scheduler expects of a Hello."""
        begun = [epoch for epoch, held in self._held.items() if held.state is not LeaseState.QUEUED]
        return [*begun, *self._queue]

    def _welcomed(self, event: Welcomed, now_s: float) -> list[Action]:
        self._connection = Connection.ATTACHED
        self._heartbeat_interval_s = max(HEARTBEAT_INTERVAL_S_MIN, event.heartbeat_interval_s)
        self._heartbeat_due_s = now_s + self._heartbeat_interval_s
        drain: list[Action] = [] if self._drain is None else [SendDrain(self._drain.reason)]
        return [*drain, *self._send_results(), *self._assign()]

    def _connection_lost(self) -> list[Action]:
        """Everything unacknowledged waits again, in the order it was first sent.

        Leases handed back or shortened in a lost message need no second message: the next Hello tells.
        """
        self._connection = Connection.DISCONNECTED
        self._heartbeat_due_s = None
        self._holdback.disconnected()
        self._is_writing = False
        self._returned.clear()
        self._kept.clear()
        for message in reversed(self._unacknowledged):
            self._pending.extendleft(reversed(message.outcomes))
        self._unacknowledged.clear()
        self._sequence = 0
        return []

    # Leases

    def _leases_received(self, event: LeasesReceived) -> list[Action]:
        self._holdback.fed()
        for lease in event.leases:
            if lease.epoch in self._held:  # heard twice; once is enough
                continue
            if self._drain is not None or len(self._held) >= self._leases_held_max or lease.tile_count <= 0:
                self._returned.append(lease.epoch)
                continue
            self._held[lease.epoch] = Held(lease)
            self._queue.append(lease.epoch)
        return [*self._send_results(), *self._assign()]

    def _revoke(self, epochs: Iterable[Epoch]) -> list[Action]:
        """Forget the leases. Their outcomes on the way stay there: refused as stale, and acknowledged as such."""
        queued: set[Epoch] = set()
        running: dict[Epoch, None] = {}
        for epoch in epochs:
            held = self._held.pop(epoch, None)
            if held is None:
                continue
            if held.state is LeaseState.QUEUED:
                queued.add(epoch)
            elif held.state is LeaseState.RUNNING:
                running[epoch] = None
        if queued:
            self._queue = deque(epoch for epoch in self._queue if epoch not in queued)
        actions: list[Action] = []
        for slot, batch in enumerate(self._slots):
            if running and batch is not None and (stopped := tuple(e for e in batch.epochs if e in running)):
                actions.append(RevokeRunning(SlotIndex(slot), stopped))
        return actions

    def _trim(self, event: LeasesTrimmed) -> list[Action]:
        """Say what is kept of each lease: a queued one as asked, of a running one what its slot has begun by then."""
        running: dict[Epoch, LeaseBound] = {}
        for bound in event.bounds:
            held = self._held.get(bound.epoch)
            if held is None:  # handed back, revoked or reported whole: the scheduler knows, or will
                continue
            if held.state is LeaseState.QUEUED:
                self._shorten(held, max(held.lease.tile_begin, min(bound.tile_end, held.lease.tile_end)))
            elif held.state is LeaseState.RUNNING:
                running[bound.epoch] = bound
            else:
                self._shorten(held, held.lease.tile_end)
        actions: list[Action] = []
        for slot, batch in enumerate(self._slots):
            if running and batch is not None and (bounds := tuple(running[e] for e in batch.epochs if e in running)):
                actions.append(TrimRunning(SlotIndex(slot), bounds))
        return [*actions, *self._send_results()]

    def _shorten(self, held: Held, tile_end: int) -> None:
        """The lease ends at *tile_end*, where nothing beyond was begun; without a tile it is forgotten."""
        lease = held.lease
        self._kept[lease.epoch] = LeaseBound(lease.epoch, tile_end)
        if held.state is LeaseState.RUNNING:
            for batch in self._slots:
                if batch is not None and lease.epoch in batch.epochs:
                    batch.tile_count -= lease.tile_end - tile_end
        if tile_end > lease.tile_begin:
            held.lease = msgspec.structs.replace(lease, tile_end=tile_end)
            return
        del self._held[lease.epoch]
        if held.state is LeaseState.QUEUED:
            self._queue.remove(lease.epoch)

    def _assign(self) -> list[Action]:
        """Deal queued leases to free slots in the order they came, so that what runs is always the oldest."""
        if not self._queue or self._retained_bytes >= self._retained_bytes_max:
            return []
        free = [SlotIndex(slot) for slot, batch in enumerate(self._slots) if batch is None]
        actions: list[Action] = []
        while free and self._queue:
            node, leases, duration_s = self._take_leases(len(free))
            hand_count = min(len(free), len(leases)) if duration_s > HAND_OVER_S else 1
            for position, slot in enumerate(free[:hand_count]):
                batch = tuple(leases[position::hand_count])
                tile_count = sum([lease.tile_end - lease.tile_begin for lease in batch])
                self._slots[slot] = Batch(tuple([lease.epoch for lease in batch]), node, tile_count)
                actions.append(EvaluateLeases(slot, batch))
            del free[:hand_count]
        return actions

    def _take_leases(self, slot_count: int) -> tuple[NodeKey, list[Lease], float]:
        """The next leases of one node and their seconds: one for each slot, or short ones for BATCH_DURATION_S of each.

        A node without an average counts as long.
        """
        queue, held = self._queue, self._held
        node = node_key(held[queue[0]].lease)
        tile_duration_s = self._tile_durations.of(node) or BATCH_DURATION_S
        duration_max_s = slot_count * BATCH_DURATION_S
        duration_s = 0.0
        leases: list[Lease] = []
        while queue:
            entry = held[queue[0]]
            lease = entry.lease
            longer_s = duration_s + (lease.tile_end - lease.tile_begin) * tile_duration_s
            if node_key(lease) != node:
                break
            if longer_s > duration_max_s and len(leases) >= slot_count:
                break
            queue.popleft()
            entry.state = LeaseState.RUNNING
            leases.append(lease)
            duration_s = longer_s
        return node, leases, duration_s

    # Outcomes

    def _work_reported(self, event: WorkReported, now_s: float) -> list[Action]:
        held_by_epoch, pending, patience_s, ended = self._held, self._pending, math.inf, set[str]()
        is_due = bool(pending) and not self._holdback.is_holding  # it waits for the stream, and what follows goes along
        for report in event.reports:
            if isinstance(report, SlotFreed):
                self._slot_freed(report)
                continue
            held = held_by_epoch.get(report.epoch)
            if held is None:  # revoked meanwhile
                continue
            if isinstance(report, LeaseBound):
                self._shorten(held, report.tile_end)
                continue
            patience_s = min(patience_s, patience_of(report, held))
            held.count(report)
            if held.tiles_done == held.lease.tile_count:
                ended.add(held.lease.run_id)
            self._retained_bytes += report.size_bytes
            pending.append(report)
        assigned = self._assign()
        is_due = is_due or self._drain is not None or self._connection is not Connection.ATTACHED
        is_due = is_due or self._retained_bytes > self._message_bytes_max // 2
        if not is_due and may_wait(len(pending), ended, held_by_epoch):
            dry_in_s = runs_dry_in_s(self._slots, self._queue, held_by_epoch, self._tile_durations)
            self._holdback.hold(patience_s, dry_in_s, now_s)
        else:
            self._holdback.release()
        return [*self._send_results(), *assigned]

    def _slot_freed(self, report: SlotFreed) -> None:
        batch = self._slots[report.slot]
        assert batch is not None, f"slot {report.slot} freed twice"
        self._slots[report.slot] = None
        is_whole = True
        for epoch in batch.epochs:
            held = self._held.get(epoch)
            if held is None:  # revoked meanwhile
                is_whole = False
                continue
            assert held.tiles_done == held.lease.tile_count, (held, report)
            held.state = LeaseState.EVALUATED
            if held.outcomes_open == 0:
                del self._held[epoch]
        if is_whole and batch.tile_count:
            self._tile_durations.learn(batch.node, report.busy_ns * 1e-9 / batch.tile_count)

    def _send_results(self) -> list[Action]:
        """One message with as much as fits, when the last one is written; nothing otherwise."""
        has_something = (self._pending and not self._holdback.is_holding) or self._returned or self._kept
        if self._is_writing or self._connection is not Connection.ATTACHED or not has_something:
            return []
        pending = self._pending
        outcomes: list[Outcome] = []
        size_bytes = 0
        while pending:
            size_bytes += pending[0].size_bytes
            if outcomes and size_bytes > self._message_bytes_max:
                break
            outcomes.append(pending.popleft())
        self._holdback.release()
        self._sequence += 1
        self._is_writing = True
        message = Message(self._sequence, tuple(outcomes))
        self._unacknowledged.append(message)
        returned: tuple[Epoch, ...] = ()
        # Never ahead of an outcome of the same lease, which would be refused as stale; nor beside a heavy tile.
        if not pending and size_bytes <= self._message_bytes_max:
            returned, self._returned = tuple(self._returned), []
        kept, self._kept = tuple(self._kept.values()), {}  # outcomes that wait are of tiles that are kept
        return [SendResults(message.sequence, message.outcomes, returned, kept)]

    def _results_acknowledged(self, event: ResultsAcknowledged) -> list[Action]:
        held_by_epoch = self._held
        while self._unacknowledged and self._unacknowledged[0].sequence <= event.sequence:
            for outcome in self._unacknowledged.popleft().outcomes:
                self._retained_bytes -= outcome.size_bytes
                held = held_by_epoch.get(outcome.epoch)
                if held is None:  # revoked meanwhile
                    continue
                held.outcomes_open -= 1
                if held.outcomes_open == 0 and held.state is LeaseState.EVALUATED:
                    del held_by_epoch[outcome.epoch]
        return self._assign()

    # Time and the end

    def _ticked(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        if self._holdback.is_over(now_s):
            actions += self._send_results()
        if self._heartbeat_due_s is not None and now_s >= self._heartbeat_due_s:
            self._heartbeat_due_s = now_s + self._heartbeat_interval_s
            progress = [LeaseProgress(epoch, held.tiles_done) for epoch, held in self._held.items()]
            actions.append(SendHeartbeat(tuple(progress)))
        return actions

    def _drain_requested(self, event: DrainRequested, now_s: float) -> list[Action]:
        """Hand back what has not begun. A second request changes nothing."""
        if self._drain is not None:
            return []
        self._drain = event
        self._drain_until_s = now_s + event.grace_s
        self._holdback.release()
        lost = [epoch for slot in event.stuck if (batch := self._slots[slot]) is not None for epoch in batch.epochs]
        queued = (*(epoch for epoch in lost if epoch in self._held), *self._queue)
        self._revoke(queued)
        if self._connection is not Connection.DISCONNECTED:  # otherwise the next Hello tells: it does not name them
            self._returned += queued
        if self._connection is not Connection.ATTACHED:
            return []
        return [SendDrain(event.reason), *self._send_results()]

    def _leave_if_done(self, now_s: float) -> list[Action]:
        """Leave when nothing is left to finish or to send; stop what runs when the grace is over."""
        if self._has_left:
            return []
        actions: list[Action] = []
        if now_s >= self._drain_until_s and not self._is_grace_over:
            self._is_grace_over = True
            running = [epoch for epoch, held in self._held.items() if held.state is LeaseState.RUNNING]
            actions += self._revoke(running)
            if self._connection is not Connection.DISCONNECTED:
                self._returned += running
                actions += self._send_results()
        stuck = () if self._drain is None else self._drain.stuck
        is_idle = all(batch is None or slot in stuck for slot, batch in enumerate(self._slots))
        is_sent = not (self._pending or self._unacknowledged or self._returned or self._kept or self._is_writing)
        if not is_idle or self._connection is not Connection.DISCONNECTED:
            self._alone_until_s = None
        elif self._alone_until_s is None:
            self._alone_until_s = now_s + FLUSH_GRACE_S
        is_alone = self._alone_until_s is not None and now_s >= self._alone_until_s
        if (is_idle and is_sent) or is_alone or now_s >= self._drain_until_s + FLUSH_GRACE_S:
            self._has_left = True
            lost = len(self._pending) + sum(len(message.outcomes) for message in self._unacknowledged)
            actions.append(Leave(lost))
        return actions

    def check_invariants(self) -> None:
        """Assert what the head of this module claims; for tests, after each event."""
        queued = set(self._queue)
        assert len(queued) == len(self._queue), self._queue
        running = {epoch for batch in self._slots if batch is not None for epoch in batch.epochs}
        outcomes = [*self._pending, *(outcome for message in self._unacknowledged for outcome in message.outcomes)]
        assert self._retained_bytes == sum(outcome.size_bytes for outcome in outcomes), self._retained_bytes
        open_counts: dict[Epoch, int] = {}
        for outcome in outcomes:
            open_counts[outcome.epoch] = open_counts.get(outcome.epoch, 0) + 1
        for epoch, held in self._held.items():
            assert (epoch in queued) == (held.state is LeaseState.QUEUED), (epoch, held)
            assert (epoch in running) == (held.state is LeaseState.RUNNING), (epoch, held)
            assert held.outcomes_open == open_counts.get(epoch, 0), (epoch, held)
            assert 0 <= held.tiles_done <= held.lease.tile_count, (epoch, held)
            if held.state is LeaseState.EVALUATED:
                assert held.tiles_done == held.lease.tile_count, (epoch, held)
                assert held.outcomes_open > 0, (epoch, held)
        assert queued <= self._held.keys(), queued
        assert len(self._held) <= self._leases_held_max, len(self._held)
        assert not self._holdback.is_holding or (self._pending and self._connection is Connection.ATTACHED)
        sequences = [message.sequence for message in self._unacknowledged]
        assert sequences == list(range(self._sequence - len(sequences) + 1, self._sequence + 1)), sequences
