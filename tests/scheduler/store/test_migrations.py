"""xip_scheduler.store.migrations: a store of the first schema goes on with its runs"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduler.core.builders import a_probe_plan, a_report, an_attachment
from tests.scheduler.store.builders import a_run
from xip_core.errors import StoreError
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.events import Event
from xip_scheduler.core.limits import Limits
from xip_scheduler.journal import Journal
from xip_scheduler.restore import restore_core
from xip_scheduler.store import schema, sqlite_file
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch, DoneInterval, NodeTally
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore

FIRST_SCHEMA = Path(__file__).with_name("schema_1.sql")
COPY_NAME = f"{DATABASE_NAME}.v1"


def a_store_of_schema_1(directory: Path, finished_plan_digest: str = "f" * 64) -> None:
    plan_digest = FileBlobs(directory / "blobs").put(a_probe_plan(tile_count=8, tiles_per_lease=8).encode())
    connection = sqlite3.connect(directory / DATABASE_NAME)
    statements = FIRST_SCHEMA.read_text().replace("{plan_digest}", plan_digest)
    connection.executescript(statements.replace("{finished_plan_digest}", finished_plan_digest))
    connection.close()


def tables_of(path: Path) -> dict[str, object]:
    """Columns, keys and indexes of every table, as SQLite understands them."""
    with sqlite3.connect(path) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found: dict[str, object] = {
            name: (
                sorted((column[1], *column[2:]) for column in connection.execute(f"PRAGMA table_info({name})")),
                sorted(key[2:] for key in connection.execute(f"PRAGMA foreign_key_list({name})")),
            )
            for name in names
            if name != "sqlite_sequence"
        }
        others = connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger')")
        found["others"] = sorted((name, re.sub(r"\s+", " ", sql or "")) for name, sql in others)
    connection.close()
    return found


def test_an_upgraded_store_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    SqliteStore(tmp_path).close()
    SqliteStore(tmp_path / "new").close()
    upgraded, new = (tables_of(directory / DATABASE_NAME) for directory in (tmp_path, tmp_path / "new"))
    assert upgraded == new


def test_columns_come_in_the_order_of_the_record_after_an_upgrade(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        found = [row[1] for row in connection.execute("PRAGMA table_info(run)")]
    connection.close()
    assert found == [column.name for column in schema.run.columns]


def test_what_an_old_store_knew_is_still_there(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    store = SqliteStore(tmp_path)
    assert (store.term, store.epoch_end >= 10000) == (2, True)
    assert [(run.run_id, run.state, run.priority, run.retry_of) for run in store.runs(10)] == [
        ("r-done", 2, 0, ""),
        ("r-live", 1, 0, ""),
    ]
    assert list(store.done_intervals("r-live")) == [DoneInterval(0, 0, 2), DoneInterval(0, 4, 5)]
    assert store.tallies("r-live") == [NodeTally(0, 3, 3, 1)]
    assert store.outputs("r-live", 0, 0, 2, 1000) == [b"output of 0", b""]
    assert [detail.block for detail in store.details("r-live", 0, 1000)] == [b"detail of 0", b"detail of 1"]
    assert [row.trade_id for row in store.quarantine("r-live", 10)] == ["T4"]
    found = store.find_request("desk", "intraday")
    assert found is not None
    assert (found.run_id, found.finished_at_s, found.first_lease_after_s) == ("r-done", 1767222060.5, 0.25)
    store.close()


def test_a_run_begun_under_the_first_schema_is_finished_under_this_one(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    store = SqliteStore(tmp_path)
    journal = Journal()
    core = restore_core(store, FileBlobs(tmp_path / "blobs"), journal, Limits(), 0.0)
    journal.view = core.run
    asked: list[Event] = [an_attachment()]
    computed = []
    while asked:
        actions = [action for event in asked for action in core.handle(event, 1.0)]
        orders = journal.sort(actions, 1767300000.0)
        store.commit(orders.batch)
        computed += [(grant.tile_begin, grant.tile_end) for grant in orders.grants]
        asked = [a_report("w1", lease.epoch, lease.tile_begin, lease.tile_end) for lease in orders.grants]
        assert all(isinstance(grant, GrantLease) and grant.epoch >= 10000 for grant in orders.grants)
    assert sorted(computed) == [(2, 4), (5, 8)]
    finished = store.run("r-live")
    assert finished is not None
    assert (finished.state, finished.finished_at_s) == (3, 1767300000.0), "one of its cells is quarantined"
    assert list(store.done_intervals("r-live")) == [DoneInterval(0, 0, 8)]
    assert [row.event for row in store.audit_rows(0, 10)] == ["migrated", "term raised", "finished"]
    store.close()


def test_the_store_before_the_upgrade_is_kept_beside_it(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / COPY_NAME) as copy:
        assert copy.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
        assert copy.execute("PRAGMA application_id").fetchone() == (sqlite_file.APPLICATION_ID,)
        assert copy.execute("SELECT count(*) FROM tile_record").fetchone() == (3,)
    copy.close()
    assert not (tmp_path / f"{DATABASE_NAME}.incoming").exists()


def test_an_upgrade_that_fails_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_store_of_schema_1(tmp_path)

    def fail(*_: object) -> object:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "_entries_of_upgrade", fail)
        with pytest.raises(StoreError, match="disk I/O error"):
            SqliteStore(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone()
    connection.close()
    store = SqliteStore(tmp_path)
    assert len(store.runs(10)) == 2
    store.close()


def test_a_copy_that_cannot_be_made_refuses_the_upgrade(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    (tmp_path / COPY_NAME).mkdir()
    with pytest.raises(StoreError, match="cannot be"):
        SqliteStore(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
    connection.close()


def test_an_upgraded_store_takes_runs_of_today(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    store = SqliteStore(tmp_path)
    store.commit(Batch(runs=[a_run("r3", priority=2)], attempts=[("r-live", 0, 6, 0, "w1", 2, "died", True)]))
    assert [run.run_id for run in store.live_runs()] == ["r-live", "r3"]
    store.close()


def test_alembic_is_loaded_for_an_upgrade_only(tmp_path: Path) -> None:
    a_store_of_schema_1(tmp_path)
    program = (
        "import sys; from pathlib import Path; from xip_scheduler.store.sqlite import SqliteStore\n"
        "SqliteStore(Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    said = [
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [each.stdout for each in said] == ["True\n", "False\n"]
