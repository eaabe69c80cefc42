"""Fixtures that several packages of tests share."""

from __future__ import annotations

from tests.postgres.fixtures import database, new_database, postgres, prepared_database

__all__ = ["database", "new_database", "postgres", "prepared_database"]
