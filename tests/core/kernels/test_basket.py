"""equity.basket: third-party tables, closed forms, twin in NumPy, honest errors, domain, equal bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.exotic_checks import calls, column, needs_reference, table
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels import monte_carlo
from xip_core.kernels.catalogue import catalogue

NAME = "equity.basket"
BASKET: dict[str, float] = {
    "asset_count": 3,
    "spot_1": 100.0,
    "spot_2": 95.0,
    "spot_3": 105.0,
    "volatility_1": 0.2,
    "volatility_2": 0.3,
    "volatility_3": 0.4,
    "dividend_yield_1": 0.02,
    "dividend_yield_2": 0.0,
    "dividend_yield_3": 0.01,
    "correlation_12": 0.5,
    "correlation_13": 0.3,
    "correlation_23": -0.2,
    "strike": 98.0,
    "time": 1.5,
    "rate": 0.04,
    "basket_type": 0,
    "is_call": 1,
    "path_exponent": 12,
    "is_philox": 0,
    "seed": 11,
}
TYPES = {"MinBasket": 0, "MaxBasket": 1}
OUTPUTS = tuple(output.name for output in catalogue()[NAME].outputs)
GREEKS = {f"delta_{i}": f"spot_{i}" for i in (1, 2, 3)} | {f"vega_{i}": f"volatility_{i}" for i in (1, 2, 3)}


def price(**changes: Any) -> dict[str, np.ndarray]:
    value = evaluate(NAME, **BASKET | changes)
    assert not value["status"].any(), changes
    return value


@needs_reference
def test_options_on_the_best_and_worst_of_two_assets() -> None:
    """At the table's own tolerance, and four standard errors of ours, which are smaller."""
    rows = [row for row in table("basket_two_asset.csv") if row["basketType"] in TYPES]
    theirs = {"s1": "spot_1", "s2": "spot_2", "v1": "volatility_1", "v2": "volatility_2", "q1": "dividend_yield_1"}
    theirs |= {"q2": "dividend_yield_2", "rho": "correlation_12", "strike": "strike", "r": "rate", "t": "time"}
    columns = {ours: column(rows, name) for name, ours in theirs.items()}
    columns["basket_type"] = np.array([TYPES[row["basketType"]] for row in rows])
    value = price(**columns, asset_count=2, is_call=calls(rows), path_exponent=19, outputs=("pv", "standard_error"))
    slack = column(rows, "tol") + 4.0 * value["standard_error"]
    assert (np.abs(value["pv"] - column(rows, "result")) <= slack).all()
    assert value["standard_error"].max() < 5e-4


@needs_reference
def test_puts_on_the_best_of_three_assets() -> None:
    """Barraquand's table, times in months; it cuts its numbers after two decimals: 1.558 is its 1.55."""
    rows = table("basket_three_barraquand.csv")
    theirs = {f"s{i}": f"spot_{i}" for i in (1, 2, 3)} | {f"v{i}": f"volatility_{i}" for i in (1, 2, 3)}
    columns = {ours: column(rows, name) for name, ours in (theirs | {"strike": "strike", "r": "rate"}).items()}
    columns |= {f"correlation_{pair}": column(rows, "rho") for pair in ("12", "13", "23")}
    columns |= {f"dividend_yield_{i}": np.zeros(len(rows)) for i in (1, 2, 3)}
    columns["time"] = column(rows, "t") / 12.0
    assert {row["basketType"] for row in rows} == {"MaxBasket"}
    value = price(**columns, basket_type=1, is_call=calls(rows), path_exponent=16)
    cut = value["pv"] - column(rows, "euroValue")
    assert cut.min() >= 0.0
    assert cut.max() <= 0.01


@pytest.mark.parametrize("is_call", [0, 1])
def test_one_asset_is_the_european_option(is_call: int) -> None:
    """Black-Scholes from 2^16 paths, price and Greeks."""
    value = price(asset_count=1, path_exponent=16, is_call=is_call)
    names = {"spot": "spot_1", "volatility": "volatility_1", "dividend_yield": "dividend_yield_1"}
    row = {name: BASKET[ours] for name, ours in names.items()} | {n: BASKET[n] for n in ("strike", "time", "rate")}
    truth = evaluate("equity.european", **row, is_call=is_call)
    assert float(value["pv"]) == pytest.approx(float(truth["pv"]), abs=4 * float(value["standard_error"]))
    assert float(value["standard_error"]) < 1e-3
    assert float(value["delta_1"]) == pytest.approx(float(truth["delta"]), rel=2e-4)
    assert float(value["vega_1"]) == pytest.approx(float(truth["vega"]), rel=5e-4)
    assert float(value["rho"]) == pytest.approx(float(truth["rho"]), rel=5e-4)


def test_worst_and_best_of_two_without_strike_are_an_asset_and_an_exchange() -> None:
    """Stulz: the best is the second asset and the right to exchange it for the first; with the worst it is both."""
    best, worst = (price(asset_count=2, basket_type=kind, strike=0.0, path_exponent=16) for kind in (1, 0))
    exchange = evaluate(
        "equity.margrabe",
        first_spot=100.0,
        second_spot=95.0,
        time=1.5,
        first_yield=0.02,
        second_yield=0.0,
        first_volatility=0.2,
        second_volatility=0.3,
        correlation=0.5,
    )
    assert float(best["pv"]) == pytest.approx(95.0 + float(exchange["pv"]), abs=4 * float(best["standard_error"]))
    assert float(best["delta_1"]) == pytest.approx(float(exchange["first_delta"]), rel=2e-3)
    assert float(best["vega_2"]) == pytest.approx(float(exchange["second_vega"]), rel=5e-3)
    total = 100.0 * math.exp(-0.03) + 95.0
    assert float(best["pv"] + worst["pv"]) == pytest.approx(total, abs=4 * float(best["standard_error"]))


def test_numbers_are_those_of_numpy_on_the_same_normals() -> None:
    correlation = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, -0.2], [0.3, -0.2, 1.0]])
    factor = monte_carlo.cholesky(correlation)
    spot, volatility, dividend = (
        np.array([BASKET[f"{name}_{i}"] for i in (1, 2, 3)]) for name in ("spot", "volatility", "dividend_yield")
    )
    means: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for replicate in range(16):
        z = monte_carlo.normals(11, 0, 256, 3, replicate, factor=factor)
        at = spot * np.exp((0.04 - dividend - 0.5 * volatility**2) * 1.5 + volatility * math.sqrt(1.5) * z)
        for kind, value in enumerate((at.min(axis=1), at.max(axis=1), at.mean(axis=1))):
            means[kind].append(float(np.maximum(value - 98.0, 0.0).mean()) * math.exp(-0.06))
    ours = price(basket_type=[0, 1, 2])
    assert ours["pv"] == pytest.approx([np.mean(means[kind]) for kind in range(3)], rel=1e-12)
    errors = [np.std(means[kind], ddof=1) / 4.0 for kind in range(3)]
    assert ours["standard_error"] == pytest.approx(errors, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    asset_count=st.integers(1, 3),
    strike=st.floats(20.0, 300.0),
    time=st.floats(0.0, 5.0),
    volatility=st.floats(0.0, 1.0),
    is_philox=st.integers(0, 1),
)
def test_worst_mean_best_are_in_order_and_prices_convex_in_strike(
    asset_count: int, strike: float, time: float, volatility: float, is_philox: int
) -> None:
    columns = {"asset_count": asset_count, "time": time, "volatility_2": volatility, "is_philox": is_philox}
    worst, mean, best = price(**columns, strike=strike, basket_type=[0, 2, 1], path_exponent=10)["pv"]
    assert worst <= mean + 1e-12 <= best + 2e-12
    puts = price(**columns, strike=strike * np.array([0.9, 1.0, 1.1]), is_call=0, path_exponent=10)["pv"]
    assert puts[0] <= puts[1] + 1e-12 <= puts[2] + 2e-12
    assert puts[1] <= 0.5 * (puts[0] + puts[2]) + 1e-12


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_greeks_are_derivatives_of_the_price_on_the_same_paths(kind: int) -> None:
    value = price(basket_type=kind, path_exponent=14)
    for greek, name in (GREEKS | {"rho": "rate"}).items():
        step = 1e-3 * BASKET[name]
        moved = price(basket_type=kind, path_exponent=14, **{name: [BASKET[name] - step, BASKET[name] + step]})["pv"]
        assert float(value[greek]) == pytest.approx(np.diff(moved)[0] / (2 * step), rel=0.01, abs=0.002), greek


def test_error_bars_are_honest() -> None:
    """As for notes: Student's t of 15 degrees over 150 seeds."""
    truth = price(path_exponent=18, seed=999)
    value = evaluate(NAME, outputs=("pv", "standard_error"), **BASKET | {"path_exponent": 10, "seed": np.arange(150)})
    away = (value["pv"] - truth["pv"]) / value["standard_error"]
    assert abs(away.mean()) < 4 * 1.07 / math.sqrt(150)
    assert 0.85 < away.std() < 1.3


@pytest.mark.parametrize("columns", [{"time": 0.0}, {f"volatility_{i}": 0.0 for i in (1, 2, 3)}])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_without_time_or_volatility_the_forwards_are_paid(columns: dict[str, float], kind: int) -> None:
    row = BASKET | columns
    forward = [row[f"spot_{i}"] * math.exp((0.04 - row[f"dividend_yield_{i}"]) * row["time"]) for i in (1, 2, 3)]
    value = (min(forward), max(forward), sum(forward) / 3)[kind] - 98.0
    for is_call, paid in ((1, max(value, 0.0)), (0, max(-value, 0.0))):
        computed = price(**columns, basket_type=kind, is_call=is_call)
        assert float(computed["pv"]) == pytest.approx(paid * math.exp(-0.04 * row["time"]), rel=1e-13, abs=1e-13)
        assert float(computed["standard_error"]) < 1e-13


BAD = {
    "asset_count": (0.0, 4.0, 2.5),
    "spot_2": (0.0, -1.0),
    "volatility_1": (-0.1, 8.2),  # its square times 1.5 years is 100.9
    "correlation_23": (1.1, -1.1, -0.9),  # the last is impossible with the others
    "strike": (-1.0,),
    "time": (-0.1,),
    "basket_type": (-1.0, 3.0, 0.5),
    "is_call": (0.5, 2.0),
    "path_exponent": (9.0, 25.0, 10.5),
    "is_philox": (0.5,),
    "seed": (-1.0, 4294967296.0, 0.5),
}


@pytest.mark.parametrize("name", list(BASKET))
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(name: str) -> None:
    good = price(path_exponent=10)
    for bad in (math.nan, math.inf, -math.inf, *BAD.get(name, ())):
        columns = BASKET | {"path_exponent": 10, name: np.array([BASKET | {"path_exponent": 10}][0][name])}
        middle = np.array([columns[name], bad, columns[name]], float)
        value = evaluate(NAME, **columns | {name: middle})
        assert value["status"].tolist() == [0, FailureReason.NUMERICAL, 0], bad
        for output in OUTPUTS:
            assert np.isnan(value[output][1])
            assert value[output][0] == value[output][2] == good[output]


def test_every_level_and_cut_gives_the_same_bytes() -> None:
    random = np.random.default_rng(2)
    columns = {name: np.full(12, float(cell)) for name, cell in (BASKET | {"path_exponent": 10}).items()}
    columns |= {"asset_count": np.arange(12) % 3 + 1.0, "basket_type": random.integers(0, 3, 12).astype(float)}
    columns |= {"is_philox": np.arange(12) // 6 * 1.0, "volatility_1": np.linspace(0.0, 0.5, 12)}
    whole = evaluate_at(LEVELS[0], NAME, columns)
    for level in LEVELS[1:]:
        other = evaluate_at(level, NAME, columns)
        assert [output for output in whole if whole[output].tobytes() != other[output].tobytes()] == [], level
    part = evaluate(NAME, **{name: values[5:9] for name, values in columns.items()})
    assert all(part[output].tobytes() == whole[output][5:9].tobytes() for output in part)
