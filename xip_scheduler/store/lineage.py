"""Reads behind lineage and reuse, on SQLite and PostgreSQL alike: who computed a tile, and what its rows need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from xip_scheduler.store import schema
from xip_scheduler.store.protocol import OriginSpan, StoredRecord, StoredRun

RUNS_LOOKED_AT = 1_000
"""Among so many newest runs of the store a tenant's are looked for: the table keeps every run for ever."""


def records_of(connection: sa.Connection, run_id: str, tiles: Sequence[tuple[int, int]]) -> list[StoredRecord]:
    """See `Store.records_of`; one look at an index for each tile."""
    record, origin = schema.tile_record.c, schema.run.alias("origin")
    of_run = sa.select(schema.run.c.run_key).where(schema.run.c.run_id == run_id).scalar_subquery()
    joined = schema.tile_record.outerjoin(schema.worker, schema.worker.c.worker_key == record.worker_key).outerjoin(
        origin, origin.c.run_key == record.origin_key
    )
    columns = (
        record.node_id,
        record.tile_begin,
        record.tile_end,
        record.epoch,
        sa.func.coalesce(schema.worker.c.worker_id, ""),
        sa.func.coalesce(schema.worker.c.cpu_level, ""),
        sa.func.coalesce(schema.worker.c.version, ""),
        record.cell_count,
        record.quarantined_count,
        sa.func.coalesce(origin.c.run_id, ""),
    )
    last_before = (
        sa.select(*columns)
        .select_from(joined)
        .where(record.run_key == of_run, record.node_id == sa.bindparam("node"))
        .where(record.tile_begin <= sa.bindparam("tile"))
        .order_by(record.tile_begin.desc())
        .limit(1)
    )
    found = []
    for node_id, tile in tiles:
        row = connection.execute(last_before, {"node": node_id, "tile": tile}).one_or_none()
        if row is not None and row[2] > tile:
            found.append(StoredRecord(*tuple(row)))
    return found


def origins(connection: sa.Connection, run_id: str, limit: int) -> list[OriginSpan]:
    """See `Store.origins`."""
    record, origin = schema.tile_record.c, schema.run.alias("origin")
    of_run = sa.select(schema.run.c.run_key).where(schema.run.c.run_id == run_id).scalar_subquery()
    statement = (
        sa.select(record.node_id, record.tile_begin, record.tile_end, origin.c.run_id)
        .join(origin, origin.c.run_key == record.origin_key)
        .where(record.run_key == of_run, record.origin_key > 0)
        .order_by(record.node_id, record.tile_begin)
        .limit(limit)
    )
    spans: list[OriginSpan] = []
    for node_id, begin, end, computed_in in connection.execute(statement):
        last = spans[-1] if spans else None
        if last is not None and (last[0], last[2], last[3]) == (node_id, begin, computed_in):
            begin = spans.pop()[1]
        spans.append((node_id, begin, end, computed_in))
    return spans


def objects(connection: sa.Connection, run_id: str, limit: int) -> list[tuple[int, int, str]]:
    """See `Store.objects`."""
    kept = schema.tile_objects.c
    statement = (
        sa.select(kept.node_id, kept.tile, kept.names)
        .join(schema.run)
        .where(schema.run.c.run_id == run_id)
        .order_by(kept.node_id, kept.tile)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(statement)]


def notes(connection: sa.Connection, run_id: str) -> dict[str, str]:
    """See `Store.notes`."""
    note = schema.run_note.c
    statement = sa.select(note.kind, note.content).join(schema.run).where(schema.run.c.run_id == run_id)
    return {row[0]: row[1] for row in connection.execute(statement)}


def quarantined(run_id: str, limit: int, offset: int) -> sa.Select[Any]:
    """The statement of `Store.quarantine`."""
    cells = schema.quarantine.c
    return (
        sa.select(cells.row, cells.scenario_begin, cells.scenario_end, cells.reason, cells.message, cells.trade_id)
        .join(schema.run)
        .where(schema.run.c.run_id == run_id)
        .order_by(cells.quarantine_key)
        .limit(limit)
        .offset(offset)
    )


def stored_run(found: Sequence[Any]) -> StoredRun:
    """A row of `schema.run`, whose columns stand in the order of the record."""
    stored = StoredRun(*found)
    return msgspec.structs.replace(stored, is_paused=bool(stored.is_paused))


def final_runs(tenant: str, limit: int) -> sa.Select[Any]:
    """The statement of `Store.final_runs_of`."""
    run = schema.run.c
    newest = sa.select(sa.func.max(run.run_key)).scalar_subquery()
    return (
        sa.select(schema.run)
        .where(run.run_key > newest - RUNS_LOOKED_AT, run.tenant == tenant)
        .where(run.finished_at_s > 0, run.pruned_at_s == 0)
        .order_by(run.run_key.desc())
        .limit(limit)
    )
