"""Speed of FX deltas and smiles: `python -m pytest bench/bench_kernels_volatility.py --benchmark-only`.

As bench_kernels.py: `million_per_s` rows with all outputs, one core, 16,384 rows, from the fastest round. Where
QuantLib is installed, the ratio to its own function, called row by row from Python as its users do.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, ROWS, measure
from tests.core.kernels.test_fx_delta import a_book as deltas
from tests.core.kernels.test_smile import a_book as smiles
from tests.core.pricing.smile_market import FX_QUOTES, fx_smile, snapshot_with
from xip_core import evaluate
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module
from xip_core.model.market_smiles import SmileModel
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.market_layout import SnapshotLayout

KERNELS = (
    "fx.delta", "fx.strike_of_delta", "fx.atm_strike", "volatility.sabr", "volatility.sabr_normal", "volatility.svi",
)  # fmt: skip
SCENARIOS = 256


def columns_of(name: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    found = (deltas if name.startswith("fx.") else smiles)(ROWS)
    if name.startswith("fx."):
        found["delta"] = evaluate("fx.delta", outputs="delta", **found)["delta"]
    found["atm_type"] = random.integers(0, 5, ROWS).astype(float)
    found |= {"log_moneyness": random.normal(0.0, 0.3, ROWS), "a": np.full(ROWS, 0.02), "b": np.full(ROWS, 0.2)}
    found |= {"m": random.normal(0.0, 0.1, ROWS), "sigma": random.uniform(0.05, 0.5, ROWS)}
    found["time"] = np.maximum(found["time"], 0.01)
    return {column.name: found[column.name] for column in catalogue()[name].columns}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", KERNELS)
def test_volatility_kernel_with_all_outputs(benchmark: Any, name: str, level: str) -> None:
    kernel = catalogue()[name]
    function = getattr(load_module(kernel.module, level), kernel.function)
    inputs = tuple(columns_of(name).values())
    outputs, status = tuple(np.empty(ROWS) for _ in kernel.outputs), np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: function(inputs, outputs, status), ROWS, level)
    assert not status.any()
    if name == "volatility.sabr":
        add_ratio_to_quantlib(benchmark, inputs)


def add_ratio_to_quantlib(benchmark: Any, inputs: tuple[np.ndarray, ...]) -> None:
    """`ratio_to_quantlib`: rows a second of ours over calls a second of sabrVolatility, which gives no derivatives."""
    try:
        import QuantLib
    except ImportError:
        return
    forward, strike, years, alpha, beta, rho, nu, _ = (column[:2000].tolist() for column in inputs)
    begin = time.perf_counter()
    for row in range(2000):
        QuantLib.sabrVolatility(strike[row], forward[row], years[row], alpha[row], beta[row], nu[row], rho[row])
    row_s = (time.perf_counter() - begin) / 2000.0
    benchmark.extra_info["ratio_to_quantlib"] = benchmark.extra_info["million_per_s"] * 1e6 * row_s


@pytest.mark.parametrize("model", ["spline", "sabr", "svi"])
def test_surface_of_three_expiries_calibrated_in_scenarios(benchmark: Any, model: SmileModel) -> None:
    """`surfaces_per_s`: five quotes an expiry, every scenario with quotes of its own, curves and spot standing."""
    snapshot = snapshot_with(fx_smile(model, volatility_error_max=0.01), FX_QUOTES)
    calibrator = calibrator_of(snapshot, SnapshotLayout(snapshot))
    random = np.random.default_rng(2)
    quotes = [
        {name: value + 0.001 * shift for name, value in FX_QUOTES.items()} for shift in random.uniform(-1, 1, SCENARIOS)
    ]
    calibrator.base_market()
    _, failures = benchmark(calibrator.calibrate, quotes)
    assert not failures
    benchmark.extra_info["surfaces_per_s"] = SCENARIOS / benchmark.stats.stats.min
