"""xip_scheduler.store.verify: every check finds what it is for, and nothing else"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduler.core.builders import a_book_plan
from tests.scheduler.store.builders import a_record, a_run, finished
from tests.scheduler.store.test_migrations import a_store_of_schema_1
from xip_core.errors import StoreError
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore
from xip_scheduler.store.verify import CHECKS, verify_store


def a_sound_store(directory: Path) -> str:
    """One live and one finished run; the digest of their plan."""
    digest = FileBlobs(directory / "blobs").put(a_book_plan().encode())
    store = SqliteStore(directory)
    runs = [a_run("live", plan_digest=digest), a_run("done", plan_digest=digest)]
    store.commit(Batch(runs=runs, epoch_end=100))
    store.commit(Batch(records=[a_record(tile, run_id="live") for tile in range(9)]))
    store.commit(Batch(records=[a_record(0, 5, run_id="done")], details=[("done", 0, 0, b"detail")]))
    store.commit(Batch(finished=[finished("done")]))
    store.close()
    return digest


def complaints(directory: Path) -> dict[str, list[str]]:
    return {check.name: check.complaints for check in verify_store(directory).checks if not check.is_sound}


def test_a_sound_store_is_sound_and_stays_as_it_was(tmp_path: Path) -> None:
    a_sound_store(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"}
    report = verify_store(tmp_path)
    assert report.is_sound
    assert [check.name for check in report.checks] == list(CHECKS)
    assert all(check.looked_at for check in report.checks)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"} == before


def test_an_upgraded_store_is_sound_but_for_the_plan_nobody_has(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    SqliteStore(tmp_path).close()
    assert complaints(tmp_path) == {"blobs": [f"run r-done: its plan {'f' * 64} is not there"]}


@pytest.mark.parametrize(
    ("check", "statement", "complaint"),
    [
        ("version", "UPDATE meta SET value = 1 WHERE name = 'schema_version'", "must be 3, got 1"),
        ("acknowledged", "UPDATE meta SET value = value - 2 WHERE name = 'commit_serial'", "the store ends at commit"),
        ("records", "UPDATE meta SET value = 1 WHERE name = 'epoch_end'", "epoch must be below 1"),
        ("records", "UPDATE tile_record SET tile_end = tile_end + 1 WHERE tile_begin = 3", "recorded twice"),
        ("tallies", "UPDATE node_tally SET cell_count = cell_count + 1 WHERE run_key = 1", "as recorded, got"),
        ("tallies", "DELETE FROM tile_record WHERE run_key = 1 AND tile_begin = 3", "as recorded, got"),
        ("audit", "UPDATE audit SET who = 'nobody' WHERE audit_key = 2", "does not have its hash"),
        ("audit", "DELETE FROM audit WHERE audit_key = 2", "must follow row 2"),
        ("runs", "UPDATE run SET tenant = 'other' WHERE run_id = 'live'", "is not what was accepted"),
        ("runs", "UPDATE run SET state = 4 WHERE run_id = 'done'", "ended in state 2, got 4"),
        ("runs", "UPDATE run SET finished_at_s = 9 WHERE run_id = 'live'", "does not know its end"),
        ("runs", "UPDATE tile_record SET epoch = 7 WHERE run_key = 2", "have changed since it ended"),
        ("runs", "INSERT INTO run SELECT 9, 'x', tenant, 'x', payload_hash, name, spec, plan_digest, state, '', 1, 0,"
                 " 0, 0, 0, 0, 0, '', 0, '' FROM run WHERE run_key = 1", "does not know when it was accepted"),
        ("file", "DELETE FROM run WHERE run_key = 1", "run is not there"),
    ],
)  # fmt: skip
def test_what_somebody_changed_is_found(tmp_path: Path, check: str, statement: str, complaint: str) -> None:
    a_sound_store(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute(statement)
    connection.close()
    assert any(complaint in sentence for sentence in complaints(tmp_path)[check])


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    a_sound_store(tmp_path)
    path = tmp_path / DATABASE_NAME
    with sqlite3.connect(path) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tile_record'").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : (root - 1) * 4096 + 256] = b"\xa5" * 256
    path.write_bytes(content)
    assert complaints(tmp_path)["file"]


def test_a_blob_that_changed_and_one_that_is_gone_are_found(tmp_path: Path) -> None:
    digest = a_sound_store(tmp_path)
    other = FileBlobs(tmp_path / "blobs").put(b"market")
    (tmp_path / "blobs" / other[:2] / other).write_bytes(b"Market")
    (tmp_path / "blobs" / digest[:2] / digest).unlink()
    sentences = complaints(tmp_path)["blobs"]
    assert any(f"blob {other}: its content has digest" in sentence for sentence in sentences)
    assert any(f"its plan {digest} is not there" in sentence for sentence in sentences)


def test_a_store_in_use_is_not_looked_at(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="another holds it"):
        verify_store(tmp_path)
    store.close()


def test_a_store_killed_in_the_middle_is_checked_as_a_start_would_recover_it(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.scheduler.store.test_verify import a_sound_store\n"
        "from xip_scheduler.store.sqlite import SqliteStore\n"
        "SqliteStore.close = lambda store: os._exit(0)\n"
        "a_sound_store(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    wal = (tmp_path / f"{DATABASE_NAME}-wal").read_bytes()
    assert wal
    assert verify_store(tmp_path).is_sound
    assert (tmp_path / f"{DATABASE_NAME}-wal").read_bytes() == wal
    assert sorted(path.name for path in tmp_path.glob(f"{DATABASE_NAME}*")) == [DATABASE_NAME, f"{DATABASE_NAME}-wal"]


def xipctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xip_core.cli", "store", "verify", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_xipctl_tells_a_sound_store_from_another(tmp_path: Path) -> None:
    a_sound_store(tmp_path)
    sound = xipctl("--data-dir", str(tmp_path), "--output", "json")
    assert (sound.returncode, json.loads(sound.stdout)["is_sound"]) == (0, True)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("UPDATE node_tally SET cell_count = 0")
    connection.close()
    damaged = xipctl("--data-dir", str(tmp_path))
    assert damaged.returncode == 1
    assert "NOT SOUND" in damaged.stdout
    nothing = xipctl("--data-dir", str(tmp_path / "nothing"))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "must hold the store of a scheduler" in nothing.stderr
