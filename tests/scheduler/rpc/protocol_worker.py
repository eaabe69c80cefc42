"""A worker by hand: it speaks xip.v1.WorkerService and evaluates nothing, so a test decides what it says and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import grpc.aio

from tests.patience import PATIENCE_S
from xip_core.kernel_versions import announced
from xip_core.wire.v1 import worker_pb2, worker_pb2_grpc


class ProtocolWorker:
    """One attached stream; an async context manager."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        worker_id: str = "w1",
        slot_count: int = 1,
        kernels: dict[str, str] | None = None,
    ) -> None:
        self._stub = worker_pb2_grpc.WorkerServiceStub(channel)
        self._hello = worker_pb2.Hello(worker_id=worker_id, slot_count=slot_count, host="here", pid=7, version="0")
        kernels = announced() if kernels is None else kernels
        self._hello.kernels.extend(worker_pb2.KernelVersion(name=name, version=kernels[name]) for name in kernels)
        self._sequence = 0
        self.worker_id = worker_id
        self.call: Any = None
        self._writing = asyncio.Lock()  # a stream takes one write at a time; tasks may speak at once
        self.welcome = worker_pb2.Welcome()
        self.revoked: list[int] = []
        self.trimmed: dict[int, int] = {}
        self.acknowledged = 0
        self._leases: list[worker_pb2.Lease] = []

    async def __aenter__(self) -> ProtocolWorker:
        return self if self.call is not None else await self.attach()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call.cancel()

    async def attach(self, held: Iterable[worker_pb2.Lease] = ()) -> ProtocolWorker:
        hello = worker_pb2.Hello()
        hello.CopyFrom(self._hello)
        hello.held.extend(held)
        self._sequence = 0
        self.acknowledged = 0
        self.call = self._stub.Attach()
        await self.call.write(worker_pb2.AttachRequest(hello=hello))
        self.welcome = (await self._read()).welcome
        return self

    async def attach_and_report(
        self, held: Iterable[worker_pb2.Lease], *results: worker_pb2.TileResult
    ) -> ProtocolWorker:
        """Attach and send results (sequence 1) before a word of the scheduler is read."""
        hello = worker_pb2.Hello()
        hello.CopyFrom(self._hello)
        hello.held.extend(held)
        self._sequence = 1
        self.call = self._stub.Attach()
        await self.call.write(worker_pb2.AttachRequest(hello=hello))
        await self.send(results=worker_pb2.TileResults(sequence=1, results=results))
        self.welcome = (await self._read()).welcome
        return self

    async def _read(self) -> worker_pb2.AttachResponse:
        async with asyncio.timeout(PATIENCE_S):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, "the scheduler must not end a stream without an error"
        return response

    async def _take(self) -> None:
        response = await self._read()
        match response.WhichOneof("message"):
            case "leases":
                self._leases.extend(response.leases.leases)
            case "revoked":
                self.revoked.extend(response.revoked.epochs)
            case "trimmed":
                self.trimmed.update((bound.epoch, bound.tile_end) for bound in response.trimmed.bounds)
            case "acknowledged":
                self.acknowledged = response.acknowledged.sequence
            case other:
                raise AssertionError(f"unexpected {other}")

    async def lease(self) -> worker_pb2.Lease:
        """The next lease, in the order granted."""
        while not self._leases:
            await self._take()
        return self._leases.pop(0)

    async def until_acknowledged(self, sequence: int) -> None:
        while self.acknowledged < sequence:
            await self._take()

    async def until_revoked(self, epoch: int) -> None:
        while epoch not in self.revoked:
            await self._take()

    async def until_trimmed(self, epoch: int) -> int:
        """Where the scheduler would have the lease end."""
        while epoch not in self.trimmed:
            await self._take()
        return self.trimmed[epoch]

    async def send(self, **message: Any) -> None:
        async with self._writing:
            await self.call.write(worker_pb2.AttachRequest(**message))

    async def report(self, *results: worker_pb2.TileResult, **others: Any) -> int:
        """Send results and return their sequence, not yet acknowledged."""
        self._sequence += 1
        await self.send(results=worker_pb2.TileResults(sequence=self._sequence, results=results, **others))
        return self._sequence

    async def work_off(self, tile_count: int, detail: bool = False) -> None:
        """Report tiles of leases as they come until *tile_count* tiles are acknowledged."""
        sequence = done = 0
        while done < tile_count:
            lease = await self.lease()
            tiles = range(lease.tile_begin, lease.tile_end)
            sequence = await self.report(*(a_result(lease, tile, detail) for tile in tiles))
            done += len(tiles)
        await self.until_acknowledged(sequence)


def a_result(lease: worker_pb2.Lease, tile: int | None = None, detail: bool = False) -> worker_pb2.TileResult:
    """The result of one tile, the first by default; with a block that names the tile if wanted."""
    tile = lease.tile_begin if tile is None else tile
    return worker_pb2.TileResult(
        epoch=lease.epoch,
        tile_begin=tile,
        tile_end=tile + 1,
        cell_count=1,
        elapsed_ns=1000,
        output=b"output %d" % tile if detail else b"",
        detail=b"detail %d" % tile if detail else b"",
    )
