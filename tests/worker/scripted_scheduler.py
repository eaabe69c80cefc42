"""A scheduler that does what a test tells it, over real gRPC on loopback, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Self

import grpc
import grpc.aio

from tests.patience import PATIENCE_S
from tests.serving import listening
from xip_core.graph.plan import Plan, digest_of
from xip_core.wire.v1 import blob_pb2, blob_pb2_grpc, worker_pb2, worker_pb2_grpc


class Stream:
    """One Attach of a worker, seen from the scheduler."""

    def __init__(self, requests: AsyncIterator[worker_pb2.AttachRequest], context: Any) -> None:
        self._requests = requests
        self.context = context
        self.end = asyncio.Event()
        self.heartbeats: list[worker_pb2.Heartbeat] = []

    async def send(self, **message: Any) -> None:
        await self.context.write(worker_pb2.AttachResponse(**message))

    async def welcome(self, heartbeat_interval_s: float = 60.0) -> None:
        await self.send(
            welcome=worker_pb2.Welcome(term=1, heartbeat_interval_s=heartbeat_interval_s, lease_duration_s=30.0)
        )

    async def lease(self, *leases: worker_pb2.Lease) -> None:
        await self.send(leases=worker_pb2.Leases(leases=leases))

    async def revoke(self, *epochs: int) -> None:
        await self.send(revoked=worker_pb2.LeasesRevoked(epochs=epochs))

    async def acknowledge(self, sequence: int) -> None:
        await self.send(acknowledged=worker_pb2.ResultsAcknowledged(sequence=sequence))

    async def next(self, kind: str) -> Any:
        """The next message, which must be of *kind*; heartbeats in between are kept aside."""
        async with asyncio.timeout(PATIENCE_S):
            async for request in self._requests:
                got = request.WhichOneof("message")
                if got == "heartbeat" and kind != "heartbeat":
                    self.heartbeats.append(request.heartbeat)
                    continue
                assert got == kind, f"expected {kind}, got {request}"
                return getattr(request, kind)
        raise AssertionError(f"expected {kind}, the worker ended the stream")

    async def results(self, tile_count: int) -> tuple[list[worker_pb2.TileResult], list[worker_pb2.TileFailure]]:
        """Results and failures until they cover so many tiles; acknowledges each message."""
        results: list[worker_pb2.TileResult] = []
        failures: list[worker_pb2.TileFailure] = []
        while sum(result.tile_end - result.tile_begin for result in results) + len(failures) < tile_count:
            message = await self.next("results")
            results += message.results
            failures += message.failures
            await self.acknowledge(message.sequence)
        return results, failures

    async def said_goodbye(self) -> bool:
        """Whether the worker ends its half of the stream without another word but heartbeats."""
        async with asyncio.timeout(PATIENCE_S):
            async for request in self._requests:
                if request.WhichOneof("message") != "heartbeat":
                    return False
        return True

    def close(self) -> None:
        """End the stream with OK, as a scheduler that stops does."""
        self.end.set()


class ScriptedScheduler(worker_pb2_grpc.WorkerServiceServicer, blob_pb2_grpc.BlobServiceServicer):
    def __init__(self) -> None:
        self.port = 0
        self.blobs: dict[str, bytes] = {}
        self.outputs: dict[tuple[str, int, int], bytes] = {}
        self.packs_outputs = False
        self.origins: list[blob_pb2.Origin] | None = None
        self.downloads: Counter[str] = Counter()
        self.ranges: list[tuple[str, int, int, int]] = []
        self.download_gate = asyncio.Event()
        self.download_gate.set()
        self.download_started = asyncio.Event()
        self.download_errors: list[grpc.StatusCode] = []
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()
        self._listening = AsyncExitStack()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port as before after a stop."""
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, server)
        blob_pb2_grpc.add_BlobServiceServicer_to_server(self, server)
        address = await self._listening.enter_async_context(listening(server, self.address))
        self.port = int(address.rpartition(":")[2])

    async def stop(self) -> None:
        await self._listening.aclose()

    def put_plan(self, plan: Plan) -> bytes:
        return self.put_blob(plan.encode())

    def put_blob(self, content: bytes) -> bytes:
        digest = digest_of(content)
        self.blobs[digest] = content
        return bytes.fromhex(digest)

    async def attached(self, heartbeat_interval_s: float = 60.0) -> tuple[Stream, worker_pb2.Hello]:
        """The next worker that attaches, welcomed, and its greeting."""
        async with asyncio.timeout(PATIENCE_S):
            stream = await self._streams.get()
        hello = await stream.next("hello")
        await stream.welcome(heartbeat_interval_s)
        return stream, hello

    async def next_stream(self) -> Stream:
        async with asyncio.timeout(PATIENCE_S):
            return await self._streams.get()

    async def Attach(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802 - answers go through context.write
        stream = Stream(aiter(request_iterator), context)
        self._streams.put_nowait(stream)
        await stream.end.wait()

    async def Download(self, request: Any, context: Any) -> AsyncIterator[blob_pb2.DownloadResponse]:  # type: ignore[override]  # noqa: N802 - the wire's name
        digest = request.digest.hex()
        self.downloads[digest] += 1
        self.download_started.set()
        await self.download_gate.wait()
        if self.download_errors:
            await context.abort(self.download_errors.pop(0), "as the test wants")
        content = self.blobs.get(digest)
        if content is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"blob {digest} is not here")
        for begin in range(0, max(1, len(content)), 1000):
            yield blob_pb2.DownloadResponse(chunk=content[begin : begin + 1000])

    async def DownloadOutputs(self, request: Any, context: Any) -> AsyncIterator[blob_pb2.DownloadOutputsResponse]:  # type: ignore[override]  # noqa: N802 - the wire's name
        self.ranges.append((request.run_id, request.node_id, request.tile_begin, request.tile_end))
        for tile in range(request.tile_begin, request.tile_end):
            content = self.outputs.get((request.run_id, request.node_id, tile))
            if content is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"tile {tile} is not recorded")
            if self.packs_outputs and request.packs and tile % 2 == 0 and tile + 1 < request.tile_end:
                pair = [content, self.outputs[request.run_id, request.node_id, tile + 1]]
                yield blob_pb2.DownloadOutputsResponse(tile=tile, blocks=pair)
                continue
            if self.packs_outputs and tile % 2 and tile > request.tile_begin:
                continue  # it came with the one before
            half = len(content) // 2
            yield blob_pb2.DownloadOutputsResponse(tile=tile, chunk=content[:half])
            yield blob_pb2.DownloadOutputsResponse(tile=tile, chunk=content[half:], last_chunk=True)

    async def ListOrigins(self, request: Any, context: Any) -> blob_pb2.ListOriginsResponse:  # type: ignore[override]  # noqa: N802 - the wire's name
        if self.origins is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this scheduler is of an older version")
        return blob_pb2.ListOriginsResponse(origins=self.origins)
