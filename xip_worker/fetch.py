"""Bytes from the scheduler for slot threads that may wait for them.

Calls run on the event loop's own channel: a slot hands a coroutine over and sleeps. Measured against a synchronous
channel in the slot's thread on 2 cores, one machine: a blob of 1 kB 0.52 ms against 0.94, 32 MiB 40 ms against 61, a
range of 1,000 outputs of 4 kB 72 ms against 82; and there is one channel, one reconnect and one stack of options.

While the scheduler is away a fetch waits for it to come back, FETCH_PATIENCE_S at most: a restart fails no tile.
A fetch for a revoked lease is given up within REVOKED_LOOK_S.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import grpc

from xip_core.errors import IntegrityError, UnavailableError, XipError
from xip_core.graph.plan import digest_of
from xip_core.model.delta import apply_delta
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import TileCancelledError
from xip_core.wire.status import RETRIED_CODES, error_of
from xip_core.wire.v1 import blob_pb2
from xip_worker.arrival import Arrival, Received

if TYPE_CHECKING:
    from xip_core.wire.v1.blob_pb2_grpc import BlobServiceAsyncStub

T = TypeVar("T")

OriginSpan = tuple[int, int, int, str]
"""node_id, tile_begin, tile_end, the run these tiles were computed in."""

FETCH_PATIENCE_S = 60.0
"""Longer than a scheduler takes to restart, shorter than a person's patience with a lease that does not move."""

CALL_DEADLINE_S = 300.0
"""For one call: a blob of 1 GiB over a poor line."""

RETRY_DELAY_S = 0.5
"""Mean pause before a call is tried again on a channel that still claims to be connected."""

REVOKED_LOOK_S = 0.1

RANGE_BYTES_MAX = 16 << 20
"""A range ends early when it holds this much; the rest is asked for when it is needed."""

BLOB_BYTES_MAX = 1 << 30
"""One blob; more is refused before it fills the memory of the machine."""


class Fetcher:
    """Downloads for slot threads. Make it on the event loop; `attach` and `detach` follow the connection.

    All errors are XipErrors: NotFoundError, UnavailableError after FETCH_PATIENCE_S, what the scheduler says otherwise;
    TileCancelledError when the lease was revoked while it waited.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience_s: float = FETCH_PATIENCE_S) -> None:
        self._loop = loop
        self._patience_s = patience_s
        self._stub: BlobServiceAsyncStub | None = None
        self._attached = asyncio.Event()

    def attach(self, stub: BlobServiceAsyncStub) -> None:
        self._stub = stub
        self._attached.set()

    def detach(self) -> None:
        self._stub = None
        self._attached.clear()

    def blob(self, digest: str, is_cancelled: IsCancelled) -> Received:
        """What the scheduler sends as the blob, not compared with its digest."""
        received, _ = self._receive(digest, (), is_cancelled)
        return received

    def blob_like(
        self, digest: str, bases: Mapping[str, bytes], is_cancelled: IsCancelled
    ) -> tuple[Received, int, bool]:
        """
        The same; the bytes received for it, and whether they were a delta against one of *bases*, blobs by digest.
        """
        received, base_digest = self._receive(digest, tuple(bases), is_cancelled)
        if not base_digest:
            return received, len(received.content), False
        if base_digest not in bases:
            raise IntegrityError(f"blob {digest}: came as a delta against {base_digest}, which was not offered")
        content = apply_delta(bases[base_digest], received.content, BLOB_BYTES_MAX)
        return Received(content, digest_of(content)), len(received.content), True

    def outputs(
        self, run_id: str, node_id: int, tile_begin: int, tile_end: int, is_cancelled: IsCancelled
    ) -> list[tuple[int, bytes]]:
        """(tile, serialized block) from tile_begin on, in tile order; may end early, but not before the first."""
        what = f"outputs of run {run_id} node {node_id} from tile {tile_begin}"
        request = blob_pb2.DownloadOutputsRequest(
            run_id=run_id, node_id=node_id, tile_begin=tile_begin, tile_end=tile_end, packs=True
        )
        return self._wait(self._retried(what, lambda stub: _download_outputs(stub, request)), is_cancelled)

    def origins(self, run_id: str, is_cancelled: IsCancelled) -> list[OriginSpan]:
        """Tiles of the run that were computed in others: (node_id, tile_begin, tile_end, run), by node and tile."""
        return self._wait(self.list_origins(run_id), is_cancelled)

    async def list_origins(self, run_id: str) -> list[OriginSpan]:
        """The same, for the event loop."""
        request = blob_pb2.ListOriginsRequest(run_id=run_id)
        return await self._retried(f"origins of run {run_id}", lambda stub: _list_origins(stub, request))

    def _receive(self, digest: str, bases: tuple[str, ...], is_cancelled: IsCancelled) -> tuple[Received, str]:
        """Bytes of a blob or of a delta, and the digest of the base, "" for the blob itself."""
        arrival = Arrival()
        download = self._retried(f"blob {digest}", lambda stub: _download(stub, digest, bases, arrival))
        future = asyncio.run_coroutine_threadsafe(download, self._loop)
        future.add_done_callback(lambda _: arrival.end())
        try:
            received = arrival.collect(is_cancelled, REVOKED_LOOK_S)
        except TileCancelledError:
            future.cancel()
            raise
        return received, future.result()

    def _wait(self, coroutine: Awaitable[T], is_cancelled: IsCancelled) -> T:
        async def run() -> T:
            return await coroutine

        future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        while True:
            try:
                return future.result(timeout=REVOKED_LOOK_S)
            except TimeoutError:
                if is_cancelled():
                    future.cancel()
                    raise TileCancelledError from None

    async def _retried(self, what: str, call: Callable[[BlobServiceAsyncStub], Awaitable[T]]) -> T:
        until_s = self._loop.time() + self._patience_s
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    await self._attached.wait()
            except TimeoutError:
                raise UnavailableError(f"{what}: no scheduler was reachable for {self._patience_s:g} s") from None
            assert self._stub is not None
            try:
                return await call(self._stub)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED_CODES or self._loop.time() > until_s:
                    raise _xip_error(what, error) from error
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():  # given up by its slot
                    raise
                # otherwise the channel was closed under the call, which gRPC tells in the same way
            await asyncio.sleep(RETRY_DELAY_S * 2.0 * random.random())


def _xip_error(what: str, error: grpc.aio.AioRpcError) -> XipError:
    return error_of(error.code(), f"{what}: {error.details() or error.code().name}", error.trailing_metadata())


async def _download(stub: BlobServiceAsyncStub, digest: str, bases: tuple[str, ...], arrival: Arrival) -> str:
    """The digest of the base where a delta comes, "" for the blob itself; the bytes go to *arrival*."""
    base_digest = ""
    arrival.begin()
    offered = [bytes.fromhex(base) for base in bases]
    request = blob_pb2.DownloadRequest(digest=bytes.fromhex(digest), base_digests=offered)
    async for response in stub.Download(request, timeout=CALL_DEADLINE_S):
        base_digest = base_digest or response.base_digest.hex()
        arrival.add(response.chunk)
        if arrival.size_bytes > BLOB_BYTES_MAX:
            raise XipError(f"blob {digest}: must have at most {BLOB_BYTES_MAX} bytes, the scheduler sends more")
    return base_digest


async def _download_outputs(
    stub: BlobServiceAsyncStub, request: blob_pb2.DownloadOutputsRequest
) -> list[tuple[int, bytes]]:
    outputs: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    size_bytes = 0
    call = stub.DownloadOutputs(request, timeout=CALL_DEADLINE_S)
    async for response in call:
        parts.append(response.chunk)
        size_bytes += len(response.chunk) + sum(map(len, response.blocks))
        if response.last_chunk:
            outputs.append((response.tile, b"".join(parts)))
        elif response.blocks:
            outputs += enumerate(response.blocks, response.tile)
        else:
            continue
        parts = []
        if size_bytes > RANGE_BYTES_MAX:
            call.cancel()
            break
    if parts:
        raise XipError(f"outputs of run {request.run_id} node {request.node_id}: the last tile is cut off")
    return outputs


async def _list_origins(stub: BlobServiceAsyncStub, request: blob_pb2.ListOriginsRequest) -> list[OriginSpan]:
    try:
        response = await stub.ListOrigins(request, timeout=CALL_DEADLINE_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # a scheduler of an older version: every output is fetched
            return []
        raise
    return [(origin.node_id, origin.tile_begin, origin.tile_end, origin.run_id) for origin in response.origins]
