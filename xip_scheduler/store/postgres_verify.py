"""`verify` for PostgreSQL: the same questions, asked of one snapshot, so a scheduler may go on meanwhile.

    version, records, tallies, audit, runs     as in `verify`
    leader                                     the leader row and the fence name one term
    blobs                                      chunks that do not have their digest; plans that are not there

Pages and indexes are the server's own: `pg_amcheck`, and data checksums (`initdb --data-checksums`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator

import psycopg

from xip_core.errors import StoreError
from xip_scheduler.store import schema, verify
from xip_scheduler.store.blobs import DIGEST_SIZE_BYTES
from xip_scheduler.store.postgres_audit import seal
from xip_scheduler.store.postgres_reads import told
from xip_scheduler.store.postgres_session import DatabaseAddress

ROWS_PER_FETCH = 10_000


class Snapshot:
    """What a check asks: answers come in pieces, all from one moment."""

    def __init__(self, driver: psycopg.Connection) -> None:
        self.driver = driver
        self._serial = itertools.count()

    def execute(self, statement: str) -> psycopg.ServerCursor:
        """*statement* is a constant of the checks."""
        cursor = self.driver.cursor(name=f"verify{next(self._serial)}")
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(statement)
        return cursor


def verify_database(address: DatabaseAddress) -> verify.Report:
    """
    All checks on the database at *address*.

    Raises:
        StoreError: it cannot be reached, or holds no store.
    """
    try:
        driver = address.connect("xip-scheduler verifying")
    except psycopg.OperationalError as error:
        raise StoreError(f"the database must be reachable: {told(error)}") from error
    with driver:
        driver.execute("SET idle_in_transaction_session_timeout = 0")
        driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if driver.execute("SELECT to_regclass('leader'), to_regclass('audit')").fetchone() == (None, None):
            raise StoreError("the database must hold the store of a scheduler, got no table leader")
        checks = [_checked(name, check, Snapshot(driver)) for name, check in CHECKS.items()]
    return verify.Report(address.url, all(check.is_sound for check in checks), checks)


def _checked(name: str, check: Callable[[Snapshot], verify.Complaints], snapshot: Snapshot) -> verify.Check:
    snapshot.driver.execute("SAVEPOINT verify")
    try:
        found = verify.collected(name, check(snapshot))
    except psycopg.Error as error:
        found = verify.Check(name, 0, [f"cannot be read: {told(error)}"])
    snapshot.driver.execute("ROLLBACK TO SAVEPOINT verify")
    return found


def _version(snapshot: Snapshot) -> verify.Complaints:
    found = snapshot.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    yield None
    if found != (schema.SCHEMA_VERSION,):
        yield f"schema version must be {schema.SCHEMA_VERSION}, got {found and found[0]}"


def _leader(snapshot: Snapshot) -> verify.Complaints:
    rows = snapshot.execute("SELECT leader.term, value FROM leader, meta WHERE name = 'term'").fetchall()
    yield None
    if len(rows) != 1 or rows[0][0] != rows[0][1]:
        yield f"the leader row and the fence must name one term, got {rows}"


def _blobs(snapshot: Snapshot) -> verify.Complaints:
    for digest, size_bytes in snapshot.execute("SELECT digest, size_bytes FROM blob ORDER BY digest"):
        yield None
        found = hashlib.blake2b(digest_size=DIGEST_SIZE_BYTES)
        found_bytes = 0
        for chunk in _chunks(snapshot.driver, digest):
            found.update(chunk)
            found_bytes += len(chunk)
        if (found.hexdigest(), found_bytes) != (digest, size_bytes):
            yield f"blob {digest}: its content has digest {found.hexdigest()} and {found_bytes} bytes"
    lost = "SELECT run_id, plan_digest FROM run WHERE pruned_at_s = 0 AND plan_digest NOT IN (SELECT digest FROM blob)"
    for run_id, plan_digest in snapshot.execute(lost):
        yield f"run {run_id}: its plan {plan_digest} is not there"


def _chunks(driver: psycopg.Connection, digest: str) -> Iterator[bytes]:
    for position in itertools.count():
        statement = "SELECT content FROM blob_chunk WHERE digest = %s AND position = %s"
        found = driver.execute(statement, (digest, position), binary=True).fetchone()
        if found is None:
            return
        yield found[0]


def _runs(snapshot: Snapshot) -> verify.Complaints:
    return verify.runs_against_audit(snapshot, lambda run_key: seal(snapshot.driver, run_key))


CHECKS: dict[str, Callable[[Snapshot], verify.Complaints]] = {
    "version": _version,
    "leader": _leader,
    **verify.SHARED_CHECKS,
    "runs": _runs,
    "blobs": _blobs,
}
