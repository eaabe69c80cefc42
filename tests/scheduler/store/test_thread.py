"""xip_scheduler.store.thread: when the store is given a rest"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.store.builders import a_batch_with_run
from xip_scheduler.store import thread
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import SqliteStore
from xip_scheduler.store.thread import StoreThread


class RestingStore(SqliteStore):
    """Notes what was done, in order."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.done: list[str] = []
        self.rested = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.done.append("commit")

    def rest(self) -> None:
        super().rest()
        self.done.append("rest")
        self._loop.call_soon_threadsafe(self.rested.set)


async def rested(store: RestingStore) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await store.rested.wait()
    store.rested.clear()


async def test_the_store_rests_once_when_blocks_were_committed_and_nobody_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "RESTED_BYTES", 1_000)
    store = RestingStore(tmp_path)
    calls = StoreThread(store)
    await calls.commit(a_batch_with_run())
    for tile in range(3):
        await calls.commit(Batch(outputs=[("r1", 0, tile, bytes(900))]))
    await rested(store)
    assert store.done == ["commit"] * 4 + ["rest"]
    await calls.commit(Batch(details=[("r1", 0, 0, bytes(2_000))]))
    await rested(store)
    assert store.done[5:] == ["commit", "rest"]
    await calls.close()


async def test_a_store_that_is_closed_is_not_asked_to_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "RESTED_BYTES", 0)
    store = RestingStore(tmp_path)
    calls = StoreThread(store)
    await calls.commit(a_batch_with_run(outputs=[("r1", 0, 0, b"block")]))
    assert calls._resting is not None
    await calls.close()
    assert calls._resting.cancelled() or store.done == ["commit", "rest"]
