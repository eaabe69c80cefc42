"""Bermudan swaptions to rows.

The swap's coupons become payments of the model (`kernels.lgm`), each with its slope H; a par coupon on an index curve
is two of them, as in `resolve_legs`. The right of each date alone is the European swaption on what is left of the swap,
with the market's volatility for that expiry and length: the model is fitted to these, so it agrees with them exactly.

The mean reversion is the market's (`SwaptionVolatility.mean_reversion`). Dates that are past are left out.
"""

from __future__ import annotations

import math

import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.dates import DayNumbers, date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.trade import BermudanSwaption, FixedLeg, FloatingLeg, OvernightLeg
from xip_core.pricing.program import BermudanItem, Payment, RowParts, Uses
from xip_core.pricing.resolve_legs import Periods, at_period, discounting_of, index_periods, periods_of
from xip_core.pricing.resolve_rates import add_premiums, legs_of, position_sign, swap_option
from xip_core.pricing.resolve_structured import is_structured
from xip_core.pricing.tile_market import TileMarket


def resolve_bermudan_swaption(trade: BermudanSwaption, market: TileMarket) -> RowParts:
    """One right and a European option for each of its dates."""
    fixed, floating = legs_of(trade.legs)
    if is_structured(fixed) or is_structured(floating):
        raise CellError(FailureReason.UNSUPPORTED, "a Bermudan swaption with stubs, resets or compounding periods")
    expiries = [day_number(date) for date in trade.expiries if day_number(date) > market.as_of_day]
    if not expiries:
        sentence = f"expired on {trade.expiries[-1]}, the as-of date is {date_of(market.as_of_day)}"
        raise CellError(FailureReason.EXPIRED, sentence)
    parts = RowParts(currency=fixed.currency)
    add_premiums(parts, market, trade.premiums, trade.position)
    legs = (periods_of(fixed), periods_of(floating))
    for expiry in expiries:
        left = _left(legs[0], expiry), _left(legs[1], expiry)
        if not len(left[0].begins) or not len(left[1].begins):
            raise CellError(FailureReason.BAD_TRADE, f"no period of the swap starts at or after {date_of(expiry)}")
        parts.options.append(swap_option(market, fixed, floating, left, expiry, 0.0))
    slope = _Slope(market, fixed.currency)
    sign = -1.0 if fixed.payer else 1.0
    payments = _fixed_payments(fixed, legs[0], expiries, market, slope, sign)
    payments += _floating_payments(floating, legs[1], expiries, market, slope, -sign)
    parts.bermudan = BermudanItem(position_sign(trade.position) * fixed.notionals[0], payments)
    return parts


class _Slope:
    """H(t) = (1 - exp(-k t)) / k of the currency's mean reversion k."""

    def __init__(self, market: TileMarket, currency: str) -> None:
        self._market, self._reversion = market, market.layout.mean_reversion(currency)

    def at(self, day: int) -> float:
        years = self._market.time_years(day)
        return years if self._reversion == 0.0 else -math.expm1(-self._reversion * years) / self._reversion


def _left(periods: Periods, expiry: int) -> Periods:
    """The periods that begin on *expiry* or later."""
    kept = periods.begins >= expiry
    return Periods(periods.begins[kept], periods.ends[kept], periods.pays[kept], periods.accruals[kept])


def _counts(begins: DayNumbers, expiries: list[int]) -> list[int]:
    """Of how many dates' swaps each period is part."""
    counts: list[int] = np.searchsorted(np.array(expiries), begins, side="right").tolist()
    return counts


def _fixed_payments(
    leg: FixedLeg, periods: Periods, expiries: list[int], market: TileMarket, slope: _Slope, sign: float
) -> list[Payment]:
    discounting = discounting_of(market, leg.currency)
    counts = _counts(periods.begins, expiries)
    return [
        Payment(sign * leg.rates[0] * accrual, slope.at(pay), count, discounting.at(pay))
        for pay, accrual, count in zip(periods.pays.tolist(), periods.accruals.tolist(), counts, strict=True)
        if count
    ]


def _floating_payments(
    leg: FloatingLeg | OvernightLeg,
    periods: Periods,
    expiries: list[int],
    market: TileMarket,
    slope: _Slope,
    sign: float,
) -> list[Payment]:
    """sign * t (g (S(v) / S(m) - 1) / t' + s), paid at p: one payment on the growth, one on the rest."""
    index = market.index(leg.index)
    forecasts = market.discounts(index.curve)
    discounting = discounting_of(market, leg.currency)
    values, maturities, index_accruals = _index_spans(leg, periods, market)
    payments = []
    counts, pays, accruals = _counts(periods.begins, expiries), periods.pays.tolist(), periods.accruals.tolist()
    for i, (count, pay, accrual) in enumerate(zip(counts, pays, accruals, strict=True)):
        if not count:
            continue
        begin, end = values[i], maturities[i]
        scale = sign * accrual
        geared = scale * at_period(leg.gearings, i) / index_accruals[i]
        paid = discounting.at(pay)
        growth: Uses = (forecasts[begin], forecasts[end] + 1, *paid)
        payments.append(Payment(geared, slope.at(begin) - slope.at(end) + slope.at(pay), count, growth))
        payments.append(Payment(scale * at_period(leg.spreads, i) - geared, slope.at(pay), count, paid))
    return payments


def _index_spans(
    leg: FloatingLeg | OvernightLeg, periods: Periods, market: TileMarket
) -> tuple[list[int], list[int], list[float]]:
    """Begin, end and accrual of what each coupon's rate is observed over."""
    index = market.index(leg.index)
    if isinstance(leg, FloatingLeg):
        of_index = index_periods(leg, index, periods)
        return of_index.values, of_index.maturities, of_index.accruals
    if leg.averaged or leg.lookback_days:
        raise CellError(FailureReason.UNSUPPORTED, "a Bermudan swaption on averaged or earlier overnight fixings")
    accruals = year_fractions(index.day_count, periods.begins, periods.ends)
    return periods.begins.tolist(), periods.ends.tolist(), accruals.tolist()
