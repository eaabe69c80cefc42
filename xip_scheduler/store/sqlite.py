"""The store in one SQLite file.

How it is set up, asserted at every start, because each setting was seen to matter:

* one connection, `locking_mode=EXCLUSIVE`: SQLite before 3.51.3 can damage a WAL that two connections write;
* `journal_mode=WAL`, `synchronous=FULL`: with NORMAL, acknowledged commits are lost at power loss;
* `wal_autocheckpoint`: not every 4 MiB within a commit, but when nobody commits (`sqlite_file`);
* a data directory lock (`lock`) and a schema version; a quick check of the pages before anything is trusted.

Group commit: the driver collects what happened while the last commit was running and writes it in one transaction, so
the cost of a sync is shared by hundreds of records.

The hot statements go to the driver below SQLAlchemy, many rows in one statement. `sqlite3` gives the GIL away and takes
it back for every execution of a statement, also inside `executemany`; beside a busy event loop each taking back waits
for the interpreter's switch interval (5 ms). Measured here, 2,048 records a commit beside a busy thread: `executemany`
1,240 us a record, one INSERT of 256 rows 16 us, one of 2,048 rows 4.5 us; without a busy thread 3.6, 0.7 and 1.2 us.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from xip_core.errors import NotFoundError, StoreError
from xip_scheduler.store import audit, lineage, pruning, schema
from xip_scheduler.store.acknowledged import Acknowledged
from xip_scheduler.store.lineage import stored_run
from xip_scheduler.store.lock import DirectoryLock
from xip_scheduler.store.protocol import (
    Attempt,
    AuditRow,
    Batch,
    Detail,
    DoneInterval,
    NewRun,
    NodeTally,
    OriginSpan,
    QuarantineRow,
    StoredRecord,
    StoredRun,
    TileRecord,
    TileSpan,
    not_recorded,
)
from xip_scheduler.store.sqlite_file import (
    INSERT_AUDIT,
    UNREADABLE,
    abandoned,
    close_or_abandon,
    connect,
    open_term,
    seal,
    settled,
)
from xip_scheduler.store.sqlite_statements import (
    ADD_TO_TALLY,
    COUNT_TALLY,
    KEEP_NOTE,
    KEEP_WORKER,
    OUTPUTS,
    RECORDS_OVERLAPPING,
    USED_BYTES,
)
from xip_scheduler.store.takeover import take_over, tallies_within

DATABASE_NAME = "scheduler.sqlite"
RECORDS_PER_STATEMENT = (2048, 512, 128, 32, 8, 1)
"""Row counts of prepared INSERTs, largest first; 8 parameters a row stay below SQLite's 32,766 a statement."""

PAYLOADS_PER_STATEMENT = (64, 8, 1)

TILES_PER_READ = 4096
"""Most tiles one call of `outputs` answers, so that a range without any output ends too."""

Row = Sequence[Any]


class SqliteStore:
    """`store.protocol.Store` in one file of *directory*.

    Args:
        is_restored: the operator says that a backup was put back (see `sqlite_file`).

    Raises:
        StoreError: the directory is in use or cannot be written, or the file is damaged, of a newer version or not
            ours, or has forgotten what it acknowledged.
    """

    def __init__(self, directory: Path, is_restored: bool = False) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = DirectoryLock(directory)
        except OSError as error:
            sentence = f"data directory {directory} must be a directory this process may write: {error.strerror}"
            raise StoreError(sentence) from error
        path = directory / DATABASE_NAME
        with contextlib.ExitStack() as undo:
            undo.callback(self._lock.release)
            try:
                self._driver = connect(path)
                undo.push(lambda _, error, __: close_or_abandon(self._driver, error))
                self._engine = sa.create_engine("sqlite://", creator=lambda: self._driver, poolclass=StaticPool)
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                self._acknowledged = Acknowledged(directory)
                undo.callback(self._acknowledged.close)
                opened = open_term(self._driver, self._connection, path, self._acknowledged.serial, is_restored)
            except (sqlite3.Error, sa.exc.SQLAlchemyError, OSError) as error:  # above all a full disk
                raise StoreError(f"{path}: cannot be written: {error}") from error
            except UNREADABLE as error:
                raise StoreError(f"{path}: the file is damaged: {error!r}") from error
            undo.pop_all()
        self._term, self._epoch_end, self._epoch_floor = opened.term, opened.epoch_end, opened.epoch_floor
        self._audit_head = opened.audit_head
        self._commit_serial = opened.commit_serial
        self._acknowledged.write(self._commit_serial)
        self._live_run_keys: dict[str, int] = {}
        self._worker_keys: dict[str, int] = {"": 0}
        self._is_abandoned = False

    @property
    def term(self) -> int:
        return self._term

    @property
    def epoch_end(self) -> int:
        return self._epoch_end

    @property
    def epoch_floor(self) -> int:
        return self._epoch_floor

    def close(self) -> None:
        if self._is_abandoned:
            return
        self._connection.close()
        self._engine.dispose()
        self._driver.close()
        self._acknowledged.close()
        self._lock.release()

    def rest(self) -> None:
        self._is_abandoned = self._is_abandoned or not settled(self._driver)

    # ---- commit

    def commit(self, batch: Batch) -> None:
        """See `Store.commit`. A disk that failed is not asked again: a second fsync may succeed and mean nothing."""
        if self._is_abandoned:
            raise StoreError("nothing can be committed after a commit that the disk refused")
        try:
            self._driver.execute("BEGIN IMMEDIATE")
            self._write(batch)
            head = self._write_audit(batch)
            self._driver.execute("COMMIT")
            self._audit_head = head
            self._commit_serial += 1
            self._acknowledged.write(self._commit_serial)
        except BaseException as error:
            self._live_run_keys = {}
            self._worker_keys = {"": 0}
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            if isinstance(cause, sqlite3.Error) and not isinstance(cause, sqlite3.IntegrityError):
                self._is_abandoned = True
                abandoned.append(self._driver)
            elif self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
            if isinstance(error, (sqlite3.Error, sa.exc.SQLAlchemyError)):
                raise StoreError(f"commit of {len(batch.records)} records refused: {cause}") from error
            raise

    def _write(self, batch: Batch) -> None:
        self._driver.execute("UPDATE meta SET value = value + 1 WHERE name = 'commit_serial'")
        for run in batch.runs:
            self._insert_run(run)
        for takeover in batch.takeovers:
            take_over(self._driver, takeover)
        if batch.epoch_end:
            self._driver.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'epoch_end'", (batch.epoch_end,))
        for worker in batch.workers:
            self._driver.execute(KEEP_WORKER, worker)
        if batch.records:
            self._insert_records(batch.records)
        self._insert_many(
            "INSERT OR IGNORE INTO tile_objects (run_key, node_id, tile, names) VALUES",
            [(self._live_run_key(objects[0]), *objects[1:]) for objects in batch.objects],
            PAYLOADS_PER_STATEMENT,
        )
        for run_id, kind, content in batch.notes:
            self._driver.execute(KEEP_NOTE, (self._live_run_key(run_id), kind, content))
        for table, blocks in (("tile_output", batch.outputs), ("tile_detail", batch.details)):
            self._insert_many(
                f"INSERT OR IGNORE INTO {table} (run_key, node_id, tile, block) VALUES",
                [(self._live_run_key(run_id), node_id, tile, block) for run_id, node_id, tile, block in blocks],
                PAYLOADS_PER_STATEMENT,
            )
        self._insert_many(
            "INSERT INTO quarantine"
            " (run_key, row, scenario_begin, scenario_end, reason, message, trade_id) VALUES",
            [(self._live_run_key(cells[0]), *cells[1:]) for cells in batch.quarantine],
            PAYLOADS_PER_STATEMENT,
        )
        if batch.attempts:
            self._insert_attempts(batch.attempts)
        for run_id, is_paused, _ in batch.paused:
            self._driver.execute(
                "UPDATE run SET is_paused = ? WHERE run_key = ?", (int(is_paused), self._live_run_key(run_id))
            )
        pruning.prune(self._connection, batch.pruned, batch.at_s)
        for run_id in batch.erased:
            pruning.erase(self._connection, run_id)
        for finished in batch.finished:
            statement = (
                sa.update(schema.run)
                .where(schema.run.c.run_id == finished.run_id, schema.run.c.finished_at_s == 0)
                .values(
                    state=finished.state,
                    message=finished.message,
                    finished_at_s=finished.finished_at_s,
                    epoch_last=finished.epoch_last,
                    first_lease_after_s=finished.first_lease_after_s,
                )
            )
            if self._connection.execute(statement).rowcount != 1:
                raise StoreError(f"run {finished.run_id}: only a live run can finish, and only once")
            self._live_run_keys.pop(finished.run_id, None)

    def _write_audit(self, batch: Batch) -> audit.Head:
        """One row per transition of *batch*, all of them known to the tables by now."""
        head = self._audit_head
        for entry in audit.entries_of(batch, lambda run_id: seal(self._driver, self._run_key(run_id))):
            row = audit.link(head, entry, self._run_key(entry.run_id), batch.at_s, self._term)
            self._driver.execute(INSERT_AUDIT, msgspec.structs.astuple(row))
            head = audit.Head(row.audit_key, row.hash)
        return head

    def _insert_run(self, run: NewRun) -> None:
        statement = sa.insert(schema.run).values(
            run_id=run.run_id,
            tenant=run.tenant,
            request_id=run.request_id,
            payload_hash=run.payload_hash,
            name=run.name,
            spec=run.spec,
            plan_digest=run.plan_digest,
            state=run.state,
            submitted_at_s=run.submitted_at_s,
            priority=run.priority,
            deadline_after_s=run.deadline_after_s,
            retry_of=run.retry_of,
            reuse_of=run.reuse_of,
        )
        self._connection.execute(statement)

    def _insert_records(self, records: list[TileRecord]) -> None:
        """Insert tile records and add them to the tallies of their nodes."""
        rows: list[Row] = []
        tallies: dict[tuple[int, int], list[int]] = {}
        for run_id, node_id, tile_begin, tile_end, epoch, worker_id, cell_count, quarantined_count in records:
            run_key = self._live_run_keys.get(run_id) or self._live_run_key(run_id)
            worker_key = self._worker_keys.get(worker_id)
            if worker_key is None:
                worker_key = self._worker_key(worker_id)
            rows.append((run_key, node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count))
            tally = tallies.get((run_key, node_id))
            if tally is None:
                tally = tallies[run_key, node_id] = [0, 0, 0]
            tally[0] += tile_end - tile_begin
            tally[1] += cell_count
            tally[2] += quarantined_count
        count_before = self._driver.total_changes
        self._insert_many(
            "INSERT INTO tile_record (run_key, node_id, tile_begin, tile_end, epoch, worker_key,"
            " cell_count, quarantined_count) VALUES",
            rows,
            RECORDS_PER_STATEMENT,
        )
        if self._driver.total_changes - count_before == len(rows):
            for (run_key, node_id), sums in tallies.items():
                self._driver.execute(ADD_TO_TALLY, (run_key, node_id, *sums))
        else:  # some were repeats, which the trigger ignored: count again
            for run_key, node_id in tallies:
                self._driver.execute(COUNT_TALLY, (run_key, node_id))

    def _insert_attempts(self, attempts: list[Attempt]) -> None:
        rows: list[Row] = [(self._live_run_key(attempt[0]), *attempt[1:]) for attempt in attempts]
        count_before = self._driver.total_changes
        self._insert_many(
            "INSERT OR IGNORE INTO attempt"
            " (run_key, node_id, tile, attempt, worker_id, reason, message, is_suspect) VALUES",
            rows,
            PAYLOADS_PER_STATEMENT,
        )
        if self._driver.total_changes - count_before == len(rows):
            return
        for row in rows:  # some were repeats: each must say what is kept
            kept = self._driver.execute(
                "SELECT worker_id, reason, message, is_suspect FROM attempt"
                " WHERE run_key = ? AND node_id = ? AND tile = ? AND attempt = ?",
                row[:4],
            ).fetchone()
            if kept != tuple(row[4:]):
                raise StoreError(f"attempt {row[3]} at tile {row[2]} of node {row[1]} is kept once, as {kept}")

    def _insert_many(self, statement: str, rows: list[Row], sizes: tuple[int, ...]) -> None:
        """Insert *rows* with as few executions as prepared sizes allow (see the head of this module)."""
        begin = 0
        for size in sizes:
            while len(rows) - begin >= size:
                marks = "(" + ",".join("?" * len(rows[begin])) + ")"
                parameters = list(chain.from_iterable(rows[begin : begin + size]))
                self._driver.execute(f"{statement} {','.join([marks] * size)}", parameters)
                begin += size

    def _live_run_key(self, run_id: str) -> int:
        """Short key of a run that may still change; a final one is refused (S9)."""
        key = self._live_run_keys.get(run_id)
        if key is None:
            found = self._driver.execute(
                "SELECT run_key FROM run WHERE run_id = ? AND finished_at_s = 0", (run_id,)
            ).fetchone()
            if found is None:
                raise StoreError(f"run {run_id}: must be stored and not final before anything of it is recorded")
            if len(self._live_run_keys) >= _KEYS_CACHED:
                self._live_run_keys.clear()
            key = self._live_run_keys[run_id] = int(found[0])
        return key

    def _worker_key(self, worker_id: str) -> int:
        """Short key of a worker, made the first time it is seen."""
        self._driver.execute("INSERT OR IGNORE INTO worker (worker_id) VALUES (?)", (worker_id,))
        found = self._driver.execute("SELECT worker_key FROM worker WHERE worker_id = ?", (worker_id,)).fetchone()
        if len(self._worker_keys) >= _KEYS_CACHED:
            self._worker_keys = {"": 0}
        key = self._worker_keys[worker_id] = int(found[0])
        return key

    # ---- reads

    def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        return self._one_run(schema.run.c.tenant == tenant, schema.run.c.request_id == request_id)

    def run(self, run_id: str) -> StoredRun | None:
        return self._one_run(schema.run.c.run_id == run_id)

    def _run_key(self, run_id: str) -> int:
        found = self._driver.execute("SELECT run_key FROM run WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise NotFoundError(f"run {run_id}: unknown")
        return int(found[0])

    def _one_run(self, *conditions: sa.ColumnElement[bool]) -> StoredRun | None:
        found = self._connection.execute(sa.select(schema.run).where(*conditions)).one_or_none()
        return None if found is None else stored_run(found)

    def runs(self, limit: int, before_run_key: int | None = None) -> list[StoredRun]:
        kept = sa.select(schema.run).where(schema.run.c.pruned_at_s == 0)
        statement = kept.order_by(schema.run.c.run_key.desc()).limit(limit)
        if before_run_key is not None:
            statement = statement.where(schema.run.c.run_key < before_run_key)
        return [stored_run(found) for found in self._connection.execute(statement)]

    def live_runs(self) -> list[StoredRun]:
        statement = sa.select(schema.run).where(schema.run.c.finished_at_s == 0).order_by(schema.run.c.run_key)
        return [stored_run(found) for found in self._connection.execute(statement)]

    def done_intervals(self, run_id: str) -> Iterator[DoneInterval]:
        rows = self._driver.execute(
            "SELECT node_id, tile_begin, tile_end, epoch = 0 FROM tile_record WHERE run_key = ?"
            " ORDER BY node_id, tile_begin",
            (self._run_key(run_id),),
        )
        node_id, begin, end, is_failed = -1, 0, 0, 0
        for next_node_id, next_begin, next_end, next_is_failed in rows:
            if next_node_id == node_id and next_begin == end and next_is_failed == is_failed:
                end = next_end
                continue
            if node_id >= 0:
                yield DoneInterval(node_id, begin, end, bool(is_failed))
            node_id, begin, end, is_failed = next_node_id, next_begin, next_end, next_is_failed
        if node_id >= 0:
            yield DoneInterval(node_id, begin, end, bool(is_failed))

    def tallies(self, run_id: str) -> list[NodeTally]:
        tally = schema.node_tally.c
        statement = (
            sa.select(tally.node_id, tally.tiles_done, tally.cell_count, tally.quarantined_count, tally.tiles_reused)
            .join(schema.run)
            .where(schema.run.c.run_id == run_id)
            .order_by(tally.node_id)
        )
        return [NodeTally(*found) for found in self._connection.execute(statement)]

    def tallies_within(self, run_id: str, spans: Sequence[TileSpan]) -> list[NodeTally]:
        return tallies_within(self._driver, self._run_key(run_id), spans)

    def outputs(self, run_id: str, node_id: int, tile_begin: int, tile_end: int, size_limit_bytes: int) -> list[bytes]:
        key = (self._run_key(run_id), node_id)
        tile_end = min(tile_end, tile_begin + TILES_PER_READ)
        recorded = self._driver.execute(RECORDS_OVERLAPPING, (*key, *key, tile_begin, tile_begin, tile_end))
        blocks = self._driver.execute(OUTPUTS, (*key, tile_begin, tile_end))
        answer: list[bytes] = []
        size_bytes = 0
        next_block = blocks.fetchone()
        recorded_end = 0
        for tile in range(tile_begin, tile_end):
            while tile >= recorded_end:
                interval = recorded.fetchone()
                if interval is None or interval[0] > tile:
                    raise not_recorded(run_id, node_id, tile)
                recorded_end = interval[1]
            block = b""
            if next_block is not None and next_block[0] == tile:
                block = next_block[1]
                next_block = blocks.fetchone()
            if answer and size_bytes + len(block) > size_limit_bytes:
                break
            answer.append(block)
            size_bytes += len(block)
        recorded.close()
        blocks.close()
        return answer

    def details(self, run_id: str, after_cursor: int, size_limit_bytes: int) -> list[Detail]:
        rows = self._driver.execute(
            "SELECT cursor, node_id, tile, block FROM tile_detail WHERE run_key = ? AND cursor > ? ORDER BY cursor",
            (self._run_key(run_id), after_cursor),
        )
        answer: list[Detail] = []
        size_bytes = 0
        for cursor, node_id, tile, block in rows:
            if answer and size_bytes + len(block) > size_limit_bytes:
                break
            answer.append(Detail(cursor, node_id, tile, block))
            size_bytes += len(block)
        rows.close()
        return answer

    def quarantine(self, run_id: str, limit: int, offset: int = 0) -> list[QuarantineRow]:
        found = self._connection.execute(lineage.quarantined(run_id, limit, offset))
        return [QuarantineRow(*row) for row in found]

    def records_of(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> list[StoredRecord]:
        return lineage.records_of(self._connection, run_id, tiles)

    def origins(self, run_id: str, limit: int) -> list[OriginSpan]:
        return lineage.origins(self._connection, run_id, limit)

    def objects(self, run_id: str, limit: int) -> list[tuple[int, int, str]]:
        return lineage.objects(self._connection, run_id, limit)

    def notes(self, run_id: str) -> dict[str, str]:
        return lineage.notes(self._connection, run_id)

    def final_runs_of(self, tenant: str, limit: int) -> list[StoredRun]:
        return [stored_run(found) for found in self._connection.execute(lineage.final_runs(tenant, limit))]

    def check_term(self) -> None:
        """Nobody else can have written: the directory is locked."""

    def size_bytes(self) -> int:
        return int(self._driver.execute(USED_BYTES).fetchone()[0])

    def oldest_final_run(self) -> tuple[str, float] | None:
        return pruning.oldest_final_run(self._connection)

    def erasable_run(self) -> str | None:
        return pruning.erasable_run(self._connection)

    def audit_rows(self, after_key: int, limit: int) -> list[AuditRow]:
        rows = self._driver.execute(
            "SELECT * FROM audit WHERE audit_key > ? ORDER BY audit_key LIMIT ?", (after_key, limit)
        )
        return [AuditRow(*row) for row in rows]

    def attempts(self, run_id: str) -> list[Attempt]:
        rows = self._driver.execute(
            "SELECT node_id, tile, attempt, worker_id, reason, message, is_suspect FROM attempt WHERE run_key = ?"
            " ORDER BY node_id, tile, attempt",
            (self._run_key(run_id),),
        )
        return [(run_id, *row[:6], bool(row[6])) for row in rows]


_KEYS_CACHED = 65_536
"""Short keys kept in memory; about 10 MB when full."""
