"""Legs to cash flows: fixed, floating and overnight coupons, notional exchanges.

A coupon of notional N, accrual t, gearing g and spread s, paid at p, projected on an index curve S over the index
period [v, m] of accrual t' (par coupon: the period between the value dates of this fixing and the next)::

    fixed        N r t DF(p)
    floating     N t (g (S(v)/S(m) - 1) / t' + s) DF(p)     two terms: one on S, one on DF alone
    compounded   N (g (S(b)/S(e) - 1) + s t) DF(p)          daily compounding telescopes; with a lookback each day's
                                                            log growth is weighted by the day it accrues for
    averaged     N t (g log(S(b)/S(e)) / t' + s) DF(p)      Takada's approximation of the average, a linear term

Whose fixing is published is known money: fixings before the as-of date must be there, today's is used where it is. A
payment on the as-of date has been made. Under a survival curve Q every payment is multiplied by Q(p).

Source of the average: K. Takada, Valuation of arithmetic average of Fed Funds rates, J. of Computational Finance
(2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import Calendar, calendar
from xip_core.model.dates import DayNumbers, add_tenor, date_of, parse_tenor
from xip_core.model.daycounts import year_fractions
from xip_core.model.market_instruments import RateIndex
from xip_core.model.schedules import boundaries, tenor_months
from xip_core.model.trade import FixedLeg, FloatingLeg, Leg, OvernightLeg
from xip_core.pricing.program import RowParts, Term, Uses
from xip_core.pricing.tile_market import DatedPoints, TileMarket


class Periods(msgspec.Struct, frozen=True):
    """Coupon periods of a leg; begins, ends and pays are day numbers."""

    begins: DayNumbers
    ends: DayNumbers
    pays: DayNumbers
    accruals: np.ndarray


class IndexPeriods(msgspec.Struct, frozen=True):
    """The index period behind each coupon of a floating leg."""

    fixings: list[int]
    values: list[int]
    maturities: list[int]
    accruals: list[float]


class Discounting(msgspec.Struct, frozen=True):
    """How a payment is discounted: discount factors, currency, and survival of a name unless None.

    Attributes:
        curve: name of the curve of *discounts*.
    """

    curve: str
    discounts: DatedPoints
    fx: Uses
    survivals: DatedPoints | None = None

    def at(self, day: int) -> Uses:
        """Exponent of one unit paid at *day*, in base currency."""
        if self.survivals is None:
            return (self.discounts[day], *self.fx)
        return (self.discounts[day], self.survivals[day], *self.fx)


def periods_of(leg: Leg) -> Periods:
    """Periods, payment days and accruals of *leg*.

    Raises:
        ValueError: the schedule, a calendar or the day count is wrong.
    """
    days = boundaries(leg.schedule)
    begins, ends = days[:-1], days[1:]
    payment_days = calendar(leg.payment_calendar or leg.schedule.calendar)
    if leg.payment_lag_days:
        pays = payment_days.advance(ends, leg.payment_lag_days)
    else:
        pays = payment_days.adjust(ends, leg.payment_convention)
    months, last_day = tenor_months(leg.schedule), int(ends[-1])
    return Periods(begins, ends, pays, year_fractions(leg.day_count, begins, ends, months, last_day))


def per_period(values: tuple[float, ...], count: int) -> Sequence[float]:
    """The values of *count* periods; the last one continues."""
    return values[:count] + values[-1:] * (count - len(values))


def at_period(values: tuple[float, ...], period: int) -> float:
    """The value of a period; the last one continues."""
    return values[period] if period < len(values) else values[-1]


def discounting_of(market: TileMarket, currency: str) -> Discounting:
    """Discounting of *currency* under the snapshot's collateral."""
    curve = market.layout.discount_curve(currency)
    return Discounting(curve, market.discounts(curve), market.fx(currency))


def add_leg(parts: RowParts, market: TileMarket, leg: Leg, discounting: Discounting, sign: float) -> int:
    """Add the coupons and notional exchanges of *leg*, times *sign*; returns the last payment day."""
    periods = periods_of(leg)
    add_coupons(parts, market, leg, periods, discounting, sign)
    add_exchanges(parts, market, leg, periods, discounting, sign)
    return int(periods.pays[-1])


def add_coupons(
    parts: RowParts, market: TileMarket, leg: Leg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    """Add the coupons of *leg*, times *sign*."""
    match leg:
        case FixedLeg():
            _add_fixed(parts, market, leg, periods, discounting, sign)
        case FloatingLeg():
            _add_floating(parts, market, leg, periods, discounting, sign)
        case OvernightLeg():
            add_overnight(parts, market, leg, periods, discounting, sign)
        case _:
            sentence = f"a leg of type {type(leg).__name__} is supported in swaps alone"
            raise CellError(FailureReason.UNSUPPORTED, sentence)


def _add_fixed(
    parts: RowParts, market: TileMarket, leg: FixedLeg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    pays, accruals = periods.pays.tolist(), periods.accruals.tolist()
    notionals, rates = per_period(leg.notionals, len(pays)), per_period(leg.rates, len(pays))
    for pay, accrual, notional, rate in zip(pays, accruals, notionals, rates, strict=True):
        if pay > market.as_of_day:
            parts.pay(sign * notional * rate * accrual, discounting.at(pay))


def index_periods(leg: FloatingLeg, index: RateIndex, periods: Periods) -> IndexPeriods:
    """Fixing, value and maturity day of the deposit behind each coupon, and its accrual by the index's day count.

    Those of a par coupon are all on the fixing calendar, as market practice has it; a single deposit also heeds the
    value calendar.
    """
    fixing_days = calendar(index.calendar)
    lead_days = index.settlement_days if leg.fixing_days is None else leg.fixing_days
    fixings = fixing_days.advance(periods.begins, -lead_days)
    if not index.is_par:
        return deposits_of(index, fixings)
    next_fixings = fixing_days.advance(periods.ends, -lead_days)
    values = fixing_days.advance(fixings, index.settlement_days)
    maturities = np.maximum(fixing_days.advance(next_fixings, index.settlement_days), values + 1)
    accruals = year_fractions(index.day_count, values, maturities)
    return IndexPeriods(fixings.tolist(), values.tolist(), maturities.tolist(), accruals.tolist())


def deposits_of(index: RateIndex, fixings: DayNumbers) -> IndexPeriods:
    """The deposit of the index's own tenor that each fixing is the rate of."""
    days_of = calendar(index.value_calendar or index.calendar)
    values = days_of.adjust(calendar(index.calendar).advance(fixings, index.settlement_days), "following")
    months, days = parse_tenor(index.tenor)
    maturities = np.array([int(add_tenor(day, months, days, np.array([1]))[0]) for day in values.tolist()])
    adjusted = days_of.adjust(maturities, index.convention)
    if index.end_of_month:
        adjusted = np.where(values >= days_of.month_end(values), days_of.month_end(maturities), adjusted)
    accruals = year_fractions(index.day_count, values, adjusted)
    return IndexPeriods(fixings.tolist(), values.tolist(), adjusted.tolist(), accruals.tolist())


def published_fixing(market: TileMarket, index: str, day: int) -> float | None:
    """The fixing of *day*, or None where it is still to come.

    Raises:
        CellError: MISSING_DATA, the day is past and the snapshot has no fixing for it.
    """
    if day > market.as_of_day:
        return None
    date = date_of(day)
    fixing = market.layout.fixing(index, date)
    if fixing is None and day < market.as_of_day:
        raise CellError(FailureReason.MISSING_DATA, f"fixing of {index} for {date} is missing from the snapshot")
    if fixing is not None and not math.isfinite(fixing):
        raise CellError(FailureReason.BAD_QUOTE, f"fixing of {index} for {date} must be a finite number, got {fixing}")
    return fixing


def _add_floating(
    parts: RowParts, market: TileMarket, leg: FloatingLeg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    index = market.index(leg.index)
    of_index = index_periods(leg, index, periods)
    forecasts = market.discounts(index.curve)
    pays, accruals, as_of_day = periods.pays.tolist(), periods.accruals.tolist(), market.as_of_day
    notionals, spreads = per_period(leg.notionals, len(pays)), per_period(leg.spreads, len(pays))
    gearings = per_period(leg.gearings, len(pays))
    for i, pay in enumerate(pays):
        if pay <= as_of_day:
            continue
        scale = sign * notionals[i] * accruals[i]
        gearing, spread = gearings[i], spreads[i]
        paid = discounting.at(pay)
        fixing_day = of_index.fixings[i]
        fixing = published_fixing(market, leg.index, fixing_day) if fixing_day <= as_of_day else None
        if fixing is not None:
            parts.pay(scale * (gearing * fixing + spread), paid)
            continue
        index_accrual = of_index.accruals[i]
        growth = (forecasts[of_index.values[i]], forecasts[of_index.maturities[i]] + 1)
        parts.pay(scale * gearing / index_accrual, (*growth, *paid))
        parts.pay(scale * (spread - gearing / index_accrual), paid)


def add_overnight(
    parts: RowParts,
    market: TileMarket,
    leg: OvernightLeg,
    periods: Periods,
    discounting: Discounting,
    sign: float,
    resets: Sequence[Uses] = (),
) -> None:
    """Add the coupons of *leg*; where notionals reset, *resets* are the exponents of each period's."""
    index = market.index(leg.index)
    accruals, pays = periods.accruals.tolist(), periods.pays.tolist()
    for i, (begin, end) in enumerate(zip(periods.begins.tolist(), periods.ends.tolist(), strict=True)):
        if pays[i] <= market.as_of_day:
            continue
        scale = sign * at_period(leg.notionals, i) * accruals[i]
        gearing, spread = at_period(leg.gearings, i), at_period(leg.spreads, i)
        paid = (*resets[i], *discounting.at(pays[i])) if resets else discounting.at(pays[i])
        accrual = _accrual(index, begin, end)
        known = _known_overnight(market, leg, index, begin, end)
        growth = _overnight_growth(market, leg, index, known, end)
        if leg.averaged:
            amount = scale * gearing / accrual * known.stretch
            parts.special.append(Term(amount, paid, constant=known.interest / known.stretch, linear=growth))
            parts.pay(scale * spread, paid)
        else:
            parts.pay(scale * gearing / accrual * known.growth, (*growth, *paid))
            parts.pay(scale * (spread - gearing / accrual), paid)


class KnownOvernight(msgspec.Struct, frozen=True):
    """What published fixings have earned, as simple interest and as growth, and what is left to project.

    Attributes:
        value_day: from which interest is still to be projected.
        projected_from, projected_to: the days on which it is observed, earlier by the lookback.
        stretch: accrual of what is left over that of its observation period.
    """

    interest: float
    growth: float
    value_day: int
    projected_from: int
    projected_to: int
    stretch: float


def _known_overnight(market: TileMarket, leg: OvernightLeg, index: RateIndex, begin: int, end: int) -> KnownOvernight:
    days_of = calendar(index.calendar)
    observed_from, observed_to = begin, end
    if leg.lookback_days:
        observed_from, observed_to = days_of.advance(np.array([begin, end]), -leg.lookback_days).tolist()
    interest, growth, value_day = 0.0, 1.0, begin
    if observed_from <= market.as_of_day:
        value_days = _value_days(days_of, begin, end)
        fixing_days = days_of.adjust(value_days[:-1], "preceding")
        if leg.lookback_days:
            fixing_days = days_of.advance(fixing_days, -leg.lookback_days)
        accruals = year_fractions(index.day_count, value_days[:-1], value_days[1:]).tolist()
        for i, fixing_day in enumerate(fixing_days.tolist()):
            fixing = published_fixing(market, leg.index, fixing_day)
            if fixing is None:
                observed_from = fixing_day if i else observed_from
                value_day = int(value_days[i])
                break
            interest, growth = interest + fixing * accruals[i], growth * (1.0 + fixing * accruals[i])
        else:
            return KnownOvernight(interest, growth, end, observed_to, observed_to, 1.0)
    stretch = _accrual(index, value_day, end) / _accrual(index, observed_from, observed_to)
    return KnownOvernight(interest, growth, value_day, observed_from, observed_to, stretch)


def _value_days(days_of: Calendar, begin: int, end: int) -> DayNumbers:
    """Days on which an overnight deposit of the period begins or ends."""
    inner = np.arange(begin + 1, end)
    return np.concatenate(([begin], inner[days_of.is_business_day(inner)], [end]))


def _overnight_growth(
    market: TileMarket, leg: OvernightLeg, index: RateIndex, known: KnownOvernight, end: int
) -> Uses:
    """Points of log growth over what is left of the period ending at *end*.

    Under a lookback a day's growth counts for the day it accrues for: every day's where they compound; in an average,
    that of a fixing due today, and the rest as one.
    """
    is_due_today = known.projected_from <= market.as_of_day
    if not leg.lookback_days or known.value_day >= end or (leg.averaged and not is_due_today):
        begin_point = market.discount(index.curve, known.projected_from)
        return (begin_point, market.discount(index.curve, known.projected_to) + 1)
    days_of = calendar(index.calendar)
    value_days = _value_days(days_of, known.value_day, end)
    if leg.averaged:
        value_days = value_days[[0, 1, -1]]
    observed = days_of.advance(value_days, -leg.lookback_days)
    weights = np.diff(value_days) / np.maximum(np.diff(observed), 1)
    if leg.averaged:
        weights /= known.stretch  # which the term multiplies again
    return (market.weighted_growth(index.curve, observed.tolist(), weights.tolist()),)


def _accrual(index: RateIndex, begin: int, end: int) -> float:
    return float(year_fractions(index.day_count, np.array([begin]), np.array([end]))[0])


def add_exchanges(
    parts: RowParts, market: TileMarket, leg: Leg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    """Notional out at the start, its reductions on the way, the rest back at the end; from the receiver's side."""
    pays = periods.pays.tolist()
    if leg.initial_exchange:
        days_of = calendar(leg.payment_calendar or leg.schedule.calendar)
        start = int(days_of.adjust(periods.begins[:1], leg.payment_convention)[0])
        if start > market.as_of_day:
            parts.pay(-sign * leg.notionals[0], discounting.at(start))
    if leg.amortising_exchange:
        for i, pay in enumerate(pays[:-1]):
            reduction = at_period(leg.notionals, i) - at_period(leg.notionals, i + 1)
            if reduction != 0.0 and pay > market.as_of_day:
                parts.pay(sign * reduction, discounting.at(pay))
    if leg.final_exchange and pays[-1] > market.as_of_day:
        parts.pay(sign * at_period(leg.notionals, len(pays) - 1), discounting.at(pays[-1]))
