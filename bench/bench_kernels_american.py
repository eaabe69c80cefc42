"""Speed of American options: `python -m pytest bench/bench_kernels_american.py --benchmark-only -s`.

As bench_kernels.py, but 1,024 rows: `million_per_s` rows with all outputs, one core, from the fastest round. Where the
extra `[oracle]` is installed, QuantLib's fast scheme prices the same rows in the same run, and the errors of both are
measured against its high-precision scheme. Target 0.3 M/s at v4 and 5 x QuantLib at an error no larger.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, measure
from tests.core.kernels.american_book import american_book
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module

ROWS = 1024
KERNEL = catalogue()["equity.american"]


def a_book(calls: bool) -> dict[str, np.ndarray]:
    """Whole days, as QuantLib counts time; without calls no row is European."""
    columns = american_book(ROWS)
    columns["time"] = np.round(columns["time"] * 365.0) / 365.0
    if not calls:
        columns["is_call"] = np.zeros(ROWS)
    return columns


def evaluated(level: str, columns: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
    function = getattr(load_module(KERNEL.module, level), KERNEL.function)
    inputs = tuple(columns[column.name] for column in KERNEL.columns)
    outputs = {output.name: np.empty(ROWS) for output in KERNEL.outputs}
    status = np.empty(ROWS, np.uint8)
    return lambda: function(inputs, tuple(outputs.values()), status), outputs, status


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("book", ["calls and puts", "puts"])
def test_american_with_all_outputs(benchmark: Any, book: str, level: str) -> None:
    call, _, status = evaluated(level, a_book(calls=book != "puts"))
    measure(benchmark, call, ROWS, level)
    assert not status.any()


class QuantLibPuts:
    """One option object, its quotes moved from row to row: the way QuantLib is fastest from Python."""

    def __init__(self, ql: Any) -> None:
        self.ql, self.today = ql, ql.Date(1, 1, 2024)
        ql.Settings.instance().evaluationDate = self.today
        self.quotes = [ql.SimpleQuote(value) for value in (100.0, 0.03, 0.01, 0.2)]
        spot, rate, carry, volatility = (ql.QuoteHandle(quote) for quote in self.quotes)
        days = ql.Actual365Fixed()
        self.process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(self.today, carry, days)),
            ql.YieldTermStructureHandle(ql.FlatForward(self.today, rate, days)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(self.today, ql.NullCalendar(), volatility, days)),
        )

    def price(self, columns: dict[str, np.ndarray], scheme: Any) -> tuple[np.ndarray, float]:
        """Prices of puts, and seconds spent in moving quotes and pricing."""
        ql, payoff = self.ql, self.ql.PlainVanillaPayoff(self.ql.Option.Put, 100.0)
        engine = ql.QdFpAmericanEngine(self.process, scheme)
        options = []
        for years in columns["time"]:
            expiry = self.today + round(float(years) * 365.0)
            options.append(ql.VanillaOption(payoff, ql.AmericanExercise(self.today, expiry)))
            options[-1].setPricingEngine(engine)
        names = ("spot", "rate", "dividend_yield", "volatility")
        rows = list(zip(*(columns[name].tolist() for name in names), strict=True))
        prices, begin = [], time.perf_counter()
        for option, row in zip(options, rows, strict=True):
            for quote, cell in zip(self.quotes, row, strict=True):
                quote.setValue(cell)
            prices.append(option.NPV())
        return np.array(prices), time.perf_counter() - begin


def test_ratio_to_quantlib_at_equal_error(benchmark: Any) -> None:
    ql = pytest.importorskip("QuantLib", reason="the ratio needs the extra [oracle]")
    columns = a_book(calls=False)
    quantlib = QuantLibPuts(ql)
    truth, _ = quantlib.price(columns, ql.QdFpAmericanEngine.highPrecisionScheme())
    call, outputs, _ = evaluated(LEVELS[-1], columns)
    measure(benchmark, call, ROWS, LEVELS[-1])
    ours_s = benchmark.stats.stats.min
    benchmark.extra_info["our_error"] = float(np.abs(outputs["pv"] - truth).max())
    for name in ("fast", "accurate"):
        best = min(
            (quantlib.price(columns, getattr(ql.QdFpAmericanEngine, f"{name}Scheme")()) for _ in range(3)),
            key=lambda run: run[1],
        )
        benchmark.extra_info[f"{name}_rows_per_s"] = ROWS / best[1]
        benchmark.extra_info[f"{name}_error"] = float(np.abs(best[0] - truth).max())
        benchmark.extra_info[f"ratio_to_{name}"] = best[1] / ours_s
    print(dict(benchmark.extra_info))
