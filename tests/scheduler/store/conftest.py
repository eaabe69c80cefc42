"""The stores that must pass the contract: add a harness here and every test of test_contract.py runs on it too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from xip_core.errors import StoreError
from xip_scheduler.store.postgres import PostgresStore
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_session import DatabaseAddress
from xip_scheduler.store.protocol import Store
from xip_scheduler.store.sqlite import SqliteStore


class StoreHarness(Protocol):
    """Opens the same store again and again, as restarts of a scheduler would."""

    def open(self) -> Store: ...


class SqliteHarness:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self) -> Store:
        return SqliteStore(self.directory)


class PostgresHarness:
    """Opens as a scheduler that finds the leader's chair free; one that finds it taken would wait."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address

    def open(self) -> PostgresStore:
        leader = LeaderRow(self.address, "127.0.0.1:7780")
        leader.prepare()
        observed = leader.observe()
        if not observed.is_released:
            leader.close()
            raise StoreError(f"another scheduler leads: {observed.holder}")
        term = leader.claim(observed)
        assert term is not None, "nobody else is here"
        return PostgresStore(self.address, term, leader)


@pytest.fixture(params=["sqlite", "postgres"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> StoreHarness:
    if request.param == "sqlite":
        return SqliteHarness(tmp_path / "data")
    return PostgresHarness(request.getfixturevalue("database"))


@pytest.fixture
def store(harness: StoreHarness) -> Iterator[Store]:
    opened = harness.open()
    yield opened
    opened.close()
