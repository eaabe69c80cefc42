"""xip.v1.BlobService: uploads, downloads, the outputs of recorded tiles, and where these were computed.

Disk and hashing run in threads; at most `UPLOADS_MAX` uploads are under way, the others wait. A reader that stops
reading holds one message: the next is read from disk when gRPC has taken the last.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc.aio

from xip_core.errors import IntegrityError, RequestError
from xip_core.wire import convert
from xip_core.wire.serialized import serialized_bytes
from xip_core.wire.v1 import blob_pb2, blob_pb2_grpc
from xip_scheduler.rpc.deltas import Deltas
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.thread import StoreThread

DIGESTS_PER_CALL_MAX = 10_000
"""A run names four; 10,000 digests are 340 kB."""

UPLOADS_MAX = 16
"""Each holds a file and a chunk."""

UPLOAD_PATIENCE_S = 30.0
"""Between two messages of an upload: 1 MiB in 30 s is slower than any line a desk has."""

MESSAGE_CHUNKS = 2
"""Of 512 KiB in a message of a download: a worker's event loop takes some ms for a message while a slot runs Python. By
fours a book of 35 MB came 50 ms sooner into a run's first tiles, but such messages are fresh pages each time: 25 ms of
a scheduler's CPU in place of 19, and up to 40 of a reader's in place of 14."""

WIDE_DOWNLOADS_MAX = 16
"""Under way at a time with messages so large; the messages of more have a chunk each, for the memory they wait in."""

READ_SIZE_LIMIT_BYTES = convert.CHUNK_SIZE_BYTES
"""Outputs read from the store at a time, so that no reader holds up a commit."""

ORIGIN_RECORDS_MAX = 20_000
"""Listed of one run, at most 50 bytes each; what is beyond them is fetched though a worker may have it."""

Context = grpc.aio.ServicerContext[Any, Any]


class BlobService(blob_pb2_grpc.BlobServiceServicer):
    """See the head of this module."""

    def __init__(self, blobs: FileBlobs, store: StoreThread, upload_size_limit_bytes: int) -> None:
        self._blobs = blobs
        self._store = store
        self._upload_size_limit_bytes = upload_size_limit_bytes
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)
        self._deltas = Deltas(blobs)
        self._download_count = 0

    async def FindMissing(  # noqa: N802 - the name is the wire's
        self, request: blob_pb2.FindMissingRequest, context: Context
    ) -> blob_pb2.FindMissingResponse:
        if len(request.digests) > DIGESTS_PER_CALL_MAX:
            sentence = f"a call must name at most {DIGESTS_PER_CALL_MAX} digests, got {len(request.digests)}"
            raise RequestError("TOO_MANY_DIGESTS", sentence)
        digests = [_digest(digest) for digest in request.digests]
        missing = await asyncio.to_thread(lambda: [digest for digest in digests if not self._blobs.has(digest)])
        return blob_pb2.FindMissingResponse(digests=[convert.digest_to_wire(digest) for digest in missing])

    async def Upload(  # noqa: N802 - the name is the wire's
        self, request_iterator: AsyncIterator[blob_pb2.UploadRequest], context: Context
    ) -> blob_pb2.UploadResponse:
        async with self._uploads:
            requests = aiter(request_iterator)
            head = await _next_request(requests)
            if head is None:
                raise RequestError("BAD_DIGEST", "the first message of an upload must carry the digest, got none")
            digest = _digest(head.digest)
            if head.size_bytes > self._upload_size_limit_bytes:
                raise RequestError(
                    "MESSAGE_TOO_LARGE",
                    f"a blob must have at most {self._upload_size_limit_bytes} bytes, got {head.size_bytes}",
                )
            if head.base_digest:
                await self._put_together(digest, head, requests)
                return blob_pb2.UploadResponse(digest=convert.digest_to_wire(digest))
            with await asyncio.to_thread(self._blobs.writer, digest, head.size_bytes) as writer:
                request: blob_pb2.UploadRequest | None = head
                while request is not None:
                    await asyncio.to_thread(writer.write, request.chunk)
                    request = await _next_request(requests)
                await asyncio.to_thread(writer.commit)
        return blob_pb2.UploadResponse(digest=convert.digest_to_wire(digest))

    async def _put_together(
        self, digest: str, head: blob_pb2.UploadRequest, requests: AsyncIterator[blob_pb2.UploadRequest]
    ) -> None:
        """Keep the blob that an uploaded delta makes of one that is here."""
        pieces: list[bytes] = []
        left_bytes = head.size_bytes
        request: blob_pb2.UploadRequest | None = head
        while request is not None:
            pieces.append(request.chunk)
            left_bytes -= len(request.chunk)
            if left_bytes < 0:
                raise IntegrityError(f"blob {digest}: the delta must have {head.size_bytes} bytes as announced")
            request = await _next_request(requests)
        base_digest, limit = _digest(head.base_digest), self._upload_size_limit_bytes
        await asyncio.to_thread(self._deltas.keep_whole, digest, base_digest, b"".join(pieces), limit)

    async def Download(  # type: ignore[override]  # noqa: N802 - the wire's name; messages may be serialized already
        self, request: blob_pb2.DownloadRequest, context: Context
    ) -> AsyncIterator[blob_pb2.DownloadResponse | bytes]:
        digest = _digest(request.digest)
        if request.base_digests:
            found = await asyncio.to_thread(self._deltas.find, digest, [_digest(base) for base in request.base_digests])
            if found is not None:
                base = convert.digest_to_wire(found[0])
                for piece in convert.chunks(found[1]):
                    yield blob_pb2.DownloadResponse(chunk=piece, base_digest=base)
                    base = b""
                return
        chunks = self._blobs.chunks(digest)
        self._download_count += 1
        try:
            while message := await asyncio.to_thread(_next_response, chunks, self._chunks_of_a_message()):
                yield message
        finally:
            self._download_count -= 1

    def _chunks_of_a_message(self) -> int:
        return MESSAGE_CHUNKS if self._download_count <= WIDE_DOWNLOADS_MAX else 1

    async def DownloadOutputs(  # noqa: N802 - the name is the wire's
        self, request: blob_pb2.DownloadOutputsRequest, context: Context
    ) -> AsyncIterator[blob_pb2.DownloadOutputsResponse]:
        if request.tile_begin >= request.tile_end:
            raise RequestError(
                "BAD_TILE_RANGE", f"tiles must be a range, got [{request.tile_begin}, {request.tile_end})"
            )
        tile = request.tile_begin
        while tile < request.tile_end:
            blocks = await self._store.outputs(
                request.run_id, request.node_id, tile, request.tile_end, READ_SIZE_LIMIT_BYTES
            )
            if request.packs and len(blocks) > 1:
                yield blob_pb2.DownloadOutputsResponse(tile=tile, blocks=blocks)
                tile += len(blocks)
                continue
            for block in blocks:
                pieces = list(convert.chunks(block))
                for position, piece in enumerate(pieces, start=1):
                    yield blob_pb2.DownloadOutputsResponse(
                        tile=tile, chunk=piece, last_chunk=position == len(pieces)
                    )
                tile += 1

    async def ListOrigins(  # noqa: N802 - the name is the wire's
        self, request: blob_pb2.ListOriginsRequest, context: Context
    ) -> blob_pb2.ListOriginsResponse:
        response = blob_pb2.ListOriginsResponse()
        for node_id, tile_begin, tile_end, run_id in await self._store.origins(request.run_id, ORIGIN_RECORDS_MAX):
            response.origins.add(node_id=node_id, tile_begin=tile_begin, tile_end=tile_end, run_id=run_id)
        return response


async def _next_request(requests: AsyncIterator[blob_pb2.UploadRequest]) -> blob_pb2.UploadRequest | None:
    """The next message of an upload, None at its end; one that stalls makes room for others."""
    try:
        async with asyncio.timeout(UPLOAD_PATIENCE_S):
            return await anext(requests, None)
    except TimeoutError:
        sentence = f"an upload must send its next chunk within {UPLOAD_PATIENCE_S:g} s, got none"
        raise RequestError("UPLOAD_STALLED", sentence) from None


def _next_response(chunks: Iterator[bytes], count: int) -> bytes:
    """A serialized `DownloadResponse` with the next chunks, b"" when there is none; made in the thread that reads."""
    pieces = list(itertools.islice(chunks, count))
    return serialized_bytes(blob_pb2.DownloadResponse.CHUNK_FIELD_NUMBER, *pieces) if pieces else b""


def _digest(wire: bytes) -> str:
    if len(wire) != convert.DIGEST_SIZE_BYTES:
        raise RequestError("BAD_DIGEST", f"a digest must have {convert.DIGEST_SIZE_BYTES} bytes, got {len(wire)}")
    return wire.hex()
