"""Accounts, reuse notes and tile records: protobuf to the model."""

from __future__ import annotations

import msgspec

from xip_core.errors import FailureReason, IntegrityError
from xip_core.model.account import Attempted, Explanation, Reuse, RunAccount, TileRecord
from xip_core.wire import convert
from xip_core.wire.v1 import run_pb2


def explanation_from_wire(message: run_pb2.ExplainRunResponse) -> Explanation:
    """
    Raises:
        IntegrityError: a note is not what this version reads.
    """
    try:
        reuse = msgspec.json.decode(message.reuse, type=Reuse) if message.reuse else None
        account = msgspec.json.decode(message.account, type=RunAccount) if message.account else None
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"run {message.run.run_id}: its account cannot be read: {error}") from error
    return Explanation(convert.run_from_wire(message.run), reuse, account)


def tile_records_from_wire(message: run_pb2.GetTileRecordsResponse) -> tuple[TileRecord, ...]:
    return tuple(
        TileRecord(
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
            attempts=tuple(
                Attempted(attempt.worker_id, _reason(attempt.reason), attempt.message, attempt.suspect)
                for attempt in record.attempts
            ),
        )
        for record in message.records
    )


def _reason(number: int) -> str:
    try:
        return FailureReason(number).name
    except ValueError:  # of a newer scheduler
        return str(number)
