"""Tables made in an empty database, and those of an older version upgraded.

Tables are made in one transaction under an advisory lock, so that two schedulers which start on one empty database do
not make the same ones; the lock keeps only them apart and fences nothing.

An upgrade is part of the takeover's transaction (`postgres_leader`), not of the start: a standby of a newer version may
wait while an older leader still writes the older tables, and changes them when that one can write no more.
"""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from xip_core.errors import StoreError
from xip_scheduler.store import audit, migrations, postgres_schema, schema
from xip_scheduler.store.postgres_session import DatabaseAddress

SETUP_LOCK = 0x58695053
"""Any number that others are unlikely to lock; SQLite's application id ("XiPS") does."""


def prepare_schema(address: DatabaseAddress) -> None:
    """
    Make the tables, or check that they are of this version.

    Raises:
        psycopg.OperationalError: the database cannot be reached now.
        StoreError: it holds something else, or a version this program does not know.
    """

    def session() -> psycopg.Connection:
        driver = address.connect("xip-scheduler preparing")
        driver.autocommit = False
        return driver

    try:
        with sa.create_engine("postgresql+psycopg://", creator=session, poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SETUP_LOCK})")
            tables = set(sa.inspect(connection).get_table_names())
            if not tables:
                _create(connection)
            elif not tables >= {"meta", "run", "leader"}:
                shown = ", ".join(sorted(tables)[:8])
                raise StoreError(f"the database must be empty or a XiP store, got tables {shown}")
            migrations.check_version("the database", version_of(connection))
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.OperationalError):
            raise error.orig from error
        raise StoreError(f"the tables cannot be made: {error.orig}") from error


def _create(connection: sa.Connection) -> None:
    schema.metadata.create_all(connection)
    for name in ("schema_version", "term", "epoch_end", "epoch_floor", "commit_serial"):
        value = schema.SCHEMA_VERSION if name == "schema_version" else 0
        connection.execute(sa.insert(schema.meta).values(name=name, value=value))
    postgres_schema.metadata.create_all(connection)
    for statement in postgres_schema.DDL:
        connection.exec_driver_sql(statement)


def version_of(connection: sa.Connection) -> int:
    statement = sa.select(schema.meta.c.value).where(schema.meta.c.name == "schema_version")
    return int(connection.execute(statement).scalar_one())


def upgrade_schema(connection: sa.Connection) -> list[audit.Entry]:
    """Bring older tables to this version inside the caller's transaction; what the audit says of it."""
    version = version_of(connection)
    migrations.check_version("the database", version)
    if version == schema.SCHEMA_VERSION:
        return []
    migrations.upgrade(connection, version)
    run_key_last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(schema.run.c.run_key), 0))).scalar_one()
    versions = {"from_version": version, "to_version": schema.SCHEMA_VERSION, "run_key_last": run_key_last}
    return [audit.Entry("migrated", detail=versions)]
