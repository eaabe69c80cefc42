"""Closed-form exotics, drawn rows against QuantLib's engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.core.kernels import exact_exotic
from tests.oracle.quantlib_options import (
    TODAY,
    Columns,
    Row,
    assert_close,
    assert_decided,
    date_after,
    draw,
    equity_process,
    european,
    option_type,
    plain,
    process,
    values,
)
from xip_core import evaluate
from xip_core.kernels.catalogue import catalogue

BARRIERS = (ql.Barrier.DownIn, ql.Barrier.DownOut, ql.Barrier.UpIn, ql.Barrier.UpOut)


def legs(columns: Columns) -> np.ndarray:
    shrink = np.exp(np.maximum(np.maximum(-columns["rate"], -columns["dividend_yield"]), 0.0) * columns["time"])
    return (columns["spot"] + columns["strike"]) * shrink


def decide(name: str, ours: Columns, theirs: Columns, columns: Columns, exact: Callable[..., Any]) -> None:
    assert not ours["status"].any()
    inputs = [columns[column.name] for column in catalogue()[name].columns]
    assert_decided(ours["pv"], theirs["pv"], legs(columns), exact, inputs)


def with_barrier(seed: int, rows: int) -> Columns:
    """Barriers from next to the spot to half of it away; nothing is hit yet."""
    random, columns = np.random.default_rng(seed), draw(seed, rows)
    columns["volatility"] = np.clip(columns["volatility"], 0.03, 1.0)
    kind = random.integers(0, 4, rows).astype(float)
    away = np.where(kind < 2, -1.0, 1.0) * random.uniform(0.005, 0.6, rows)
    return columns | {"barrier_type": kind, "barrier": columns["spot"] * np.exp(away)}


def test_barriers_with_rebates() -> None:
    def price(row: Row) -> dict[str, float]:
        kind = BARRIERS[int(row["barrier_type"])]
        option = ql.BarrierOption(kind, row["barrier"], row["rebate"], plain(row), european(row["time"]))
        option.setPricingEngine(ql.AnalyticBarrierEngine(equity_process(row)))
        return {"pv": option.NPV()}

    columns = with_barrier(201, 2000)
    columns["rebate"] = columns["spot"] * np.random.default_rng(7).choice([0.0, 0.05], 2000)
    ours = evaluate("equity.barrier", **columns)
    known = ours["status"] == 0  # a rebate at hit has no closed form at some negative rates
    assert known.mean() > 0.9
    columns = {name: cells[known] for name, cells in columns.items()}
    kept = {name: cells[known] for name, cells in ours.items()}
    decide("equity.barrier", kept, values(columns, price), columns, exact_exotic.barrier)


def test_digitals_and_their_greeks() -> None:
    def price(row: Row) -> dict[str, float]:
        payoff = (
            ql.AssetOrNothingPayoff(option_type(row), row["strike"])
            if row["is_asset"]
            else ql.CashOrNothingPayoff(option_type(row), row["strike"], row["cash"])
        )
        option = ql.VanillaOption(payoff, european(row["time"]))
        option.setPricingEngine(ql.AnalyticEuropeanEngine(equity_process(row)))
        return {"pv": option.NPV(), "delta": option.delta(), "gamma": option.gamma(), "vega": option.vega()}

    columns, random = draw(202), np.random.default_rng(8)
    columns |= {"cash": columns["spot"], "is_asset": random.integers(0, 2, 2000).astype(float)}
    deviation = columns["volatility"] * np.sqrt(columns["time"])
    size = legs(columns)
    scale = {"pv": size, "delta": size / columns["spot"] / deviation}
    scale |= {"gamma": scale["delta"] / columns["spot"] / deviation, "vega": size / columns["volatility"]}
    scale["vega"] = size * (1.0 + 1.0 / columns["volatility"]) / np.minimum(deviation, 1.0)
    assert_close(evaluate("equity.digital", **columns), values(columns, price), scale, 1e-11)


def test_digitals_with_a_barrier() -> None:
    def price(row: Row) -> dict[str, float]:
        payoff = (
            ql.AssetOrNothingPayoff(option_type(row), row["strike"])
            if row["is_asset"]
            else ql.CashOrNothingPayoff(option_type(row), row["strike"], row["cash"])
        )
        exercise = ql.AmericanExercise(TODAY, date_after(row["time"]), True)
        option = ql.BarrierOption(BARRIERS[int(row["barrier_type"])], row["barrier"], 0.0, payoff, exercise)
        option.setPricingEngine(ql.AnalyticBinaryBarrierEngine(equity_process(row)))
        return {"pv": option.NPV()}

    columns, random = with_barrier(203, 2000), np.random.default_rng(9)
    columns |= {"cash": columns["spot"], "is_asset": random.integers(0, 2, 2000).astype(float)}
    ours = evaluate("equity.digital_barrier", **columns)
    decide("equity.digital_barrier", ours, values(columns, price), columns, exact_exotic.digital_barrier)


def test_one_touches() -> None:
    def price(row: Row) -> dict[str, float]:
        kind = ql.Option.Put if row["barrier_type"] == 0.0 else ql.Option.Call
        payoff = (
            ql.AssetOrNothingPayoff(kind, row["barrier"])
            if row["is_asset"]
            else ql.CashOrNothingPayoff(kind, row["barrier"], row["cash"])
        )
        exercise = ql.AmericanExercise(TODAY, date_after(row["time"]), row["pays_at_hit"] == 0.0)
        option = ql.VanillaOption(payoff, exercise)
        option.setPricingEngine(ql.AnalyticDigitalAmericanEngine(equity_process(row)))
        return {"pv": option.NPV()}

    columns, random = with_barrier(204, 2000), np.random.default_rng(10)
    columns["barrier_type"] = np.where(columns["barrier_type"] < 2, 0.0, 2.0)
    columns["rate"] = np.abs(columns["rate"])
    columns |= {"cash": columns["spot"], "is_asset": random.integers(0, 2, 2000).astype(float)}
    columns["pays_at_hit"] = random.integers(0, 2, 2000).astype(float)
    names = ("spot", "barrier", "time", "rate", "dividend_yield", "volatility", "barrier_type", "cash", "is_asset")
    ours = evaluate("equity.touch", **{name: columns[name] for name in (*names, "pays_at_hit")})
    decide("equity.touch", ours, values(columns, price), columns, exact_exotic.touch)


def two_assets(seed: int) -> Columns:
    first, random = draw(seed), np.random.default_rng(seed)
    return {
        "first_spot": first["spot"],
        "second_spot": first["strike"],
        "time": first["time"],
        "first_yield": first["dividend_yield"],
        "second_yield": random.uniform(-0.03, 0.08, 2000),
        "first_volatility": np.clip(first["volatility"], 0.03, 1.0),
        "second_volatility": random.uniform(0.05, 0.6, 2000),
        "correlation": random.uniform(-0.95, 0.95, 2000),
    }


def test_exchange_options() -> None:
    def price(row: Row) -> dict[str, float]:
        pair = [process(row[f"{n}_spot"], 0.02, row[f"{n}_yield"], row[f"{n}_volatility"]) for n in ("first", "second")]
        option = ql.MargrabeOption(1, 1, european(row["time"]))
        option.setPricingEngine(ql.AnalyticEuropeanMargrabeEngine(*pair, row["correlation"]))
        return {"pv": option.NPV(), "first_delta": option.delta1(), "second_delta": option.delta2()}

    columns = two_assets(205)
    size = (columns["first_spot"] + columns["second_spot"]) * 1.4
    scale = {"pv": size, "first_delta": size / columns["first_spot"], "second_delta": size / columns["second_spot"]}
    assert_close(evaluate("equity.margrabe", **columns), values(columns, price), scale, 1e-11)


def test_continuous_geometric_averages() -> None:
    def price(row: Row) -> dict[str, float]:
        option = ql.ContinuousAveragingAsianOption(ql.Average.Geometric, plain(row), european(row["time"]))
        option.setPricingEngine(ql.AnalyticContinuousGeometricAveragePriceAsianEngine(equity_process(row)))
        return {"pv": option.NPV(), "delta": option.delta()}

    columns = draw(206)
    value = evaluate("equity.asian_geometric", **columns, first_fixing=0.0, fixing_count=0.0)
    scale = {"pv": legs(columns), "delta": legs(columns) / columns["spot"]}
    assert_close(value, values(columns, price), scale, 1e-11)


def test_jumps_are_a_poisson_sum_of_quantlibs_black() -> None:
    def price(row: Row) -> dict[str, float]:
        log_jump = row["mean_log_jump"] + 0.5 * row["jump_volatility"] ** 2
        mean = row["jump_intensity"] * row["time"]
        drift = (row["rate"] - row["dividend_yield"] - row["jump_intensity"] * math.expm1(log_jump)) * row["time"]
        discount, chance, total = math.exp(-row["rate"] * row["time"]), math.exp(-mean), 0.0
        for jumps in range(90):
            variance = row["volatility"] ** 2 * row["time"] + jumps * row["jump_volatility"] ** 2
            forward = row["spot"] * math.exp(drift + jumps * log_jump)
            black = ql.blackFormula(option_type(row), row["strike"], forward, math.sqrt(variance), discount)
            total += chance * black
            chance *= mean / (jumps + 1)
        return {"pv": total}

    columns, random = draw(207), np.random.default_rng(11)
    columns |= {"jump_intensity": random.uniform(0.0, 1.5, 2000), "mean_log_jump": random.uniform(-0.3, 0.1, 2000)}
    columns["jump_volatility"] = random.uniform(0.0, 0.3, 2000)
    assert_close(evaluate("equity.merton", **columns), values(columns, price), {"pv": legs(columns)}, 1e-11)
