"""`xip_worker.fetch`: downloads for threads that may wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from tests.patience import PATIENCE_S
from tests.worker.scripted_scheduler import ScriptedScheduler
from xip_core.errors import NotFoundError, UnavailableError
from xip_core.pricing.tile import TileCancelledError
from xip_core.wire.v1 import blob_pb2
from xip_core.wire.v1.blob_pb2_grpc import BlobServiceStub
from xip_worker import fetch
from xip_worker.arrival import Received
from xip_worker.fetch import Fetcher


@pytest.fixture
async def scheduler() -> AsyncIterator[ScriptedScheduler]:
    async with ScriptedScheduler() as scripted:
        yield scripted


@pytest.fixture
async def fetcher(scheduler: ScriptedScheduler) -> AsyncIterator[Fetcher]:
    """Attached to the scripted scheduler."""
    async with grpc.aio.insecure_channel(scheduler.address) as channel:
        made = Fetcher(asyncio.get_running_loop())
        made.attach(BlobServiceStub(channel))
        yield made


def never() -> bool:
    return False


async def test_a_blob_comes_in_chunks_and_whole(scheduler: ScriptedScheduler, fetcher: Fetcher) -> None:
    content = bytes(range(256)) * 50
    digest = scheduler.put_blob(content).hex()
    assert await asyncio.to_thread(fetcher.blob, digest, never) == Received(content, digest)


async def test_an_unknown_blob_is_not_found_and_not_asked_for_again(
    scheduler: ScriptedScheduler, fetcher: Fetcher
) -> None:
    digest = "ab" * 32
    with pytest.raises(NotFoundError, match=f"blob {digest}: blob {digest} is not here"):
        await asyncio.to_thread(fetcher.blob, digest, never)
    assert scheduler.downloads == {digest: 1}


async def test_a_blob_above_the_limit_is_refused_before_it_fills_the_memory(
    scheduler: ScriptedScheduler, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "BLOB_BYTES_MAX", 2_500)
    digest = scheduler.put_blob(bytes(10_000)).hex()
    with pytest.raises(fetch.XipError, match="must have at most 2500 bytes"):
        await asyncio.to_thread(fetcher.blob, digest, never)


async def test_outputs_come_in_tile_order_from_parts(scheduler: ScriptedScheduler, fetcher: Fetcher) -> None:
    for tile in range(10):
        scheduler.outputs["r", 3, tile] = bytes([tile]) * 5
    outputs = await asyncio.to_thread(fetcher.outputs, "r", 3, 4, 8, never)
    assert outputs == [(tile, bytes([tile]) * 5) for tile in range(4, 8)]


async def test_origins_are_listed_and_an_older_scheduler_lists_none(
    scheduler: ScriptedScheduler, fetcher: Fetcher
) -> None:
    assert await asyncio.to_thread(fetcher.origins, "r", never) == []
    scheduler.origins = [blob_pb2.Origin(node_id=3, tile_begin=4, tile_end=8, run_id="r0")]
    assert await asyncio.to_thread(fetcher.origins, "r", never) == [(3, 4, 8, "r0")]


async def test_a_range_ends_early_when_it_holds_enough(
    scheduler: ScriptedScheduler, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RANGE_BYTES_MAX", 1_500)
    for tile in range(10):
        scheduler.outputs["r", 3, tile] = bytes(1_000)
    outputs = await asyncio.to_thread(fetcher.outputs, "r", 3, 0, 10, never)
    assert [tile for tile, _ in outputs] == [0, 1]


async def test_without_a_scheduler_a_fetch_gives_up_after_its_patience() -> None:
    fetcher = Fetcher(asyncio.get_running_loop(), patience_s=0.05)
    with pytest.raises(UnavailableError, match=r"blob abab: no scheduler was reachable for 0\.05 s"):
        await asyncio.to_thread(fetcher.blob, "abab", never)


async def test_a_fetch_waits_for_the_scheduler_to_come_back(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_blob(b"content").hex()
    fetcher = Fetcher(asyncio.get_running_loop())
    waiting = asyncio.create_task(asyncio.to_thread(fetcher.blob, digest, never))
    async with grpc.aio.insecure_channel(scheduler.address) as channel:
        fetcher.attach(BlobServiceStub(channel))
        assert await waiting == Received(b"content", digest)


async def test_a_fetch_for_a_revoked_lease_is_given_up(scheduler: ScriptedScheduler, fetcher: Fetcher) -> None:
    digest = scheduler.put_blob(b"content").hex()
    scheduler.download_gate.clear()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(TileCancelledError):
            await asyncio.to_thread(fetcher.blob, digest, scheduler.download_started.is_set)


async def test_outputs_come_several_in_a_message_from_schedulers_that_pack(
    scheduler: ScriptedScheduler, fetcher: Fetcher
) -> None:
    scheduler.packs_outputs = True
    outputs = [b"a", b"", b"long" * 100, b"d", b"e"]
    for tile, output in enumerate(outputs):
        scheduler.outputs["r", 3, tile] = output
    assert await asyncio.to_thread(fetcher.outputs, "r", 3, 0, 5, never) == list(enumerate(outputs))
    assert await asyncio.to_thread(fetcher.outputs, "r", 3, 2, 4, never) == [(2, outputs[2]), (3, outputs[3])]
