"""Old runs leave the store, in steps of bounded size, on SQLite and PostgreSQL alike.

    final run ──Batch.pruned──> pruned ──Batch.erased, again and again──> only its row is left
              spec emptied,             a bounded number of rows each
              one row in the audit

From the first commit on the run is gone for readers, so that none ever sees half of it; its rows follow. What stays for
ever is its row in `run` (about 300 bytes): (tenant, request id) must name the same run for ever (S6), and the audit.
A crash between two steps leaves rows of a pruned run; `erasable_run` finds them again.

Outputs that later runs began with (`takeover`) stay until those runs are pruned as well; everything else goes.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from xip_core.errors import StoreError
from xip_scheduler.store import schema

ROWS_PER_STEP: dict[sa.Table, int] = {
    schema.tile_detail: 8,  # up to 1 MiB each: SQLite walks the pages of a block to free them
    schema.reused_run: 512,
    schema.tile_output: 8,
    schema.quarantine: 512,
    schema.attempt: 512,
    schema.tile_objects: 512,
    schema.run_note: 512,
    schema.node_tally: 512,
    schema.tile_record: 1024,
}
"""Most rows one step erases, from the first table that has any of the run."""


def prune(connection: sa.Connection, run_ids: Iterable[str], at_s: float) -> None:
    """
    Hide final runs from readers, inside the caller's transaction.

    Raises:
        StoreError: one of them is not final, or pruned already.
    """
    run = schema.run.c
    for run_id in run_ids:
        final = sa.and_(run.run_id == run_id, run.finished_at_s > 0, run.pruned_at_s == 0)
        pruned = sa.update(schema.run).where(final).values(pruned_at_s=max(at_s, 1.0), spec=b"", message="")
        if connection.execute(pruned).rowcount != 1:
            raise StoreError(f"run {run_id}: only a final run can be pruned, and only once")


def erase(connection: sa.Connection, run_id: str) -> int:
    """
    Remove some rows of a pruned run, inside the caller's transaction; the bytes of blocks among them.

    Raises:
        StoreError: the run is not pruned.
    """
    found = connection.execute(
        sa.select(schema.run.c.run_key).where(schema.run.c.run_id == run_id, schema.run.c.pruned_at_s > 0)
    ).scalar_one_or_none()
    if found is None:
        raise StoreError(f"run {run_id}: must be pruned before its rows are erased")
    is_read_by_others = connection.execute(sa.select(_is_read_by_others(sa.literal(found)))).scalar_one()
    for table, row_count in ROWS_PER_STEP.items():
        if table is schema.tile_output and is_read_by_others:
            continue
        keys = list(table.primary_key.columns)
        chosen = sa.select(*keys).where(table.c.run_key == found).limit(row_count)
        statement = sa.delete(table).where(sa.tuple_(*keys).in_(chosen))
        if "block" in table.c:
            sizes = connection.execute(statement.returning(sa.func.length(table.c.block))).scalars().all()
            if sizes:
                return sum(sizes)
        elif connection.execute(statement).rowcount:
            return 0
    return 0


def _is_read_by_others(run_key: sa.ColumnElement[int]) -> sa.Exists:
    """Did another run begin with tiles of this one, and is it not erased?"""
    return sa.exists().where(schema.reused_run.c.origin_key == run_key)


def erasable_run(connection: sa.Connection) -> str | None:
    """A pruned run with rows left."""
    run_key = schema.run.c.run_key
    has_records = sa.exists().where(schema.tile_record.c.run_key == run_key)
    has_outputs = sa.exists().where(schema.tile_output.c.run_key == run_key)
    is_left = sa.or_(has_records, sa.and_(has_outputs, sa.not_(_is_read_by_others(run_key))))
    statement = sa.select(schema.run.c.run_id).where(schema.run.c.pruned_at_s > 0, is_left).limit(1)
    found: str | None = connection.execute(statement).scalar_one_or_none()
    return found


def oldest_final_run(connection: sa.Connection) -> tuple[str, float] | None:
    """Id and end (seconds since the Unix epoch) of the final run that was accepted first and is not pruned."""
    run = schema.run.c
    statement = sa.select(run.run_id, run.finished_at_s).where(run.finished_at_s > 0, run.pruned_at_s == 0)
    found = connection.execute(statement.order_by(run.run_key).limit(1)).one_or_none()
    return None if found is None else (found[0], found[1])
