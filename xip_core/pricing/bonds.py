"""Prices, yields and accrued interest of bonds, as markets quote them.

    flows = bond_flows(trade)                                  coupons and repayments of a Bond
    accrued_interest(flows, settlement)                        of the outstanding notional, in %
    measures = from_clean_price(flows, settlement, 103.0, STREET)
    measures.yield_rate, measures.modified_duration, ..
    z_spread(flows, settlement, 103.0, discounts)              over a curve

Everything is per 100 of the notional outstanding at settlement. The dirty price at the yield y is

    P(y) = sum of flow(i) v(t_i; y)     v = (1 + y / f)^(-f t)   compounded       e^(-y t)  continuous
                                        v = 1 / (1 + y t)        simple, or up to 1 / f alone

and the clean price is P less what has accrued. Times run by the day count of the convention: under ACT/ACT ICMA a whole
coupon period is 1 / frequency and a broken one its share, which is the street convention. Modified duration is
-P' / P and convexity P'' / P. Between the ex-coupon date and the payment the next coupon is the seller's: it is no flow
of the buyer, and accrued interest is negative, what is missing to the full coupon.

Yields solve ln P(y) = ln P, nearly linear in y, by a fixed count of Newton steps; z-spreads likewise, with flows
discounted by the curve and by e^(-z t), t in years of 365 days from settlement.

Sources: UK Debt Management Office, Formulae for calculating gilt prices from yields (2005); ICMA rules 225 and 251;
J. Stigum and F. Robinson, Money market and bond calculations (1996).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.quasi_coupons import CouponPeriod, accruals_of, coupon_periods, icma_fraction
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Bond, DayCount, FixedLeg
from xip_core.pricing.resolve_legs import at_period, periods_of

Compounding = Literal["simple", "compounded", "continuous", "simple_then_compounded"]

NEWTON_STEPS = 30
"""From a coupon of 0 to a yield of 1,000 % takes twelve; the rest leaves a solution where it is."""

RESIDUAL_MAX = 1e-12
"""Of the logarithm of the price; rounding leaves a thousandth of it."""

YEAR_DAYS = 365.0


class YieldConvention(msgspec.Struct, frozen=True):
    """How a yield discounts.

    Attributes:
        frequency: compounding periods a year; nothing to "simple" and "continuous".
    """

    day_count: DayCount = "ACT/ACT ICMA"
    compounding: Compounding = "compounded"
    frequency: int = 2


STREET = YieldConvention()
"""Semi-annual, ACT/ACT ICMA: gilts, and Treasuries but for their last period."""


class BondCoupon(msgspec.Struct, frozen=True):
    """One coupon.

    Attributes:
        ex_day: first day on which a buyer does not get it; the payment day where there is no such period.
        reference: what ACT/ACT ICMA counts in, None where the schedule is not regular.
    """

    begin: int
    end: int
    pay_day: int
    ex_day: int
    notional: float
    rate: float
    accrual: float
    reference: CouponPeriod | None


class BondFlows(msgspec.Struct, frozen=True):
    """Coupons and repayments (pay day, amount) of a bond held, in order of time."""

    coupons: tuple[BondCoupon, ...]
    repayments: tuple[tuple[int, float], ...]
    day_count: DayCount

    def notional_at(self, day: int) -> float:
        """Outstanding after the payments of *day*."""
        return sum(amount for pay_day, amount in self.repayments if pay_day > day)


class BondMeasures(msgspec.Struct, frozen=True):
    """Of a bond at a settlement date; prices per 100, derivatives to the yield as a fraction.

    Attributes:
        bpv: change of the dirty price, per 100, for a yield 1 bp higher, to first order.
    """

    clean_price: float
    dirty_price: float
    accrued: float
    yield_rate: float
    modified_duration: float
    macaulay_duration: float
    convexity: float
    bpv: float


# ---- flows -----------------------------------------------------------------------------------------------------------


def bond_flows(trade: Bond, rates: Sequence[float] = ()) -> BondFlows:
    """
    What a bond pays to who holds it.

    Args:
        rates: coupon rates per period, the last continues; needed where the leg is not fixed: its fixings, forwards.

    Raises:
        ValueError: the schedule or a day count is wrong, or a floating leg comes without rates.
    """
    leg = trade.leg
    if not rates:
        if not isinstance(leg, FixedLeg):
            raise ValueError("a bond whose coupons are not fixed needs rates, one per period")
        rates = leg.rates
    periods = periods_of(leg)
    begins, ends, pays = periods.begins, periods.ends, periods.pays.tolist()
    accruals = accruals_of(leg.day_count, leg.schedule, begins, ends)
    ex_days = ex_coupon_days(trade, periods.pays)
    references = _references(trade, len(pays))
    coupons = tuple(
        BondCoupon(
            begin, end, pays[i], ex_days[i], at_period(leg.notionals, i), at_period(tuple(rates), i), accruals[i],
            references[i],
        )
        for i, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True))
    )  # fmt: skip
    repayments = []
    for i, pay in enumerate(pays):
        following = at_period(leg.notionals, i + 1) if i + 1 < len(pays) else 0.0
        repaid = at_period(leg.notionals, i) - following
        if repaid != 0.0:
            repayments.append((pay, repaid))
    return BondFlows(coupons, tuple(repayments), leg.day_count)


def ex_coupon_days(trade: Bond, pays: np.ndarray) -> list[int]:
    """First day without the coupon, per payment day; the payment day itself where the bond has no such period."""
    if not trade.ex_coupon_days:
        days: list[int] = pays.tolist()
    elif trade.ex_coupon_calendar:
        days = calendar(trade.ex_coupon_calendar).advance(pays, -trade.ex_coupon_days).tolist()
    else:
        days = (pays - trade.ex_coupon_days).tolist()
    return days


def settlement_date(trade: Bond, traded: dt.date) -> dt.date:
    """When a bond bought on *traded* is delivered and paid; not before it is issued."""
    day = int(calendar(trade.calendar).advance(np.array([day_number(traded)]), trade.settlement_days)[0])
    return max(date_of(day), trade.issue_date)


def _references(trade: Bond, count: int) -> list[CouponPeriod | None]:
    try:
        references: list[CouponPeriod | None] = list(coupon_periods(trade.leg.schedule))
    except ValueError:
        return [None] * count
    assert len(references) == len(boundaries(trade.leg.schedule)) - 1 == count, trade.id
    return references


# ---- accrued interest ------------------------------------------------------------------------------------------------


def accrued_interest(flows: BondFlows, settlement: dt.date) -> float:
    """Interest since the last coupon date per 100 of the notional outstanding; negative in the ex-coupon period."""
    day = day_number(settlement)
    accrued = 0.0
    for coupon in flows.coupons:
        if coupon.begin < day <= coupon.pay_day and day < coupon.end:
            if day >= coupon.ex_day:
                accrued -= coupon.notional * coupon.rate * _fraction(flows, coupon, day, coupon.end)
            else:
                accrued += coupon.notional * coupon.rate * _fraction(flows, coupon, coupon.begin, day)
    return 100.0 * accrued / _outstanding(flows, day)


def _fraction(flows: BondFlows, coupon: BondCoupon, first: int, last: int) -> float:
    return year_fraction(flows.day_count, coupon.reference, first, last)


def year_fraction(day_count: str, reference: CouponPeriod | None, first: int, last: int) -> float:
    """Years between two days of a coupon."""
    if day_count == "ACT/ACT ICMA":
        if reference is None:
            raise ValueError("ACT/ACT ICMA needs a schedule with a tenor of 1, 2, 3, 4, 6 or 12 months")
        return icma_fraction(reference, first, last)
    return float(year_fractions(day_count, np.array([first]), np.array([last]))[0])


def _outstanding(flows: BondFlows, day: int) -> float:
    outstanding = flows.notional_at(day)
    if outstanding == 0.0:
        raise CellError(FailureReason.EXPIRED, f"the bond is repaid by {date_of(day)}")
    return outstanding


# ---- price and yield -------------------------------------------------------------------------------------------------


def from_clean_price(
    flows: BondFlows, settlement: dt.date, clean_price: float, convention: YieldConvention = STREET
) -> BondMeasures:
    """
    Yield and its derivatives from a price.

    Raises:
        CellError: EXPIRED, nothing is outstanding; NUMERICAL, no yield explains the price.
    """
    accrued = accrued_interest(flows, settlement)
    amounts, times = _remaining(flows, settlement, convention)
    dirty = clean_price + accrued
    if not (math.isfinite(dirty) and dirty > 0.0):
        raise CellError(FailureReason.NUMERICAL, f"the dirty price must be > 0, got {dirty}")
    low = _lowest_yield(times, convention)
    rate = max(0.0, (sum(amounts) / dirty - 1.0) / times[-1]) if len(times) else 0.0
    for _ in range(NEWTON_STEPS):
        price, slope, _ = _price(amounts, times, rate, convention)
        step = math.log(price / dirty) * price / slope
        rate = max(rate - step, 0.5 * (rate + low))
    measures = _measures(amounts, times, rate, accrued, convention)
    if not abs(math.log(measures.dirty_price / dirty)) <= RESIDUAL_MAX:
        raise CellError(FailureReason.NUMERICAL, f"no yield explains a clean price of {clean_price}")
    return measures


def from_yield(
    flows: BondFlows, settlement: dt.date, yield_rate: float, convention: YieldConvention = STREET
) -> BondMeasures:
    """
    Price and its derivatives from a yield.

    Raises:
        CellError: EXPIRED, nothing is outstanding; NUMERICAL, the yield is at or below -100 % a period.
    """
    accrued = accrued_interest(flows, settlement)
    amounts, times = _remaining(flows, settlement, convention)
    if not (math.isfinite(yield_rate) and yield_rate > _lowest_yield(times, convention)):
        raise CellError(FailureReason.NUMERICAL, f"the yield must be above -100 % a period, got {yield_rate}")
    return _measures(amounts, times, yield_rate, accrued, convention)


def _remaining(flows: BondFlows, settlement: dt.date, convention: YieldConvention) -> tuple[list[float], list[float]]:
    """Amounts per 100 and times of what a buyer gets, in order of time."""
    day = day_number(settlement)
    outstanding = _outstanding(flows, day)
    repaid = dict(flows.repayments)
    amounts: list[float] = []
    times: list[float] = []
    time, last = 0.0, day
    for coupon in flows.coupons:
        if coupon.pay_day <= day:
            continue
        count, reference = convention.day_count, coupon.reference
        if not times and coupon.begin < day:  # what is left of a coupon is the whole less what has accrued
            passed = year_fraction(count, reference, coupon.begin, day)
            time = year_fraction(count, reference, coupon.begin, coupon.pay_day) - passed
        else:
            time += year_fraction(count, reference, last, coupon.pay_day)
        last = coupon.pay_day
        interest = 0.0 if day >= coupon.ex_day else coupon.notional * coupon.rate * coupon.accrual
        amounts.append(100.0 * (interest + repaid.get(coupon.pay_day, 0.0)) / outstanding)
        times.append(time)
    return amounts, times


def _lowest_yield(times: Sequence[float], convention: YieldConvention) -> float:
    match convention.compounding:
        case "continuous":
            return -50.0
        case "simple":
            return -1.0 / times[-1]
        case _:
            return -float(convention.frequency)


def _price(
    amounts: Sequence[float], times: Sequence[float], rate: float, convention: YieldConvention
) -> tuple[float, float, float]:
    """P, dP/dy and d2P/dy2."""
    price = slope = curvature = 0.0
    for amount, time in zip(amounts, times, strict=True):
        value, first, second = discount(rate, time, convention)
        price += amount * value
        slope += amount * first
        curvature += amount * second
    return price, slope, curvature


def discount(rate: float, time: float, convention: YieldConvention = STREET) -> tuple[float, float, float]:
    """Discount factor of a rate over *time* years, and its first two derivatives to the rate."""
    frequency = float(convention.frequency)
    kind = convention.compounding
    if kind == "simple" or (kind == "simple_then_compounded" and time <= 1.0 / frequency):
        value = 1.0 / (1.0 + rate * time)
        return value, -time * value * value, 2.0 * time * time * value**3
    if kind == "continuous":
        value = math.exp(-rate * time)
        return value, -time * value, time * time * value
    growth = 1.0 + rate / frequency
    value = math.exp(-frequency * time * math.log1p(rate / frequency))
    return value, -time * value / growth, time * (time + 1.0 / frequency) * value / (growth * growth)


def equivalent_rate(rate: float, convention: YieldConvention, time: float, other: YieldConvention) -> float:
    """The rate of *other* that discounts *time* > 0 years as *rate* of *convention* does."""
    growth = 1.0 / discount(rate, time, convention)[0]
    frequency = float(other.frequency)
    if other.compounding == "simple" or (other.compounding == "simple_then_compounded" and time <= 1.0 / frequency):
        return (growth - 1.0) / time
    if other.compounding == "continuous":
        return math.log(growth) / time
    return frequency * math.expm1(math.log(growth) / (frequency * time))


def _measures(
    amounts: Sequence[float], times: Sequence[float], rate: float, accrued: float, convention: YieldConvention
) -> BondMeasures:
    price, slope, curvature = _price(amounts, times, rate, convention)
    weighted = sum(
        amount * time * discount(rate, time, convention)[0] for amount, time in zip(amounts, times, strict=True)
    )
    return BondMeasures(
        clean_price=price - accrued,
        dirty_price=price,
        accrued=accrued,
        yield_rate=rate,
        modified_duration=-slope / price,
        macaulay_duration=weighted / price,
        convexity=curvature / price,
        bpv=slope * 1e-4,
    )


# ---- against a curve -------------------------------------------------------------------------------------------------


def price_on_curve(
    flows: BondFlows, settlement: dt.date, discounts: Callable[[dt.date], float], spread: float = 0.0
) -> float:
    """
    Clean price per 100 at settlement, flows discounted by a curve and a continuous spread on top of it.

    Args:
        discounts: discount factor by date, to any one date.
    """
    value, _ = _curve_value(_curve_flows(flows, settlement, discounts), spread)
    return value - accrued_interest(flows, settlement)


def z_spread(flows: BondFlows, settlement: dt.date, clean_price: float, discounts: Callable[[dt.date], float]) -> float:
    """
    Continuous spread over a curve, ACT/365F from settlement, that explains a price.

    Raises:
        CellError: EXPIRED, nothing is outstanding; NUMERICAL, the dirty price is not positive or no spread explains it.
    """
    dirty = clean_price + accrued_interest(flows, settlement)
    if not (math.isfinite(dirty) and dirty > 0.0):
        raise CellError(FailureReason.NUMERICAL, f"the dirty price must be > 0, got {dirty}")
    paid = _curve_flows(flows, settlement, discounts)
    spread, value = 0.0, 0.0
    for _ in range(NEWTON_STEPS):
        value, slope = _curve_value(paid, spread)
        spread -= min(max(math.log(value / dirty) * value / slope, -1.0), 1.0)
    value, _ = _curve_value(paid, spread)
    if not abs(math.log(value / dirty)) <= RESIDUAL_MAX:
        raise CellError(FailureReason.NUMERICAL, f"no spread over the curve explains a clean price of {clean_price}")
    return spread


def _curve_flows(
    flows: BondFlows, settlement: dt.date, discounts: Callable[[dt.date], float]
) -> list[tuple[float, float]]:
    """(value at settlement on the curve, years from settlement) of what a buyer gets."""
    continuous = YieldConvention("A365F", "continuous", 1)
    amounts, times = _remaining(flows, settlement, continuous)
    at_settlement = discounts(settlement)
    days = [coupon.pay_day for coupon in flows.coupons if coupon.pay_day > day_number(settlement)]
    factors = [discounts(date_of(day)) / at_settlement for day in days]
    return [(amount * factor, time) for amount, factor, time in zip(amounts, factors, times, strict=True)]


def _curve_value(paid: Sequence[tuple[float, float]], spread: float) -> tuple[float, float]:
    """Value and its derivative to the spread."""
    values = [(amount * math.exp(-spread * time), time) for amount, time in paid]
    return sum(value for value, _ in values), -sum(value * time for value, time in values)
