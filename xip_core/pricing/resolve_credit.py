"""Bonds and credit default swaps to rows.

Both use the mid-point approximation: a default between two days happens in the middle of them. With discount factors
D, survival Q and recovery R, over the coupon periods [b, e] still to be paid (b not before the as-of date, nor before
protection starts; D of a bond's reference curve, times exp(-s t) where the market has a spread s of its security)::

    bond        sum of coupon D(p) Q(p) + notional D(T) Q(T) + sum of R notional D(mid) (Q(b) - Q(e))
    protection  sum of (1 - R) notional D(mid) (Q(b) - Q(e))
    premium     sum of coupon D(p) Q(p) + accrued(mid) D(mid) (Q(b) - Q(e))

Premiums on A360 count their last period's last day. Under the standard contract (schedule rule cds2015) the buyer gets
back what had accrued when protection began, on the upfront date.

Sources: D. O'Kane, Modelling single-name and multi-name credit derivatives (2008), ch. 6; ISDA standard CDS contract.
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.quasi_coupons import accruals_of
from xip_core.model.trade import Bond, Cds, FloatingLeg, Leg
from xip_core.pricing.bonds import ex_coupon_days, settlement_date
from xip_core.pricing.layout import MarketLayout
from xip_core.pricing.program import RowParts, Uses
from xip_core.pricing.resolve_isda import resolve_isda_cds
from xip_core.pricing.resolve_legs import Discounting, Periods, add_coupons, at_period, discounting_of, periods_of
from xip_core.pricing.resolve_rates import add_optionlets, check_not_expired
from xip_core.pricing.tile_market import DatedPoints, TileMarket


def resolve_bond(trade: Bond, market: TileMarket) -> RowParts:
    """Cash flows on the benchmark curve times survival of the issuer, and recovery at default."""
    leg = trade.leg
    parts = RowParts(currency=leg.currency)
    periods = periods_of(leg)
    if leg.day_count == "ACT/ACT ICMA":  # regular coupons are equal, however holidays move them
        accruals = accruals_of(leg.day_count, leg.schedule, periods.begins, periods.ends)
        periods = msgspec.structs.replace(periods, accruals=np.array(accruals))
    check_not_expired(int(periods.pays[-1]), market)
    curve = market.layout.bond_curve(_reference_curve(trade, market), trade.security)
    survivals = market.survivals(trade.credit_curve) if trade.credit_curve else None
    discounting = Discounting(curve, market.discounts(curve), market.fx(leg.currency), survivals)
    sign = -1.0 if leg.payer else 1.0
    coupons = _without_ex_coupons(trade, periods, market.as_of_day)
    add_coupons(parts, market, leg, coupons, discounting, sign)
    if isinstance(leg, FloatingLeg):
        if leg.caps:
            add_optionlets(parts, market, leg, coupons, discounting, leg.caps, True, -sign)
        if leg.floors:
            add_optionlets(parts, market, leg, coupons, discounting, leg.floors, False, sign)
    pays = periods.pays.tolist()
    for i, pay in enumerate(pays):
        next_notional = at_period(leg.notionals, i + 1) if i + 1 < len(pays) else 0.0
        repaid = at_period(leg.notionals, i) - next_notional
        if repaid != 0.0 and pay > market.as_of_day:
            parts.pay(sign * repaid, discounting.at(pay))
    if trade.credit_curve:
        recovery_rate = recovery_rate_of(trade, market.layout)
        _add_default_payments(parts, market, trade, periods, discounting, sign * recovery_rate)
    return parts


def _without_ex_coupons(trade: Bond, periods: Periods, as_of_day: int) -> Periods:
    """*periods*, those coupons paid already that a buyer of today, settling as usual, does not get any more.

    A bond is worth what it would fetch; a coupon it went ex of is a receivable of its own.
    """
    if not trade.ex_coupon_days:
        return periods
    settles = day_number(settlement_date(trade, date_of(as_of_day)))
    is_ex = np.array(ex_coupon_days(trade, periods.pays)) <= settles
    return msgspec.structs.replace(periods, pays=np.where(is_ex, np.minimum(periods.pays, as_of_day), periods.pays))


def recovery_rate_of(trade: Bond | Cds, layout: MarketLayout) -> float:
    """The trade's own, that of its security, or that of its credit curve."""
    if trade.recovery_rate is None:
        of_security = layout.security_recovery(trade.security) if isinstance(trade, Bond) else None
        return layout.recovery_rate(trade.credit_curve) if of_security is None else of_security
    if not 0.0 <= trade.recovery_rate < 1.0:
        raise CellError(FailureReason.BAD_TRADE, f"recovery_rate must be in [0, 1), got {trade.recovery_rate}")
    return trade.recovery_rate


def _reference_curve(trade: Bond, market: TileMarket) -> str:
    """The curve of that name, or the one that forecasts the index of that name."""
    index = market.layout.indices.get(trade.reference_curve)
    return trade.reference_curve if index is None else index.curve


def _add_default_payments(
    parts: RowParts, market: TileMarket, trade: Bond, periods: Periods, discounting: Discounting, rate: float
) -> None:
    survivals = market.survivals(trade.credit_curve)
    for i, (begin, end) in enumerate(zip(periods.begins.tolist(), periods.ends.tolist(), strict=True)):
        if end > market.as_of_day:
            begin = max(begin, market.as_of_day)
            middle = discounting.discounts[begin + (end - begin) // 2]
            amount = rate * at_period(trade.leg.notionals, i)
            add_default_between(parts, survivals, begin, end, amount, (middle, *discounting.fx))


def add_default_between(
    parts: RowParts, survivals: DatedPoints, begin: int, end: int, amount: float, paid: Uses
) -> None:
    """*amount*, discounted by *paid*, if the name of *survivals* defaults in (begin, end]."""
    parts.pay(amount, (*paid, survivals[begin]))
    parts.pay(-amount, (*paid, survivals[end]))


def resolve_cds(trade: Cds, market: TileMarket) -> RowParts:
    """Protection against premium, by mid-points unless the hazard curve is one of the ISDA standard model."""
    leg = trade.leg
    parts = RowParts(currency=leg.currency)
    periods = periods_of(leg)
    check_not_expired(int(periods.pays[-1]), market)
    recovery_rate = recovery_rate_of(trade, market.layout)
    isda = market.layout.isda_model(trade.credit_curve)
    if isda is not None:
        return resolve_isda_cds(trade, periods, isda, recovery_rate, market)
    discounting = discounting_of(market, leg.currency)
    buyer = 1.0 if leg.payer else -1.0
    begins, ends, pays = periods.begins.tolist(), periods.ends.tolist(), periods.pays.tolist()
    extra_days = np.zeros(len(pays), dtype=np.int64)
    extra_days[-1] = leg.day_count == "A360"  # the last day counts
    protection_start = day_number(trade.protection_start) if trade.protection_start else begins[0]
    risk_begins = np.maximum(periods.begins, max(protection_start, market.as_of_day))
    middles = risk_begins + (periods.ends - risk_begins) // 2
    accruals = year_fractions(leg.day_count, periods.begins, periods.ends + extra_days).tolist()
    accruals_to_middle = year_fractions(leg.day_count, periods.begins, middles + extra_days).tolist()
    survivals = market.survivals(trade.credit_curve)
    for i, (end, pay, risk_begin) in enumerate(zip(ends, pays, risk_begins.tolist(), strict=True)):
        if pay <= market.as_of_day:
            continue
        notional, rate = at_period(leg.notionals, i), at_period(leg.rates, i)
        parts.pay(-buyer * (notional * rate * accruals[i]), (*discounting.at(pay), survivals[pay]))
        if end <= risk_begin:
            continue
        at_default = discounting.at(int(middles[i]) if trade.pays_at_default else pay)
        amount = (1.0 - recovery_rate) * notional
        if trade.settles_accrual:
            amount -= notional * rate * accruals_to_middle[i]
        add_default_between(parts, survivals, risk_begin, end, buyer * amount, at_default)
    _add_upfront(parts, market, trade, discounting, buyer, begins, protection_start)
    return parts


def _accrual(leg: Leg, begin: int, end: int, extra_days: int) -> float:
    return float(year_fractions(leg.day_count, np.array([begin]), np.array([end + extra_days]))[0])


def _add_upfront(
    parts: RowParts,
    market: TileMarket,
    trade: Cds,
    discounting: Discounting,
    buyer: float,
    begins: list[int],
    protection_start: int,
) -> None:
    """Upfront fee and, on a standard contract, the rebate of what accrued up to the first day of protection."""
    if trade.upfront_date is not None:
        day = day_number(trade.upfront_date)
    else:
        day = int(calendar("WeekendsOnly").advance(np.array([protection_start]), 3)[0])
    if day <= market.as_of_day:
        return
    notional = trade.leg.notionals[0]
    if trade.upfront_fee:
        parts.pay(-buyer * trade.upfront_fee * notional, discounting.at(day))
    if trade.leg.schedule.rule == "cds2015" and protection_start >= begins[0]:
        accrued = trade.leg.rates[0] * _accrual(trade.leg, begins[0], protection_start, 1)
        parts.pay(buyer * accrued * notional, discounting.at(day))
