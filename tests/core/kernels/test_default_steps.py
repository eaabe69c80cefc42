"""credit.default_steps: integrals of default between two days, against many digits, limits, and the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS
from xip_core.kernels import default_steps, terms
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


def a_tile(scenarios: int) -> dict[str, np.ndarray]:
    """Points between two factors each, on a discount and a hazard curve; rows of 0 to 30 steps, some shared."""
    random = np.random.default_rng(8)
    points, steps, rows = 90, 80, 25
    begin = random.integers(0, points - 1, steps).astype(np.int32)
    sizes = random.integers(0, 30, rows)
    uses = int(sizes.sum())
    pointers = np.arange(points + 1, dtype=np.int32) * 2
    return {
        "market": np.cumsum(random.uniform(-0.05, 0.0, (40, scenarios)), axis=0),
        "discount_begin": pointers,
        "discount_factor": random.integers(0, 20, 2 * points).astype(np.int32),
        "discount_weight": random.uniform(0.0, 1.0, 2 * points),
        "survival_begin": pointers,
        "survival_factor": random.integers(20, 40, 2 * points).astype(np.int32),
        "survival_weight": random.uniform(0.0, 1.0, 2 * points),
        "begin": begin,
        "end": begin + np.int32(1),
        "row_begin": np.concatenate(([0], np.cumsum(sizes))).astype(np.int32),
        "row_step": random.integers(0, steps, uses).astype(np.int32),
        "row_amount": random.normal(size=uses),
        "row_growth": random.normal(size=uses),
    }


@pytest.mark.parametrize("scenarios", [1, 7, 16, 130])
def test_rows_are_sums_of_integrals_to_the_byte_at_every_level(scenarios: int) -> None:
    """The same as gathering logarithms, integrating and adding up one after the other; any scenario alone too."""
    tile = a_tile(scenarios)
    logs = [
        terms.gather_linear(tile["market"], *(tile[f"{curve}_{part}"] for part in ("begin", "factor", "weight")))
        for curve in ("discount", "survival")
    ]
    integrals = default_steps.integrals(*logs, tile["begin"], tile["end"])
    places = np.stack((tile["row_step"], tile["row_step"] + np.int32(80)), axis=1).ravel()
    weights = np.stack((tile["row_amount"], tile["row_growth"]), axis=1).ravel()
    expected = terms.gather_linear(integrals, 2 * tile["row_begin"], places, weights)
    for level in LEVELS:
        rows = load_module("default_steps", level).rows
        assert rows(**tile).tobytes() == expected.tobytes(), level
        alone = rows(**(tile | {"market": tile["market"][:, scenarios // 2 : scenarios // 2 + 1]}))
        assert alone[:, 0].tobytes() == np.ascontiguousarray(expected[:, scenarios // 2]).tobytes(), level


def test_a_factor_that_is_nan_takes_only_its_rows() -> None:
    tile = a_tile(3)
    clean = default_steps.rows(**tile)
    tile["market"][25, 1] = math.nan
    found = default_steps.rows(**tile)
    assert np.isnan(found[:, 1]).any()
    assert np.array_equal(found[:, [0, 2]], clean[:, [0, 2]])


@pytest.mark.parametrize(
    ("column", "change", "sentence"),
    [
        ("market", lambda values: values.astype(np.float32), "float64 matrix"),
        ("market", lambda values: values[:, 0], "float64 matrix"),
        ("discount_factor", lambda values: values + np.int32(40), "discount_factor must lie in"),
        ("discount_weight", lambda values: values[:-1], "discount_weight must be"),
        ("survival_begin", lambda values: values[:-1], "survival_begin must run"),
        ("survival_begin", lambda values: values[::-1].copy(), "survival_begin must run"),
        ("begin", lambda values: values - np.int32(90), "begin must lie in"),
        ("end", lambda values: values[1:], "end must have 80 values"),
        ("row_step", lambda values: values + np.int32(80), "row_step must lie in"),
        ("row_begin", lambda values: values + np.int32(1), "row_begin must"),
        ("row_growth", lambda values: values[1:], "row_growth must be"),
        ("row_amount", lambda values: values.astype(np.int64), "row_amount must be"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(column: str, change: Callable[[Any], Any], sentence: str) -> None:
    tile = a_tile(2)
    with pytest.raises(ValueError, match=sentence):
        default_steps.rows(**(tile | {column: change(tile[column])}))


def test_tile_without_rows_is_empty() -> None:
    tile = a_tile(2)
    none = {"row_begin": np.zeros(1, np.int32), "row_step": np.zeros(0, np.int32)}
    none |= {"row_amount": np.zeros(0), "row_growth": np.zeros(0)}
    assert default_steps.rows(**(tile | none)).shape == (0, 2)


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
