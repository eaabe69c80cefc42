"""The file of the SQLite store: opened, checked, made or upgraded, before anything is trusted.

    connect ── settings, exclusive lock ──> check ──┬── empty ──────> make the tables ───────────┬──> raise the term
                                                    ├── version N ──> copy aside, upgrade ───────┤
                                                    └── of this version ─────────────────────────┘

Making, upgrading and the term are one transaction, each with its row in the audit: a crash at any point leaves the old
store or the new one. The copy (`scheduler.sqlite.vN`) is made with VACUUM INTO, checked and synced before the upgrade
begins; it is left there, for the operator to remove.

A file that is not ours, of a newer version or damaged is refused and left alone (S20): nothing here repairs. So is one
that has forgotten commits (`acknowledged`), unless the operator says that a backup was put back. Then numbers move to
where nobody has been (`past`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from xip_core.errors import StoreError
from xip_scheduler.store import audit, migrations, schema
from xip_scheduler.store.past import leave_the_past
from xip_scheduler.store.protocol import AuditRow

APPLICATION_ID = 0x58695053
"""Marks the file as a XiP store ("XiPS") for `file` and for us."""

FULL_CHECK_SIZE_LIMIT_BYTES = 256 << 20
"""Larger files get the quick check only for the tables a restart reads: a whole one takes about 1 s per GB."""

CHECKED_AT_START = ("meta", "run", "worker", "node_tally", "attempt", "audit")


UNREADABLE = (TypeError, ValueError, LookupError, ArithmeticError)
"""What reading rows raises where a sound page stands in the place of another: no row, or a text where a number was."""

LOG_PAGES_MAX = 4_096
"""Of the WAL, 16 MiB: beyond them a commit copies it into the database, which takes 0.1 s. What is less is copied when
nobody commits (`settled`). SQLite by itself copies every 4 MiB: of the commits that store the calibrated blocks of a
tick, 7 MiB, two took 30 ms longer, with all slots waiting for them."""

abandoned: list[sqlite3.Connection] = []
"""Connections whose disk failed, kept from being closed: closing would checkpoint, which syncs again and copies what
the disk may not have. The process ends soon, and the next one recovers from what is there."""

DISK_ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def close_or_abandon(connection: sqlite3.Connection, error: BaseException | None) -> None:
    """Close, unless *error* or what caused it says that the disk refused a write or a sync."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL) or getattr(error, "errno", 0) in DISK_ERRORS:
            abandoned.append(connection)
            return
        error = error.__cause__
    connection.close()


def settled(connection: sqlite3.Connection) -> bool:
    """
    Copy what commits left in the WAL into the database, for none of them to do it; whether the disk took it. If it did
    not, the connection is abandoned: that a second sync succeeds may mean nothing.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error:
        abandoned.append(connection)
        return False
    return True


class Opened(msgspec.Struct, frozen=True):
    """What an opening found and wrote: the numbers of this term and the end of the audit."""

    term: int
    epoch_end: int
    epoch_floor: int
    commit_serial: int
    audit_head: audit.Head


def connect(path: Path) -> sqlite3.Connection:
    """
    The one connection, its settings asserted and the file checked.

    Raises:
        StoreError: the file is in use, damaged, of a newer version or not ours.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        settings = {
            "locking_mode": "exclusive",
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "wal_autocheckpoint": LOG_PAGES_MAX,
        }
        for name, wanted in settings.items():
            connection.execute(f"PRAGMA {name} = {wanted}")
            got = connection.execute(f"PRAGMA {name}").fetchone()[0]
            assert got == wanted, (name, wanted, got)
        connection.execute("BEGIN IMMEDIATE")  # takes the lock that exclusive mode then keeps
        connection.execute("COMMIT")
        _check(connection, path)
    except sqlite3.Error as error:
        close_or_abandon(connection, error)
        raise StoreError(f"{path}: cannot be used as a store: {error}") from error
    except UNREADABLE as error:
        connection.close()
        raise StoreError(f"{path}: the file is damaged, a table does not hold what it must: {error!r}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not ours, of a newer version, or damaged."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path}: must be a XiP store (application id {APPLICATION_ID}), got {application_id}")
    migrations.check_version(str(path), _version(connection))
    is_small = path.stat().st_size <= FULL_CHECK_SIZE_LIMIT_BYTES
    for scope in ("1",) if is_small else tuple(name for name in CHECKED_AT_START if name in tables):
        complaint = connection.execute(f"PRAGMA quick_check({scope})").fetchone()[0]
        if complaint != "ok":
            raise StoreError(f"{path}: the file is damaged: {complaint}; restore it from a backup")
    if "audit" in tables:
        complaints = list(audit.broken_links(*_last_rows(connection)))
        if complaints:
            raise StoreError(f"{path}: {complaints[0]}; `xipctl store verify` tells more")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0])


def _last_rows(connection: sqlite3.Connection) -> tuple[list[AuditRow], audit.Head]:
    """The newest row of the audit and what it must follow: enough at a start, `verify` reads them all."""
    rows = [
        AuditRow(*row)
        for row in connection.execute("SELECT * FROM audit ORDER BY audit_key DESC LIMIT 2").fetchall()
    ]
    before = audit.Head(rows[1].audit_key, rows[1].hash) if len(rows) > 1 else audit.Head()
    return rows[:1], before


def open_term(
    driver: sqlite3.Connection, connection: sa.Connection, path: Path, acknowledged: int, is_restored: bool
) -> Opened:
    """
    Make the tables or bring them to this version, and raise the term, in one transaction.

    Args:
        driver, connection: the same connection, below and above SQLAlchemy.
        acknowledged: the newest commit known to have been durable.
        is_restored: the operator says that a backup was put back.

    Raises:
        StoreError: commits are gone, and no backup was put back.
    """
    is_new = not driver.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    version = schema.SCHEMA_VERSION if is_new else _version(driver)
    if version < schema.SCHEMA_VERSION:
        _copy_aside(driver, path, version)
    driver.execute("BEGIN IMMEDIATE")
    if is_new:
        driver.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        schema.metadata.create_all(connection)
        driver.execute(schema.SQLITE_ONE_RECORD_TRIGGER)
        for name in ("schema_version", "term", "epoch_end", "epoch_floor", "commit_serial"):
            value = schema.SCHEMA_VERSION if name == "schema_version" else 0
            connection.execute(sa.insert(schema.meta).values(name=name, value=value))
    elif version < schema.SCHEMA_VERSION:
        migrations.upgrade(connection, version)
    entries = _entries_of_upgrade(driver, version)
    numbers: dict[str, int] = dict(driver.execute("SELECT name, value FROM meta").fetchall())
    if is_restored:
        entries.append(leave_the_past(numbers, acknowledged))
    elif numbers["commit_serial"] < acknowledged:
        raise StoreError(_forgotten(path, numbers["commit_serial"], acknowledged))
    numbers["term"] += 1
    numbers["commit_serial"] += 1
    driver.executemany("UPDATE meta SET value = ? WHERE name = ?", [(value, name) for name, value in numbers.items()])
    process: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    entries.append(audit.Entry("term raised", detail=process))
    term = numbers["term"]
    last, _ = _last_rows(driver)
    head = audit.Head(last[0].audit_key, last[0].hash) if last else audit.Head()
    for entry in entries:
        row = audit.link(head, entry, 0, time.time(), term)
        driver.execute(INSERT_AUDIT, msgspec.structs.astuple(row))
        head = audit.Head(row.audit_key, row.hash)
    driver.execute("COMMIT")
    return Opened(term, numbers["epoch_end"], numbers["epoch_floor"], numbers["commit_serial"], head)


INSERT_AUDIT = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _entries_of_upgrade(driver: sqlite3.Connection, version: int) -> list[audit.Entry]:
    if version == schema.SCHEMA_VERSION:
        return []
    run_key_last = driver.execute("SELECT coalesce(max(run_key), 0) FROM run").fetchone()[0]
    versions = {"from_version": version, "to_version": schema.SCHEMA_VERSION, "run_key_last": run_key_last}
    return [audit.Entry("migrated", detail=versions)]


def _forgotten(path: Path, found: int, acknowledged: int) -> str:
    return (
        f"{path}: must hold commit {acknowledged}, which was acknowledged, but ends at commit {found}: "
        f"{acknowledged - found} commits are gone; if a backup was put back on purpose, start once with --restored, "
        "otherwise the disk lost writes and the file should be looked at first"
    )


def _copy_aside(driver: sqlite3.Connection, path: Path, version: int) -> None:
    """
    A checked, durable copy of the store as it is, beside it.

    Raises:
        StoreError: the copy is not as good as the store.
    """
    target = path.with_name(f"{path.name}.v{version}")
    incoming = path.with_name(f"{path.name}.incoming")
    incoming.unlink(missing_ok=True)
    driver.execute("VACUUM INTO ?", (str(incoming),))
    copy = sqlite3.connect(incoming, isolation_level=None)
    try:
        complaint = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        counts = [_row_counts(each) for each in (driver, copy)]
    finally:
        copy.close()
    if complaint != "ok" or counts[0] != counts[1]:
        raise StoreError(f"{target}: the copy before an upgrade must equal the store: {complaint}, rows {counts}")
    for name in (incoming, path.parent):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if name == incoming:
                incoming.rename(target)
        finally:
            os.close(descriptor)


def _row_counts(connection: sqlite3.Connection) -> list[int]:
    tables = ("meta", "run", "worker", "tile_record", "node_tally", "tile_output", "tile_detail", "quarantine")
    return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def seal(driver: sqlite3.Connection, run_key: int) -> audit.Seal:
    """
    Sums and digest of a run's tile records, as the row of the audit that ends it shows them.

    SQLite writes the lines and gives the interpreter away meanwhile: 1.1 s for a million records, 0.1 s of one commit
    for the hundred thousand of a large run.
    """
    digest = hashlib.blake2b(digest_size=32)
    sums = [0, 0, 0, 0]
    position = (-1, -1)
    while True:
        *counts, lines = driver.execute(_RECORD_LINES, (run_key, *position, RECORDS_PER_SEAL_STEP)).fetchone()
        if not counts[0]:
            return audit.Seal(digest.hexdigest(), *sums)
        digest.update(lines)
        sums = [total + count for total, count in zip(sums, counts, strict=True)]
        node_id, tile_begin, *_ = lines[lines.rindex(b"\n", 0, -1) + 1 :].split() if counts[0] > 1 else lines.split()
        position = (int(node_id), int(tile_begin))


RECORDS_PER_SEAL_STEP = 16_384
"""Lines digested at a time: about 600 kB."""

_RECORD_LINES = """
SELECT count(*), sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       CAST(group_concat(line, '') AS BLOB)
  FROM (SELECT tile_begin, tile_end, cell_count, quarantined_count,
               node_id || ' ' || tile_begin || ' ' || tile_end || ' ' || epoch || ' ' || worker_key || ' '
               || cell_count || ' ' || quarantined_count || char(10) AS line
          FROM tile_record WHERE run_key = ? AND (node_id, tile_begin) > (?, ?)
         ORDER BY node_id, tile_begin LIMIT ?)
"""
