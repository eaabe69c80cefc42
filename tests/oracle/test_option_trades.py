"""Caps, swaptions and options as trades, drawn on flat markets, against QuantLib's instruments and engines."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.core.pricing.flat_market import AS_OF, FX_EURUSD, a_fixed_leg, a_floating_leg, a_schedule, a_snapshot
from xip_core.model.trade import CapFloor, CommodityOption, EquityOption, FxOption, Schedule, Swaption, Trade
from xip_core.pricing import calculate

MARKETS = 12
TRADES = 60
DAYS = ql.Actual365Fixed()


@pytest.fixture(autouse=True)
def as_of(the_evaluation_date_is_as_it_was: None) -> None:
    ql.Settings.instance().evaluationDate = date_of(AS_OF)


def date_of(day: dt.date) -> Any:
    return ql.Date(day.day, day.month, day.year)


class DrawnMarket:
    """Flat curves from -1 to 8 %, one normal and one lognormal volatility, drawn from *seed*; ours and QuantLib's."""

    def __init__(self, seed: int) -> None:
        self.random = random = np.random.default_rng(seed)
        rates = {name: float(random.uniform(-0.01, 0.08)) for name in ("EUR1D", "EUR3M", "USD1D")}
        others = {"normal": float(np.exp(random.uniform(np.log(1e-4), np.log(0.02))))}
        others |= {"lognormal": float(np.exp(random.uniform(np.log(0.01), np.log(1.0))))}
        others |= {"ACME dividend": float(random.uniform(-0.02, 0.06))}
        self.quotes = rates | others
        self.snapshot = a_snapshot(self.quotes)  # type: ignore[arg-type]  # a dict of floats is one of its union
        self.curves = {name: self.flat(rate) for name, rate in rates.items()}
        self.normal = ql.QuoteHandle(ql.SimpleQuote(others["normal"]))
        self.index = ql.IborIndex(
            "E", ql.Period(3, ql.Months), 2, ql.EURCurrency(), ql.TARGET(), ql.ModifiedFollowing, False,
            ql.Actual360(), self.curves["EUR3M"],
        )  # fmt: skip

    def flat(self, rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(date_of(AS_OF), rate, DAYS))

    def process(self, spot: float, carry: Any, rate: Any) -> Any:
        surface = ql.BlackConstantVol(date_of(AS_OF), ql.NullCalendar(), self.quotes["lognormal"], DAYS)
        handle = ql.BlackVolTermStructureHandle(surface)
        return ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), carry, rate, handle)

    def day(self, first: int, last: int) -> dt.date:
        """A TARGET business day some days ahead."""
        day = ql.TARGET().adjust(date_of(AS_OF) + int(self.random.integers(first, last)), ql.Following)
        return dt.date(day.year(), day.month(), day.dayOfMonth())

    def schedule(self, start: dt.date, years: int) -> tuple[Schedule, Any]:
        end = start.replace(year=start.year + years)
        theirs = ql.Schedule(
            date_of(start), date_of(end), ql.Period(3, ql.Months), ql.TARGET(), ql.ModifiedFollowing,
            ql.ModifiedFollowing, ql.DateGeneration.Forward, False,
        )  # fmt: skip
        return a_schedule(start=start, end=end, rule="forward"), theirs

    def start(self) -> dt.date:
        """The 15th of a month: adjusted by both alike, at either end."""
        month = AS_OF.month + int(self.random.integers(1, 60))
        return dt.date(AS_OF.year + month // 12, month % 12 + 1, 15)

    def cap_or_floor(self, id: str) -> tuple[Trade, float]:
        ours, theirs = self.schedule(self.start(), int(self.random.integers(1, 12)))
        strike, is_cap = float(self.random.normal(self.quotes["EUR3M"], 0.02)), bool(self.random.integers(0, 2))
        leg = a_floating_leg(schedule=ours)
        trade = CapFloor(id=id, leg=leg, position="long", **{"caps" if is_cap else "floors": (strike,)})
        flows = ql.IborLeg([1e6], theirs, self.index)
        option = (ql.Cap if is_cap else ql.Floor)(flows, [strike])
        option.setPricingEngine(ql.BachelierCapFloorEngine(self.curves["EUR1D"], self.normal))
        return trade, option.NPV()

    def swaption(self, id: str) -> tuple[Trade, float]:
        start = self.start()
        ours, theirs = self.schedule(start, int(self.random.integers(1, 15)))
        first = theirs.dates()[0]
        expiry = ql.TARGET().advance(first, -2, ql.Days)
        rate, payer = float(self.random.normal(self.quotes["EUR3M"], 0.02)), bool(self.random.integers(0, 2))
        legs = (
            a_fixed_leg(schedule=ours, payer=payer, rates=(rate,)),
            a_floating_leg(schedule=ours, payer=not payer),
        )
        trade = Swaption(
            id=id, legs=legs, expiry=dt.date(expiry.year(), expiry.month(), expiry.dayOfMonth()), position="long",
            settlement="physical",
        )  # fmt: skip
        kind = ql.VanillaSwap.Payer if payer else ql.VanillaSwap.Receiver
        swap = ql.VanillaSwap(kind, 1e6, theirs, rate, ql.Actual360(), theirs, self.index, 0.0, ql.Actual360())
        option = ql.Swaption(swap, ql.EuropeanExercise(expiry))
        option.setPricingEngine(ql.BachelierSwaptionEngine(self.curves["EUR1D"], self.normal))
        return trade, option.NPV()

    def vanilla(self, strike: float, expiry: dt.date, is_call: bool, process: Any) -> float:
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike)
        option = ql.VanillaOption(payoff, ql.EuropeanExercise(date_of(expiry)))
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
        return float(option.NPV())

    def fx_option(self, id: str) -> tuple[Trade, float]:
        expiry, is_call = self.day(1, 3650), bool(self.random.integers(0, 2))
        strike = FX_EURUSD * float(np.exp(self.random.normal(0.0, 0.3)))
        sides = ("EUR", 1e6, "USD", 1e6 * strike)
        names = ("bought_currency", "bought_amount", "sold_currency", "sold_amount")
        trade = FxOption(
            id=id, expiry=expiry, option_type="call" if is_call else "put", position="long",
            **dict(zip(names, sides, strict=True)),
        )  # fmt: skip
        process = self.process(FX_EURUSD, self.curves["EUR1D"], self.curves["USD1D"])
        return trade, 1e6 * self.vanilla(strike, expiry, is_call, process) / FX_EURUSD

    def equity_option(self, id: str) -> tuple[Trade, float]:
        expiry, is_call = self.day(1, 3650), bool(self.random.integers(0, 2))
        strike = 50.0 * float(np.exp(self.random.normal(0.0, 0.3)))
        trade = EquityOption(
            id=id, name="ACME", currency="EUR", expiry=expiry, option_type="call" if is_call else "put",
            position="long", strike=strike, quantity=1e4,
        )  # fmt: skip
        process = self.process(50.0, self.flat(self.quotes["ACME dividend"]), self.curves["EUR1D"])
        return trade, 1e4 * self.vanilla(strike, expiry, is_call, process)

    def commodity_option(self, id: str) -> tuple[Trade, float]:
        expiry, is_call = self.day(1, 3650), bool(self.random.integers(0, 2))
        strike = 80.0 * float(np.exp(self.random.normal(0.0, 0.3)))
        trade = CommodityOption(
            id=id, name="OIL", currency="USD", expiry=expiry, option_type="call" if is_call else "put",
            position="long", strike=strike, quantity=1e4,
        )  # fmt: skip
        process = self.process(80.0, self.curves["USD1D"], self.curves["USD1D"])  # no carry: forwards are flat
        return trade, 1e4 * self.vanilla(strike, expiry, is_call, process) / FX_EURUSD


KINDS = ("cap_or_floor", "swaption", "fx_option", "equity_option", "commodity_option")


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_worth_what_quantlibs_engines_say(kind: str) -> None:
    """Within 1e-11 of the notional: 720 trades of each kind, a day to ten years, in twelve markets."""
    for seed in range(MARKETS):
        market = DrawnMarket(7000 + seed)
        pairs = [getattr(market, kind)(f"{kind} {place}") for place in range(TRADES)]
        result = calculate([trade for trade, _ in pairs], market.snapshot)
        assert not result.failures
        for trade, expected in pairs:
            row = result.trade_ids.index(trade.id)
            assert abs(result.pv[row, 0] - expected) <= 1e-5, (seed, trade, result.pv[row, 0], expected)
