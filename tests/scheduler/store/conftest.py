"""The stores that must pass the contract: add a harness here and every test of test_contract.py runs on it too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

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


@pytest.fixture(params=[SqliteHarness], ids=["sqlite"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> StoreHarness:
    return request.param(tmp_path / "data")


@pytest.fixture
def store(harness: StoreHarness) -> Iterator[Store]:
    opened = harness.open()
    yield opened
    opened.close()
