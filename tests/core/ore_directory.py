"""Where the third-party reference market lies; tests that read it skip, saying so, where it is absent."""

from __future__ import annotations

import csv
import functools
import gzip
from pathlib import Path

import pytest

from xip_core.model.market import Snapshot
from xip_core.readers.ore_market import read_ore_market

REPOSITORY = Path(__file__).resolve().parents[2]
ORE = REPOSITORY.parent / "shared" / "reference" / "ore"

needs_ore = pytest.mark.skipif(not ORE.is_dir(), reason=f"reference values are not at {ORE}")


@functools.cache
def ore_snapshot() -> Snapshot:
    """The reference market, read once per test process."""
    return read_ore_market(ORE)


def ore_rows(name: str) -> list[dict[str, str]]:
    """Rows of a gzipped CSV file of the reference by column name; a leading # of the header is dropped."""
    with gzip.open(ORE / name, "rt", newline="") as stream:
        rows = csv.reader(stream)
        header = [column.lstrip("#") for column in next(rows)]
        return [dict(zip(header, row, strict=True)) for row in rows]
