"""Clients of a small bank, drawn, for a first suitability run: `xipctl suitability sample:clients --local`.

44 instruments that a private client holds by the unit (bonds of 1,000, trackers of equities and commodities, foreign
cash, options) on the market of the cross-asset sample, 250 ten-day market scenarios, a stress pack of eight, and 300
clients. Everything follows from the seed; bonds borrow the terms of the cross-asset sample's. Profiles are the example
table: they say themselves that they are to be replaced.

Trackers and foreign cash are forwards of some months on one unit for next to nothing: worth the underlying, discounted.
Issuers, sectors and classes of knowledge are made up.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from xip_core import samples
from xip_core.model.clients import ClientTable, encode_clients, joined_ids
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, encode_scenarios
from xip_core.model.suitability import InstrumentTerms, encode_instruments
from xip_core.model.trade import (
    Bond,
    CommodityForward,
    EquityForward,
    EquityOption,
    FxForward,
    Trade,
    decode_trade,
    encode_trade,
)
from xip_core.samples.draws import Draw

NAME = "clients"
CLIENT_COUNT = 300
SCENARIO_COUNT = 250
SPAN_DAYS = 10.0
STRESS = "stress *"

BOND_COUNT = 24
BOND_NOTIONAL = 1000.0
SECTORS = ("bank", "industry", "energy")

_DEAR = (BOND_COUNT, BOND_COUNT + 2)
"""The tracker of an index and the gold fund are worth a thousand and more."""

_FIRST_CLIENT_NUMBER = 3_000_000
_FIRST_SCENARIO_NUMBER = 4_000_000
"""Streams far from those of trades and stresses."""


class ClientSample(NamedTuple):
    """Blobs of a suitability run, and what goes with them."""

    book: bytes
    market: bytes
    scenarios: bytes
    instruments: bytes
    clients: bytes
    profiles: bytes
    stress: str
    span_days: float


def load_clients() -> ClientSample:
    """The sample; the same bytes on every machine."""
    base = samples.load("cross-asset")
    held = list(_instruments(base.book))
    profiles = (Path(__file__).parent / "suitability" / "profiles.json").read_bytes()
    return ClientSample(
        book=b"\n".join(encode_trade(trade) for trade, _ in held) + b"\n",
        market=base.market,
        scenarios=encode_scenarios(_scenarios()),
        instruments=encode_instruments(tuple(terms for _, terms in held)),
        clients=encode_clients(_clients(len(held))),
        profiles=profiles,
        stress=STRESS,
        span_days=SPAN_DAYS,
    )


def _instruments(book: bytes) -> Iterator[tuple[Trade, InstrumentTerms]]:
    yield from _bonds(book)
    soon = dt.date(2016, 8, 5)
    for name, currency, sector in (("SP5", "USD", ""), ("Lufthansa", "EUR", "industry")):
        tracker = EquityForward(
            id=f"TRACKER_{name}",
            name=name,
            currency=currency,
            maturity=soon,
            strike=0.01,
            quantity=1.0,
            position="long",
        )
        issuer = "" if name == "SP5" else name
        yield (
            tracker,
            InstrumentTerms(id=tracker.id, issuer=issuer, sector=sector, currency=currency, knowledge_class=1),
        )
    for name in ("COMDTY_GOLD_USD", "COMDTY_WTI_USD"):
        fund = CommodityForward(
            id=f"FUND_{name}", name=name, currency="USD", maturity=soon, strike=0.01, quantity=1.0, position="long"
        )
        yield (
            fund,
            InstrumentTerms(
                id=fund.id, issuer="a fund", sector="commodities", currency="USD", is_illiquid=True, knowledge_class=2
            ),
        )
    for currency, amount in (("USD", 100.0), ("GBP", 100.0), ("CHF", 100.0), ("JPY", 10_000.0)):
        cash = FxForward(
            id=f"CASH_{currency}", value_date=dt.date(2016, 3, 7), bought_currency=currency, bought_amount=amount,
            sold_currency="EUR", sold_amount=0.01,
        )  # fmt: skip
        yield cash, InstrumentTerms(id=cash.id, currency=currency)
    yield from _options()


def _bonds(book: bytes) -> Iterator[tuple[Trade, InstrumentTerms]]:
    """The first bonds bought of the cross-asset sample with one notional, in units of 1,000; half of them a state's."""
    found = 0
    for line in book.splitlines():
        trade = decode_trade(line)
        if found == BOND_COUNT:
            return
        if not isinstance(trade, Bond) or trade.leg.payer or len(trade.leg.notionals) != 1:
            continue
        leg = msgspec.structs.replace(trade.leg, notionals=(BOND_NOTIONAL,))
        bond = msgspec.structs.replace(trade, id=f"BOND_{found + 1:02}", leg=leg, book="", counterparty="")
        yield (
            bond,
            InstrumentTerms(
                id=bond.id,
                issuer="" if found % 2 == 0 else f"issuer {found % 11}",
                sector="" if found % 2 == 0 else SECTORS[found % 3],
                currency=bond.leg.currency,
                is_illiquid=found % 8 == 7,
                knowledge_class=found % 2,
                maturity=bond.leg.schedule.end,
            ),
        )
        found += 1


def _options() -> Iterator[tuple[Trade, InstrumentTerms]]:
    """Calls and puts on both equities over one, two, four years; committed is the underlying."""
    for name, currency, spot in (("SP5", "USD", 1880.0), ("Lufthansa", "EUR", 13.0)):
        for years in (1, 2, 4):
            for is_call in (True, False):
                expiry = dt.date(2016 + years, 2, 6)
                option = EquityOption(
                    id=f"{'CALL' if is_call else 'PUT'}_{name}_{years}Y", name=name, currency=currency, expiry=expiry,
                    option_type="call" if is_call else "put", position="long", strike=spot, quantity=1.0,
                )  # fmt: skip
                yield (
                    option,
                    InstrumentTerms(
                        id=option.id,
                        issuer="" if name == "SP5" else name,
                        sector="" if name == "SP5" else "industry",
                        currency=currency,
                        knowledge_class=3,
                        maturity=expiry,
                        exposure=(spot if is_call else -spot) * (0.88 if currency == "USD" else 1.0),
                    ),
                )


def _scenarios() -> ScenarioSet:
    drawn = [_market_scenario(number) for number in range(1, SCENARIO_COUNT + 1)]
    return ScenarioSet(scenarios=(Scenario(name="base"), *drawn, *_stress_pack()))


def _market_scenario(number: int) -> Scenario:
    """Ten days: rates by some basis points, spots by some percent, together through one common move."""
    draw = Draw(_FIRST_SCENARIO_NUMBER + number)
    common = _bell(draw)

    def percent(size: float, share: float) -> float:
        return round(size * (share * common + math.sqrt(1.0 - share * share) * _bell(draw)) / 100.0, 5)

    shifts = [
        Shift(target="currency", name=currency, shift_bps=round(8.0 * (0.4 * common + 0.9 * _bell(draw)), 1))
        for currency in ("EUR", "USD", "GBP", "CHF", "JPY")
    ]
    shifts += [
        Shift(target="fx", name=pair, shift_relative=percent(1.8, -0.3))
        for pair in ("EURUSD", "EURGBP", "EURCHF", "EURJPY")
    ]
    shifts += [
        Shift(target="equity", name="SP5", shift_relative=percent(3.2, 0.8)),
        Shift(target="equity", name="Lufthansa", shift_relative=percent(5.5, 0.6)),
        Shift(target="commodity", name="*GOLD*", shift_relative=percent(3.0, -0.2)),
        Shift(target="commodity", name="*WTI*", shift_relative=percent(6.5, 0.4)),
        Shift(target="equity_volatility", name="*", shift_relative=percent(12.0, -0.7)),
    ]
    return Scenario(name=f"ten days {number:03}", shifts=tuple(shifts))


def _stress_pack() -> Iterator[Scenario]:
    for name, shifts in (
        ("equities -40 %", (Shift(target="equity", name="*", shift_relative=-0.40),)),
        ("equities +30 %", (Shift(target="equity", name="*", shift_relative=0.30),)),
        ("commodities -40 %", (Shift(target="commodity", name="*", shift_relative=-0.40),)),
        ("EUR rates +200 bp", (Shift(target="currency", name="EUR", shift_bps=200.0),)),
        ("EUR rates -50 bp", (Shift(target="currency", name="EUR", shift_bps=-50.0),)),
        ("dollar -20 %", (Shift(target="fx", name="EURUSD", shift_relative=0.25),)),
        ("dollar +20 %", (Shift(target="fx", name="EURUSD", shift_relative=-0.17),)),
        (
            "crisis",
            (
                Shift(target="equity", name="*", shift_relative=-0.45),
                Shift(target="commodity", name="*WTI*", shift_relative=-0.50),
                Shift(target="fx", name="EURUSD", shift_relative=-0.10),
                Shift(target="equity_volatility", name="*", shift_relative=0.60),
            ),
        ),
    ):
        yield Scenario(name=f"stress {name}", shifts=shifts)


def _clients(instrument_count: int) -> ClientTable:
    """Cautious clients hold bonds, bold ones trackers and options; some hold what does not suit them."""
    drawn = [_portfolio(Draw(_FIRST_CLIENT_NUMBER + number), instrument_count) for number in range(CLIENT_COUNT)]
    counts = [len(portfolio.held) for portfolio in drawn]
    return ClientTable(
        ids=joined_ids([f"C{number + 1:03}" for number in range(CLIENT_COUNT)]),
        profile=np.array([portfolio.profile for portfolio in drawn], np.uint8),
        knowledge=np.array([portfolio.knowledge for portfolio in drawn], np.uint8),
        horizon_years=np.array([portfolio.horizon_years for portfolio in drawn]),
        cash=np.array([portfolio.cash for portfolio in drawn]),
        net_worth=np.array([portfolio.net_worth for portfolio in drawn]),
        begin=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        instrument=np.array([at for portfolio in drawn for at, _ in portfolio.held], np.int32),
        quantity=np.array([units for portfolio in drawn for _, units in portfolio.held]),
    )


class _Portfolio(NamedTuple):
    profile: int
    knowledge: int
    horizon_years: float
    cash: float
    net_worth: float
    held: tuple[tuple[int, float], ...]


def _portfolio(draw: Draw, instrument_count: int) -> _Portfolio:
    profile = draw.whole(0, 2)
    held: dict[int, float] = {}
    for _ in range(draw.whole(8, 18)):
        if draw.chance((0.9, 0.7, 0.45)[profile]):
            held[draw.whole(0, BOND_COUNT - 1)] = float(draw.whole(2, 12))
        elif draw.chance((0.9, 0.85, 0.7)[profile]):
            number = BOND_COUNT + draw.whole(0, 7)
            held[number] = float(draw.whole(1, 3) if number in _DEAR else draw.whole(5, 40))
        else:
            held[draw.whole(BOND_COUNT + 8, instrument_count - 1)] = float(draw.whole(1, 8))
    return _Portfolio(
        profile=profile,
        knowledge=min(3, profile + draw.whole(1, 2)),
        horizon_years=float(draw.whole(2, 15)),
        cash=float(draw.whole(2, 30) * 1000),
        net_worth=float(draw.whole(0, 6) * 50_000),
        held=tuple(sorted(held.items())),
    )


def _bell(draw: Draw) -> float:
    """About a standard normal: twelve uniforms less six, so that no library's logarithm enters the sample."""
    total = 0.0
    for _ in range(12):
        total += draw.uniform(0.0, 1.0)
    return total - 6.0
