"""Generated interest-rate trades: swaps of all kinds, FRAs, caps and floors, swaptions, with each market's conventions.

A share of the swaps is seasoned, entered up to four years ago: their current period fixed in the past and needs a
published fixing, which the snapshot has for EURIBOR, USD and GBP LIBOR and EONIA.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from xip_core.model.dates import shift_date
from xip_core.model.trade import (
    CapFloor,
    DayCount,
    FixedLeg,
    FloatingLeg,
    Fra,
    OvernightLeg,
    Schedule,
    Swap,
    Swaption,
    Trade,
)
from xip_core.samples.draws import AS_OF, Draw, business_day, eur_forward, par_rate, years_to

SEASONED_SHARE = 0.35


class RatesMarket(msgspec.Struct, frozen=True):
    """Conventions of the swaps of a currency."""

    currency: str
    calendar: str
    fixed_tenor: str
    fixed_day_count: DayCount
    floating_day_count: DayCount
    tenors: tuple[str, ...]
    """Of the term index, the usual one first."""
    index: str
    """Family of the term index."""
    has_fixings: bool = True


EUR = RatesMarket("EUR", "TARGET", "1Y", "30/360", "A360", ("6M", "6M", "3M"), "EUR-EURIBOR")
USD = RatesMarket("USD", "US,UK", "6M", "30/360", "A360", ("3M", "3M", "6M"), "USD-LIBOR")
GBP = RatesMarket("GBP", "UK", "6M", "A365F", "A365F", ("6M",), "GBP-LIBOR")
CHF = RatesMarket("CHF", "ZUB", "1Y", "30/360", "A360", ("6M",), "CHF-LIBOR", has_fixings=False)

_SWAP_MARKETS = (EUR, EUR, EUR, EUR, USD, USD, USD, GBP, CHF)
_SWAP_YEARS = (1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 12, 15, 20, 25, 30)


def vanilla_swap(trade_id: str, draw: Draw) -> Trade:
    """Fixed against a term index."""
    market = draw.choice(_SWAP_MARKETS)
    start, end = _swap_dates(draw, market, seasoned=market.has_fixings and draw.chance(SEASONED_SHARE))
    notional, payer = draw.notional(), draw.chance(0.5)
    rate = round(par_rate(market.currency, years_to(end)) + draw.uniform(-0.004, 0.006), 5)
    fixed = _fixed_leg(market, start, end, notional, rate, payer)
    return Swap(id=trade_id, legs=(fixed, _floating_leg(market, start, end, notional, not payer, draw)))


def amortising_swap(trade_id: str, draw: Draw) -> Trade:
    """Fixed against six months' EURIBOR, the notional falling in equal steps."""
    start, years = draw.day_in(1, 12, EUR.calendar), draw.choice((4, 5, 7, 10))
    end, first, payer = shift_date(start, f"{years}Y"), draw.notional(), draw.chance(0.5)
    rate = round(par_rate("EUR", years * 0.6) + draw.uniform(-0.003, 0.005), 5)
    annual = tuple(round(first * (1.0 - year / years), 2) for year in range(years))
    half_yearly = tuple(notional for notional in annual for _ in range(2))
    fixed = msgspec.structs.replace(_fixed_leg(EUR, start, end, first, rate, payer), notionals=annual)
    floating = _floating_leg(EUR, start, end, first, not payer, draw, tenor="6M")
    return Swap(id=trade_id, legs=(fixed, msgspec.structs.replace(floating, notionals=half_yearly)))


def overnight_swap(trade_id: str, draw: Draw) -> Trade:
    """Fixed against a compounded overnight index, one payment a year."""
    market = draw.choice((EUR, EUR, USD))
    seasoned = market is EUR and draw.chance(SEASONED_SHARE)
    start, end = _swap_dates(draw, market, seasoned)
    notional, payer = draw.notional(), draw.chance(0.5)
    rate = round(par_rate(market.currency, years_to(end)) - 0.002 + draw.uniform(-0.003, 0.004), 5)
    schedule = Schedule(start=start, end=end, tenor="1Y", calendar="TARGET" if market is EUR else "US")
    fixed = FixedLeg(
        payer=payer,
        currency=market.currency,
        notionals=(notional,),
        day_count="A360",
        schedule=schedule,
        payment_lag_days=1,
        rates=(rate,),
    )
    overnight = OvernightLeg(
        payer=not payer,
        currency=market.currency,
        notionals=(notional,),
        day_count="A360",
        schedule=schedule,
        payment_lag_days=1,
        index="EUR-EONIA" if market is EUR else "USD-FedFunds",
    )
    return Swap(id=trade_id, legs=(fixed, overnight))


def basis_swap(trade_id: str, draw: Draw) -> Trade:
    """Three against six months of one currency, the spread on the shorter leg."""
    market = draw.choice((EUR, EUR, USD))
    start, end = _swap_dates(draw, market, seasoned=draw.chance(SEASONED_SHARE))
    notional, payer = draw.notional(), draw.chance(0.5)
    short = _floating_leg(market, start, end, notional, payer, draw, tenor="3M")
    long = _floating_leg(market, start, end, notional, not payer, draw, tenor="6M")
    spread = round(draw.uniform(0.0004, 0.0018), 5)
    return Swap(id=trade_id, legs=(msgspec.structs.replace(short, spreads=(spread,)), long))


def cross_currency_swap(trade_id: str, draw: Draw) -> Trade:
    """EUR against another currency, floating or fixed, notionals exchanged at both ends at about the FX rate."""
    market = draw.choice((USD, USD, GBP))
    start, end = _swap_dates(draw, market, seasoned=draw.chance(SEASONED_SHARE), years=(2, 3, 4, 5, 7, 10))
    eur_notional, payer = draw.notional(), draw.chance(0.5)
    notional = round(eur_notional * eur_forward(market.currency, 0.0) * draw.uniform(0.92, 1.08), -2)
    if draw.chance(0.35):
        rate = round(par_rate(market.currency, years_to(end)) + draw.uniform(-0.003, 0.004), 5)
        eur_rate = round(par_rate("EUR", years_to(end)) + draw.uniform(-0.003, 0.004), 5)
        legs = (
            _fixed_leg(market, start, end, notional, rate, payer),
            _fixed_leg(EUR, start, end, eur_notional, eur_rate, not payer),
        )
        return Swap(id=trade_id, legs=tuple(_exchanging(leg) for leg in legs))
    floating = _floating_leg(market, start, end, notional, payer, draw)
    eur = _floating_leg(EUR, start, end, eur_notional, not payer, draw, tenor="3M")
    eur = msgspec.structs.replace(eur, spreads=(round(draw.uniform(-0.0045, 0.0005), 5),))
    return Swap(id=trade_id, legs=(_exchanging(floating), _exchanging(eur)))


def forward_rate_agreement(trade_id: str, draw: Draw) -> Trade:
    market = draw.choice((EUR, EUR, USD, GBP))
    tenor = draw.choice(market.tenors)
    start = draw.day_in(1, 24, market.calendar)
    end = business_day(shift_date(start, tenor), market.calendar)
    return Fra(
        id=trade_id,
        currency=market.currency,
        index=f"{market.index}-{tenor}",
        start=start,
        end=end,
        strike=round(par_rate(market.currency, years_to(end)) + draw.uniform(-0.003, 0.003), 5),
        notional=draw.notional(),
        position=draw.choice(("long", "short")),
    )


def cap_or_floor(trade_id: str, draw: Draw) -> Trade:
    """Cap, floor or collar on the index whose volatilities are quoted."""
    market, tenor = draw.choice(((EUR, "6M"), (EUR, "6M"), (USD, "3M")))
    start = draw.day_in(0, 9, market.calendar)
    end = shift_date(start, f"{draw.choice((2, 3, 4, 5, 7, 8, 10, 12, 15))}Y")
    leg = _floating_leg(market, start, end, draw.notional(), False, draw, tenor=tenor)
    level = par_rate(market.currency, years_to(end))
    cap = round(max(level + draw.uniform(0.0, 0.015), 0.0025), 4)
    floor = round(level - draw.uniform(0.0, 0.006), 4)
    kind = draw.choice(("cap", "cap", "floor", "floor", "collar"))
    return CapFloor(
        id=trade_id,
        leg=leg,
        position=draw.choice(("long", "short")),
        caps=(cap,) if kind != "floor" else (),
        floors=(floor,) if kind != "cap" else (),
    )


def european_swaption(trade_id: str, draw: Draw) -> Trade:
    """On a swap that starts at spot after the expiry; USD ones far enough out that lognormal rates stay positive."""
    market = draw.choice((EUR, EUR, USD))
    expiry = draw.day_in(6, 120, market.calendar) if market is EUR else draw.day_in(18, 120, market.calendar)
    years = draw.choice((2, 3, 5, 5, 7, 10, 10, 15, 20) if market is EUR else (5, 7, 10, 10, 15))
    start = business_day(expiry + dt.timedelta(days=2), market.calendar)
    end = shift_date(start, f"{years}Y")
    notional, payer = draw.notional(), draw.chance(0.5)
    forward = par_rate(market.currency, years_to(end)) + (0.004 if market is EUR else 0.005)
    rate = round(forward + draw.uniform(-0.005, 0.005), 4)
    fixed = _fixed_leg(market, start, end, notional, rate, payer)
    floating = _floating_leg(market, start, end, notional, not payer, draw, tenor=market.tenors[0])
    return Swaption(
        id=trade_id,
        legs=(fixed, floating),
        expiry=expiry,
        position=draw.choice(("long", "short")),
        settlement="physical",
    )


def _swap_dates(
    draw: Draw, market: RatesMarket, seasoned: bool, years: tuple[int, ...] = _SWAP_YEARS
) -> tuple[dt.date, dt.date]:
    """Start and end; a seasoned swap has run for one to 48 months and ends at least half a year from now."""
    if not seasoned:
        start = draw.day_in(1, 12, market.calendar)
        return start, shift_date(start, f"{draw.choice(years)}Y")
    start = draw.day_in(-48, -1, market.calendar)
    running = tuple(count for count in years if shift_date(start, f"{count}Y") > shift_date(AS_OF, "6M"))
    return start, shift_date(start, f"{draw.choice(running)}Y")


def _fixed_leg(
    market: RatesMarket, start: dt.date, end: dt.date, notional: float, rate: float, payer: bool
) -> FixedLeg:
    return FixedLeg(
        payer=payer,
        currency=market.currency,
        notionals=(notional,),
        day_count=market.fixed_day_count,
        schedule=Schedule(start=start, end=end, tenor=market.fixed_tenor, calendar=market.calendar),
        rates=(rate,),
    )


def _floating_leg(
    market: RatesMarket, start: dt.date, end: dt.date, notional: float, payer: bool, draw: Draw, tenor: str = ""
) -> FloatingLeg:
    tenor = tenor or draw.choice(market.tenors)
    return FloatingLeg(
        payer=payer,
        currency=market.currency,
        notionals=(notional,),
        day_count=market.floating_day_count,
        schedule=Schedule(start=start, end=end, tenor=tenor, calendar=market.calendar),
        index=f"{market.index}-{tenor}",
    )


def _exchanging(leg: FixedLeg | FloatingLeg) -> FixedLeg | FloatingLeg:
    return msgspec.structs.replace(leg, initial_exchange=True, final_exchange=True)
