"""Statements of the SQLite store that are longer than a line."""

from __future__ import annotations

USED_BYTES = """
SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""

ADD_TO_TALLY = """
INSERT INTO node_tally (run_key, node_id, tiles_done, cell_count, quarantined_count) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tiles_done = tiles_done + excluded.tiles_done,
    cell_count = cell_count + excluded.cell_count, quarantined_count = quarantined_count + excluded.quarantined_count
"""

COUNT_TALLY = """
REPLACE INTO node_tally (run_key, node_id, tiles_done, cell_count, quarantined_count, tiles_reused)
SELECT run_key, node_id, sum(tile_end - tile_begin), sum(cell_count), sum(quarantined_count),
       sum(CASE WHEN origin_key > 0 THEN tile_end - tile_begin ELSE 0 END)
  FROM tile_record WHERE run_key = ? AND node_id = ? GROUP BY run_key, node_id
"""

OUTPUTS = """
SELECT tile, block
  FROM tile_record AS record CROSS JOIN tile_output AS output
    ON output.run_key = CASE WHEN record.origin_key = 0 THEN record.run_key ELSE record.origin_key END
   AND output.node_id = record.node_id AND tile >= record.tile_begin AND tile < record.tile_end
 WHERE record.run_key = ?1 AND record.node_id = ?2
   AND record.tile_begin >= coalesce((SELECT max(tile_begin) FROM tile_record
                                       WHERE run_key = ?1 AND node_id = ?2 AND tile_begin <= ?3), 0)
   AND record.tile_begin < ?4 AND tile >= ?3 AND tile < ?4
 ORDER BY record.tile_begin, tile
"""
"""Run key, node, tile begin, tile end. CROSS JOIN keeps the records outside: one look at an index for each."""

RECORDS_OVERLAPPING = """
SELECT tile_begin, tile_end FROM tile_record
 WHERE run_key = ? AND node_id = ?
   AND tile_begin >= coalesce((SELECT max(tile_begin) FROM tile_record
                                WHERE run_key = ? AND node_id = ? AND tile_begin <= ?), 0)
   AND tile_end > ? AND tile_begin < ?
 ORDER BY tile_begin
"""

KEEP_WORKER = """
INSERT INTO worker (worker_id, cpu_level, version) VALUES (?, ?, ?)
ON CONFLICT (worker_id) DO UPDATE SET cpu_level = excluded.cpu_level, version = excluded.version
"""

KEEP_NOTE = """
INSERT INTO run_note (run_key, kind, content) VALUES (?, ?, ?)
ON CONFLICT (run_key, kind) DO UPDATE SET content = excluded.content
"""
