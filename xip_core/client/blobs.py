"""Blobs up and down: content by digest, so that every call may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from xip_core.client.connection import Connection, Stubs
from xip_core.errors import IntegrityError
from xip_core.graph.plan import digest_of
from xip_core.wire import convert
from xip_core.wire.v1 import blob_pb2


async def upload(connection: Connection, blobs: Sequence[bytes]) -> tuple[str, ...]:
    """Digests of *blobs*, after the scheduler holds them all; only what it lacks is sent."""
    digests = tuple(digest_of(blob) for blob in blobs)
    by_digest = dict(zip(digests, blobs, strict=True))
    request = blob_pb2.FindMissingRequest(digests=[convert.digest_to_wire(digest) for digest in by_digest])
    answer = await connection.unary(lambda stubs, call_s: stubs.blobs.FindMissing(request, timeout=call_s))
    missing = {convert.digest_from_wire(digest) for digest in answer.digests}
    await asyncio.gather(
        *(_upload_one(connection, digest, blob) for digest, blob in by_digest.items() if digest in missing)
    )
    return digests


async def _upload_one(connection: Connection, digest: str, blob: bytes) -> None:
    async def requests() -> AsyncIterator[blob_pb2.UploadRequest]:
        pieces = convert.chunks(blob)
        head = convert.digest_to_wire(digest)
        yield blob_pb2.UploadRequest(digest=head, size_bytes=len(blob), chunk=next(pieces))
        for piece in pieces:
            yield blob_pb2.UploadRequest(chunk=piece)

    await connection.unary(lambda stubs, call_s: stubs.blobs.Upload(requests(), timeout=call_s))


async def download(connection: Connection, digest: str) -> bytes:
    """
    Content of an uploaded blob.

    Raises:
        IntegrityError: what came does not have this digest.
    """
    request = blob_pb2.DownloadRequest(digest=convert.digest_to_wire(digest))

    async def chunks(stubs: Stubs, call_s: float) -> bytes:
        return b"".join([response.chunk async for response in stubs.blobs.Download(request, timeout=call_s)])

    content = await connection.unary(chunks)
    if digest_of(content) != digest:
        got = f"{len(content)} bytes that have digest {digest_of(content)}"
        raise IntegrityError(f"blob {digest} arrived with {got}")
    return content
