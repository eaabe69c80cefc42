"""black, bachelier, equity and fx european: accuracy, Greeks, symmetry, twins, limits and refused rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from tests.core.kernels import exact
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.reference import TWINS

Columns = dict[str, np.ndarray]
ROWS = 150
LOGNORMAL = ["black.european", "equity.european", "fx.european"]
EUROPEAN = [*LOGNORMAL, "bachelier.european"]


def book(name: str, rows: int = ROWS, seed: int = 11) -> Columns:
    """Rows spread over what desks quote: moneyness of 2.5 standard deviations, a week to ten years."""
    random = np.random.default_rng(seed)
    time = random.uniform(0.02, 10.0, rows)
    volatility = random.uniform(0.02, 0.8, rows)
    first = random.uniform(20.0, 200.0, rows)
    strike = first * np.exp(volatility * np.sqrt(time) * random.uniform(-2.5, 2.5, rows))
    columns = {
        "forward": first,
        "spot": first,
        "strike": strike,
        "time": time,
        "volatility": volatility,
        "rate": random.uniform(-0.03, 0.1, rows),
        "dividend_yield": random.uniform(-0.02, 0.06, rows),
        "discount": random.uniform(0.5, 1.05, rows),
        "is_call": random.integers(0, 2, rows).astype(float),
    }
    columns["domestic_rate"], columns["foreign_rate"] = columns["rate"], columns["dividend_yield"]
    if name == "bachelier.european":
        columns["normal_volatility"] = random.uniform(0.001, 0.02, rows)
        columns["forward"] = random.uniform(-0.02, 0.08, rows)
        shift = columns["normal_volatility"] * np.sqrt(time) * random.uniform(-2.5, 2.5, rows)
        columns["strike"] = columns["forward"] + shift
    return {column.name: columns[column.name] for column in catalogue()[name].columns}


def row_of(columns: Columns, row: int) -> dict[str, float]:
    return {name: float(values[row]) for name, values in columns.items()}


EXACT: dict[str, Callable[..., mp.mpf]] = {
    "black.european": exact.black,
    "bachelier.european": exact.bachelier,
    "equity.european": exact.carried,
    "fx.european": exact.carried,
}


# ---- values ----------------------------------------------------------------------------------------------------------


def test_call_of_hull_example_15_6_is_4_76() -> None:
    """J. Hull, Options, Futures and Other Derivatives, 9th edition, example 15.6: call 4.76, put 0.81."""
    columns = {"spot": 42.0, "strike": 40.0, "time": 0.5, "rate": 0.1, "dividend_yield": 0.0, "volatility": 0.2}
    pv = evaluate("equity.european", **columns, is_call=[1, 0])["pv"]
    assert pv == pytest.approx([4.759422392871535, 0.8085993729000922], abs=1e-13)


def test_black_put_of_hull_example_18_6_is_1_12() -> None:
    """The same book, example 18.6: put on a futures of 20, strike 20, 4 months, 9 %, 25 %: 1.12."""
    value = evaluate(
        "black.european",
        forward=20.0,
        strike=20.0,
        time=4 / 12,
        volatility=0.25,
        discount=math.exp(-0.09 * 4 / 12),
        is_call=0,
    )
    assert float(value["pv"]) == pytest.approx(1.12, abs=0.005)


def test_bachelier_at_the_money_is_sigma_root_time_over_root_two_pi() -> None:
    value = evaluate(
        "bachelier.european", forward=0.02, strike=0.02, time=4.0, normal_volatility=0.01, discount=0.9, is_call=[1, 0]
    )
    assert value["pv"] == pytest.approx([0.9 * 0.02 / math.sqrt(2 * math.pi)] * 2, rel=1e-15)


@pytest.mark.parametrize("name", EUROPEAN)
def test_price_is_within_1e_15_of_the_larger_leg(name: str) -> None:
    columns = book(name)
    computed = evaluate(name, **columns)["pv"]
    with mp.workdps(40):
        for row in range(ROWS):
            cells = row_of(columns, row)
            truth = EXACT[name](*[mp.mpf(value) for value in cells.values()])
            scale = max(abs(cells.get("spot", cells.get("forward", 0.0))), abs(cells["strike"]), 1e-2)
            assert abs(computed[row] - truth) <= 1e-15 * scale, cells


@pytest.mark.parametrize("name", EUROPEAN)
def test_price_deep_out_of_the_money_keeps_eleven_digits(name: str) -> None:
    """Strikes 5 to 30 standard deviations away, on the side that is out of the money."""
    columns = book(name, rows=60)
    distance = np.linspace(5.0, 30.0, 60) * np.where(columns["is_call"] > 0, 1.0, -1.0)
    if name == "bachelier.european":
        columns["strike"] = columns["forward"] + distance * columns["normal_volatility"] * np.sqrt(columns["time"])
    else:
        columns["volatility"] = np.full(60, 0.1)
        first = columns.get("spot", columns.get("forward"))
        columns["strike"] = first * np.exp(0.1 * np.sqrt(columns["time"]) * distance)
    computed = evaluate(name, **columns)["pv"]
    with mp.workdps(60):
        for row in range(60):
            truth = EXACT[name](*[mp.mpf(value) for value in row_of(columns, row).values()])
            assert abs(computed[row] - truth) <= 1e-11 * truth, row_of(columns, row)


@pytest.mark.parametrize("name", EUROPEAN)
def test_kernel_agrees_with_its_twin(name: str) -> None:
    columns = book(name)
    computed = evaluate(name, **columns)
    for row in range(ROWS):
        for output, value in TWINS[name](**row_of(columns, row)).items():
            assert computed[output][row] == pytest.approx(value, rel=1e-9, abs=1e-11), (output, row_of(columns, row))


# ---- Greeks ----------------------------------------------------------------------------------------------------------

# output -> (column, order) pairs it is a derivative to, and sign
BLACK_GREEKS = {
    "delta": ([("forward", 1)], 1),
    "gamma": ([("forward", 2)], 1),
    "vega": ([("volatility", 1)], 1),
    "vanna": ([("forward", 1), ("volatility", 1)], 1),
    "volga": ([("volatility", 2)], 1),
}
SPOT_GREEKS = {
    "delta": ([("spot", 1)], 1),
    "gamma": ([("spot", 2)], 1),
    "vega": ([("volatility", 1)], 1),
    "theta": ([("time", 1)], -1),
    "vanna": ([("spot", 1), ("volatility", 1)], 1),
    "volga": ([("volatility", 2)], 1),
}
GREEKS: dict[str, dict[str, tuple[list[tuple[str, int]], int]]] = {
    "black.european": BLACK_GREEKS,
    "bachelier.european": {
        "delta": ([("forward", 1)], 1),
        "gamma": ([("forward", 2)], 1),
        "vega": ([("normal_volatility", 1)], 1),
    },
    "equity.european": SPOT_GREEKS | {"rho": ([("rate", 1)], 1), "dividend_rho": ([("dividend_yield", 1)], 1)},
    "fx.european": SPOT_GREEKS
    | {"rho_domestic": ([("domestic_rate", 1)], 1), "rho_foreign": ([("foreign_rate", 1)], 1)},
}


def derivative(name: str, cells: dict[str, float], to: list[tuple[str, int]]) -> mp.mpf:
    names = list(cells)
    places, orders = [names.index(column) for column, _ in to], tuple(order for _, order in to)

    def value(*moved: mp.mpf) -> mp.mpf:
        arguments = [mp.mpf(number) for number in cells.values()]
        for place, number in zip(places, moved, strict=True):
            arguments[place] = number
        return EXACT[name](*arguments)

    at = tuple(mp.mpf(cells[column]) for column, _ in to)
    return mp.diff(value, at if len(at) > 1 else at[0], orders if len(at) > 1 else orders[0])


@pytest.mark.parametrize(("name", "greek"), [(name, greek) for name in EUROPEAN for greek in GREEKS[name]])
def test_greek_is_the_derivative_of_the_price(name: str, greek: str) -> None:
    columns = book(name, rows=12, seed=5)
    computed = evaluate(name, outputs=greek, **columns)[greek]
    to, sign = GREEKS[name][greek]
    with mp.workdps(50):
        for row in range(12):
            truth = sign * derivative(name, row_of(columns, row), to)
            assert computed[row] == pytest.approx(float(truth), rel=1e-12, abs=1e-14), row_of(columns, row)


@pytest.mark.parametrize("name", ["black.european", "bachelier.european"])
def test_theta_and_rho_read_the_discount_as_a_rate(name: str) -> None:
    columns = book(name, rows=12, seed=6)
    computed = evaluate(name, **columns)
    with mp.workdps(50):
        for row in range(12):
            cells = [mp.mpf(value) for value in row_of(columns, row).values()]
            rate = -mp.log(cells[4]) / cells[2]

            def value(time: mp.mpf, rate: mp.mpf, cells: list[mp.mpf] = cells) -> mp.mpf:
                return EXACT[name](cells[0], cells[1], time, cells[3], mp.exp(-rate * time), cells[5])

            theta = -mp.diff(lambda time, rate=rate, value=value: value(time, rate), cells[2])
            assert computed["theta"][row] == pytest.approx(float(theta), rel=1e-12, abs=1e-14)
            if name == "black.european":
                rho = mp.diff(lambda moved, time=cells[2], value=value: value(time, moved), rate)
                assert computed["rho"][row] == pytest.approx(float(rho), rel=1e-12, abs=1e-14)


# ---- symmetry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EUROPEAN)
def test_call_minus_put_is_the_forward(name: str) -> None:
    columns = book(name)
    call = evaluate(name, **(columns | {"is_call": 1}))["pv"]
    put = evaluate(name, **(columns | {"is_call": 0}))["pv"]
    if "discount" in columns:
        forward = columns["discount"] * (columns["forward"] - columns["strike"])
    else:
        rate, carry = columns.get("rate", columns.get("domestic_rate")), columns.get("dividend_yield")
        carry = columns["foreign_rate"] if carry is None else carry
        growth = np.exp(-carry * columns["time"])
        forward = columns["spot"] * growth - columns["strike"] * np.exp(-rate * columns["time"])
    scale = np.maximum(np.abs(columns["strike"]), np.abs(columns.get("spot", columns.get("forward"))))
    assert np.abs(call - put - forward).max() <= 1e-15 * max(scale.max(), 1.0)


@pytest.mark.parametrize("name", LOGNORMAL)
def test_price_is_homogeneous_in_spot_and_strike(name: str) -> None:
    """A power of two scales without rounding: the bytes must scale too."""
    columns = book(name)
    first = "forward" if "forward" in columns else "spot"
    scaled = columns | {first: 4.0 * columns[first], "strike": 4.0 * columns["strike"]}
    small, large = evaluate(name, **columns), evaluate(name, **scaled)
    assert np.array_equal(large["pv"], 4.0 * small["pv"])
    assert np.array_equal(large["delta"], small["delta"])
    assert np.array_equal(large["gamma"], small["gamma"] / 4.0)


def test_fx_call_is_a_put_on_the_inverse_pair() -> None:
    columns = book("fx.european")
    call = evaluate("fx.european", **(columns | {"is_call": 1}))["pv"]
    inverse = evaluate(
        "fx.european",
        spot=1 / columns["spot"],
        strike=1 / columns["strike"],
        time=columns["time"],
        domestic_rate=columns["foreign_rate"],
        foreign_rate=columns["domestic_rate"],
        volatility=columns["volatility"],
        is_call=0,
    )["pv"]
    assert np.allclose(call, inverse * columns["spot"] * columns["strike"], rtol=1e-12, atol=1e-12)


# ---- limits ----------------------------------------------------------------------------------------------------------


def one(name: str, **changes: Any) -> dict[str, Any]:
    base = {
        "forward": 100.0,
        "spot": 100.0,
        "strike": 90.0,
        "time": 1.0,
        "volatility": 0.2,
        "normal_volatility": 20.0,
        "rate": 0.0,
        "dividend_yield": 0.0,
        "domestic_rate": 0.0,
        "foreign_rate": 0.0,
        "discount": 1.0,
        "is_call": 1.0,
    } | changes
    return {column.name: base[column.name] for column in catalogue()[name].columns}


@pytest.mark.parametrize("name", EUROPEAN)
@pytest.mark.parametrize("vanishing", ["time", "volatility"])
@pytest.mark.parametrize(
    ("strike", "is_call", "pv", "delta"),
    [
        (90.0, 1, 10.0, 1.0),
        (90.0, 0, 0.0, 0.0),
        (110.0, 1, 0.0, 0.0),
        (110.0, 0, 10.0, -1.0),
        (100.0, 1, 0.0, 0.5),
        (100.0, 0, 0.0, -0.5),
    ],
)
def test_price_without_time_or_volatility_is_intrinsic(
    name: str, vanishing: str, strike: float, is_call: int, pv: float, delta: float
) -> None:
    none = {"time": 0.0} if vanishing == "time" else {"volatility": 0.0, "normal_volatility": 0.0}
    value = evaluate(name, **one(name, strike=strike, is_call=is_call, **none))
    assert float(value["pv"]) == pv
    assert float(value["delta"]) == pytest.approx(delta, abs=1.2e-16)  # the half is n(0) M(0), one rounding off
    assert float(value["gamma"]) == 0.0
    assert int(value["status"]) == 0
    at_the_kink_with_time = strike == 100.0 and vanishing == "volatility"
    vega = 100.0 / math.sqrt(2 * math.pi) if at_the_kink_with_time and name in LOGNORMAL else 0.0
    vega = 1.0 / math.sqrt(2 * math.pi) if at_the_kink_with_time and name not in LOGNORMAL else vega
    assert float(value["vega"]) == pytest.approx(vega, rel=1e-15)


@pytest.mark.parametrize("name", EUROPEAN)
def test_price_tends_to_intrinsic_as_volatility_vanishes(name: str) -> None:
    volatility = 10.0 ** -np.arange(3.0, 320.0, 4.0)
    value = evaluate(name, **one(name, volatility=volatility, normal_volatility=100 * volatility))
    assert (value["pv"] == 10.0).all()
    assert (value["delta"] == 1.0).all()
    assert all((value[output] == 0.0).all() for output in value if output in ("gamma", "vega", "vanna", "volga"))


@pytest.mark.parametrize("name", LOGNORMAL)
def test_price_tends_to_its_bound_as_volatility_grows(name: str) -> None:
    call = evaluate(name, **one(name, volatility=[10.0, 100.0, 1e6, 1e100]))
    put = evaluate(name, **one(name, volatility=[100.0, 1e6, 1e100], is_call=0))
    assert call["pv"][1:] == pytest.approx(100.0, rel=1e-15)
    assert put["pv"] == pytest.approx(90.0, rel=1e-15)
    assert (call["status"] == 0).all()


@pytest.mark.parametrize("strike", [1e-300, 1e-10, 1e10, 1e300])
def test_absurd_strike_gives_the_bound_not_noise(strike: float) -> None:
    value = evaluate("equity.european", **one("equity.european", strike=strike, is_call=[1.0, 0.0]))
    call, put = (100.0 - strike, 0.0) if strike < 1.0 else (0.0, strike - 100.0)
    assert value["pv"].tolist() == [call, put]


def test_price_never_falls_below_zero() -> None:
    random = np.random.default_rng(8)
    strike = 100.0 * np.exp(random.normal(0.0, 1e-3, 5000))
    volatility = 10.0 ** random.uniform(-18, -3, 5000)
    for is_call in (0.0, 1.0):
        value = evaluate(
            "equity.european", **one("equity.european", strike=strike, volatility=volatility, is_call=is_call)
        )
        assert (value["pv"] >= 0.0).all()


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EUROPEAN)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0, "flag"])
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(name: str, bad: Any) -> None:
    good = {column: np.full(5, value) for column, value in one(name).items()}
    for column in good:
        signed = column.endswith("rate") or column == "dividend_yield" or name == "bachelier.european"
        if bad == "flag" and column != "is_call":
            continue
        if (
            bad == -1.0
            and signed
            and column in ("forward", "strike", "rate", "dividend_yield", "domestic_rate", "foreign_rate")
        ):
            continue
        columns = {name: values.copy() for name, values in good.items()}
        columns[column][2] = 0.5 if bad == "flag" else bad
        value = evaluate(name, **columns)
        assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0], column
        for output in catalogue()[name].outputs:
            assert np.isnan(value[output.name][2]), (column, output.name)
            assert np.isfinite(value[output.name][[0, 1, 3, 4]]).all()


@pytest.mark.parametrize("name", LOGNORMAL)
def test_zero_and_subnormal_prices_are_refused(name: str) -> None:
    first = "forward" if name == "black.european" else "spot"
    for column in (first, "strike"):
        assert evaluate(name, **one(name, **{column: [0.0, 1e-310]}))["status"].tolist() == [8, 8]


def test_overflow_is_refused_not_infinite() -> None:
    value = evaluate("equity.european", **one("equity.european", rate=-1000.0, is_call=0.0))
    assert int(value["status"]) == FailureReason.NUMERICAL
    assert math.isnan(float(value["pv"]))


def test_refused_rows_hold_one_canonical_nan() -> None:
    columns = one("black.european", forward=[math.nan, -math.nan, math.inf, -1.0, 0.0])
    assert len({number.tobytes() for number in evaluate("black.european", **columns)["pv"]}) == 1
