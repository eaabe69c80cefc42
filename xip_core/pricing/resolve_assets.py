"""Forwards and options on FX, equities and commodities to rows.

An FX trade prices the bought currency in the sold one: the forward of the pair is the ratio of both currencies'
discounted values. Delta terms are those that move with the trade's own underlying: the bought currency, the share, the
commodity; the currency in which PV is converted stands still.
"""

from __future__ import annotations

import numpy as np

from xip_core.model.calendars import Calendar, calendar, is_calendar
from xip_core.model.dates import day_number
from xip_core.model.trade import CommodityForward, CommodityOption, EquityForward, EquityOption, FxForward, FxOption
from xip_core.pricing.layout import SmileRef, VolatilityRef
from xip_core.pricing.program import OptionItem, RowParts, Term, Uses
from xip_core.pricing.resolve_legs import discounting_of
from xip_core.pricing.resolve_rates import add_premiums, check_not_expired, kind_of, position_sign
from xip_core.pricing.tile_market import TileMarket


def resolve_fx_forward(trade: FxForward, market: TileMarket) -> RowParts:
    """Both amounts, discounted each on its own curve; a value date that is no business day of both rolls forward."""
    parts = RowParts(currency=trade.sold_currency)
    day = _value_day(trade)
    check_not_expired(day, market)
    bought = discounting_of(market, trade.bought_currency).at(day)
    sold = discounting_of(market, trade.sold_currency).at(day)
    parts.special.append(Term(trade.bought_amount, bought, delta_weight=1.0))
    parts.pay(-trade.sold_amount, sold)
    return parts


def _value_day(trade: FxForward) -> int:
    days = np.array([day_number(trade.value_date)])
    return int(_calendar_of_pair(trade.bought_currency, trade.sold_currency).adjust(days, "following")[0])


def _calendar_of_pair(*currencies: str) -> Calendar:
    """Open where both places are; of a currency whose calendar we do not have, only weekends are known."""
    known = [currency for currency in currencies if is_calendar(currency)]
    return calendar(",".join(known) or "WeekendsOnly")


def resolve_fx_option(trade: FxOption, market: TileMarket) -> RowParts:
    """Garman-Kohlhagen: an option on the bought currency, struck in the sold one."""
    expiry = day_number(trade.expiry)
    check_not_expired(expiry, market)
    bought = discounting_of(market, trade.bought_currency).at(expiry)
    sold = discounting_of(market, trade.sold_currency).at(expiry)
    parts = RowParts(currency=trade.sold_currency)
    smile = market.layout.smile("fx_volatility", trade.bought_currency + trade.sold_currency, trade.expiry)
    volatility = smile or market.layout.fx_volatility(trade.bought_currency, trade.sold_currency, trade.expiry)
    forward = Term(1.0, (*bought, *(use ^ 1 for use in sold)))
    strike = trade.sold_amount / trade.bought_amount
    _add_option(parts, market, trade, forward, sold, volatility, strike, trade.bought_amount)
    return parts


def resolve_equity_forward(trade: EquityForward, market: TileMarket) -> RowParts:
    """quantity * (forward - strike), discounted."""
    parts = RowParts(currency=trade.currency)
    day = day_number(trade.maturity)
    check_not_expired(day, market)
    quantity = position_sign(trade.position) * trade.quantity
    paid = discounting_of(market, trade.currency).at(day)
    parts.special.append(Term(quantity, (market.equity_forward(trade.name, day), *paid), delta_weight=1.0))
    parts.pay(-quantity * trade.strike, paid)
    return parts


def resolve_equity_option(trade: EquityOption, market: TileMarket) -> RowParts:
    """Black-Scholes with the forward of the equity curve."""
    expiry = day_number(trade.expiry)
    check_not_expired(expiry, market)
    parts = RowParts(currency=trade.currency)
    smile = market.layout.smile("equity_volatility", trade.name, trade.expiry)
    volatility = smile or market.layout.equity_volatility(trade.name, trade.expiry, trade.strike)
    forward = Term(1.0, (market.equity_forward(trade.name, expiry),))
    paid = discounting_of(market, trade.currency).at(expiry)
    _add_option(parts, market, trade, forward, paid, volatility, trade.strike, trade.quantity)
    return parts


def resolve_commodity_forward(trade: CommodityForward, market: TileMarket) -> RowParts:
    """quantity * (forward - strike), discounted; the forward is linear in the market."""
    parts = RowParts(currency=trade.currency)
    day = day_number(trade.maturity)
    check_not_expired(day, market)
    quantity = position_sign(trade.position) * trade.quantity
    paid = discounting_of(market, trade.currency).at(day)
    forward = (market.commodity_forward(trade.name, day),)
    parts.special.append(Term(quantity, paid, constant=0.0, linear=forward, delta_weight=1.0))
    parts.pay(-quantity * trade.strike, paid)
    return parts


def resolve_commodity_option(trade: CommodityOption, market: TileMarket) -> RowParts:
    """Black-76 on the forward for the expiry date."""
    expiry = day_number(trade.expiry)
    check_not_expired(expiry, market)
    parts = RowParts(currency=trade.currency)
    smile = market.layout.smile("commodity_volatility", trade.name, trade.expiry)
    volatility = smile or market.layout.commodity_volatility(trade.name, trade.expiry, trade.strike)
    forward = Term(1.0, constant=0.0, linear=(market.commodity_forward(trade.name, expiry),))
    paid = discounting_of(market, trade.currency).at(expiry)
    _add_option(parts, market, trade, forward, paid, volatility, trade.strike, trade.quantity)
    return parts


def _add_option(
    parts: RowParts,
    market: TileMarket,
    trade: FxOption | EquityOption | CommodityOption,
    forward: Term,
    paid: Uses,
    volatility: VolatilityRef | SmileRef,
    strike: float,
    quantity: float,
) -> None:
    add_premiums(parts, market, trade.premiums, trade.position)
    smile = volatility if isinstance(volatility, SmileRef) else None
    parts.options.append(
        OptionItem(
            amount=position_sign(trade.position) * quantity,
            strike=strike,
            time_years=market.time_years(day_number(trade.expiry)),
            is_call=trade.option_type == "call",
            kind=0 if isinstance(volatility, SmileRef) else kind_of(volatility),
            forward=[forward],
            discount=[Term(1.0, paid)],
            volatility=market.smile(volatility) if isinstance(volatility, SmileRef) else market.volatility(volatility),
            delta_weight=1.0,
            smile=smile,
        )
    )
