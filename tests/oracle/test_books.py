"""Trades on a flat market against QuantLib's instruments on the same discount factors."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.core.pricing.flat_market import AS_OF, ZERO_RATES, a_fixed_leg, a_floating_leg, a_snapshot, a_swap
from xip_core.model.trade import Schedule
from xip_core.pricing import calculate

SWAPS = 400


@pytest.fixture(autouse=True)
def as_of(the_evaluation_date_is_as_it_was: None) -> None:
    ql.Settings.instance().evaluationDate = date_of(AS_OF)


def date_of(day: dt.date) -> Any:
    return ql.Date(day.day, day.month, day.year)


def curve(name: str) -> Any:
    flat = ql.FlatForward(date_of(AS_OF), ZERO_RATES[name], ql.Actual365Fixed())
    return ql.YieldTermStructureHandle(flat)


def random_dates(random: np.random.Generator) -> list[dt.date]:
    """Business days some 30 to 370 days apart, the first after the as-of date."""
    steps = [random.integers(3, 200), *random.integers(30, 370, random.integers(1, 40))]
    days = [AS_OF + dt.timedelta(int(step)) for step in np.cumsum(steps)]
    calendar = ql.TARGET()
    adjusted = [calendar.adjust(date_of(day), ql.Following) for day in days]
    return sorted({dt.date(day.year(), day.month(), day.dayOfMonth()) for day in adjusted})


def theirs(dates: list[dt.date], notional: float, rate: float, spread: float, is_payer: bool) -> float:
    """Fixed against floating, both on *dates*: QuantLib's cash flows, discounted by its curve."""
    discount, forward = curve("EUR1D"), curve("EUR3M")
    fixed = floating = 0.0
    act360 = ql.Actual360()
    for begin, end in itertools.pairwise([date_of(day) for day in dates]):
        accrual = act360.yearFraction(begin, end)
        coupon = ql.FixedRateCoupon(end, notional, rate, act360, begin, end)
        fixed += coupon.amount() * discount.discount(end)
        par = forward.forwardRate(begin, end, act360, ql.Simple).rate()
        floating += notional * accrual * (par + spread) * discount.discount(end)
    return (floating - fixed) if is_payer else (fixed - floating)


def test_random_swaps() -> None:
    random = np.random.default_rng(401)
    trades, expected, notionals = [], [], []
    for place in range(SWAPS):
        dates, is_payer = random_dates(random), bool(random.integers(0, 2))
        notional, rate, spread = float(random.uniform(1e3, 1e8)), float(random.normal(0.02, 0.03)), 0.002
        schedule = Schedule(dates=tuple(dates), calendar="TARGET", convention="unadjusted")
        terms = {"notionals": (notional,), "schedule": schedule}
        legs = (
            a_fixed_leg(payer=is_payer, rates=(rate,), **terms),
            a_floating_leg(payer=not is_payer, spreads=(spread,), **terms),
        )
        trades.append(a_swap(*legs, id=f"swap {place}"))
        expected.append(theirs(dates, notional, rate, spread, is_payer))
        notionals.append(notional)
    result = calculate(trades, a_snapshot())
    assert not result.failures
    for place, trade in enumerate(trades):
        row = result.trade_ids.index(trade.id)
        difference = abs(result.pv[row, 0] - expected[place]) / notionals[place]
        assert difference <= 1e-11, (trade.id, result.pv[row, 0], expected[place])
