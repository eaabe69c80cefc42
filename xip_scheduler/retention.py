"""What the store need not keep: final runs that are old or too many, and blobs no run names any more.

    every minute    prune the oldest final runs, by age and by size; each hidden in one commit
                    erase their rows, step by step
                    sweep the blobs, when a run was pruned and once after a start

A step takes milliseconds of the store's thread, and after each the thread is left alone for `REST_SHARE` times as long,
so commits never wait for more than one step and lose at most a tenth of the thread.

Which blobs are named is asked of the plans of all runs that are kept, one plan at a time. A blob that nobody names may
have been uploaded for a run that is about to be submitted, so it is left alone until nobody has uploaded or asked for
it for `BLOB_GRACE_S`; asking whether a blob is there counts (`FileBlobs.has`), because whoever is told so does not
upload it.

Ages are differences of wall clocks, the only ones that outlive a process. A clock that jumps ahead makes runs old: the
newest `runs_kept_min` final runs are kept whatever their age.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterator

import msgspec

from xip_core.errors import NotFoundError
from xip_core.graph.plan import decode_plan
from xip_scheduler.logs import logger
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.thread import StoreThread

INTERVAL_S = 60.0
REST_SHARE = 9.0
"""Rest after a step, in times the step: retention takes a tenth of the store's thread."""

REST_MIN_S = 0.002

BLOB_GRACE_S = 24 * 3600.0
"""A desk that uploads a book in the evening submits it the next morning."""

RUNS_PER_PAGE = 100


class RetentionRules(msgspec.Struct, frozen=True):
    """
    Attributes:
        age_limit_s: final runs are kept so long, 0 for ever.
        size_limit_bytes: of the store without blobs; above it the oldest final runs go, 0 for no limit.
        runs_kept_min: so many final runs stay whatever their age.
    """

    age_limit_s: float
    size_limit_bytes: int
    runs_kept_min: int


class Retention:
    """
    Args:
        blobs: swept; None where their files are copies of what a database keeps.
        wall_clock: seconds since the Unix epoch.
        rest: waits so many seconds.
        held: runs that somebody is about to go on from; they are not pruned now.
    """

    def __init__(
        self,
        store: StoreThread,
        blobs: FileBlobs | None,
        rules: RetentionRules,
        wall_clock: Callable[[], float] = time.time,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        held: Container[str] = (),
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._rules = rules
        self._wall_clock = wall_clock
        self._rest = rest
        self._held = held
        self._is_swept = False
        self._log = logger("retention")

    async def run(self) -> None:
        """
        Tidy up for ever.

        Raises:
            StoreError: a commit failed; the process must end.
        """
        while True:
            await self._rest(INTERVAL_S)
            await self.tidy()

    async def tidy(self) -> None:
        """Prune, erase and sweep until there is nothing left to do now."""
        while await self._step():
            continue
        if not self._is_swept and self._blobs is not None:
            await self._sweep(self._blobs)
            self._is_swept = True

    async def _step(self) -> bool:
        """One commit; False if nothing is left to be done."""
        begin_s = time.perf_counter()
        run_id = await self._store.erasable_run()
        if run_id is not None:
            await self._store.commit(Batch(at_s=self._wall_clock(), erased=[run_id]))
        else:
            run_id = await self._too_old() or await self._too_much()
            if run_id is None or run_id in self._held:
                return False
            await self._store.commit(Batch(at_s=self._wall_clock(), pruned=[run_id]))
            self._is_swept = False
            self._log.info("run pruned", run_id=run_id)
        await self._rest(max(REST_MIN_S, REST_SHARE * (time.perf_counter() - begin_s)))
        return True

    async def _too_old(self) -> str | None:
        if not self._rules.age_limit_s:
            return None
        oldest = await self._store.oldest_final_run()
        if oldest is None or oldest[1] > self._wall_clock() - self._rules.age_limit_s:
            return None
        newest = await self._store.runs(self._rules.runs_kept_min, None)
        return None if oldest[0] in {run.run_id for run in newest} else oldest[0]

    async def _too_much(self) -> str | None:
        limit = self._rules.size_limit_bytes
        if not limit or await self._store.size_bytes() <= limit:
            return None
        oldest = await self._store.oldest_final_run()
        return None if oldest is None else oldest[0]

    async def _sweep(self, blobs: FileBlobs) -> None:
        """Remove blobs that no run names and nobody has asked for lately."""
        named: set[str] = set()
        plan_digests: set[str] = set()
        before: int | None = None
        while page := await self._store.runs(RUNS_PER_PAGE, before):
            plan_digests.update(run.plan_digest for run in page)
            before = page[-1].run_key
        for digest in sorted(plan_digests):
            named.add(digest)
            named.update(await asyncio.to_thread(_inputs_of, blobs, digest))
            await self._rest(REST_MIN_S)
        unused_since_s = self._wall_clock() - BLOB_GRACE_S
        removed_count = 0
        for digests in await asyncio.to_thread(lambda: list(_in_pages(blobs.unused_since(unused_since_s)))):
            removable = [digest for digest in digests if digest not in named]
            removed_count += await asyncio.to_thread(blobs.remove, removable, unused_since_s)
            await self._rest(REST_MIN_S)
        if removed_count:
            self._log.info("blobs removed", blob_count=removed_count, blobs_named=len(named))


def _inputs_of(blobs: FileBlobs, plan_digest: str) -> list[str]:
    try:
        plan = decode_plan(blobs.get(plan_digest))
    except NotFoundError:  # a run from before a loss that `xipctl store verify` tells about
        return []
    return list(plan.input_digests)


def _in_pages(digests: Iterator[str], size: int = 256) -> Iterator[list[str]]:
    page: list[str] = []
    for digest in digests:
        page.append(digest)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
