"""QuantLib's flat world, one object a row: times are whole days of Act/365F, which QuantLib does not round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

Columns = dict[str, np.ndarray]
Row = dict[str, float]
TODAY = ql.Date(15, 1, 2020)
DAY_COUNT = ql.Actual365Fixed()
DAYS_A_YEAR = 365.0
ROWS = 2000

ql.Settings.instance().evaluationDate = TODAY


def date_after(time: float) -> Any:
    days = round(time * DAYS_A_YEAR)
    assert abs(days / DAYS_A_YEAR - time) < 1e-12, "times of oracle rows are whole days"
    return TODAY + days


def european(time: float) -> Any:
    return ql.EuropeanExercise(date_after(time))


def flat(rate: float) -> Any:
    return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, DAY_COUNT))


def process(spot: float, rate: float, carry: float, volatility: float) -> Any:
    surface = ql.BlackConstantVol(TODAY, ql.NullCalendar(), volatility, DAY_COUNT)
    return ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)), flat(carry), flat(rate), ql.BlackVolTermStructureHandle(surface)
    )


def equity_process(row: Row) -> Any:
    return process(row["spot"], row["rate"], row["dividend_yield"], row["volatility"])


def option_type(row: Row) -> Any:
    return ql.Option.Call if row["is_call"] else ql.Option.Put


def plain(row: Row) -> Any:
    return ql.PlainVanillaPayoff(option_type(row), row["strike"])


def draw(seed: int, rows: int = ROWS) -> Columns:
    """Options over what desks quote; a twentieth each of one day, tiny volatility, huge volatility, deep strikes."""
    random = np.random.default_rng(seed)
    spot = np.exp(random.uniform(np.log(0.5), np.log(5000.0), rows))
    columns = {
        "spot": spot,
        "time": random.integers(1, 3650, rows) / DAYS_A_YEAR,
        "rate": random.uniform(-0.03, 0.12, rows),
        "dividend_yield": random.uniform(-0.03, 0.08, rows),
        "volatility": np.exp(random.uniform(np.log(0.03), np.log(1.0), rows)),
        "is_call": random.integers(0, 2, rows).astype(float),
    }
    columns["time"][::20] = 1 / DAYS_A_YEAR
    columns["volatility"][5::20] = 1e-4
    columns["volatility"][10::20] = 3.0
    deviation = columns["volatility"] * np.sqrt(columns["time"])
    moneyness = random.normal(0.0, 1.0, rows) * np.minimum(deviation, 1.0)
    moneyness[15::20] *= 6.0
    return columns | {"strike": spot * np.exp(moneyness)}


def rows_of(columns: Columns) -> list[Row]:
    names = list(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*(columns[n].tolist() for n in names), strict=True)]


def values(columns: Columns, price: Callable[[Row], dict[str, float]]) -> Columns:
    """What *price* gives for every row, as columns."""
    results = [price(row) for row in rows_of(columns)]
    return {name: np.array([result[name] for result in results]) for name in results[0]}


def assert_close(ours: Columns, theirs: Columns, scale: Columns, tolerance: float) -> None:
    """Every output they have, to *tolerance* of its scale; every row good."""
    refused = np.flatnonzero(ours["status"])
    assert not len(refused), f"rows refused: {refused[:10].tolist()}"
    for name, expected in theirs.items():
        error = np.abs(ours[name] - expected) / scale[name]
        worst = int(np.argmax(np.where(np.isfinite(error), error, np.inf)))
        assert error[worst] <= tolerance, (
            f"{name} of row {worst}: ours {ours[name][worst]!r}, theirs {expected[worst]!r}, error {error[worst]:.3g}"
        )


def assert_decided(
    ours: np.ndarray, theirs: np.ndarray, scale: np.ndarray, exact: Callable[..., Any], columns: list[np.ndarray]
) -> None:
    """
    Equal to 1e-11 of *scale* in 99 rows of 100; in the others, where QuantLib's normal distribution loses digits in a
    tail that a large power multiplies, *exact* in 50 digits decides, and ours must be right to 1e-13.
    """
    apart = np.flatnonzero(~(np.abs(ours - theirs) <= 1e-11 * scale))
    assert len(apart) <= 0.01 * len(ours), f"{len(apart)} rows differ"
    with mp.workdps(50):
        for row in apart:
            truth = float(exact(*(mp.mpf(float(column[row])) for column in columns)))
            assert abs(ours[row] - truth) <= 1e-13 * scale[row], (row, ours[row], theirs[row], truth)
