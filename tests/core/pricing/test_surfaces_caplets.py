"""xip_core.pricing.surfaces_caplets: stripped volatilities give back the prices of the quoted caps."""

from __future__ import annotations

import datetime as dt
import math

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
from xip_core.pricing.calibrate import calibrate_tile, decode_failures
from xip_core.pricing.layout import Refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.surfaces import caplet_days
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


def test_stripping_does_not_depend_on_the_block():
    """Bytes of each scenario alone and side by side."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    base = calibrate_tile(snapshot, layout, base_only(), 0, 1)["market"]
    market = np.repeat(base, 5, axis=1)
    surface = snapshot.cap_volatilities[0]
    quotes = np.array([QUOTES[name] for name in surface.quotes])[:, None] * np.linspace(0.9, 1.3, 5)
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
