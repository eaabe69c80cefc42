"""Speed of implied volatility: `python -m pytest bench/bench_kernels_options.py --benchmark-only`.

As bench_kernels.py: `million_per_s` rows, one core, 16,384 rows, from the fastest round. Target 8 M/s at v4.

The bound: a row is five evaluations of the normalised price (an exponential, two Mills ratios, a series: 150 fused
multiply-adds and 5 divisions each), three logarithms and one interpolation, some 1,000 operations. Two units of eight
lanes at 2.5 GHz do 40 G/s, so 40 M/s is the limit of arithmetic; latency keeps the kernel at half of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, ROWS, columns_of, measure
from xip_core import evaluate
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("family", ["black", "bachelier"])
def test_implied_volatility(benchmark: Any, family: str, level: str) -> None:
    """Of options out of the money, as surfaces are quoted."""
    columns = columns_of(f"{family}.european")
    truth = columns["volatility" if family == "black" else "normal_volatility"]
    if family == "bachelier":
        deviations = np.random.default_rng(2).uniform(-4.0, 4.0, ROWS)
        columns["strike"] = columns["forward"] + deviations * truth * np.sqrt(columns["time"])
    columns["is_call"] = (columns["forward"] < columns["strike"]).astype(float)
    columns["price"] = evaluate(f"{family}.european", outputs="pv", **columns)["pv"]
    kernel = catalogue()[f"implied.{family}"]
    function = getattr(load_module(kernel.module, level), kernel.function)
    inputs = tuple(columns[column.name] for column in kernel.columns)
    volatility, status = np.empty(ROWS), np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: function(inputs, (volatility,), status), ROWS, level)
    known = columns["price"] > 1e-290
    assert known.mean() > 0.9  # the others are worth nothing, and have no volatility
    assert np.abs(volatility[known] / truth[known] - 1.0).max() < 1e-9
