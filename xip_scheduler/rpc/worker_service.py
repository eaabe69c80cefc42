"""xip.v1.WorkerService: one stream per worker.

Per stream there is one reader (the handler itself) and one writer task, and nothing per message or per result: the
reader turns a message into events and hands them to the driver in one piece; the driver, when a batch is durable,
leaves leases, revocations and the acknowledgement with the connection and wakes the writer, which sends what has come
together since its last turn. 100 results in one message cost 3 us each, alone 105 us.

A connection's outbox is bounded by what the core has out on one worker: leases are limited per slot, a worker that does
not read gets no more of them when the old ones expire, and revocations have a limit of their own.

A worker may have two streams for a while: it reconnected before the scheduler noticed the end of the first one (or two
machines run from one image). The newest one speaks for it; results are taken from both, for epochs fence them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc.aio

from xip_core.errors import RequestError, UnavailableError
from xip_core.model.result import BreakerInfo, WorkerInfo
from xip_core.wire import convert
from xip_core.wire.v1 import worker_pb2, worker_pb2_grpc
from xip_scheduler.core.actions import DrainWorker, GrantLease, RevokeLease, TrimLease
from xip_scheduler.core.breakers import BreakerView
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    HeldLease,
    LeaseKept,
    LeaseReturned,
    TileFailed,
    TilesReported,
    WorkerAttached,
    WorkerDetached,
    WorkerDraining,
)
from xip_scheduler.core.views import WorkerView
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId
from xip_scheduler.driver import Delivery, Driver
from xip_scheduler.logs import logger
from xip_scheduler.rpc.kernel_signatures import KernelSignatures
from xip_scheduler.rpc.tile_reports import (
    COUNT_MAX,
    ID_LENGTH_MAX,
    MESSAGE_LENGTH_MAX,
    reason_of,
    reported_with_payload,
)

HELLO_PATIENCE_S = 10.0
"""A stream that has not said who it is by then is closed."""

SLOT_COUNT_MAX = 4_096
HELD_LEASES_MAX = 65_536
KERNELS_MAX = 10_000

LEASES_PER_MESSAGE_MAX = 8_192
"""A lease is about 90 bytes, so a message stays below 1 MiB."""

REVOKED_WAITING_MAX = 65_536
"""Revocations kept for a stream that is not read, 0.6 MB as a message. What is dropped is asked for again: a heartbeat
that names the lease brings the next revocation."""

ACKNOWLEDGED_WITHIN_S = 0.05
"""Between two acknowledgements that have no lease to go with: a write costs 0.2 ms, and waking up for nothing else much
more, here and at the worker. Until then the worker keeps what it sent. With four times as long a worker that waits for
each one before it sends the next result would be four times as slow.
"""

UNACKNOWLEDGED_BYTES_MAX = 8 << 20
"""Results for which the next acknowledgement does not wait: an eighth of what a worker keeps before its slots stand."""

Context = grpc.aio.ServicerContext[Any, Any]


class WorkerConnection:
    """One stream: who is at the other end, and what waits to be sent."""

    def __init__(self, connection_id: ConnectionId, hello: worker_pb2.Hello, welcome: worker_pb2.Welcome) -> None:
        self.connection_id = connection_id
        self.worker_id = WorkerId(hello.worker_id)
        self.host = hello.host
        self.pid = hello.pid
        self.cpu_level = hello.cpu_level
        self.version = hello.version
        self.is_draining = False
        self.ended_because = ""
        self._reader = asyncio.current_task()
        self._first = worker_pb2.AttachResponse(welcome=welcome)
        self._grants: list[tuple[GrantLease, bytes, bool]] = []
        self._revoked: dict[Epoch, None] = {}
        self._trimmed: dict[Epoch, int] = {}
        self._drain_reason = ""
        self._acknowledged = 0
        self._acknowledged_sent = 0
        self._acknowledged_s = 0.0
        self._unacknowledged_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()

    def grant(self, lease: GrantLease, plan_digest: bytes, is_of_heir: bool) -> None:
        self._grants.append((lease, plan_digest, is_of_heir))
        self._wake.set()

    def revoke(self, epoch: Epoch) -> None:
        if len(self._revoked) < REVOKED_WAITING_MAX:
            self._revoked[epoch] = None
            self._wake.set()

    def trim(self, epoch: Epoch, tile_end: int) -> None:
        """Ask for a lease's tail; bounded as leases are, each is asked once until it answers."""
        self._trimmed[epoch] = tile_end
        self._wake.set()

    def drain(self, reason: str) -> None:
        self._drain_reason = reason
        self._wake.set()

    def acknowledge(self, sequence: int, size_bytes: int) -> None:
        """Results up to *sequence* are durable or refused; the last message of them had *size_bytes*."""
        self._acknowledged = max(sequence, self._acknowledged)
        self._unacknowledged_bytes += size_bytes
        loop = asyncio.get_running_loop()
        is_due = self.is_draining or self._unacknowledged_bytes > UNACKNOWLEDGED_BYTES_MAX
        if is_due or loop.time() >= self._acknowledged_s + ACKNOWLEDGED_WITHIN_S:
            self._wake.set()
        elif self._timer is None:
            self._timer = loop.call_later(ACKNOWLEDGED_WITHIN_S, self._wake_up)

    def drains(self) -> None:
        """The worker leaves when all that it sent is acknowledged."""
        self.is_draining = True
        self._wake.set()

    def _wake_up(self) -> None:
        self._timer = None
        if self._acknowledged > self._acknowledged_sent:
            self._wake.set()

    def end(self, because: str) -> None:
        """Make the handler end the stream with UNAVAILABLE, so that the worker attaches again.

        Cancelling it is not enough: gRPC sends no status for a cancelled handler, and the worker would wait for ever.
        """
        if self._reader is not None and not self.ended_because:
            self.ended_because = because
            self._reader.cancel()

    async def write_all(self, context: Context) -> None:
        """Send what comes together, until cancelled."""
        await context.write(self._first)
        while True:
            await self._wake.wait()
            self._wake.clear()
            for message in self._take():
                await context.write(message)

    def _take(self) -> list[worker_pb2.AttachResponse]:
        """What waits, as few messages; leases first, they keep slots busy."""
        messages = []
        grants, self._grants = self._grants, []
        for begin in range(0, len(grants), LEASES_PER_MESSAGE_MAX):
            message = worker_pb2.AttachResponse()
            add = message.leases.leases.add
            for lease, plan_digest, is_of_heir in grants[begin : begin + LEASES_PER_MESSAGE_MAX]:
                add(
                    epoch=lease.epoch,
                    run_id=lease.run_id,
                    node_id=lease.node_id,
                    tile_begin=lease.tile_begin,
                    tile_end=lease.tile_end,
                    plan_digest=plan_digest,
                    isolated=lease.is_isolated,
                    patience_ms=lease.patience_ms,
                    work_us=lease.work_us,
                    has_origins=is_of_heir,
                )
            messages.append(message)
        if self._revoked:
            messages.append(worker_pb2.AttachResponse(revoked=worker_pb2.LeasesRevoked(epochs=self._revoked)))
            self._revoked = {}
        if self._trimmed:
            bounds = [worker_pb2.LeaseBound(epoch=epoch, tile_end=end) for epoch, end in self._trimmed.items()]
            messages.append(worker_pb2.AttachResponse(trimmed=worker_pb2.LeasesTrimmed(bounds=bounds)))
            self._trimmed = {}
        if self._drain_reason:
            ordered = worker_pb2.DrainOrdered(reason=self._drain_reason[:MESSAGE_LENGTH_MAX])
            messages.append(worker_pb2.AttachResponse(drain=ordered))
            self._drain_reason = ""
        if self._acknowledged > self._acknowledged_sent:
            self._acknowledged_sent = self._acknowledged
            self._unacknowledged_bytes = 0
            self._acknowledged_s = asyncio.get_running_loop().time()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            acknowledged = worker_pb2.ResultsAcknowledged(sequence=self._acknowledged)
            messages.append(worker_pb2.AttachResponse(acknowledged=acknowledged))
        return messages


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """
    Args:
        worker_views, breaker_views: the core's views of attached workers, and of kernels that are not leased as usual.
        signatures: learns what workers say of kernels that other packages added to them.

    Attributes:
        is_closing: the scheduler ends the streams itself, which says nothing about the workers or their tiles.
    """

    def __init__(
        self,
        driver: Driver,
        worker_views: Callable[[], Iterable[WorkerView]],
        breaker_views: Callable[[], Iterable[BreakerView]],
        welcome: worker_pb2.Welcome,
        signatures: KernelSignatures,
    ) -> None:
        self._driver = driver
        self._worker_views = worker_views
        self._breaker_views = breaker_views
        self._welcome = welcome
        self._signatures = signatures
        self._connections: dict[ConnectionId, WorkerConnection] = {}
        self._newest: dict[WorkerId, ConnectionId] = {}
        self._connection_ids = itertools.count(1)
        self._log = logger("workers")
        self.is_closing = False

    # ---- orders of the core

    def send(
        self,
        grants: Iterable[GrantLease],
        revokes: Iterable[RevokeLease],
        trims: Iterable[TrimLease],
        plan_digests: dict[str, bytes],
        heirs: set[str],
    ) -> None:
        """
        Leave orders with the connections they are for; those of a connection or run that is gone are void.

        Args:
            plan_digests: by live run; heirs: of these, the runs that began with tiles of others.
        """
        connections = self._connections
        for lease in grants:
            connection = connections.get(lease.connection_id)
            plan_digest = plan_digests.get(lease.run_id)
            if connection is not None and plan_digest is not None:
                connection.grant(lease, plan_digest, lease.run_id in heirs)
        for revoked in revokes:
            connection = connections.get(revoked.connection_id)
            if connection is not None:
                connection.revoke(revoked.epoch)
        for trimmed in trims:
            connection = connections.get(trimmed.connection_id)
            if connection is not None:
                connection.trim(trimmed.epoch, trimmed.tile_end)

    def drain(self, ordered: DrainWorker) -> None:
        connection = self._connections.get(ordered.connection_id)
        if connection is not None:
            connection.drain(ordered.reason)

    # ---- Attach

    async def Attach(  # type: ignore[override]  # noqa: N802 - the wire's name; answers go through context.write
        self, request_iterator: AsyncIterator[worker_pb2.AttachRequest], context: Context
    ) -> None:
        hello = await _read_hello(request_iterator)
        self._signatures.learn(convert.kernel_signature_from_wire(sent) for sent in hello.kernel_signatures)
        connection = WorkerConnection(ConnectionId(next(self._connection_ids)), hello, self._welcome)
        log = self._log.bind(worker_id=connection.worker_id, connection_id=connection.connection_id)
        self._driver.introduce(connection.worker_id, connection.cpu_level, connection.version)
        log.info("worker attached", host=hello.host, pid=hello.pid, slots=hello.slot_count, held=len(hello.held))
        if connection.worker_id in self._newest:
            log.warning("worker has another stream open; this one speaks for it from now on")
        self._connections[connection.connection_id] = connection
        self._newest[connection.worker_id] = connection.connection_id
        writer: asyncio.Task[None] | None = None
        is_orderly = False
        try:
            await self._driver.put(Delivery([_attached(connection, hello)], self._driver.now_s()))
            writer = asyncio.create_task(connection.write_all(context))
            writer.add_done_callback(_end_on_failure(connection))
            async for request in request_iterator:
                await self._received(connection, request)
            is_orderly = connection.is_draining
        except asyncio.CancelledError:
            if not connection.ended_because:
                raise
            raise UnavailableError(connection.ended_because) from None
        finally:
            if writer is not None:
                writer.cancel()
            del self._connections[connection.connection_id]
            if self._speaks(connection):
                del self._newest[connection.worker_id]
                self._end_older_streams(connection.worker_id)
            if not self.is_closing:
                detached = WorkerDetached(connection.worker_id, connection.connection_id, is_orderly)
                self._driver.put_at_once(Delivery([detached], self._driver.now_s()))
            log.info("worker detached", orderly=is_orderly)

    def _speaks(self, connection: WorkerConnection) -> bool:
        """Is it the newest stream of its worker?"""
        return self._newest.get(connection.worker_id) == connection.connection_id

    def _end_older_streams(self, worker_id: WorkerId) -> None:
        """The core forgets the worker now: whoever is left at an older stream must attach again to get work."""
        for connection in self._connections.values():
            if connection.worker_id == worker_id:
                connection.end("a newer stream of this worker came and ended")

    async def _received(self, connection: WorkerConnection, request: worker_pb2.AttachRequest) -> None:
        received_s = self._driver.now_s()
        on_committed: Callable[[], None] | None = None
        events: list[Event]
        match request.WhichOneof("message"):
            case "results":
                sequence, size_bytes = request.results.sequence, request.ByteSize()
                events = self._reported(connection.worker_id, request.results)
                on_committed = lambda: connection.acknowledge(sequence, size_bytes)  # noqa: E731 - two words, used once
            case "heartbeat" | "drain" if not self._speaks(connection):
                return
            case "heartbeat":
                heartbeat = request.heartbeat
                leases = heartbeat.leases
                progress = tuple((Epoch(lease.epoch), lease.tiles_done) for lease in leases)
                stalled = tuple((Epoch(lease.epoch), lease.stalled_s) for lease in leases if lease.stalled_s > 0.0)
                events = [HeartbeatReceived(connection.worker_id, progress, heartbeat.memory_bytes, stalled)]
            case "drain":
                connection.drains()
                self._log.info("worker drains", worker_id=connection.worker_id, reason=request.drain.reason[:200])
                events = [WorkerDraining(connection.worker_id)]
            case other:
                raise RequestError(
                    "UNEXPECTED_MESSAGE", f"after the first message a worker sends no hello, got {other or 'nothing'}"
                )
        await self._driver.put(Delivery(events, received_s, on_committed))

    def _reported(self, worker_id: WorkerId, message: worker_pb2.TileResults) -> list[Event]:
        """The hot path: one event per result."""
        events: list[Event] = []
        for result in message.results:
            if result.output or result.detail or result.quarantine or result.fetch_ns or result.fetched:
                events.append(reported_with_payload(worker_id, result))
            else:
                events.append(
                    TilesReported(
                        worker_id,
                        Epoch(result.epoch),
                        result.tile_begin,
                        result.tile_end,
                        min(result.cell_count, COUNT_MAX),
                        (),
                        result.elapsed_ns,
                    )
                )
        for failure in message.failures:
            events.append(
                TileFailed(
                    worker_id,
                    Epoch(failure.epoch),
                    failure.tile,
                    reason_of(failure.reason),
                    failure.message[:MESSAGE_LENGTH_MAX],
                )
            )
        events.extend(LeaseReturned(worker_id, Epoch(epoch)) for epoch in message.returned_epochs)
        events.extend(LeaseKept(worker_id, Epoch(kept.epoch), kept.tile_end) for kept in message.kept)
        return events

    # ---- ListWorkers

    async def ListWorkers(  # noqa: N802 - the name is the wire's
        self, request: worker_pb2.ListWorkersRequest, context: Context
    ) -> worker_pb2.ListWorkersResponse:
        now_s = self._driver.now_s()
        workers = []
        for view in self._worker_views():
            connection = self._connections.get(view.connection_id)
            if connection is not None:
                workers.append(convert.worker_info_to_wire(_worker_info(view, connection, now_s)))
        breakers = [convert.breaker_info_to_wire(_breaker_info(view)) for view in self._breaker_views()]
        return worker_pb2.ListWorkersResponse(workers=workers, breakers=breakers)


async def _read_hello(requests: AsyncIterator[worker_pb2.AttachRequest]) -> worker_pb2.Hello:
    """
    Raises:
        RequestError: the first message is late, is no hello, or says what cannot be.
    """
    try:
        async with asyncio.timeout(HELLO_PATIENCE_S):
            first = await anext(aiter(requests), None)
    except TimeoutError:
        raise RequestError("HELLO_MISSING", f"a worker must say hello within {HELLO_PATIENCE_S} s") from None
    if first is None or first.WhichOneof("message") != "hello":
        raise RequestError("HELLO_MISSING", "the first message of a worker must be a hello, got none")
    hello = first.hello
    for name, count, count_min, count_max in (
        ("worker_id", len(hello.worker_id), 1, ID_LENGTH_MAX),
        ("host", len(hello.host), 0, ID_LENGTH_MAX),
        ("version", len(hello.version), 0, ID_LENGTH_MAX),
        ("cpu_level", len(hello.cpu_level), 0, ID_LENGTH_MAX),
        ("held", len(hello.held), 0, HELD_LEASES_MAX),
        ("kernels", len(hello.kernels), 0, KERNELS_MAX),
        ("kernel_signatures", len(hello.kernel_signatures), 0, KERNELS_MAX),
    ):
        if not count_min <= count <= count_max:
            raise RequestError("BAD_HELLO", f"length of {name} must be {count_min} to {count_max}, got {count}")
    if not 1 <= hello.slot_count <= SLOT_COUNT_MAX:
        raise RequestError("BAD_HELLO", f"slot_count must be 1 to {SLOT_COUNT_MAX}, got {hello.slot_count}")
    return hello


def _attached(connection: WorkerConnection, hello: worker_pb2.Hello) -> WorkerAttached:
    return WorkerAttached(
        worker_id=connection.worker_id,
        connection_id=connection.connection_id,
        slot_count=hello.slot_count,
        held=tuple(
            HeldLease(Epoch(lease.epoch), RunId(lease.run_id), lease.node_id, lease.tile_begin, lease.tile_end)
            for lease in hello.held
        ),
        kernels=tuple((kernel.name, kernel.version) for kernel in hello.kernels),
    )


def _worker_info(view: WorkerView, connection: WorkerConnection, now_s: float) -> WorkerInfo:
    return WorkerInfo(
        worker_id=view.worker_id,
        host=connection.host,
        pid=connection.pid,
        slot_count=view.slot_count,
        cpu_level=connection.cpu_level,
        version=connection.version,
        lease_count=view.lease_count,
        tiles_done=view.tiles_done,
        attached_s=now_s - view.attached_s,
        heartbeat_age_s=max(0.0, now_s - view.heard_s),
        memory_bytes=view.memory_bytes,
        is_draining=view.is_draining,
        drain_reason=view.drain_reason,
        speed=view.speed,
    )


def _breaker_info(view: BreakerView) -> BreakerInfo:
    """For every tenant: the evidence behind the counts names runs of others (S13) and stays in the log."""
    return BreakerInfo(view.kernel, view.version, view.state, view.summary)


def _end_on_failure(connection: WorkerConnection) -> Callable[[asyncio.Task[None]], None]:
    """End the stream when its writer fails: a worker that hears nothing must not believe it is attached."""

    def writer_done(writer: asyncio.Task[None]) -> None:
        if not writer.cancelled() and (error := writer.exception()) is not None:
            connection.end(f"the stream cannot be written: {type(error).__name__}")

    return writer_done
