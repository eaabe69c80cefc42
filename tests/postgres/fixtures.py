"""Pytest's door to the private server: one for the whole run, a new database for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.postgres.server import REQUIRE_VARIABLE, PrivateServer, find_binaries
from xip_scheduler.store.postgres_session import DatabaseAddress


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivateServer]:
    binaries = find_binaries()
    if binaries is None:
        sentence = "no PostgreSQL server on this machine: install one (Debian: apt-get install postgresql)"
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{sentence}; {REQUIRE_VARIABLE}=1 demands it")
        pytest.skip(sentence)
    with PrivateServer(binaries) as server:
        yield server


@pytest.fixture
def database(postgres: PrivateServer) -> DatabaseAddress:
    """The address of an empty database."""
    return postgres.new_database()
