"""The lognormal volatility of an average: exact second moments, limits, and how far the lognormal itself is off."""

from __future__ import annotations

from math import erf, exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.exotic_checks import needs_reference, table
from xip_core.pricing.averages import average_volatilities
from xip_core.pricing.reference import black
from xip_core.pricing.tile import Columns

Floats = np.ndarray


def columns_of(weights: Floats, times: Floats) -> Columns:
    """One option; factors 0 to N - 1 are forwards, N to 2 N - 1 variances."""
    count = len(times)
    each, ones = np.arange(count + 1, dtype=np.int32), np.ones(count)
    return {
        "option_time": np.array([times[-1]]),
        "average_option": np.array([0], dtype=np.int32),
        "average_ptr": np.array([0, count], dtype=np.int32),
        "average_weight": weights,
        "average_time": times,
        "average_forward_ptr": each,
        "average_forward_factor": np.arange(count, dtype=np.int32),
        "average_forward_weight": ones,
        "average_variance_ptr": each,
        "average_variance_factor": np.arange(count, 2 * count, dtype=np.int32),
        "average_variance_weight": ones,
    }


def found(forwards: Floats, times: Floats, volatility: float | Floats) -> tuple[float, float]:
    weights = np.full(len(times), 1.0 / len(times))
    market = np.concatenate((forwards, volatility**2 * times)).reshape(-1, 1)
    volatilities, slopes = average_volatilities(columns_of(weights, times), market)
    return float(volatilities[0, 0]), float(slopes[0, 0])


@given(
    st.lists(st.tuples(st.floats(1e-3, 1.0), st.floats(10.0, 200.0)), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
)
@settings(max_examples=50, deadline=None)
def test_second_moment_is_that_of_every_pair(steps: list[tuple[float, float]], volatility: float) -> None:
    times = np.cumsum([step for step, _ in steps])
    forwards = np.array([forward for _, forward in steps])
    pairs = np.outer(forwards, forwards) * np.exp(volatility**2 * np.minimum.outer(times, times))
    expected = sqrt(log(pairs.sum() / forwards.sum() ** 2) / times[-1])
    assert found(forwards, times, volatility)[0] == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.01, 1.0), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_slope_is_the_derivative_and_volatility_lies_below_the_assets(volatility: float, count: int) -> None:
    times, forwards = np.linspace(0.5, 1.5, count), np.linspace(90.0, 110.0, count)
    sigma, slope = found(forwards, times, volatility)
    up, down = (found(forwards, times, volatility + step)[0] for step in (1e-5, -1e-5))
    assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6)
    assert sigma <= volatility * (1.0 + 1e-12)


def test_without_variance_there_is_no_volatility_and_the_slope_is_its_limit() -> None:
    times, forwards = np.linspace(0.1, 1.0, 10), np.linspace(90.0, 110.0, 10)
    sigma, slope = found(forwards, times, 0.0)
    assert sigma == 0.0
    assert slope == pytest.approx(found(forwards, times, 1e-3)[1], rel=1e-5)


def test_bytes_do_not_depend_on_the_scenarios_beside() -> None:
    times = np.linspace(0.1, 1.0, 30)
    market = np.random.default_rng(5).uniform(0.5, 1.5, (60, 9))
    columns = columns_of(np.full(30, 1.0 / 30.0), times)
    whole = average_volatilities(columns, market)
    for scenario in range(9):
        one = average_volatilities(columns, np.ascontiguousarray(market[:, scenario : scenario + 1]))
        assert [part[:, scenario].tobytes() for part in whole] == [part[:, 0].tobytes() for part in one]


def test_at_sixty_percent_the_price_is_within_4e_3_of_the_forward() -> None:
    times, paths, volatility = np.linspace(0.02, 1.0, 50), 40_000, 0.6
    random = np.random.default_rng(11)
    steps = np.sqrt(np.diff(times, prepend=0.0))[:, None] * random.standard_normal((50, paths))
    logs = volatility * np.cumsum(steps, axis=0) - 0.5 * volatility**2 * times[:, None]
    geometric = np.exp(logs.mean(axis=0))
    sigma = found(np.ones(50), times, volatility)[0]
    for strike in (0.8, 1.0, 1.5):
        arithmetic = np.maximum(np.exp(logs).mean(axis=0) - strike, 0.0)
        control = np.maximum(geometric - strike, 0.0)
        beta = np.cov(arithmetic, control)[0, 1] / control.var()
        exact = arithmetic.mean() - beta * (control.mean() - _geometric_call(times, volatility, strike))
        assert abs(black(1.0, strike, sigma, 1.0) - exact) <= 4.3e-3


def _geometric_call(times: Floats, volatility: float, strike: float) -> float:
    variance = volatility**2 * float(np.minimum.outer(times, times).mean())
    forward = exp(0.5 * variance - 0.5 * volatility**2 * float(times.mean()))
    d1 = log(forward / strike) / sqrt(variance) + 0.5 * sqrt(variance)
    cumulative = [0.5 * (1.0 + erf(d / sqrt(2.0))) for d in (d1, d1 - sqrt(variance))]
    return forward * cumulative[0] - strike * cumulative[1]


@needs_reference
@pytest.mark.parametrize(("slope", "step"), [("flat", 0.0), ("up", -0.005), ("down", 0.005)])
def test_haug_prices_of_turnbull_and_wakeman_with_volatilities_that_slope(slope: str, step: float) -> None:
    """26 weekly fixings, the volatility to fixing i is 20 % + (25 - i) *step*; published with four digits."""
    rows = [row for row in table("asian_turnbull_wakeman_haug.csv") if row["slope"] == slope]
    assert len(rows) >= 5
    for row in rows:
        times = np.linspace(float(row["first"]), float(row["expiry"]), int(float(row["fixings"])))
        volatilities = 0.2 + np.arange(25.0, -1.0, -1.0) * step
        forwards = float(row["underlying"]) * np.exp(float(row["b"]) * times)
        discount = exp(-float(row["riskFreeRate"]) * times[-1])
        total_vol = found(forwards, times, volatilities)[0] * sqrt(times[-1])
        side = 1.0 if row["type"] == "Call" else -1.0
        price = discount * float(black(forwards.mean(), float(row["strike"]), total_vol, side))
        assert price == pytest.approx(float(row["result"]), abs=6e-5), row
