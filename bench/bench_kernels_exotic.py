"""Speed of the closed-form exotics: `python -m pytest bench/bench_kernels_exotic.py --benchmark-only`.

As bench_kernels.py: `million_per_s` rows with all outputs, one core, 16,384 rows, from the fastest round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, ROWS, measure
from tests.core.kernels.exotic_book import KERNELS, exotic_book
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", KERNELS)
def test_exotic_with_all_outputs(benchmark: Any, name: str, level: str) -> None:
    kernel = catalogue()[name]
    function = getattr(load_module(kernel.module, level), kernel.function)
    inputs = tuple(exotic_book(name, ROWS).values())
    outputs, status = tuple(np.empty(ROWS) for _ in kernel.outputs), np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: function(inputs, outputs, status), ROWS, level)
    assert not status.any()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fixing_count", [0, 12, 52])
@pytest.mark.parametrize("name", ["equity.asian", "equity.asian_curran"])
def test_averages_by_number_of_fixings(benchmark: Any, name: str, fixing_count: int, level: str) -> None:
    """0 fixings are a continuous average. A block takes the time of its longest row: tables go by fixings."""
    rows = 2_048
    columns = exotic_book(name, rows) | {"fixing_count": np.full(rows, float(fixing_count))}
    kernel = catalogue()[name]
    function = getattr(load_module(kernel.module, level), kernel.function)
    outputs, status = tuple(np.empty(rows) for _ in kernel.outputs), np.empty(rows, np.uint8)
    inputs = tuple(columns.values())
    measure(benchmark, lambda: function(inputs, outputs, status), rows, level)
    benchmark.extra_info["million_fixings_per_s"] = round(benchmark.extra_info["million_per_s"] * fixing_count, 1)
    assert not status.any()
