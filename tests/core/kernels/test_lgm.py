"""Bermudan rights under LGM: against a twin without tricks, Europeans, limits, bytes, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS
from xip_core.kernels.level import load_module

Floats = np.ndarray
RATE, EXPIRIES = 0.03, (1.0, 2.0, 3.0, 4.0)


def a_swap(strike: float = 0.03, end: float = 8.0) -> tuple[Floats, Floats, Floats]:
    """Receives *strike* yearly against a floating leg, per unit, on a flat curve: amounts, slopes, exercises."""
    times = np.arange(EXPIRIES[0], end + 0.5)
    amounts, slopes, exercises = [], [], []
    for begin, pay in pairwise(times):
        count = sum(begin >= expiry for expiry in EXPIRIES)
        for amount, time in ((strike + 1.0, pay), (-1.0, begin)):
            amounts.append(amount * np.exp(-RATE * time))
            slopes.append(time)
            exercises.append(count)
    return np.array(amounts), np.array(slopes), np.array(exercises, dtype=np.int32)


def european(swap: tuple[Floats, Floats, Floats], exercise: int, zeta: float) -> float:
    """E[U+] by brute force."""
    x, step = np.linspace(-12.0, 12.0, 200_001, retstep=True)
    density = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    return float(np.sum(np.maximum(underlying(swap, exercise, x * np.sqrt(zeta), zeta), 0.0) * density) * step)


def underlying(swap: tuple[Floats, Floats, Floats], exercise: int, x: Floats, zeta: float) -> Floats:
    amounts, slopes = (part[swap[2] > exercise, None] for part in swap[:2])
    values: Floats = (amounts * np.exp(-slopes * x - 0.5 * slopes**2 * zeta)).sum(axis=0)
    return values


def twin(swap: tuple[Floats, Floats, Floats], zetas: list[float]) -> float:
    """Backward induction on a fine grid, linear between its points."""
    grid = np.linspace(-8.0, 8.0, 3201) * np.sqrt(zetas[-1])
    normal, step = np.linspace(-8.0, 8.0, 641, retstep=True)
    weights = np.exp(-0.5 * normal * normal) / np.sqrt(2.0 * np.pi) * step
    held = np.zeros_like(grid)
    for exercise in range(len(zetas) - 1, -1, -1):
        values = np.maximum(underlying(swap, exercise, grid, zetas[exercise]), held)
        deviation = np.sqrt(zetas[exercise] - (zetas[exercise - 1] if exercise else 0.0))
        points = grid if exercise else np.zeros(1)
        held = sum(w * np.interp(points + deviation * z, grid, values) for w, z in zip(weights, normal, strict=True))
    return float(held[0])


def bermudan(swap: tuple[Floats, Floats, Floats], prices: list[float], kernel: Any = None) -> float:
    amounts, slopes, exercises = swap
    found = (kernel or load_module("lgm")).bermudan(amounts[:, None], slopes, exercises, np.array(prices)[:, None])
    return float(found[0])


def prices_of(swap: tuple[Floats, Floats, Floats], zetas: list[float]) -> list[float]:
    return [european(swap, exercise, zeta) for exercise, zeta in enumerate(zetas)]


@pytest.mark.parametrize("volatility", [0.002, 0.01, 0.04])
@pytest.mark.parametrize("strike", [0.01, 0.03, 0.06])
def test_value_is_that_of_a_fine_grid(volatility: float, strike: float) -> None:
    swap = a_swap(strike)
    zetas = [volatility**2 * expiry for expiry in EXPIRIES]
    assert bermudan(swap, prices_of(swap, zetas)) == pytest.approx(twin(swap, zetas), abs=3e-6)


@given(st.floats(0.001, 0.04), st.floats(-0.02, 0.1))
@settings(max_examples=25, deadline=None)
def test_one_date_is_the_european_right(volatility: float, strike: float) -> None:
    swap = a_swap(strike)
    once = (swap[0], swap[1], np.minimum(swap[2], 1).astype(np.int32))
    price = european(once, 0, volatility**2)
    assert bermudan(once, [price]) == pytest.approx(price, abs=1e-7)


@given(st.floats(0.001, 0.03), st.floats(0.0, 0.08))
@settings(max_examples=15, deadline=None)
def test_more_dates_are_worth_more_and_no_more_than_all_of_them(volatility: float, strike: float) -> None:
    swap = a_swap(strike)
    prices = prices_of(swap, [volatility**2 * expiry for expiry in EXPIRIES])
    value = bermudan(swap, prices)
    assert max(prices) - 1e-7 <= value <= sum(prices) + 1e-7
    fewer = (swap[0], swap[1], np.minimum(swap[2], 2).astype(np.int32))
    assert bermudan(fewer, prices[:2]) <= value + 1e-7


@pytest.mark.parametrize("scale", [1e-3, 1.0, 3.0, 10.0, 1e7])
def test_value_is_proportional_to_the_amounts(scale: float) -> None:
    # A fit that ended at the edge of its bracket once leapt away, at some scales.
    swap = a_swap(0.05)
    prices = prices_of(swap, [1e-4 * expiry for expiry in EXPIRIES])
    scaled = (swap[0] * scale, swap[1], swap[2])
    assert bermudan(scaled, [price * scale for price in prices]) == pytest.approx(scale * bermudan(swap, prices), 1e-9)


def test_without_volatility_the_best_date_is_known_today() -> None:
    for strike in (0.05, 0.01):
        swap = a_swap(strike)
        totals = [float(swap[0][swap[2] > exercise].sum()) for exercise in range(4)]
        best = max(0.0, *totals)
        assert bermudan(swap, [max(total, 0.0) for total in totals]) == pytest.approx(best, abs=1e-12)


def test_a_date_that_adds_no_variance_adds_a_choice_and_no_time() -> None:
    swap = a_swap()
    prices = prices_of(swap, [1e-4, 1e-4, 3e-4, 4e-4])
    still = bermudan(swap, prices)
    assert still == pytest.approx(twin(swap, [1e-4, 1e-4 + 1e-14, 3e-4, 4e-4]), abs=3e-6)


@pytest.mark.parametrize(
    ("zetas", "what"),
    [
        ([2e-4, 1e-4, 3e-4, 4e-4], "variance that falls"),
        ([1e-4, 1.00001e-4, 3e-4, 4e-4], "dates too close to be told apart"),
        ([1e-4, 2e-4, 3e-4, 0.6], "variance too large for the grid"),
    ],
)
def test_what_the_model_cannot_say_has_no_number(zetas: list[float], what: str) -> None:
    swap = a_swap()
    assert np.isnan(bermudan(swap, prices_of(swap, zetas))), what


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_scenario_without_a_price_or_amount_leaves_the_others_alone(bad: float) -> None:
    swap = a_swap()
    prices = np.array(prices_of(swap, [1e-4 * expiry for expiry in EXPIRIES]))
    columns = np.repeat(prices[:, None], 3, axis=1)
    columns[2, 1] = bad
    amounts = np.repeat(swap[0][:, None], 3, axis=1)
    found = load_module("lgm").bermudan(amounts, swap[1], swap[2], columns)
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == [bermudan(swap, prices.tolist())] * 2
    amounts[3, 2] = bad
    assert np.isnan(load_module("lgm").bermudan(amounts, swap[1], swap[2], columns)[1:]).all()


def test_bytes_are_the_same_at_every_level_and_for_any_scenarios_beside() -> None:
    swap = a_swap(0.04)
    moves = np.linspace(0.9, 1.1, 5)
    columns = np.array([prices_of(swap, [1e-4 * move * expiry for expiry in EXPIRIES]) for move in moves]).T.copy()
    amounts = np.repeat(swap[0][:, None], 5, axis=1)
    whole = load_module("lgm").bermudan(amounts, swap[1], swap[2], columns)
    for level in LEVELS:
        assert load_module("lgm", level).bermudan(amounts, swap[1], swap[2], columns).tobytes() == whole.tobytes()
    for scenario in range(5):
        assert bermudan(swap, columns[:, scenario].tolist()) == whole[scenario]


@pytest.mark.parametrize(
    ("exercises", "payments", "sentence"),
    [
        (0, 4, "1 to 512 exercises"),
        (513, 4, "1 to 512 exercises"),
        (2, 0, "and a payment"),
        (2, 3, "must have 4 values"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(exercises: int, payments: int, sentence: str) -> None:
    slopes = np.ones(payments)
    amounts = np.ones((4 if payments == 3 else payments, 1))
    with pytest.raises(ValueError, match=sentence):
        load_module("lgm").bermudan(amounts, slopes, np.ones(payments, dtype=np.int32), np.ones((exercises, 1)))
