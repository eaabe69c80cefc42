"""The independent reader finds what it is there to find: damage done to the file by hand."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.store_reader import DATABASE_NAME, StoreFigures, check_store
from tests.integration.cluster_run import kept, start_scheduler, start_worker
from xip_core.client import connect_sync
from xip_core.model.run_spec import ProbeWork, RunSpec

TILE_COUNT = 40


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path, str]:
    """The database of a finished run, its data directory and run id."""
    data_dir = tmp_path_factory.mktemp("finished")
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(data_dir)
        kept(stack, scheduler)
        kept(stack, start_worker(address))
        with connect_sync(address) as client:
            run = client.submit_spec(RunSpec("probe", ProbeWork("probe.noop", TILE_COUNT, tiles_per_lease=4)), "q")
            client.wait(run.run_id, timeout_s=60.0)
        assert scheduler.terminate() == 0
    return (data_dir / DATABASE_NAME).read_bytes(), data_dir, run.run_id


@pytest.fixture
def database(finished: tuple[bytes, Path, str]) -> Iterator[sqlite3.Connection]:
    """The database as it was, to be changed."""
    content, data_dir, _ = finished
    for path in data_dir.glob(f"{DATABASE_NAME}*"):
        path.unlink()
    (data_dir / DATABASE_NAME).write_bytes(content)
    with contextlib.closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as connection:
        yield connection


def test_a_sound_store_is_counted(finished: tuple[bytes, Path, str], database: sqlite3.Connection) -> None:
    _, data_dir, run_id = finished
    assert check_store(data_dir, {"q": run_id}) == StoreFigures(1, 1, 10, TILE_COUNT)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("DELETE FROM tile_record WHERE tile_begin = 8", "have no record in a finished run"),
        ("DELETE FROM tile_record WHERE tile_begin = 36", "nothing from 36 on"),
        ("UPDATE tile_record SET tile_end = 13 WHERE tile_begin = 8", "after 13"),
        ("UPDATE node_tally SET cell_count = cell_count + 1", "records sum to"),
        ("UPDATE tile_record SET epoch = 99999999 WHERE tile_begin = 8", "reserved only below"),
        ("UPDATE tile_record SET origin_key = run_key WHERE tile_begin = 8", "1 records are taken over of no such"),
        ("UPDATE run SET run_id = 'r-other'", "acknowledged 'q'"),
        ("UPDATE run SET request_id = 'p'", "acknowledged 'q'"),
    ],
)
def test_damage_is_found(
    finished: tuple[bytes, Path, str], database: sqlite3.Connection, damage: str, sentence: str
) -> None:
    _, data_dir, run_id = finished
    database.execute("DROP TRIGGER IF EXISTS tile_record_once")
    database.execute(damage)
    with pytest.raises(AssertionError, match=sentence):
        check_store(data_dir, {"q": run_id})
