"""equity.american: accuracy, Greeks, shape of the price, limits, refused rows."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.american_book import american_book, one_row
from tests.core.kernels.derive_coefficients import quick_mills_coefficients, split
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate, kernels
from xip_core.errors import FailureReason
from xip_core.kernels.reference_american import ReferencePut, equity_american

NAME = "equity.american"
GREEKS = ("delta", "gamma", "vega", "theta", "rho")


def rows_of(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [{name: float(column[row]) for name, column in columns.items()} for row in range(len(columns["spot"]))]


def european(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    return evaluate("equity.european", outputs=("pv", *GREEKS), **columns)


# ---- accuracy --------------------------------------------------------------------------------------------------------


def test_hand_value_of_the_paper() -> None:
    """Andersen, Lake and Offengenden, table 2: premium 0.106952703 over the European at K = S = 100, to 1e-8."""
    row: dict[str, Any] = one_row(strike=100.0, time=1.0, dividend_yield=0.05)
    premium = evaluate(NAME, **row)["pv"] - european(row)["pv"]
    assert float(premium) == pytest.approx(0.106952703, abs=1e-7)


def off_the_twin(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Of prices, per the larger of spot and strike."""
    truth = [equity_american(**row)["pv"] for row in rows_of(columns)]
    value = evaluate(NAME, **columns)
    assert not value["status"].any()
    return np.asarray(np.abs(value["pv"] - truth) / np.maximum(columns["spot"], columns["strike"]))


def test_a_desks_rows_are_within_1e_8_of_the_twin() -> None:
    columns = american_book(10, seed=3)
    columns["dividend_yield"] = np.maximum(columns["dividend_yield"], 1e-9)
    assert off_the_twin(columns).max() <= 1e-8


@pytest.mark.parametrize(("low", "high", "bound"), [(-8.0, -5.0, 1e-9), (-5.0, -2.0, 1e-8)])
def test_tiny_rates_with_a_yield_just_above_are_as_good(low: float, high: float, bound: float) -> None:
    """The boundary turns there at once from r / q to that of equal rates; the guess must, or Newton goes astray."""
    random = np.random.default_rng(9)
    rows = 5
    larger = 10.0 ** random.uniform(low, high, rows)
    smaller = larger * (1.0 - 10.0 ** random.uniform(-5.0, -0.3, rows))
    columns = american_book(rows, seed=6)
    calls = columns["is_call"] > 0.0
    columns |= {"rate": np.where(calls, larger, smaller), "dividend_yield": np.where(calls, smaller, larger)}
    assert off_the_twin(columns).max() <= bound


@pytest.mark.parametrize(
    ("rate", "carry", "volatility"),
    [(0.1, 0.0, 0.05), (0.1, -0.05, 0.06), (0.02, 0.12, 0.05), (0.03, 0.3, 0.02), (0.12, 0.0, 0.01), (0.01, 0.2, 0.3)],
)
def test_stiff_prices_are_within_1e_7_of_the_strike_of_the_twin(rate: float, carry: float, volatility: float) -> None:
    """Drift over the life 1.3 to 30 times volatility."""
    time = 3.0
    put = ReferencePut(time, rate, carry, volatility)
    spot = put.boundary() * np.exp(np.array([0.01, 0.05, 0.2, 0.6]))
    columns: dict[str, Any] = {"time": time, "rate": rate, "dividend_yield": carry, "volatility": volatility}
    pv = evaluate(NAME, spot=spot, strike=1.0, is_call=0, **columns)["pv"]
    assert np.abs(pv - [put.price(float(at)) for at in spot]).max() <= 1e-7


def test_the_boundary_is_that_of_the_twin() -> None:
    put = ReferencePut(1.5, 0.05, 0.02, 0.25)
    value = evaluate(NAME, **one_row())
    assert float(value["exercise_boundary"]) == pytest.approx(105.0 * put.boundary(), rel=1e-7)


def test_coefficients_in_the_header_are_the_derived_ones() -> None:
    header = Path(kernels.__file__).parent / "american_equations.h"
    text = header.read_text().split("double xip_quick_mills(double x)")[1].split("return")[0]
    found = [float.fromhex(number) for number in re.findall(r"-?0x1\.[0-9a-f]+p[+-]\d+", text)]
    assert found == split(quick_mills_coefficients())


# ---- Greeks ----------------------------------------------------------------------------------------------------------


def slope(columns: dict[str, np.ndarray], name: str, step: np.ndarray, output: str = "pv") -> np.ndarray:
    """Central difference of order 8: the error of the step is far below that of the price over the step."""
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    total = np.zeros(len(step))
    for count, weight in weights.items():
        up, down = (evaluate(NAME, **columns | {name: columns[name] + sign * count * step}) for sign in (1.0, -1.0))
        total += weight * (up[output] - down[output])
    return np.asarray(total / step)


@pytest.mark.parametrize(
    ("greek", "column", "relative_step", "output", "bound"),
    [
        ("delta", "spot", 0.01, "pv", 1e-6),
        ("gamma", "spot", 0.01, "delta", 1e-6),
        ("vega", "volatility", 0.04, "pv", 3e-4),
        ("theta", "time", 0.02, "pv", 1e-4),
        ("rho", "rate", 0.06, "pv", 4e-3),
    ],
)
def test_greeks_are_derivatives_of_the_price(
    greek: str, column: str, relative_step: float, output: str, bound: float
) -> None:
    """At strike 100, where vega, theta and rho are of the order of 50, 5 and 50; of rows that stay in their region."""
    columns = american_book(400, seed=8)
    step = relative_step * columns[column]
    apart = np.abs(columns["rate"] / np.maximum(columns["dividend_yield"], 1e-9) - 1.0) > 0.3
    boundary = evaluate(NAME, **columns)["exercise_boundary"]
    side = np.where(columns["is_call"] > 0.0, -1.0, 1.0)
    held = side * (np.log(columns["spot"]) - np.log(boundary)) > 0.2
    kept = apart & held & (columns["rate"] > 0.01)
    assert kept.sum() > 80
    computed = evaluate(NAME, **columns)[greek]
    numerical = slope(columns, column, step, output) * (-1.0 if greek == "theta" else 1.0)
    assert np.abs(computed - numerical)[kept].max() <= bound


def test_greeks_of_tiny_rates_are_derivatives_of_the_twins_price() -> None:
    row = one_row(spot=80.0, rate=1e-6, dividend_yield=1.001e-6)
    value = evaluate(NAME, **row)
    for greek, column, step in (("delta", "spot", 0.5), ("vega", "volatility", 0.005), ("rho", "rate", 2e-10)):
        up, down = (equity_american(**row | {column: row[column] + sign * step})["pv"] for sign in (1.0, -1.0))
        slope = (up - down) / (2.0 * step)
        assert float(value[greek]) == pytest.approx(slope, rel=2e-4), greek


def test_black_equation_holds_where_the_option_is_held() -> None:
    columns = american_book(300)
    value = evaluate(NAME, **columns)
    held = np.abs(value["delta"]) < 1.0
    spot, carry = columns["spot"], columns["rate"] - columns["dividend_yield"]
    drift = carry * spot * value["delta"] + 0.5 * (columns["volatility"] * spot) ** 2 * value["gamma"]
    assert np.abs(value["theta"] + drift - columns["rate"] * value["pv"])[held].max() <= 1e-10


# ---- shape -----------------------------------------------------------------------------------------------------------

OPTIONS = {
    "moneyness": st.floats(-0.7, 0.7),
    "time": st.floats(0.01, 8.0),
    "rate": st.floats(0.0, 0.12),
    "carry": st.floats(-0.03, 0.12),
    "volatility": st.floats(0.03, 1.0),
    "is_call": st.integers(0, 1),
}


def drawn(moneyness: float, time: float, rate: float, carry: float, volatility: float, is_call: int) -> dict[str, Any]:
    """A row in which the rate that may be negative is the one of the strike's holder."""
    rates = {"rate": carry, "dividend_yield": rate} if is_call else {"rate": rate, "dividend_yield": carry}
    return (
        one_row(spot=100.0 * math.exp(moneyness), strike=100.0, time=time, volatility=volatility, is_call=is_call)
        | rates
    )


@settings(max_examples=60, deadline=None)
@given(**OPTIONS)
def test_worth_at_least_the_european_and_the_payoff_and_at_most_the_asset(**row: Any) -> None:
    columns = drawn(**row)
    value = evaluate(NAME, **columns)
    assert int(value["status"]) == 0
    pv, spot = float(value["pv"]), float(columns["spot"])
    payoff = max(spot - 100.0, 0.0) if row["is_call"] else max(100.0 - spot, 0.0)
    assert pv >= payoff * (1.0 - 2.0**-51)  # the kernel works in units of the strike: a rounding
    assert pv >= float(european(columns)["pv"]) - 1e-12
    assert pv <= (spot * math.exp(max(-row["carry"], 0.0) * row["time"]) if row["is_call"] else 100.0) + 3e-6


@settings(max_examples=60, deadline=None)
@given(**OPTIONS)
def test_monotone_and_convex_in_the_spot(**row: Any) -> None:
    columns = drawn(**row)
    spot = 100.0 * np.exp(np.linspace(-1.0, 1.0, 101))
    pv = evaluate(NAME, **columns | {"spot": spot})["pv"]
    chords = np.diff(pv) / np.diff(spot)
    sign = 1.0 if row["is_call"] else -1.0
    assert (sign * chords).min() >= -1e-6
    assert np.abs(chords).max() <= 1.0 + 1e-6
    assert np.diff(chords).min() >= -2e-6


@settings(max_examples=60, deadline=None)
@given(**OPTIONS)
def test_gains_with_time_and_volatility(**row: Any) -> None:
    columns = drawn(**row)
    for name in ("time", "volatility"):
        grid = float(columns[name]) * np.linspace(1.0, 1.5, 21)
        assert np.diff(evaluate(NAME, **columns | {name: grid})["pv"]).min() >= -5e-6, name


@settings(max_examples=60, deadline=None)
@given(**OPTIONS)
def test_a_call_is_the_put_with_spot_and_strike_rate_and_yield_exchanged(**row: Any) -> None:
    columns = drawn(**row)
    mirrored = columns | {
        "spot": columns["strike"],
        "strike": columns["spot"],
        "rate": columns["dividend_yield"],
        "dividend_yield": columns["rate"],
        "is_call": 1 - row["is_call"],
    }
    one, other = evaluate(NAME, **columns), evaluate(NAME, **mirrored)
    for output in ("pv", "vega", "theta"):
        assert float(one[output]) == pytest.approx(float(other[output]), rel=1e-9, abs=1e-9), output
    # Euler: pv = S delta + K (derivative to the strike), and the latter is the delta of the mirror image
    euler = float(columns["spot"]) * one["delta"] + 100.0 * other["delta"]
    assert float(euler) == pytest.approx(float(one["pv"]), abs=2e-6)


def test_prices_scale_with_money_to_the_last_bit() -> None:
    columns = american_book(300)
    money = {name: 4.0 * columns[name] for name in ("spot", "strike")}
    small, large = evaluate(NAME, **columns), evaluate(NAME, **columns | money)
    for output, factor in {"pv": 4.0, "delta": 1.0, "gamma": 0.25, "vega": 4.0, "exercise_boundary": 4.0}.items():
        assert np.array_equal(large[output], factor * small[output]), output


def test_classes_of_accuracy_meet() -> None:
    """Where a row goes to another class, by drift over volatility or by the two rates, its price stays."""
    row = one_row(strike=100.0, time=2.0)
    edges = {
        "rate": (0.25 * 0.04, {"dividend_yield": 0.04}),
        "dividend_yield": (0.0075, {"rate": 0.007}),
        "volatility": (0.08 * math.sqrt(2.0), {"rate": 0.09, "dividend_yield": 0.01}),
    }
    for name, (edge, others) in edges.items():
        pv = evaluate(NAME, **row | others | {name: edge * np.array([1.0 - 1e-12, 1.0 + 1e-12])})["pv"]
        assert abs(pv[1] - pv[0]) <= 1e-6, name


# ---- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 0.0, "dividend_yield": 0.0},
        {"rate": -0.02, "dividend_yield": 0.01},
        {"rate": -0.02, "dividend_yield": -0.02},
        {"is_call": 1.0, "dividend_yield": 0.0},
        {"is_call": 1.0, "dividend_yield": -0.03},
        {"is_call": 1.0, "dividend_yield": -0.03, "rate": -0.01},
    ],
)
def test_without_a_reason_to_exercise_early_it_is_the_european(change: dict[str, float]) -> None:
    row = one_row(**change)
    value = evaluate(NAME, **row)
    assert int(value["status"]) == 0
    for output, expected in european(row).items():
        assert float(value[output]) == float(expected), output
    assert float(value["exercise_boundary"]) == (math.inf if row["is_call"] else 0.0)


@pytest.mark.parametrize("is_call", [0, 1])
def test_at_and_beyond_the_boundary_it_is_the_payoff(is_call: int) -> None:
    row = one_row(is_call=is_call)
    edge = float(evaluate(NAME, **row)["exercise_boundary"])
    sign = 2.0 * is_call - 1.0
    spot = edge * np.exp(sign * np.array([-1e-3, 0.0, 0.1, 1.0, 10.0]))
    value = evaluate(NAME, **row | {"spot": spot})
    assert value["pv"][1:] == pytest.approx(sign * (spot[1:] - 105.0), rel=1e-14)
    assert value["delta"][1:].tolist() == [sign] * 4
    for greek in ("gamma", "vega", "theta", "rho"):
        assert value[greek][1:].tolist() == [0.0] * 4, greek
    # smooth pasting
    assert value["delta"][0] == pytest.approx(sign, abs=4e-3)
    assert value["pv"][0] > sign * (spot[0] - 105.0)
    assert value["theta"][0] <= 1e-3


def test_at_expiry_it_is_the_payoff() -> None:
    value = evaluate(
        NAME, **one_row(time=0.0, spot=[90.0, 105.0, 120.0, 90.0, 105.0, 120.0], is_call=[0, 0, 0, 1, 1, 1])
    )
    assert value["pv"].tolist() == [15.0, 0.0, 0.0, 0.0, 0.0, 15.0]
    assert value["delta"][[0, 2, 3, 5]].tolist() == [-1.0, 0.0, 0.0, 1.0]
    assert value["exercise_boundary"].tolist() == [105.0] * 6
    assert not value["status"].any()


@pytest.mark.parametrize(
    ("rate", "carry"),
    [(0.05, 0.0), (0.05, 0.02), (0.02, 0.06), (0.01, 0.5), (0.05, -0.03), (0.0, -0.02), (-0.01, 0.02)],
)
@pytest.mark.parametrize("spot", [30.0, 95.0, 105.0, 180.0])
def test_without_volatility_it_is_the_best_of_all_certain_times(rate: float, carry: float, spot: float) -> None:
    times = np.linspace(0.0, 5.0, 400001)
    best = max(float((100.0 * np.exp(-rate * times) - spot * np.exp(-carry * times)).max()), 0.0)
    row = one_row(spot=spot, strike=100.0, time=5.0, rate=rate, dividend_yield=carry)
    value = evaluate(NAME, **row | {"volatility": np.array([0.0, 1e-14, 1e-6])})
    assert value["pv"] == pytest.approx([best] * 3, abs=2e-5)
    assert value["pv"][:2] == pytest.approx([best] * 2, abs=1e-9)
    assert not value["status"].any()


def test_huge_volatility_is_that_of_the_twin() -> None:
    pv = evaluate(NAME, **one_row(volatility=np.array([1.0, 2.0, 4.0, 8.0, 9.7])))["pv"]
    assert (np.diff(pv) >= 0.0).all()
    assert pv[-1] == pytest.approx(105.0 * ReferencePut(1.5, 0.05, 0.02, 9.7).price(100.0 / 105.0), abs=1e-4)


def test_long_times_tend_to_the_perpetual_put() -> None:
    """Merton (1973): K / (1 - b) (S / B)^b with B = K b / (b - 1), b the negative root."""
    rate, carry, volatility = 0.05, 0.02, 0.25
    p = (rate - carry) / volatility**2 - 0.5
    root = -p - math.sqrt(p * p + 2.0 * rate / volatility**2)
    boundary = 105.0 * root / (root - 1.0)
    perpetual = 105.0 / (1.0 - root) * (100.0 / boundary) ** root
    value = evaluate(NAME, **one_row(time=np.array([300.0, 1000.0, 1e6])))
    assert value["pv"] == pytest.approx([perpetual] * 3, abs=5e-4)
    assert value["exercise_boundary"] == pytest.approx([boundary] * 3, rel=1e-4)


def test_tiny_times_and_rates_are_continuous() -> None:
    row = one_row(spot=104.0)
    tiny = evaluate(NAME, **row | {"time": 10.0 ** -np.arange(3.0, 13.0)})["pv"]
    assert (np.diff(tiny) <= 1e-12).all()
    assert tiny[-1] == pytest.approx(1.0, abs=1e-9)
    rates = evaluate(NAME, **row | {"rate": 10.0 ** -np.arange(3.0, 300.0, 9.0), "dividend_yield": 0.0})["pv"]
    without = float(european(row | {"rate": 0.0, "dividend_yield": 0.0})["pv"])
    assert (np.diff(rates) >= -1e-9).all()
    assert rates[4:] == pytest.approx([without] * len(rates[4:]), abs=1e-9)


# ---- refused rows, bytes ---------------------------------------------------------------------------------------------

REFUSED = [
    *({name: bad} for name in one_row() for bad in (math.nan, math.inf, -math.inf)),
    {"spot": 0.0},
    {"spot": -1.0},
    {"spot": 5e-324},
    {"strike": 0.0},
    {"time": -1e-9},
    {"volatility": -1e-9},
    {"is_call": 0.5},
    {"rate": -0.01, "dividend_yield": -0.02},
    {"rate": -0.02, "dividend_yield": -0.01, "is_call": 1.0},
    {"dividend_yield": -4.1 / 1.5},
    {"dividend_yield": -0.01, "volatility": 6.1 / math.sqrt(1.5)},
    {"volatility": 12.1 / math.sqrt(1.5)},
    {"spot": 1e308, "strike": 1e308, "rate": -2.0, "dividend_yield": 0.0, "is_call": 1.0, "time": 300.0},
]


@pytest.mark.parametrize("change", REFUSED, ids=str)
def test_a_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(change: dict[str, float]) -> None:
    columns = american_book(5)
    before = evaluate(NAME, **columns)
    moved = {name: column.copy() for name, column in columns.items()}
    for name, cell in (one_row() | change).items():
        moved[name][2] = cell
    value = evaluate(NAME, **moved)
    assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0]
    for output in before:
        if output != "status":
            assert np.isnan(value[output][2]), output
            assert np.delete(value[output], 2).tobytes() == np.delete(before[output], 2).tobytes(), output


@pytest.mark.parametrize(
    "change",
    [{"rate": -0.01, "dividend_yield": -0.01}, {"dividend_yield": -3.9 / 1.5}, {"spot": 1e-300}, {"strike": 1e300}],
)
def test_a_row_just_inside_the_domain_is_priced(change: dict[str, float]) -> None:
    assert int(evaluate(NAME, **one_row(**change))["status"]) == 0


def every_kind(rows: int) -> dict[str, np.ndarray]:
    """Ordinary, bent, stiff, stepped, closed form and refused rows side by side."""
    columns = american_book(rows)
    columns["volatility"][::7] = 0.02
    columns["volatility"][3::40] = 0.001
    columns["volatility"][5::50] = 0.0
    columns["time"][::33] = 0.0
    columns["rate"][::17] = -0.01
    columns["dividend_yield"][::19] = -0.02
    columns["spot"][::60] = math.nan
    return columns


def test_all_levels_give_the_same_bytes() -> None:
    columns = every_kind(120)
    first = evaluate_at(LEVELS[0], NAME, columns)
    for level in LEVELS[1:]:
        other = evaluate_at(level, NAME, columns)
        assert [output for output in first if first[output].tobytes() != other[output].tobytes()] == [], level


def test_a_row_has_the_same_bytes_wherever_blocks_begin() -> None:
    columns = every_kind(600)
    whole = evaluate(NAME, **columns)
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (256, 600), (599, 600)]:
        part = evaluate(NAME, **{column: values[begin:end] for column, values in columns.items()})
        for output, values in part.items():
            assert values.tobytes() == whole[output][begin:end].tobytes(), (output, begin, end)
