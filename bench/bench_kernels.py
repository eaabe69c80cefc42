"""Kernel speed: `python -m pytest bench/bench_kernels.py --benchmark-only`.

`extra_info` of every figure holds `million_per_s` (rows, or revaluations of one product under one scenario) from the
fastest round, and the CPU level. One core; the columns of 16,384 rows lie in the L2 cache.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xip_core import evaluate
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import cpu_level, load_module, read_cpu_flags, supported_levels

ROWS = 16_384
FIRST_ORDER = ("pv", "delta", "gamma", "vega", "theta", "rho")
LEVELS = supported_levels(
    platform.machine(), read_cpu_flags() if platform.machine() in ("x86_64", "AMD64") else frozenset()
)

# The others have their own benchmarks.
NAMES = ("bachelier.european", "black.european", "credit.cds_flat", "equity.european", "fx.european")

Columns = dict[str, np.ndarray]


def columns_of(name: str) -> Columns:
    random = np.random.default_rng(1)
    columns = {
        "forward": random.uniform(50.0, 150.0, ROWS),
        "spot": random.uniform(50.0, 150.0, ROWS),
        "strike": random.uniform(50.0, 150.0, ROWS),
        "time": random.uniform(0.05, 5.0, ROWS),
        "rate": random.uniform(-0.02, 0.08, ROWS),
        "dividend_yield": random.uniform(0.0, 0.05, ROWS),
        "volatility": random.uniform(0.05, 0.6, ROWS),
        "normal_volatility": random.uniform(5.0, 30.0, ROWS),
        "discount": random.uniform(0.7, 1.0, ROWS),
        "is_call": random.integers(0, 2, ROWS).astype(float),
        "notional": np.full(ROWS, 1e6),
        "coupon": random.uniform(0.0, 0.05, ROWS),
        "period": np.full(ROWS, 0.25),
        "hazard_rate": random.uniform(0.0, 0.1, ROWS),
        "recovery": np.full(ROWS, 0.4),
    }
    columns["domestic_rate"], columns["foreign_rate"] = columns["rate"], columns["dividend_yield"]
    return {column.name: columns[column.name] for column in catalogue()[name].columns}


def measure(benchmark: Any, work: Callable[[], object], count: int, level: str) -> None:
    benchmark.extra_info["level"] = level
    benchmark(work)
    benchmark.extra_info["million_per_s"] = round(count / benchmark.stats.stats.min / 1e6, 2)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_kernel_with_all_outputs(benchmark: Any, name: str, level: str) -> None:
    kernel = catalogue()[name]
    function = getattr(load_module(kernel.module, level), kernel.function)
    inputs = tuple(columns_of(name).values())
    outputs, status = tuple(np.empty(ROWS) for _ in kernel.outputs), np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: function(inputs, outputs, status), ROWS, level)


@pytest.mark.parametrize("level", LEVELS)
def test_equity_european_pv_and_five_greeks_in_the_kernel(benchmark: Any, level: str) -> None:
    inputs = tuple(columns_of("equity.european").values())
    outputs = (*(np.empty(ROWS) for _ in FIRST_ORDER), None, None, None)
    status = np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: load_module("equity", level).european(inputs, outputs, status), ROWS, level)


def test_equity_european_pv_and_five_greeks_through_evaluate(benchmark: Any) -> None:
    """At the level in use: XIP_CPU_LEVEL chooses another."""
    columns = columns_of("equity.european")
    measure(benchmark, lambda: evaluate("equity.european", outputs=FIRST_ORDER, **columns), ROWS, cpu_level())


def test_evaluate_of_one_row(benchmark: Any) -> None:
    columns = {name: values[:1] for name, values in columns_of("equity.european").items()}
    measure(benchmark, lambda: evaluate("equity.european", **columns), 1, cpu_level())


def a_swap_book(rows: int) -> Columns:
    """Ten-year semi-annual swaps: 60 terms of 4 references, over curves of 400 factors."""
    random = np.random.default_rng(3)
    terms = 60 * rows
    return {
        "row_begin": np.arange(rows + 1) * 60,
        "amount": random.normal(size=terms),
        "constant": np.ones(terms),
        "exponent_begin": np.arange(terms + 1, dtype=np.int32) * 4,
        "exponent_factor": random.integers(0, 400, 4 * terms).astype(np.int32),
        "exponent_weight": random.uniform(-1.0, 1.0, 4 * terms),
        "linear_begin": np.zeros(terms + 1, np.int32),
        "linear_factor": np.empty(0, np.int32),
        "linear_weight": np.empty(0),
    }


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scenarios", [1, 256])
def test_swap_revaluations(benchmark: Any, scenarios: int, level: str) -> None:
    book = a_swap_book(200)
    market = np.random.default_rng(4).normal(0.0, 0.1, (400, scenarios))
    rows = load_module("terms", level).rows
    measure(benchmark, lambda: rows(market, **book), 200 * scenarios, level)
