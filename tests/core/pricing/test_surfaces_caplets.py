"""xip_core.pricing.surfaces_caplets: stripped volatilities give back the prices of the quoted caps."""

from __future__ import annotations

import datetime as dt
import math

import msgspec
import numpy as np
import pytest

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import FailureReason
from xip_core.kernels.reference import bachelier_european
from xip_core.model.dates import date_of
from xip_core.model.market import CapVolatility
from xip_core.model.scenario import base_only
from xip_core.model.trade import CapFloor, FloatingLeg, Schedule
from xip_core.pricing import calculate
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.calibrate_failures import decode_failures
from xip_core.pricing.curves_interpolation import spline_weights
from xip_core.pricing.layout import Refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.surfaces import caplet_days
from xip_core.pricing.surfaces_cap_quotes import CapQuotes, kruger_derivatives, kruger_slopes
from xip_core.pricing.surfaces_caplets import CapletStripper

INDEX = "EUR-EURIBOR-6M"


def value_of(refs: Refs, market: np.ndarray) -> float:
    return sum(weight * market[factor] for factor, weight in refs)


@pytest.mark.parametrize("tenor", ["1Y", "3Y"])
@pytest.mark.parametrize("strike", [0.0, 0.02])
def test_caplets_sum_to_the_price_of_the_quoted_cap(tenor, strike):
    """Priced caplet by caplet with the reference formula, at flat and at stripped volatilities."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, base_only(), 0, 1)["market"][:, 0]
    quote = QUOTES[f"EUR.CAP.{tenor}.{int(strike * 100)}"]
    flat = stripped = 0.0
    for fixing, start, end in np.column_stack(caplet_days(layout.indices[INDEX], layout.as_of_day, tenor)).tolist():
        accrual = (end - start) / 360.0
        growth = value_of(layout.log_discount_of_day("EUR6M", start), market) - value_of(
            layout.log_discount_of_day("EUR6M", end), market
        )
        forward = math.expm1(growth) / accrual
        weight = accrual * math.exp(value_of(layout.log_discount_of_day("EUR1D", end), market))
        years = (fixing - layout.as_of_day) / 365.0
        found = layout.caplet_volatility(INDEX, date_of(fixing), strike)
        flat += bachelier_european(forward, strike, years, quote, weight, 1.0)["pv"]
        stripped += bachelier_european(forward, strike, years, value_of(found.refs, market), weight, 1.0)["pv"]
    assert stripped == pytest.approx(flat, abs=1e-14)


def test_flat_quotes_strip_to_themselves():
    """One volatility for all caps is the volatility of all caplets, whatever the rates are."""
    flat = {name: 0.005 for name in QUOTES if name.startswith("EUR.CAP.")}
    snapshot = a_snapshot(flat)
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, base_only(), 0, 1)["market"][:, 0]
    begin, end = layout.ranges[f"cap_volatility/{INDEX}"]
    assert market[begin:end] == pytest.approx(0.005, abs=1e-12)


def by_spline(**values):
    """The small market with a cap surface whose quotes are splines in time."""
    surface = CapVolatility(
        index=INDEX,
        discount_curve="EUR1D",
        tenors=("1Y", "2Y", "4Y"),
        strikes=(-0.01, 0.0, 0.02),
        quotes=tuple("ABCDEFGHI"),
        interpolation="spline",
    )
    quotes = dict(zip("ABCDEFGHI", (0.004, 0.003, 0.006, 0.005, 0.0035, 0.0062, 0.0055, 0.004, 0.0065), strict=True))
    return a_snapshot(quotes | values, cap_volatilities=(surface,))


def caplet_prices(snapshot, tenor, strike):
    """At the quote of each cap in between, from NumPy's own solver of the spline, and from the surface."""
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, base_only(), 0, 1)["market"][:, 0]
    days = np.column_stack(caplet_days(layout.indices[INDEX], layout.as_of_day, tenor)).tolist()
    for fixing, start, end in days:
        accrual = (end - start) / 360.0
        growth = value_of(layout.log_discount_of_day("EUR6M", start), market) - value_of(
            layout.log_discount_of_day("EUR6M", end), market
        )
        weight = accrual * math.exp(value_of(layout.log_discount_of_day("EUR1D", end), market))
        found = value_of(layout.caplet_volatility(INDEX, date_of(fixing), strike).refs, market)
        terms = (math.expm1(growth) / accrual, strike, (fixing - layout.as_of_day) / 365.0)
        yield [bachelier_european(*terms, volatility, weight, 1.0)["pv"] for volatility in (found, *QUOTED_BETWEEN)]


QUOTED_BETWEEN = (0.003, 0.0035, 0.004)


@pytest.mark.parametrize(("place", "tenor"), list(enumerate(("1Y", "2Y", "4Y"))))
def test_a_spline_gives_back_the_prices_of_the_quoted_caps(place, tenor):
    """Those of strike 0, whose quotes are QUOTED_BETWEEN; every caplet is a node."""
    prices = np.array(list(caplet_prices(by_spline(), tenor, 0.0)))
    assert prices[:, 0].sum() == pytest.approx(prices[:, 1 + place].sum(), abs=1e-14)


def test_caps_between_quotes_lie_on_the_natural_spline_of_their_strike():
    surface = by_spline().cap_volatilities[0]
    layout = SnapshotLayout(by_spline())
    grid = layout.grids[f"cap_volatility/{INDEX}"]
    quotes = CapQuotes(layout.indices[INDEX], surface, layout.as_of_day, grid.row_days)
    assert quotes.quoted_rows == [0, 2, 6]
    x = np.array([1.0, 2.0, 4.0])
    # of 1, 0, 0 the second derivative in the middle is 6 / h0 / (2 (h0 + h1)) = 1, and 0 at both ends
    at = np.array([1.5, 3.0])
    by_hand = np.array([0.5 - (0.5 - 0.5**3) / 6.0, -(0.5 - 0.5**3) * 4.0 / 6.0])
    assert spline_weights(x, at)[:, 0] == pytest.approx(by_hand, abs=1e-15)
    assert quotes.weights.sum(axis=1) == pytest.approx(1.0)
    assert quotes.of_rows(np.full((3, 1), 0.004)) == pytest.approx(0.004)


def test_between_strikes_it_is_krugers_cubic():
    """Slopes by hand: chords 2, 1 and -1, so 4 / 3 inside, 0 where they turn, (3 chord - next) / 2 at the ends."""
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 4.0, 3.0])
    assert kruger_slopes(x, y) == pytest.approx([7.0 / 3.0, 4.0 / 3.0, 0.0, -1.5])
    step = 1e-6 * np.eye(4)
    numerical = [(kruger_slopes(x, y + move) - kruger_slopes(x, y - move)) / 2e-6 for move in step]
    assert kruger_derivatives(x, y) == pytest.approx(np.array(numerical).T, abs=1e-8)
    layout = SnapshotLayout(by_spline())
    market = calibrate_tile(by_spline(), layout, base_only(), 0, 1)["market"][:, 0]
    day = date_of(layout.grids[f"cap_volatility/{INDEX}"].row_days[2])
    at = [value_of(layout.caplet_volatility(INDEX, day, k).refs, market) for k in (-0.01, 0.0, 0.02, 0.01)]
    slope = kruger_slopes(np.array([-0.01, 0.0, 0.02]), np.array(at[:3]))
    assert at[3] == pytest.approx(0.5 * (at[1] + at[2]) + 0.02 * (slope[1] - slope[2]) / 8.0, rel=1e-14)


def test_a_cap_as_a_trade_takes_the_spline_between_strikes_and_caplets():
    """The trade's own periods are those of the quoted caps but the first, which has a fixing."""
    snapshot = by_spline()
    expected = sum(prices[0] for prices in caplet_prices(snapshot, "3Y", 0.01))
    known = calculate((a_cap(0.01),), snapshot)
    assert not known.failures
    assert known.pv[0, 0] == pytest.approx(1e6 * expected, rel=1e-9)


def test_a_spline_below_zero_is_refused_and_names_the_next_quote():
    snapshot = by_spline(A=0.0001, D=0.02, G=0.0001)
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, base_only(), 0, 1)
    (failure,) = decode_failures(columns["failures"])
    assert "a cap between quotes, before G" in failure.message


@pytest.mark.parametrize(("tenors", "words"), [(("1Y",), "needs two caps"), (("13M", "2Y"), "multiples of 6M")])
def test_a_spline_through_caps_it_cannot_have_is_refused(tenors, words):
    quotes = tuple("ABCDEF"[: 3 * len(tenors)])
    surface = msgspec.structs.replace(by_spline().cap_volatilities[0], tenors=tenors, quotes=quotes)
    layout = SnapshotLayout(a_snapshot(dict.fromkeys("ABCDEF", 0.005), cap_volatilities=(surface,)))
    assert words in layout.broken[f"cap_volatility/{INDEX}"]


@pytest.mark.parametrize("surface", [a_snapshot(), by_spline()], ids=["caplets", "spline"])
def test_stripping_does_not_depend_on_the_block(surface):
    """Bytes of each scenario alone and side by side."""
    snapshot = surface
    layout = SnapshotLayout(snapshot)
    base = calibrate_tile(snapshot, layout, base_only(), 0, 1)["market"]
    market = np.repeat(base, 5, axis=1)
    surface = snapshot.cap_volatilities[0]
    quotes = np.array([snapshot.quotes[name] for name in surface.quotes])[:, None] * np.linspace(0.9, 1.3, 5)
    stripper = CapletStripper(layout, surface)
    whole, failures = stripper.strip(market, quotes)
    alone = [stripper.strip(market[:, [place]], quotes[:, [place]])[0] for place in range(5)]
    assert failures == {}
    assert np.hstack(alone).tobytes() == whole.tobytes()


def test_node_that_cannot_be_stripped_takes_the_later_ones_of_its_strike_along():
    """Tenors 1Y, 2Y, 3Y; the 2-year cap at 2 % is cheaper than the 1-year cap inside it, the 3-year one is not."""
    surface = CapVolatility(
        index=INDEX,
        discount_curve="EUR1D",
        tenors=("1Y", "2Y", "3Y"),
        strikes=(0.0, 0.02),
        quotes=("A", "B", "C", "D", "E", "F"),
    )
    values = {"A": 0.005, "B": 0.02, "C": 0.005, "D": 0.0005, "E": 0.005, "F": 0.02}
    snapshot = a_snapshot(values, cap_volatilities=(surface,))
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, base_only(), 0, 1)
    begin, end = layout.ranges[f"cap_volatility/{INDEX}"]
    assert np.isnan(columns["market"][begin:end, 0]).tolist() == [False, False, False, True, False, True]
    (failure,) = decode_failures(columns["failures"])
    assert "cap D:" in failure.message


def test_volatility_without_vega_is_the_quote():
    """A strike so deep in the money that the cap has no time value: any volatility gives its price."""
    surface = CapVolatility(
        index=INDEX, discount_curve="EUR1D", tenors=("1Y",), strikes=(-5.0,), quotes=("A",)
    )
    snapshot = a_snapshot({"A": 0.005}, cap_volatilities=(surface,))
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, base_only(), 0, 1)
    assert columns["market"][layout.ranges[f"cap_volatility/{INDEX}"][0], 0] == 0.005
    assert decode_failures(columns["failures"]) == ()


def a_cap(strike: float) -> CapFloor:
    """Three years of six-month coupons from spot."""
    schedule = Schedule(start=dt.date(2016, 2, 9), end=dt.date(2019, 2, 9), tenor="6M", calendar="TARGET")
    leg = FloatingLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="A360", schedule=schedule, index="EUR-EURIBOR-6M"
    )
    return CapFloor(id=f"cap {strike}", leg=leg, position="long", caps=(strike,))


def test_only_caps_on_a_node_that_failed_are_quarantined_and_say_why():
    """The node at 2 % has no volatility; a cap at 0 % has its usual value."""
    trades = (a_cap(0.0), a_cap(0.02))
    whole = calculate(trades, a_snapshot())
    partial = calculate(trades, a_snapshot({"EUR.CAP.1Y.2": 0.02, "EUR.CAP.3Y.2": 0.0005}))
    assert whole.status[:, 0].tolist() == [0, 0]
    assert partial.status[:, 0].tolist() == [0, FailureReason.CALIBRATION_FAILED]
    assert partial.pv[0, 0] == whole.pv[0, 0]
    assert np.isnan(partial.pv[1, 0])
    assert "no caplet volatility gives the price of cap EUR.CAP.3Y.2" in partial.failures["cap 0.02"].message
