"""What tests of several folders share: packages that add kernels, a private PostgreSQL server."""

from __future__ import annotations

import pytest

from tests.plugins.install import Plugin, installed
from tests.postgres.fixtures import database, new_database, postgres, prepared_database

__all__ = ["database", "new_database", "poison_kernels", "postgres", "prepared_database"]


@pytest.fixture(scope="session")
def poison_kernels() -> Plugin:
    """The package whose kernel does everything a kernel must not do; see its docstring for the acts."""
    return installed("poison_kernels")


@pytest.fixture(scope="session")
def example_kernels() -> Plugin:
    """The package that shows how kernels are added: one in NumPy, one in Cython."""
    return installed("example_kernels")
