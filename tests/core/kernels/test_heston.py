"""equity.heston: values of others, an independent quadrature, Greeks, limits, refusals, bytes."""

from __future__ import annotations

import json
import math
from datetime import date

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.exotic_book import row_of
from tests.core.kernels.exotic_checks import REFERENCE, needs_reference
from tests.core.kernels.heston_book import PARAMETERS, Columns, exact_price, harsh_book, heston_book
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.reference import TWINS

NAME = "equity.heston"
EUROPEAN = ("spot", "strike", "time", "rate", "dividend_yield", "is_call")
ROW = {"spot": 100.0, "strike": 110.0, "time": 1.5, "rate": 0.03, "dividend_yield": 0.01}
ROW |= {"v0": 0.04, "kappa": 1.5, "theta": 0.06, "sigma": 0.5, "rho": -0.6, "is_call": 1.0}


def a_table(rows: int = 5, **cells: object) -> Columns:
    return {name: np.broadcast_to(np.asarray(cell, float), rows).copy() for name, cell in (ROW | cells).items()}


def total_variance(columns: Columns) -> np.ndarray:
    angle = columns["kappa"] * columns["time"]
    share = -np.expm1(-angle) / angle
    return (columns["v0"] * share + columns["theta"] * (1.0 - share)) * columns["time"]


@needs_reference
def test_values_of_lewis_and_of_quantlibs_tests() -> None:
    """The table's time of `cached_2004` counts 87 days of 2005 where there are 86: taken from its dates here."""
    cases = json.loads((REFERENCE / "heston" / "heston_reference.json").read_text())["cases"]
    new_year = date(2005, 1, 1)
    times = {"cached_2004": (new_year - date(2004, 12, 27)).days / 366 + (date(2005, 3, 28) - new_year).days / 365}
    checked = 0
    for case in cases:
        for option in case["options"]:
            value = evaluate(
                NAME,
                spot=case["s0"],
                strike=option["strike"],
                time=times.get(case["id"], case["T"]),
                rate=case["r"],
                dividend_yield=case["q"],
                is_call=option["type"] == "Call",
                **{name: case[name] for name in PARAMETERS},
            )
            assert float(value["pv"]) == pytest.approx(option["expected"], rel=0.0, abs=case["abs_tol"]), case["id"]
            checked += 1
    assert checked == 9


CORNERS = {
    "plain": {},
    "a day": {"time": 1 / 365, "strike": 101.0, "v0": 0.02},
    "Feller violated": {"time": 3.0, "v0": 0.01, "kappa": 0.3, "theta": 0.02, "sigma": 1.2, "strike": 90.0},
    "thirty years": {"time": 30.0, "strike": 250.0, "kappa": 0.2, "sigma": 0.8},
    "rho near -1": {"rho": -0.9999, "is_call": 0.0, "strike": 80.0},
    "rho near 1": {"rho": 0.999, "kappa": 0.1, "sigma": 0.9},
    "small sigma": {"sigma": 0.01, "strike": 70.0},
}


@pytest.mark.parametrize("corner", CORNERS)
def test_price_is_that_of_a_quadrature_in_many_digits(corner: str) -> None:
    row = ROW | CORNERS[corner]
    with mp.workdps(25):
        truth = exact_price(*(mp.mpf(cell) for cell in row.values()))
    assert float(evaluate(NAME, **row)["pv"]) == pytest.approx(float(truth), rel=0.0, abs=1e-11)


def test_price_delta_and_gamma_are_those_of_the_twin() -> None:
    columns = heston_book(25)
    value = evaluate(NAME, **columns)
    for row in range(25):
        for output, expected in TWINS[NAME](**row_of(columns, row)).items():
            assert value[output][row] == pytest.approx(expected, rel=1e-9, abs=3e-10), (output, row_of(columns, row))


def slope(columns: Columns, name: str, output: str, step: np.ndarray) -> np.ndarray:
    """Eighth-order central difference."""
    total = np.zeros(len(step))
    for place, weight in ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280)):
        ends = [evaluate(NAME, **columns | {name: columns[name] + sign * place * step})[output] for sign in (1, -1)]
        total += weight * (ends[0] - ends[1])
    return total / step


@pytest.mark.parametrize("book", [heston_book, harsh_book])
def test_outputs_are_derivatives_of_the_price(book: object) -> None:
    columns = book(400)  # type: ignore[operator]  # one of two functions
    value = evaluate(NAME, **columns)
    assert not value["status"].any()
    named = {f"to_{name}": name for name in (*PARAMETERS, "rate", "dividend_yield", "time")} | {"delta": "spot"}
    # Densities have spikes far narrower than their deviation: small steps in all that moves the forward.
    near = 3e-4 * np.minimum(np.sqrt(total_variance(columns)), 1.0)
    steps = {name: 0.01 * columns[name] for name in (*PARAMETERS, "time")} | {"spot": near * columns["spot"]}
    steps |= {"rho": 0.01 * np.minimum(1.0 - np.abs(columns["rho"]), 0.3)}
    steps |= dict.fromkeys(("rate", "dividend_yield"), near / columns["time"])
    legs = columns["spot"] + columns["strike"]
    for output, name in named.items():
        error = np.abs(slope(columns, name, "pv", steps[name]) - value[output])
        rounding = 1e-14 * legs / steps[name]       # of the two prices, over the step
        assert (error <= 1e-8 * np.abs(value[output]) + 1e-8 + rounding).all(), output
    gamma = slope(columns, "spot", "delta", steps["spot"])
    assert value["gamma"] == pytest.approx(gamma, rel=1e-6, abs=1e-8)


def test_price_solves_the_partial_differential_equation() -> None:
    """All outputs at once: what time takes is what diffusion, drift and discounting give."""
    columns = heston_book(300)
    value = evaluate(NAME, **columns)
    v0, spot, sigma, rho = (columns[name] for name in ("v0", "spot", "sigma", "rho"))
    vanna = slope(columns, "v0", "delta", 0.01 * v0)
    volga = slope(columns, "v0", "to_v0", 0.01 * v0)
    carried = (columns["rate"] - columns["dividend_yield"]) * spot * value["delta"] - columns["rate"] * value["pv"]
    diffused = 0.5 * v0 * spot**2 * value["gamma"] + rho * sigma * v0 * spot * vanna + 0.5 * sigma**2 * v0 * volga
    reverted = columns["kappa"] * (columns["theta"] - v0) * value["to_v0"]
    assert value["to_time"] == pytest.approx(carried + diffused + reverted, rel=1e-7, abs=1e-6)


def test_without_volatility_of_variance_it_is_black_with_the_average_variance() -> None:
    columns = heston_book(300) | {"sigma": np.zeros(300)}
    value = evaluate(NAME, **columns)
    volatility = np.sqrt(total_variance(columns) / columns["time"])
    european = evaluate("equity.european", volatility=volatility, **{name: columns[name] for name in EUROPEAN})
    for output, expected in (("pv", "pv"), ("delta", "delta"), ("gamma", "gamma"), ("to_rate", "rho")):
        assert value[output] == pytest.approx(european[expected], rel=1e-10, abs=1e-10), output
    share = -np.expm1(-columns["kappa"] * columns["time"]) / (columns["kappa"] * columns["time"])
    to_variance = european["vega"] / (2.0 * volatility)
    assert value["to_v0"] == pytest.approx(to_variance * share, rel=1e-9, abs=1e-9)
    assert value["to_theta"] == pytest.approx(to_variance * (1.0 - share), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("small", [0.0, 1e-200, 1e-12, 1e-8])
def test_neither_kappa_nor_sigma_near_zero_loses_digits(small: float) -> None:
    still = evaluate(NAME, **a_table(1, kappa=small, sigma=small))
    european = evaluate("equity.european", volatility=[0.2], **{name: ROW[name] for name in EUROPEAN})
    assert still["pv"] == pytest.approx(european["pv"], rel=0.0, abs=1e-11 + 10.0 * small)
    assert still["to_theta"] == pytest.approx(small * 89.316191, rel=1e-6, abs=1e-9)
    near = evaluate(NAME, **a_table(1, kappa=1e-5, sigma=1e-5))
    for output in ("to_v0", "to_kappa", "to_sigma", "gamma"):
        assert still[output] == pytest.approx(near[output], rel=2e-4), output


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_full_correlation_is_the_limit(end: float) -> None:
    rho = end * (1.0 - np.array([0.0, 1e-12, 1e-9]))
    value = evaluate(NAME, **a_table(3, rho=rho))
    assert not value["status"].any()
    expected = value["pv"][0] + value["to_rho"][0] * (rho - end)
    assert value["pv"] == pytest.approx(expected, rel=0.0, abs=1e-12)


@pytest.mark.parametrize("dead", [{"time": 0.0}, {"v0": 0.0, "theta": 0.0}, {"v0": 0.0, "kappa": 0.0}])
def test_without_variance_it_is_worth_what_the_forward_is_worth(dead: dict[str, float]) -> None:
    columns = a_table(6, strike=[80.0, 110.0, 100.0] * 2, is_call=[1.0] * 3 + [0.0] * 3, **dead)
    value = evaluate(NAME, **columns)
    carry, discount = np.exp(-0.01 * columns["time"]), np.exp(-0.03 * columns["time"])
    sign = 2.0 * columns["is_call"] - 1.0
    intrinsic = np.maximum(sign * (100.0 * carry - columns["strike"] * discount), 0.0)
    assert value["pv"] == pytest.approx(intrinsic, rel=1e-15)
    assert not value["status"].any()
    for output in ("gamma", *(f"to_{name}" for name in PARAMETERS)):
        assert value[output].tolist() == [0.0] * 6, output
    assert value["delta"][[0, 1, 3, 4]] == pytest.approx(np.array([1.0, 0.0, 0.0, -1.0]) * carry[0])


@pytest.mark.parametrize("time", [1e-300, 1e-20, 1e-15, 1e-9])
def test_price_tends_to_the_intrinsic_value_as_time_runs_out(time: float) -> None:
    value = evaluate(NAME, **a_table(4, time=time, strike=[50.0, 99.0, 101.0, 1e4]))
    assert value["pv"] == pytest.approx([50.0, 1.0, 0.0, 0.0], abs=1e-6)
    assert not value["status"].any()


def test_deep_tails_tend_to_zero_and_to_the_forward() -> None:
    strike = np.array([1e-300, 1e-30, 1e30, 1e300])
    for flag in (0.0, 1.0):
        value = evaluate(NAME, **a_table(4, strike=strike, is_call=flag))
        assert value["pv"][:2] == pytest.approx(flag * (100.0 * math.exp(-0.015) - strike[:2] * math.exp(-0.045)))
        assert value["pv"][2:] == pytest.approx((1.0 - flag) * strike[2:] * math.exp(-0.045), abs=1e-20)


ROWS = st.fixed_dictionaries(
    {
        "strike": st.floats(40.0, 250.0),
        "time": st.floats(0.01, 20.0),
        "rate": st.floats(-0.05, 0.15),
        "dividend_yield": st.floats(-0.05, 0.15),
        "v0": st.floats(0.0, 1.0),
        "kappa": st.floats(0.0, 10.0),
        "theta": st.floats(1e-4, 1.0),
        "sigma": st.floats(0.0, 3.0),
        "rho": st.floats(-1.0, 1.0),
    }
)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_parity_homogeneity_and_bounds(cells: dict[str, float]) -> None:
    three = {"spot": [100.0, 100.0, 700.0], "is_call": [1.0, 0.0, 1.0]}
    three["strike"] = [cells["strike"], cells["strike"], 7.0 * cells["strike"]]
    value = evaluate(NAME, **cells | three)
    if value["status"].any():  # a spike beside fat tails
        assert (value["status"] == FailureReason.NUMERICAL).all()
        return
    spot_leg = 100.0 * math.exp(-cells["dividend_yield"] * cells["time"])
    strike_leg = cells["strike"] * math.exp(-cells["rate"] * cells["time"])
    pv, legs = value["pv"], spot_leg + strike_leg
    assert pv[0] - pv[1] == pytest.approx(spot_leg - strike_leg, rel=0.0, abs=1e-10 * legs)
    assert pv[2] == pytest.approx(7.0 * pv[0], rel=1e-9, abs=1e-10 * legs)
    assert max(spot_leg - strike_leg, 0.0) - 1e-10 * legs <= pv[0] <= spot_leg + 1e-10 * legs
    assert value["gamma"][0] >= -1e-9


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_calls_fall_and_are_convex_in_the_strike(cells: dict[str, float]) -> None:
    strike = cells["strike"] * np.linspace(0.8, 1.25, 40)
    value = evaluate(NAME, spot=100.0, is_call=1.0, **cells | {"strike": strike})
    good = value["status"] == 0
    pv = value["pv"][good]
    tolerance = 1e-9 * (100.0 * math.exp(0.05 * cells["time"]) + cells["strike"])
    assert (np.diff(pv) <= tolerance).all()
    if good.all():
        assert (np.diff(pv, 2) >= -tolerance).all()


def test_every_row_of_the_books_is_good() -> None:
    for book in (heston_book, harsh_book):
        value = evaluate(NAME, **book(3000))
        assert not value["status"].any()
        assert all(np.isfinite(value[output.name]).all() for output in catalogue()[NAME].outputs)


BAD = {
    "spot": (0.0, -1.0, 1e-310, math.inf, math.nan),
    "strike": (0.0, -1.0, 1e-310, math.inf, math.nan),
    "time": (-1e-9, math.inf, math.nan),
    "rate": (math.inf, -math.inf, math.nan),
    "dividend_yield": (math.inf, -math.inf, math.nan),
    "v0": (-1e-9, math.inf, math.nan),
    "kappa": (-1e-9, math.inf, math.nan),
    "theta": (-1e-9, math.inf, math.nan),
    "sigma": (-1e-9, math.inf, math.nan),
    "rho": (-1.0000001, 1.0000001, math.inf, math.nan),
    "is_call": (-1.0, 0.5, 2.0, math.nan),
}


@pytest.mark.parametrize("column", BAD)
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(column: str) -> None:
    good = heston_book(5)
    before = evaluate(NAME, **good)
    for bad in BAD[column]:
        columns = {name: cells.copy() for name, cells in good.items()}
        columns[column][2] = bad
        value = evaluate(NAME, **columns)
        assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0], bad
        for output in catalogue()[NAME].outputs:
            assert np.isnan(value[output.name][2]), (bad, output.name)
            assert np.delete(value[output.name], 2).tobytes() == np.delete(before[output.name], 2).tobytes()


def test_row_out_of_the_quadratures_reach_is_refused_alone() -> None:
    """Variance 1e-10 with volatility 20 of it: a spike of width 1e-5 over tails of width 1."""
    columns = heston_book(5)
    before = evaluate(NAME, **columns)
    harsh = {"strike": 100.0, "time": 0.8, "v0": 1e-10, "kappa": 1e-4, "theta": 1e-10, "sigma": 20.0, "rho": 0.4}
    for name, cell in (harsh | {"rate": 0.0, "dividend_yield": 0.0}).items():
        columns[name][2] = cell
    value = evaluate(NAME, **columns)
    assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0]
    assert np.delete(value["pv"], 2).tobytes() == np.delete(before["pv"], 2).tobytes()


def test_all_levels_give_the_same_bytes() -> None:
    columns = {name: np.concatenate([cells, harsh_book(150)[name]]) for name, cells in heston_book(150).items()}
    columns["time"][::50] = 0.0
    columns["sigma"][::35] = 0.0
    columns["kappa"][::45] = 0.0
    columns["spot"][::60] = math.nan
    first = evaluate_at(LEVELS[-1], NAME, columns)
    for level in LEVELS[:-1]:
        other = evaluate_at(level, NAME, columns)
        assert [output for output in first if first[output].tobytes() != other[output].tobytes()] == [], level


def test_a_row_has_the_same_bytes_wherever_blocks_begin() -> None:
    columns = heston_book(300)
    whole = evaluate(NAME, **columns)
    for begin, end in [(0, 1), (1, 8), (3, 260), (63, 66), (255, 257), (256, 300), (299, 300)]:
        cut = evaluate(NAME, **{column: values[begin:end] for column, values in columns.items()})
        for output, values in cut.items():
            assert values.tobytes() == whole[output][begin:end].tobytes(), (output, begin, end)
