"""Credit default swaps under the ISDA standard model to rows.

Premium payments are terms, default is steps (`pricing.isda`): of each, per unit of notional, the protection buyer
receives 1 - R and pays the premium accrued. On a contract whose cash settlement lies ahead the seller gives back what
had accrued up to step-in; an upfront fee is paid on the same day.
"""

from __future__ import annotations

import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.dates import day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import IsdaModel
from xip_core.model.trade import Cds
from xip_core.pricing.isda import accrued_days, cash_settlement_day, isda_legs
from xip_core.pricing.program import RowParts
from xip_core.pricing.program_defaults import DefaultItem
from xip_core.pricing.resolve_legs import Discounting, Periods, at_period, discounting_of
from xip_core.pricing.tile_market import TileMarket


def resolve_isda_cds(
    trade: Cds, periods: Periods, isda: IsdaModel, recovery_rate: float, market: TileMarket
) -> RowParts:
    """Protection against premium; bought where the premium leg is paid."""
    if not trade.pays_at_default:
        raise CellError(FailureReason.UNSUPPORTED, "protection of the ISDA standard model is paid at default")
    leg = trade.leg
    parts = RowParts(currency=leg.currency)
    discounting = discounting_of(market, leg.currency)
    survivals = market.survivals(trade.credit_curve)
    boundaries = [int(periods.begins[0]), *periods.ends.tolist()]
    protection_day = day_number(trade.protection_start) if trade.protection_start else boundaries[0]
    layout = market.layout
    nodes = {*layout.discount_nodes(discounting.curve), *layout.survival_nodes(trade.credit_curve)}
    legs = isda_legs(
        boundaries,
        periods.pays.tolist(),
        leg.day_count,
        market.as_of_day,
        protection_day,
        sorted(nodes),
        isda.accrual_on_default,
    )
    buyer = 1.0 if leg.payer else -1.0
    premiums = [at_period(leg.notionals, i) * at_period(leg.rates, i) for i in range(len(boundaries) - 1)]
    for coupon in legs.coupons:
        exponent = (*discounting.at(coupon.pay_day), survivals[coupon.survival_day])
        parts.pay(-buyer * premiums[coupon.period] * coupon.accrual, exponent)
    for step in legs.steps:
        loss = (1.0 - recovery_rate) * at_period(leg.notionals, step.period)
        premium = premiums[step.period] if trade.settles_accrual else 0.0
        begin = (discounting.discounts[step.begin_day], survivals[step.begin_day])
        end = (discounting.discounts[step.end_day], survivals[step.end_day])
        amount, growth = loss - premium * step.elapsed, -premium * step.growth
        parts.defaults.append(DefaultItem(begin, end, buyer * amount, buyer * growth))
    _add_settlement(parts, market, trade, discounting, boundaries, protection_day)
    return parts


def _add_settlement(
    parts: RowParts,
    market: TileMarket,
    trade: Cds,
    discounting: Discounting,
    boundaries: list[int],
    protection_day: int,
) -> None:
    """Upfront fee, and on a standard contract the rebate of what accrued up to step-in, where not settled yet."""
    leg = trade.leg
    buyer = 1.0 if leg.payer else -1.0
    day = day_number(trade.upfront_date) if trade.upfront_date else cash_settlement_day(protection_day)
    if day <= market.as_of_day:
        return
    if trade.upfront_fee:
        parts.pay(-buyer * trade.upfront_fee * leg.notionals[0], discounting.at(day))
    if leg.schedule.rule == "cds2015":
        begin, end = accrued_days(boundaries, protection_day)
        accrued = float(year_fractions(leg.day_count, np.array([begin]), np.array([end]))[0])
        parts.pay(buyer * leg.rates[0] * accrued * leg.notionals[0], discounting.at(day))
