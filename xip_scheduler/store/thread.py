"""The store, for the event loop: one thread makes all calls, in the order they were made.

`sqlite3` gives the GIL away while it works, so the loop goes on reading and answering while a commit waits for the
disk. One thread, because the store has one connection; calls queue in order, so a read made after a commit sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import ParamSpec, TypeVar

from xip_scheduler.store.protocol import (
    Attempt,
    Batch,
    Detail,
    DoneInterval,
    NodeTally,
    OriginSpan,
    QuarantineRow,
    Store,
    StoredRecord,
    StoredRun,
    TileSpan,
)

QUIET_S = 0.1
"""Without a commit: between runs, longer than between two commits of one."""

RESTED_BYTES = 4 << 20
"""Blocks committed before the store is given a rest."""

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class StoreThread:
    """Asynchronous face of a `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._payload_bytes = 0
        self._resting: asyncio.TimerHandle | None = None

    @property
    def term(self) -> int:
        return self._store.term

    async def close(self) -> None:
        """Finish what is queued and release the store."""
        if self._resting is not None:
            self._resting.cancel()
        await self._call(self._store.close)
        self._executor.shutdown()

    async def commit(self, batch: Batch) -> None:
        await self._call(self._store.commit, batch)
        self._payload_bytes += sum([len(block) for _, _, _, block in chain(batch.outputs, batch.details)])
        if self._payload_bytes > RESTED_BYTES:
            if self._resting is not None:
                self._resting.cancel()
            self._resting = asyncio.get_running_loop().call_later(QUIET_S, self._rest)

    def _rest(self) -> None:
        """Nobody has committed for a while."""
        self._payload_bytes = 0
        self._executor.submit(self._store.rest)

    async def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        return await self._call(self._store.find_request, tenant, request_id)

    async def run(self, run_id: str) -> StoredRun | None:
        return await self._call(self._store.run, run_id)

    async def runs(self, limit: int, before_run_key: int | None) -> list[StoredRun]:
        return await self._call(self._store.runs, limit, before_run_key)

    async def tallies(self, run_id: str) -> list[NodeTally]:
        return await self._call(self._store.tallies, run_id)

    async def tallies_within(self, run_id: str, spans: Sequence[TileSpan]) -> list[NodeTally]:
        return await self._call(self._store.tallies_within, run_id, spans)

    async def done_intervals(self, run_id: str) -> list[DoneInterval]:
        return await self._call(lambda: list(self._store.done_intervals(run_id)))

    async def attempts(self, run_id: str) -> list[Attempt]:
        return await self._call(self._store.attempts, run_id)

    async def outputs(
        self, run_id: str, node_id: int, tile_begin: int, tile_end: int, size_limit_bytes: int
    ) -> list[bytes]:
        return await self._call(self._store.outputs, run_id, node_id, tile_begin, tile_end, size_limit_bytes)

    async def details(self, run_id: str, after_cursor: int, size_limit_bytes: int) -> list[Detail]:
        return await self._call(self._store.details, run_id, after_cursor, size_limit_bytes)

    async def quarantine(self, run_id: str, limit: int, offset: int = 0) -> list[QuarantineRow]:
        return await self._call(self._store.quarantine, run_id, limit, offset)

    async def records_of(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> list[StoredRecord]:
        return await self._call(self._store.records_of, run_id, tiles)

    async def origins(self, run_id: str, limit: int) -> list[OriginSpan]:
        return await self._call(self._store.origins, run_id, limit)

    async def objects(self, run_id: str, limit: int) -> list[tuple[int, int, str]]:
        return await self._call(self._store.objects, run_id, limit)

    async def notes(self, run_id: str) -> dict[str, str]:
        return await self._call(self._store.notes, run_id)

    async def final_runs_of(self, tenant: str, limit: int) -> list[StoredRun]:
        return await self._call(self._store.final_runs_of, tenant, limit)

    async def check_term(self) -> None:
        await self._call(self._store.check_term)

    async def size_bytes(self) -> int:
        return await self._call(self._store.size_bytes)

    async def oldest_final_run(self) -> tuple[str, float] | None:
        return await self._call(self._store.oldest_final_run)

    async def erasable_run(self) -> str | None:
        return await self._call(self._store.erasable_run)

    async def _call(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))
