"""Commodity swaps, swaptions and options on an average to rows.

A price of the day d is the linear point F(d) of the commodity's forward curve; where the snapshot has a published price
of that day (`fixings`, under the commodity's name) it is known money. A swap is a sum of terms. A swaption is an option
on the ratio floating leg / fixed leg, struck at 1 and valued in units of the fixed leg. Prices of all delivery days
move as one, so the volatility of the ratio is the commodity's own at expiry. An option on an average is Black's with
the volatility of `pricing.averages`; prices already known lower its strike, and below zero it is a forward or nothing.
"""

from __future__ import annotations

import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import DayNumbers, date_of, day_number
from xip_core.model.schedules import boundaries
from xip_core.model.trade_commodity import (
    CommodityAverageOption,
    CommodityFixedLeg,
    CommodityFloatingLeg,
    CommodityLeg,
    CommoditySwap,
    CommoditySwaption,
)
from xip_core.pricing.program import KIND_RATIO, Observation, OptionItem, RowParts, Term
from xip_core.pricing.resolve_legs import at_period, discounting_of, published_fixing
from xip_core.pricing.resolve_rates import add_premiums, check_not_expired, kind_of, position_sign
from xip_core.pricing.tile_market import TileMarket


def resolve_commodity_swap(trade: CommoditySwap, market: TileMarket) -> RowParts:
    """Every leg on the discount curve of its currency; PV in the currency of the first leg."""
    parts = RowParts(currency=trade.legs[0].currency)
    last_day = 0
    for leg in trade.legs:
        last_day = max(last_day, _add_leg(parts, market, leg, -1.0 if leg.payer else 1.0))
    check_not_expired(last_day, market)
    return parts


def resolve_commodity_swaption(trade: CommoditySwaption, market: TileMarket) -> RowParts:
    """One option on the value of the floating leg in units of the fixed one."""
    fixed, floating = _legs_of(trade)
    expiry = day_number(trade.expiry)
    check_not_expired(expiry, market)
    begins = min(int(boundaries(leg.schedule)[0]) for leg in trade.legs)
    if begins < expiry:
        sentence = f"must start at or after its expiry {trade.expiry}, got {date_of(begins)}"
        raise CellError(FailureReason.BAD_TRADE, f"the swap of a commodity swaption {sentence}")
    parts = RowParts(currency=fixed.currency)
    add_premiums(parts, market, trade.premiums, trade.position)
    floating_parts, fixed_parts = RowParts(), RowParts()
    _add_leg(floating_parts, market, floating, 1.0)
    _add_leg(fixed_parts, market, fixed, 1.0)
    strike = _mean_price(fixed)
    volatility = market.layout.commodity_volatility(floating.name, trade.expiry, strike)
    parts.options.append(
        OptionItem(
            amount=position_sign(trade.position),
            strike=1.0,
            time_years=market.time_years(expiry),
            is_call=fixed.payer,
            kind=kind_of(volatility) | KIND_RATIO,
            forward=floating_parts.all_terms(),
            discount=fixed_parts.all_terms(),
            volatility=market.volatility(volatility),
            delta_weight=1.0,
        )
    )
    return parts


def resolve_commodity_average_option(trade: CommodityAverageOption, market: TileMarket) -> RowParts:
    """Black's formula on what is left of the average."""
    days = _pricing_days(day_number(trade.start) - 1, day_number(trade.end), trade.pricing_calendar)
    pay = _pay_day(trade, day_number(trade.end))
    check_not_expired(pay, market)
    parts = RowParts(currency=trade.currency)
    add_premiums(parts, market, trade.premiums, trade.position)
    known, ahead = _split(trade.name, days, market)
    weight = 1.0 / len(days)
    amount = position_sign(trade.position) * trade.quantity
    strike = trade.strike - weight * sum(known)
    is_call = trade.option_type == "call"
    paid = discounting_of(market, trade.currency).at(pay)
    if not ahead or strike <= 0.0:
        if is_call and strike <= 0.0:  # sure to be exercised: what is known, and the forwards of what is not
            parts.pay(-amount * strike, paid)
            for day in ahead:
                forward = (market.commodity_forward(trade.name, day),)
                parts.special.append(Term(amount * weight, paid, constant=0.0, linear=forward, delta_weight=1.0))
        elif not ahead and not is_call:
            parts.pay(amount * max(strike, 0.0), paid)
        return parts
    parts.options.append(
        OptionItem(
            amount=amount,
            strike=strike,
            time_years=market.time_years(ahead[-1]),
            is_call=is_call,
            kind=0,
            forward=[
                Term(weight, constant=0.0, linear=(market.commodity_forward(trade.name, day),)) for day in ahead
            ],
            discount=[Term(1.0, paid)],
            volatility=(),
            delta_weight=1.0,
            average=_observations(trade.name, ahead, weight, strike / (weight * len(ahead)), market),
        )
    )
    return parts


def _observations(name: str, days: list[int], weight: float, strike: float, market: TileMarket) -> list[Observation]:
    """What `pricing.averages` needs; volatilities are looked up at the strike per unit of what is left."""
    found = []
    for day in days:
        volatility = market.layout.commodity_volatility(name, date_of(day), strike)
        if not volatility.is_total_variance:
            raise CellError(FailureReason.UNSUPPORTED, f"an average of {name}, whose volatilities are no variances")
        forward = (market.commodity_forward(name, day),)
        found.append(Observation(weight, market.time_years(day), forward, market.volatility(volatility)))
    return found


def _add_leg(parts: RowParts, market: TileMarket, leg: CommodityLeg, sign: float) -> int:
    """Add the payments of *leg*, times *sign*; returns the last payment day."""
    ends = boundaries(leg.schedule)
    discounting = discounting_of(market, leg.currency)
    last_day = 0
    for period, (begin, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        pay = last_day = _pay_day(leg, end)
        if pay <= market.as_of_day:
            continue
        quantity = sign * at_period(leg.quantities, period)
        if isinstance(leg, CommodityFixedLeg):
            parts.pay(quantity * at_period(leg.prices, period), discounting.at(pay))
            continue
        parts.pay(quantity * at_period(leg.spreads, period), discounting.at(pay))
        days = _pricing_days(begin - (period == 0), end, leg.pricing_calendar)
        days = days if leg.averaged else days[-1:]
        known, ahead = _split(leg.name, days, market)
        scale = quantity * at_period(leg.gearings, period) / len(days)
        if known:
            parts.pay(scale * sum(known), discounting.at(pay))
        for day in ahead:
            forward = (market.commodity_forward(leg.name, day),)
            parts.special.append(Term(scale, discounting.at(pay), constant=0.0, linear=forward, delta_weight=1.0))
    return last_day


def _pricing_days(after: int, end: int, pricing_calendar: str) -> DayNumbers:
    """Business days after *after* up to *end*; where there is none, the last one before."""
    days_of = calendar(pricing_calendar)
    every = np.arange(after + 1, end + 1, dtype=np.int64)
    days: DayNumbers = every[days_of.adjust(every, "following") == every]
    return days if len(days) else days_of.adjust(np.array([end], dtype=np.int64), "preceding")


def _split(name: str, days: DayNumbers, market: TileMarket) -> tuple[list[float], list[int]]:
    """Published prices, and the days whose price is still to come; today's is known where it is published."""
    known: list[float] = []
    ahead: list[int] = []
    for day in days.tolist():
        price = published_fixing(market, name, day)
        if price is None:
            ahead.append(day)
        else:
            known.append(price)
    return known, ahead


def _pay_day(terms: CommodityLeg | CommodityAverageOption, end: int) -> int:
    own = terms.payment_calendar
    names = own if isinstance(terms, CommodityAverageOption) else own or terms.schedule.calendar
    days_of = calendar(names)
    day = np.array([end], dtype=np.int64)
    if terms.payment_lag_days:
        return int(days_of.advance(day, terms.payment_lag_days)[0])
    return int(days_of.adjust(day, terms.payment_convention)[0])


def _legs_of(trade: CommoditySwaption) -> tuple[CommodityFixedLeg, CommodityFloatingLeg]:
    fixed = [leg for leg in trade.legs if isinstance(leg, CommodityFixedLeg)]
    floating = [leg for leg in trade.legs if isinstance(leg, CommodityFloatingLeg)]
    if len(fixed) != 1 or len(floating) != 1:
        raise CellError(FailureReason.BAD_TRADE, "a commodity swaption needs one fixed and one floating leg")
    if fixed[0].payer == floating[0].payer:
        raise CellError(FailureReason.BAD_TRADE, "one leg of a commodity swaption must be paid and the other received")
    if fixed[0].currency != floating[0].currency:
        raise CellError(FailureReason.UNSUPPORTED, "a commodity swaption whose legs differ in currency")
    return fixed[0], floating[0]


def _mean_price(leg: CommodityFixedLeg) -> float:
    """Price per unit over all periods."""
    count = len(boundaries(leg.schedule)) - 1
    quantities = [at_period(leg.quantities, period) for period in range(count)]
    paid = sum(quantity * at_period(leg.prices, period) for period, quantity in enumerate(quantities))
    price = paid / sum(quantities)
    if not price > 0.0:
        raise CellError(FailureReason.BAD_TRADE, f"the fixed price of a commodity swaption must be > 0, got {price}")
    return price
