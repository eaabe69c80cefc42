"""The audit chain (`audit`) in PostgreSQL: its end, its next rows, and the seal of a run's records.

All of it happens inside a transaction that holds the fence, so the chain has one writer.
"""

from __future__ import annotations

import hashlib

import msgspec
import psycopg

from xip_scheduler.store import audit

RECORDS_PER_SEAL_STEP = 16_384
"""Lines digested at a time: about 600 kB."""

_INSERT = "INSERT INTO audit VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"

# The same lines as SQLite's, so that a seal says the same of the same records.
_RECORD_LINES = """
SELECT count(*), sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       convert_to(string_agg(line, '' ORDER BY node_id, tile_begin), 'UTF8'), max(node_id),
       (array_agg(tile_begin ORDER BY node_id DESC, tile_begin DESC))[1]
  FROM (SELECT node_id, tile_begin, tile_end, cell_count, quarantined_count,
               concat_ws(' ', node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count)
               || chr(10) AS line
          FROM tile_record WHERE run_key = %s AND (node_id, tile_begin) > (%s, %s)
         ORDER BY node_id, tile_begin LIMIT %s) AS page
"""


def read_head(driver: psycopg.Connection) -> audit.Head:
    found = driver.execute("SELECT audit_key, hash FROM audit ORDER BY audit_key DESC LIMIT 1").fetchone()
    return audit.Head(*found) if found else audit.Head()


def append(
    driver: psycopg.Connection, head: audit.Head, entry: audit.Entry, run_key: int, at_s: float, term: int
) -> audit.Head:
    """Write the row of *entry* behind *head* and return the new end."""
    row = audit.link(head, entry, run_key, at_s, term)
    driver.execute(_INSERT, msgspec.structs.astuple(row))
    return audit.Head(row.audit_key, row.hash)


def seal(driver: psycopg.Connection, run_key: int) -> audit.Seal:
    """Sums and digest of a run's tile records, as the row of the audit that ends it shows them."""
    digest = hashlib.blake2b(digest_size=32)
    sums = [0, 0, 0, 0]
    position = (-1, -1)
    while True:
        found = driver.execute(_RECORD_LINES, (run_key, *position, RECORDS_PER_SEAL_STEP)).fetchone()
        assert found is not None, "an aggregate has one row"
        *counts, lines, node_id, tile_begin = found
        if not counts[0]:
            return audit.Seal(digest.hexdigest(), *sums)
        digest.update(lines)
        sums = [total + int(count) for total, count in zip(sums, counts, strict=True)]
        position = (node_id, tile_begin)
