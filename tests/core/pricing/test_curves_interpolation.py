"""Interpolation choices of a curve: weights, whole markets that use them, scenarios and sensitivities."""

from __future__ import annotations

import json
import math
from typing import get_args

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_calibrate import calibrated, some_scenarios
from tests.core.pricing.test_quote_sensitivities import STEP, assert_equal_to_bumps
from tests.core.small_market import AS_OF, a_snapshot, curves
from xip_core.errors import RequestError
from xip_core.model import market_instruments as instruments
from xip_core.model.dates import day_number
from xip_core.model.market import Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_instruments import CurveDefinition, Interpolation, Pillar
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.curves_interpolation import LinearZero, LogCubic, interpolator_of
from xip_core.pricing.fit_report import calibration_report
from xip_core.pricing.layout import Refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.quote_sensitivities import quote_jacobian

METHODS: tuple[Interpolation, ...] = get_args(Interpolation)
OTHERS = METHODS[1:]
TODAY = day_number(AS_OF)
KNOTS = (TODAY + 100, TODAY + 365, TODAY + 1000, TODAY + 4000)
LOG_D = np.array([-0.002, -0.012, -0.05, -0.21])


def with_method(method: Interpolation, *names: str) -> Snapshot:
    """The small market with some curves interpolated otherwise."""
    changed = tuple(
        msgspec.structs.replace(curve, interpolation=method) if curve.name in names else curve for curve in curves()
    )
    return a_snapshot(curves=changed)


def step_of(method: Interpolation) -> float:
    """Of bumps: the second derivatives of a monotone convex curve jump where a node passes a break."""
    return STEP / 10.0 if method.startswith("monotone") else STEP


def at(weights: Refs, factors: np.ndarray) -> float:
    return sum(weight * factors[factor] for factor, weight in weights)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", OTHERS)
def test_knots_are_kept_and_today_is_one(method: Interpolation) -> None:
    interpolator = interpolator_of(method, TODAY, KNOTS)
    assert interpolator is not None
    factors = interpolator.factors(LOG_D)[0] if hasattr(interpolator, "factors") else LOG_D
    assert interpolator.factor_count == len(factors)
    assert [at(interpolator.weights(0, day), factors) for day in KNOTS] == pytest.approx(LOG_D, abs=1e-16)
    assert interpolator.weights(0, TODAY) == interpolator.weights(0, TODAY - 5) == ()
    moved = interpolator.weights(7, TODAY + 500)
    assert moved == tuple((factor + 7, weight) for factor, weight in interpolator.weights(0, TODAY + 500))
    assert [factor for factor, _ in moved] == sorted({factor for factor, _ in moved})


def test_zero_rates_are_linear_and_flat_outside() -> None:
    zeros = -LOG_D / (np.array(KNOTS) - TODAY)
    method = LinearZero(TODAY, KNOTS)
    for day in (TODAY + 1, TODAY + 50, TODAY + 200, TODAY + 3000, TODAY + 9000):
        expected = np.interp(day, KNOTS, zeros)
        assert -at(method.weights(0, day), LOG_D) / (day - TODAY) == pytest.approx(expected, rel=1e-14)


def test_spline_is_smooth_natural_and_straight_through_straight_data() -> None:
    method = LogCubic(TODAY, KNOTS)

    def second_difference(day: int, width: int = 1) -> float:
        three = [at(method.weights(0, day + k * width), LOG_D) for k in (-1, 0, 1)]
        return (three[0] - 2.0 * three[1] + three[2]) / width**2

    for knot in KNOTS[:-1]:  # the second derivative goes on through a knot, changing by its slope alone
        before, after = second_difference(knot - 2), second_difference(knot + 2)
        drift = abs(second_difference(knot - 6) - before) + abs(second_difference(knot + 6) - after)
        assert abs(after - before) <= drift + 1e-12
    assert abs(second_difference(TODAY + 1)) < abs(second_difference(KNOTS[0])) / 20.0 + 1e-12
    assert abs(second_difference(KNOTS[-1] + 500, 100)) < 1e-15
    straight = -0.03 * (np.array(KNOTS) - TODAY) / 365
    for day in (TODAY + 30, TODAY + 700, TODAY + 8000):
        assert at(method.weights(0, day), straight) == pytest.approx(-0.03 * (day - TODAY) / 365, abs=1e-15)


def test_spline_solves_the_equations_of_a_natural_spline() -> None:
    """Against a dense solve of the textbook system for second derivatives."""
    years = np.array([0, *(day - TODAY for day in KNOTS)]) / 365.0
    values, h = np.array([0.0, *LOG_D]), np.diff(years)
    matrix, right = np.eye(5), np.zeros(5)
    for k in (1, 2, 3):
        matrix[k, k - 1 : k + 2] = h[k - 1], 2.0 * (h[k - 1] + h[k]), h[k]
        right[k] = 6.0 * ((values[k + 1] - values[k]) / h[k] - (values[k] - values[k - 1]) / h[k - 1])
    bends = np.linalg.solve(matrix, right)
    method = LogCubic(TODAY, KNOTS)
    for day in (TODAY + 40, TODAY + 250, TODAY + 600, TODAY + 2500):
        t, k = (day - TODAY) / 365.0, int(np.searchsorted(years, (day - TODAY) / 365.0))
        a, b = (years[k] - t) / h[k - 1], (t - years[k - 1]) / h[k - 1]
        expected = a * values[k - 1] + b * values[k]
        expected += ((a**3 - a) * bends[k - 1] + (b**3 - b) * bends[k]) * h[k - 1] ** 2 / 6.0
        assert at(method.weights(0, day), LOG_D) == pytest.approx(expected, abs=1e-15)


# ---- markets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", OTHERS)
def test_every_instrument_reprices_in_markets_of_any_interpolation(method: Interpolation) -> None:
    """Overnight, forward and cross-currency curves at once, and what is built on them."""
    report = calibration_report(with_method(method, "EUR1D", "EUR6M", "USD3M", "USD-IN-EUR"))
    assert report.is_complete, [item.message for item in report.objects if item.reason]
    for item in report.objects:
        if item.name.startswith("curve/") and item.rounds:
            for quote in item.instruments:
                assert quote.residual is not None
                assert abs(quote.residual) < 1e-13 * max(1.0, 100.0 * abs(quote.value or 0.0)), (item.name, quote)


@pytest.mark.parametrize("method", OTHERS)
def test_pillars_hardly_move_and_days_between_do(method: Interpolation) -> None:
    """The same instruments: discount factors at pillars agree to basis points, which is the point of calibrating."""
    plain_layout, plain, _ = calibrated(a_snapshot())
    layout, market, _ = calibrated(with_method(method, "EUR1D"))
    knots = plain_layout.curves["EUR1D"].knot_days

    def change(day: int) -> float:
        there = at(plain_layout.log_discount_of_day("EUR1D", day), plain)
        return abs(at(layout.log_discount_of_day("EUR1D", day), market) - there)

    assert max(map(change, knots)) < 5e-4
    assert 1e-5 < change((knots[-1] + knots[-2]) // 2) < 0.02


@pytest.mark.parametrize("method", OTHERS)
def test_many_days_at_once_have_the_weights_of_each(method: Interpolation) -> None:
    layout = SnapshotLayout(with_method(method, "EUR1D"))
    days = np.arange(TODAY - 2, TODAY + 5000, 97)
    found = layout.log_discounts("EUR1D", days)
    ends = np.cumsum(found.sizes)
    for position, day in enumerate(days.tolist()):
        run = slice(ends[position] - found.sizes[position], ends[position])
        pairs = tuple(zip(found.factors[run].tolist(), found.weights[run].tolist(), strict=True))
        assert pairs == layout.log_discount_of_day("EUR1D", day)


@pytest.mark.parametrize("method", OTHERS)
def test_scenarios_have_the_same_bytes_in_any_block(method: Interpolation) -> None:
    snapshot, scenarios = with_method(method, "EUR1D", "EUR6M"), some_scenarios()
    count = len(scenarios.scenarios)
    whole = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 0, count)["market"]
    layout = SnapshotLayout(snapshot)
    parts = [
        calibrate_tile(snapshot, layout, scenarios, begin, min(begin + 3, count))["market"]
        for begin in range(0, count, 3)
    ]
    assert np.isfinite(whole).all()
    assert np.hstack(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("method", OTHERS)
def test_sensitivities_to_quotes_agree_with_bumps(method: Interpolation) -> None:
    """Through curves of this interpolation to what is built on them.

    The 2-year rate is moved: with that of the small market the second year's forward is 0, a kink of the positive
    variant, where no derivative is right.
    """
    snapshot = with_method(method, "EUR1D", "EUR6M", "USD-IN-EUR")
    snapshot = msgspec.structs.replace(snapshot, quotes={**snapshot.quotes, "EUR.OIS.2Y": 0.0005})
    layout = SnapshotLayout(snapshot)
    quotes = ("EUR.ON", "EUR.OIS.2Y", "EUR.OIS.10Y", "EUR.SWAP.5Y", "EURUSD", "EURUSD.1Y", "XCCY.10Y", "BANK.5Y")
    assert_equal_to_bumps(snapshot, quote_jacobian(snapshot, layout), layout, quotes, step_of(method))


@pytest.mark.parametrize("method", OTHERS)
def test_dv01_shift_raises_every_zero_rate_by_a_basis_point(method: Interpolation) -> None:
    snapshot = with_method(method, "EUR1D")
    layout = SnapshotLayout(snapshot)
    shift = calibrate_tile(snapshot, layout, some_scenarios(1), 0, 1)["dv01_shift"]
    for day in (TODAY + 1, TODAY + 77, TODAY + 1500, TODAY + 6000):
        years = (day - TODAY) / 365.0
        assert at(layout.log_discount_of_day("EUR1D", day), shift) == pytest.approx(-years * 1e-4, rel=1e-12)


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("kind", ["zero rates", "discount factors"])
def test_given_curves_are_interpolated_too(method: Interpolation, kind: str) -> None:
    pillars = (Pillar("2017-02-05", "G.1"), Pillar("2019-02-05", "G.3"), Pillar("2021-02-05", "G.5"))
    segment: instruments.Segment = instruments.DiscountFactors(pillars=pillars)
    quotes = {"G.1": 0.99, "G.3": 0.95, "G.5": 0.91}
    if kind == "zero rates":
        segment = instruments.ZeroRates(pillars=pillars, calendar="NullCalendar")
        quotes = {"G.1": 0.01, "G.3": 0.017, "G.5": 0.019}
    given = CurveDefinition(name="GIVEN", currency="EUR", segments=(segment,), interpolation=method)
    snapshot = a_snapshot(dict(quotes), curves=(*curves(), given))
    layout, market, _ = calibrated(snapshot)
    for day, quote in zip(layout.curves["GIVEN"].knot_days, quotes.values(), strict=True):
        expected = math.log(quote) if kind == "discount factors" else -quote * (day - TODAY) / 365.0
        assert at(layout.log_discount_of_day("GIVEN", day), market) == pytest.approx(expected, abs=1e-15)
    assert_equal_to_bumps(snapshot, quote_jacobian(snapshot, layout), layout, tuple(quotes), step_of(method))


@pytest.mark.parametrize("method", ["monotone_convex", "log_cubic_discount"])
def test_curve_that_cannot_be_fitted_is_refused_with_its_instrument(method: Interpolation) -> None:
    snapshot = with_method(method, "EUR1D")
    bad = msgspec.structs.replace(snapshot, quotes={**snapshot.quotes, "EUR.OIS.5Y": 40.0})
    found = {item.name: item for item in calibration_report(bad).objects}["curve/EUR1D"]
    assert found.is_refused
    assert "no curve fits instrument" in found.message


# ---- definitions -----------------------------------------------------------------------------------------------------


def test_default_is_left_out_of_the_encoding_and_others_come_back() -> None:
    plain, other = a_snapshot(), with_method("monotone_convex", "EUR6M")
    assert b"interpolation" not in encode_snapshot(plain)
    found = [curve.get("interpolation") for curve in json.loads(encode_snapshot(other))["curves"]]
    assert found == [None, "monotone_convex", None, None, None, None, None]
    assert decode_snapshot(encode_snapshot(other)) == other


def test_unknown_interpolation_and_one_of_zero_spreads_are_refused() -> None:
    encoded = encode_snapshot(with_method("monotone_convex", "EUR6M")).replace(b"monotone_convex", b"akima_spline")
    with pytest.raises(RequestError, match="interpolation"):
        decode_snapshot(encoded)
    with pytest.raises(RequestError, match="LENDING: zero spreads must not have an interpolation, got 'linear_zero'"):
        with_method("linear_zero", "LENDING")
