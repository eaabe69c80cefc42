"""Autocallable notes as a table run: no cut changes a byte, rows cost what their paths do, long rows are given up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import xip_core
from tests.core.kernels.note_book import NAME, NOTE, a_note_book
from tests.core.pricing.test_kernel_tile import OneBlob, never
from xip_core.graph.cost import KERNEL_TILE_S_MAX
from xip_core.graph.plan import Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.run_spec import KernelWork, RunSpec
from xip_core.model.table import encode_table
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.tile import TileCancelledError

OUTPUTS = ("pv", "standard_error", "delta_1", "vega_1")


def a_plan(columns: dict[str, np.ndarray], rows_per_tile: int = 0) -> tuple[Plan, OneBlob]:
    data = OneBlob(encode_table(columns))
    work = KernelWork(NAME, digest_of(data.content), OUTPUTS, rows_per_tile)
    return plan_run(RunSpec("notes", work), data.blob), data


@pytest.mark.parametrize("rows_per_tile", [1, 5, 12])
def test_tiles_of_any_size_have_the_bytes_of_one_call(rows_per_tile: int) -> None:
    columns = a_note_book(12)
    plan, data = a_plan(columns, rows_per_tile)
    tiles = [evaluate_tile(plan, 0, tile, data, never) for tile in range(plan.nodes[0].tile_count)]
    whole = xip_core.evaluate(NAME, outputs=OUTPUTS, **columns)
    for name, values in whole.items():
        assert np.concatenate([tile.detail[name] for tile in tiles]).tobytes() == values.tobytes(), name


def test_tiles_are_cut_by_paths_and_dates() -> None:
    """1,000 rows of 1,024 paths and 4 dates are 0.16 ms each; with 2^18 paths a row is a tile."""
    rows = {name: np.full(1000, value) for name, value in NOTE.items()}
    small, _ = a_plan(rows)
    node = small.nodes[0]
    assert node.rows_per_tile == 63  # a sixteenth of them
    assert node.cost_s == pytest.approx(63 * 1024 * 4 * 40e-9)
    assert node.cost_s <= KERNEL_TILE_S_MAX
    large, _ = a_plan(rows | {"path_exponent": np.full(1000, 18.0)})
    assert (large.nodes[0].rows_per_tile, large.nodes[0].tile_count) == (1, 1000)
    assert large.nodes[0].cost_s == pytest.approx(262144 * 4 * 40e-9)
    strange, _ = a_plan(rows | {"path_exponent": np.full(1000, np.nan), "observation_count": np.full(1000, np.inf)})
    assert strange.nodes[0].rows_per_tile >= 1


def test_a_row_of_seconds_is_given_up_in_its_middle() -> None:
    """One row of 2^20 paths: nobody wants it from the third question on, of some four hundred."""
    plan, data = a_plan({name: np.array([value]) for name, value in (NOTE | {"path_exponent": 20}).items()})
    asked = itertools.count()
    with pytest.raises(TileCancelledError):
        evaluate_tile(plan, 0, 0, data, lambda: next(asked) >= 3)
    assert next(asked) <= 8
