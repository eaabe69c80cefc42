"""xip_scheduler.rpc.run_views: which plans are kept decoded"""

from __future__ import annotations

from pathlib import Path

from tests.scheduler.core.builders import a_book_plan
from xip_scheduler.rpc.run_views import PLANS_CACHED_MAX, PlanCache
from xip_scheduler.store.blobs import FileBlobs

ROW_BYTES = 8
"""Of a row of `a_book_plan`: its number in the resolve node and in the value node."""


class CountingBlobs(FileBlobs):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.read: list[str] = []

    def get(self, digest: str) -> bytes:
        self.read.append(digest)
        return super().get(digest)


async def test_the_plans_used_last_are_kept_as_far_as_their_rows_go(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    plans = [a_book_plan(row_blocks=count, rows_per_tile=100) for count in (3, 4, 5, 20)]
    digests = [blobs.put(plan.encode()) for plan in plans]
    cache = PlanCache(blobs, bytes_max=ROW_BYTES * 900)
    for digest, plan in zip(digests[:2], plans[:2], strict=True):
        cache.keep(digest, plan)
    assert await cache.plan(digests[0]) is plans[0], "what was accepted is not read"
    cache.keep(digests[2], plans[2])  # 300 + 400 + 500 rows: the one used least recently goes
    assert [await cache.plan(digest) for digest in digests[:3:2]] == plans[:3:2]
    assert blobs.read == []
    assert await cache.plan(digests[1]) == plans[1]
    assert blobs.read == [digests[1]]
    for _ in range(2):
        assert await cache.plan(digests[3]) == plans[3]
    assert blobs.read == [digests[1], digests[3]], "the last one is kept though it is too large"


async def test_many_small_plans_are_bounded_by_their_number(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    cache = PlanCache(blobs)
    plans = [a_book_plan(row_blocks=1, rows_per_tile=count + 1) for count in range(PLANS_CACHED_MAX + 1)]
    digests = [blobs.put(plan.encode()) for plan in plans]
    for digest, plan in zip(digests, plans, strict=True):
        cache.keep(digest, plan)
    await cache.plan(digests[1])
    await cache.plan(digests[0])
    assert blobs.read == [digests[0]]
