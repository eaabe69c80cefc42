"""credit.default_steps: integrals of default between two days, against many digits, limits, and the same bytes."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS
from xip_core.kernels import default_steps
from xip_core.kernels.level import load_module

ONE_STEP = (np.array([0], np.int32), np.array([1], np.int32))


def one_step(df: float, dh: float, log_discount: float = 0.0, log_survival: float = 0.0) -> tuple[float, float]:
    """Protection and accrual of a step; df and dh are exact where it begins at 1."""
    discounts, survivals = (
        np.array([[log_discount], [log_discount - df]]),
        np.array([[log_survival], [log_survival - dh]]),
    )
    protection, accrual = default_steps.integrals(discounts, survivals, *ONE_STEP)[:, 0]
    return float(protection), float(accrual)


def truth(df: float, dh: float) -> tuple[float, float]:
    with mp.workdps(60):
        f, h = mp.mpf(df), mp.mpf(dh)
        x = f + h
        if abs(x) < 1e-15:
            return float(h * (1 - x / 2)), float(h * (1 - 2 * x / 3) / 2)
        return float(h * (1 - mp.exp(-x)) / x), float(h * (1 - (1 + x) * mp.exp(-x)) / x**2)


@given(df=st.floats(-0.4, 5.0), dh=st.floats(0.0, 20.0))
def test_integrals_are_right_to_a_few_units_in_the_last_place(df: float, dh: float) -> None:
    for found, expected in zip(one_step(df, dh), truth(df, dh), strict=True):
        assert found == pytest.approx(expected, rel=3e-15, abs=1e-300)


@pytest.mark.parametrize("x", [0.49999, 0.5, 0.50001, -0.5, -0.50001, 1e-300, 1e-17, 1e-8, 1e-4])
def test_series_and_quotient_meet(x: float) -> None:
    """On both sides of |df + dh| = 1/2, and where the quotient would cancel to nothing."""
    for found, expected in zip(one_step(x - 0.25, 0.25), truth(x - 0.25, 0.25), strict=True):
        assert found == pytest.approx(expected, rel=3e-15)
    for found, expected in zip(one_step(0.0, abs(x)), truth(0.0, abs(x)), strict=True):
        assert found == pytest.approx(expected, rel=3e-15)


def test_without_rates_protection_is_the_probability_of_default() -> None:
    assert one_step(0.0, 0.02)[0] == pytest.approx(1.0 - math.exp(-0.02), rel=1e-15)


def test_without_hazard_nothing_defaults_and_without_both_nothing_is_divided_by_zero() -> None:
    assert one_step(0.03, 0.0) == (0.0, 0.0)
    assert one_step(0.0, 0.0) == (0.0, 0.0)
    assert one_step(-0.02, 0.02) == (0.02, 0.01)


def test_certain_default_is_worth_its_discounted_share() -> None:
    """A hazard so high that all default at once: the integral of dQ is 1 and nothing has accrued."""
    protection, accrual = one_step(0.01, 700.0)
    assert protection == pytest.approx(700.0 / 700.01, rel=1e-15)
    assert accrual == pytest.approx(700.0 / 700.01**2, rel=1e-15)


@given(
    df=st.floats(-0.05, 0.2),
    dh=st.floats(0.0, 2.0),
    share=st.floats(0.05, 0.95),
)
def test_a_step_is_the_sum_of_its_parts(df: float, dh: float, share: float) -> None:
    """Protection adds up; accrual does once what has passed before the second part is counted with it."""
    logs = np.array([[0.0], [-share], [-1.0]])
    whole, first, second = (0, 2), (0, 1), (1, 2)
    begin, end = (np.array(days, np.int32) for days in zip(whole, first, second, strict=True))
    protection, accrual = np.split(default_steps.integrals(df * logs, dh * logs, begin, end)[:, 0], 2)
    assert protection[0] == pytest.approx(protection[1] + protection[2], rel=1e-13, abs=1e-16)
    counted = share * accrual[1] + (1 - share) * accrual[2] + share * protection[2]
    assert accrual[0] == pytest.approx(counted, rel=1e-13, abs=1e-16)


def a_grid(points: int, scenarios: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    discounts = np.cumsum(random.uniform(-0.02, 0.001, (points, scenarios)), axis=0)
    survivals = np.cumsum(-random.exponential(0.1, (points, scenarios)), axis=0)
    discounts[::9] = discounts[1::9][: len(discounts[::9])] if points % 9 else discounts[::9]
    begin = np.arange(points - 1, dtype=np.int32)
    return discounts, survivals, begin, begin + np.int32(1)


@pytest.mark.parametrize("scenarios", [1, 3, 15, 16, 70])
def test_levels_and_splits_give_the_same_bytes(scenarios: int) -> None:
    """Narrow and wide ways, all CPU levels, single scenarios: one answer."""
    discounts, survivals, begin, end = a_grid(300, scenarios)
    discounts[5, 0] = math.nan
    whole = load_module("default_steps", LEVELS[0]).integrals(discounts, survivals, begin, end)
    for level in LEVELS:
        function = load_module("default_steps", level).integrals
        assert function(discounts, survivals, begin, end).tobytes() == whole.tobytes(), level
        for scenario in {0, scenarios - 1}:
            alone = function(
                np.ascontiguousarray(discounts[:, [scenario]]),
                np.ascontiguousarray(survivals[:, [scenario]]),
                begin,
                end,
            )
            assert alone.tobytes() == np.ascontiguousarray(whole[:, [scenario]]).tobytes(), (level, scenario)
    assert np.isnan(whole[4:6, 0]).all()
    assert np.isfinite(whole[6:299]).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"begin": np.array([2], np.int32)}, "begin must lie in"),
        ({"end": np.array([-1], np.int32)}, "end must lie in"),
        ({"end": np.array([0, 1], np.int32)}, "end must have 1 values"),
        ({"begin": np.array([0], np.int64)}, "int32"),
        ({"log_survival": np.zeros((2, 2))}, "log_survival must have shape"),
        ({"log_discount": np.zeros((2, 1), np.float32)}, "float64"),
        ({"log_discount": np.zeros(2)}, "float64 matrix"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, np.ndarray], sentence: str) -> None:
    arrays = {
        "log_discount": np.zeros((2, 1)),
        "log_survival": np.zeros((2, 1)),
        "begin": ONE_STEP[0],
        "end": ONE_STEP[1],
    }
    with pytest.raises(ValueError, match=sentence):
        default_steps.integrals(**(arrays | change))


def test_no_steps_and_no_scenarios_are_no_numbers() -> None:
    none = np.zeros(0, np.int32)
    assert default_steps.integrals(np.zeros((2, 3)), np.zeros((2, 3)), none, none).shape == (0, 3)
    assert default_steps.integrals(np.zeros((2, 0)), np.zeros((2, 0)), *ONE_STEP).shape == (2, 0)
