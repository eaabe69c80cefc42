"""The core as the driver sees it, with a ghost at the keyhole.

What only shows between an event and what the core makes of it is judged here: that a worker which attaches keeps no
lease that nobody vouches for, that a lease is no longer than its worker said, that whoever speaks does not pass for
silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.workload import Tile
from xip_scheduler.core.actions import Action, GrantLease, RecordTiles, RevokeLease
from xip_scheduler.core.events import Event, HeartbeatReceived, LeaseKept, TilesReported, WorkerAttached
from xip_scheduler.core.words import Epoch

if TYPE_CHECKING:
    from tests.simulation.scheduler_node import SchedulerNode


class SpiedCore:
    """
    Attributes:
        kept: (worker, epoch, tile end) of leases that workers brought along, since the last commit.
        recorded: tiles that each report made the core record, by the identity of the event.
    """

    def __init__(self, node: SchedulerNode) -> None:
        self.node = node
        self.core = node.core
        self.kept: list[tuple[str, int, int]] = []
        self.recorded: dict[int, list[Tile]] = {}

    def next_deadline_s(self) -> float | None:
        return self.core.next_deadline_s()

    def handle(self, event: Event, now_s: float) -> list[Action]:
        if type(event) is LeaseKept:
            self._answered(event)
        actions = self.core.handle(event, now_s)
        if not self.node.is_deposed:
            self.node.world.ghost.decided_orders(actions)
        if type(event) is WorkerAttached:
            self._attached(event, actions)
        elif type(event) is LeaseKept:
            self._is_as_short(event.epoch, event.worker_id, event.tile_end)
        elif type(event) is HeartbeatReceived:
            silent = [view for view in self.core.workers() if view.is_silent and view.worker_id == event.worker_id]
            self.node.world.ghost.demand(not silent, "L2", f"{silent} has just spoken and passes for silent")
        elif type(event) is TilesReported:
            tiles = [
                (action.run_id, action.node_id, tile)
                for action in actions
                if type(action) is RecordTiles
                for tile in range(action.tile_begin, action.tile_end)
            ]
            self.recorded[id(event)] = tiles
            if not tiles:
                self._refused(event)
        return actions

    def _answered(self, event: LeaseKept) -> None:
        """A worker answers a trim."""
        ghost = self.node.world.ghost
        serial = ghost.serials.get((event.worker_id, event.epoch))
        ghost.probes["trim answered"] += 1
        if event.epoch not in self.core._state.leases:
            ghost.probes["trim answered after the lease was lost"] += 1
        elif serial is not None and event.tile_end < ghost.grants[serial].tile_end:
            ghost.probes["lease trimmed"] += 1

    def _is_as_short(self, epoch: int, worker_id: str, tile_end: int) -> None:
        """What a worker has given back is free for others."""
        lease = self.core._state.leases.get(Epoch(epoch))
        if lease is not None and lease.worker.worker_id == worker_id:
            sentence = f"{worker_id} keeps epoch {epoch} up to {tile_end}, the scheduler up to {lease.tile_end}"
            self.node.world.ghost.demand(lease.tile_end <= tile_end, "L5", sentence)

    def _attached(self, event: WorkerAttached, actions: list[Action]) -> None:
        revoked = {action.epoch for action in actions if type(action) is RevokeLease}
        probes = self.node.world.ghost.probes
        for held in event.held:
            if held.epoch in revoked:
                probes["adoption refused"] += 1
            else:
                probes["lease kept or adopted"] += 1
                self.kept.append((event.worker_id, held.epoch, held.tile_end))
                self._is_as_short(held.epoch, event.worker_id, held.tile_end)
                serial = self.node.world.ghost.serials.get((event.worker_id, held.epoch))
                if serial is not None and held.tile_end < self.node.world.ghost.grants[serial].tile_end:
                    probes["kept or adopted after a trim"] += 1
        granted = sum(type(action) is GrantLease and action.worker_id == event.worker_id for action in actions)
        for view in self.core.workers():
            if view.worker_id == event.worker_id:
                vouched = len(event.held) + granted
                sentence = f"{event.worker_id} holds {view.lease_count} leases, vouches for {vouched}"
                self.node.world.ghost.demand(view.lease_count <= vouched, "L5", sentence)

    def _refused(self, event: TilesReported) -> None:
        ghost = self.node.world.ghost
        serial = ghost.serials.get((event.worker_id, event.epoch), 0)
        if serial == 0:
            return
        grant = ghost.grants[serial]
        tile = (grant.run_id, grant.node_id, event.tile_begin)
        ghost.probes["result refused"] += 1
        if grant.run_id in ghost.final:
            ghost.probes["result after the end of its run"] += 1
        elif ghost.current.get(tile, serial) != serial:
            ghost.probes["result after re-lease"] += 1
        if tile in ghost.decided:
            ghost.probes["result of a decided tile"] += 1
