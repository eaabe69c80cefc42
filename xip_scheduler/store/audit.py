"""Who changed what and when: one row per durable transition, in the transaction that makes it durable (S17).

    transition                              event            one row per
    a run is accepted                       accepted         run
    ... as the remainder of another         retried          run
    tries at tiles failed                   tiles failed     run, node and worker of a commit
    tiles are given up                      tiles given up   run and node of a commit
    a run is paused, resumed                paused, resumed  change
    a run is final                          finished, cancelled   run
    a scheduler opened the store            term raised      opening
    the schema was upgraded                 migrated         opening
    tiles of an old run were removed        pruned           run

Each row carries the hash of the one before it and its own,

    hash = BLAKE2b-256(previous_hash | JSON of [audit_key, at_s, term, run_key, event, who, detail]),

so a row changed, removed or put in between breaks the chain from there on (`broken_links`). Keys count 1, 2, 3, ...
What the chain cannot show is the loss of its newest rows, or a whole chain made anew by somebody who may write the
file: for that, the last hash must be kept elsewhere (it is in the log line of each start).

Tile records are not audited one by one. The row that ends a run carries a digest over all of them, and their sums: a
record of a final run that changes afterwards is found by `xipctl store verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from xip_scheduler.core.words import RunState
from xip_scheduler.store.protocol import AuditRow, Batch

SCHEDULER = "scheduler"
"""Who did what nobody asked for."""

FIRST_HASH = bytes(32)
"""Stands before the first row."""

RANGES_SHOWN = 64
"""Tile ranges in one row; the count tells of the rest."""


class Entry(msgspec.Struct, frozen=True):
    """A transition before it has a place in the chain. `run_id` is "" where it is about no run."""

    event: str
    run_id: str = ""
    who: str = SCHEDULER
    detail: dict[str, Any] = {}


class Seal(msgspec.Struct, frozen=True):
    """What the row that ends a run says of its tile records."""

    records_digest: str
    record_count: int
    tile_count: int
    cell_count: int
    quarantined_count: int


class Head(msgspec.Struct, frozen=True):
    """The end of the chain."""

    audit_key: int = 0
    hash: bytes = FIRST_HASH


def entries_of(batch: Batch, seal_of: Callable[[str], Seal]) -> Iterator[Entry]:
    """The transitions of *batch*, in the order in which it is written; *seal_of* is asked when its records are."""
    for run in batch.runs:
        request = {"request_id": run.request_id, "payload_hash": run.payload_hash, "plan_digest": run.plan_digest}
        if run.retry_of:
            yield Entry("retried", run.run_id, run.tenant, request | {"retry_of": run.retry_of})
        else:
            yield Entry("accepted", run.run_id, run.tenant, request)
    if batch.attempts:
        yield from _failed_tries(batch)
    yield from _given_up(batch)
    for run_id, is_paused, who in batch.paused:
        yield Entry("paused" if is_paused else "resumed", run_id, who or SCHEDULER)
    for finished in batch.finished:
        event = "cancelled" if finished.state == RunState.CANCELLED else "finished"
        detail: dict[str, Any] = {"state": finished.state, "message": finished.message}
        seal: dict[str, Any] = msgspec.to_builtins(seal_of(finished.run_id))
        yield Entry(event, finished.run_id, finished.who or SCHEDULER, detail | seal)
    for run_id in batch.pruned:
        yield Entry("pruned", run_id)


def _failed_tries(batch: Batch) -> Iterator[Entry]:
    grouped: dict[tuple[str, int, str], list[tuple[int, int]]] = {}
    suspects: dict[tuple[str, int, str], int] = {}
    for run_id, node_id, tile, _, worker_id, _, _, is_suspect in batch.attempts:
        key = (run_id, node_id, worker_id)
        grouped.setdefault(key, []).append((tile, tile + 1))
        suspects[key] = suspects.get(key, 0) + is_suspect
    for key, ranges in grouped.items():
        detail = {"node_id": key[1], "worker_id": key[2], "suspect_count": suspects[key], **_shown(ranges)}
        yield Entry("tiles failed", key[0], SCHEDULER, detail)


def _given_up(batch: Batch) -> Iterator[Entry]:
    grouped: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for run_id, node_id, tile_begin, tile_end, epoch, *_ in batch.records:
        if epoch == 0:
            grouped.setdefault((run_id, node_id), []).append((tile_begin, tile_end))
    for (run_id, node_id), ranges in grouped.items():
        yield Entry("tiles given up", run_id, SCHEDULER, {"node_id": node_id, **_shown(ranges)})


def _shown(ranges: list[tuple[int, int]]) -> dict[str, Any]:
    merged: list[list[int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([begin, end])
    return {"tile_count": sum(end - begin for begin, end in ranges), "ranges": merged[:RANGES_SHOWN]}


def link(head: Head, entry: Entry, run_key: int, at_s: float, term: int) -> AuditRow:
    """The row of *entry* behind *head*."""
    detail = entry.detail | {"run_id": entry.run_id} if entry.run_id else entry.detail
    row = AuditRow(
        head.audit_key + 1,
        float(at_s),
        term,
        run_key,
        entry.event,
        entry.who,
        msgspec.json.encode(detail, order="sorted").decode(),
        head.hash,
        b"",
    )
    return msgspec.structs.replace(row, hash=hash_of(row))


def hash_of(row: AuditRow) -> bytes:
    """What the hash of *row* must be, from its other fields."""
    facts = [row.audit_key, float(row.at_s), row.term, row.run_key, row.event, row.who, row.detail]
    content = row.previous_hash + msgspec.json.encode(facts)
    return hashlib.blake2b(content, digest_size=32, person=b"xip audit").digest()


def broken_links(rows: Iterable[AuditRow], head: Head | None = None) -> Iterator[str]:
    """A sentence for each row that is not what it was when it was written, or does not follow the one before it."""
    last = head or Head()
    for row in rows:
        if row.audit_key != last.audit_key + 1:
            yield f"audit row {row.audit_key}: must follow row {row.audit_key - 1}, follows {last.audit_key}"
        elif row.previous_hash != last.hash:
            yield f"audit row {row.audit_key}: must carry the hash of row {last.audit_key}"
        if row.hash != hash_of(row):
            yield f"audit row {row.audit_key}: its content does not have its hash"
        last = Head(row.audit_key, row.hash)
