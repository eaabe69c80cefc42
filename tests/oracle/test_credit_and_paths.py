"""Flat default swaps, spread options by Kirk and lookbacks, drawn rows against QuantLib's engines."""

from __future__ import annotations

import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.oracle.quantlib_options import (
    DAY_COUNT,
    DAYS_A_YEAR,
    TODAY,
    Columns,
    Row,
    assert_close,
    draw,
    equity_process,
    european,
    flat,
    option_type,
    plain,
    process,
    values,
)
from xip_core import evaluate


def test_flat_default_swaps() -> None:
    """Periods of whole, even numbers of days, so that QuantLib's middle of a period is a day."""

    def price(row: Row) -> dict[str, float]:
        period, end = round(row["period"] * DAYS_A_YEAR), round(row["time"] * DAYS_A_YEAR)
        dates = [TODAY + day for day in sorted({0, *range(end, 0, -period)})]
        terms = (row["notional"], row["coupon"], ql.Schedule(dates), ql.Unadjusted, DAY_COUNT)
        swap = ql.CreditDefaultSwap(ql.Protection.Buyer, *terms, True, True)
        hazard = ql.FlatHazardRate(TODAY, ql.QuoteHandle(ql.SimpleQuote(row["hazard_rate"])), DAY_COUNT)
        curve = ql.DefaultProbabilityTermStructureHandle(hazard)
        swap.setPricingEngine(ql.MidPointCdsEngine(curve, row["recovery"], flat(row["rate"])))
        return {"pv": swap.NPV()}

    random, rows = np.random.default_rng(301), 2000
    period = 2 * random.integers(15, 183, rows)
    stub = 2 * random.integers(1, 15, rows)
    columns = {
        "notional": np.exp(random.uniform(0.0, 20.0, rows)),
        "coupon": random.uniform(0.0, 0.1, rows),
        "time": (period * random.integers(1, 20, rows) + stub) / DAYS_A_YEAR,
        "period": period / DAYS_A_YEAR,
        "rate": random.uniform(-0.02, 0.1, rows),
        "hazard_rate": np.where(random.uniform(size=rows) < 0.05, 0.0, np.exp(random.uniform(-9.0, 0.5, rows))),
        "recovery": random.uniform(0.0, 1.0, rows),
    }
    assert_close(evaluate("credit.cds_flat", **columns), values(columns, price), {"pv": columns["notional"]}, 1e-12)


def test_spread_options_by_kirk() -> None:
    def price(row: Row) -> dict[str, float]:
        pair = [
            process(row[f"{name}_spot"], row["rate"], row[f"{name}_yield"], row[f"{name}_volatility"])
            for name in ("first", "second")
        ]
        payoff = ql.SpreadBasketPayoff(ql.PlainVanillaPayoff(option_type(row), row["strike"]))
        option = ql.BasketOption(payoff, european(row["time"]))
        option.setPricingEngine(ql.KirkEngine(*pair, row["correlation"]))
        return {"pv": option.NPV()}

    random, drawn = np.random.default_rng(302), draw(302)
    columns = {
        "first_spot": drawn["spot"],
        "second_spot": drawn["strike"],
        "strike": drawn["spot"] * random.uniform(0.0, 0.3, 2000),
        "time": drawn["time"],
        "rate": drawn["rate"],
        "first_yield": drawn["dividend_yield"],
        "second_yield": random.uniform(-0.03, 0.08, 2000),
        "first_volatility": np.clip(drawn["volatility"], 0.03, 1.0),
        "second_volatility": random.uniform(0.05, 0.6, 2000),
        "correlation": random.uniform(-0.95, 0.95, 2000),
        "is_call": drawn["is_call"],
    }
    scale = {"pv": 2.0 * (columns["first_spot"] + columns["second_spot"] + columns["strike"])}
    assert_close(evaluate("equity.spread", **columns), values(columns, price), scale, 1e-11)


def lookbacks(seed: int) -> Columns:
    random, columns = np.random.default_rng(seed), draw(seed)
    columns["volatility"] = np.clip(columns["volatility"], 0.05, 1.0)
    columns["dividend_yield"] = columns["rate"] - random.choice([-1.0, 1.0], 2000) * random.uniform(0.005, 0.06, 2000)
    return columns | {"away": np.exp(random.uniform(0.0, 0.3, 2000))}


def test_lookbacks_with_floating_and_with_fixed_strikes() -> None:
    """QuantLib divides by the cost of carry, so it keeps away from none of it here."""

    def price(row: Row) -> dict[str, float]:
        exercise, extreme = european(row["time"]), row["running_extreme"]
        if row["is_floating"]:
            option = ql.ContinuousFloatingLookbackOption(extreme, ql.FloatingTypePayoff(option_type(row)), exercise)
            option.setPricingEngine(ql.AnalyticContinuousFloatingLookbackEngine(equity_process(row)))
        else:
            option = ql.ContinuousFixedLookbackOption(extreme, plain(row), exercise)
            option.setPricingEngine(ql.AnalyticContinuousFixedLookbackEngine(equity_process(row)))
        return {"pv": option.NPV()}

    columns = lookbacks(303)
    away = columns.pop("away")
    columns["is_floating"] = np.random.default_rng(12).integers(0, 2, 2000).astype(float)
    is_least = columns["is_floating"] == columns["is_call"]
    columns["running_extreme"] = np.where(is_least, columns["spot"] / away, columns["spot"] * away)
    scale = {"pv": 5.0 * (columns["spot"] + columns["strike"])}
    assert_close(evaluate("equity.lookback", **columns), values(columns, price), scale, 1e-9)
