"""Reads of the PostgreSQL store, from the primary and through the session that commits.

Each read is one statement or pages of one, bounded in rows and bytes: the server adds up sizes before it sends a block
(the length of a large value is known without reading it), so none holds up a commit for long. A read whose session was
cut is made again on a new one; it has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from xip_core.errors import NotFoundError, StoreError
from xip_scheduler.store import lineage, pruning, schema
from xip_scheduler.store.lineage import stored_run
from xip_scheduler.store.postgres_takeover import COUNT_WITHIN
from xip_scheduler.store.protocol import (
    Attempt,
    AuditRow,
    Detail,
    DoneInterval,
    NodeTally,
    OriginSpan,
    QuarantineRow,
    StoredRecord,
    StoredRun,
    TileSpan,
    not_recorded,
)

BLOCKS_PER_READ = 4_096
"""Most tiles or blocks one call answers, so that each ends soon."""

RECORDS_PER_READ = 20_000
READ_TRIES_MAX = 5

Result = TypeVar("Result")
Row = tuple[Any, ...]

_RECORDS_PAGE = """
SELECT node_id, tile_begin, tile_end, epoch = 0 FROM tile_record
 WHERE run_key = %s AND (node_id, tile_begin) > (%s, %s) ORDER BY node_id, tile_begin LIMIT %s
"""

_RECORDS_OVERLAPPING = """
SELECT tile_begin, tile_end FROM tile_record
 WHERE run_key = %(run_key)s AND node_id = %(node_id)s
   AND tile_begin >= coalesce((SELECT max(tile_begin) FROM tile_record
                                WHERE run_key = %(run_key)s AND node_id = %(node_id)s AND tile_begin <= %(begin)s), 0)
   AND tile_end > %(begin)s AND tile_begin < %(end)s
 ORDER BY tile_begin
"""

# The blocks that fit, at least the first one, and the tile of the next one without its block; `size` is the sum up to
# and with the row.
_OUTPUTS = """
SELECT tile, CASE WHEN size <= %(limit)s OR place = 1 THEN block END FROM (
    SELECT tile, block, sum(octet_length(block)) OVER (ORDER BY tile) AS size,
           row_number() OVER (ORDER BY tile) AS place
      FROM tile_record AS record JOIN tile_output AS output
        ON output.run_key = CASE WHEN record.origin_key = 0 THEN record.run_key ELSE record.origin_key END
       AND output.node_id = record.node_id AND tile >= tile_begin AND tile < tile_end
     WHERE record.run_key = %(run_key)s AND record.node_id = %(node_id)s AND tile >= %(begin)s AND tile < %(end)s
       AND tile_begin < %(end)s AND tile_end > %(begin)s
) AS summed WHERE size - octet_length(block) <= %(limit)s ORDER BY tile
"""

_DETAILS = """
SELECT cursor, node_id, tile, block FROM (
    SELECT *, sum(octet_length(block)) OVER (ORDER BY cursor) AS size, row_number() OVER (ORDER BY cursor) AS place
      FROM (SELECT * FROM tile_detail WHERE run_key = %s AND cursor > %s ORDER BY cursor LIMIT %s) AS page
) AS summed WHERE size <= %s OR place = 1 ORDER BY cursor
"""


class PostgresReads:
    """Whoever inherits keeps the session: `_driver` and SQLAlchemy's `_connection` over it."""

    _driver: psycopg.Connection
    _connection: sa.Connection

    def _reconnected(self, cause: Exception) -> None:
        """Replace a session that was cut.

        Raises:
            StoreError: there is no other, or another scheduler leads.
        """
        raise NotImplementedError

    def _read(self, read: Callable[[], Result]) -> Result:
        """
        Raises:
            StoreError: the database refuses or stays away.
        """
        for _ in range(READ_TRIES_MAX):
            try:
                return read()
            except (psycopg.Error, sa.exc.DBAPIError) as error:
                cause = bare(error)
                if not (isinstance(cause, psycopg.OperationalError) and self._is_cut()):
                    raise StoreError(f"the database refuses a read: {told(cause)}") from error
                self._reconnected(cause)
        raise StoreError(f"a read was cut {READ_TRIES_MAX} times")

    def _is_cut(self) -> bool:
        try:
            self._driver.execute("SELECT")
        except psycopg.OperationalError:
            self._driver.close()
        return self._driver.closed

    def _rows(self, statement: str, parameters: Any) -> list[Row]:
        """*statement* is a constant of this module."""
        return self._read(lambda: self._driver.execute(statement, parameters, binary=True).fetchall())

    def _selected(self, statement: sa.Select[Any]) -> list[Any]:
        return self._read(lambda: list(self._connection.execute(statement)))

    def _key(self, run_id: str) -> int:
        found = self._rows("SELECT run_key FROM run WHERE run_id = %s", (run_id,))
        if not found:
            raise NotFoundError(f"run {run_id}: unknown")
        return int(found[0][0])

    def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        return self._one_run(schema.run.c.tenant == tenant, schema.run.c.request_id == request_id)

    def run(self, run_id: str) -> StoredRun | None:
        return self._one_run(schema.run.c.run_id == run_id)

    def _one_run(self, *conditions: sa.ColumnElement[bool]) -> StoredRun | None:
        found = self._selected(sa.select(schema.run).where(*conditions))
        return stored_run(found[0]) if found else None

    def runs(self, limit: int, before_run_key: int | None = None) -> list[StoredRun]:
        kept = sa.select(schema.run).where(schema.run.c.pruned_at_s == 0)
        statement = kept.order_by(schema.run.c.run_key.desc()).limit(limit)
        if before_run_key is not None:
            statement = statement.where(schema.run.c.run_key < before_run_key)
        return [stored_run(found) for found in self._selected(statement)]

    def live_runs(self) -> list[StoredRun]:
        statement = sa.select(schema.run).where(schema.run.c.finished_at_s == 0).order_by(schema.run.c.run_key)
        return [stored_run(found) for found in self._selected(statement)]

    def done_intervals(self, run_id: str) -> Iterator[DoneInterval]:
        node_id, begin, end, is_failed = -1, 0, 0, False
        for next_node_id, next_begin, next_end, next_is_failed in self._records(self._key(run_id)):
            if next_node_id == node_id and next_begin == end and next_is_failed == is_failed:
                end = next_end
                continue
            if node_id >= 0:
                yield DoneInterval(node_id, begin, end, is_failed)
            node_id, begin, end, is_failed = next_node_id, next_begin, next_end, next_is_failed
        if node_id >= 0:
            yield DoneInterval(node_id, begin, end, is_failed)

    def _records(self, run_key: int) -> Iterator[Row]:
        """All records of a run by node and tile, in pages: no cursor stays open while others use the session."""
        page: list[Row] = [(-1, -1)]
        while page:
            page = self._rows(_RECORDS_PAGE, (run_key, *page[-1][:2], RECORDS_PER_READ))
            yield from page

    def tallies(self, run_id: str) -> list[NodeTally]:
        tally = schema.node_tally.c
        statement = (
            sa.select(tally.node_id, tally.tiles_done, tally.cell_count, tally.quarantined_count, tally.tiles_reused)
            .join(schema.run)
            .where(schema.run.c.run_id == run_id)
            .order_by(tally.node_id)
        )
        return [NodeTally(*found) for found in self._selected(statement)]

    def tallies_within(self, run_id: str, spans: Sequence[TileSpan]) -> list[NodeTally]:
        columns = [list(column) for column in zip(*spans, strict=True)] or [[], [], []]
        return [NodeTally(*found) for found in self._rows(COUNT_WITHIN, (*columns, self._key(run_id)))]

    def outputs(self, run_id: str, node_id: int, tile_begin: int, tile_end: int, size_limit_bytes: int) -> list[bytes]:
        run_key = self._key(run_id)
        tile_end = min(tile_end, tile_begin + BLOCKS_PER_READ)
        place = {"run_key": run_key, "node_id": node_id, "begin": tile_begin, "end": tile_end}
        recorded = iter(self._rows(_RECORDS_OVERLAPPING, place))
        blocks: dict[int, bytes | None] = dict(self._rows(_OUTPUTS, {**place, "limit": size_limit_bytes}))
        answer: list[bytes] = []
        size_bytes = recorded_end = 0
        for tile in range(tile_begin, tile_end):
            while tile >= recorded_end:
                begin, end = next(recorded, (tile_end, tile_end))
                if begin > tile:
                    raise not_recorded(run_id, node_id, tile)
                recorded_end = end
            block = blocks.get(tile, b"")
            if block is None or (answer and size_bytes + len(block) > size_limit_bytes):
                break
            answer.append(block)
            size_bytes += len(block)
        return answer

    def details(self, run_id: str, after_cursor: int, size_limit_bytes: int) -> list[Detail]:
        page = self._rows(_DETAILS, (self._key(run_id), after_cursor, BLOCKS_PER_READ, size_limit_bytes))
        return [Detail(*found) for found in page]

    def quarantine(self, run_id: str, limit: int, offset: int = 0) -> list[QuarantineRow]:
        return [QuarantineRow(*row) for row in self._selected(lineage.quarantined(run_id, limit, offset))]

    def attempts(self, run_id: str) -> list[Attempt]:
        rows = self._rows(
            "SELECT node_id, tile, attempt, worker_id, reason, message, is_suspect <> 0 FROM attempt"
            " WHERE run_key = %s ORDER BY node_id, tile, attempt",
            (self._key(run_id),),
        )
        return [(run_id, *row) for row in rows]

    def records_of(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> list[StoredRecord]:
        return self._read(lambda: lineage.records_of(self._connection, run_id, tiles))

    def origins(self, run_id: str, limit: int) -> list[OriginSpan]:
        return self._read(lambda: lineage.origins(self._connection, run_id, limit))

    def objects(self, run_id: str, limit: int) -> list[tuple[int, int, str]]:
        return self._read(lambda: lineage.objects(self._connection, run_id, limit))

    def notes(self, run_id: str) -> dict[str, str]:
        return self._read(lambda: lineage.notes(self._connection, run_id))

    def final_runs_of(self, tenant: str, limit: int) -> list[StoredRun]:
        return [stored_run(found) for found in self._selected(lineage.final_runs(tenant, limit))]

    def oldest_final_run(self) -> tuple[str, float] | None:
        return self._read(lambda: pruning.oldest_final_run(self._connection))

    def erasable_run(self) -> str | None:
        return self._read(lambda: pruning.erasable_run(self._connection))

    def audit_rows(self, after_key: int, limit: int) -> list[AuditRow]:
        rows = self._rows("SELECT * FROM audit WHERE audit_key > %s ORDER BY audit_key LIMIT %s", (after_key, limit))
        return [AuditRow(*row) for row in rows]


def bare(error: Exception) -> Exception:
    """The driver's error inside SQLAlchemy's."""
    if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, psycopg.Error):
        return error.orig
    return error


def told(error: Exception) -> str:
    """What the server said, on one line."""
    return " ".join(str(error).split())
