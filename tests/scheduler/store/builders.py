"""Rows with defaults, so that a test names only what it is about."""

from __future__ import annotations

from xip_scheduler.store.protocol import Batch, FinishedRun, NewRun, TileRecord


def a_run(run_id: str = "r1", **changes: object) -> NewRun:
    values: dict[str, object] = {
        "run_id": run_id,
        "tenant": "desk",
        "request_id": f"request-{run_id}",
        "payload_hash": "hash",
        "name": "name",
        "spec": b"spec",
        "plan_digest": "digest",
        "state": 1,
        "submitted_at_s": 100.0,
    }
    return NewRun(**{**values, **changes})  # type: ignore[arg-type]  # the dictionary is checked by the constructor


def a_record(tile_begin: int = 0, tile_end: int | None = None, **changes: object) -> TileRecord:
    values: dict[str, object] = {
        "run_id": "r1",
        "node_id": 0,
        "tile_begin": tile_begin,
        "tile_end": tile_begin + 1 if tile_end is None else tile_end,
        "epoch": 1,
        "worker_id": "w1",
        "cell_count": 10,
        "quarantined_count": 0,
    }
    assert changes.keys() <= values.keys(), changes
    return tuple({**values, **changes}.values())  # type: ignore[return-value]  # ordered like TileRecord


def a_batch_with_run(run_id: str = "r1", **rows: object) -> Batch:
    return Batch(runs=[a_run(run_id)], **rows)  # type: ignore[arg-type]  # checked by the constructor


def finished(run_id: str = "r1", state: int = 2) -> FinishedRun:
    return FinishedRun(run_id, state, "", 200.0)
