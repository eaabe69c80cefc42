"""xip_scheduler.rpc.deltas: blobs that travel as what they have of another"""

from __future__ import annotations

import grpc
import pytest

from tests.core.small_market import a_snapshot
from tests.scheduler.rpc.conftest import Served
from tests.scheduler.rpc.test_runs import refusal
from xip_core.client import blobs, connect
from xip_core.client.connection import Connection
from xip_core.errors import RequestError
from xip_core.graph.plan import digest_of
from xip_core.model.delta import apply_delta, make_delta
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.wire.v1 import blob_pb2

BASE = encode_snapshot(a_snapshot())
WHOLE = encode_snapshot(a_snapshot({"EURUSD": 1.25}))
DELTA = make_delta(BASE, WHOLE)


def named(content: bytes) -> bytes:
    return bytes.fromhex(digest_of(content))


async def upload(served: Served, digest: bytes, content: bytes, base: bytes = b"") -> None:
    head = blob_pb2.UploadRequest(digest=digest, size_bytes=len(content), base_digest=base)
    half = len(content) // 2
    pieces = [head, blob_pb2.UploadRequest(chunk=content[:half]), blob_pb2.UploadRequest(chunk=content[half:])]
    await served.blobs.Upload(iter(pieces))


async def download(served: Served, digest: bytes, *bases: bytes) -> tuple[bytes, bytes]:
    """What comes, and the base it is a delta against."""
    request = blob_pb2.DownloadRequest(digest=digest, base_digests=bases)
    answers = [answer async for answer in served.blobs.Download(request)]
    return b"".join(answer.chunk for answer in answers), answers[0].base_digest


async def test_a_blob_is_put_together_from_a_delta_and_is_whole_for_everybody(served: Served) -> None:
    await upload(served, named(BASE), BASE)
    await upload(served, named(WHOLE), DELTA, named(BASE))
    assert await download(served, named(WHOLE)) == (WHOLE, b"")


async def test_a_delta_against_a_blob_that_is_not_here_is_refused(served: Served) -> None:
    code, _ = await refusal(upload(served, named(WHOLE), DELTA, named(BASE)))
    assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("content", [DELTA[:-1], make_delta(BASE, WHOLE + b" "), b""])
async def test_a_delta_that_makes_another_content_keeps_nothing(served: Served, content: bytes) -> None:
    await upload(served, named(BASE), BASE)
    await refusal(upload(served, named(WHOLE), content, named(BASE)))
    missing = await served.blobs.FindMissing(blob_pb2.FindMissingRequest(digests=[named(WHOLE)]))
    assert list(missing.digests) == [named(WHOLE)]


async def test_a_reader_that_holds_a_base_receives_what_changed(served: Served) -> None:
    for blob in (BASE, WHOLE):
        await upload(served, named(blob), blob)
    content, base = await download(served, named(WHOLE), named(b"unknown"), named(BASE))
    assert (base, len(content) < len(WHOLE) / 20) == (named(BASE), True)
    assert apply_delta(BASE, content, 1 << 20) == WHOLE


async def test_a_reader_whose_base_is_of_no_use_receives_the_blob(served: Served) -> None:
    for blob in (b"something else", WHOLE):
        await upload(served, named(blob), blob)
    assert await download(served, named(WHOLE), named(b"something else"), named(WHOLE)) == (WHOLE, b"")


async def test_a_client_sends_a_tick_as_a_delta(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect(f"127.0.0.1:{served.scheduler.port}") as client:
        (digest,) = await client.upload(BASE)
        sent: list[tuple[int, str]] = []
        upload_bytes = blobs._upload_bytes

        async def upload_noted(connection: Connection, digest: str, content: bytes, base_digest: str = "") -> None:
            sent.append((len(content), base_digest))
            await upload_bytes(connection, digest, content, base_digest)

        monkeypatch.setattr(blobs, "_upload_bytes", upload_noted)
        market = await client.tick(digest, {"EURUSD": 1.25})
        assert decode_snapshot(market) == decode_snapshot(WHOLE)
        assert await client.upload(market) == (digest_of(market),)
        ((size_bytes, base_digest),) = sent
        assert (base_digest, size_bytes < 200) == (digest, True)
        assert await client.blob(digest_of(market)) == market


async def test_a_client_whose_base_is_gone_sends_the_blob(served: Served) -> None:
    async with connect(f"127.0.0.1:{served.scheduler.port}") as client:
        client._sent.keep(digest_of(BASE), BASE)
        await client.upload(WHOLE)
        assert await client.blob(digest_of(WHOLE)) == WHOLE


async def test_a_tick_of_a_quote_that_is_not_there_is_refused(served: Served) -> None:
    async with connect(f"127.0.0.1:{served.scheduler.port}") as client:
        (digest,) = await client.upload(BASE)
        with pytest.raises(RequestError, match="NO/SUCH/QUOTE"):
            await client.tick(digest, {"NO/SUCH/QUOTE": 1.0})
