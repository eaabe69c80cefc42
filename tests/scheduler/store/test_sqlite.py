"""xip_scheduler.store.sqlite: what only the SQLite store promises"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduler.store.builders import a_batch_with_run, a_record
from xip_core.errors import StoreError
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore
from xip_scheduler.store.sqlite_file import LOG_PAGES_MAX

HOLD_THE_STORE = """
import sys
from pathlib import Path
from xip_scheduler.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""

COMMIT_UNTIL_KILLED = """
import sys
from pathlib import Path
from tests.scheduler.store.builders import a_batch_with_run, a_record
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
store.commit(a_batch_with_run())
tile = 0
while True:
    store.commit(Batch(records=[a_record(tile), a_record(tile + 1)]))
    tile += 2
    print(tile, flush=True)
"""


def test_a_directory_held_by_another_process_names_the_holder(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD_THE_STORE, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"pid {holder.pid}"):
            SqliteStore(tmp_path)
        holder.kill()
    SqliteStore(tmp_path).close()


def test_kill_nine_between_commits_loses_nothing_acknowledged(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", COMMIT_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        remaining = writer.stdout.read().splitlines()
    acknowledged = max([acknowledged, *(int(line) for line in remaining if line.isdigit())])
    store = SqliteStore(tmp_path)
    (interval,) = store.done_intervals("r1")
    assert interval.tile_begin == 0
    assert interval.tile_end >= acknowledged
    assert interval.tile_end % 2 == 0, "half a transaction"
    store.close()


def test_durability_settings_are_in_force(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    settings = {
        name: store._driver.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode", "foreign_keys", "wal_autocheckpoint")
    }
    wanted = {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "foreign_keys": 1}
    assert settings == wanted | {"wal_autocheckpoint": LOG_PAGES_MAX}
    store.close()


def database_bytes(directory: Path) -> int:
    return (directory / DATABASE_NAME).stat().st_size


def test_what_a_tick_commits_is_copied_into_the_database_when_the_store_rests(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(a_batch_with_run(outputs=[("r1", 0, tile, bytes(1 << 20)) for tile in range(8)]))
    assert database_bytes(tmp_path) < 1 << 20, "the commit itself copied nothing"
    store.rest()
    assert database_bytes(tmp_path) > 8 << 20
    store.commit(Batch(outputs=[("r1", 0, 8, b"and on")]))
    store.close()


def test_after_a_rest_that_the_disk_refused_nothing_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the database closed, which would copy and sync again."""
    store = SqliteStore(tmp_path)
    store.commit(a_batch_with_run())
    driver = store._driver

    class Failing:
        def execute(self, statement: str) -> sqlite3.Cursor:
            assert "wal_checkpoint" in statement
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "_driver", Failing())
    store.rest()
    monkeypatch.setattr(store, "_driver", driver)
    with pytest.raises(StoreError, match="nothing can be committed"):
        store.commit(Batch(epoch_end=7))
    store.close()
    assert driver.execute("SELECT 1").fetchone() == (1,), "still open"
    driver.close()


def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    connection.close()
    with pytest.raises(StoreError, match="schema version 3 or older, got 99"):
        SqliteStore(tmp_path)


def test_a_database_of_another_application_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("CREATE TABLE meta (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="must be a XiP store"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match="cannot be used as a store"):
        SqliteStore(tmp_path)
    (tmp_path / DATABASE_NAME).unlink()
    SqliteStore(tmp_path).close()


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(a_batch_with_run(records=[a_record(tile, epoch=tile) for tile in range(5000)]))
    store.commit(Batch(outputs=[("r1", 0, tile, os.urandom(3000)) for tile in range(50)]))
    store.close()
    path = tmp_path / DATABASE_NAME
    content = bytearray(path.read_bytes())
    for page in range(8, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        SqliteStore(tmp_path)
