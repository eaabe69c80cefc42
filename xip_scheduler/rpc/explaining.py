"""ExplainRun and GetTileRecords: what is kept of a run beside its numbers, read for people."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from xip_core.errors import FailureReason, RequestError
from xip_core.model.account import RunAccount
from xip_core.model.result import Run
from xip_core.wire import convert
from xip_core.wire.v1 import common_pb2, run_pb2
from xip_scheduler.store.protocol import Attempt, StoredRecord
from xip_scheduler.store.thread import StoreThread

TILES_PER_CALL_MAX = 1_000
ATTEMPTS_SHOWN = 16
"""Of one tile; the limits of a scheduler allow fewer."""


async def explanation(store: StoreThread, run: Run, account: RunAccount | None) -> run_pb2.ExplainRunResponse:
    """What is told of *run*; *account* where the core has one."""
    notes = await store.notes(run.run_id)
    return run_pb2.ExplainRunResponse(
        run=convert.run_to_wire(run),
        reuse=notes.get("reuse", ""),
        account=notes.get("account", "") if account is None else msgspec.json.encode(account).decode(),
    )


async def tile_records(
    store: StoreThread, request: run_pb2.GetTileRecordsRequest
) -> run_pb2.GetTileRecordsResponse:
    """
    Raises:
        RequestError: TOO_MANY_TILES.
    """
    if len(request.tiles) > TILES_PER_CALL_MAX:
        sentence = f"a call must name at most {TILES_PER_CALL_MAX} tiles, got {len(request.tiles)}"
        raise RequestError("TOO_MANY_TILES", sentence)
    tiles = [(name.node_id, min(name.tile, (1 << 63) - 1)) for name in request.tiles]
    records = await store.records_of(request.run_id, tiles)
    attempts = await store.attempts(request.run_id)
    return run_pb2.GetTileRecordsResponse(records=[_record(record, attempts) for record in records])


def _record(record: StoredRecord, attempts: Sequence[Attempt]) -> run_pb2.TileRecord:
    tried = [
        run_pb2.TileAttempt(
            worker_id=worker_id, reason=common_pb2.FailureReason.ValueType(reason), message=message, suspect=is_suspect
        )
        for _, node_id, tile, _, worker_id, reason, message, is_suspect in attempts
        if node_id == record.node_id and record.tile_begin <= tile < record.tile_end and reason in _REASONS
    ]
    return run_pb2.TileRecord(
        node_id=record.node_id,
        tile_begin=record.tile_begin,
        tile_end=record.tile_end,
        epoch=record.epoch,
        worker_id=record.worker_id,
        cpu_level=record.cpu_level,
        version=record.version,
        cell_count=record.cell_count,
        quarantined_count=record.quarantined_count,
        origin=record.origin,
        attempts=tried[:ATTEMPTS_SHOWN],
    )


_REASONS = frozenset(FailureReason)
"""0 is no try but takes the one before back."""
