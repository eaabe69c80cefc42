"""xip_scheduler.store.postgres: what only the PostgreSQL store promises"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from tests.postgres.claims import database_name, lead
from tests.postgres.cluster import until, until_blocked
from tests.postgres.proxy import Fault, Proxy, says
from tests.postgres.server import PASSWORD, PrivateServer
from tests.scheduler.store.builders import a_batch_with_run, a_record, a_run, finished
from xip_core.errors import RequestError, StoreError
from xip_scheduler.core.leadership import Observation
from xip_scheduler.store import audit, schema
from xip_scheduler.store.postgres import PostgresStore
from xip_scheduler.store.postgres_blobs import SharedBlobs
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_session import DatabaseAddress, session_name
from xip_scheduler.store.postgres_verify import verify_database
from xip_scheduler.store.protocol import Batch, DoneInterval, NodeTally


@pytest.fixture
def proxy(postgres: PrivateServer) -> Iterator[Proxy]:
    with Proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def cut_store(postgres: PrivateServer, database: DatabaseAddress, proxy: Proxy) -> Iterator[PostgresStore]:
    """A store that holds a run, behind a proxy."""
    store = lead(database, postgres.address_of(database_name(database), proxy.port))
    store.commit(a_batch_with_run())
    yield store
    store.close()


# ---- unknown outcomes


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
@pytest.mark.parametrize("word", [b"BEGIN", b"FOR SHARE", b"commit_serial", b"tile_record", b"COMMIT"])
def test_a_batch_whose_connection_is_cut_happens_once(
    cut_store: PostgresStore, proxy: Proxy, fault: Fault, word: bytes
) -> None:
    proxy.arm(fault, says(word))
    cut_store.commit(Batch(records=[a_record(0)], quarantine=[("r1", 1, 0, 1, 5, "m", "T1")]))
    assert proxy.struck.is_set(), "the fault must have struck"
    cut_store.commit(Batch(records=[a_record(1)]))
    assert cut_store.tallies("r1") == [NodeTally(0, 2, 20, 0)]
    assert len(cut_store.quarantine("r1", 10)) == 1, "a batch that was there must not be written again"
    assert list(audit.broken_links(cut_store.audit_rows(0, 100))) == []


def test_a_read_whose_connection_is_cut_is_made_again(cut_store: PostgresStore, proxy: Proxy) -> None:
    cut_store.commit(Batch(records=[a_record(0)]))
    proxy.cut_all()
    assert list(cut_store.done_intervals("r1")) == [DoneInterval(0, 0, 1)]
    proxy.cut_all()
    assert cut_store.run("r1") is not None


def test_a_database_that_stays_away_ends_the_store(
    cut_store: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xip_scheduler.store.postgres.RECONNECT_PATIENCE_S", 0.3)
    proxy.__exit__()
    with pytest.raises(StoreError, match="must be back within"):
        cut_store.commit(Batch(records=[a_record(0)]))


@pytest.mark.parametrize("signal", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_session_cancelled_or_ended_by_an_operator_loses_no_batch(
    postgres: PrivateServer, cut_store: PostgresStore, database: DatabaseAddress, signal: str
) -> None:
    with postgres.administrator(database_name(database)) as operator:
        with operator.transaction():
            operator.execute("LOCK TABLE tile_record IN ACCESS EXCLUSIVE MODE")
            committing = threading.Thread(target=cut_store.commit, args=(Batch(records=[a_record(0)]),))
            committing.start()
            until_blocked(postgres, cut_store.term)
            operator.execute(
                f"SELECT {signal}(pid) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
                (session_name(cut_store.term),),
            )
        committing.join()
    assert list(cut_store.done_intervals("r1")) == [DoneInterval(0, 0, 1)]


def test_a_deadlock_is_rolled_back_and_tried_again(
    postgres: PrivateServer, cut_store: PostgresStore, database: DatabaseAddress
) -> None:
    """Somebody locks the tables in the other order; the server picks one of the two to roll back."""
    with postgres.administrator(database_name(database)) as operator:
        operator.execute("SET deadlock_timeout = '1h'")  # so that it is ours which is rolled back
        with operator.transaction():
            operator.execute("LOCK TABLE tile_detail IN ACCESS EXCLUSIVE MODE")
            batch = Batch(records=[a_record(0)], details=[("r1", 0, 0, b"detail")])
            committing = threading.Thread(target=cut_store.commit, args=(batch,))
            committing.start()
            until_blocked(postgres, cut_store.term)
            operator.execute("LOCK TABLE tile_record IN ACCESS EXCLUSIVE MODE")
        committing.join()
    assert [detail.block for detail in cut_store.details("r1", 0, 1000)] == [b"detail"]
    assert cut_store.tallies("r1") == [NodeTally(0, 1, 10, 0)]


# ---- the fence


def test_a_leader_that_was_replaced_commits_nothing_more(database: DatabaseAddress) -> None:
    old = lead(database)
    old.commit(a_batch_with_run())
    new = lead(database)
    assert new.term > old.term
    with pytest.raises(StoreError, match="another scheduler leads"):
        old.commit(Batch(records=[a_record(0)]))
    assert list(new.done_intervals("r1")) == []
    old.close()
    new.close()


def test_a_leader_that_was_replaced_vouches_for_nothing(database: DatabaseAddress) -> None:
    old = lead(database)
    old.check_term()
    new = lead(database)
    with pytest.raises(StoreError, match="another scheduler leads"):
        old.check_term()
    new.check_term()
    old.close()
    new.close()


def test_a_goodbye_of_a_replaced_leader_does_not_release_the_new_one(database: DatabaseAddress) -> None:
    old, new = lead(database), lead(database)
    old.close()
    row = LeaderRow(database)
    assert not row.observe().is_released
    new.close()
    assert row.observe().is_released
    row.close()


def test_a_takeover_waits_for_a_commit_under_way_where_it_may_not_end_sessions(
    postgres: PrivateServer, cut_store: PostgresStore, database: DatabaseAddress, proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The row lock alone fences: the commit is seen by the new leader, or refused."""
    monkeypatch.setattr("xip_scheduler.store.postgres_leader._END_SESSIONS", "SELECT %s::text")
    proxy.arm(Fault.HOLD, says(b"COMMIT"))
    committing = threading.Thread(target=cut_store.commit, args=(Batch(records=[a_record(0)]),))
    committing.start()
    assert proxy.struck.wait(10)
    leader = LeaderRow(database)
    claiming = threading.Thread(target=lambda: leader.claim(leader.observe()))
    claiming.start()
    with postgres.administrator(database_name(database)) as watcher:
        blocked = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE meta%%'"
        until(watcher, blocked, (), 10)
        assert watcher.execute("SELECT value FROM meta WHERE name = 'term'").fetchone() == (cut_store.term,)
        proxy.released.set()
        committing.join()
        claiming.join()
        assert watcher.execute("SELECT value FROM meta WHERE name = 'term'").fetchone() == (cut_store.term + 1,)
        assert watcher.execute("SELECT count(*) FROM tile_record").fetchone() == (1,)
    leader.close()


def test_a_claim_on_what_has_changed_since_is_refused(database: DatabaseAddress) -> None:
    one, two = LeaderRow(database), LeaderRow(database)
    seen = one.observe()
    assert two.claim(seen) == seen.term + 1
    assert one.claim(seen) is None
    later = one.observe()
    assert two.renew(later.term)
    assert one.claim(later) is None, "it renewed in between"
    assert not one.renew(seen.term)
    one.close()
    two.close()


def test_the_leaders_sessions_are_seen_while_there_is_one(database: DatabaseAddress, postgres: PrivateServer) -> None:
    row = LeaderRow(database)
    store = lead(database)
    assert row.observe().has_session
    store.close()
    # The server ends a session some time after its client: whoever stands by looks again and again.
    deadline_s = time.monotonic() + 30.0
    with postgres.administrator() as watcher:
        while row.observe().has_session:
            assert time.monotonic() < deadline_s, "a closed session must be gone within 30 s"
            watcher.execute("SELECT pg_sleep(0.01)")
    assert row.observe() == Observation(store.term, 0, is_released=True, has_session=False, holder="")
    row.close()


# ---- records


def test_a_record_cannot_be_changed_by_anybody(database: DatabaseAddress, postgres: PrivateServer) -> None:
    store = lead(database)
    store.commit(a_batch_with_run(records=[a_record(0)]))
    with postgres.administrator(database_name(database)) as operator, pytest.raises(psycopg.errors.IntegrityError):
        operator.execute("UPDATE tile_record SET epoch = 99")
    store.close()


def test_a_text_with_nul_is_kept_with_a_mark_in_its_place(database: DatabaseAddress) -> None:
    store = lead(database)
    store.commit(
        a_batch_with_run(
            records=[a_record(0, worker_id="w\0")],
            quarantine=[("r1", 1, 0, 1, 5, "m\0", "T\0")],
            attempts=[("r1", 0, 1, 0, "w\0", 10, "died\0", True)],
            finished=[msgspec.structs.replace(finished(), message="over\0")],
        )
    )
    assert store.quarantine("r1", 1)[0].message == "m\ufffd"
    assert store.attempts("r1") == [("r1", 0, 1, 0, "w\ufffd", 10, "died\ufffd", True)]
    store.close()


def test_details_of_many_small_blocks_come_in_bounded_pages_and_lose_none(database: DatabaseAddress) -> None:
    store = lead(database)
    store.commit(a_batch_with_run(details=[("r1", 0, tile, b"%d" % tile) for tile in range(5000)]))
    seen: list[bytes] = []
    cursor = 0
    while page := store.details("r1", cursor, 1 << 20):
        cursor = page[-1].cursor
        seen += [detail.block for detail in page]
    assert seen == [b"%d" % tile for tile in range(5000)]
    store.close()


def test_records_of_a_large_run_come_in_pages_and_lose_none(
    database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xip_scheduler.store.postgres_reads.RECORDS_PER_READ", 7)
    monkeypatch.setattr("xip_scheduler.store.postgres_audit.RECORDS_PER_SEAL_STEP", 7)
    store = lead(database)
    tiles = [*range(0, 40, 2), *range(41, 60)]
    store.commit(a_batch_with_run(records=[a_record(tile, node_id=tile % 2) for tile in tiles], finished=[finished()]))
    by_node = sorted((tile % 2, tile) for tile in tiles)
    assert list(store.done_intervals("r1")) == [DoneInterval(node, tile, tile + 1) for node, tile in by_node]
    sealed = msgspec.json.decode(store.audit_rows(0, 100)[-1].detail)
    assert (sealed["record_count"], sealed["tile_count"], sealed["cell_count"]) == (39, 39, 390)
    store.close()


# ---- set-up


def test_a_database_of_something_else_is_refused(new_database: DatabaseAddress, postgres: PrivateServer) -> None:
    with postgres.administrator(database_name(new_database)) as operator:
        operator.execute("CREATE TABLE somebodys (thing int)")
        operator.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
    with pytest.raises(StoreError, match=r"must be empty or a XiP store.*somebodys"):
        LeaderRow(new_database).prepare()


def test_a_schema_of_a_newer_version_is_refused(database: DatabaseAddress, postgres: PrivateServer) -> None:
    with postgres.administrator(database_name(database)) as operator:
        operator.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
        try:
            with pytest.raises(StoreError, match="got 99"):
                LeaderRow(database).prepare()
        finally:
            operator.execute(
                "UPDATE meta SET value = %s WHERE name = 'schema_version'", (schema.SCHEMA_VERSION,)
            )


def test_tables_of_an_older_version_are_upgraded_by_the_takeover(new_database: DatabaseAddress) -> None:
    store = lead(new_database)
    store.commit(Batch(runs=[a_run("r1"), a_run("r2")]))
    store.close()
    with new_database.connect("operator") as operator:
        before = _columns(operator)
        for name in ("attempt", "audit", "tile_objects", "run_note", "reused_run"):
            operator.execute(f"DROP TABLE {name}")
        for name in ("priority", "deadline_after_s", "is_paused", "retry_of", "pruned_at_s", "reuse_of"):
            operator.execute(f"ALTER TABLE run DROP COLUMN {name}")
        operator.execute("ALTER TABLE worker DROP COLUMN cpu_level, DROP COLUMN version")
        operator.execute("ALTER TABLE tile_record DROP COLUMN origin_key")
        operator.execute("ALTER TABLE node_tally DROP COLUMN tiles_reused")
        operator.execute("DELETE FROM meta WHERE name IN ('epoch_floor', 'commit_serial')")
        operator.execute("UPDATE meta SET value = 1 WHERE name = 'schema_version'")
        LeaderRow(new_database).prepare()
        assert operator.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
        again = lead(new_database)
        assert _columns(operator) == before
    assert [run.run_id for run in again.live_runs()] == ["r1", "r2"]
    assert [row.event for row in again.audit_rows(0, 10)] == ["migrated", "term raised"]
    again.close()


def _columns(operator: psycopg.Connection) -> list[tuple[object, ...]]:
    return operator.execute(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, column_name"
    ).fetchall()


def test_durability_is_in_force_in_the_session_that_commits(database: DatabaseAddress) -> None:
    store = lead(database)
    for name, wanted in (("synchronous_commit", "on"), ("fsync", "on"), ("idle_in_transaction_session_timeout", "3s")):
        assert store._driver.execute("SELECT current_setting(%s)", (name,)).fetchone() == (wanted,)
    store.close()


def test_a_backup_put_back_leaves_the_past_behind(database: DatabaseAddress) -> None:
    store = lead(database)
    store.commit(Batch(epoch_end=5000))
    store.close()
    leader = LeaderRow(database)
    leader.is_restored = True
    term = leader.claim(leader.observe())
    assert term is not None
    restored = PostgresStore(database, term, leader)
    assert restored.term > store.term
    assert restored.epoch_floor == restored.epoch_end > 1 << 40
    assert [row.event for row in restored.audit_rows(1, 10)] == ["restored", "term raised"]
    restored.close()
    again = lead(database)
    assert (again.term, again.epoch_floor) == (term + 1, restored.epoch_floor)
    again.close()


# ---- the address


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    for url in ("postgresql://xip:secret@h/d", "postgresql://xip@h/d?password=secret"):
        with pytest.raises(RequestError, match="must not carry a password") as refused:
            DatabaseAddress(url).check()
        assert "secret" not in str(refused.value)


def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(RequestError, match="must be postgresql://") as refused:
        DatabaseAddress("postgresql://xip:sec%zzret@h/d").check()
    assert "sec%zzret" not in str(refused.value)


def test_a_wrong_password_is_told_without_it(database: DatabaseAddress, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong-secret")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed") as refused:
        DatabaseAddress(database.url, str(file)).connect("test")
    assert "wrong-secret" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_password_file_that_is_missing_is_named(database: DatabaseAddress) -> None:
    with pytest.raises(StoreError, match="store_password_file /absent must be readable"):
        DatabaseAddress(database.url, "/absent").connect("test")


# ---- verify


def test_a_store_in_use_is_verified_and_found_sound(database: DatabaseAddress, tmp_path: Path) -> None:
    blobs = SharedBlobs(tmp_path, database)
    store = lead(database)
    plan_digest = blobs.put(b"a plan")
    store.commit(
        Batch(
            runs=[a_run("r1", plan_digest=plan_digest), a_run("r2", plan_digest=plan_digest)],
            epoch_end=10,
            records=[a_record(0), a_record(1, 5), a_record(0, run_id="r2")],
            finished=[finished("r1")],
        )
    )
    report = verify_database(database)
    assert [complaint for check in report.checks for complaint in check.complaints] == []
    looked_at = {check.name: check.looked_at for check in report.checks}
    assert (looked_at["records"], looked_at["runs"], looked_at["blobs"]) == (3, 2, 1)
    store.close()
    blobs.close()


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("ALTER TABLE tile_record DISABLE TRIGGER ALL; UPDATE tile_record SET cell_count = 11", "tallies"),
        ("ALTER TABLE tile_record DISABLE TRIGGER ALL; UPDATE tile_record SET worker_key = 7", "runs"),
        ("ALTER TABLE tile_record DISABLE TRIGGER ALL; UPDATE tile_record SET tile_end = 9", "records"),
        ("UPDATE audit SET who = 'nobody' WHERE audit_key = 2", "audit"),
        ("UPDATE run SET state = 9", "runs"),
        ("UPDATE blob_chunk SET content = 'a plam'", "blobs"),
        ("DELETE FROM blob", "blobs"),
        ("UPDATE leader SET term = 77", "leader"),
    ],
)
def test_verify_finds_what_was_changed_behind_our_back(
    database: DatabaseAddress, postgres: PrivateServer, tmp_path: Path, damage: str, check: str
) -> None:
    blobs = SharedBlobs(tmp_path, database)
    store = lead(database)
    runs = [a_run("r1", plan_digest=blobs.put(b"a plan"))]
    records = [a_record(0), a_record(1, 5)]
    store.commit(Batch(runs=runs, epoch_end=10, records=records, finished=[finished("r1")]))
    with postgres.administrator(database_name(database)) as operator:
        operator.execute(damage)
        report = verify_database(database)
        operator.execute("ALTER TABLE tile_record ENABLE TRIGGER ALL")
    assert check in [each.name for each in report.checks if not each.is_sound]
    blobs.close()
    store.close()
