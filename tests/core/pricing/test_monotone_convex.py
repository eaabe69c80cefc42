"""xip_core.pricing.monotone_convex: published values, derivatives, and what the method promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xip_core.pricing import monotone_convex
from xip_core.pricing.monotone_convex import YEAR_DAYS, NodeGrid, shapes

YEAR = 36_500
"""Days that stand for a year here, so that every published time is a whole day: the method knows no unit of time."""


def grid_of(times: list[float], is_positive: bool = False) -> NodeGrid:
    return NodeGrid(0, [round(time * YEAR) for time in times], is_positive)


def exact(grid: NodeGrid, knots: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log D and forwards of the method on any days, without nodes; per year of 365 days."""
    ends = np.concatenate(([0], np.array(grid.node_days)[grid.knot_places + 1]))
    log_d = np.concatenate(([0.0], knots))
    lengths = np.diff(ends) / YEAR_DAYS
    discrete = -np.diff(log_d) / lengths
    forwards, _ = grid._knot_forwards(discrete)
    i = np.clip(np.searchsorted(ends, days) - 1, 0, len(knots) - 1)
    x = (days - ends[i]) / np.diff(ends)[i]
    area, slope = shapes(forwards[i] - discrete[i], forwards[i + 1] - discrete[i], x)
    return log_d[i] - lengths[i] * (discrete[i] * x + area.value), discrete[i] + slope.value


def sampled(grid: NodeGrid, knots: np.ndarray, days: np.ndarray) -> np.ndarray:
    """log D of the market vector."""
    factors, _ = grid.factors(knots)
    return np.array([sum(weight * factors[factor] for factor, weight in grid.weights(0, int(day))) for day in days])


def knots_of(times: list[float], discrete: list[float]) -> np.ndarray:
    scale = YEAR / YEAR_DAYS  # rates are per YEAR, the method's per 365 days
    return -np.cumsum(np.array(discrete) / scale * np.diff([0.0, *times]) * scale)


# ---- published values ------------------------------------------------------------------------------------------------


def test_forwards_are_those_of_a_published_example() -> None:
    """tf-quant-finance (Apache-2.0), rates/hagan_west/monotone_convex_test.py, test_interpolation."""
    times, discrete = [0.25, 0.5, 1.0, 2.0, 3.0], [0.05, 0.051, 0.052, 0.053, 0.055]
    days = np.array([0.25, 0.5, 1.0, 2.0, 3.0, 1.1]) * YEAR
    _, forwards = exact(grid_of(times), knots_of(times, discrete), days)
    expected = [0.0505, 0.05133333, 0.05233333, 0.054, 0.0555, 0.05241]
    assert forwards * YEAR / YEAR_DAYS == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize("is_positive", [False, True])
def test_yields_are_those_of_a_published_example(is_positive: bool) -> None:
    """The same file, test_interpolated_yields_with_discrete_forwards; none of its forwards meets a bound.

    Published to between five and seven digits (4.9746 is cut off, not rounded).
    """
    times, discrete = [1.0, 2.0, 3.0, 4.0], [5.0, 4.5, 4.1, 5.5]
    at = np.array([0.25, 0.5, 1.0, 2.0, 3.0, 1.1, 2.5, 2.9, 3.6, 4.0])
    log_d, _ = exact(grid_of(times, is_positive), knots_of(times, discrete), at * YEAR)
    expected = [5.1171875, 5.09375, 5.0, 4.75, 4.533333, 4.9746, 4.624082, 4.535422, 4.661777, 4.775]
    assert -log_d / at == pytest.approx(expected, abs=1e-5)


def test_forwards_from_yields_are_those_of_a_published_example() -> None:
    """The same file, test_interpolated_forwards_with_yields."""
    times, yields = [1.0, 2.0, 3.0, 4.0, 5.0], np.array([0.0275, 0.04, 0.0475, 0.05, 0.0475])
    days = np.array([0.3, 1.3, 2.1, 4.5]) * YEAR
    _, forwards = exact(grid_of(times), -yields * times, days)
    assert forwards * YEAR / YEAR_DAYS == pytest.approx([0.0229375, 0.05010625, 0.0609, 0.03625], abs=5e-10)


# ---- zones -----------------------------------------------------------------------------------------------------------

ZONES = {"i": (-1.0, 1.2), "ii": (-0.3, 1.5), "iii": (1.0, -0.2), "iv": (0.7, 0.4), "iv, negative": (-0.2, -0.9)}


@pytest.mark.parametrize(("g0", "g1"), ZONES.values(), ids=ZONES)
def test_g_has_its_ends_no_area_and_the_stated_integral(g0: float, g1: float) -> None:
    x = np.linspace(0.0, 1.0, 20_001)
    area, slope = shapes(np.full_like(x, g0), np.full_like(x, g1), x)
    assert (slope.value[0], slope.value[-1]) == pytest.approx((g0, g1), abs=1e-14)
    assert area.value[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-15)
    summed = np.concatenate(([0.0], np.cumsum(0.5 * (slope.value[1:] + slope.value[:-1]) * np.diff(x))))
    assert area.value == pytest.approx(summed, abs=1e-7)


@pytest.mark.parametrize(("g0", "g1"), ZONES.values(), ids=ZONES)
def test_g_is_monotone_where_its_ends_differ_in_sign(g0: float, g1: float) -> None:
    """And has one turn where they do not."""
    x = np.linspace(0.0, 1.0, 1_001)
    _, slope = shapes(np.full_like(x, g0), np.full_like(x, g1), x)
    signs = np.sign(np.round(np.diff(slope.value), 12))
    turns = sum(a != b for a, b in itertools.pairwise(signs[signs != 0.0]))
    assert turns == (1 if g0 * g1 > 0.0 else 0)


@pytest.mark.parametrize(("g0", "g1"), ZONES.values(), ids=ZONES)
def test_derivatives_of_the_shapes(g0: float, g1: float) -> None:
    """Central differences, away from the borders of the zones."""
    x, h = np.linspace(0.0, 1.0, 41), 1e-6
    found = shapes(np.full_like(x, g0), np.full_like(x, g1), x)

    def moved(d0: float, d1: float) -> tuple[monotone_convex.Shape, monotone_convex.Shape]:
        return shapes(np.full_like(x, g0 + d0), np.full_like(x, g1 + d1), x)

    for place in (0, 1):
        by_g0 = (moved(h, 0.0)[place].value - moved(-h, 0.0)[place].value) / (2.0 * h)
        by_g1 = (moved(0.0, h)[place].value - moved(0.0, -h)[place].value) / (2.0 * h)
        assert found[place].by_g0 == pytest.approx(by_g0, abs=3e-5)
        assert found[place].by_g1 == pytest.approx(by_g1, abs=3e-5)


@pytest.mark.parametrize(("g0", "g1"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_limits_of_the_zones_are_flat(g0: float, g1: float) -> None:
    x = np.array([0.0, 0.5, 1.0])
    area, slope = shapes(np.full(3, g0), np.full(3, g1), x)
    assert area.value.tolist() == [0.0, 0.0, 0.0]
    assert slope.value.tolist() == [g0, 0.0, g1]


# ---- curves ----------------------------------------------------------------------------------------------------------

segments = st.lists(st.integers(30, 2_000), min_size=1, max_size=7)


def curve(data: st.DataObject, low: float, is_positive: bool) -> tuple[NodeGrid, np.ndarray]:
    lengths = data.draw(segments)
    rates = data.draw(st.lists(st.floats(low, 0.1), min_size=len(lengths), max_size=len(lengths)))
    return NodeGrid(0, np.cumsum(lengths).tolist(), is_positive), -np.cumsum(np.array(rates) * lengths / YEAR_DAYS)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_knots_are_kept_and_days_beyond_go_on_with_the_last_forward(data: st.DataObject, is_positive: bool) -> None:
    grid, knots = curve(data, -0.02, is_positive)
    factors, _ = grid.factors(knots)
    assert factors[grid.knot_places] == pytest.approx(knots, abs=4e-16)
    last = grid.node_days[-1]
    log_d = sampled(grid, knots, np.array([last, last + 365]))
    assert log_d[1] - log_d[0] == pytest.approx(-factors[-1], abs=1e-14)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_forwards_are_not_negative_where_the_data_are_positive(data: st.DataObject) -> None:
    """On every node, and of the exact method on every day."""
    grid, knots = curve(data, 1e-4, is_positive=True)
    factors, _ = grid.factors(knots)
    assert factors[len(grid.node_days) - 1 :].min() >= -1e-15
    _, forwards = exact(grid, knots, np.arange(1, grid.node_days[-1] + 1, 7))
    assert forwards.min() >= -1e-15


def test_without_the_bounds_a_steep_curve_has_negative_forwards() -> None:
    """What the positive variant is for."""
    knots = knots_of([1.0, 2.0, 3.0], [0.01, 0.001, 0.05])
    for is_positive in (False, True):
        grid = grid_of([1.0, 2.0, 3.0], is_positive)
        factors, _ = grid.factors(knots)
        assert (factors[len(grid.node_days) - 1 :].min() < -1e-12) is not is_positive


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans())
def test_forwards_are_continuous(data: st.DataObject, is_positive: bool) -> None:
    """At every node the cubics of both sides have the node's forward as slope."""
    grid, knots = curve(data, -0.02, is_positive)
    factors, _ = grid.factors(knots)
    nodes = np.array(grid.node_days)
    forwards = factors[len(nodes) - 1 :]
    log_d = np.concatenate(([0.0], factors[: len(nodes) - 1]))
    h = np.diff(nodes) / YEAR_DAYS
    mean = -np.diff(log_d) / h
    wide = np.flatnonzero(np.diff(nodes) >= 3)
    for place in wide[:: max(1, len(wide) // 6)].tolist():
        days = nodes[place] + np.arange(4)
        values = sampled(grid, knots, days) if place else np.concatenate(([0.0], sampled(grid, knots, days[1:])))
        slope = (-11.0 * values[0] + 18.0 * values[1] - 9.0 * values[2] + 2.0 * values[3]) / 6.0  # exact for a cubic
        scale = max(1e-3, abs(mean[place]), abs(forwards[place]))
        assert -slope * YEAR_DAYS == pytest.approx(forwards[place], abs=1e-9 * scale)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans())
def test_a_knot_moves_two_segments_before_it_and_three_after(data: st.DataObject, is_positive: bool) -> None:
    """Local: forwards at knots know the neighbouring segments, a segment its two ends."""
    grid, knots = curve(data, -0.02, is_positive)
    _, by_knot = grid.factors(knots)
    count = len(knots)
    ends = np.concatenate(([0], np.array(grid.node_days)[grid.knot_places + 1]))
    segment = np.clip(np.searchsorted(ends, grid.node_days) - 1, 0, count - 1)
    for knot in range(count):
        touched = np.unique(segment[1:][np.abs(by_knot[: len(segment) - 1, knot]) > 0.0])
        assert all(knot - 1 <= place <= knot + 2 for place in touched)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.booleans())
def test_nodes_lose_little_of_the_method(data: st.DataObject, is_positive: bool) -> None:
    """log D on all days against the method itself, as a share of |g| times length."""
    grid, knots = curve(data, -0.02, is_positive)
    ends = np.concatenate(([0], np.array(grid.node_days)[grid.knot_places + 1]))
    days = np.arange(1, ends[-1] + 1, 3)
    log_d, _ = exact(grid, knots, days)
    discrete = -np.diff(np.concatenate(([0.0], knots))) / np.diff(ends) * YEAR_DAYS
    forwards, _ = grid._knot_forwards(discrete)
    size = np.maximum(np.abs(forwards[:-1] - discrete), np.abs(forwards[1:] - discrete)) * np.diff(ends) / YEAR_DAYS
    place = np.clip(np.searchsorted(ends, days) - 1, 0, len(knots) - 1)
    assert (np.abs(sampled(grid, knots, days) - log_d) <= 5e-3 * size[place] + 1e-15).all()


def test_flat_data_give_a_flat_curve_and_one_segment_too() -> None:
    for lengths in ([400], [30, 365, 2000, 4000]):
        for is_positive in (False, True):
            grid = NodeGrid(0, np.cumsum(lengths).tolist(), is_positive)
            factors, _ = grid.factors(-0.03 * np.cumsum(lengths) / YEAR_DAYS)
            assert factors[len(grid.node_days) - 1 :] == pytest.approx(0.03, abs=1e-15)


def test_bounds_move_continuously_through_zero() -> None:
    """A discrete forward that crosses zero takes the forwards beside it along; without that, quotes would jump."""
    grid = grid_of([1.0, 2.0, 3.0], is_positive=True)
    around = [grid.factors(knots_of([1.0, 2.0, 3.0], [0.02, rate, 0.03]))[0] for rate in (-1e-9, 0.0, 1e-9)]
    assert np.abs(np.diff(around, axis=0)).max() < 1e-8


@pytest.mark.parametrize("is_positive", [False, True])
def test_derivatives_of_the_factors(is_positive: bool) -> None:
    random = np.random.default_rng(11)
    for _ in range(20):
        grid = NodeGrid(0, np.cumsum(random.integers(60, 900, 6)).tolist(), is_positive)
        knots = -np.cumsum(random.normal(0.02, 0.015, 6))
        _, by_knot = grid.factors(knots)
        for knot, h in itertools.product(range(6), (1e-8,)):
            step = np.zeros(6)
            step[knot] = h
            numeric = (grid.factors(knots + step)[0] - grid.factors(knots - step)[0]) / (2.0 * h)
            assert np.abs(by_knot[:, knot] - numeric).max() < 1e-4 * max(1.0, np.abs(by_knot[:, knot]).max())
