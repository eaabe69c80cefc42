"""Slots: threads that evaluate leases tile by tile while the event loop talks to the scheduler.

Kernels release the GIL, so slots run side by side in one process and share its caches.

    event loop ──batch of leases──> slot's inbox ──> evaluate ──> reports ──one wake-up for many──> event loop

The road of reports is a deque and two flags: a slot appends, and wakes the loop only when nobody has since the loop
last looked. The flags are lowered before the deque is drained, so a report is never left behind; raising one twice
costs a needless look. A finished tile can wait for the daemon (`report_pace`), so that short tiles share
messages; a slot without work cannot, so it has a flag of its own.

What a slot begins and what the loop may give up of a lease meanwhile is decided in `cursor`. A slot says when it last
asked whether it is cancelled; one that has not asked for long is stalled, which a heartbeat tells (`stalled_s`).

An isolated lease is evaluated by a child process of the slot (`isolation`), which is started when the first one comes.

A tile that raises becomes a FailedTile with the sentence of the error, and the lease goes on with the next tile. A
revoked lease ends between tiles, or inside one through `is_cancelled`. Either way a batch ends with one SlotFreed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from xip_core.errors import CellError, FailureReason, IntegrityError, XipError
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import Columns, TileCancelledError, TileData, TileValue
from xip_worker.cursor import TileCursor
from xip_worker.events import (
    RESULT_OVERHEAD_BYTES,
    Epoch,
    FailedTile,
    Fetched,
    FinishedTiles,
    Lease,
    LeaseBound,
    Report,
    SlotFreed,
    SlotIndex,
)
from xip_worker.isolation import ContainedError, ContainedTile, Isolation
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.probe import evaluate_probe
from xip_worker.remaking import stays_here

TILE_BYTES_MAX = (4 << 20) - (64 << 10)
"""Output, detail and quarantine of a tile: a heavy one travels alone, and every hop takes messages of 4 MiB. The margin
is for what stands around them: ids, counts and tags, below 1 KiB."""

MESSAGE_LENGTH_MAX = 2_000
"""Characters of an error's sentence that travel; the rest is in the worker's log."""

QUARANTINE_BYTES = 96
"""Counted for a quarantined range beside its texts."""

EvaluateTile = Callable[[Plan, int, int, TileData, IsCancelled], TileValue]
EncodeBlock = Callable[[Columns], bytes]
Batch = tuple[Lease, ...]
Cursors = dict[Epoch, TileCursor]


class Inputs(Protocol):
    """Where a slot gets what a lease names; calls may block on the network."""

    def plan(self, digest: bytes, is_cancelled: IsCancelled) -> Plan: ...

    def tile_data(self, lease: Lease, plan: Plan, is_cancelled: IsCancelled) -> TileData: ...

    def take_fetched(self) -> tuple[int, tuple[Fetched, ...]]:
        """Since this thread asked last: nanoseconds it waited for the scheduler, and what came."""

    def keep_output(self, lease: Lease, plan: Plan, tile: int, output: Columns | bytes) -> None:
        """
        The output of a tile just evaluated here, for leases of later nodes; serialized where it was in another process.
        """


class Evaluator(Protocol):
    """What is called for a tile; imported when the first lease comes, or before in the background."""

    def evaluate_tile(
        self, plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: IsCancelled
    ) -> TileValue: ...

    def encode_block(self, columns: Columns) -> bytes: ...

    def warm_up(self) -> None: ...



class Executor:
    """The slots of one worker.

    Args:
        wake: called from slot threads when there are reports; True when a slot has no work left. Must be cheap and
            thread-safe.
        log_failure: called from slot threads with the lease, the tile and the error behind a FailedTile.
    """

    def __init__(
        self,
        slot_count: int,
        inputs: Inputs,
        evaluator: Evaluator,
        wake: Callable[[bool], None],
        log_failure: Callable[[Lease, int, Exception], None],
        isolation: IsolationSettings = IsolationSettings(),  # noqa: B008 - a frozen record of numbers
    ) -> None:
        self._inputs = inputs
        self._evaluator = evaluator
        self._wake = wake
        self._log_failure = log_failure
        self._isolations = [Isolation(isolation) for _ in range(slot_count)]
        self._is_woken = False
        self._is_slot_free = False
        self._reports: deque[Report] = deque()
        self._broken: BaseException | None = None
        self._lock = threading.Lock()
        self._revoked: list[set[Epoch]] = [set() for _ in range(slot_count)]
        self._cursors: list[dict[Epoch, TileCursor]] = [{} for _ in range(slot_count)]
        self._looks: list[tuple[Epoch, float] | None] = [None] * slot_count
        self._inboxes: list[SimpleQueue[tuple[Batch, Cursors, set[Epoch]] | None]] = [
            SimpleQueue() for _ in range(slot_count)
        ]
        self._threads = [
            threading.Thread(target=self._serve, args=(SlotIndex(slot),), name=f"slot-{slot}", daemon=True)
            for slot in range(slot_count)
        ]
        for thread in self._threads:
            thread.start()

    def evaluate(self, slot: SlotIndex, leases: Batch) -> None:
        self._revoked[slot] = revoked = set[Epoch]()
        self._cursors[slot] = cursors = {lease.epoch: TileCursor(lease, self._lock) for lease in leases}
        self._inboxes[slot].put((leases, cursors, revoked))

    def revoke(self, slot: SlotIndex, epochs: tuple[Epoch, ...]) -> None:
        """Stop these leases of the slot's batch; harmless when the batch has just ended."""
        self._revoked[slot].update(epochs)

    def trim(self, slot: SlotIndex, bounds: tuple[LeaseBound, ...]) -> None:
        """Begin no tile of the slot's batch beyond these bounds; what is kept of each is reported."""
        for bound in bounds:
            cursor = self._cursors[slot].get(bound.epoch)
            if cursor is not None:
                cursor.trim(bound.tile_end, self._report)

    def stalled_s(self) -> dict[Epoch, float]:
        """By lease being evaluated: how long ago its slot last asked whether it is cancelled."""
        now_s = time.monotonic()
        return {look[0]: now_s - look[1] for look in self._looks if look is not None}

    def take_reports(self) -> tuple[Report, ...]:
        """
        Everything reported since the last call, in the order of each slot.

        Raises: what ended a slot, which is a bug of the worker's own.
        """
        if self._broken is not None:
            raise self._broken
        self._is_woken = self._is_slot_free = False
        reports = self._reports
        return tuple([reports.popleft() for _ in range(len(reports))])

    def close(self, timeout_s: float) -> bool:
        """Let idle slots end; False when one is still busy after *timeout_s*."""
        for inbox in self._inboxes:
            inbox.put(None)
        until_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self, slot: SlotIndex) -> None:
        """A slot that ended without a word would keep its leases for ever: the heartbeats go on without it."""
        try:
            self._serve_batches(slot)
        except BaseException as error:
            self._broken = error
            self._wake(True)

    def _serve_batches(self, slot: SlotIndex) -> None:
        inbox = self._inboxes[slot]
        while (batch := inbox.get()) is not None:
            leases, cursors, revoked = batch
            begun_ns = time.perf_counter_ns()
            run = _SlotRun(self, slot, revoked)
            for lease in leases:
                if lease.epoch not in revoked:
                    run.evaluate(lease, cursors[lease.epoch])
            self._looks[slot] = None
            self._reports.append(SlotFreed(slot, time.perf_counter_ns() - begun_ns))
            if not self._is_slot_free:
                self._is_slot_free = True
                self._wake(True)
        self._isolations[slot].close()

    def _report(self, report: FinishedTiles | FailedTile | LeaseBound) -> None:
        self._reports.append(report)
        if not self._is_woken:
            self._is_woken = True
            self._wake(False)


class _SlotRun:
    """One batch in one slot."""

    def __init__(self, executor: Executor, slot: SlotIndex, revoked: set[Epoch]) -> None:
        self._executor = executor
        self._slot = slot
        self._inputs = executor._inputs
        self._evaluator = executor._evaluator
        self._revoked = revoked
        self._isolation = executor._isolations[slot]
        self._report = executor._report
        self._plan_digest = b""
        self._plan: Plan | None = None

    def evaluate(self, lease: Lease, cursor: TileCursor) -> None:
        epoch, revoked, looks, slot = lease.epoch, self._revoked, self._executor._looks, self._slot

        def is_cancelled() -> bool:
            looks[slot] = epoch, time.monotonic()
            return epoch in revoked

        try:
            plan = self._plan_of(lease, is_cancelled)
            node = _node_of(plan, lease)
        except TileCancelledError:
            return
        except Exception as error:
            self._fail(lease, cursor.claim_rest(), error)
            return
        if node.kind is NodeKind.PROBE and not lease.is_isolated:
            for finished in evaluate_probe(plan, node, cursor, is_cancelled):
                self._report(finished)
            return
        data = self._inputs.tile_data(lease, plan, is_cancelled)
        while not is_cancelled() and (tile := cursor.claim()) is not None:
            try:
                finished = self._evaluate_tile(lease, plan, tile, data, is_cancelled)
            except TileCancelledError:
                return
            except Exception as error:
                self._fail(lease, (tile,), error)
            else:
                self._report(finished)

    def _plan_of(self, lease: Lease, is_cancelled: IsCancelled) -> Plan:
        """Plans of a batch are the same more often than not."""
        if self._plan is None or lease.plan_digest != self._plan_digest:
            self._plan = self._inputs.plan(lease.plan_digest, is_cancelled)
            self._plan_digest = lease.plan_digest
        return self._plan

    def _evaluate_tile(
        self, lease: Lease, plan: Plan, tile: int, data: TileData, is_cancelled: IsCancelled
    ) -> FinishedTiles:
        begun_ns = time.perf_counter_ns()
        objects: tuple[str, ...] = ()
        pruned_count = 0
        value: TileValue | ContainedTile
        if lease.is_isolated:
            value = self._isolation.evaluate(plan, lease, tile, data, is_cancelled)
            output, detail = value.output, value.detail
        else:
            value = self._evaluator.evaluate_tile(plan, lease.node_id, tile, data, is_cancelled)
            is_sent = value.output and not stays_here(value)
            output = self._evaluator.encode_block(value.output) if is_sent else b""
            detail = self._evaluator.encode_block(value.detail) if value.detail else b""
            objects, pruned_count = value.objects, value.pruned_cells
        payload_bytes = len(output) + len(detail)
        quarantine = value.quarantine
        payload_bytes += sum(
            QUARANTINE_BYTES + len(cells.message.encode()) + len(cells.trade_id.encode()) for cells in quarantine
        )
        if payload_bytes > TILE_BYTES_MAX:
            raise XipError(
                f"tile {tile} of node {plan.nodes[lease.node_id].name!r}: output, detail and quarantine must have at "
                f"most {TILE_BYTES_MAX} bytes together, got {len(output)}, {len(detail)} and "
                f"{payload_bytes - len(output) - len(detail)}; plan smaller tiles"
            )
        self._inputs.keep_output(lease, plan, tile, output if isinstance(value, ContainedTile) else value.output)
        fetch_ns, fetched = self._inputs.take_fetched()
        return FinishedTiles(
            lease.epoch,
            tile,
            tile + 1,
            value.cell_count,
            time.perf_counter_ns() - begun_ns,
            output,
            detail,
            quarantine,
            RESULT_OVERHEAD_BYTES + payload_bytes + sum(map(len, objects)),
            objects,
            fetch_ns,
            fetched,
            pruned_count,
        )

    def _fail(self, lease: Lease, tiles: range | tuple[int, ...], error: Exception) -> None:
        if not tiles:  # trimmed to nothing meanwhile
            return
        self._executor._log_failure(lease, tiles[0], error)
        message = _sentence(error)
        reason = _reason(error)
        size_bytes = RESULT_OVERHEAD_BYTES + len(message.encode())
        for tile in tiles:
            self._report(FailedTile(lease.epoch, tile, reason, message, size_bytes))


def _node_of(plan: Plan, lease: Lease) -> Node:
    if not lease.node_id < len(plan.nodes):
        raise IntegrityError(f"run {lease.run_id}: node {lease.node_id} leased of a plan of {len(plan.nodes)} nodes")
    node = plan.nodes[lease.node_id]
    if not lease.tile_end <= node.tile_count:
        raise IntegrityError(
            f"run {lease.run_id}: tiles up to {lease.tile_end} leased of node {node.name!r}, "
            f"which has {node.tile_count}"
        )
    return node


def _reason(error: Exception) -> FailureReason:
    if isinstance(error, MemoryError):
        return FailureReason.OUT_OF_MEMORY
    return error.failure.reason if isinstance(error, CellError | ContainedError) else FailureReason.EVALUATION_FAILED


def _sentence(error: Exception) -> str:
    """What the error says, led by its type where that is not one of ours."""
    text = str(error)
    if not type(error).__module__.startswith("xip_"):
        text = f"{type(error).__name__}: {text}"
    return text[:MESSAGE_LENGTH_MAX]
