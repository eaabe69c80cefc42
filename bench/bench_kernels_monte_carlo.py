"""Speed of paths: `python -m pytest bench/bench_kernels_monte_carlo.py --benchmark-only`.

`million_per_s` path-steps from the fastest round, one core: a path-step is one observation date of one path with all
its assets, three here; asset-steps are three times as many. 2^16 paths of 12 dates, coupon and autocall barriers apart.
Target 60 M/s; what binds is derived in bench/README.md.

Beside it in the same run: the same note in straightforward NumPy (all paths of a date at once, one payoff a path, no
Greeks), and QuantLib's nearest, if installed (extra `[oracle]`): MCEuropeanBasketEngine on three assets and 12 dates
walks the same path-steps and pays at maturity alone, less work than a note.
"""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, measure
from tests.core.kernels.note_book import NAME, NOTE, note_columns
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module

EXPONENT, DATES = 16, 12
NOTE_OF_THREE_YEARS = NOTE | {
    "first_observation": 0.25,
    "interval": 0.25,
    "observation_count": DATES,
    "path_exponent": EXPONENT,
}
PATH_STEPS = DATES << EXPONENT
WANTED = {"pv": ("pv", "standard_error"), "all": tuple(output.name for output in catalogue()[NAME].outputs)}


def numpy_note(paths: int, seed: int) -> float:
    """pv of NOTE_OF_THREE_YEARS as one writes it down."""
    note = NOTE_OF_THREE_YEARS
    random = np.random.default_rng(seed)
    correlation = np.array([[1.0, 0.6, 0.5], [0.6, 1.0, 0.55], [0.5, 0.55, 1.0]])
    factor = np.linalg.cholesky(correlation)
    volatility, dividend, spot, initial = (
        np.array([note[f"{name}_{i}"] for i in (1, 2, 3)])
        for name in ("volatility", "dividend_yield", "spot", "initial")
    )
    drift, step = (note["rate"] - dividend - 0.5 * volatility**2) * 0.25, volatility * 0.5
    performance = np.tile(spot / initial, (paths, 1))
    alive, value = np.ones(paths, bool), np.zeros(paths)
    for date in range(DATES):
        performance *= np.exp(drift + step * (random.standard_normal((paths, 3)) @ factor.T))
        worst, discount = performance.min(axis=1), 100.0 * np.exp(-0.03 * 0.25 * (date + 1))
        value += alive * (worst >= 0.8) * (0.03 * discount)
        called = alive & (worst >= 1.0)
        value += called * discount
        alive &= ~called
    value += alive * np.where(worst < 0.6, worst, 1.0) * discount
    return float(value.mean())


def quantlib_seconds(paths: int) -> tuple[float, str]:
    """Seconds of QuantLib's basket of as many path-steps, pseudo-random; 0 where it is not installed."""
    if importlib.util.find_spec("QuantLib") is None:
        return 0.0, "not installed"
    import QuantLib as ql  # noqa: N813 - the name its users know it by

    today, days = ql.Date(1, 6, 2026), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    rate = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.03, days))
    processes = [
        ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(100.0)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, dividend, days)),
            rate,
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), volatility, days)),
        )
        for volatility, dividend in ((0.2, 0.02), (0.25, 0.01), (0.3, 0.0))
    ]
    correlation = ql.Matrix(3, 3, 0.55)
    for i in range(3):
        correlation[i][i] = 1.0
    option = ql.BasketOption(
        ql.MinBasketPayoff(ql.PlainVanillaPayoff(ql.Option.Put, 100.0)), ql.EuropeanExercise(today + 3 * 365)
    )
    option.setPricingEngine(
        ql.MCEuropeanBasketEngine(
            ql.StochasticProcessArray(processes, correlation),
            "pseudorandom",
            timeSteps=DATES,
            requiredSamples=paths,
            seed=42,
        )
    )
    begin = time.perf_counter()
    option.NPV()
    return time.perf_counter() - begin, ql.__version__


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "v2"])  # v2: fma in software, 20 times slower
@pytest.mark.parametrize("sampling", ["sobol", "philox"])
@pytest.mark.parametrize("outputs", sorted(WANTED))
def test_note_on_three_assets(benchmark: Any, outputs: str, sampling: str, level: str) -> None:
    columns = note_columns([NOTE_OF_THREE_YEARS | {"is_philox": int(sampling == "philox")}])
    module = load_module(catalogue()[NAME].module, level)
    numbers = {name: np.empty(1) for name in WANTED[outputs]}
    arrays, status = tuple(numbers.get(name) for name in module.OUTPUTS), np.empty(1, np.uint8)
    inputs = tuple(columns.values())
    measure(benchmark, lambda: module.autocallable(inputs, arrays, status), PATH_STEPS, level)
    assert not status.any()
    benchmark.extra_info["standard_error"] = float(numbers["standard_error"][0])
    ours = benchmark.stats.stats.min
    seconds = []
    for seed in range(3):
        begin = time.perf_counter()
        pv = numpy_note(1 << EXPONENT, seed)
        seconds.append(time.perf_counter() - begin)
        assert pv == pytest.approx(float(numbers["pv"][0]), abs=0.5)
    benchmark.extra_info["ratio_numpy"] = round(min(seconds) / ours, 1)
    quantlib_s, version = quantlib_seconds(1 << EXPONENT)
    benchmark.extra_info["quantlib"] = version
    benchmark.extra_info["ratio_quantlib_basket"] = round(quantlib_s / ours, 1)


@pytest.mark.parametrize("is_philox", [False, True])
@pytest.mark.parametrize("level", [level for level in LEVELS if level != "v2"])
def test_bridged_normals(benchmark: Any, level: str, is_philox: bool) -> None:
    """Asset-steps: three factors on 12 dates, 2^10 paths, copied out for Python."""
    module = load_module("monte_carlo", level)
    times = 0.25 * np.arange(1.0, DATES + 1.0)
    work = lambda: module.brownian(times, 3, 7, 14, 0, is_philox, 16)  # noqa: E731 - one expression, measured
    measure(benchmark, work, 1024 * 3 * DATES, level)
