"""Baskets by Monte Carlo, drawn rows against QuantLib's formulas and quadratures."""

from __future__ import annotations

from typing import Any

import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.oracle.quantlib_options import Columns, Row, draw, european, option_type, process, values
from xip_core import evaluate

WORST, BEST, MEAN = 0.0, 1.0, 2.0
PATH_EXPONENT = 12


def baskets(seed: int, rows: int, assets: int) -> Columns:
    random, drawn = np.random.default_rng(seed), draw(seed, rows)
    columns = {name: drawn[name] for name in ("time", "rate", "is_call")}
    columns["time"] = np.minimum(columns["time"], 5.0)
    # Loadings on one factor: correlations that go together.
    loading = random.uniform(-0.95, 0.95, (3, rows))
    for name, (i, j) in {"12": (0, 1), "13": (0, 2), "23": (1, 2)}.items():
        columns[f"correlation_{name}"] = loading[i] * loading[j]
    for i in (1, 2, 3):
        columns[f"spot_{i}"] = 100.0 * np.exp(random.normal(0.0, 0.1, rows))
        columns[f"volatility_{i}"] = random.uniform(0.05, 0.5, rows)
        columns[f"dividend_yield_{i}"] = random.uniform(-0.02, 0.06, rows)
    columns["strike"] = 100.0 * np.exp(random.normal(0.0, 0.15, rows))
    fixed = {"asset_count": assets, "path_exponent": PATH_EXPONENT, "is_philox": 0, "seed": 11}
    return columns | {name: np.full(rows, float(value)) for name, value in fixed.items()}


def processes(row: Row, assets: int) -> list[Any]:
    return [
        process(row[f"spot_{i}"], row["rate"], row[f"dividend_yield_{i}"], row[f"volatility_{i}"])
        for i in range(1, assets + 1)
    ]


def assert_within_errors(columns: Columns, theirs: np.ndarray, slack: float) -> None:
    """
    The mean of scrambled Sobol over 16 replicates: its error over its own estimate is about Student's t with 15 degrees
    of freedom. *slack* is QuantLib's own error. Prices below 0.05 hang on a handful of paths: they must be small too.
    """
    ours = evaluate("equity.basket", **columns)
    assert not ours["status"].any()
    seen = theirs > 0.05
    assert np.abs(ours["pv"] - theirs)[~seen].max() <= 0.02
    deviations = ((ours["pv"] - theirs) / (ours["standard_error"] + slack))[seen]
    assert np.abs(deviations).max() <= 7.0
    assert abs(deviations.mean()) <= 0.2
    assert 0.5 <= deviations.std() <= 1.4
    assert np.median(ours["standard_error"]) <= 0.02


def test_the_worst_and_the_best_of_two_by_stulz() -> None:
    def price(row: Row) -> dict[str, float]:
        plain = ql.PlainVanillaPayoff(option_type(row), row["strike"])
        payoff = ql.MinBasketPayoff(plain) if row["basket_type"] == WORST else ql.MaxBasketPayoff(plain)
        option = ql.BasketOption(payoff, european(row["time"]))
        option.setPricingEngine(ql.StulzEngine(*processes(row, 2), row["correlation_12"]))
        return {"pv": option.NPV()}

    columns = baskets(801, 1000, 2)
    columns["basket_type"] = np.random.default_rng(801).choice([WORST, BEST], 1000)
    assert_within_errors(columns, values(columns, price)["pv"], 1e-9)


def test_the_mean_of_three_by_choi() -> None:
    """Sum of all Black-Scholes-Merton models (2018), a quadrature; its error at this density is below 1e-4."""

    def price(row: Row) -> dict[str, float]:
        rho = ql.Matrix(3, 3, 1.0)
        for i, j in ((1, 2), (1, 3), (2, 3)):
            rho[i - 1][j - 1] = rho[j - 1][i - 1] = row[f"correlation_{i}{j}"]
        payoff = ql.AverageBasketPayoff(ql.PlainVanillaPayoff(option_type(row), row["strike"]), 3)
        option = ql.BasketOption(payoff, european(row["time"]))
        option.setPricingEngine(ql.ChoiBasketEngine(processes(row, 3), rho, 15.0))
        return {"pv": option.NPV()}

    columns = baskets(802, 300, 3) | {"basket_type": np.full(300, MEAN)}
    assert_within_errors(columns, values(columns, price)["pv"], 1e-4)
