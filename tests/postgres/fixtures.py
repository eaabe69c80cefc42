"""Pytest's door to the private server: one for the whole run, an empty database for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.postgres.server import REQUIRE_VARIABLE, PrivateServer, find_binaries
from xip_scheduler.store.postgres_session import DatabaseAddress
from xip_scheduler.store.postgres_setup import prepare_schema


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivateServer]:
    with PrivateServer(found_or_skipped(find_binaries(), os.environ)) as server:
        yield server


def found_or_skipped(binaries: Path | None, environment: Mapping[str, str]) -> Path:
    """*binaries*; without them the test is skipped, or failed where PostgreSQL is required."""
    if binaries is not None:
        return binaries
    sentence = "no PostgreSQL server on this machine: install one (Debian: apt-get install postgresql)"
    if environment.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{sentence}; {REQUIRE_VARIABLE}=1 demands it")
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def prepared_database(postgres: PrivateServer) -> DatabaseAddress:
    address = postgres.new_database()
    prepare_schema(address)
    return address


@pytest.fixture
def database(postgres: PrivateServer, prepared_database: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """The address of a database with empty tables."""
    yield prepared_database
    postgres.empty(prepared_database)


@pytest.fixture
def new_database(postgres: PrivateServer) -> DatabaseAddress:
    """The address of a database without a table."""
    return postgres.new_database()
