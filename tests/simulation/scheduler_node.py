"""The scheduler's process: the real core, driver, journal and restore between a model disk and a model network.

What is modelled here is what the gRPC shells do: number connections, turn messages into events, hold an acknowledgement
back until its batch is durable, drop orders for connections and runs that are gone.

It can be killed at any await of the driver; the points that matter lie inside a commit::

    handled ──(1)── written ──(2)── synced ──(3)── commit returns ── sends, acknowledges ──(4)── idle

(1) loses the batch, (2) leaves it to chance, (3) leaves it durable and nobody told, (4) loses what was still in flight.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.simulation.disk import Entry, ModelStore
from tests.simulation.workload import Request, Tile
from xip_core.errors import StoreError
from xip_scheduler.clock import PatientClock
from xip_scheduler.core.actions import Action, GrantLease, RecordTiles, RevokeLease
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    RunCancelled,
    RunSubmitted,
    TilesReported,
    WorkerAttached,
    WorkerDetached,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId
from xip_scheduler.driver import Delivery, Driver
from xip_scheduler.journal import Journal, Orders
from xip_scheduler.restore import restore_core
from xip_scheduler.store.protocol import Batch
from xip_worker.events import Lease

if TYPE_CHECKING:
    from tests.simulation.network import Link
    from tests.simulation.world import World

CHECKED_ONE_IN = 4
"""Commits after which memory is compared with the store and the core checks itself."""

OLDER_STREAM_ENDS_S = 2.0
"""At most, until an older stream of a worker has ended; what it carries meanwhile is still read."""


class GhostLease(Lease, frozen=True, gc=False):
    """A lease that carries its serial to the worker and back."""

    serial: int = 0


class SpiedCore:
    """The core as the driver sees it, with a ghost at the keyhole."""

    def __init__(self, node: SchedulerNode) -> None:
        self.node = node
        self.core = node.core
        self.kept: list[tuple[str, int]] = []
        self.recorded: dict[int, list[Tile]] = {}

    def next_deadline_s(self) -> float | None:
        return self.core.next_deadline_s()

    def handle(self, event: Event, now_s: float) -> list[Action]:
        actions = self.core.handle(event, now_s)
        if type(event) is WorkerAttached:
            self._attached(event, actions)
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

    def _attached(self, event: WorkerAttached, actions: list[Action]) -> None:
        revoked = {action.epoch for action in actions if type(action) is RevokeLease}
        probes = self.node.world.ghost.probes
        for held in event.held:
            if held.epoch in revoked:
                probes["adoption refused"] += 1
            else:
                probes["lease kept or adopted"] += 1
                self.kept.append((event.worker_id, held.epoch))
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


class ServerConnection:
    def __init__(self, connection_id: int, worker_id: str, link: Link) -> None:
        self.connection_id = connection_id
        self.worker_id = worker_id
        self.link = link
        self.is_draining = False
        self.is_open = True


class SchedulerNode:
    """One incarnation; a restart makes a new one."""

    def __init__(self, world: World, rate: float) -> None:
        self.world = world
        self.is_alive = True
        self.rate = rate
        self.store = ModelStore(world.disk)
        self.journal = Journal()
        loop = world.loop
        self.clock = PatientClock(lambda: loop.now_s * rate)
        limits = Limits(epoch_block=world.epoch_block)
        self.core = restore_core(self.store, world.disk, self.journal, limits, self.clock.now_s())  # type: ignore[arg-type]  # models
        self.journal.view = self.core.run
        self.spy = SpiedCore(self)
        self.driver = Driver(self.spy, self, self.journal, self._send, self.clock.now_s, lambda: 1.0 + loop.now_s)
        self.connections: dict[int, ServerConnection] = {}
        self.connection_count = 0
        self.disk_turn = asyncio.Lock()
        self.submissions: dict[tuple[str, str], asyncio.Lock] = {}
        world.ghost.restarted(self.core, self.store.term)
        self.task = loop.create_task(self.driver.run())
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not self.is_alive:
            return
        error = task.exception()
        if isinstance(error, StoreError):
            self.world.scheduler_died("commit failed")
        elif error is not None:
            raise error

    def die(self) -> None:
        """Nothing of this process happens any more."""
        self.is_alive = False
        self.task.cancel()

    # ---- the store, as the driver sees it

    async def commit(self, batch: Batch) -> None:
        async with self.disk_turn:
            await self._commit(batch)

    async def _commit(self, batch: Batch) -> None:
        world, disk = self.world, self.world.disk
        fate = world.commit_fate()
        await world.loop.passed(fate.write_s)
        if fate.kill_at == 1:
            world.probe("killed between handle and write")
            world.scheduler_died("killed before its commit was written")
            await asyncio.Event().wait()
        if fate.error == "refused":
            world.probe("commit refused")
            raise StoreError("the disk is full")
        entry = Entry(batch, self.store.term, kept=tuple(self.spy.kept))
        self.spy.kept.clear()
        disk.write(entry)
        if fate.kill_at == 2:
            world.probe("killed between write and sync")
            world.scheduler_died("killed before its commit was synced")
            await asyncio.Event().wait()
        await world.loop.passed(fate.sync_s)
        disk.sync()
        self.store_synced(entry)
        if fate.kill_at == 3:
            world.probe("killed between commit and send")
            world.scheduler_died("killed before it said what it had committed")
            await asyncio.Event().wait()
        if fate.error == "unknown":
            world.probe("commit of unknown outcome")
            raise StoreError("connection lost during COMMIT")
        entry.is_acknowledged = True

    def store_synced(self, entry: Entry) -> None:
        """Judge what has just become durable, with the core still at the state it was handled in."""
        ghost = self.world.ghost
        ghost.durable(entry)
        self.world.note(f"commit {entry.batch.records} {entry.batch.finished}")
        if len(self.world.disk.entries) % CHECKED_ONE_IN == 0:
            ghost.equal(self.core)
            self.core.check_invariants()

    # ---- streams of workers

    def hello(self, link: Link, worker_id: str, slot_count: int, attached: WorkerAttached) -> ServerConnection:
        """A stream says who it is.

        Older streams of that worker are ended: whichever of them is the live one, the worker hears of it and attaches
        again; otherwise a greeting that arrives late would leave the live stream an orphan.
        """
        for older in [known for known in self.connections.values() if known.worker_id == worker_id]:
            self.world.probe("older stream ended")
            self.world.loop.call_later(OLDER_STREAM_ENDS_S * self.world.chance.random(), older.link.close_server)
        self.connection_count += 1
        connection = ServerConnection(self.connection_count, worker_id, link)
        self.connections[connection.connection_id] = connection
        event = WorkerAttached(
            WorkerId(worker_id), ConnectionId(connection.connection_id), slot_count, attached.held, attached.kernels
        )
        self.put([event])
        return connection

    def put(self, events: list[Event], on_committed: object = None) -> None:
        self.driver.put_at_once(Delivery(events, self.driver.now_s(), on_committed))  # type: ignore[arg-type]  # a callable

    def results(self, connection: ServerConnection, sequence: int, events: list[Event]) -> None:
        same = [known for known in self.connections.values() if known.worker_id == connection.worker_id]
        if any(known.connection_id > connection.connection_id for known in same):
            self.world.probe("result over an older connection")

        def on_committed() -> None:
            spy = self.spy
            tiles = [tile for event in events for tile in spy.recorded.pop(id(event), ())]
            if self.is_alive:
                self.world.ghost.acknowledged_results(tiles)
                self.world.acknowledge(connection, sequence)

        self.put(events, on_committed)

    def closed(self, connection: ServerConnection) -> None:
        """The stream has ended, as this side sees it."""
        if not connection.is_open:
            return
        connection.is_open = False
        del self.connections[connection.connection_id]
        if any(other.worker_id == connection.worker_id for other in self.connections.values()):
            self.world.probe("detach after the next attach")
        detached = WorkerDetached(
            WorkerId(connection.worker_id), ConnectionId(connection.connection_id), connection.is_draining
        )
        self.put([detached])

    def _send(self, orders: Orders) -> None:
        """What `WorkerService.send` does."""
        ghost = self.world.ghost
        for worker_id, epoch in self.spy.kept:  # attached in a batch without a commit
            ghost.adopted(worker_id, epoch)
        self.spy.kept.clear()
        leases: dict[int, list[Lease]] = {}
        for order in orders.grants:
            digest = self.journal.plan_digests.get(order.run_id)
            if order.connection_id in self.connections and digest is not None:
                leases.setdefault(order.connection_id, []).append(self._lease(order, digest))
        for connection_id, granted in leases.items():
            self.world.send_leases(self.connections[connection_id], tuple(granted))
        revoked: dict[int, list[Epoch]] = {}
        for revoke in orders.revokes:
            if revoke.connection_id in self.connections:
                revoked.setdefault(revoke.connection_id, []).append(revoke.epoch)
        for connection_id, epochs in revoked.items():
            self.world.send_revoked(self.connections[connection_id], tuple(epochs))

    def _lease(self, order: GrantLease, digest: bytes) -> Lease:
        is_live = order.epoch in self.core._state.leases
        serial = self.world.ghost.sent(order, is_live)
        self.world.note(f"grant {order.worker_id} {order.epoch} {order.run_id} {order.node_id} {order.tile_begin}")
        return GhostLease(
            order.epoch, order.run_id, order.node_id, order.tile_begin, order.tile_end, digest, order.is_isolated,
            serial,
        )  # type: ignore[arg-type]  # epochs of both sides are the same numbers

    # ---- clients

    async def submit(self, request: Request, payload_hash: str) -> str | None:
        """The run id, or None for FAILED_PRECONDITION."""
        lock = self.submissions.setdefault((request.tenant, request.request_id), asyncio.Lock())
        async with lock:
            async with self.disk_turn:
                known = self.store.find_request(request.tenant, request.request_id)
            if known is not None:
                self.world.probe("submit repeated" if known.payload_hash == payload_hash else "submit of other content")
                return known.run_id if known.payload_hash == payload_hash else None
            self.world.disk.blobs[request.plan_digest] = request.encoded
            await self.driver.submit(
                RunSubmitted(
                    RunId(request.run_id), request.tenant, "", request.request_id, request.plan, request.plan_digest,
                    payload_hash, 1.0, b"spec",
                )
            )  # fmt: skip
            return request.run_id

    async def cancel(self, run_id: str) -> bool:
        """True when the run is final now, False for NOT_FOUND."""
        view = await self.driver.query(lambda: self.core.run(RunId(run_id)))
        if view is not None and not view.state.is_final:
            await self.driver.submit(RunCancelled(RunId(run_id), "asked for"))
            return True
        async with self.disk_turn:
            return self.store.run(run_id) is not None
