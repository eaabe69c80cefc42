"""A new run begins with records of a final one: `takeover`, for PostgreSQL."""

from __future__ import annotations

import psycopg

from xip_core.errors import StoreError
from xip_scheduler.store.protocol import Takeover

_COPY = (
    """
INSERT INTO tile_record (run_key, node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count,
                         origin_key)
SELECT %(new)s, node_id, tile_begin, tile_end, epoch, worker_key, cell_count, quarantined_count,
       CASE WHEN origin_key = 0 THEN run_key ELSE origin_key END
  FROM tile_record
 WHERE run_key = %(old)s AND node_id = %(node)s AND tile_begin >= %(begin)s AND tile_begin < %(end)s
   AND tile_end <= %(end)s AND epoch > 0
""",
    """
INSERT INTO tile_detail (run_key, node_id, tile, block)
SELECT %(new)s, node_id, tile, block FROM tile_detail
 WHERE run_key = %(old)s AND node_id = %(node)s AND tile >= %(begin)s AND tile < %(end)s ORDER BY tile
""",
    """
INSERT INTO tile_objects (run_key, node_id, tile, names)
SELECT %(new)s, node_id, tile, names FROM tile_objects
 WHERE run_key = %(old)s AND node_id = %(node)s AND tile >= %(begin)s AND tile < %(end)s
""",
)

_TALLY = """
INSERT INTO node_tally (run_key, node_id, tiles_done, cell_count, quarantined_count, tiles_reused)
SELECT run_key, node_id, sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       sum(tile_end - tile_begin)
  FROM tile_record WHERE run_key = %s GROUP BY run_key, node_id
RETURNING node_id, tiles_done
"""

_REFER = """
INSERT INTO reused_run (run_key, origin_key) SELECT DISTINCT run_key, origin_key FROM tile_record WHERE run_key = %s
"""

COUNT_WITHIN = """
SELECT span.node_id, sum(tile_end - tile_begin)::bigint, sum(cell_count)::bigint, sum(quarantined_count)::bigint
  FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS span (node_id, span_begin, span_end)
  JOIN tile_record AS record ON record.run_key = %s AND record.node_id = span.node_id
   AND tile_begin >= span_begin AND tile_begin < span_end AND tile_end <= span_end AND epoch > 0
 GROUP BY span.node_id ORDER BY span.node_id
"""


def take_over(driver: psycopg.Connection, takeover: Takeover) -> None:
    """
    Copy what *takeover* names to its run, which has no records yet. The caller holds the transaction.

    Raises:
        StoreError: the old run is not final, or a tile named is not recorded there with output.
    """
    live = driver.execute("SELECT run_key FROM run WHERE run_id = %s AND finished_at_s = 0", (takeover.run_id,))
    final = driver.execute("SELECT run_key FROM run WHERE run_id = %s AND finished_at_s > 0", (takeover.source,))
    new, old = live.fetchone(), final.fetchone()
    if new is None or old is None:
        sentence = f"run {takeover.run_id} must be live and {takeover.source} final for a takeover"
        raise StoreError(f"{sentence}, got {new is not None} and {old is not None}")
    expected: dict[int, int] = {}
    for node_id, tile_begin, tile_end in takeover.spans:
        expected[node_id] = expected.get(node_id, 0) + tile_end - tile_begin
        for statement in _COPY:
            place = {"new": new[0], "old": old[0], "node": node_id, "begin": tile_begin, "end": tile_end}
            driver.execute(statement, place)
    taken: dict[int, int] = dict(driver.execute(_TALLY, new).fetchall())
    driver.execute(_REFER, new)
    if taken != expected:
        got = f"got tiles by node {taken} instead of {expected}"
        raise StoreError(f"run {takeover.run_id}: every tile named must be recorded in {takeover.source}, {got}")
