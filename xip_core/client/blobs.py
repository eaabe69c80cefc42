"""Blobs up and down: content by digest, so that every call may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from xip_core.client.connection import Connection, Stubs
from xip_core.client.sent import SentBlobs
from xip_core.errors import IntegrityError, NotFoundError, RequestError
from xip_core.graph.plan import digest_of
from xip_core.wire import convert
from xip_core.wire.v1 import blob_pb2


async def upload(connection: Connection, blobs: Sequence[bytes], sent: SentBlobs) -> tuple[str, ...]:
    """
    Digests of *blobs*, after the scheduler holds them all; only what it lacks is sent, as a delta against a blob *sent*
    before where that is much less.
    """
    digests = tuple(sent.digest_of(blob) for blob in blobs)
    by_digest = dict(zip(digests, blobs, strict=True))
    request = blob_pb2.FindMissingRequest(digests=[convert.digest_to_wire(digest) for digest in by_digest])
    answer = await connection.unary(lambda stubs, call_s: stubs.blobs.FindMissing(request, timeout=call_s))
    missing = {convert.digest_from_wire(digest) for digest in answer.digests}
    await asyncio.gather(
        *(_upload_one(connection, digest, blob, sent) for digest, blob in by_digest.items() if digest in missing)
    )
    for digest, blob in by_digest.items():
        sent.keep(digest, blob)
    return digests


async def _upload_one(connection: Connection, digest: str, blob: bytes, sent: SentBlobs) -> None:
    found = await asyncio.to_thread(sent.delta_of, blob)
    if found is not None:
        try:
            await _upload_bytes(connection, digest, found[1], found[0])
            return
        except (NotFoundError, IntegrityError, RequestError):
            pass  # it does not know the base any more, or no deltas at all: the whole blob says what is wrong
    await _upload_bytes(connection, digest, blob)


async def _upload_bytes(connection: Connection, digest: str, content: bytes, base_digest: str = "") -> None:
    async def requests() -> AsyncIterator[blob_pb2.UploadRequest]:
        pieces = convert.chunks(content)
        head, base = convert.digest_to_wire(digest), convert.digest_to_wire(base_digest)
        yield blob_pb2.UploadRequest(digest=head, size_bytes=len(content), chunk=next(pieces), base_digest=base)
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
