"""Swaps, FRAs, caps and floors, European swaptions to rows.

Optionlets are priced on the coupon's own forward and fixing date; a coupon gearing * L + spread capped at K is an
optionlet on L struck at (K - spread) / gearing. A swaption is an option on the swap rate F = floating leg / annuity
(spread included) under the annuity measure; a cash-settled one replaces the annuity, in the price but not in F, by that
of the par yield: sum of t_i (1 + F)^-(t_1 + .. + t_i), discounted from the swap's start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.trade import (
    CapFloor,
    CpiLeg,
    FixedLeg,
    FloatingLeg,
    Fra,
    Leg,
    OvernightLeg,
    Premium,
    Swap,
    Swaption,
    YearOnYearLeg,
)
from xip_core.pricing.layout import VolatilityRef
from xip_core.pricing.program import (
    KIND_NORMAL,
    KIND_RATIO,
    KIND_TOTAL_VARIANCE,
    CashCoupon,
    OptionItem,
    QuotientItem,
    RowParts,
    Term,
)
from xip_core.pricing.resolve_inflation import add_inflation_leg
from xip_core.pricing.resolve_legs import (
    Discounting,
    Periods,
    add_coupons,
    add_leg,
    at_period,
    deposits_of,
    discounting_of,
    index_periods,
    periods_of,
    published_fixing,
)
from xip_core.pricing.resolve_structured import add_structured_leg, is_structured
from xip_core.pricing.tile_market import TileMarket

NO_VOLATILITY = VolatilityRef((), is_total_variance=False, is_normal=True, time_years=0.0)
"""Of an option whose time is up: its value is the discounted payoff, whatever the model."""


def position_sign(position: str) -> float:
    """+1 for long, -1 for short."""
    return 1.0 if position == "long" else -1.0


def kind_of(volatility: VolatilityRef) -> int:
    """The bits of `option_kind` that describe a volatility."""
    return KIND_NORMAL * volatility.is_normal | KIND_TOTAL_VARIANCE * volatility.is_total_variance


def check_not_expired(last_day: int, market: TileMarket) -> None:
    """
    Raises:
        CellError: EXPIRED, the last payment or the expiry is not after the as-of date, so nothing is left to value.
    """
    if last_day <= market.as_of_day:
        sentence = f"expired on {date_of(last_day)}, the as-of date is {date_of(market.as_of_day)}"
        raise CellError(FailureReason.EXPIRED, sentence)


def add_premiums(parts: RowParts, market: TileMarket, premiums: tuple[Premium, ...], position: str) -> None:
    """Premiums still to be paid, by the holder of the option."""
    for premium in premiums:
        day = day_number(premium.pay_date)
        if day > market.as_of_day:
            paid = discounting_of(market, premium.currency).at(day)
            parts.pay(-position_sign(position) * premium.amount, paid)


def resolve_swap(trade: Swap, market: TileMarket) -> RowParts:
    """Every leg on the discount curve of its currency; PV in the currency of the first leg."""
    parts = RowParts(currency=trade.legs[0].currency)
    last_day = 0
    for leg in trade.legs:
        if isinstance(leg, FloatingLeg) and (leg.caps or leg.floors):
            raise CellError(FailureReason.UNSUPPORTED, "a swap leg with caps or floors is not supported")
        sign = -1.0 if leg.payer else 1.0
        discounting = discounting_of(market, leg.currency)
        if isinstance(leg, CpiLeg | YearOnYearLeg):
            last_paid = add_inflation_leg(parts, market, leg, discounting, sign)
        else:
            add = add_structured_leg if is_structured(leg) else add_leg
            last_paid = add(parts, market, leg, discounting, sign)
        last_day = max(last_day, last_paid)
    check_not_expired(last_day, market)
    return parts


def resolve_fra(trade: Fra, market: TileMarket) -> RowParts:
    """The forward of the index's own period from the start, settled there against the contract's period.

    The start is taken as agreed, the end moves to a business day of the index.
    """
    index = market.index(trade.index)
    if index.is_overnight:
        raise CellError(FailureReason.UNSUPPORTED, f"a FRA on the overnight index {index.name} is not supported")
    days_of = calendar(index.calendar)
    start, end = day_number(trade.start), int(days_of.adjust(np.array([day_number(trade.end)]), index.convention)[0])
    check_not_expired(start, market)
    parts = RowParts(currency=trade.currency)
    accrual = float(year_fractions(index.day_count, np.array([start]), np.array([end]))[0])
    fixing_day = int(days_of.advance(np.array([start]), -index.settlement_days)[0])
    notional = position_sign(trade.position) * trade.notional
    paid = discounting_of(market, trade.currency).at(start)
    fixing = published_fixing(market, trade.index, fixing_day)
    if fixing is not None:
        parts.pay(notional * (fixing - trade.strike) * accrual / (1.0 + fixing * accrual), paid)
        return parts
    deposit = deposits_of(index, np.array([fixing_day]))
    growth = (
        market.discount(index.curve, deposit.values[0]),
        market.discount(index.curve, deposit.maturities[0]) + 1,
    )
    parts.quotients.append(QuotientItem(notional, trade.strike, accrual, deposit.accruals[0], paid, growth))
    return parts


def resolve_cap_floor(trade: CapFloor, market: TileMarket) -> RowParts:
    """An optionlet per period still to be paid; of both, the cap is held and the floor written."""
    parts = RowParts(currency=trade.leg.currency)
    periods = periods_of(trade.leg)
    check_not_expired(int(periods.pays[-1]), market)
    discounting = discounting_of(market, trade.leg.currency)
    sign = position_sign(trade.position)
    if trade.caps:
        add_optionlets(parts, market, trade.leg, periods, discounting, trade.caps, True, sign)
    if trade.floors:
        floor_sign = -sign if trade.caps else sign
        add_optionlets(parts, market, trade.leg, periods, discounting, trade.floors, False, floor_sign)
    add_premiums(parts, market, trade.premiums, trade.position)
    return parts


def add_optionlets(
    parts: RowParts,
    market: TileMarket,
    leg: FloatingLeg,
    periods: Periods,
    discounting: Discounting,
    strikes: tuple[float, ...],
    is_cap: bool,
    sign: float,
) -> None:
    """Caplets or floorlets on the coupon rates of *leg*, times *sign*; where the fixing is published, its payoff."""
    index = market.index(leg.index)
    of_index = index_periods(leg, index, periods)
    pays, accruals = periods.pays.tolist(), periods.accruals.tolist()
    for i, pay in enumerate(pays):
        if pay <= market.as_of_day:
            continue
        gearing = at_period(leg.gearings, i)
        if gearing <= 0.0:
            raise CellError(FailureReason.UNSUPPORTED, f"caps and floors need a gearing > 0, got {gearing}")
        strike = (at_period(strikes, i) - at_period(leg.spreads, i)) / gearing
        amount = sign * at_period(leg.notionals, i) * accruals[i] * gearing
        paid = discounting.at(pay)
        fixing = published_fixing(market, leg.index, of_index.fixings[i])
        if fixing is not None:
            payoff = max(fixing - strike, 0.0) if is_cap else max(strike - fixing, 0.0)
            parts.pay(amount * payoff, paid)
            continue
        fixing_day = of_index.fixings[i]
        if fixing_day > market.as_of_day:
            volatility = market.layout.caplet_volatility(leg.index, date_of(fixing_day), strike)
        else:
            volatility = NO_VOLATILITY  # fixes today, not yet published: the payoff on the forward
        growth = (
            market.discount(index.curve, of_index.values[i]),
            market.discount(index.curve, of_index.maturities[i]) + 1,
        )
        scale = 1.0 / of_index.accruals[i]
        parts.options.append(
            OptionItem(
                amount=amount,
                strike=strike,
                time_years=market.time_years(fixing_day),
                is_call=is_cap,
                kind=kind_of(volatility),
                forward=[Term(scale, growth), Term(-scale)],
                discount=[Term(1.0, paid)],
                volatility=market.volatility(volatility),
                cubic=market.cubic(volatility),
            )
        )


def resolve_swaption(trade: Swaption, market: TileMarket) -> RowParts:
    """One option on the swap rate."""
    fixed, floating = legs_of(trade.legs)
    expiry = day_number(trade.expiry)
    check_not_expired(expiry, market)
    discounting = discounting_of(market, fixed.currency)
    parts = RowParts(currency=fixed.currency)
    add_premiums(parts, market, trade.premiums, trade.position)
    fixed_periods, floating_periods = periods_of(fixed), periods_of(floating)
    start, end = int(fixed_periods.begins[0]), int(fixed_periods.ends[-1])
    if start < expiry:
        sentence = f"the swap of a swaption must start at or after its expiry {trade.expiry}, got {date_of(start)}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    notional = fixed.notionals[0]
    floating_parts, annuity_parts = RowParts(), RowParts()
    add_coupons(floating_parts, market, floating, floating_periods, discounting, 1.0 / notional)
    _add_annuity(annuity_parts, fixed, fixed_periods, discounting)
    length_years = round((end - start) / 365.25 * 12.0) / 12.0
    smile = market.layout.swaption_smile(fixed.currency, trade.expiry, length_years)
    volatility = NO_VOLATILITY
    if smile is None:
        volatility = market.layout.swaption_volatility(fixed.currency, trade.expiry, length_years)
    is_cash = trade.settlement == "cash"
    parts.options.append(
        OptionItem(
            amount=position_sign(trade.position) * notional,
            strike=fixed.rates[0],
            time_years=market.time_years(expiry),
            is_call=fixed.payer,
            kind=kind_of(volatility) | KIND_RATIO,
            forward=floating_parts.all_terms(),
            discount=annuity_parts.all_terms(),
            volatility=market.smile(smile) if smile else market.volatility(volatility),
            smile=smile,
            cash=_cash_coupons(fixed_periods) if is_cash else None,
            cash_discount=discounting.at(start) if is_cash else (),
        )
    )
    return parts


def legs_of(legs: Sequence[Leg]) -> tuple[FixedLeg, FloatingLeg | OvernightLeg]:
    """The fixed and the floating leg, checked to form a plain swap."""
    fixed = [leg for leg in legs if isinstance(leg, FixedLeg)]
    floating = [leg for leg in legs if not isinstance(leg, FixedLeg)]
    if len(fixed) != 1 or len(floating) != 1:
        raise CellError(FailureReason.BAD_TRADE, "a swaption needs one fixed and one floating leg")
    if fixed[0].payer == floating[0].payer:
        raise CellError(FailureReason.BAD_TRADE, "one leg of a swaption must be paid and the other received")
    if fixed[0].currency != floating[0].currency:
        sentence = f"both legs of a swaption must have one currency, got {fixed[0].currency} and {floating[0].currency}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    if len(set(fixed[0].rates)) > 1 or len(set(fixed[0].notionals) | set(floating[0].notionals)) > 1:
        raise CellError(FailureReason.UNSUPPORTED, "a swaption with steps in rates or notionals is not supported")
    if not isinstance(floating[0], FloatingLeg | OvernightLeg):
        raise CellError(FailureReason.UNSUPPORTED, "a swaption on an inflation leg is not supported")
    if isinstance(floating[0], FloatingLeg) and (floating[0].caps or floating[0].floors):
        raise CellError(FailureReason.UNSUPPORTED, "a swaption leg with caps or floors is not supported")
    return fixed[0], floating[0]


def _add_annuity(parts: RowParts, fixed: FixedLeg, periods: Periods, discounting: Discounting) -> None:
    for pay, accrual in zip(periods.pays.tolist(), periods.accruals.tolist(), strict=True):
        parts.pay(accrual, discounting.at(pay))


def _cash_coupons(periods: Periods) -> list[CashCoupon]:
    times = np.cumsum(periods.accruals)
    return [CashCoupon(accrual, time) for accrual, time in zip(periods.accruals.tolist(), times.tolist(), strict=True)]
