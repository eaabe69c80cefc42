"""The store in PostgreSQL: the same promises as SQLite's, for schedulers that can replace one another.

One connection makes all commits and all reads of the core's thread. A commit is one transaction:

    BEGIN
    SELECT term FOR SHARE           the fence: another term than ours, and nothing of ours is written any more
    UPDATE commit_serial n-1 → n  compare-and-swap: this is the n-th batch of the store, and it happens once
    INSERT ... SELECT FROM unnest   all rows of a table in one statement
    COMMIT

A plain SELECT would not fence: a takeover could commit between it and our COMMIT. With the row locked, a takeover waits
until we are through, and a leader that comes too late waits for the takeover and then sees its term.

**A cut connection inside COMMIT** leaves the outcome unknown. The serial number answers: a new session locks it
(which waits for whatever the old session may still be doing) and reads n, the batch is there, or n-1, it is not and is
written again. Should the old session come to life in between and write it after all, the swap lets only one of the two
through and the question is asked again. So the scheduler goes on through a restart of the database; it gives up, and
its process ends, when the database stays away for `RECONNECT_PATIENCE_S`, when another leads, or when PostgreSQL
refuses the batch.

Deadlocks and serialization failures are rolled back by the server, known not to have happened, and tried again.

Texts of PostgreSQL hold no NUL; U+FFFD stands for it, because a worker's odd message must not stop a scheduler.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg import errors

from xip_core.errors import StoreError
from xip_scheduler.logs import logger
from xip_scheduler.store import audit, pruning, schema
from xip_scheduler.store.postgres_audit import append, read_head, seal
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_reads import PostgresReads, bare, told
from xip_scheduler.store.postgres_session import DatabaseAddress, session_name, sqlalchemy_over
from xip_scheduler.store.postgres_takeover import take_over
from xip_scheduler.store.protocol import Attempt, Batch, FinishedRun, NewRun, TileBlock, TileRecord

RECONNECT_PATIENCE_S = 30.0
"""A restart of PostgreSQL takes about a second, recovery on a busy disk or a failover some ten."""

RECONNECT_PAUSE_S = 0.2
ROLLED_BACK_TRIES_MAX = 5
"""Deadlocks need somebody else's locks on our tables; five in a row are no accident."""

ROLLED_BACK = (errors.SerializationFailure, errors.DeadlockDetected, errors.QueryCanceled)
"""The server's word that nothing was kept, for a reason that passes; the last one is pg_cancel_backend's."""

KEYS_CACHED_MAX = 65_536
"""Short keys kept in memory; about 10 MB when full."""

_RECORD_COLUMNS = (
    "run_key bigint, node_id int, tile_begin bigint, tile_end bigint, epoch bigint, worker_key bigint,"
    " cell_count bigint, quarantined_count bigint"
)
_TALLY_COLUMNS = "run_key bigint, node_id int, tiles_done bigint, cell_count bigint, quarantined_count bigint"
_OBJECT_COLUMNS = "run_key bigint, node_id int, tile bigint, names text"
_KEEP_WORKER = """
INSERT INTO worker (worker_id, cpu_level, version) VALUES (%s, %s, %s)
ON CONFLICT (worker_id) DO UPDATE SET cpu_level = excluded.cpu_level, version = excluded.version
"""
_KEEP_NOTE = """
INSERT INTO run_note (run_key, kind, content) VALUES (%s, %s, %s)
ON CONFLICT (run_key, kind) DO UPDATE SET content = excluded.content
"""
_ATTEMPT_COLUMNS = (
    "run_key bigint, node_id int, tile bigint, attempt int, worker_id text, reason int, message text, is_suspect int"
)
_QUARANTINE_COLUMNS = (
    "run_key bigint, row int, scenario_begin int, scenario_end int, reason int, message text, trade_id text"
)
_BLOCK_BYTES = """
SELECT (SELECT coalesce(sum(octet_length(block)), 0) FROM tile_output)
     + (SELECT coalesce(sum(octet_length(block)), 0) FROM tile_detail)
"""
"""Large blocks lie in tables of their own and are not read for it: 0.1 kB a block."""

_BLOCK_COLUMNS = "run_key bigint, node_id int, tile bigint, block bytea"

_ADD_TO_TALLY = """
ON CONFLICT (run_key, node_id) DO UPDATE SET tiles_done = node_tally.tiles_done + excluded.tiles_done,
    cell_count = node_tally.cell_count + excluded.cell_count,
    quarantined_count = node_tally.quarantined_count + excluded.quarantined_count
"""

_COUNT_TALLIES = """
INSERT INTO node_tally (run_key, node_id, tiles_done, cell_count, quarantined_count, tiles_reused)
SELECT run_key, node_id, sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       sum(CASE WHEN origin_key > 0 THEN tile_end - tile_begin ELSE 0 END)
  FROM tile_record JOIN unnest(%s::bigint[], %s::int[]) AS node (run_key, node_id) USING (run_key, node_id)
 GROUP BY run_key, node_id
ON CONFLICT (run_key, node_id) DO UPDATE SET tiles_done = excluded.tiles_done, cell_count = excluded.cell_count,
    quarantined_count = excluded.quarantined_count
"""

_RECORDS_DIFFER = """
SELECT FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS offered (run_key, node_id, tile_begin, tile_end, epoch)
  JOIN tile_record AS kept USING (run_key, node_id, tile_begin)
 WHERE (kept.tile_end, kept.epoch) <> (offered.tile_end, offered.epoch) LIMIT 1
"""


class PostgresStore(PostgresReads):
    """`store.protocol.Store` for the leader of *term*.

    Args:
        leader: told when the store closes, so that another may lead at once; not used otherwise.

    Raises:
        StoreError: the database cannot be reached, must not be used, or another leads.
    """

    def __init__(self, address: DatabaseAddress, term: int, leader: LeaderRow) -> None:
        self._address = address
        self._term = term
        self._leader = leader
        self._run_keys: dict[str, int] = {}
        self._worker_keys: dict[str, int] = {"": 0}
        self._block_bytes: int | None = None  # of all blocks; None until somebody asks, and when it may have drifted
        self._freed_bytes = 0  # by the batch that is being written
        self._log = logger("store")
        try:
            self._serial = self._connect()
            numbers: dict[str, int] = dict(self._driver.execute("SELECT name, value FROM meta").fetchall())
        except psycopg.Error as error:
            raise StoreError(f"the database cannot be used as a store: {told(error)}") from error
        self._epoch_end, self._epoch_floor = numbers["epoch_end"], numbers["epoch_floor"]

    @property
    def term(self) -> int:
        return self._term

    @property
    def epoch_end(self) -> int:
        return self._epoch_end

    @property
    def epoch_floor(self) -> int:
        return self._epoch_floor

    def rest(self) -> None:
        """The server has processes of its own for what can wait."""

    def close(self) -> None:
        """Say goodbye to whoever waits, if the database can be reached."""
        self._driver.close()
        try:
            self._leader.release(self._term)
        except (psycopg.Error, StoreError) as error:  # they will find out by our silence
            self._log.warning("no goodbye could be said", error=str(error))
        self._leader.close()

    def _connect(self) -> int:
        """Open a session and ask which batch was the last one; waits for what an older session may still be doing."""
        self._driver = self._address.connect(session_name(self._term))
        self._driver.prepare_threshold = 3
        self._connection = sqlalchemy_over(self._driver)
        with self._driver.transaction():
            self._check_fence()
            self._audit_head = read_head(self._driver)
            found = self._driver.execute("SELECT value FROM meta WHERE name = 'commit_serial' FOR UPDATE").fetchone()
        assert found is not None, "commit_serial is written with the schema"
        return int(found[0])

    # ---- commit

    def commit(self, batch: Batch) -> None:
        """See `Store.commit`, and the head of this module for what happens when the connection is cut."""
        for _ in range(ROLLED_BACK_TRIES_MAX):
            try:
                self._commit_once(batch)
                return
            except ROLLED_BACK as error:
                self._log.warning("commit rolled back by the database, trying again", error=told(error))
                self._forget_keys()
            except psycopg.Error as error:
                raise StoreError(f"commit of {len(batch.records)} records refused: {told(error)}") from error
        raise StoreError(f"commit of {len(batch.records)} records rolled back {ROLLED_BACK_TRIES_MAX} times")

    def _commit_once(self, batch: Batch) -> None:
        """Bring *batch* in as the next of the serial, through any number of cut connections."""
        wanted = self._serial + 1
        while self._serial < wanted:
            try:
                self._transact(batch, wanted)
                self._serial = wanted
            except (psycopg.Error, StoreError, sa.exc.DBAPIError) as error:
                self._forget_keys()
                if self._is_rolled_back():
                    raise bare(error) from error
                self._serial = self._reconnect(error)
                assert wanted - 1 <= self._serial <= wanted, (wanted, self._serial)

    def _is_rolled_back(self) -> bool:
        """Whether nothing of the transaction is kept; False: the session was cut and nobody knows."""
        try:
            self._driver.execute("ROLLBACK", prepare=False)
        except psycopg.OperationalError:
            self._driver.close()
            return False
        return True

    def _transact(self, batch: Batch, wanted: int) -> None:
        self._driver.execute("BEGIN", prepare=False)
        self._check_fence()
        swapped = self._driver.execute(
            "UPDATE meta SET value = %s WHERE name = 'commit_serial' AND value = %s", (wanted, wanted - 1)
        ).rowcount
        if not swapped:  # a session of ours that was cut has brought it in after all
            self._driver.close()
            raise psycopg.OperationalError("commit serial taken")
        self._write(batch)
        head = self._write_audit(batch)
        self._driver.execute("COMMIT", prepare=False)
        self._audit_head = head
        if batch.takeovers:
            self._block_bytes = None
        elif self._block_bytes is not None:
            blocks = (len(block) for *_, block in chain(batch.outputs, batch.details))
            self._block_bytes += sum(blocks) - self._freed_bytes

    def size_bytes(self) -> int:
        """Bytes of all blocks, nearly all there is: counted by one query, then kept up commit by commit.

        The files say nothing about it, for they do not shrink when rows go.
        """
        if self._block_bytes is None:
            found = self._read(lambda: self._driver.execute(_BLOCK_BYTES).fetchone())
            assert found is not None, "a sum has one row"
            self._block_bytes = int(found[0])
        return self._block_bytes

    def check_term(self) -> None:
        self._read(self._check_fence)

    def _check_fence(self) -> None:
        found = self._driver.execute("SELECT value FROM meta WHERE name = 'term' FOR SHARE").fetchone()
        if found != (self._term,):
            raise StoreError(
                f"another scheduler leads: the store must have term {self._term}, got {found and found[0]}; "
                "nothing of this one is written any more"
            )

    def _reconnect(self, cause: Exception) -> int:
        """A new session and the number of the last batch, within the patience; keys are looked up again."""
        self._log.warning("connection to the database lost", error=str(cause).strip())
        deadline_s = time.monotonic() + RECONNECT_PATIENCE_S
        while True:
            try:
                serial = self._connect()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline_s:
                    sentence = f"the database must be back within {RECONNECT_PATIENCE_S:g} s, got: {told(error)}"
                    raise StoreError(sentence) from error
                time.sleep(RECONNECT_PAUSE_S)
            else:
                self._log.info("connected to the database again", commit_serial=serial)
                return serial

    def _forget_keys(self) -> None:
        self._block_bytes = None
        self._run_keys = {}
        self._worker_keys = {"": 0}

    def _write(self, batch: Batch) -> None:
        self._freed_bytes = 0
        for run in batch.runs:
            self._insert_run(run)
        for takeover in batch.takeovers:
            take_over(self._driver, takeover)
        if batch.epoch_end:
            self._driver.execute(
                "UPDATE meta SET value = greatest(value, %s) WHERE name = 'epoch_end'", (batch.epoch_end,)
            )
        for worker in batch.workers:
            self._driver.execute(_KEEP_WORKER, [text_of(word) for word in worker])
        if batch.records:
            self._insert_records(batch.records)
        if batch.objects:
            rows = [(self._run_key(run_id), *place, text_of(names)) for run_id, *place, names in batch.objects]
            self._insert_rows("tile_objects", _OBJECT_COLUMNS, rows, "ON CONFLICT DO NOTHING")
        for run_id, kind, content in batch.notes:
            self._driver.execute(_KEEP_NOTE, (self._run_key(run_id), kind, text_of(content)))
        if batch.outputs:
            self._insert_blocks("tile_output", batch.outputs)
        if batch.details:
            self._insert_blocks("tile_detail", batch.details)
        if batch.quarantine:
            self._insert_rows(
                "quarantine",
                _QUARANTINE_COLUMNS,
                [
                    (self._run_key(cells[0]), *cells[1:5], text_of(cells[5]), text_of(cells[6]))
                    for cells in batch.quarantine
                ],
            )
        if batch.attempts:
            self._insert_attempts(batch.attempts)
        for run_id, is_paused, _ in batch.paused:
            self._driver.execute(
                "UPDATE run SET is_paused = %s WHERE run_key = %s", (int(is_paused), self._run_key(run_id))
            )
        pruning.prune(self._connection, batch.pruned, batch.at_s)
        for run_id in batch.erased:
            self._freed_bytes += pruning.erase(self._connection, run_id)
        for finished in batch.finished:
            self._finish(finished)

    def _write_audit(self, batch: Batch) -> audit.Head:
        """One row per transition of *batch*, all of them known to the tables by now."""
        head = self._audit_head
        for entry in audit.entries_of(batch, lambda run_id: seal(self._driver, self._any_run_key(run_id))):
            entry = msgspec.structs.replace(entry, who=text_of(entry.who))
            head = append(self._driver, head, entry, self._any_run_key(entry.run_id), batch.at_s, self._term)
        return head

    def _any_run_key(self, run_id: str) -> int:
        """Short key of a run, final or not."""
        found = self._driver.execute("SELECT run_key FROM run WHERE run_id = %s", (run_id,)).fetchone()
        if found is None:
            raise StoreError(f"run {run_id}: must be stored before anything of it is recorded")
        return int(found[0])

    def _insert_run(self, run: NewRun) -> None:
        self._connection.execute(
            sa.insert(schema.run).values(
                run_id=run.run_id,
                tenant=run.tenant,
                request_id=run.request_id,
                payload_hash=run.payload_hash,
                name=text_of(run.name),
                spec=run.spec,
                plan_digest=run.plan_digest,
                state=run.state,
                submitted_at_s=run.submitted_at_s,
                priority=run.priority,
                deadline_after_s=run.deadline_after_s,
                retry_of=run.retry_of,
                reuse_of=run.reuse_of,
            )
        )

    def _finish(self, finished: FinishedRun) -> None:
        statement = (
            sa.update(schema.run)
            .where(schema.run.c.run_id == finished.run_id, schema.run.c.finished_at_s == 0)
            .values(
                state=finished.state,
                message=text_of(finished.message),
                finished_at_s=finished.finished_at_s,
                epoch_last=finished.epoch_last,
                first_lease_after_s=finished.first_lease_after_s,
            )
        )
        if self._connection.execute(statement).rowcount != 1:
            raise StoreError(f"run {finished.run_id}: only a live run can finish, and only once")
        self._run_keys.pop(finished.run_id, None)

    def _insert_records(self, records: list[TileRecord]) -> None:
        """Insert tile records and add them to the tallies of their nodes."""
        rows: list[tuple[int, ...]] = []
        tallies: dict[tuple[int, int], list[int]] = {}
        for run_id, node_id, tile_begin, tile_end, epoch, worker_id, cell_count, quarantined_count in records:
            run_key = self._run_keys.get(run_id) or self._run_key(run_id)
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
        inserted = self._insert_rows("tile_record", _RECORD_COLUMNS, rows, "ON CONFLICT DO NOTHING")
        if inserted == len(rows):
            sums = [(*node, *tally) for node, tally in tallies.items()]
            self._insert_rows("node_tally", _TALLY_COLUMNS, sums, _ADD_TO_TALLY)
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        if self._driver.execute(_RECORDS_DIFFER, columns[:5]).fetchone() is not None:
            raise StoreError("a tile is recorded once: another record of the same tiles is kept")
        nodes = [list(column) for column in zip(*tallies, strict=True)]
        self._driver.execute(_COUNT_TALLIES, nodes)

    def _insert_blocks(self, table: str, blocks: list[TileBlock]) -> None:
        rows = [(self._run_key(run_id), node_id, tile, block) for run_id, node_id, tile, block in blocks]
        self._insert_rows(table, _BLOCK_COLUMNS, rows, "ON CONFLICT DO NOTHING")

    def _insert_attempts(self, attempts: list[Attempt]) -> None:
        rows = [
            (self._run_key(run_id), *place, text_of(worker_id), reason, text_of(message), int(is_suspect))
            for run_id, *place, worker_id, reason, message, is_suspect in attempts
        ]
        if self._insert_rows("attempt", _ATTEMPT_COLUMNS, rows, "ON CONFLICT DO NOTHING") == len(rows):
            return
        for row in rows:  # some were repeats: each must say what is kept
            kept = self._driver.execute(
                "SELECT worker_id, reason, message, is_suspect FROM attempt"
                " WHERE run_key = %s AND node_id = %s AND tile = %s AND attempt = %s",
                row[:4],
            ).fetchone()
            if kept != row[4:]:
                raise StoreError(f"attempt {row[3]} at tile {row[2]} of node {row[1]} is kept once, as {kept}")

    def _insert_rows(self, table: str, columns: str, rows: Sequence[Sequence[Any]], more: str = "") -> int:
        """Insert *rows* in one statement, as one array a column; returns how many were new.

        Args:
            columns: "NAME TYPE, NAME TYPE", constants of this module.
        """
        names = ", ".join(column.split()[0] for column in columns.split(", "))
        arrays = ", ".join(f"%b::{column.split()[1]}[]" for column in columns.split(", "))
        statement = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {more}"
        values = [list(column) for column in zip(*rows, strict=True)]
        return self._driver.execute(statement, values).rowcount

    def _run_key(self, run_id: str) -> int:
        """Short key of a run that may still change; a final one is refused (S9)."""
        key = self._run_keys.get(run_id)
        if key is None:
            found = self._driver.execute(
                "SELECT run_key FROM run WHERE run_id = %s AND finished_at_s = 0", (run_id,)
            ).fetchone()
            if found is None:
                raise StoreError(f"run {run_id}: must be stored and not final before anything of it is recorded")
            if len(self._run_keys) >= KEYS_CACHED_MAX:
                self._run_keys.clear()
            key = self._run_keys[run_id] = int(found[0])
        return key

    def _worker_key(self, worker_id: str) -> int:
        """Short key of a worker, made the first time it is seen."""
        name = text_of(worker_id)
        self._driver.execute("INSERT INTO worker (worker_id) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
        found = self._driver.execute("SELECT worker_key FROM worker WHERE worker_id = %s", (name,)).fetchone()
        assert found is not None, worker_id
        if len(self._worker_keys) >= KEYS_CACHED_MAX:
            self._worker_keys = {"": 0}
        key = self._worker_keys[worker_id] = int(found[0])
        return key

    # ---- reads

    def _reconnected(self, cause: Exception) -> None:
        if self._reconnect(cause) != self._serial:
            raise StoreError(f"the store must be at batch {self._serial}: it was restored to another state")


def text_of(text: str) -> str:
    return text.replace("\0", "\ufffd")
