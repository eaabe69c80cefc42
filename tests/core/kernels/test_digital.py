"""equity.digital, equity.digital_barrier and equity.touch: accuracy, Greeks, tables, sums, limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact_exotic
from tests.core.kernels.exotic_book import exotic_book
from tests.core.kernels.exotic_checks import (
    BARRIER_TYPES,
    SPOT_GREEKS,
    assert_greeks,
    calls,
    column,
    largest_price_error,
    needs_reference,
    table,
)
from xip_core import evaluate

EXACT: dict[str, Callable[..., mp.mpf]] = {
    "equity.digital": exact_exotic.digital,
    "equity.digital_barrier": exact_exotic.digital_barrier,
    "equity.touch": exact_exotic.touch,
}
MARKET = {"spot": "s", "time": "t", "rate": "r", "dividend_yield": "q", "volatility": "v"}
TOUCH = {
    "spot": 100.0,
    "barrier": 90.0,
    "time": 1.0,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.25,
    "barrier_type": 0.0,
    "cash": 15.0,
    "is_asset": 0.0,
    "pays_at_hit": 0.0,
}


def market(rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    return {ours: column(rows, theirs) for ours, theirs in MARKET.items()}


def test_haug_examples_of_plain_digitals() -> None:
    """E. Haug, 2nd edition, sections 4.19.2 and 4.19.3."""
    put = {"is_call": 0, "cash": 10.0}
    cash = evaluate(
        "equity.digital",
        **put | {"spot": 100, "strike": 80, "time": 0.75, "rate": 0.06, "dividend_yield": 0.06, "volatility": 0.35},
        is_asset=0,
    )
    asset = evaluate(
        "equity.digital",
        **put | {"spot": 70, "strike": 65, "time": 0.5, "rate": 0.07, "dividend_yield": 0.05, "volatility": 0.27},
        is_asset=1,
    )
    assert float(cash["pv"]) == pytest.approx(2.6710, abs=5e-5)
    assert float(asset["pv"]) == pytest.approx(20.2069, abs=5e-5)


@needs_reference
@pytest.mark.parametrize("paid", ["cash", "asset"])
def test_haug_barrier_digitals(paid: str) -> None:
    rows = table(f"binary_barrier_{paid}_haug.csv")
    value = evaluate(
        "equity.digital_barrier",
        **market(rows),
        strike=column(rows, "strike"),
        is_call=calls(rows),
        cash=column(rows, "cash"),
        is_asset=float(paid == "asset"),
        barrier=column(rows, "barrier"),
        barrier_type=[BARRIER_TYPES[row["barrierType"]] for row in rows],
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 1e-4


@needs_reference
@pytest.mark.parametrize(
    ("name", "is_asset", "at_hit"),
    [("cash_hit", 0, 1), ("asset_hit", 1, 1), ("cash_expiry", 0, 0), ("asset_expiry", 1, 0)],
)
def test_haug_touches(name: str, is_asset: int, at_hit: int) -> None:
    """A put is a touch below, a call one above; two expected values of the table are factors, as its notes say."""
    rows = table(f"digital_american_{name}.csv")
    factor = 105.0 if is_asset else 15.0
    expected = np.array(
        [
            factor * math.exp(float(row["result"][4:-1])) if row["result"].startswith("exp") else float(row["result"])
            for row in rows
        ]
    )
    value = evaluate(
        "equity.touch",
        **market(rows),
        barrier=column(rows, "strike"),
        barrier_type=2.0 * calls(rows) + np.array([row["knockin"] == "false" for row in rows]),
        cash=15.0,
        is_asset=is_asset,
        pays_at_hit=at_hit,
    )
    tolerance = np.maximum(column(rows, "tol"), 1e-13)
    assert (np.abs(value["pv"] - expected) <= tolerance).all()


@pytest.mark.parametrize("name", EXACT)
def test_price_is_within_2e_15_of_what_is_paid(name: str) -> None:
    rows = 100 if name == "equity.digital" else 40
    columns = exotic_book(name, rows, seed=8)
    scale = np.where(columns["is_asset"] > 0, np.maximum(columns["spot"], 1.0), np.maximum(columns["cash"], 1.0))
    assert largest_price_error(EXACT[name], columns, evaluate(name, **columns)["pv"], scale) <= 2e-15


def test_touch_paid_at_hit_is_the_integral_of_the_first_passage() -> None:
    columns = exotic_book("equity.touch", 20, seed=9)
    columns |= {"barrier_type": columns["barrier_type"] - columns["barrier_type"] % 2, "pays_at_hit": np.ones(20)}
    pv = evaluate("equity.touch", **columns)["pv"]
    assert largest_price_error(exact_exotic.first_passage, columns, pv, np.maximum(pv, 1.0)) <= 2e-15


@pytest.mark.parametrize("name", ["equity.digital", "equity.touch"])
def test_greeks_are_derivatives_of_the_price(name: str) -> None:
    columns = exotic_book(name, 40, seed=14)
    assert_greeks(EXACT[name], columns, evaluate(name, **columns), SPOT_GREEKS, rel=1e-10, smallest=1e-12)


def test_vanilla_barrier_is_asset_digital_less_strikes_of_cash_digital() -> None:
    """The same eight legs weighted anew: prices and Greeks, those of equity.barrier tested on their own."""
    columns = exotic_book("equity.barrier", 500) | {"rebate": np.zeros(500)}
    vanilla = evaluate("equity.barrier", **columns)
    del columns["rebate"]
    asset = evaluate("equity.digital_barrier", **columns, cash=1.0, is_asset=1)
    cash = evaluate("equity.digital_barrier", **columns, cash=columns["strike"], is_asset=0)
    sign = 2.0 * columns["is_call"] - 1.0
    for output in ("pv", "delta", "gamma", "vega"):
        size = np.abs(asset[output]) + np.abs(cash[output]) + np.abs(vanilla[output]) + 10.0
        assert (np.abs(sign * (asset[output] - cash[output]) - vanilla[output]) / size).max() <= 1e-13, output


def test_call_and_put_digitals_sum_to_what_is_paid() -> None:
    columns = exotic_book("equity.digital", 1000)
    both = sum(evaluate("equity.digital", **columns | {"is_call": np.full(1000, flag)})["pv"] for flag in (0.0, 1.0))
    asset = columns["spot"] * np.exp(-columns["dividend_yield"] * columns["time"])
    cash = columns["cash"] * np.exp(-columns["rate"] * columns["time"])
    assert both == pytest.approx(np.where(columns["is_asset"] > 0, asset, cash), rel=1e-14)


def test_touch_and_no_touch_at_expiry_sum_to_what_is_paid() -> None:
    columns = exotic_book("equity.touch", 1000) | {"pays_at_hit": np.zeros(1000)}
    up = 2.0 * (columns["barrier_type"] >= 2)
    both = sum(evaluate("equity.touch", **columns | {"barrier_type": up + flag})["pv"] for flag in (0.0, 1.0))
    asset = columns["spot"] * np.exp(-columns["dividend_yield"] * columns["time"])
    cash = columns["cash"] * np.exp(-columns["rate"] * columns["time"])
    assert both == pytest.approx(np.where(columns["is_asset"] > 0, asset, cash), rel=1e-14)


def test_in_and_out_digitals_sum_to_the_plain_one() -> None:
    columns = exotic_book("equity.digital_barrier", 1000)
    up = 2.0 * (columns["barrier_type"] >= 2)
    both = [evaluate("equity.digital_barrier", **columns | {"barrier_type": up + flag}) for flag in (0.0, 1.0)]
    plain = {name: columns[name] for name in columns if not name.startswith("barrier")}
    value = evaluate("equity.digital", **plain)
    for output in ("pv", "delta", "gamma"):
        assert both[0][output] + both[1][output] == pytest.approx(value[output], rel=1e-12, abs=1e-13), output


@settings(max_examples=60, deadline=None)
@given(
    volatility=st.floats(0.01, 1.0),
    time=st.floats(0.01, 10.0),
    rate=st.floats(0.0, 0.1),
    dividend_yield=st.floats(-0.05, 0.1),
    up=st.booleans(),
    pays_at_hit=st.integers(0, 1),
)
def test_touch_cheapens_as_the_barrier_moves_away(
    volatility: float, time: float, rate: float, dividend_yield: float, up: bool, pays_at_hit: int
) -> None:
    away = np.exp((1.0 if up else -1.0) * np.linspace(0.0, 10.0, 200))
    changes = {"volatility": volatility, "time": time, "rate": rate, "dividend_yield": dividend_yield}
    value = evaluate(
        "equity.touch",
        **TOUCH | changes | {"pays_at_hit": pays_at_hit, "barrier_type": 2.0 * up, "barrier": 100.0 * away},
    )
    assert not value["status"].any()
    assert np.diff(value["pv"]).max() <= 1e-13
    assert float(value["pv"][0]) == pytest.approx(15.0 * (1.0 if pays_at_hit else math.exp(-rate * time)), rel=1e-15)


def test_without_interest_the_hour_of_payment_does_not_matter() -> None:
    columns = TOUCH | {"rate": 0.0, "barrier_type": np.array([0.0, 2.0]), "barrier": np.array([80.0, 130.0])}
    late, early = (evaluate("equity.touch", **columns | {"pays_at_hit": flag}) for flag in (0, 1))
    for output in ("pv", "delta", "gamma", "vega"):
        assert early[output] == pytest.approx(late[output], rel=1e-12), output


# ---- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vanishing", ["time", "volatility"])
def test_digital_without_time_or_volatility_is_a_step(vanishing: str) -> None:
    columns = {"spot": 100.0, "time": 1.0, "rate": 0.0, "dividend_yield": 0.0, "volatility": 0.2, vanishing: 0.0}
    strike = np.array([90.0, 110.0])
    for is_call, pays in ((1, [1.0, 0.0]), (0, [0.0, 1.0])):
        value = evaluate("equity.digital", **columns, strike=strike, is_call=is_call, cash=7.0, is_asset=0)
        assert value["pv"].tolist() == [7.0 * flag for flag in pays]
        assert value["gamma"].tolist() == value["vega"].tolist() == [0.0, 0.0]
        value = evaluate("equity.digital", **columns, strike=strike, is_call=is_call, cash=7.0, is_asset=1)
        assert value["pv"].tolist() == [100.0 * flag for flag in pays]
        assert value["delta"].tolist() == pays


@pytest.mark.parametrize("is_asset", [0, 1])
def test_touch_already_made_is_paid(is_asset: int) -> None:
    columns = TOUCH | {"spot": 85.0, "is_asset": is_asset, "barrier_type": np.array([0.0, 0.0, 1.0])}
    value = evaluate("equity.touch", **columns | {"pays_at_hit": np.array([1.0, 0.0, 0.0])})
    paid, factor = (85.0, math.exp(-0.02)) if is_asset else (15.0, math.exp(-0.05))
    assert value["pv"] == pytest.approx([paid, paid * factor, 0.0], rel=1e-15)
    assert value["delta"] == pytest.approx([is_asset, is_asset * factor, 0.0], rel=1e-15)


@pytest.mark.parametrize(("barrier_type", "pv"), [(0.0, 0.0), (1.0, 15.0)])
def test_touch_at_expiry_is_decided(barrier_type: float, pv: float) -> None:
    value = evaluate("equity.touch", **TOUCH | {"time": 0.0, "barrier_type": barrier_type})
    assert [float(value[output]) for output in ("pv", "delta", "gamma", "vega")] == [pv, 0.0, 0.0, 0.0]


def test_touch_of_small_chance_keeps_its_digits() -> None:
    columns = {name: np.full(6, cell) for name, cell in TOUCH.items()}
    columns |= {"volatility": np.full(6, 0.1), "barrier": np.linspace(70.0, 30.0, 6)}
    for at_hit in (0.0, 1.0):
        columns["pays_at_hit"] = np.full(6, at_hit)
        pv = evaluate("equity.touch", **columns)["pv"]
        assert 0.0 < pv[-1] < 1e-25
        assert largest_price_error(exact_exotic.touch, columns, pv, pv) <= 1e-11


def test_no_touch_paid_at_hit_and_hit_without_a_real_root_are_refused() -> None:
    assert int(evaluate("equity.touch", **TOUCH | {"barrier_type": 1, "pays_at_hit": 1})["status"]) == 8
    negative: dict[str, Any] = TOUCH | {"rate": -0.05, "dividend_yield": -0.05, "volatility": 0.1}
    assert evaluate("equity.touch", **negative | {"pays_at_hit": [1, 0]})["status"].tolist() == [8, 0]
