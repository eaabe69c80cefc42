"""Fixtures that several packages of tests share."""

from __future__ import annotations

from tests.postgres.fixtures import database, postgres

__all__ = ["database", "postgres"]
