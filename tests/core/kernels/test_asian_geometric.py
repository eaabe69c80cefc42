"""equity.asian_geometric: published values, accuracy, Greeks, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.core.kernels import exact_exotic
from tests.core.kernels.exotic_book import exotic_book
from tests.core.kernels.exotic_checks import SPOT_GREEKS, assert_greeks, largest_price_error
from xip_core import evaluate

NAME = "equity.asian_geometric"
EUROPEAN = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")
PUT = {
    "spot": 80.0,
    "strike": 85.0,
    "time": 0.25,
    "rate": 0.05,
    "dividend_yield": -0.03,
    "volatility": 0.2,
    "is_call": 0.0,
    "first_fixing": 0.0,
    "fixing_count": 0.0,
}


def test_continuous_put_of_haug_is_4_6922() -> None:
    """E. Haug, 2nd edition, section 4.20.1."""
    assert float(evaluate(NAME, **PUT)["pv"]) == pytest.approx(4.6922, abs=5e-5)


def test_ten_fixings_of_levy_are_5_3425606635() -> None:
    """E. Levy in L. Clewlow and C. Strickland, Exotic options (1997): ten fixings, every tenth of a year."""
    columns = {"spot": 100.0, "strike": 100.0, "time": 1.0, "rate": 0.06, "dividend_yield": 0.03, "volatility": 0.2}
    value = evaluate(NAME, **columns, is_call=1, first_fixing=0.1, fixing_count=10)
    assert float(value["pv"]) == pytest.approx(5.3425606635, abs=5e-11)


def test_price_is_within_1e_15_of_the_larger_leg() -> None:
    columns = exotic_book(NAME, 150)
    scale = np.maximum(columns["spot"], columns["strike"])
    assert largest_price_error(exact_exotic.asian_geometric, columns, evaluate(NAME, **columns)["pv"], scale) <= 1e-15


def test_greeks_are_derivatives_of_the_price() -> None:
    columns = exotic_book(NAME, 25, seed=4)
    assert_greeks(exact_exotic.asian_geometric, columns, evaluate(NAME, **columns), SPOT_GREEKS)


@pytest.mark.parametrize(("first_fixing", "fixing_count"), [(0.0, 1.0), (0.25, 1.0), (0.25, 7.0), (0.25, 0.0)])
def test_average_at_expiry_alone_is_the_european_option(first_fixing: float, fixing_count: float) -> None:
    value = evaluate(NAME, **PUT | {"first_fixing": first_fixing, "fixing_count": fixing_count})
    european = evaluate("equity.european", **{name: PUT[name] for name in EUROPEAN})
    for output in ("pv", "delta", "gamma", "vega"):
        assert float(value[output]) == pytest.approx(float(european[output]), rel=1e-14), output


def test_many_fixings_tend_to_the_continuous_average() -> None:
    prices = evaluate(NAME, **PUT | {"fixing_count": [10.0, 1e3, 1e6, 0.0]})["pv"]
    errors = np.abs(prices[:-1] - prices[-1])
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_call_less_put_is_the_forward_of_the_average() -> None:
    columns = exotic_book(NAME, 300)
    call, put = (evaluate(NAME, **columns | {"is_call": np.full(300, flag)}) for flag in (1.0, 0.0))
    discount = np.exp(-columns["rate"] * columns["time"])
    forward = (call["delta"] - put["delta"]) * columns["spot"]
    assert call["pv"] - put["pv"] == pytest.approx(forward - columns["strike"] * discount, abs=3e-13)


def test_prices_scale_with_money_to_the_last_bit() -> None:
    columns = exotic_book(NAME, 300)
    money = {name: 4.0 * columns[name] for name in ("spot", "strike")}
    assert np.array_equal(evaluate(NAME, **columns | money)["pv"], 4.0 * evaluate(NAME, **columns)["pv"])


def test_without_volatility_the_average_of_the_path_decides() -> None:
    """The path 80 exp(0.08 t) has the geometric average 80 exp(0.08 T / 2)."""
    value = evaluate(NAME, **PUT | {"volatility": 0.0})
    expected = math.exp(-0.05 * 0.25) * (85.0 - 80.0 * math.exp(0.08 * 0.125))
    assert float(value["pv"]) == pytest.approx(expected, rel=1e-14)
    assert float(value["gamma"]) == 0.0


def test_fixing_after_expiry_and_broken_count_are_refused() -> None:
    value = evaluate(NAME, **PUT | {"first_fixing": [0.25, 0.26, 0.0, 0.0], "fixing_count": [2.0, 2.0, 2.5, 2e6]})
    assert value["status"].tolist() == [0, 8, 8, 8]
