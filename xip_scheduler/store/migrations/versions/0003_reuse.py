"""Schema 3: where a tile that was taken over was computed, what its rows need, and what is told of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for table, name, kind, default in (
        ("run", "reuse_of", sa.Text(), ""),
        ("worker", "cpu_level", sa.Text(), ""),
        ("worker", "version", sa.Text(), ""),
        ("tile_record", "origin_key", Whole, "0"),
        ("node_tally", "tiles_reused", Whole, "0"),
    ):
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))
    op.create_table(
        "tile_objects",
        sa.Column("run_key", Whole, sa.ForeignKey("run.run_key"), primary_key=True),
        sa.Column("node_id", sa.Integer, primary_key=True),
        sa.Column("tile", Whole, primary_key=True),
        sa.Column("names", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reused_run",
        sa.Column("run_key", Whole, sa.ForeignKey("run.run_key"), primary_key=True),
        sa.Column("origin_key", Whole, sa.ForeignKey("run.run_key"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("reused_run_by_origin", "reused_run", ["origin_key"])
    op.create_table(
        "run_note",
        sa.Column("run_key", Whole, sa.ForeignKey("run.run_key"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
