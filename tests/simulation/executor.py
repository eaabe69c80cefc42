"""The slots of a worker: `xip_worker.executor` as a model that takes its time, with the real cursors.

A tile takes as long as its run says and the host is fast; it may fail, find no inputs, or take the whole process with
it. What is finished is reported together, as the daemon's look does it.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from tests.simulation.scheduler_node import GhostLease
from tests.simulation.workload import SERIAL_BYTES, Fate, cells_of_tile
from xip_core.errors import FailureReason
from xip_core.graph.plan import NodeKind
from xip_worker.cursor import TileCursor
from xip_worker.events import (
    FailedTile,
    FinishedTiles,
    Lease,
    LeaseBound,
    Report,
    RevokeRunning,
    SlotFreed,
    SlotIndex,
    TrimRunning,
    WorkReported,
)

if TYPE_CHECKING:
    from tests.simulation.worker_node import WorkerNode

REPORT_INTERVAL_S = 0.002
FETCH_RETRY_S = 0.5
FETCH_PATIENCE_S = 60.0
REVOKED_LOOK_S = 0.05
NO_LOCK = Lock()
"""Everything happens in one thread."""


class Slot:
    """What one slot thread is at. *token* tells its timers of before a revocation from the current one."""

    def __init__(self) -> None:
        self.leases: deque[Lease] = deque()
        self.cursors: dict[int, TileCursor] = {}
        self.revoked: set[int] = set()
        self.tile = 0
        self.token = 0
        self.begun_s = 0.0
        self.patience_s = 0.0


class Executor:
    """Of one incarnation of a worker."""

    def __init__(self, node: WorkerNode) -> None:
        self.node = node
        self.world = node.world
        self.slots = [Slot() for _ in range(node.slot_count)]
        self.reports: list[Report] = []
        self.is_flush_due = False

    def begin(self, index: int, leases: tuple[Lease, ...]) -> None:
        slot = self.slots[index]
        assert not slot.leases, "a busy slot got more"
        slot.leases = deque(leases)
        slot.revoked = set()
        slot.begun_s = self.world.loop.now_s
        slot.cursors = {lease.epoch: TileCursor(lease, NO_LOCK) for lease in leases}
        self.next_tile(index)

    def trim(self, action: TrimRunning) -> None:
        """As the executor does it, with the real cursors."""
        for bound in action.bounds:
            cursor = self.slots[action.slot].cursors.get(bound.epoch)
            if cursor is not None:
                self.world.probe("running lease trimmed")
                cursor.trim(bound.tile_end, self.report)

    def revoke(self, action: RevokeRunning) -> None:
        slot = self.slots[action.slot]
        slot.revoked.update(action.epochs)
        if slot.leases and slot.leases[0].epoch in action.epochs:
            self.world.probe("running tile stopped")
            self.next_tile(action.slot, REVOKED_LOOK_S)

    def next_tile(self, index: int, delay_s: float = 0.0) -> None:
        """Start the next tile, or report that there is none."""
        slot = self.slots[index]
        slot.token += 1
        token = slot.token
        slot.patience_s = self.world.loop.now_s + FETCH_PATIENCE_S
        while slot.leases:
            epoch = slot.leases[0].epoch
            tile = None if epoch in slot.revoked else slot.cursors[epoch].claim()
            if tile is not None:
                slot.tile = tile
                break
            slot.leases.popleft()
        if slot.leases:
            request = self.world.requests[slot.leases[0].run_id]
            delay_s += request.tile_s * self.node.speed * (0.5 + self.world.chance.random())
        self.node.later(delay_s, lambda: self.tile_done(index) if slot.token == token else None)

    def tile_done(self, index: int) -> None:
        slot = self.slots[index]
        if not slot.leases:
            busy_ns = int((self.world.loop.now_s - slot.begun_s) * 1e9)
            self.reports.append(SlotFreed(SlotIndex(index), busy_ns))
            self.flush()
            return
        lease, tile = slot.leases[0], slot.tile
        inputs = self.world.requests[lease.run_id].plan.nodes[lease.node_id].inputs
        if inputs and not self.world.can_fetch(self.node.link):
            if self.world.loop.now_s < slot.patience_s:
                token = slot.token
                self.node.later(FETCH_RETRY_S, lambda: self.tile_done(index) if slot.token == token else None)
                return
            self.report(FailedTile(lease.epoch, tile, int(FailureReason.EVALUATION_FAILED), "no scheduler"))
        elif not self.evaluate(lease, tile):
            return
        self.next_tile(index)

    def evaluate(self, lease: Lease, tile: int) -> bool:
        """One tile; False when it has killed the process."""
        request = self.world.requests[lease.run_id]
        is_kept = tile < self.node.promised.get(lease.epoch, lease.tile_end)
        sentence = f"{self.node.worker_id} gave tile {tile} of {lease} back and evaluates it"
        self.world.ghost.demand(is_kept, "S2", sentence)
        fate = request.fate(lease.node_id, tile)
        node = request.plan.nodes[lease.node_id]
        is_crippled = fate is Fate.CRASHES and lease.is_isolated and request.is_found(node, tile)
        if is_crippled:
            self.world.probe("poison row refused")
        elif fate is Fate.CRASHES and lease.is_isolated:
            self.world.probe("poison died in a child")
            self.report(FailedTile(lease.epoch, tile, int(FailureReason.CRASHED), "signal 11 in a child"))
            return True
        elif fate is Fate.CRASHES:
            self.world.crashed(self.node, lease, tile)
            self.node.die()
            return False
        if fate is Fate.FAILS or (fate is Fate.FAILS_ONCE and self.node.host == "h0"):
            self.report(FailedTile(lease.epoch, tile, int(FailureReason.EVALUATION_FAILED), "it raised"))
            return True
        inputs = self.world.fetch(request, node, tile)
        if inputs is None:
            self.report(FailedTile(lease.epoch, tile, int(FailureReason.EVALUATION_FAILED), "input not found"))
            return True
        serial = lease.serial if isinstance(lease, GhostLease) else 0
        output = b""
        if node.kind is not NodeKind.PROBE or tile % 2:
            output = serial.to_bytes(SERIAL_BYTES, "little")
            output += request.value_of(node, tile, inputs, is_crippled)
        finished = FinishedTiles(
            lease.epoch,
            tile,
            tile + 1,
            cells_of_tile(request.plan, node, tile),
            int(request.tile_s * self.node.speed * 1e9),
            output,
            quarantine=request.quarantine_of(node, tile, is_crippled),  # type: ignore[arg-type]  # tuples of the same fields, as the store has them
            objects=request.objects_of(node, tile),
        )
        self.report(finished)
        return True

    def report(self, outcome: FinishedTiles | FailedTile | LeaseBound) -> None:
        self.reports.append(outcome)
        if not self.is_flush_due:
            self.is_flush_due = True
            self.node.later(REPORT_INTERVAL_S, self.flush)

    def flush(self) -> None:
        self.is_flush_due = False
        if self.reports:
            reports, self.reports = tuple(self.reports), []
            self.node.handle(WorkReported(reports))
            if self.node.core._holdback.is_holding:
                self.world.probe("results waited for company")
