"""An independent reader of the scheduler's database: plain SQL, no code of the store.

What it checks holds for every run, whatever was done to the processes:

* the file is sound (`PRAGMA integrity_check`);
* S1: records of a node do not overlap and lie inside it; a run with every number has them all, each once;
* counts kept beside the records (`node_tally`) are the sums of the records;
* S3: an epoch belongs to one node of one run and lies below the reserved mark;
* S13: a record that was taken over is a record of the same tenant's run that computed it;
* details: one block for each value and reduce tile of a finished run, none for a tile without record;
* S5, S6: each acknowledged request is there once, under the run id that was answered.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from xip_core.graph.plan import Node, NodeKind, decode_plan

DATABASE_NAME = "scheduler.sqlite"
COMPLETE_STATES = (2, 3)


class StoreFigures(msgspec.Struct, frozen=True):
    runs: int
    runs_complete: int
    records: int
    tiles: int


def check_store(data_dir: Path, acknowledged: Mapping[str, str]) -> StoreFigures:
    """
    Check the store of a scheduler that has ended.

    Args:
        acknowledged: run id by request id, of every submission that was answered.
    """
    with tempfile.TemporaryDirectory() as copy:
        for path in data_dir.glob(f"{DATABASE_NAME}*"):
            shutil.copy(path, copy)
        connection = sqlite3.connect(Path(copy) / DATABASE_NAME)
        try:
            return _check(connection, data_dir, acknowledged)
        finally:
            connection.close()


def check_database(
    database: psycopg.Connection[Any], plan_dir: Path, acknowledged: Mapping[str, str]
) -> StoreFigures:
    """
    The same of a store in PostgreSQL: its tables are copied, as they are, and read as above.

    Args:
        plan_dir: the data directories of its schedulers, which keep copies of plans, are below it.
    """
    with sqlite3.connect(":memory:") as connection:
        for table in ("meta", "run", "tile_record", "node_tally", "tile_detail"):
            with database.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {table}")
                names = [column.name for column in cursor.description or ()]
                connection.execute(f"CREATE TABLE {table} ({', '.join(names)})")
                marks = ", ".join("?" * len(names))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", cursor.fetchall())
        return _check(connection, plan_dir, acknowledged)


def _check(connection: sqlite3.Connection, data_dir: Path, acknowledged: Mapping[str, str]) -> StoreFigures:
    connection.row_factory = sqlite3.Row
    assert [row[0] for row in connection.execute("PRAGMA integrity_check")] == ["ok"]
    runs = connection.execute("SELECT * FROM run").fetchall()
    by_request: dict[str, list[str]] = {}
    for run in runs:
        by_request.setdefault(run["request_id"], []).append(run["run_id"])
    for request_id, run_id in acknowledged.items():
        assert by_request.get(request_id) == [run_id], f"acknowledged {request_id!r} as {run_id}: {by_request}"
    tile_count = sum(_check_run(connection, data_dir, run) for run in runs)
    _check_epochs(connection)
    _check_takeovers(connection)
    return StoreFigures(
        runs=len(runs),
        runs_complete=sum(run["state"] in COMPLETE_STATES for run in runs),
        records=connection.execute("SELECT count(*) FROM tile_record").fetchone()[0],
        tiles=tile_count,
    )


def _check_run(connection: sqlite3.Connection, data_dir: Path, run: sqlite3.Row) -> int:
    """Tiles recorded of the run."""
    digest = run["plan_digest"]
    plan_path = next(data_dir.rglob(digest))
    plan = decode_plan(plan_path.read_bytes())
    is_complete = run["state"] in COMPLETE_STATES
    return sum(_check_node(connection, run, node, is_complete) for node in plan.nodes)


def _check_node(connection: sqlite3.Connection, run: sqlite3.Row, node: Node, is_complete: bool) -> int:
    key = (run["run_key"], node.node_id)
    what = f"run {run['run_id']}, node {node.name!r}"
    records = connection.execute(
        "SELECT * FROM tile_record WHERE run_key = ? AND node_id = ? ORDER BY tile_begin", key
    ).fetchall()
    end = 0
    for record in records:
        begin = record["tile_begin"]
        assert end <= begin < record["tile_end"], f"{what}: [{begin}, {record['tile_end']}) after {end}"
        assert begin == end or not is_complete, f"{what}: tiles [{end}, {begin}) have no record in a finished run"
        end = record["tile_end"]
    assert end <= node.tile_count, f"{what}: a record ends at {end} of {node.tile_count} tiles"
    assert end == node.tile_count or not is_complete, f"{what}: nothing from {end} on, of {node.tile_count} tiles"
    tiles_done = sum(record["tile_end"] - record["tile_begin"] for record in records)
    sums = (tiles_done, *(sum(record[name] for record in records) for name in ("cell_count", "quarantined_count")))
    tally = connection.execute(
        "SELECT tiles_done, cell_count, quarantined_count FROM node_tally WHERE run_key = ? AND node_id = ?", key
    ).fetchone()
    assert tuple(tally or (0, 0, 0)) == sums, f"{what}: tally {tuple(tally or ())}, records sum to {sums}"
    details = {row[0] for row in connection.execute(
        "SELECT tile FROM tile_detail WHERE run_key = ? AND node_id = ?", key
    )}  # fmt: skip
    if details:
        recorded = {tile for record in records for tile in range(record["tile_begin"], record["tile_end"])}
        assert details <= recorded, f"{what}: details of tiles without record: {sorted(details - recorded)[:5]}"
    if is_complete and node.kind in (NodeKind.VALUE, NodeKind.REDUCE) and not _quarantined(records):
        assert len(details) == node.tile_count, f"{what}: {len(details)} details of {node.tile_count} tiles"
    return int(tiles_done)


def _quarantined(records: list[Any]) -> int:
    """Cells without number; a tile given up as a whole has no detail."""
    return sum(int(record["quarantined_count"]) for record in records)


def _check_epochs(connection: sqlite3.Connection) -> None:
    shared = connection.execute(
        "SELECT epoch, count(DISTINCT run_key * 1000000 + node_id) AS nodes FROM tile_record "
        "WHERE epoch > 0 AND origin_key = 0 GROUP BY epoch HAVING nodes > 1"
    ).fetchall()
    assert not shared, f"epochs with records of several nodes: {[row['epoch'] for row in shared][:5]}"
    (epoch_last,) = connection.execute("SELECT coalesce(max(epoch), 0) FROM tile_record").fetchone()
    (epoch_end,) = connection.execute("SELECT value FROM meta WHERE name = 'epoch_end'").fetchone()
    assert epoch_last < max(epoch_end, 1), f"epoch {epoch_last} recorded, reserved only below {epoch_end}"


def _check_takeovers(connection: sqlite3.Connection) -> None:
    """A record that was taken over is the one of the run that computed it, which is the same tenant's."""
    (strange,) = connection.execute(
        "SELECT count(*) FROM tile_record AS taken JOIN run USING (run_key) LEFT JOIN tile_record AS computed "
        "ON computed.run_key = taken.origin_key AND computed.node_id = taken.node_id "
        "AND computed.tile_begin = taken.tile_begin AND computed.tile_end = taken.tile_end "
        "AND computed.epoch = taken.epoch AND computed.worker_key = taken.worker_key "
        "AND computed.cell_count = taken.cell_count AND computed.quarantined_count = taken.quarantined_count "
        "AND computed.origin_key = 0 "
        "LEFT JOIN run AS origin ON origin.run_key = taken.origin_key AND origin.tenant = run.tenant "
        "WHERE taken.origin_key > 0 AND (computed.run_key IS NULL OR origin.run_key IS NULL)"
    ).fetchone()
    assert not strange, f"{strange} records are taken over of no such record"
