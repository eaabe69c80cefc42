"""Is a stopped store what it should be? Looks at everything, changes nothing.

    python -m xip_scheduler.store.verify --data-dir DIR [--output table|json]        (xipctl store verify runs this)
    python -m xip_scheduler.store.verify --store URL ...                             (PostgreSQL: `postgres_verify`)

    check             complains of
    file              pages that do not hang together, indexes that do not match, rows of runs that are not there
    version           a schema that this program does not write
    acknowledged      commits that were acknowledged and are gone
    records           two records of one tile, empty ranges, epochs never reserved
    tallies           sums of a node that are not the sums of its records
    audit             rows changed, removed or put in between
    runs              runs that are not what the audit says was accepted and how it ended, records changed since
    blobs             files that do not have their digest; plans and inputs of runs that are not there

The directory is locked meanwhile, so a running scheduler is never read. The database is opened read-only, with its WAL
as a crash left it: what a start would recover is what is checked. Reading is most of the cost: about 3 s per GB, and
1 s per million records.

Exit codes: 0 sound, 1 not sound, or it could not be looked at.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import click
import msgspec

from xip_core.errors import RequestError, StoreError
from xip_core.graph.plan import decode_plan
from xip_scheduler.store import audit, schema
from xip_scheduler.store.acknowledged import read_acknowledged
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES, DIGEST_SIZE_BYTES
from xip_scheduler.store.lock import DirectoryLock
from xip_scheduler.store.protocol import AuditRow
from xip_scheduler.store.sqlite import DATABASE_NAME
from xip_scheduler.store.sqlite_file import seal

COMPLAINTS_MAX = 20
"""Of each check; a damaged file has thousands, and the first ones tell."""


class Check(msgspec.Struct):
    """
    Attributes:
        looked_at: how many things there were to look at; complaints: what is wrong, the first `COMPLAINTS_MAX`.
    """

    name: str
    looked_at: int = 0
    complaints: list[str] = []

    @property
    def is_sound(self) -> bool:
        return not self.complaints


class Report(msgspec.Struct):
    directory: str
    is_sound: bool
    checks: list[Check]


def verify_store(directory: Path) -> Report:
    """
    All checks on the stopped store of *directory*.

    Raises:
        StoreError: there is no store, or it is in use.
    """
    path = directory / DATABASE_NAME
    if not path.exists():
        raise StoreError(f"{directory}: must hold the store of a scheduler, got no {DATABASE_NAME}")
    lock = DirectoryLock(directory)
    beside = [side for suffix in ("-wal", "-shm") if not (side := path.with_name(path.name + suffix)).exists()]
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as database:
            checks = [_checked(name, check, database, directory) for name, check in CHECKS.items()]
    finally:
        for side in beside:
            side.unlink(missing_ok=True)  # an empty WAL and an index of it, made for our reading
        lock.release()
    return Report(str(directory), all(check.is_sound for check in checks), checks)


class Database(Protocol):
    """What the shared checks ask: rows of a statement without parameters."""

    def execute(self, statement: str, /) -> Any: ...


Complaints = Iterator[str | None]
"""What a check yields: None for each thing looked at, a sentence for each complaint."""


def _checked(
    name: str, check: Callable[[sqlite3.Connection, Path], Complaints], database: sqlite3.Connection, directory: Path
) -> Check:
    return collected(name, check(database, directory))


def collected(name: str, found: Complaints) -> Check:
    """What a check *found*, as far as it could look."""
    looked_at = 0
    complaints: list[str] = []
    try:
        for complaint in found:
            if complaint is None:
                looked_at += 1
            elif len(complaints) < COMPLAINTS_MAX:
                complaints.append(complaint)
    except (sqlite3.Error, StoreError, ValueError, TypeError, msgspec.MsgspecError) as error:  # too damaged to look at
        complaints.append(f"cannot be read: {error}")
    return Check(name, looked_at, complaints)


def _file(database: sqlite3.Connection, directory: Path) -> Complaints:
    yield from [None] * int(database.execute("PRAGMA page_count").fetchone()[0])
    for (complaint,) in database.execute(f"PRAGMA integrity_check({COMPLAINTS_MAX})"):
        if complaint != "ok":
            yield complaint
    for table, row, parent, _ in database.execute("PRAGMA foreign_key_check"):
        yield f"table {table}, row {row}: its {parent} is not there"


def _version(database: sqlite3.Connection, directory: Path) -> Complaints:
    version = database.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0]
    yield None
    if version != schema.SCHEMA_VERSION:
        yield f"schema version must be {schema.SCHEMA_VERSION}, got {version}"


def _acknowledged(database: sqlite3.Connection, directory: Path) -> Complaints:
    serial = database.execute("SELECT value FROM meta WHERE name = 'commit_serial'").fetchone()[0]
    yield from [None] * serial
    acknowledged = read_acknowledged(directory)
    if serial < acknowledged:
        yield f"commit {acknowledged} was acknowledged, the store ends at commit {serial}"


def _records(database: Database) -> Complaints:
    epoch_end = database.execute("SELECT value FROM meta WHERE name = 'epoch_end'").fetchone()[0]
    rows = database.execute(
        "SELECT run_id, node_id, tile_begin, tile_end, epoch, coalesce(lag(tile_end) OVER"
        " (PARTITION BY run_key, node_id ORDER BY tile_begin), 0) FROM tile_record JOIN run USING (run_key)"
    )
    for run_id, node_id, tile_begin, tile_end, epoch, end_before in rows:
        yield None
        where = f"run {run_id}, node {node_id}, tiles {tile_begin} to {tile_end}"
        if not 0 <= tile_begin < tile_end:
            yield f"{where}: must be a range of tiles"
        if tile_begin < end_before:
            yield f"{where}: recorded twice, another record ends at tile {end_before}"
        if not 0 <= epoch < max(epoch_end, 1):
            yield f"{where}: epoch must be below {epoch_end}, which are reserved, got {epoch}"


def _tallies(database: Database) -> Complaints:
    rows = database.execute(
        "SELECT run_key, node_id, tiles_done, cell_count, quarantined_count, 0 FROM node_tally UNION ALL"
        " SELECT run_key, node_id, sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count), 1"
        " FROM tile_record GROUP BY run_key, node_id"
    )
    found: dict[tuple[int, int], list[Any]] = {}
    for run_key, node_id, *sums, is_truth in rows:
        found.setdefault((run_key, node_id), [None, None])[is_truth] = sums
    for (run_key, node_id), (tally, truth) in found.items():
        yield None
        if tally != truth:
            yield f"run {run_key}, node {node_id}: tiles, cells, quarantined must be {truth} as recorded, got {tally}"


def _rows_of_audit(database: Database) -> Iterator[AuditRow]:
    for row in database.execute("SELECT * FROM audit ORDER BY audit_key"):
        yield AuditRow(*row)


def _audit(database: Database) -> Complaints:
    yield from [None] * int(database.execute("SELECT count(*) FROM audit").fetchone()[0])
    yield from audit.broken_links(_rows_of_audit(database))


ENDS = ("finished", "cancelled")


def runs_against_audit(database: Database, seal_of: Callable[[int], audit.Seal]) -> Complaints:
    """The audit's account of each run against its row and records. Runs older than the audit have no first row."""
    accepted: dict[int, tuple[str, dict[str, Any]]] = {}
    ended: dict[int, dict[str, Any]] = {}
    run_key_last = 0  # of those that the audit did not see begin
    for row in _rows_of_audit(database):
        detail: dict[str, Any] = msgspec.json.decode(row.detail)
        if row.event in ("accepted", "retried"):
            accepted[row.run_key] = (row.who, detail)
        elif row.event in ENDS:
            if row.run_key in ended:
                yield f"run {detail['run_id']}: must end once, the audit says twice"
            ended[row.run_key] = detail
        elif row.event == "migrated":
            run_key_last = max(run_key_last, detail["run_key_last"])
    rows = database.execute(
        "SELECT run_key, run_id, tenant, request_id, payload_hash, plan_digest, retry_of, state, finished_at_s,"
        " pruned_at_s FROM run"
    )
    for run_key, run_id, *identity, state, finished_at_s, pruned_at_s in rows:
        yield None
        if run_key in accepted:
            who, first = accepted.pop(run_key)
            told = [who, *(first[name] for name in ("request_id", "payload_hash", "plan_digest"))]
            if (run_id, [*told, first.get("retry_of", "")]) != (first["run_id"], identity):
                yield f"run {run_id}: is not what was accepted: {[*told]}, got {identity}"
        elif run_key > run_key_last:
            yield f"run {run_id}: the audit does not know when it was accepted"
        end = ended.pop(run_key, None)
        if end is None:
            if finished_at_s and run_key > run_key_last:
                yield f"run {run_id}: is final, the audit does not know its end"
            continue
        if (state, bool(finished_at_s)) != (end["state"], True):
            yield f"run {run_id}: ended in state {end['state']}, got {state}"
        if not pruned_at_s:
            found = msgspec.to_builtins(seal_of(run_key))
            told_of = {name: end[name] for name in found}
            if told_of != found:
                yield f"run {run_id}: its records have changed since it ended: {found}, then {told_of}"
    for run_key in sorted({*accepted, *ended}):
        yield f"run {run_key}: is in the audit and not in the store"


def _blobs(database: sqlite3.Connection, directory: Path) -> Complaints:
    root = directory / "blobs"
    for path in sorted(root.glob("??/*")):
        yield None
        digest = hashlib.blake2b(digest_size=DIGEST_SIZE_BYTES)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_SIZE_BYTES):
                digest.update(chunk)
        if digest.hexdigest() != path.name:
            yield f"blob {path.name}: its content has digest {digest.hexdigest()}"
    rows = database.execute("SELECT plan_digest, min(run_id) FROM run WHERE pruned_at_s = 0 GROUP BY plan_digest")
    for plan_digest, run_id in rows:
        plan_path = root / plan_digest[:2] / plan_digest
        if not plan_path.exists():
            yield f"run {run_id}: its plan {plan_digest} is not there"
            continue
        try:
            plan = decode_plan(plan_path.read_bytes())
        except msgspec.MsgspecError as error:
            yield f"run {run_id}: its plan {plan_digest} cannot be read: {error}"
            continue
        for digest_of_input in plan.input_digests:
            if not (root / digest_of_input[:2] / digest_of_input).exists():
                yield f"run {run_id}: its input {digest_of_input} is not there"


SHARED_CHECKS: dict[str, Callable[[Database], Complaints]] = {
    "records": _records,
    "tallies": _tallies,
    "audit": _audit,
}
"""Those that ask with statements every database understands."""


def _without_directory(check: Callable[[Database], Complaints]) -> Callable[[sqlite3.Connection, Path], Complaints]:
    return lambda database, directory: check(database)


CHECKS: dict[str, Callable[[sqlite3.Connection, Path], Complaints]] = {
    "file": _file,
    "version": _version,
    "acknowledged": _acknowledged,
    **{name: _without_directory(check) for name, check in SHARED_CHECKS.items()},
    "runs": lambda database, _: runs_against_audit(database, lambda run_key: seal(database, run_key)),
    "blobs": _blobs,
}


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Of a scheduler that is stopped.")
@click.option("--store", metavar="URL", help="postgresql://USER@HOST:PORT/DATABASE; its scheduler may go on.")
@click.option("--store-password-file", default="", metavar="PATH", help="File with the password of the store.")
@click.option("--output", type=click.Choice(("table", "json")), default="table", show_default=True)
def main(data_dir: Path | None, store: str | None, store_password_file: str, output: str) -> None:
    """Check the store of a scheduler; nothing is changed."""
    try:
        report = _verified(data_dir, store, store_password_file)
    except (StoreError, RequestError, OSError, sqlite3.Error) as error:
        click.echo(f"store verify: {error}", err=True)
        sys.exit(1)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for check in report.checks:
            click.echo(f"{check.name:14}{check.looked_at:12,}  {'sound' if check.is_sound else 'NOT SOUND'}")
            for complaint in check.complaints:
                click.echo(f"    {complaint}")
    sys.exit(0 if report.is_sound else 1)


def _verified(data_dir: Path | None, store: str | None, store_password_file: str) -> Report:
    if (data_dir is None) == (store is None):
        raise RequestError("BAD_SETTING", "one of --data-dir and --store must be given")
    if data_dir is not None:
        return verify_store(data_dir)
    from xip_scheduler.store.postgres_session import DatabaseAddress  # the driver is an extra
    from xip_scheduler.store.postgres_verify import verify_database

    address = DatabaseAddress(store or "", store_password_file)
    address.check()
    return verify_database(address)


if __name__ == "__main__":
    main()
