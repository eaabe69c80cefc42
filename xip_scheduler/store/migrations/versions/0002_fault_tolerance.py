"""Schema 2: priorities, deadlines, pauses, retries, failed attempts, the audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None  # from version 1, which has no step

Whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    numbers = sa.table("meta", sa.column("name", sa.Text), sa.column("value", Whole))
    op.bulk_insert(numbers, [{"name": "epoch_floor", "value": 0}, {"name": "commit_serial", "value": 0}])
    for name, kind, default in (
        ("priority", sa.Integer, "0"),
        ("deadline_after_s", sa.Double, "0"),
        ("is_paused", sa.Integer, "0"),
        ("retry_of", sa.Text, ""),
        ("pruned_at_s", sa.Double, "0"),
    ):
        op.add_column("run", sa.Column(name, kind(), nullable=False, server_default=default))
    op.create_table(
        "attempt",
        sa.Column("run_key", Whole, sa.ForeignKey("run.run_key"), primary_key=True),
        sa.Column("node_id", sa.Integer, primary_key=True),
        sa.Column("tile", Whole, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Integer, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("is_suspect", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit",
        sa.Column("audit_key", Whole, primary_key=True),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("term", Whole, nullable=False),
        sa.Column("run_key", Whole, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
