"""What PostgreSQL has beside the shared tables of `schema`.

    leader       one row: who leads, how often it has renewed, whether it said goodbye (`core.leadership`)
    blob         content-addressed bytes, for schedulers that share no disk (`postgres_blobs`)
    blob_chunk   their content in pieces of at most 1 MiB

The rules that SQLite keeps with a trigger per row are kept here with one per statement, which looks at all new rows at
once: two index probes a row instead of an interpreted function call. Neighbours are enough: among intervals sorted by
their begin, if any two overlap then two adjacent ones do, and one of them is new.
"""

from __future__ import annotations

import sqlalchemy as sa

from xip_scheduler.store import schema

metadata = sa.MetaData()

leader = sa.Table(
    "leader",
    metadata,
    sa.Column("leader_key", sa.Integer, sa.CheckConstraint("leader_key = 1"), primary_key=True),
    sa.Column("term", schema.Whole, nullable=False),
    sa.Column("beat", schema.Whole, nullable=False),
    sa.Column("is_released", sa.Boolean, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
)

blob = sa.Table(
    "blob",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("size_bytes", schema.Whole, nullable=False),
    sa.Column("used_at_s", sa.Double, nullable=False),  # seconds since the Unix epoch: stored, or last asked for
)

blob_chunk = sa.Table(
    "blob_chunk",
    metadata,
    sa.Column("digest", sa.Text, sa.ForeignKey("blob.digest", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

DDL = (
    # Doubles hardly compress; trying costs more than the write.
    "ALTER TABLE blob_chunk ALTER COLUMN content SET STORAGE EXTERNAL",
    "ALTER TABLE tile_output ALTER COLUMN block SET STORAGE EXTERNAL",
    "ALTER TABLE tile_detail ALTER COLUMN block SET STORAGE EXTERNAL",
    # Two rows change with every commit: room for new versions beside the old ones.
    "ALTER TABLE meta SET (fillfactor = 10)",
    "ALTER TABLE leader SET (fillfactor = 10)",
    """
    CREATE FUNCTION tile_record_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM fresh CROSS JOIN LATERAL (
                SELECT tile_end FROM tile_record AS other
                 WHERE other.run_key = fresh.run_key AND other.node_id = fresh.node_id
                   AND other.tile_begin < fresh.tile_begin
                 ORDER BY other.tile_begin DESC LIMIT 1
            ) AS before WHERE before.tile_end > fresh.tile_begin
        ) OR EXISTS (
            SELECT FROM fresh CROSS JOIN LATERAL (
                SELECT tile_begin FROM tile_record AS other
                 WHERE other.run_key = fresh.run_key AND other.node_id = fresh.node_id
                   AND other.tile_begin > fresh.tile_begin
                 ORDER BY other.tile_begin LIMIT 1
            ) AS after WHERE after.tile_begin < fresh.tile_end
        ) THEN
            RAISE EXCEPTION 'a tile is recorded once' USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tile_record_once AFTER INSERT ON tile_record
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION tile_record_once()
    """,
    """
    CREATE FUNCTION tile_record_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a record never changes' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER tile_record_unchanged BEFORE UPDATE ON tile_record
    FOR EACH STATEMENT EXECUTE FUNCTION tile_record_unchanged()
    """,
    "INSERT INTO leader (leader_key, term, beat, is_released, holder) VALUES (1, 0, 0, true, '')",
)
