"""Upgrades of a store made by an older XiP, one step per schema version.

`versions/NNNN_*.py` leads from schema version NNNN - 1 to NNNN, written with Alembic's operations so that one step
serves SQLite and PostgreSQL. The version is the number in `meta`, which the step's transaction raises: there is no
table of Alembic's own that could disagree. Version 1 has no step; new stores are made at once from `schema`, and a test
holds both ways to the same tables.

A step must be one transaction with the check before it and the audit row after it (`upgrade` is called inside it), and
before it the caller makes a copy that can be put back. There is no way down: the copy is it.

Alembic takes 0.4 s to import, so it is imported when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from xip_core.errors import StoreError
from xip_scheduler.store import schema


def check_version(where: str, version: int) -> None:
    """
    Raises:
        StoreError: *version* is not one that this program can use or upgrade.
    """
    if version > schema.SCHEMA_VERSION:
        raise StoreError(
            f"{where}: must have schema version {schema.SCHEMA_VERSION} or older, got {version}: "
            "it was used by a newer XiP, start that one"
        )
    if version < 1:
        raise StoreError(f"{where}: must have schema version 1 to {schema.SCHEMA_VERSION}, got {version}")


def upgrade(connection: sa.Connection, version: int) -> None:
    """Bring the tables from schema *version* to `schema.SCHEMA_VERSION`, inside the caller's transaction."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    steps = list(scripts.walk_revisions(base="base", head="heads"))
    with Operations.context(MigrationContext.configure(connection)):
        for step in reversed(steps):
            if int(step.revision) <= version:
                continue
            step.module.upgrade()
            connection.execute(
                sa.update(schema.meta).where(schema.meta.c.name == "schema_version").values(value=int(step.revision))
            )
