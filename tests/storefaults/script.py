"""What the writer commits, and what a store must hold after each prefix of it.

`State` is the specification: dictionaries, and no code shared with the store. Blocks end with their own digest, as the
blocks of workers do, so that a reader can tell a damaged one.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.scheduler.core.builders import a_book_plan
from xip_scheduler.store.protocol import Batch, FinishedRun, NewRun, Store, TileRecord

BATCH_COUNT = 40
NODE_COUNT = 2
PLANS = tuple(a_book_plan(row_blocks=blocks).encode() for blocks in (2, 3))
PLAN_DIGESTS = tuple(hashlib.blake2b(plan, digest_size=32).hexdigest() for plan in PLANS)

CANCELLED = 5


class State(msgspec.Struct):
    """
    Attributes:
        runs: by run id, what `Store.run` must say but for the key and the pruning.
        tiles: (run, node, tile) to whether it was given up; tallies: (run, node) to tiles, cells, quarantined.
        details: blocks by run, in the order of their cursors.
        events: how many rows of each event the audit must have, openings not counted.
    """

    epoch_end: int = 0
    runs: dict[str, tuple[Any, ...]] = {}
    tiles: dict[tuple[str, int, int], bool] = {}
    tallies: dict[tuple[str, int], tuple[int, int, int]] = {}
    outputs: dict[tuple[str, int, int], bytes] = {}
    details: dict[str, list[tuple[int, int, bytes]]] = {}
    quarantine: dict[str, list[tuple[Any, ...]]] = {}
    attempts: dict[tuple[str, int, int, int], tuple[Any, ...]] = {}
    events: dict[str, int] = {}

    def after(self, batch: Batch) -> State:
        """The state when *batch* is committed too."""
        new = msgspec.convert(msgspec.to_builtins(self, builtin_types=(bytes,), str_keys=False), State, strict=True)
        new._apply(batch)
        return new

    def _apply(self, batch: Batch) -> None:
        self.epoch_end = max(self.epoch_end, batch.epoch_end)
        for run in batch.runs:
            asked = (run.priority, run.deadline_after_s, False, run.retry_of)
            told = (run.tenant, run.request_id, run.payload_hash, run.name, run.spec, run.plan_digest)
            self.runs[run.run_id] = (*told, run.state, "", run.submitted_at_s, 0.0, 0, 0.0, *asked)
            self._count("retried" if run.retry_of else "accepted")
        for run_id, node_id, begin, end, epoch, _, cell_count, quarantined_count in batch.records:
            for tile in range(begin, end):
                assert (run_id, node_id, tile) not in self.tiles
                self.tiles[run_id, node_id, tile] = epoch == 0
            sums = self.tallies.get((run_id, node_id), (0, 0, 0))
            added = (end - begin, cell_count, quarantined_count)
            self.tallies[run_id, node_id] = (sums[0] + added[0], sums[1] + added[1], sums[2] + added[2])
        self._count("tiles given up", len({record[:2] for record in batch.records if record[4] == 0}))
        for run_id, node_id, tile, block in batch.outputs:
            self.outputs[run_id, node_id, tile] = block
        for run_id, node_id, tile, block in batch.details:
            self.details.setdefault(run_id, []).append((node_id, tile, block))
        for run_id, *cells in batch.quarantine:
            self.quarantine.setdefault(run_id, []).append(tuple(cells))
        for run_id, node_id, tile, number, *rest in batch.attempts:
            self.attempts[run_id, node_id, tile, number] = tuple(rest)
        self._count("tiles failed", len({(run_id, node, who) for run_id, node, _, _, who, *_ in batch.attempts}))
        for run_id, is_paused, _ in batch.paused:
            self.runs[run_id] = (*self.runs[run_id][:14], is_paused, self.runs[run_id][15])
            self._count("paused" if is_paused else "resumed")
        for final in batch.finished:
            run = self.runs[final.run_id]
            end = (final.state, final.message, run[8], final.finished_at_s, final.epoch_last)
            self.runs[final.run_id] = (*run[:6], *end, final.first_lease_after_s, *run[12:])
            self._count("cancelled" if final.state == CANCELLED else "finished")

    def _count(self, event: str, count: int = 1) -> None:
        if count:
            self.events[event] = self.events.get(event, 0) + count


def state_of(store: Store) -> State:
    """What *store* holds, read through its protocol alone."""
    state = State(epoch_end=store.epoch_end)
    for stored in reversed(store.runs(1_000_000)):
        run_id = stored.run_id
        state.runs[run_id] = msgspec.structs.astuple(stored)[2:18]
        for interval in store.done_intervals(run_id):
            for tile in range(interval.tile_begin, interval.tile_end):
                state.tiles[run_id, interval.node_id, tile] = interval.is_failed
                (block,) = store.outputs(run_id, interval.node_id, tile, tile + 1, 1)
                if block:
                    state.outputs[run_id, interval.node_id, tile] = block
        for tally in store.tallies(run_id):
            state.tallies[run_id, tally.node_id] = (tally.tiles_done, tally.cell_count, tally.quarantined_count)
        details = store.details(run_id, 0, 1 << 40)
        if details:
            assert [detail.cursor for detail in details] == sorted({detail.cursor for detail in details})
            state.details[run_id] = [(detail.node_id, detail.tile, detail.block) for detail in details]
        cells = store.quarantine(run_id, 1_000_000)
        if cells:
            state.quarantine[run_id] = [msgspec.structs.astuple(row) for row in cells]
        for _, node_id, tile, number, *rest in store.attempts(run_id):
            state.attempts[run_id, node_id, tile, number] = tuple(rest)
    for row in store.audit_rows(0, 1_000_000):
        if row.event not in ("term raised", "migrated", "restored"):
            state._count(row.event)
    return state


def states(batches: Iterable[Batch], first: State | None = None) -> list[State]:
    """The state after 0, 1, 2, ... of *batches*."""
    found = [first or State()]
    for batch in batches:
        found.append(found[-1].after(batch))
    return found


def make_script(seed: int, count: int = BATCH_COUNT) -> list[Batch]:
    """*count* batches of every kind; a run lives for about eight of them."""
    return list(_Author(random.Random(seed)).batches(count))


class _Author:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._epoch = 0
        self._live: list[str] = []
        self._next_tile: dict[tuple[str, int], int] = {}
        self._paused: set[str] = set()
        self._run_count = 0

    def batches(self, count: int) -> Iterable[Batch]:
        for number in range(count):
            batch = Batch(at_s=1e9 + number)
            if number % 8 == 0:
                batch.epoch_end = (number // 8 + 1) * 10_000
            if number % 4 == 0:
                self._begin(batch)
            for run_id in self._live:
                self._work(batch, run_id)
            if number % 5 == 2:
                self._pause(batch, self._chance.choice(self._live))
            if number % 6 == 5 and len(self._live) > 1:
                self._end(batch, self._live.pop(0), number)
            yield batch

    def _begin(self, batch: Batch) -> None:
        run_id, retry_of = f"r{self._run_count}", f"r{self._run_count - 2}" if self._run_count % 3 == 2 else ""
        plan_digest = PLAN_DIGESTS[self._run_count % 2]
        spec = self._chance.randbytes(200)
        request = (run_id, "desk", f"q{self._run_count}", "hash", "name", spec, plan_digest, 1, 1e9)
        batch.runs.append(NewRun(*request, self._run_count % 3, 60.5 * (self._run_count % 2), retry_of))
        self._live.append(run_id)
        self._run_count += 1

    def _work(self, batch: Batch, run_id: str) -> None:
        chance = self._chance
        for _ in range(chance.randrange(6)):
            node_id = chance.randrange(NODE_COUNT)
            begin = self._next_tile.get((run_id, node_id), 0)
            end = begin + chance.randrange(1, 5)
            self._next_tile[run_id, node_id] = end
            is_lost = chance.random() < 0.1
            self._epoch += 1
            epoch, worker_id = (0, "") if is_lost else (self._epoch, f"w{chance.randrange(5)}")
            record: TileRecord = (run_id, node_id, begin, end, epoch, worker_id, 10 * (end - begin), 1)
            batch.records.append(record)
            batch.quarantine.append((run_id, begin, 0, 1, 5, "no curve", f"T{begin}"))
            if is_lost:
                batch.attempts.append((run_id, node_id, begin, 0, "w1", 2, "died", True))
                continue
            batch.outputs.append((run_id, node_id, begin, self._block(300)))
            batch.details.append((run_id, node_id, begin, self._block(chance.choice((40, 900, 9000)))))

    def _block(self, size_bytes: int) -> bytes:
        content = self._chance.randbytes(size_bytes)
        return content + hashlib.blake2b(content, digest_size=8).digest()

    def _pause(self, batch: Batch, run_id: str) -> None:
        batch.paused.append((run_id, run_id not in self._paused, "desk"))
        self._paused ^= {run_id}

    def _end(self, batch: Batch, run_id: str, number: int) -> None:
        state = self._chance.choice((2, 3, 4, CANCELLED))
        batch.finished.append(FinishedRun(run_id, state, "message", 1e9 + number, self._epoch, 0.25, "desk"))


def is_intact(block: bytes) -> bool:
    """Whether a reader would take *block*."""
    return hashlib.blake2b(block[:-8], digest_size=8).digest() == block[-8:]
