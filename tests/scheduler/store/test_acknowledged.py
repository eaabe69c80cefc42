"""xip_scheduler.store.acknowledged: a store that forgot commits is refused, and a restored one leaves the past alone"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.scheduler.core.builders import a_probe_plan, a_report
from tests.scheduler.store.builders import a_batch_with_run, a_record, a_run
from xip_core.errors import StoreError
from xip_scheduler.core.actions import GrantLease, RecordTiles, RevokeLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import HeldLease, WorkerAttached
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId
from xip_scheduler.journal import Journal
from xip_scheduler.restore import restore_core
from xip_scheduler.store.acknowledged import FILE_NAME
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore


def a_store_put_back(directory: Path) -> tuple[int, int]:
    """A store whose file is replaced by one of two commits ago; (term, epochs reserved) of the forgotten future."""
    store = SqliteStore(directory)
    store.commit(a_batch_with_run(epoch_end=1000, records=[a_record(0)]))
    store.close()
    shutil.copy(directory / DATABASE_NAME, directory / "backup")
    store = SqliteStore(directory)
    store.commit(Batch(epoch_end=2000, records=[a_record(1, epoch=1001)]))
    store.close()
    shutil.copy(directory / "backup", directory / DATABASE_NAME)
    return store.term, store.epoch_end


def test_a_store_that_has_forgotten_commits_is_refused_and_left_alone(tmp_path: Path) -> None:
    a_store_put_back(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"2 commits are gone.*--restored"):
            SqliteStore(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == (tmp_path / "backup").read_bytes()


def test_a_restored_store_goes_on_where_nobody_has_been(tmp_path: Path) -> None:
    term, _ = a_store_put_back(tmp_path)
    store = SqliteStore(tmp_path, is_restored=True)
    assert store.term >= term
    assert store.epoch_floor == store.epoch_end > 1 << 40
    assert [row.event for row in store.audit_rows(0, 10)][-2:] == ["restored", "term raised"]
    store.close()


def test_two_restores_of_one_backup_do_not_meet(tmp_path: Path) -> None:
    a_store_put_back(tmp_path)
    marks = []
    for _ in range(2):
        store = SqliteStore(tmp_path, is_restored=True)
        marks.append((store.term, store.epoch_end))
        store.close()
        shutil.copy(tmp_path / "backup", tmp_path / DATABASE_NAME)
    assert marks[0] != marks[1]


def test_the_floor_outlives_the_start_that_set_it(tmp_path: Path) -> None:
    a_store_put_back(tmp_path)
    store = SqliteStore(tmp_path, is_restored=True)
    floor = store.epoch_floor
    store.close()
    store = SqliteStore(tmp_path)
    assert (store.epoch_floor, store.epoch_end) == (floor, floor)
    store.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 32, b"XiPack1\n" + b"\xff" * 24], ids=["empty", "zeros", "torn"])
def test_a_witness_that_cannot_be_believed_says_nothing(tmp_path: Path, content: bytes) -> None:
    a_store_put_back(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(content)
    SqliteStore(tmp_path).close()


def attached(core: Core, epoch: int) -> list[object]:
    held = HeldLease(Epoch(epoch), RunId("r1"), 0, 2, 4)
    return list(core.handle(WorkerAttached(WorkerId("w1"), ConnectionId(1), 1, (held,)), 1.0))


@pytest.mark.parametrize("is_restored", [False, True], ids=["restarted", "restored"])
def test_a_lease_from_before_a_restore_matches_nothing(tmp_path: Path, is_restored: bool) -> None:
    """Epoch 5 lies in a block the backup knew to be reserved, so only the floor can tell it from a grant of today."""
    blobs = FileBlobs(tmp_path / "blobs")
    digest = blobs.put(a_probe_plan(tile_count=4, tiles_per_lease=4).encode())
    store = SqliteStore(tmp_path)
    store.commit(Batch(runs=[a_run("r1", plan_digest=digest)], epoch_end=1000, records=[a_record(0, 2)]))
    store.close()
    store = SqliteStore(tmp_path, is_restored)
    core = restore_core(store, blobs, Journal(), Limits(), 0.0)
    actions = attached(core, 5)
    late = core.handle(a_report("w1", 5, 2, 4), 1.0)
    grants = [action.epoch for action in actions if isinstance(action, GrantLease)]
    is_revoked = any(isinstance(action, RevokeLease) and action.epoch == 5 for action in actions)
    is_recorded = any(isinstance(action, RecordTiles) for action in late)
    if is_restored:
        assert (is_revoked, is_recorded) == (True, False)
        assert min(grants) >= store.epoch_floor
    else:
        assert (grants, is_revoked, is_recorded) == ([], False, True)
    store.close()
