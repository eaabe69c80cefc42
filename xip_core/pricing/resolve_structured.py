"""Legs that are more than rate times notional period by period: compounding, stub rates, notionals reset to FX.

Let the coupon rate of accrual period k be R_k = g_k F_k + s_k with accrual t_k. The interest of the periods of one
payment is X after the last of them, where X = 0 before the first and

    none               X_k = X_(k-1) + t_k R_k
    straight           X_k = X_(k-1) (1 + t_k R_k) + t_k R_k
    flat               X_k = X_(k-1) (1 + t_k g_k F_k) + t_k R_k
    spread_exclusive   X_k = X_(k-1) (1 + t_k g_k F_k) + t_k g_k F_k, and the sum of t_k s_k on top

Every F is a constant plus weighted growths of index periods, so each step is a link of a chain (program.py).

A stub on one index has the forward of that index' own deposit; between two it is linear in the days by which the
stub's end lies between the ends of their deposits.

A notional that resets is the foreign amount times the FX rate of its fixing: exp of a linear point, so a reset leg is
made of the same terms as any other with one factor more. The forward of a rate S quoted for spot day d0 is
S P_for(d) P_dom(d0) / (P_dom(d) P_for(d0)). Where the leg exchanges notionals, the old one is paid back and the new one
paid out when each period ends.
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.market_instruments import RateIndex
from xip_core.model.trade import FixedLeg, FloatingLeg, FxReset, Leg, OvernightLeg, StubRate
from xip_core.pricing.program import ChainItem, Link, RowParts, Uses
from xip_core.pricing.resolve_legs import (
    Discounting,
    IndexPeriods,
    Periods,
    add_exchanges,
    add_overnight,
    at_period,
    deposits_of,
    index_periods,
    per_period,
    periods_of,
    published_fixing,
)
from xip_core.pricing.tile_market import TileMarket

Notional = tuple[float, Uses]
"""Amount and the exponent it is multiplied by, () where it is agreed."""


class Rate(msgspec.Struct, frozen=True):
    """constant + sum of weight * exp(growth)."""

    constant: float
    growths: tuple[tuple[float, Uses], ...] = ()


def is_structured(leg: Leg) -> bool:
    """Whether *leg* needs this module."""
    if leg.fx_reset is not None:
        return True
    match leg:
        case FixedLeg():
            return leg.periods_per_payment != 1
        case FloatingLeg():
            return leg.periods_per_payment != 1 or leg.front_stub is not None or leg.back_stub is not None
        case _:
            return False


def add_structured_leg(parts: RowParts, market: TileMarket, leg: Leg, discounting: Discounting, sign: float) -> int:
    """Add coupons and notional exchanges of *leg*, times *sign*; returns the last payment day."""
    periods = periods_of(leg)
    notionals = _notionals(leg, market, periods)
    match leg:
        case FixedLeg():
            rates = [Rate(rate) for rate in per_period(leg.rates, len(periods.pays))]
            ones, zeros = (1.0,), (0.0,)
            _add_coupons(parts, market, leg, periods, discounting, sign, notionals, rates, ones, zeros)
        case FloatingLeg():
            rates = _floating_rates(leg, market, periods)
            _add_coupons(
                parts, market, leg, periods, discounting, sign, notionals, rates, leg.gearings, leg.spreads
            )
        case OvernightLeg():
            amounts = tuple(amount for amount, _ in notionals)
            resetting = msgspec.structs.replace(leg, notionals=amounts, fx_reset=None)
            add_overnight(parts, market, resetting, periods, discounting, sign, [uses for _, uses in notionals])
        case _:
            raise CellError(FailureReason.UNSUPPORTED, "an inflation leg with an FX reset is not supported")
    if leg.fx_reset is None:
        add_exchanges(parts, market, leg, periods, discounting, sign)
    else:
        _add_reset_exchanges(parts, market, leg, periods, discounting, sign, notionals)
    return int(periods.pays[-1])


# ---- coupons --------------------------------------------------------------------------------------------------------


def payment_groups(leg: FixedLeg | FloatingLeg, period_count: int) -> list[range]:
    """Accrual periods of each payment."""
    size = leg.periods_per_payment or period_count
    if leg.schedule.rule == "backward":
        ends = range(period_count, 0, -size)
        return [range(max(end - size, 0), end) for end in ends][::-1]
    return [range(begin, min(begin + size, period_count)) for begin in range(0, period_count, size)]


def _add_coupons(
    parts: RowParts,
    market: TileMarket,
    leg: FixedLeg | FloatingLeg,
    periods: Periods,
    discounting: Discounting,
    sign: float,
    notionals: list[Notional],
    rates: list[Rate],
    gearings: tuple[float, ...],
    spreads: tuple[float, ...],
) -> None:
    accruals, pays = periods.accruals.tolist(), periods.pays.tolist()
    for group in payment_groups(leg, len(pays)):
        pay = pays[group[-1]]
        if pay <= market.as_of_day:
            continue
        amount, resets = notionals[group[0]]
        paid = (*resets, *discounting.at(pay))
        if len(group) == 1 or leg.compounding == "none":
            for i in group:
                gearing, spread = at_period(gearings, i), at_period(spreads, i)
                amount, resets = notionals[i]
                paid = (*resets, *discounting.at(pay))
                _pay_simple(parts, sign * amount * accruals[i], gearing, spread, rates[i], paid)
            continue
        links = []
        for i in group:
            gearing, spread = at_period(gearings, i), at_period(spreads, i)
            links.append(_link(leg.compounding, accruals[i], gearing, spread, rates[i]))
            if leg.compounding == "spread_exclusive":
                parts.pay(sign * amount * accruals[i] * spread, paid)
        parts.chains.append(ChainItem(sign * amount, paid, tuple(links)))


def _pay_simple(parts: RowParts, scale: float, gearing: float, spread: float, rate: Rate, paid: Uses) -> None:
    parts.pay(scale * (gearing * rate.constant + spread), paid)
    for weight, growth in rate.growths:
        parts.pay(scale * gearing * weight, (*growth, *paid))


def _link(method: str, accrual: float, gearing: float, spread: float, rate: Rate) -> Link:
    if len(rate.growths) > 1:
        raise CellError(FailureReason.UNSUPPORTED, "a compounded stub between two indices is not supported")
    weight, growth = rate.growths[0] if rate.growths else (0.0, ())
    slope, plain = accrual * gearing * weight, accrual * gearing * rate.constant
    on_interest = plain + (accrual * spread if method == "straight" else 0.0)
    on_notional = plain + (accrual * spread if method != "spread_exclusive" else 0.0)
    return Link(1.0 + on_interest, slope, on_notional, slope, growth)


def _floating_rates(leg: FloatingLeg, market: TileMarket, periods: Periods) -> list[Rate]:
    """Index rate of each period; one whose payment is past is 0."""
    index = market.index(leg.index)
    of_index = index_periods(leg, index, periods)
    last = len(periods.pays) - 1
    is_past = _is_paid(leg, market, periods)
    rates = []
    for i in range(last + 1):
        stub = leg.front_stub if i == 0 else None
        stub = leg.back_stub if i == last and leg.back_stub is not None else stub
        if is_past[i]:
            rates.append(Rate(0.0))
        elif stub is not None:
            rates.append(_stub_rate(stub, leg, market, int(periods.begins[i]), int(periods.ends[i])))
        else:
            rates.append(_index_rate(market, index, of_index, i))
    return rates


def _is_paid(leg: FloatingLeg, market: TileMarket, periods: Periods) -> list[bool]:
    """For each accrual period, whether the payment it belongs to is past."""
    groups = payment_groups(leg, len(periods.pays))
    return [bool(periods.pays[group[-1]] <= market.as_of_day) for group in groups for _ in group]


def _index_rate(market: TileMarket, index: RateIndex, of_index: IndexPeriods, i: int) -> Rate:
    fixing = published_fixing(market, index.name, of_index.fixings[i])
    if fixing is not None:
        return Rate(fixing)
    begin = market.discount(index.curve, of_index.values[i])
    end = market.discount(index.curve, of_index.maturities[i])
    scale = 1.0 / of_index.accruals[i]
    return Rate(-scale, ((scale, (begin, end + 1)),))


def _stub_rate(stub: StubRate, leg: FloatingLeg, market: TileMarket, begin: int, end: int) -> Rate:
    if stub.rate is not None:
        return Rate(stub.rate)
    rates, ends = [], []
    for name in stub.indices:
        index = market.index(name)
        lead_days = index.settlement_days if leg.fixing_days is None else leg.fixing_days
        deposit = deposits_of(index, calendar(index.calendar).advance(np.array([begin]), -lead_days))
        rates.append(_index_rate(market, index, deposit, 0))
        ends.append(deposit.maturities[0])
    if len(rates) == 1:
        return rates[0]
    if ends[0] == ends[1]:
        raise CellError(FailureReason.BAD_TRADE, f"a stub between two indices needs two tenors, got {stub.indices}")
    weight = (ends[1] - end) / (ends[1] - ends[0])
    shares = ((weight, rates[0]), (1.0 - weight, rates[1]))
    growths = tuple((share * scale, growth) for share, rate in shares for scale, growth in rate.growths)
    return Rate(sum(share * rate.constant for share, rate in shares), growths)


# ---- notionals ------------------------------------------------------------------------------------------------------


def _notionals(leg: Leg, market: TileMarket, periods: Periods) -> list[Notional]:
    count = len(periods.pays)
    if leg.fx_reset is None:
        return [(amount, ()) for amount in per_period(leg.notionals, count)]
    resets = _reset_notionals(leg.fx_reset, leg.currency, market, periods)
    return resets if leg.fx_reset.resets_first else [(leg.notionals[0], ()), *resets]


def _reset_notionals(reset: FxReset, currency: str, market: TileMarket, periods: Periods) -> list[Notional]:
    """Notional by its fixing of each period that resets; of a period whose payment is past, 0."""
    index = market.fx_index(reset.index)
    if {index.foreign_currency, index.domestic_currency} != {currency, reset.foreign_currency}:
        sentence = f"FX index {index.name} must link {currency} and {reset.foreign_currency}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    days_of = calendar(index.calendar)
    first = 0 if reset.resets_first else 1
    fixings = days_of.advance(periods.begins[first:], -reset.fixing_days)
    values = days_of.advance(fixings, index.spot_days).tolist()
    quote_days = index.spot_days if index.quote_days is None else index.quote_days
    spot_day = market.as_of_day
    if quote_days:
        spot_day = int(days_of.advance(np.array([spot_day]), quote_days)[0])
    foreign = market.discounts(market.layout.discount_curve(reset.foreign_currency))
    domestic = market.discounts(market.layout.discount_curve(currency))
    spot = (*market.fx(reset.foreign_currency), *(use ^ 1 for use in market.fx(currency)))
    notionals: list[Notional] = []
    for fixing_day, value, pay in zip(fixings.tolist(), values, periods.pays[first:].tolist(), strict=True):
        if pay <= market.as_of_day:
            notionals.append((0.0, ()))
            continue
        fixing = published_fixing(market, index.name, fixing_day)
        if fixing is not None:
            is_direct = index.foreign_currency == reset.foreign_currency
            notionals.append((reset.foreign_amount * (fixing if is_direct else 1.0 / fixing), ()))
            continue
        moved = (foreign[value], foreign[spot_day] ^ 1, domestic[value] ^ 1, domestic[spot_day])
        notionals.append((reset.foreign_amount, (*spot, *moved)))
    return notionals


def _add_reset_exchanges(
    parts: RowParts,
    market: TileMarket,
    leg: Leg,
    periods: Periods,
    discounting: Discounting,
    sign: float,
    notionals: list[Notional],
) -> None:
    pays = periods.pays.tolist()
    if leg.initial_exchange:
        days_of = calendar(leg.payment_calendar or leg.schedule.calendar)
        start = int(days_of.adjust(periods.begins[:1], leg.payment_convention)[0])
        if start > market.as_of_day:
            amount, resets = notionals[0]
            parts.pay(-sign * amount, (*resets, *discounting.at(start)))
    if not leg.final_exchange:
        return
    for i, pay in enumerate(pays):
        if pay <= market.as_of_day:
            continue
        amount, resets = notionals[i]
        parts.pay(sign * amount, (*resets, *discounting.at(pay)))
        if i + 1 < len(pays):
            amount, resets = notionals[i + 1]
            parts.pay(-sign * amount, (*resets, *discounting.at(pay)))
