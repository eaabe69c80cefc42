"""equity.lookback: published values, accuracy, Greeks, parity, limits."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact_path
from tests.core.kernels.exotic_book import Columns, exotic_book, row_of
from tests.core.kernels.exotic_checks import SPOT_GREEKS, assert_greeks, calls, column, needs_reference, table
from xip_core import evaluate

NAME = "equity.lookback"
GREEKS = SPOT_GREEKS | {"rho": {"rate": 1}, "dividend_rho": {"dividend_yield": 1}}
OPTION = {
    "spot": 100.0,
    "strike": 95.0,
    "time": 0.5,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.25,
    "is_call": 1.0,
    "is_floating": 0.0,
    "running_extreme": 100.0,
}


def one(**changes: object) -> dict[str, np.ndarray]:
    return evaluate(NAME, **OPTION | changes)  # type: ignore[arg-type]  # numbers and lists, as in NumPy


@needs_reference
@pytest.mark.parametrize("kind", ["floating", "fixed"])
def test_haug_prices(kind: str) -> None:
    """Published with four digits."""
    rows = table(f"lookback_{kind}_haug.csv")
    names = {"spot": "s", "strike": "strike", "time": "t", "rate": "r", "dividend_yield": "q", "volatility": "v"}
    columns = {ours: column(rows, theirs) for ours, theirs in names.items()}
    value = evaluate(
        NAME, **columns, is_call=calls(rows), is_floating=kind == "floating", running_extreme=column(rows, "minmax")
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 6.1e-5


def test_floating_call_of_haug_is_25_3533() -> None:
    """E. Haug, 2nd edition, section 4.15.1."""
    value = one(spot=120.0, rate=0.1, dividend_yield=0.06, volatility=0.3, is_floating=1.0)
    assert float(value["pv"]) == pytest.approx(25.3533, abs=6e-5)


def without_carry(columns: Columns, every: int) -> Columns:
    """Each *every*th row without cost of carry, the next with next to none."""
    for offset, carry in ((0, 0.0), (1, 1e-12)):
        columns["dividend_yield"][offset::every] = columns["rate"][offset::every] - carry
    return columns


def test_price_is_within_2e_15_of_the_larger_leg() -> None:
    """Also without cost of carry and next to it, where the textbook divides nothing by nothing."""
    columns = without_carry(exotic_book(NAME, 200), 20)
    computed = evaluate(NAME, **columns)["pv"]
    with mp.workdps(40):
        for row in range(200):
            cells = row_of(columns, row)
            truth = exact_path.lookback(*[mp.mpf(cell) for cell in cells.values()])
            scale = max(cells["spot"], cells["strike"], cells["running_extreme"], truth)
            assert abs(computed[row] - truth) <= 2e-15 * scale, cells


def test_fixed_call_is_the_integral_of_the_chance_of_a_maximum() -> None:
    cells = (100.0, 110.0, 0.75, 0.03, 0.05, 0.3)
    computed = one(strike=110.0, time=0.75, rate=0.03, dividend_yield=0.05, volatility=0.3)["pv"]
    with mp.workdps(25):
        truth = exact_path.fixed_call_by_quadrature(*[mp.mpf(cell) for cell in cells])
    assert float(computed) == pytest.approx(float(truth), rel=1e-14)


def test_greeks_are_derivatives_of_the_price() -> None:
    columns = without_carry(exotic_book(NAME, 22, seed=4), 20)
    assert_greeks(exact_path.lookback, columns, evaluate(NAME, **columns), GREEKS, rel=1e-11, smallest=2e-12)


def test_theta_is_the_loss_of_a_year() -> None:
    columns = without_carry(exotic_book(NAME, 22, seed=5), 20)
    theta = {"theta": -evaluate(NAME, **columns)["theta"]}
    assert_greeks(exact_path.lookback, columns, theta, {"theta": {"time": 1}}, rel=1e-11, smallest=2e-12)


@pytest.mark.parametrize("carry", [0.2, 0.02, 1e-6, 0.0, -1e-6, -0.02, -0.2])
def test_deep_fixed_strikes_keep_ten_digits(carry: float) -> None:
    """Strikes 5 to 30 deviations away, around the change from series to closed form."""
    for is_call in (1.0, 0.0):
        deviations = np.linspace(5.0, 30.0, 11) * (1.0 if is_call else -1.0)
        strike = 100.0 * np.exp(0.2 * deviations)
        computed = one(strike=strike, time=1.0, volatility=0.2, rate=carry, dividend_yield=0.0, is_call=is_call)["pv"]
        with mp.workdps(230):
            for level, pv in zip(strike, computed, strict=True):
                cells = (100.0, float(level), 1.0, carry or 1e-50, 0.0, 0.2, is_call, 0.0, 100.0)
                truth = exact_path.lookback(*[mp.mpf(cell) for cell in cells])
                assert abs(pv - truth) <= 1e-10 * truth, cells


prices = st.floats(20.0, 500.0)
rates = st.floats(-0.1, 0.2)


@settings(max_examples=150, deadline=None)
@given(spot=prices, strike=prices, extreme=prices, rate=rates, carry=rates, volatility=st.floats(0.0, 1.5))
def test_lookbacks_obey_parity_and_bounds(
    spot: float, strike: float, extreme: float, rate: float, carry: float, volatility: float
) -> None:
    market = {"spot": spot, "time": 1.3, "rate": rate, "dividend_yield": carry, "volatility": volatility}
    past = {"strike": strike, "running_extreme": extreme}
    call, put, fixed_call, fixed_put = (
        float(one(**market, **past, is_call=is_call, is_floating=floats)["pv"])
        for floats in (1.0, 0.0)
        for is_call in (1.0, 0.0)
    )
    discount, held = math.exp(-rate * 1.3), spot * math.exp(-carry * 1.3)
    small = 1e-12 * max(spot, strike, extreme, put, fixed_call)
    greatest, least = max(spot, extreme), min(spot, extreme)
    if strike <= greatest:  # the maximum is paid either way
        assert fixed_call == pytest.approx(put + held - strike * discount, abs=small)
    if strike >= least:
        assert fixed_put == pytest.approx(call - held + strike * discount, abs=small)
    european = {name: market[name] for name in market} | {"strike": strike}
    assert fixed_call >= float(evaluate("equity.european", **european, is_call=1)["pv"]) - small
    assert fixed_put >= float(evaluate("equity.european", **european, is_call=0)["pv"]) - small
    assert call >= held - least * discount - small
    assert put >= greatest * discount - held - small


@settings(max_examples=60, deadline=None)
@given(spot=prices, rate=rates, carry=rates, is_call=st.sampled_from([0.0, 1.0]), floats=st.sampled_from([0.0, 1.0]))
def test_lookbacks_gain_with_volatility_and_a_better_past(
    spot: float, rate: float, carry: float, is_call: float, floats: float
) -> None:
    market = {"spot": spot, "strike": 100.0, "rate": rate, "dividend_yield": carry, "is_call": is_call}
    by_volatility = one(**market, is_floating=floats, running_extreme=100.0, volatility=np.linspace(0.0, 1.0, 40))["pv"]
    assert (np.diff(by_volatility) >= -1e-12 * spot).all()
    past = np.linspace(50.0, 200.0, 40)
    by_past = one(**market, is_floating=floats, running_extreme=past)["pv"]
    worse = -1.0 if is_call == floats else 1.0  # minima pay more when lower
    assert (worse * np.diff(by_past) >= -1e-12 * spot).all()


def test_prices_scale_with_money_to_the_last_bit() -> None:
    columns = exotic_book(NAME, 300)
    money = {name: 4.0 * columns[name] for name in ("spot", "strike", "running_extreme")}
    small, large = evaluate(NAME, **columns), evaluate(NAME, **columns | money)
    assert np.array_equal(large["pv"], 4.0 * small["pv"])
    assert np.array_equal(large["delta"], small["delta"])


@pytest.mark.parametrize(("is_call", "is_floating"), [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_spot_beyond_the_extreme_is_the_extreme(is_call: float, is_floating: float) -> None:
    """A shifted spot leaves the stored extreme behind: delta has no jump there, and the value is linear beyond."""
    away = 1.0 if is_call != is_floating else -1.0
    spots = 100.0 + away * np.array([-1e-9, 0.0, 1e-9, 5.0, 10.0])
    value = one(spot=spots, is_call=is_call, is_floating=is_floating, running_extreme=100.0, strike=100.0 - away * 10)
    assert np.ptp(value["delta"]) < 1e-8
    assert (value["gamma"] > 0.0).tolist() == [True, True, False, False, False]
    slope = (value["pv"][4] - value["pv"][3]) / (away * 5.0)
    assert slope == pytest.approx(value["delta"][3], rel=1e-12)


@pytest.mark.parametrize(
    ("is_call", "is_floating", "extreme", "paid"),
    [(1, 1, 90.0, 10.0), (0, 1, 120.0, 20.0), (1, 0, 120.0, 25.0), (0, 0, 80.0, 15.0), (1, 0, 90.0, 5.0)],
)
def test_at_expiry_what_is_due_is_paid(is_call: int, is_floating: int, extreme: float, paid: float) -> None:
    value = one(is_call=is_call, is_floating=is_floating, running_extreme=extreme, time=0.0)
    assert float(value["pv"]) == paid
    assert float(value["vega"]) == 0.0
    assert int(value["status"]) == 0


@pytest.mark.parametrize("rate", [0.08, 0.0, -0.08])
@pytest.mark.parametrize(("is_call", "is_floating"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_without_volatility_the_path_of_forwards_decides(rate: float, is_call: int, is_floating: int) -> None:
    value = one(
        rate=rate, dividend_yield=0.0, time=2.0, volatility=0.0, is_call=is_call, is_floating=is_floating, strike=100.0
    )
    end = 100.0 * math.exp(2.0 * rate)
    greatest, least = max(end, 100.0), min(end, 100.0)
    paid = (
        (end - least if is_call else greatest - end) if is_floating else greatest - 100.0 if is_call else 100.0 - least
    )
    assert float(value["pv"]) == pytest.approx(math.exp(-2.0 * rate) * paid, rel=1e-14, abs=1e-13)
    tiny = one(
        rate=rate, dividend_yield=0.0, time=2.0, volatility=1e-9, is_call=is_call, is_floating=is_floating, strike=100.0
    )
    assert float(tiny["pv"]) == pytest.approx(float(value["pv"]), abs=3e-7)


def test_strike_of_nothing_is_the_maximum_itself() -> None:
    value = one(strike=[0.0, 1e-320], is_call=[1.0, 1.0])
    shifted = one(strike=50.0)
    assert value["pv"] == pytest.approx(float(shifted["pv"]) + 50.0 * math.exp(-0.05 * 0.5), rel=1e-14)
    assert one(strike=0.0, is_call=0.0)["pv"] == 0.0
