"""A model of the store: what is written may be lost until it is synced, what is synced never is.

    commit(batch) ──write──> log entry, unsynced ──sync──> durable

A killed process leaves what it wrote to the operating system; a power loss keeps some prefix of the unsynced entries.
Tables are always the replay of the log, so an entry that is gone has never been there. The model refuses nothing: it is
the checkers (`ghost`) that must see a second record, not a constraint that hides it.

`ModelStore` gives `xip_scheduler.restore` and the shells what they read, in the words of `store.protocol`.
`QueuedStore` is the same for coroutines: calls wait for their turn, as in `xip_scheduler.store.thread`.
`SharedStore` is one that several schedulers can reach, fenced as the PostgreSQL store is: a transaction holds the row
of the term FOR SHARE from its first statement to its end; a takeover ends the session of the old leader and must change
that row, so a transaction is either whole and seen by the successor, or gone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec

from xip_core.errors import IntegrityError, NotFoundError, StoreError
from xip_scheduler.core.leadership import Observation
from xip_scheduler.store.past import RESTORED_EPOCHS, RESTORED_EPOCHS_MIN, RESTORED_TERMS
from xip_scheduler.store.protocol import (
    Attempt,
    Batch,
    DoneInterval,
    FinishedRun,
    NewRun,
    NodeTally,
    QuarantineRow,
    StoredRun,
    Takeover,
    TileRecord,
    TileSpan,
)


class Entry(msgspec.Struct):
    """
    Attributes:
        is_acknowledged: the writer was told that it is durable; losing it afterwards is a violation.
        is_checked: the ghost has seen it.
        kept: (worker, epoch, end) of leases that workers presented and the scheduler let them keep in this batch.
        is_apart: not of the core's making: retention.
    """

    batch: Batch
    term: int
    is_acknowledged: bool = False
    epoch_floor: int = 0
    is_checked: bool = False
    kept: tuple[tuple[str, int, int], ...] = ()
    is_apart: bool = False


class Tables:
    """The replay of a log."""

    def __init__(self) -> None:
        self.term = 0
        self.epoch_end = 0
        self.runs: dict[str, NewRun] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.records: dict[str, list[TileRecord]] = {}
        self.outputs: dict[tuple[str, int, int], bytes] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.quarantine: dict[str, list[QuarantineRow]] = {}
        self.paused: dict[str, bool] = {}
        self.epoch_floor = 0
        self.finished: dict[str, FinishedRun] = {}
        self.reused: Counter[tuple[str, int]] = Counter()  # tiles taken over, by run and node
        self.origins: dict[str, dict[tuple[int, int], str]] = {}  # of these: the run each was computed in
        self.objects: dict[str, dict[tuple[int, int], str]] = {}
        self.pruned: dict[str, None] = {}
        self.notes: dict[str, dict[str, str]] = {}

    def apply(self, entry: Entry) -> None:
        batch = entry.batch
        self.term = max(self.term, entry.term)
        self.epoch_end = max(self.epoch_end, batch.epoch_end)
        self.epoch_floor = max(self.epoch_floor, entry.epoch_floor)
        for run in batch.runs:
            self.runs[run.run_id] = run
            self.requests[run.tenant, run.request_id] = run.run_id
            self.records.setdefault(run.run_id, [])
        for takeover in batch.takeovers:
            self._take_over(takeover)
        for record in batch.records:
            self.records[record[0]].append(record)
        for run_id, node_id, tile, block in batch.outputs:
            self.outputs[run_id, node_id, tile] = block
        for run_id, kind, content in batch.notes:
            self.notes.setdefault(run_id, {})[kind] = content
        for run_id, node_id, tile, names in batch.objects:
            self.objects.setdefault(run_id, {})[node_id, tile] = names
        for attempt in batch.attempts:
            self.attempts.setdefault(attempt[0], []).append(attempt)
        for run_id, *row in batch.quarantine:
            self.quarantine.setdefault(run_id, []).append(QuarantineRow(*row))
        for run_id, is_paused, _ in batch.paused:
            self.paused[run_id] = is_paused
        for finished in batch.finished:
            self.finished[finished.run_id] = finished

        self.pruned.update(dict.fromkeys(batch.pruned))
        for run_id in batch.erased:
            self._erase(run_id)

    def _take_over(self, takeover: Takeover) -> None:
        """Records are copied, outputs are read where they were written."""
        run_id, source = takeover.run_id, takeover.source
        origins = self.origins.setdefault(run_id, {})
        before = self.origins.get(source, {})
        for record in within(self.records[source], takeover.spans):
            self.records[run_id].append((run_id, *record[1:]))
            self.reused[run_id, record[1]] += record[3] - record[2]
            for tile in range(record[2], record[3]):
                key = (record[1], tile)
                origins[key] = before.get(key, source)
                if key in self.objects.get(source, {}):
                    self.objects.setdefault(run_id, {})[key] = self.objects[source][key]

    def output(self, run_id: str, node_id: int, tile: int) -> bytes | None:
        origin = self.origins.get(run_id, {}).get((node_id, tile), run_id)
        return self.outputs.get((origin, node_id, tile))

    def is_read_by_others(self, run_id: str) -> bool:
        """Did a run that is not erased begin with tiles of this one?"""
        return any(run_id in origins.values() for origins in self.origins.values())

    def erasable(self) -> str | None:
        """A pruned run with something left that may go."""
        for run_id in self.pruned:
            has_outputs = any(key[0] == run_id for key in self.outputs)
            if self.records[run_id] or (has_outputs and not self.is_read_by_others(run_id)):
                return run_id
        return None

    def _erase(self, run_id: str) -> None:
        """One table of a pruned run, in the order of `store.pruning`: records are the last to go."""
        for rows in (self.origins, self.quarantine, self.attempts, self.objects, self.notes):
            if rows.pop(run_id, None):
                return
        outputs = [key for key in self.outputs if key[0] == run_id]
        if outputs and not self.is_read_by_others(run_id):
            for key in outputs:
                del self.outputs[key]
        else:
            self.records[run_id] = []


def within(records: list[TileRecord], spans: Sequence[TileSpan]) -> list[TileRecord]:
    """Records with output that lie wholly inside one of *spans*."""
    return [
        record
        for record in records
        if record[4]
        and any(node_id == record[1] and begin <= record[2] and record[3] <= end for node_id, begin, end in spans)
    ]


class Disk:
    """The log that outlives schedulers."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.entries: list[Entry] = []
        self.synced_count = 0
        self.tables = Tables()
        self.blobs: dict[str, bytes] = {}
        self.damaged_blobs = False
        self.acknowledged_count = 0
        self.is_restored = False
        self.beat = 0
        self.open_transaction: Entry | None = None
        self.is_released = True

    # ---- what only a shared store has

    def begin(self, entry: Entry) -> None:
        """Lock the row of the term, and compare it.

        Raises:
            StoreError: the term is another's.
        """
        if entry.term != self.tables.term:
            raise StoreError(f"term {entry.term} is over, term {self.tables.term} rules")
        self.open_transaction = entry

    def end(self, entry: Entry) -> None:
        """COMMIT: all of *entry*, visible and durable at once.

        Raises:
            StoreError: the server has ended the transaction before.
        """
        if self.open_transaction is not entry:
            raise StoreError("the transaction was ended by the server")
        self.open_transaction = None
        self.write(entry)
        self.sync()

    def observe(self, has_session: bool) -> Observation:
        return Observation(self.tables.term, self.beat, self.is_released, has_session, "")

    def claim(self, observed: Observation, is_committing: bool) -> bool:
        """Compare and swap the leader's row, end the old leader's session, raise the term; False when it hit no row.

        Args:
            is_committing: a transaction that is open has sent its COMMIT; the term waits for it, then rises.
        """
        if (self.tables.term, self.beat, self.is_released) != (observed.term, observed.beat, observed.is_released):
            return False
        under_way, self.open_transaction = self.open_transaction, None
        if under_way is not None and is_committing:
            self.write(under_way)
        self.write(Entry(Batch(), observed.term + 1, is_acknowledged=True, is_checked=True))
        self.sync()
        self.beat, self.is_released = 0, False
        return True

    def abandon(self, term: int) -> None:
        """The connection of the scheduler of *term* is gone, and with it the transaction it had open."""
        if self.open_transaction is not None and self.open_transaction.term == term:
            self.open_transaction = None

    def write(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.tables.apply(entry)

    def sync(self) -> None:
        self.synced_count = len(self.entries)

    def lose_unsynced(self, kept_count: int) -> list[Entry]:
        """Power loss: only the first *kept_count* unsynced entries survive. Returns what is gone."""
        lost = self.entries[self.synced_count + kept_count :]
        if lost:
            del self.entries[self.synced_count + kept_count :]
            self.tables = Tables()
            for entry in self.entries:
                self.tables.apply(entry)
        self.sync()
        return lost

    def put_back(self, kept_count: int) -> None:
        """A backup, as old as *kept_count* entries, is copied over the store."""
        del self.entries[kept_count:]
        self.tables = Tables()
        for entry in self.entries:
            self.tables.apply(entry)
        self.sync()

    def put_blobs(self, blobs: dict[str, bytes]) -> None:
        self.blobs |= blobs

    def get(self, digest: str) -> bytes:
        """A blob, as `xip_scheduler.store.blobs.FileBlobs.get` reads it."""
        if digest not in self.blobs:
            raise NotFoundError(f"blob {digest} is not stored")
        if self.damaged_blobs:
            raise IntegrityError(f"blob {digest} is not what its name says")
        return self.blobs[digest]


class ModelStore:
    """One opening of the disk; what `restore_core` and the shells read."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.term = self.open_term(disk)

    def open_term(self, disk: Disk) -> int:
        """Raise the term; where a backup was put back, leave the past behind (`store.sqlite_file`).

        Raises:
            StoreError: acknowledged commits are gone, and nobody said why.
        """
        disk.sync()
        tables = disk.tables
        if disk.is_restored:
            epoch_end = tables.epoch_end + RESTORED_EPOCHS_MIN + disk.chance.randrange(RESTORED_EPOCHS)
            entry = Entry(Batch(epoch_end=epoch_end), tables.term + 1 + disk.chance.randrange(RESTORED_TERMS))
            entry.epoch_floor = entry.batch.epoch_end
            disk.is_restored = False
        elif len(disk.entries) < disk.acknowledged_count:
            raise StoreError(f"{disk.acknowledged_count - len(disk.entries)} acknowledged commits are gone")
        else:
            entry = Entry(Batch(), tables.term + 1)
        entry.is_acknowledged = entry.is_checked = True
        disk.write(entry)
        disk.sync()
        disk.acknowledged_count = len(disk.entries)
        return entry.term

    def check_term(self) -> None:
        """Raises StoreError: another term rules."""
        if self.term != self.disk.tables.term:
            raise StoreError(f"term {self.term} is over, term {self.disk.tables.term} rules")

    def write(self, entry: Entry) -> None:
        """The first half of a commit. Raises StoreError when nothing of it will be kept."""
        self.disk.write(entry)

    def sync(self, entry: Entry) -> None:
        """The second half: durable when it returns."""
        self.disk.sync()

    @property
    def epoch_end(self) -> int:
        return self.disk.tables.epoch_end

    @property
    def epoch_floor(self) -> int:
        return self.disk.tables.epoch_floor

    def run(self, run_id: str) -> StoredRun | None:
        tables = self.disk.tables
        run = tables.runs.get(run_id)
        if run is None:
            return None
        final = tables.finished.get(run_id)
        return StoredRun(
            list(tables.runs).index(run_id) + 1,
            run.run_id,
            run.tenant,
            run.request_id,
            run.payload_hash,
            run.name,
            b"" if run_id in tables.pruned else run.spec,
            run.plan_digest,
            final.state if final else run.state,
            final.message if final else "",
            run.submitted_at_s,
            final.finished_at_s if final else 0.0,
            0,
            0.0,
            run.priority,
            run.deadline_after_s,
            tables.paused.get(run_id, False),
            run.retry_of,
            float(run_id in tables.pruned),
            run.reuse_of,
        )

    def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        run_id = self.disk.tables.requests.get((tenant, request_id))
        return None if run_id is None else self.run(run_id)

    def live_runs(self) -> list[StoredRun]:
        tables = self.disk.tables
        return [stored for run_id in tables.runs if run_id not in tables.finished and (stored := self.run(run_id))]

    def notes(self, run_id: str) -> dict[str, str]:
        return self.disk.tables.notes.get(run_id, {})

    def _unpruned(self) -> Iterator[StoredRun]:
        """Newest first."""
        tables = self.disk.tables
        kept = (self.run(run_id) for run_id in reversed(tables.runs) if run_id not in tables.pruned)
        return (run for run in kept if run is not None)

    def runs(self, limit: int, before_run_key: int | None) -> list[StoredRun]:
        return list(itertools.islice(self._unpruned(), limit))

    def final_runs_of(self, tenant: str, limit: int) -> list[StoredRun]:
        final = (run for run in self._unpruned() if run.finished_at_s and run.tenant == tenant)
        return list(itertools.islice(final, limit))

    def oldest_final_run(self) -> tuple[str, float] | None:
        final = [run for run in self._unpruned() if run.finished_at_s]
        return (final[-1].run_id, final[-1].finished_at_s) if final else None

    def erasable_run(self) -> str | None:
        return self.disk.tables.erasable()

    def objects(self, run_id: str, limit: int) -> list[tuple[int, int, str]]:
        told = self.disk.tables.objects.get(run_id, {})
        return [(*key, told[key]) for key in sorted(told)][:limit]

    def done_intervals(self, run_id: str) -> Iterator[DoneInterval]:
        merged: list[DoneInterval] = []
        for _, node_id, begin, end, epoch, *_ in sorted(self.disk.tables.records[run_id], key=lambda row: row[1:3]):
            last = merged[-1] if merged else None
            if last and (last.node_id, last.tile_end, last.is_failed) == (node_id, begin, epoch == 0):
                begin = merged.pop().tile_begin
            merged.append(DoneInterval(node_id, begin, end, epoch == 0))
        return iter(merged)

    def attempts(self, run_id: str) -> list[Attempt]:
        return sorted(self.disk.tables.attempts.get(run_id, []), key=lambda attempt: attempt[1:4])

    def quarantine(self, run_id: str, limit: int, offset: int = 0) -> list[QuarantineRow]:
        return self.disk.tables.quarantine.get(run_id, [])[offset : offset + limit]

    def tallies_within(self, run_id: str, spans: Sequence[TileSpan]) -> list[NodeTally]:
        return _tallied(within(self.disk.tables.records[run_id], spans))

    def tallies(self, run_id: str) -> list[NodeTally]:
        reused = self.disk.tables.reused
        tallies = _tallied(self.disk.tables.records[run_id])
        return [msgspec.structs.replace(tally, tiles_reused=reused[run_id, tally.node_id]) for tally in tallies]


def _tallied(records: list[TileRecord]) -> list[NodeTally]:
    sums: dict[int, list[int]] = {}
    for _, node_id, begin, end, _, _, cell_count, quarantined_count in records:
        tally = sums.setdefault(node_id, [0, 0, 0])
        tally[0] += end - begin
        tally[1] += cell_count
        tally[2] += quarantined_count
    return [NodeTally(node_id, *sums[node_id]) for node_id in sorted(sums)]


class QueuedStore:
    """A store as coroutines ask it: one call after the other, in the order they were made, commits among them.

    Args:
        turn: whoever commits holds it meanwhile.
        commit: of batches that are not the driver's.
    """

    def __init__(self, store: ModelStore, turn: asyncio.Lock, commit: Callable[[Batch], Awaitable[None]]) -> None:
        self._store = store
        self._turn = turn
        self.commit = commit

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        read = getattr(self._store, name)

        async def ask(*args: Any) -> Any:
            async with self._turn:
                found = read(*args)
                return list(found) if name == "done_intervals" else found

        return ask


class SharedStore(ModelStore):
    """The store as whoever has just raised its term sees it."""

    def open_term(self, disk: Disk) -> int:
        return disk.tables.term

    def write(self, entry: Entry) -> None:
        self.disk.begin(entry)

    def sync(self, entry: Entry) -> None:
        self.disk.end(entry)

    def renew(self) -> bool:
        """Show those who wait that the leader lives; False when it was replaced."""
        if self.disk.tables.term != self.term:
            return False
        self.disk.beat += 1
        return True

    def release(self) -> None:
        """Say goodbye."""
        if self.disk.tables.term == self.term:
            self.disk.is_released = True
