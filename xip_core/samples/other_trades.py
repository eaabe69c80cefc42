"""Generated trades of every asset class but rates: FX, equity, credit, commodity, bonds."""

from __future__ import annotations

import datetime as dt

from xip_core.model.dates import shift_date
from xip_core.model.trade import (
    Bond,
    Cds,
    CommodityForward,
    CommodityOption,
    EquityForward,
    EquityOption,
    FixedLeg,
    FloatingLeg,
    FxForward,
    FxOption,
    Schedule,
    Trade,
)
from xip_core.samples.draws import AS_OF, Draw, eur_forward, par_rate, years_to

_EQUITIES = (("SP5", "USD", 2147.56, 775.0), ("Lufthansa", "EUR", 12.75, 20_000.0))
"""Name, currency, spot, usual quantity."""

_COMMODITIES = (("COMDTY_GOLD_USD", 1158.0, 0.005, 1000.0), ("COMDTY_WTI_USD", 36.0, 0.06, 50_000.0))
"""Name, near forward price, its growth a year, usual quantity."""

_CREDIT_CURVES = (("BANK", "USD"), ("BANK", "USD"), ("CPTY_A", "USD"), ("CPTY_A", "EUR"))

_BOND_ISSUERS = (("CPTY_A", "CPTY_A", 0.009), ("CPTY_A", "CPTY_A", 0.012), ("CPTY_C", "CPTY_C", 0.002))
"""Issuer, its hazard curve, spread of its coupons."""


def fx_forward(trade_id: str, draw: Draw) -> Trade:
    """Mostly against EUR, some crosses."""
    currency = draw.choice(("USD", "USD", "USD", "GBP", "CHF", "JPY"))
    other = "USD" if currency != "USD" and draw.chance(0.2) else "EUR"
    value_date = draw.day_in(0, 36, "TARGET,US")
    amount = draw.notional()
    years = years_to(value_date)
    cross = eur_forward(currency, years) / eur_forward(other, years)
    counter = round(amount * cross * draw.uniform(0.92, 1.08), 2)
    sides = ((other, amount), (currency, counter))
    bought, sold = sides if draw.chance(0.5) else sides[::-1]
    return FxForward(
        id=trade_id,
        value_date=value_date,
        bought_currency=bought[0],
        bought_amount=bought[1],
        sold_currency=sold[0],
        sold_amount=sold[1],
    )


def fx_option(trade_id: str, draw: Draw) -> Trade:
    """Call or put on EUR."""
    currency = draw.choice(("USD", "USD", "USD", "GBP", "CHF", "JPY"))
    expiry = draw.day_in(1, 60, "TARGET,US")
    amount = draw.notional()
    strike = eur_forward(currency, years_to(expiry)) * draw.uniform(0.88, 1.12)
    return FxOption(
        id=trade_id,
        expiry=expiry,
        option_type=draw.choice(("call", "put")),
        position=draw.choice(("long", "short")),
        bought_currency="EUR",
        bought_amount=amount,
        sold_currency=currency,
        sold_amount=round(amount * strike, 2),
    )


def equity_forward(trade_id: str, draw: Draw) -> Trade:
    name, currency, spot, quantity = draw.choice(_EQUITIES)
    return EquityForward(
        id=trade_id,
        name=name,
        currency=currency,
        maturity=draw.day_in(1, 36, "TARGET,US"),
        strike=round(spot * draw.uniform(0.85, 1.15), 2),
        quantity=quantity * draw.whole(1, 20),
        position=draw.choice(("long", "short")),
    )


def equity_option(trade_id: str, draw: Draw) -> Trade:
    name, currency, spot, quantity = draw.choice(_EQUITIES)
    return EquityOption(
        id=trade_id,
        name=name,
        currency=currency,
        expiry=draw.day_in(1, 36, "TARGET,US"),
        option_type=draw.choice(("call", "put")),
        position=draw.choice(("long", "short")),
        strike=round(spot * draw.uniform(0.75, 1.25), 2),
        quantity=quantity * draw.whole(1, 20),
    )


def commodity_forward(trade_id: str, draw: Draw) -> Trade:
    name, strike, quantity, maturity = _commodity_terms(draw, 0.12)
    return CommodityForward(
        id=trade_id,
        name=name,
        currency="USD",
        maturity=maturity,
        strike=strike,
        quantity=quantity,
        position=draw.choice(("long", "short")),
    )


def commodity_option(trade_id: str, draw: Draw) -> Trade:
    name, strike, quantity, expiry = _commodity_terms(draw, 0.2)
    return CommodityOption(
        id=trade_id,
        name=name,
        currency="USD",
        expiry=expiry,
        option_type=draw.choice(("call", "put")),
        position=draw.choice(("long", "short")),
        strike=strike,
        quantity=quantity,
    )


def _commodity_terms(draw: Draw, scatter: float) -> tuple[str, float, float, dt.date]:
    name, near, growth, quantity = draw.choice(_COMMODITIES)
    maturity = draw.day_in(2, 48, "US")
    strike = near * (1.0 + growth * years_to(maturity)) * draw.uniform(1.0 - scatter, 1.0 + scatter)
    return name, round(strike, 2), quantity * draw.whole(1, 20), maturity


def credit_default_swap(trade_id: str, draw: Draw) -> Trade:
    """Standard dates and coupons; a share was entered up to two years ago."""
    curve, currency = draw.choice(_CREDIT_CURVES)
    start = draw.day_in(-24, -1, "US") if draw.chance(0.5) else AS_OF
    end = dt.date(2016 + draw.choice((1, 2, 3, 4, 5, 5, 5, 7, 10)), draw.choice((6, 12)), 20)
    leg = FixedLeg(
        payer=draw.chance(0.5),
        currency=currency,
        notionals=(draw.notional(),),
        day_count="A360",
        schedule=Schedule(start=start, end=end, tenor="3M", calendar="US", convention="following", rule="cds2015"),
        rates=(draw.choice((0.01, 0.01, 0.01, 0.05)),),
    )
    return Cds(id=trade_id, leg=leg, credit_curve=curve, issuer=curve)


def fixed_bond(trade_id: str, draw: Draw) -> Trade:
    """Annual coupons, issued up to six years ago."""
    issuer, credit_curve, spread = draw.choice(_BOND_ISSUERS)
    issued, end = _bond_dates(draw, (3, 4, 5, 6, 7, 8, 10, 12, 15))
    leg = FixedLeg(
        payer=draw.chance(0.15),
        currency="EUR",
        notionals=(draw.notional(),),
        day_count="ACT/ACT ICMA",
        schedule=Schedule(start=issued, end=end, tenor="1Y", calendar="TARGET", convention="following"),
        rates=(round(par_rate("EUR", years_to(end)) + spread + draw.uniform(0.0, 0.02), 4),),
    )
    return _bond(trade_id, leg, issued, issuer, credit_curve)


def floating_bond(trade_id: str, draw: Draw) -> Trade:
    """EURIBOR and a spread; some are floored at zero."""
    issuer, credit_curve, spread = draw.choice(_BOND_ISSUERS)
    issued, end = _bond_dates(draw, (3, 4, 5, 7, 10))
    tenor = draw.choice(("3M", "6M"))
    leg = FloatingLeg(
        payer=draw.chance(0.15),
        currency="EUR",
        notionals=(draw.notional(),),
        day_count="A360",
        schedule=Schedule(start=issued, end=end, tenor=tenor, calendar="TARGET"),
        index=f"EUR-EURIBOR-{tenor}",
        spreads=(round(spread + draw.uniform(0.0, 0.006), 4),),
        floors=(0.0,) if tenor == "6M" and draw.chance(0.3) else (),
    )
    return _bond(trade_id, leg, issued, issuer, credit_curve)


def _bond_dates(draw: Draw, years: tuple[int, ...]) -> tuple[dt.date, dt.date]:
    issued = draw.day_in(-72, -1, "TARGET")
    running = tuple(count for count in years if shift_date(issued, f"{count}Y") > shift_date(AS_OF, "6M"))
    return issued, shift_date(issued, f"{draw.choice(running)}Y")


def _bond(trade_id: str, leg: FixedLeg | FloatingLeg, issued: dt.date, issuer: str, credit_curve: str) -> Bond:
    return Bond(
        id=trade_id,
        leg=leg,
        issue_date=issued,
        settlement_days=2,
        calendar="TARGET",
        reference_curve="BENCHMARK_EUR",
        credit_curve=credit_curve,
        issuer=issuer,
    )
