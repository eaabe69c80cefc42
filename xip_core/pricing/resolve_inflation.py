"""Inflation legs to rows: CPI legs and year-on-year legs.

For a day d and an observation lag, the month observed is that of d minus the lag, and the level is

    flat      I(month)
    linear    I(month) + (I(next month) - I(month)) * (day of d in its month - 1) / days in that month

A published level is a number. One to come is the level of the base month times exp(log growth), so a coupon

    CPI            N t r I(d) / I0 DF(p)                    one or two terms
    year on year   N t (g (I(m) / I(m - 12 months) - 1) + s) DF(p)

is of plain terms. Where year-on-year swaps are quoted, growth to come is theirs instead, a linear point: the ratio of
two levels leaves out the convexity between the growth and the payment. I0 is the base of the contract, or the level
observed for the start of the leg.

Source: D. Brigo and F. Mercurio, Interest Rate Models (2nd ed., 2006), ch. 15 and 16.
"""

from __future__ import annotations

import math

import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import add_tenor, date_of, month_ends, parse_tenor, split_days
from xip_core.model.trade import CpiLeg, YearOnYearLeg
from xip_core.pricing.inflation import month_of, month_start
from xip_core.pricing.program import RowParts, Term, Uses
from xip_core.pricing.resolve_legs import Discounting, Periods, at_period, periods_of
from xip_core.pricing.tile_market import TileMarket

Level = list[tuple[float, Uses]]
"""Amounts with exponents, to be added up."""


def add_inflation_leg(
    parts: RowParts, market: TileMarket, leg: CpiLeg | YearOnYearLeg, discounting: Discounting, sign: float
) -> int:
    """Add coupons and notional exchanges of *leg*, times *sign*; returns the last payment day."""
    if leg.fx_reset is not None or leg.amortising_exchange:
        sentence = "an inflation leg with an FX reset or an amortising exchange is not supported"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    periods = periods_of(leg)
    if isinstance(leg, CpiLeg):
        _add_cpi(parts, market, leg, periods, discounting, sign)
    else:
        _add_year_on_year(parts, market, leg, periods, discounting, sign)
    return int(periods.pays[-1])


def _add_cpi(
    parts: RowParts, market: TileMarket, leg: CpiLeg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    base = leg.base_index
    if base is None:
        base = _known_level(market, leg, int(periods.begins[0]))
    ends, pays, accruals = periods.ends.tolist(), periods.pays.tolist(), periods.accruals.tolist()
    for i, pay in enumerate(pays):
        amount = at_period(leg.notionals, i) * at_period(leg.rates, i) * accruals[i]
        if pay > market.as_of_day and amount != 0.0:
            _pay(parts, sign * amount / base, observed_level(market, leg, ends[i]), discounting.at(pay))
    if leg.initial_exchange:
        days_of = calendar(leg.payment_calendar or leg.schedule.calendar)
        start = int(days_of.adjust(periods.begins[:1], leg.payment_convention)[0])
        if start > market.as_of_day:
            level = observed_level(market, leg, int(periods.begins[0]))
            _pay(parts, -sign * leg.notionals[0] / base, level, discounting.at(start))
    if leg.final_exchange and pays[-1] > market.as_of_day:
        notional, paid = at_period(leg.notionals, len(pays) - 1), discounting.at(pays[-1])
        _pay(parts, sign * notional / base, observed_level(market, leg, ends[-1]), paid)
        if leg.subtracts_notional:
            parts.pay(-sign * notional, paid)


def _add_year_on_year(
    parts: RowParts, market: TileMarket, leg: YearOnYearLeg, periods: Periods, discounting: Discounting, sign: float
) -> None:
    if leg.initial_exchange or leg.final_exchange:
        raise CellError(FailureReason.UNSUPPORTED, "notional exchanges of a year-on-year leg are not supported")
    ends, pays, accruals = periods.ends.tolist(), periods.pays.tolist(), periods.accruals.tolist()
    for i, pay in enumerate(pays):
        if pay <= market.as_of_day:
            continue
        scale, paid = sign * at_period(leg.notionals, i) * accruals[i], discounting.at(pay)
        gearing, spread = at_period(leg.gearings, i), at_period(leg.spreads, i)
        month = observed_month(leg, ends[i])
        growth = None if _published(market, leg.index, month) is not None else market.year_on_year(leg.index, month)
        if growth is not None and leg.observation == "flat":
            parts.special.append(Term(scale * gearing, paid, constant=0.0, linear=growth))
            parts.pay(scale * spread, paid)
            continue
        a_year_before = int(add_tenor(ends[i], 12, 0, np.array([-1]))[0])
        before = _known_or_forecast_inverse(market, leg, a_year_before)
        for amount, uses in observed_level(market, leg, ends[i]):
            parts.pay(scale * gearing * amount * before[0], (*uses, *before[1], *paid))
        parts.pay(scale * (spread - gearing), paid)


def _known_or_forecast_inverse(market: TileMarket, leg: YearOnYearLeg, day: int) -> tuple[float, Uses]:
    """One over the level a year before: a number, or an amount with an exponent."""
    level = observed_level(market, leg, day)
    if all(not uses for _, uses in level):
        return 1.0 / sum(amount for amount, _ in level), ()
    if len(level) > 1:
        sentence = "growth of an interpolated index that is not published yet is not supported"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    amount, uses = level[0]
    return 1.0 / amount, tuple(use ^ 1 for use in uses)


def _pay(parts: RowParts, scale: float, level: Level, paid: Uses) -> None:
    for amount, uses in level:
        parts.pay(scale * amount, (*uses, *paid))


def observed_month(leg: CpiLeg | YearOnYearLeg, day: int) -> int:
    """The month whose level a payment for *day* depends on, since January 1900."""
    months, days = parse_tenor(leg.observation_lag)
    observed = add_tenor(day, months, days, np.array([-1]))
    if isinstance(leg, YearOnYearLeg):
        observed = observed - leg.fixing_days
    return month_of(int(observed[0]))


def observed_level(market: TileMarket, leg: CpiLeg | YearOnYearLeg, day: int) -> Level:
    """The level a payment for *day* depends on."""
    month = observed_month(leg, day)
    level = [_level_of(market, leg.index, month)]
    if leg.observation == "linear":
        day_of_month = int(split_days(np.array([day], dtype=np.int64))[1][0])
        length = int(month_ends(np.array([day], dtype=np.int64))[0]) - day + day_of_month
        weight = (day_of_month - 1) / length
        if weight:
            (amount, uses), (next_amount, next_uses) = level[0], _level_of(market, leg.index, month + 1)
            level = [((1.0 - weight) * amount, uses), (weight * next_amount, next_uses)]
    return level


def _known_level(market: TileMarket, leg: CpiLeg, day: int) -> float:
    level = observed_level(market, leg, day)
    if any(uses for _, uses in level):
        sentence = f"the base of {leg.index} is not published yet; a leg that starts later must name its base_index"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    return sum(amount for amount, _ in level)


def _level_of(market: TileMarket, index: str, month: int) -> tuple[float, Uses]:
    published = _published(market, index, month)
    if published is not None:
        return published, ()
    base_month = month_of(market.inflation_base_day(index))
    base = _published(market, index, base_month)
    if base is None or month < base_month:
        missing = date_of(month_start(min(month, base_month)))
        raise CellError(FailureReason.MISSING_DATA, f"{index} of {missing:%Y-%m} is missing from the snapshot")
    return base, (market.log_growth(index, month),)


def _published(market: TileMarket, index: str, month: int) -> float | None:
    date = date_of(month_start(month))
    level = market.layout.fixing(index, date)
    if level is not None and not (math.isfinite(level) and level > 0.0):
        raise CellError(FailureReason.BAD_QUOTE, f"{index} of {date:%Y-%m} must be a number > 0, got {level}")
    return level
