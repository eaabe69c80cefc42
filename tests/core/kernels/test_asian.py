"""equity.asian (two moments) and equity.asian_curran (conditioning): published values, accuracy, Greeks, limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact_path
from tests.core.kernels.exotic_book import Columns, exotic_book, row_of
from tests.core.kernels.exotic_checks import (
    SPOT_GREEKS,
    assert_greeks,
    calls,
    column,
    derivative,
    largest_price_error,
    needs_reference,
    table,
)
from xip_core import evaluate

MOMENTS, CURRAN = "equity.asian", "equity.asian_curran"
BOTH = (MOMENTS, CURRAN)
EXACT: dict[str, Callable[..., mp.mpf]] = {MOMENTS: exact_path.asian, CURRAN: exact_path.asian_curran}
GREEKS = SPOT_GREEKS | {"rho": {"rate": 1}, "dividend_rho": {"dividend_yield": 1}}
FRESH = {"past_weight": 0.0, "past_average": 0.0}
OPTION = {
    "spot": 100.0,
    "strike": 100.0,
    "time": 1.0,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.2,
    "is_call": 1.0,
    "first_fixing": 0.1,
    "fixing_count": 10.0,
} | FRESH
EUROPEAN = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")


def one(name: str, **changes: object) -> dict[str, np.ndarray]:
    return evaluate(name, **OPTION | changes)  # type: ignore[arg-type]  # numbers and lists, as in NumPy


def book(name: str, rows: int, seed: int = 21) -> Columns:
    """Few fixings, for the double sums of the twin; Curran's twin is discrete."""
    columns = exotic_book(name, rows, seed)
    columns["fixing_count"] = columns["fixing_count"] % 6 + (1 if name == CURRAN else 0)
    return columns


# ---- published values ------------------------------------------------------------------------------------------------


@needs_reference
def test_haug_prices_of_turnbull_and_wakeman() -> None:
    """26 weekly fixings, published with four digits; of sloping volatilities tests/core/pricing/test_averages.py."""
    rows = [row for row in table("asian_turnbull_wakeman_haug.csv") if row["slope"] == "flat"]
    names = {"spot": "underlying", "strike": "strike", "time": "expiry", "rate": "riskFreeRate"}
    names |= {"volatility": "volatility", "first_fixing": "first", "fixing_count": "fixings"}
    columns = {ours: column(rows, theirs) for ours, theirs in names.items()}
    carry = columns["rate"] - column(rows, "b")
    value = evaluate(MOMENTS, **columns, dividend_yield=carry, is_call=calls(rows), **FRESH)
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 4.5e-5


@needs_reference
def test_haug_prices_of_levy() -> None:
    """Continuous averages, some half way: the share of the past is the share of the days."""
    rows = table("asian_continuous_arith_levy_haug.csv")
    names = {"spot": "spot", "strike": "strike", "rate": "riskFreeRate", "dividend_yield": "dividendYield"}
    columns = {ours: column(rows, theirs) for ours, theirs in (names | {"volatility": "volatility"}).items()}
    length, elapsed = column(rows, "length"), column(rows, "elapsed")
    columns |= {"past_weight": elapsed / length, "past_average": column(rows, "currentAverage")}
    value = evaluate(
        MOMENTS, **columns, time=(length - elapsed) / 360, is_call=calls(rows), first_fixing=0, fixing_count=0
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 4.5e-5


@needs_reference
@pytest.mark.parametrize(("name", "most"), [(MOMENTS, 9.2e-3), (CURRAN, 3.2e-4)])
def test_vecer_prices_bound_the_error_of_the_approximations(name: str, most: float) -> None:
    """Solutions of a partial differential equation, spot 2, total volatility to 70 %, good to 2e-4 themselves."""
    rows = table("asian_continuous_arith_vecer.csv")
    names = {"spot": "spot", "strike": "strike", "time": "length", "rate": "riskFreeRate", "volatility": "volatility"}
    columns = {ours: column(rows, theirs) for ours, theirs in names.items()}
    value = evaluate(name, **columns, dividend_yield=0, is_call=1, first_fixing=0, fixing_count=0, **FRESH)
    assert np.abs(value["pv"] - column(rows, "result")).max() <= most


@needs_reference
def test_levy_1997_prices_by_conditioning() -> None:
    """
    Monte-Carlo estimates, tested to 2e-2 where they come from; that of two fixings from 0.25 is off by 1.02e-2 (the
    test below integrates it). A first fixing now is known: the past.
    """
    rows = table("asian_discrete_arith_price_levy1997.csv")
    names = {"spot": "underlying", "strike": "strike", "rate": "riskFreeRate", "dividend_yield": "dividendYield"}
    columns = {ours: column(rows, theirs) for ours, theirs in (names | {"volatility": "volatility"}).items()}
    first, count, length = column(rows, "first"), column(rows, "fixings"), column(rows, "length")
    is_made = first == 0.0
    columns |= {
        "time": first + length,
        "first_fixing": np.where(is_made, length / (count - 1), first),
        "fixing_count": count - is_made,
        "past_weight": is_made / count,
        "past_average": columns["spot"],
    }
    value = evaluate(CURRAN, **columns, is_call=calls(rows))
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 1e-2


@pytest.mark.parametrize(("first", "most"), [(1 / 12, 4e-4), (0.25, 7e-4)])
def test_two_fixings_lie_below_the_integral_by_little(first: float, most: float) -> None:
    """The second fixing by Black's formula, the first by quadrature; Levy's put."""
    spot, strike, rate, carry, volatility, length = 90.0, 87.0, 0.025, 0.06, 0.13, 11 / 12

    def given(z: mp.mpf) -> mp.mpf:
        fixing = spot * mp.exp((rate - carry - volatility**2 / 2) * first + volatility * mp.sqrt(first) * z)
        mean, spread = fixing * mp.exp((rate - carry) * length), volatility * mp.sqrt(length)
        return mp.npdf(z) * exact_path.struck_on_average(2 * strike - fixing, 0, 0, 0, mean, spread, 0, 0) / 2

    with mp.workdps(20):
        truth = float(mp.exp(-rate * (first + length)) * mp.quad(given, [-9, -4, -1, 1, 4, 9]))
    columns = {"spot": spot, "strike": strike, "time": first + length, "rate": rate, "dividend_yield": carry}
    value = one(CURRAN, **columns, volatility=volatility, is_call=0, first_fixing=first, fixing_count=2)
    assert 0.0 <= truth - float(value["pv"]) <= most


# ---- accuracy and Greeks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_price_is_within_2e_15_of_the_larger_leg(name: str) -> None:
    columns = book(name, 80)
    scale = np.maximum(columns["spot"], columns["strike"])
    assert largest_price_error(EXACT[name], columns, evaluate(name, **columns)["pv"], scale) <= 2e-15


@pytest.mark.parametrize("volatility", [1e-8, 1e-5, 1e-3, 2.0])
def test_moments_keep_their_digits_whatever_the_volatility(volatility: float) -> None:
    columns = book(MOMENTS, 24) | {"volatility": np.full(24, volatility), "past_weight": np.zeros(24)}
    columns["time"] = np.minimum(columns["time"], 2.0)
    columns["first_fixing"] = np.minimum(columns["first_fixing"], columns["time"])
    columns["strike"] = columns["spot"] * np.exp(0.5 * (columns["rate"] - columns["dividend_yield"]) * columns["time"])
    scale = np.maximum(columns["spot"], columns["strike"])
    assert largest_price_error(EXACT[MOMENTS], columns, evaluate(MOMENTS, **columns)["pv"], scale) <= 2e-15


@pytest.mark.parametrize("name", BOTH)
def test_greeks_are_derivatives_of_the_price(name: str) -> None:
    columns = book(name, 12, seed=4)
    assert_greeks(EXACT[name], columns, evaluate(name, **columns), GREEKS, rel=1e-10, smallest=1e-12)


@pytest.mark.parametrize("name", BOTH)
def test_theta_shortens_all_times_alike(name: str) -> None:
    columns = book(name, 8, seed=5)
    theta = evaluate(name, **columns)["theta"]
    first, at = columns["first_fixing"], list(columns).index("first_fixing")
    for row in range(8):
        cells = row_of(columns, row)
        gap = mp.mpf(cells["time"]) - mp.mpf(float(first[row]))

        def moved(*arguments: mp.mpf, gap: mp.mpf = gap) -> mp.mpf:
            return EXACT[name](*arguments[:at], arguments[2] - gap, *arguments[at + 1 :])

        assert theta[row] == pytest.approx(-derivative(moved, cells, {"time": 1}), rel=1e-10, abs=1e-12)


# ---- limits and properties -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("first_fixing", [0.0, 0.4, 1.0])
def test_one_fixing_is_the_european_option(name: str, first_fixing: float) -> None:
    strikes = np.linspace(60.0, 160.0, 11)
    value = one(name, strike=strikes, first_fixing=first_fixing, fixing_count=1)
    european = evaluate("equity.european", **{key: OPTION[key] for key in EUROPEAN} | {"strike": strikes})
    for output in ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho"):
        assert value[output] == pytest.approx(european[output], rel=1e-12, abs=1e-14), output


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("carry", [0.05, 0.0500001, 0.0])
@pytest.mark.parametrize("fixing_count", [0.0, 4.0])
def test_without_volatility_the_average_of_forwards_decides(name: str, carry: float, fixing_count: float) -> None:
    times = np.linspace(0.1, 1.0, 4) if fixing_count else np.linspace(0.1, 1.0, 10_001)
    forwards = 100.0 * np.exp((0.05 - carry) * times)
    average = forwards.mean() if fixing_count else np.trapezoid(forwards, times) / 0.9
    for strike, is_call in ((90.0, 1.0), (110.0, 0.0), (110.0, 1.0)):
        value = one(
            name, strike=strike, is_call=is_call, volatility=0.0, dividend_yield=carry, fixing_count=fixing_count
        )
        paid = max((average - strike) * (2.0 * is_call - 1.0), 0.0)
        assert float(value["pv"]) == pytest.approx(math.exp(-0.05) * paid, rel=1e-9, abs=1e-12)
        assert float(value["gamma"]) == 0.0


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("is_call", [1.0, 0.0])
def test_all_fixings_made_leave_a_known_payment(name: str, is_call: float) -> None:
    value = one(name, is_call=is_call, past_weight=1.0, past_average=[80.0, 100.0, 130.0])
    paid = [0.0, 0.0, 30.0] if is_call else [20.0, 0.0, 0.0]
    assert value["pv"] == pytest.approx(math.exp(-0.05) * np.array(paid), rel=1e-15)
    assert all((value[output] == 0.0).all() for output in ("delta", "gamma", "vega", "dividend_rho"))
    assert (value["status"] == 0).all()


@pytest.mark.parametrize("name", BOTH)
def test_strike_below_what_is_fixed_makes_the_call_a_forward(name: str) -> None:
    past = {"past_weight": 0.8, "past_average": 130.0}
    call, put = one(name, **past), one(name, **past, is_call=0)
    forward = one(name, **past, volatility=0.0)
    assert float(call["pv"]) == pytest.approx(float(forward["pv"]), rel=1e-15)
    assert float(put["pv"]) == 0.0
    assert float(call["vega"]) == float(call["gamma"]) == float(put["delta"]) == 0.0
    assert float(call["delta"]) == pytest.approx(float(forward["delta"]), rel=1e-15)


@pytest.mark.parametrize("name", BOTH)
def test_many_fixings_tend_to_the_continuous_average(name: str) -> None:
    prices = one(name, fixing_count=[10.0, 100.0, 1000.0, 5000.0, 0.0])["pv"]
    errors = np.abs(prices[:-1] - prices[-1])
    assert (np.diff(errors) < 0.0).all()
    assert errors[-1] < 2e-3


market = {
    "spot": st.floats(50.0, 200.0),
    "strike": st.floats(50.0, 200.0),
    "rate": st.floats(-0.05, 0.15),
    "dividend_yield": st.floats(-0.05, 0.15),
    "volatility": st.floats(0.0, 1.0),
    "first_fixing": st.floats(0.0, 1.0),
    "fixing_count": st.integers(0, 30).map(float),
    "past_weight": st.floats(0.0, 1.0),
    "past_average": st.floats(50.0, 200.0),
}


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=60, deadline=None)
@given(columns=st.fixed_dictionaries(market))
def test_calls_and_puts_differ_by_the_forward_and_scale_with_money(name: str, columns: dict[str, float]) -> None:
    call, put = one(name, **columns, is_call=1), one(name, **columns, is_call=0)
    forward = one(name, **columns | {"volatility": 0.0, "strike": 1e-3}, is_call=1)["pv"]
    discount = math.exp(-columns["rate"])
    expected = float(forward) + discount * (1e-3 - columns["strike"])
    assert float(call["pv"] - put["pv"]) == pytest.approx(expected, abs=1e-12 * (columns["spot"] + columns["strike"]))
    money = {key: 4.0 * columns[key] for key in ("spot", "strike", "past_average")}
    large = one(name, **columns | money, is_call=1)
    assert np.array_equal(large["pv"], 4.0 * call["pv"])
    assert np.array_equal(large["delta"], call["delta"])


@settings(max_examples=40, deadline=None)
@given(columns=st.fixed_dictionaries(market))
def test_arithmetic_call_by_conditioning_is_worth_the_geometric_one_at_least(columns: dict[str, float]) -> None:
    columns |= FRESH | {"fixing_count": max(columns["fixing_count"], 1.0)}
    geometric = {key: (OPTION | columns)[key] for key in OPTION if key not in FRESH}
    least = float(evaluate("equity.asian_geometric", **geometric)["pv"])
    assert float(one(CURRAN, **columns)["pv"]) >= least - 1e-12 * columns["spot"]


@pytest.mark.parametrize("name", BOTH)
def test_price_rises_with_volatility_and_falls_with_strike(name: str) -> None:
    for fixing_count in (0.0, 12.0):
        by_volatility = one(name, volatility=np.linspace(0.0, 1.0, 60), fixing_count=fixing_count)["pv"]
        by_strike = one(name, strike=np.linspace(40.0, 250.0, 60), fixing_count=fixing_count)["pv"]
        assert (np.diff(by_volatility) > -1e-13).all()
        assert (np.diff(by_strike) < 0.0).all()
        assert (np.diff(by_strike, 2) > -1e-12).all()


@pytest.mark.parametrize("name", BOTH)
def test_broken_counts_and_shares_are_refused_alone(name: str) -> None:
    value = one(
        name,
        fixing_count=[2.5, 5001.0, 4.0, 4.0, 4.0],
        past_weight=[0.0, 0.0, 1.0000001, 0.5, 0.5],
        first_fixing=[0.1, 0.1, 0.1, 1.0000001, 0.1],
    )
    assert value["status"].tolist() == [8, 8, 8, 8, 0]


def test_moments_are_near_the_bound_as_stated() -> None:
    """What the docstring says of the approximation, at the money and continuous, against conditioning."""
    for volatility, least, most in ((0.2, 0.002, 0.0035), (0.5, 0.01, 0.015), (1.0, 0.04, 0.055)):
        moments, bound = (
            float(one(name, volatility=volatility, first_fixing=0, fixing_count=0)["pv"]) for name in BOTH
        )
        assert least < moments / bound - 1.0 < most


@pytest.mark.parametrize("deviations", [3.0, 6.0, 10.0])
def test_conditioning_finds_its_root_far_from_the_money(deviations: float) -> None:
    columns = book(CURRAN, 16, seed=9) | {"past_weight": np.zeros(16), "is_call": np.ones(16)}
    spread = columns["volatility"] * np.sqrt((columns["time"] + 2.0 * columns["first_fixing"]) / 3.0)
    columns["strike"] = columns["spot"] * np.exp(deviations * spread)
    computed = evaluate(CURRAN, **columns)["pv"]
    with mp.workdps(60):
        for row in range(16):
            truth = float(exact_path.asian_curran(*[mp.mpf(cell) for cell in row_of(columns, row).values()]))
            assert computed[row] == pytest.approx(truth, rel=1e-9, abs=1e-300), row_of(columns, row)
