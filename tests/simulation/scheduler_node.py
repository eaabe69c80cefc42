"""The scheduler's process: the real core, driver, journal and restore between a model disk and a model network.

What is modelled here is what the gRPC shells do: number connections, turn messages into events, hold an acknowledgement
back until its batch is durable, drop orders for connections and runs that are gone.

It can be killed at any await of the driver; the points that matter lie inside a commit::

    handled ──(1)── written ──(2)── synced ──(3)── commit returns ── sends, acknowledges ──(4)── idle

(1) loses the batch, (2) leaves it to chance, (3) leaves it durable and nobody told, (4) loses what was still in flight.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.simulation.disk import Entry, ModelStore, QueuedStore, SharedStore
from tests.simulation.run_service import RunService
from tests.simulation.spied_core import SpiedCore
from xip_core.errors import StoreError
from xip_scheduler.clock import PatientClock
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.events import (
    Event,
    WorkerAttached,
    WorkerDetached,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, WorkerId
from xip_scheduler.driver import Delivery, Driver
from xip_scheduler.journal import Journal, Orders
from xip_scheduler.restore import restore_core
from xip_scheduler.retention import Retention, RetentionRules
from xip_scheduler.rpc.held_runs import HeldRuns
from xip_scheduler.store.protocol import Batch
from xip_worker.events import Epoch as WorkerEpoch
from xip_worker.events import Lease, LeaseBound

if TYPE_CHECKING:
    from tests.simulation.network import Link
    from tests.simulation.seats import Seat
    from tests.simulation.world import World

COMMITTED_ON_THE_WAY = 0.5
"""Of the transactions whose COMMIT was sent by a scheduler killed at that moment."""

CHECKED_ONE_IN = 4
"""Commits after which memory is compared with the store and the core checks itself."""

TIDY_INTERVAL_S = 0.7
REST_S = 0.1
"""Between two commits of retention."""

OLDER_STREAM_ENDS_S = 2.0
"""At most, until an older stream of a worker has ended; what it carries meanwhile is still read."""


class GhostLease(Lease, frozen=True, gc=False):
    """A lease that carries its serial to the worker and back."""

    serial: int = 0


class ServerConnection:
    def __init__(self, connection_id: int, worker_id: str, link: Link) -> None:
        self.connection_id = connection_id
        self.worker_id = worker_id
        self.link = link
        self.is_draining = False
        self.is_open = True


class SchedulerNode:
    """One incarnation; a restart makes a new one."""

    def __init__(self, world: World, seat: Seat, store: ModelStore, rate: float) -> None:
        self.world = world
        self.seat = seat
        self.is_alive = True
        self.is_ending = False
        self.store = store
        self.journal = Journal()
        loop = world.loop
        self.process = seat.process
        self.clock = PatientClock(lambda: loop.now_s * rate + seat.clock_offset_s)
        limits = Limits(
            epoch_block=world.epoch_block, gathering_s=world.gathering_s, tenant_weights=world.tenant_weights
        )
        self.core = restore_core(self.store, world.disk, self.journal, limits, self.clock.now_s(), self._wall_clock_s())  # type: ignore[arg-type]  # models
        self.journal.view, self.journal.account = self.core.run, self.core.account
        self.spy = SpiedCore(self)
        self.driver = Driver(self.spy, self, self.journal, self._send, self.clock.now_s, self._wall_clock_s)
        self.tidying: asyncio.Task[None] | None = None
        self.connections: dict[int, ServerConnection] = {}
        self.connection_count = 0
        self.disk_turn = asyncio.Lock()
        self.queued: Any = QueuedStore(self.store, self.disk_turn, self._commit_apart)
        self.held = HeldRuns()
        self.runs = RunService(self)
        world.ghost.restarted(self.core, self.store.term, loop.now_s)
        self.task = self.process.create_task(self.driver.run())
        self.task.add_done_callback(self._ended)
        if world.retention is not None:
            self.tidying = self.process.create_task(self._tidy(world.retention))
            self.tidying.add_done_callback(self._ended)

    async def _tidy(self, rules: RetentionRules) -> None:
        """What `daemon` does beside the driver."""
        passed = self.process.passed
        rest = lambda _: passed(REST_S)  # noqa: E731 - what the true clock says would not come out the same again
        retention = Retention(self.queued, None, rules, self._wall_clock_s, rest, self.held)
        while self.is_alive:
            await passed(TIDY_INTERVAL_S)
            await retention.tidy()

    def _wall_clock_s(self) -> float:
        """For people; may be anything."""
        return 1.0 + self.world.loop.now_s + self.seat.wall_clock_offset_s

    @property
    def is_deposed(self) -> bool:
        """Another scheduler has raised the term; this one does not know."""
        return self.store.term != self.world.ghost.term

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not self.is_alive:
            return
        error = task.exception()
        if isinstance(error, StoreError):
            self.seat.die(f"commit failed: {error}")
        elif error is not None:
            raise error
        else:
            if isinstance(self.store, SharedStore):
                self.store.release()
            self.seat.die("ended in order")

    def die(self) -> None:
        """Nothing of this process happens any more."""
        self.is_alive = False
        self.task.cancel()
        if self.tidying is not None:
            self.tidying.cancel()

    def end_orderly(self) -> None:
        """What the daemon does when it is told to: streams first, then the batch it is at."""
        for connection in list(self.connections.values()):
            connection.link.close_server()
        self.driver.stop()

    # ---- the store, as the driver sees it

    async def commit(self, batch: Batch) -> None:
        async with self.disk_turn:
            await self._commit(batch)

    async def _commit_apart(self, batch: Batch) -> None:
        """A batch that the core knows nothing of; the core may be ahead of the store meanwhile."""
        async with self.disk_turn:
            await self._commit(batch, is_apart=True)

    async def _commit(self, batch: Batch, is_apart: bool = False) -> None:
        world, store, passed = self.world, self.store, self.process.passed
        fate = world.commit_fate(self.seat)
        await passed(fate.write_s)
        if fate.kill_at == 1:
            await self._killed("killed between handle and write")
        if fate.error == "refused" or world.is_disk_full():
            world.probe("commit refused")
            raise StoreError("the disk is full")
        entry = Entry(batch, store.term, kept=() if is_apart else tuple(self.spy.kept), is_apart=is_apart)
        if not is_apart:
            self.spy.kept.clear()
        store.write(entry)
        if fate.stop_s:
            world.probe("stopped inside a commit")
            self.seat.stop(fate.stop_s)
        if fate.kill_at == 2:
            if world.is_pair and world.chance.random() < COMMITTED_ON_THE_WAY:
                store.sync(entry)
                self.store_synced(entry)
            await self._killed("killed between write and sync")
        await passed(fate.sync_s)
        store.sync(entry)
        self.store_synced(entry)
        if fate.kill_at == 3:
            await self._killed("killed between commit and send")
        if fate.error == "unknown":
            world.probe("commit of unknown outcome")
            raise StoreError("connection lost during COMMIT")
        entry.is_acknowledged = True
        world.disk.acknowledged_count = max(world.disk.acknowledged_count, len(world.disk.entries))

    async def _killed(self, where: str) -> None:
        self.world.probe(where)
        self.seat.die(where)
        await asyncio.Event().wait()

    def store_synced(self, entry: Entry) -> None:
        """Judge what has just become durable, with the core still at the state it was handled in."""
        ghost = self.world.ghost
        ghost.durable(entry)
        self.world.note(f"commit {entry.batch.records} {entry.batch.finished}")
        if not entry.is_apart and len(self.world.disk.entries) % CHECKED_ONE_IN == 0:
            ghost.memory.compare(self.core)
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
        self.world.ghost.attested[worker_id] = frozenset(attached.kernels)
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
        if not self.is_deposed:
            for kept in self.spy.kept:  # attached in a batch without a commit
                ghost.adopted(*kept)
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
        for judged in orders.judged:
            self.world.probe(f"kernel {judged.state}")
        for drain in orders.drains:
            if drain.connection_id in self.connections:
                self.world.probe("worker told to leave")
                self.world.send_drain(self.connections[drain.connection_id], drain.reason)
        trimmed: dict[int, list[LeaseBound]] = {}
        for trim in orders.trims:
            if trim.connection_id in self.connections:
                bound = LeaseBound(WorkerEpoch(trim.epoch), trim.tile_end)
                trimmed.setdefault(trim.connection_id, []).append(bound)
        for connection_id, bounds in trimmed.items():
            self.world.send_trimmed(self.connections[connection_id], tuple(bounds))

    def _lease(self, order: GrantLease, digest: bytes) -> Lease:
        is_live = order.epoch in self.core._state.leases
        serial = self.world.ghost.sent(order, is_live, self.store.term)
        self.world.note(f"grant {order.worker_id} {order.epoch} {order.run_id} {order.node_id} {order.tile_begin}")
        return GhostLease(
            order.epoch,
            order.run_id,
            order.node_id,
            order.tile_begin,
            order.tile_end,
            digest,
            order.is_isolated,
            order.patience_ms * 1e-3,
            order.work_us * 1e-6,
            serial=serial,
        )  # type: ignore[arg-type]  # epochs of both sides are the same numbers

    def can_read(self) -> bool:
        """Blobs and outputs are served."""
        return self.is_alive and not self.process.is_stopped and self.seat.is_store_reachable()
