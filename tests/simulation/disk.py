"""A model of the store: what is written may be lost until it is synced, what is synced never is.

    commit(batch) ──write──> log entry, unsynced ──sync──> durable

A killed process leaves what it wrote to the operating system; a power loss keeps some prefix of the unsynced entries.
Tables are always the replay of the log, so an entry that is gone has never been there. The model refuses nothing: it is
the checkers (`ghost`) that must see a second record, not a constraint that hides it.

`ModelStore` gives `xip_scheduler.restore` and the shells what they read, in the words of `store.protocol`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xip_core.errors import NotFoundError
from xip_scheduler.store.protocol import (
    Attempt,
    Batch,
    DoneInterval,
    FinishedRun,
    NewRun,
    NodeTally,
    StoredRun,
    TileRecord,
)


class Entry(msgspec.Struct):
    """
    Attributes:
        is_acknowledged: the writer was told that it is durable; losing it afterwards is a violation.
        is_checked: the ghost has seen it.
        kept: (worker, epoch) of leases that workers presented and the scheduler let them keep in this batch.
    """

    batch: Batch
    term: int
    is_acknowledged: bool = False
    is_checked: bool = False
    kept: tuple[tuple[str, int], ...] = ()


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
        self.finished: dict[str, FinishedRun] = {}

    def apply(self, entry: Entry) -> None:
        batch = entry.batch
        self.term = max(self.term, entry.term)
        self.epoch_end = max(self.epoch_end, batch.epoch_end)
        for run in batch.runs:
            self.runs[run.run_id] = run
            self.requests[run.tenant, run.request_id] = run.run_id
            self.records.setdefault(run.run_id, [])
        for record in batch.records:
            self.records[record[0]].append(record)
        for run_id, node_id, tile, block in batch.outputs:
            self.outputs[run_id, node_id, tile] = block
        for attempt in batch.attempts:
            self.attempts.setdefault(attempt[0], []).append(attempt)
        for finished in batch.finished:
            self.finished[finished.run_id] = finished


class Disk:
    """The log that outlives schedulers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.synced_count = 0
        self.tables = Tables()
        self.blobs: dict[str, bytes] = {}

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

    def get(self, digest: str) -> bytes:
        """A blob, as `xip_scheduler.store.blobs.FileBlobs.get` reads it."""
        if digest not in self.blobs:
            raise NotFoundError(f"blob {digest} is not stored")
        return self.blobs[digest]


class ModelStore:
    """One opening of the disk; what `restore_core` and the shells read."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        disk.sync()
        self.term = disk.tables.term + 1
        disk.write(Entry(Batch(), self.term, is_acknowledged=True, is_checked=True))
        disk.sync()

    @property
    def epoch_end(self) -> int:
        return self.disk.tables.epoch_end

    @property
    def epoch_floor(self) -> int:
        return 0

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
            run.spec,
            run.plan_digest,
            final.state if final else run.state,
            final.message if final else "",
            run.submitted_at_s,
            final.finished_at_s if final else 0.0,
            0,
            0.0,
        )

    def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        run_id = self.disk.tables.requests.get((tenant, request_id))
        return None if run_id is None else self.run(run_id)

    def live_runs(self) -> list[StoredRun]:
        tables = self.disk.tables
        return [stored for run_id in tables.runs if run_id not in tables.finished and (stored := self.run(run_id))]

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

    def tallies(self, run_id: str) -> list[NodeTally]:
        sums: dict[int, list[int]] = {}
        for _, node_id, begin, end, _, _, cell_count, quarantined_count in self.disk.tables.records[run_id]:
            tally = sums.setdefault(node_id, [0, 0, 0])
            tally[0] += end - begin
            tally[1] += cell_count
            tally[2] += quarantined_count
        return [NodeTally(node_id, *sums[node_id]) for node_id in sorted(sums)]
