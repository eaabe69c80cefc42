"""Averages and partial lookbacks, drawn rows against QuantLib's engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.oracle.quantlib_options import (
    DAYS_A_YEAR,
    Columns,
    Row,
    assert_close,
    date_after,
    draw,
    equity_process,
    european,
    option_type,
    plain,
    values,
)
from xip_core import evaluate


def legs(columns: Columns) -> np.ndarray:
    shrink = np.exp(np.maximum(np.maximum(-columns["rate"], -columns["dividend_yield"]), 0.0) * columns["time"])
    return (columns["spot"] + columns["strike"]) * shrink


def test_continuous_averages_by_two_moments() -> None:
    """Levy's formula; QuantLib divides by the cost of carry and by what is left of the variance."""

    def price(row: Row) -> dict[str, float]:
        option = ql.ContinuousAveragingAsianOption(ql.Average.Arithmetic, plain(row), european(row["time"]))
        option.setPricingEngine(
            ql.ContinuousArithmeticAsianLevyEngine(
                equity_process(row), ql.QuoteHandle(ql.SimpleQuote(row["spot"])), date_after(0.0)
            )
        )
        return {"pv": option.NPV()}

    columns, random = draw(501, 1500), np.random.default_rng(501)
    columns["volatility"] = np.clip(columns["volatility"], 0.1, 1.0)
    columns["time"] = np.maximum(columns["time"], 90 / DAYS_A_YEAR)
    columns["dividend_yield"] = columns["rate"] - random.choice([-1.0, 1.0], 1500) * random.uniform(0.01, 0.06, 1500)
    ours = evaluate("equity.asian", **columns, first_fixing=0.0, fixing_count=0.0, past_weight=0.0, past_average=0.0)
    assert_close(ours, values(columns, price), {"pv": legs(columns)}, 1e-9)


def fixed_on_days(seed: int, rows: int, most: int) -> Columns:
    """Fixings equally spaced on whole days, the last at expiry; a third with a past."""
    random, columns = np.random.default_rng(seed), draw(seed, rows)
    gap, count = random.integers(1, 60, rows), random.integers(1, most, rows)
    first = random.integers(1, 400, rows)
    columns["time"] = (first + gap * (count - 1)) / DAYS_A_YEAR
    columns["volatility"] = np.clip(columns["volatility"], 1e-3, 1.0)
    past = np.where(random.random(rows) < 0.33, random.integers(1, 10, rows), 0)
    return columns | {
        "first_fixing": first / DAYS_A_YEAR,
        "fixing_count": count.astype(float),
        "past_weight": past / (past + count),
        "past_average": columns["spot"] * np.exp(random.normal(0.0, 0.1, rows)),
    }


def discrete(row: Row, average: Any, exercise: Any) -> Any:
    count = int(row["fixing_count"])
    gap = (row["time"] - row["first_fixing"]) / max(count - 1, 1)
    days = [date_after(round((row["first_fixing"] + gap * i) * DAYS_A_YEAR) / DAYS_A_YEAR) for i in range(count)]
    past = round(count * row["past_weight"] / (1.0 - row["past_weight"]))
    return ql.DiscreteAveragingAsianOption(average, past * row["past_average"], past, days, plain(row), exercise)


def test_discrete_averages_by_two_moments() -> None:
    def price(row: Row) -> dict[str, float]:
        option = discrete(row, ql.Average.Arithmetic, european(row["time"]))
        option.setPricingEngine(ql.TurnbullWakemanAsianEngine(equity_process(row)))
        return {"pv": option.NPV(), "delta": option.delta(), "gamma": option.gamma()}

    columns = fixed_on_days(502, 1500, 40)
    left = columns["strike"] - columns["past_weight"] * columns["past_average"]
    kept = left > 0.01 * columns["strike"]  # what the past has decided is no option to QuantLib
    columns = {name: cells[kept] for name, cells in columns.items()}
    theirs = values(columns, price)
    size, deviation = legs(columns), columns["volatility"] * np.sqrt(columns["first_fixing"])
    scale = {"pv": size, "delta": size / columns["spot"]}
    scale["gamma"] = scale["delta"] / columns["spot"] / np.minimum(deviation, 1.0)
    assert_close(evaluate("equity.asian", **columns), theirs, scale, 1e-9)


def test_conditioning_is_a_lower_bound_and_near() -> None:
    """Choi, Sum of all Black-Scholes-Merton models (2018): a quadrature that converges to the price Curran bounds."""

    def price(row: Row) -> dict[str, float]:
        option = discrete(row, ql.Average.Arithmetic, european(row["time"]))
        option.setPricingEngine(ql.ChoiAsianEngine(equity_process(row), 25.0))
        return {"pv": option.NPV()}

    columns = fixed_on_days(503, 400, 6)
    columns["past_weight"] = np.zeros(400)
    columns["volatility"] = np.clip(columns["volatility"], 0.02, 0.5)
    ours, theirs = evaluate("equity.asian_curran", **columns), values(columns, price)
    assert not ours["status"].any()
    short = (theirs["pv"] - ours["pv"]) / legs(columns)
    assert short.min() >= -1e-7
    assert short.max() <= 6e-5


def test_partial_lookbacks() -> None:
    """Fixed strikes watched from a day to expiry, floating ones from today to a day."""

    def price(row: Row) -> dict[str, float]:
        exercise, day = european(row["time"]), date_after(row["window"])
        if row["is_floating"]:
            payoff = ql.FloatingTypePayoff(option_type(row))
            option = ql.ContinuousPartialFloatingLookbackOption(
                row["spot"], row["strike_multiple"], day, payoff, exercise
            )
            option.setPricingEngine(ql.AnalyticContinuousPartialFloatingLookbackEngine(equity_process(row)))
        else:
            option = ql.ContinuousPartialFixedLookbackOption(day, plain(row), exercise)
            option.setPricingEngine(ql.AnalyticContinuousPartialFixedLookbackEngine(equity_process(row)))
        return {"pv": option.NPV()}

    rows = 2000
    random, columns = np.random.default_rng(504), draw(504, rows)
    days = random.integers(40, 3650, rows)
    columns["time"] = days / DAYS_A_YEAR
    columns["volatility"] = np.clip(columns["volatility"], 0.1, 0.8)
    columns["dividend_yield"] = columns["rate"] - random.choice([-1.0, 1.0], rows) * random.uniform(0.01, 0.06, rows)
    columns |= {
        "is_floating": random.integers(0, 2, rows).astype(float),
        "window": np.floor(days * random.uniform(0.1, 0.9, rows)) / DAYS_A_YEAR,
        "strike_multiple": np.where(columns["is_call"] > 0.0, 1.0, -1.0) * random.uniform(0.0, 0.3, rows) + 1.0,
    }
    scale = {"pv": 5.0 * (columns["spot"] + columns["strike"])}
    assert_close(evaluate("equity.lookback_partial", **columns), values(columns, price), scale, 1e-13)
