"""A new run begins with records of a final one, copied by the database in the batch that stores the run.

Copies keep their epoch, worker and counts: they say who computed the tile, and `origin_key` in which run. Outputs are
not copied but read where they were written (`reused_run` keeps them there, see `pruning`): resolved rows of 100,000
trades are 300 MB. Details are copied, with new cursors, so that a client streams them of the new run like any others.
A record takes about 2 us.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from xip_core.errors import StoreError
from xip_scheduler.store.protocol import NodeTally, Takeover, TileSpan

_COPY = (
    """
INSERT INTO tile_record (run_key, node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count,
                         origin_key)
SELECT ?1, node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count,
       CASE WHEN origin_key = 0 THEN run_key ELSE origin_key END
  FROM tile_record
 WHERE run_key = ?2 AND node_id = ?3 AND tile_begin >= ?4 AND tile_begin < ?5 AND tile_end <= ?5 AND epoch > 0
""",
    """
INSERT INTO tile_detail (run_key, node_id, tile, block)
SELECT ?1, node_id, tile, block FROM tile_detail WHERE run_key = ?2 AND node_id = ?3 AND tile >= ?4 AND tile < ?5
 ORDER BY tile
""",
    """
INSERT INTO tile_objects (run_key, node_id, tile, names)
SELECT ?1, node_id, tile, names FROM tile_objects
 WHERE run_key = ?2 AND node_id = ?3 AND tile >= ?4 AND tile < ?5
""",
)
"""Parameters: new run key, old run key, node, tile begin, tile end."""

_TALLY = """
INSERT INTO node_tally (run_key, node_id, tiles_done, cell_count, quarantined_count, tiles_reused)
SELECT run_key, node_id, sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       sum(tile_end - tile_begin)
  FROM tile_record WHERE run_key = ? GROUP BY run_key, node_id
"""

_REFER = """
INSERT INTO reused_run (run_key, origin_key) SELECT DISTINCT run_key, origin_key FROM tile_record WHERE run_key = ?
"""

_COUNT_WITHIN = """
SELECT coalesce(sum(tile_end - tile_begin), 0), coalesce(sum(cell_count), 0), coalesce(sum(quarantined_count), 0)
  FROM tile_record
 WHERE run_key = ?1 AND node_id = ?2 AND tile_begin >= ?3 AND tile_begin < ?4 AND tile_end <= ?4 AND epoch > 0
"""


def take_over(connection: sqlite3.Connection, takeover: Takeover) -> None:
    """
    Copy what *takeover* names to its run, which has no records yet. The caller holds the transaction.

    Raises:
        StoreError: the old run is not final, or a tile named is not recorded there with output.
    """
    run_key = _run_key(connection, takeover.run_id, "finished_at_s = 0")
    old_key = _run_key(connection, takeover.source, "finished_at_s > 0")
    if run_key is None or old_key is None:
        sentence = f"run {takeover.run_id} must be live and {takeover.source} final for a takeover"
        raise StoreError(f"{sentence}, got {run_key is not None} and {old_key is not None}")
    expected: dict[int, int] = {}
    for node_id, tile_begin, tile_end in takeover.spans:
        expected[node_id] = expected.get(node_id, 0) + tile_end - tile_begin
        for statement in _COPY:
            connection.execute(statement, (run_key, old_key, node_id, tile_begin, tile_end))
    connection.execute(_TALLY, (run_key,))
    connection.execute(_REFER, (run_key,))
    counted = connection.execute("SELECT node_id, tiles_done FROM node_tally WHERE run_key = ?", (run_key,))
    taken = dict(counted.fetchall())
    if taken != expected:
        got = f"got tiles by node {taken} instead of {expected}"
        raise StoreError(f"run {takeover.run_id}: every tile named must be recorded in {takeover.source}, {got}")


def _run_key(connection: sqlite3.Connection, run_id: str, condition: str) -> int | None:
    found = connection.execute(f"SELECT run_key FROM run WHERE run_id = ? AND {condition}", (run_id,)).fetchone()
    return None if found is None else int(found[0])


def tallies_within(connection: sqlite3.Connection, run_key: int, spans: Sequence[TileSpan]) -> list[NodeTally]:
    """See `Store.tallies_within`."""
    sums: dict[int, list[int]] = {}
    for node_id, tile_begin, tile_end in spans:
        counted = connection.execute(_COUNT_WITHIN, (run_key, node_id, tile_begin, tile_end)).fetchone()
        of_node = sums.setdefault(node_id, [0, 0, 0])
        for position, number in enumerate(counted):
            of_node[position] += number
    return [NodeTally(node_id, *of_node) for node_id, of_node in sorted(sums.items()) if of_node[0]]
