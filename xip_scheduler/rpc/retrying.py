"""RetryRun: what the new run begins with, read from the store.

The old run is final, so what is read of it does not change (S9). If retention removed it meanwhile the takeover would
find less than it names; the store refuses that, so a run is not retried once it is pruned.
"""

from __future__ import annotations

import asyncio

from xip_core.errors import RequestError
from xip_core.graph.plan import Plan, digest_of
from xip_scheduler.core.events import TakenOver
from xip_scheduler.core.intervals import IntervalSet
from xip_scheduler.core.remainder import Remainder, remainder_of
from xip_scheduler.core.retries import Attempt, is_poison, standing
from xip_scheduler.core.run_state import Intervals
from xip_scheduler.core.words import RunState, WorkerId
from xip_scheduler.store.protocol import QuarantineRow, StoredRun
from xip_scheduler.store.thread import StoreThread

QUARANTINE_ROWS_PER_READ = 10_000
QUARANTINE_ROWS_MAX = 500_000
"""About 200 MB while they are looked through; a run with more bad rows needs another book, not a retry."""


def retry_hash(run_id: str) -> str:
    """Payload hash of a retry: the same request id for another run, or for a submission, is refused."""
    return digest_of(b"retry:" + run_id.encode())


async def taken_over(store: StoreThread, stored: StoredRun, plan: Plan) -> TakenOver:
    """
    What a retry of *stored* need not compute again.

    Raises:
        RequestError: RUN_NOT_FINAL; RUN_PRUNED, its results are gone; NOTHING_TO_RETRY; TOO_MUCH_QUARANTINE;
            SPLIT_RECORD, a worker reported tiles together of which only a part can be taken over.
    """
    _check(stored)
    quarantine = await quarantine_of(store, stored.run_id)
    computed = await computed_tiles(store, stored.run_id, plan)
    entries = [(row.row, row.scenario_begin, row.scenario_end, row.reason) for row in quarantine]
    remainder = await asyncio.to_thread(remainder_of, plan, computed, entries)
    if not remainder.open_count:
        raise RequestError("NOTHING_TO_RETRY", _nothing(stored, len(quarantine)))
    cells_done, cells_quarantined = await cells_within(store, stored.run_id, remainder.done)
    kept = tuple(
        (row.row, row.scenario_begin, row.scenario_end, row.reason, row.message, row.trade_id)
        for row in map(quarantine.__getitem__, remainder.kept)
    )
    attempts = await _attempts(store, stored.run_id, remainder)
    return TakenOver(remainder.done, cells_done, cells_quarantined, kept, attempts)


async def _attempts(store: StoreThread, run_id: str, remainder: Remainder) -> tuple[tuple[int, int, Attempt], ...]:
    """The last attempt at each poison tile that is not taken over; one of nobody where only rows of it were refused."""
    made: dict[tuple[int, int], list[Attempt]] = {}
    for _, node_id, tile, _, worker_id, reason, message, is_suspect in await store.attempts(run_id):
        made.setdefault((node_id, tile), []).append(Attempt(WorkerId(worker_id), reason, message, is_suspect))
    found = {
        (node_id, tile): Attempt(WorkerId(""), reason, f"a row of it was refused in run {run_id}", False)
        for node_id, tile, reason in remainder.poison
    }
    for key, attempts in made.items():
        poison = [attempt for attempt in standing(attempts) if is_poison(attempt)]
        if poison:
            found[key] = poison[-1]
    done = [IntervalSet(intervals) for intervals in remainder.done]
    return tuple((*key, found[key]) for key in sorted(found) if key[1] not in done[key[0]])


def _check(stored: StoredRun) -> None:
    if not stored.finished_at_s:
        sentence = f"run {stored.run_id} must be final to be retried, it still runs; cancel it first"
        raise RequestError("RUN_NOT_FINAL", sentence)
    if stored.pruned_at_s:
        sentence = f"run {stored.run_id} must have its results to be retried, they were removed by retention"
        raise RequestError("RUN_PRUNED", f"{sentence}; submit it again under a new request id")
    if stored.state == RunState.COMPLETED:
        raise RequestError("NOTHING_TO_RETRY", _nothing(stored, 0))


def _nothing(stored: StoredRun, quarantined_count: int) -> str:
    sentence = f"run {stored.run_id} must lack something that another try may compute"
    if not quarantined_count:
        return f"{sentence}, it has every number"
    return f"{sentence}: its quarantined cells would come out the same, for they lack data or have no value"


async def quarantine_of(store: StoreThread, run_id: str) -> list[QuarantineRow]:
    """
    Raises:
        RequestError: TOO_MUCH_QUARANTINE.
    """
    rows: list[QuarantineRow] = []
    while True:
        page = await store.quarantine(run_id, QUARANTINE_ROWS_PER_READ, len(rows))
        rows += page
        if len(page) < QUARANTINE_ROWS_PER_READ:
            return rows
        if len(rows) >= QUARANTINE_ROWS_MAX:
            sentence = f"a run that is retried may have at most {QUARANTINE_ROWS_MAX:,} quarantined rows"
            raise RequestError("TOO_MUCH_QUARANTINE", f"{sentence}, run {run_id} has more; submit it again")


async def computed_tiles(store: StoreThread, run_id: str, plan: Plan) -> list[Intervals]:
    """Per node, by node id: tiles recorded with output."""
    computed: list[list[tuple[int, int]]] = [[] for _ in plan.nodes]
    for interval in await store.done_intervals(run_id):
        if not interval.is_failed:
            computed[interval.node_id].append((interval.tile_begin, interval.tile_end))
    return [tuple(intervals) for intervals in computed]


async def cells_within(store: StoreThread, run_id: str, done: tuple[Intervals, ...]) -> tuple[int, int]:
    """
    Cells of the tiles *done*, and how many of them are quarantined.

    Raises:
        RequestError: SPLIT_RECORD.
    """
    spans = [(node_id, *span) for node_id, intervals in enumerate(done) for span in intervals]
    tallies = await store.tallies_within(run_id, spans)
    if sum(tally.tiles_done for tally in tallies) != sum(end - begin for _, begin, end in spans):
        sentence = f"run {run_id}: tiles reported together must be taken over together"
        raise RequestError("SPLIT_RECORD", f"{sentence}, some would be split; submit it again")
    return sum(tally.cell_count for tally in tallies), sum(tally.quarantined_count for tally in tallies)
