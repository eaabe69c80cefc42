"""equity.margrabe and equity.spread: accuracy, Greeks, tables, symmetry, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.core.kernels import exact_exotic
from tests.core.kernels.exotic_book import exotic_book
from tests.core.kernels.exotic_checks import (
    assert_greeks,
    column,
    largest_price_error,
    needs_reference,
    table,
)
from xip_core import evaluate

EXACT = {"equity.margrabe": exact_exotic.margrabe, "equity.spread": exact_exotic.kirk}
GREEKS = {
    "first_delta": {"first_spot": 1},
    "second_delta": {"second_spot": 1},
    "first_gamma": {"first_spot": 2},
    "second_gamma": {"second_spot": 2},
    "cross_gamma": {"first_spot": 1, "second_spot": 1},
    "first_vega": {"first_volatility": 1},
    "second_vega": {"second_volatility": 1},
    "to_correlation": {"correlation": 1},
}
PAIR = {
    "first_spot": 100.0,
    "second_spot": 90.0,
    "time": 1.0,
    "first_yield": 0.0,
    "second_yield": 0.0,
    "first_volatility": 0.3,
    "second_volatility": 0.3,
    "correlation": 0.5,
}


@needs_reference
def test_haug_exchange_options() -> None:
    rows = table("margrabe_european_haug.csv")
    quantity = column(rows, "Q1"), column(rows, "Q2")
    value = evaluate(
        "equity.margrabe",
        first_spot=column(rows, "s1") * quantity[0],
        second_spot=column(rows, "s2") * quantity[1],
        time=column(rows, "t"),
        first_yield=column(rows, "q1"),
        second_yield=column(rows, "q2"),
        first_volatility=column(rows, "v1"),
        second_volatility=column(rows, "v2"),
        correlation=column(rows, "rho"),
    )
    value = dict(value) | {
        "first_delta": value["first_delta"] * quantity[0],
        "second_delta": value["second_delta"] * quantity[1],
        # The table's gammas hold a quantity once, where the second derivative holds its square.
        "first_gamma": value["first_gamma"] * quantity[0],
        "second_gamma": value["second_gamma"] * quantity[1],
    }
    theirs = {
        "pv": "result",
        "first_delta": "delta1",
        "second_delta": "delta2",
        "first_gamma": "gamma1",
        "second_gamma": "gamma2",
        "theta": "theta",
    }
    for output, name in theirs.items():
        # Nor does its theta follow from the prices where a quantity is 2.
        known = quantity[1] == 1.0 if output == "theta" else np.full(len(rows), True)
        assert np.abs(value[output] - column(rows, name))[known].max() <= 1e-3, output


@needs_reference
def test_haug_spread_calls_by_kirk() -> None:
    """Futures: both yields are the rate."""
    rows = [row for row in table("basket_two_asset.csv") if row["basketType"] == "SpreadBasket"]
    value = evaluate(
        "equity.spread",
        first_spot=column(rows, "s1"),
        second_spot=column(rows, "s2"),
        strike=column(rows, "strike"),
        time=column(rows, "t"),
        rate=column(rows, "r"),
        first_yield=column(rows, "r"),
        second_yield=column(rows, "r"),
        first_volatility=column(rows, "v1"),
        second_volatility=column(rows, "v2"),
        correlation=column(rows, "rho"),
        is_call=1,
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 1e-4


@pytest.mark.parametrize("name", EXACT)
def test_price_is_within_1e_15_of_the_larger_leg(name: str) -> None:
    columns = exotic_book(name, 200, seed=3)
    scale = np.maximum(columns["first_spot"], columns["second_spot"] + columns.get("strike", 0.0))
    assert largest_price_error(EXACT[name], columns, evaluate(name, **columns)["pv"], scale) <= 1e-15


@pytest.mark.parametrize("name", EXACT)
def test_greeks_are_derivatives_of_the_price(name: str) -> None:
    columns = exotic_book(name, 20, seed=6)
    greeks = GREEKS | ({"theta": {"time": 1}} if name == "equity.margrabe" else {})
    value = dict(evaluate(name, **columns))
    if "theta" in value:
        value["theta"] = -value["theta"]
    assert_greeks(EXACT[name], columns, value, greeks, rel=1e-11, smallest=1e-12)


def test_spread_without_strike_is_the_exchange_option() -> None:
    columns = exotic_book("equity.margrabe", 500)
    exchange = evaluate("equity.margrabe", **columns)
    spread = evaluate("equity.spread", **columns, strike=0.0, rate=0.03, is_call=1)
    for output in ("pv", *GREEKS):
        assert spread[output] == pytest.approx(exchange[output], rel=1e-11, abs=1e-12), output


def test_call_less_put_is_the_forward_spread() -> None:
    columns = exotic_book("equity.spread", 500)
    call, put = (evaluate("equity.spread", **columns | {"is_call": np.full(500, flag)})["pv"] for flag in (1.0, 0.0))
    forward = (
        columns["first_spot"] * np.exp(-columns["first_yield"] * columns["time"])
        - columns["second_spot"] * np.exp(-columns["second_yield"] * columns["time"])
        - columns["strike"] * np.exp(-columns["rate"] * columns["time"])
    )
    assert call - put == pytest.approx(forward, abs=3e-13)


def test_exchanged_assets_differ_by_their_forwards() -> None:
    columns = exotic_book("equity.margrabe", 500)
    names = {"first_": "second_", "second_": "first_"}
    swapped = {
        next((new + name[len(old) :] for old, new in names.items() if name.startswith(old)), name): cell
        for name, cell in columns.items()
    }
    one, other = evaluate("equity.margrabe", **columns)["pv"], evaluate("equity.margrabe", **swapped)["pv"]
    forward = columns["first_spot"] * np.exp(-columns["first_yield"] * columns["time"]) - columns[
        "second_spot"
    ] * np.exp(-columns["second_yield"] * columns["time"])
    assert one - other == pytest.approx(forward, abs=3e-13)


def test_exchange_scales_with_money_to_the_last_bit() -> None:
    columns = exotic_book("equity.margrabe", 500)
    money = {name: 4.0 * columns[name] for name in ("first_spot", "second_spot")}
    small = evaluate("equity.margrabe", **columns)["pv"]
    assert np.array_equal(evaluate("equity.margrabe", **columns | money)["pv"], 4.0 * small)


@pytest.mark.parametrize(
    "changes", [{"time": 0.0}, {"correlation": 1.0}, {"first_volatility": 0.0, "second_volatility": 0.0}]
)
def test_exchange_without_time_or_common_volatility_is_intrinsic(changes: dict[str, float]) -> None:
    value = evaluate("equity.margrabe", **PAIR | changes | {"second_spot": np.array([90.0, 110.0])})
    assert value["pv"].tolist() == [10.0, 0.0]
    assert value["first_delta"].tolist() == [1.0, 0.0]
    assert value["first_gamma"].tolist() == value["first_vega"].tolist() == [0.0, 0.0]
    spread = evaluate("equity.spread", **PAIR | changes, strike=0.0, rate=0.0, is_call=[1, 0])
    assert spread["pv"].tolist() == [10.0, 0.0]


def test_correlation_beyond_one_is_refused() -> None:
    value = evaluate("equity.margrabe", **PAIR | {"correlation": [1.0, 1.0000001, -1.1, math.nan]})
    assert value["status"].tolist() == [0, 8, 8, 8]
