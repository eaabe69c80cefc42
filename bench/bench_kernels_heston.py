"""Speed of equity.heston, beside QuantLib's engines: `python -m pytest bench/bench_kernels_heston.py --benchmark-only`.

As bench_kernels.py: `million_per_s` rows with all 11 outputs, one core, from the fastest round. The last figures price
64 rows with QuantLib 1.44's AnalyticHestonEngine, price alone, by its default (144 Gauss-Laguerre points) and by its
adaptive Gauss-Lobatto to 1e-10, and give the errors of both against the twin of `kernels/reference.py`. They need
`pip install .[oracle]`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, measure
from tests.core.kernels.exotic_book import row_of
from tests.core.kernels.heston_book import heston_book
from xip_core import evaluate
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module
from xip_core.kernels.reference import TWINS

NAME = "equity.heston"
ROWS = 4096


@pytest.mark.parametrize("level", LEVELS)
def test_heston_with_all_outputs(benchmark: Any, level: str) -> None:
    inputs = tuple(heston_book(ROWS).values())
    outputs, status = tuple(np.empty(ROWS) for _ in catalogue()[NAME].outputs), np.empty(ROWS, np.uint8)
    function = load_module("heston", level).heston
    measure(benchmark, lambda: function(inputs, outputs, status), ROWS, level)
    assert not status.any()


def quantlib_options(ql: Any, columns: dict[str, np.ndarray], engine: str) -> list[Any]:
    """One option a row on a process of its own; times are whole days of Actual/365."""
    today, options = ql.Date(1, 1, 2020), []
    ql.Settings.instance().evaluationDate = today
    day_count = ql.Actual365Fixed()

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, rate, day_count))

    for place in range(len(columns["spot"])):
        row = row_of(columns, place)
        spot = ql.QuoteHandle(ql.SimpleQuote(row["spot"]))
        process = ql.HestonProcess(
            flat(row["rate"]), flat(row["dividend_yield"]), spot, row["v0"], row["kappa"], row["theta"], row["sigma"],
            row["rho"],
        )
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(ql.Option.Call if row["is_call"] else ql.Option.Put, row["strike"]),
            ql.EuropeanExercise(today + round(row["time"] * 365)),
        )
        model = ql.HestonModel(process)
        if engine == "laguerre":
            option.setPricingEngine(ql.AnalyticHestonEngine(model, 144))
        else:
            option.setPricingEngine(ql.AnalyticHestonEngine(model, 1e-10, 100000))
        options.append(option)
    return options


@pytest.mark.parametrize("engine", ["laguerre", "adaptive"])
def test_beside_quantlib(benchmark: Any, engine: str) -> None:
    ql = pytest.importorskip("QuantLib", reason="needs QuantLib: pip install .[oracle]")
    columns = heston_book(64)
    columns["time"] = np.maximum(np.round(columns["time"] * 365), 1.0) / 365
    options = quantlib_options(ql, columns, engine)
    wide = {name: np.tile(cells, 64) for name, cells in columns.items()}
    ours_s, theirs_s, value, theirs = [], [], {}, []
    for _ in range(20 if engine == "laguerre" else 5):
        begin = time.perf_counter()
        value = evaluate(NAME, **wide)
        ours_s.append((time.perf_counter() - begin) / len(wide["spot"]))
        begin = time.perf_counter()
        for option in options:
            option.recalculate()
        theirs_s.append((time.perf_counter() - begin) / len(options))
        theirs = [option.NPV() for option in options]
    truth = np.array([TWINS[NAME](**row_of(columns, place))["pv"] for place in range(64)])
    benchmark.extra_info |= {
        "ratio": min(theirs_s) / min(ours_s),
        "quantlib_us": 1e6 * min(theirs_s),
        "error": float(np.abs(value["pv"][:64] - truth).max()),
        "quantlib_error": float(np.abs(np.array(theirs) - truth).max()),
        "quantlib_error_median": float(np.median(np.abs(np.array(theirs) - truth))),
    }
    benchmark.pedantic(lambda: evaluate(NAME, **wide), rounds=3)
