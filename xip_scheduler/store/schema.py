"""Tables of the store, for SQLite and PostgreSQL alike.

    meta          one row per number the scheduler must remember: term, epoch marks, commits, schema version
    run           one row per accepted run; unique by (tenant, request_id), which makes submission idempotent
    worker        short integers for worker ids, so that a tile record stays small
    tile_record   who finished which tiles under which epoch: the truth about what is done
    node_tally    sums of the records of a node, kept with them, so that counting never reads millions of records
    tile_output   what downstream nodes read of a tile
    tile_detail   what clients stream of a tile, numbered by a cursor that only grows
    quarantine    cells without a number, and why
    attempt       failed tries at a tile, so that poison stays contained over restarts (S16)
    tile_objects  market objects that the rows of a resolve tile need: what another run may take over rests on it
    reused_run    which runs' outputs a run reads because it began with their tiles: these outputs outlive their run
    run_note      what is kept of a run for people, by kind: what it took over and why not more, what it cost
    audit         one row per durable transition, each with the hash of the one before (S17; `audit`)

Sizes: a tile record is 25 bytes on disk, so 10 million one-tile records are 250 MB; blobs (books, markets, plans)
are files beside the database (`blobs`).

Invariant S1, one record per tile: no two records of a node overlap. The primary key alone refuses only equal first
tiles, so a trigger looks at the one record that could reach into the new one. The same record offered twice (same
tiles, same epoch) is ignored, anything else is refused: a record never changes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 3
"""Raised with every change of a table, with a step in `migrations`; a store of a newer version is refused."""

metadata = MetaData()

Whole = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: SQLite's INTEGER is, and only under this name may it be a growing key; PostgreSQL's is not."""

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Whole, nullable=False),
)

run = Table(
    "run",
    metadata,
    # Also the order of submission, which pages of runs follow.
    Column("run_key", Whole, primary_key=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("payload_hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("spec", LargeBinary, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("state", Integer, nullable=False),
    Column("message", Text, nullable=False, server_default=""),
    # Seconds since the Unix epoch, for people only.
    Column("submitted_at_s", Double, nullable=False),
    Column("finished_at_s", Double, nullable=False, server_default="0"),
    # The last word of the scheduler that finished the run; both 0 before.
    Column("epoch_last", Whole, nullable=False, server_default="0"),
    Column("first_lease_after_s", Double, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False, server_default="0"),
    # From submission, 0 for none.
    Column("deadline_after_s", Double, nullable=False, server_default="0"),
    Column("is_paused", Integer, nullable=False, server_default="0"),
    # The run whose remainder this one computes, "" for none.
    Column("retry_of", Text, nullable=False, server_default=""),
    # Seconds since the Unix epoch; 0 while tiles and spec are kept. The row itself stays for ever: it is what makes a
    # request id name one run (S6).
    Column("pruned_at_s", Double, nullable=False, server_default="0"),
    # The earlier run of another plan whose tiles this one began with, "" for none.
    Column("reuse_of", Text, nullable=False, server_default=""),
    UniqueConstraint("tenant", "request_id"),
    sqlite_autoincrement=True,  # a run key is never reused, not even after a deletion
)
Index("run_by_state", run.c.state)

worker = Table(
    "worker",
    metadata,
    Column("worker_key", Whole, primary_key=True),
    Column("worker_id", Text, nullable=False, unique=True),
    # As it said when it attached; "" of a worker that was last seen by an older scheduler.
    Column("cpu_level", Text, nullable=False, server_default=""),
    Column("version", Text, nullable=False, server_default=""),
)

tile_record = Table(
    "tile_record",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("node_id", Integer, primary_key=True),
    Column("tile_begin", Whole, primary_key=True),
    Column("tile_end", Whole, nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("worker_key", Whole, nullable=False),
    Column("cell_count", Whole, nullable=False),
    Column("quarantined_count", Whole, nullable=False),
    # The run whose worker computed it, where it was taken over; 0 where that is this run. Not part of the seal.
    Column("origin_key", Whole, nullable=False, server_default="0"),
    sqlite_with_rowid=False,  # the key is the row: half the size, one B-tree instead of two
)

node_tally = Table(
    "node_tally",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("node_id", Integer, primary_key=True),
    Column("tiles_done", Whole, nullable=False),
    Column("cell_count", Whole, nullable=False),
    Column("quarantined_count", Whole, nullable=False),
    Column("tiles_reused", Whole, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

tile_output = Table(
    "tile_output",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("node_id", Integer, primary_key=True),
    Column("tile", Whole, primary_key=True),
    Column("block", LargeBinary, nullable=False),
)

tile_detail = Table(
    "tile_detail",
    metadata,
    Column("cursor", Whole, primary_key=True),
    Column("run_key", Whole, ForeignKey("run.run_key"), nullable=False),
    Column("node_id", Integer, nullable=False),
    Column("tile", Whole, nullable=False),
    Column("block", LargeBinary, nullable=False),
    UniqueConstraint("run_key", "node_id", "tile"),
    sqlite_autoincrement=True,  # a cursor handed to a client is never given to another block
)
Index("tile_detail_by_run", tile_detail.c.run_key, tile_detail.c.cursor)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_key", Whole, primary_key=True),
    Column("run_key", Whole, ForeignKey("run.run_key"), nullable=False),
    Column("row", Integer, nullable=False),
    Column("scenario_begin", Integer, nullable=False),
    Column("scenario_end", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
)
Index("quarantine_by_run", quarantine.c.run_key, quarantine.c.quarantine_key)

attempt = Table(
    "attempt",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("node_id", Integer, primary_key=True),
    Column("tile", Whole, primary_key=True),
    Column("attempt", Integer, primary_key=True),  # 0, 1, 2, ... at this tile
    Column("worker_id", Text, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("is_suspect", Integer, nullable=False),  # the worker died of it or may have; otherwise it reported it
    sqlite_with_rowid=False,
)

tile_objects = Table(
    "tile_objects",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("node_id", Integer, primary_key=True),
    Column("tile", Whole, primary_key=True),
    Column("names", Text, nullable=False),  # one a line
    sqlite_with_rowid=False,
)

reused_run = Table(
    "reused_run",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("origin_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("reused_run_by_origin", reused_run.c.origin_key)

run_note = Table(
    "run_note",
    metadata,
    Column("run_key", Whole, ForeignKey("run.run_key"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("content", Text, nullable=False),  # JSON
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("audit_key", Whole, primary_key=True),  # 1, 2, 3, ... without a gap
    Column("at_s", Double, nullable=False),  # seconds since the Unix epoch, for people only
    Column("term", Whole, nullable=False),
    Column("run_key", Whole, nullable=False),  # 0 where it is about no run; no foreign key: audit outlives everything
    Column("event", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

SQLITE_ONE_RECORD_TRIGGER = """
CREATE TRIGGER tile_record_once BEFORE INSERT ON tile_record
WHEN EXISTS (
    SELECT 1 FROM (
        SELECT tile_end FROM tile_record
         WHERE run_key = new.run_key AND node_id = new.node_id AND tile_begin < new.tile_end
         ORDER BY tile_begin DESC LIMIT 1
    ) WHERE tile_end > new.tile_begin
)
BEGIN
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM tile_record
         WHERE run_key = new.run_key AND node_id = new.node_id AND tile_begin = new.tile_begin
           AND tile_end = new.tile_end AND epoch = new.epoch
    ) THEN RAISE(IGNORE) ELSE RAISE(ABORT, 'a tile is recorded once') END;
END
"""
