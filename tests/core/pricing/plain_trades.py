"""Drawn trades, plain ones and ones that are not: month ends, leap days, holidays, the past, what fails.

A draw takes any `random.Random`, so a seed gives a big book and hypothesis shrinks a small one. Most draws are trades
of a book, a few of every field are at its edge: dates around the as-of date, in 1951 or 2160, unknown names, stubs,
lookbacks, notional steps.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any, TypeVar

from xip_core.model import trade as trades
from xip_core.model.market import Snapshot
from xip_core.model.trade_legs import FxReset, StubRate

T = TypeVar("T")

CALENDARS = ("TARGET", "US", "UK", "UK,US", "JP", "WeekendsOnly", "NullCalendar", "TARGET,2020-06-01", "ZUB")
CONVENTIONS = ("following", "modified_following", "preceding", "modified_preceding", "unadjusted")
DAY_COUNTS = (
    "A360", "A365F", "30/360", "30E/360", "30E/360 ISDA", "30U/360", "ACT/ACT ISDA", "ACT/ACT ICMA", "ACT/ACT AFB",
    "NL/365", "1/1",
)  # fmt: skip
TENORS = ("1M", "3M", "6M", "1Y", "1D", "2W", "28D", "1Y6M", "0D", "1M1D")
LONG, MANY = 4, 12


class Draw:
    """Trades on the names of one snapshot."""

    def __init__(self, random_numbers: random.Random, snapshot: Snapshot) -> None:
        self.random = random_numbers
        self.snapshot = snapshot
        self.as_of = snapshot.as_of
        self.currencies = sorted(snapshot.discount_curves)

    def rarely(self, one_in: int = MANY) -> bool:
        return self.random.randrange(one_in) == 0

    def one(self, *values: T) -> T:
        return values[self.random.randrange(len(values))]

    def name(self, known: list[str]) -> str:
        return "UNKNOWN" if not known or self.rarely(60) else self.one(*known)

    def currency(self) -> str:
        return self.name(self.currencies)

    def number(self) -> float:
        return round(self.random.uniform(-0.02, 0.08), self.random.randrange(1, 7))

    def numbers(self) -> tuple[float, ...]:
        return tuple(self.number() for _ in range(1 if not self.rarely(6) else self.random.randrange(1, 5)))

    def amount(self) -> float:
        return float(self.one(1, 100, 12345, 1_000_000, 2_500_000))

    def date(self) -> dt.date:
        """Around the as-of date, mostly after it; month ends, leap days and the edges of what is known among them."""
        edges = (
            self.as_of, self.as_of + dt.timedelta(1), self.as_of - dt.timedelta(1), dt.date(2016, 2, 29),
            dt.date(2020, 2, 29), dt.date(2024, 12, 31), dt.date(2018, 1, 31), dt.date(2017, 4, 14),
            dt.date(2100, 2, 28), dt.date(1951, 5, 5), dt.date(2160, 1, 1),
        )  # fmt: skip
        if self.rarely(8):
            return self.one(*edges[: None if self.rarely() else -2])
        return self.as_of + dt.timedelta(self.random.randrange(-700, 9000))

    def schedule(self) -> trades.Schedule:
        fields: dict[str, Any] = {"calendar": self.one(*CALENDARS), "convention": self.one(*CONVENTIONS)}
        if self.rarely(60):
            fields["calendar"] = "NOWHERE"
        if self.rarely():
            dates = sorted({self.date() for _ in range(self.random.randrange(2, 9))})
            if len(dates) > 1:
                return trades.Schedule(dates=tuple(dates), **fields)
        start = self.date()
        end = start + dt.timedelta(self.one(7, 91, 365, 730, 1826, 3653, 5000, 10958))
        rule = self.one("forward", "forward", "backward", "backward", "zero", "imm", "cds2015")
        if self.rarely(LONG):
            fields |= {"term_convention": self.one(*CONVENTIONS)}
        if self.rarely(LONG):
            fields |= {"first_date": start + dt.timedelta(self.random.randrange(1, 200))}
        if self.rarely(LONG):
            fields |= {"last_date": end - dt.timedelta(self.random.randrange(1, 200))}
        tenor = self.one(*TENORS) if self.rarely(3) else self.one("3M", "6M", "1Y")
        return trades.Schedule(
            start=start, end=end, tenor=tenor, rule=rule, end_of_month=self.rarely(LONG), **fields
        )

    def leg_fields(self, currency: str, payer: bool) -> dict[str, Any]:
        notionals = (self.amount(),)
        if self.rarely(6):
            notionals = tuple(self.amount() for _ in range(self.random.randrange(1, 6)))
        fields: dict[str, Any] = {
            "payer": payer,
            "currency": currency,
            "notionals": notionals,
            "day_count": self.one(*DAY_COUNTS),
            "schedule": self.schedule(),
            "payment_convention": self.one(*CONVENTIONS),
            "payment_lag_days": self.one(0, 0, 1, 2) if not self.rarely(40) else 700,
            "payment_calendar": self.one("", "", *CALENDARS),
            "initial_exchange": self.rarely(LONG),
            "final_exchange": self.rarely(LONG),
            "amortising_exchange": self.rarely(LONG),
        }
        if self.rarely(40) and len(notionals) == 1 and not fields["amortising_exchange"]:
            foreign = FxReset(foreign_currency="USD", foreign_amount=1e6, index="FX-ECB-EUR-USD")
            fields["fx_reset"] = foreign
        return fields

    def index(self, is_overnight: bool) -> str:
        return self.name([index.name for index in self.snapshot.indices if index.is_overnight == is_overnight])

    def fixed_leg(self, currency: str, payer: bool) -> trades.FixedLeg:
        compounding = {"periods_per_payment": 2, "compounding": "straight"} if self.rarely(30) else {}
        return trades.FixedLeg(rates=self.numbers(), **self.leg_fields(currency, payer), **compounding)

    def floating_leg(self, currency: str, payer: bool) -> trades.FloatingLeg:
        fields: dict[str, Any] = {}
        if self.rarely():
            fields["fixing_days"] = self.one(-3, 0, 1, 5, 400)
        if self.rarely(30):
            fields["front_stub"] = StubRate(rate=0.01)
        if self.rarely(20):
            fields["caps"] = self.numbers()
        if self.rarely(20):
            fields["floors"] = self.numbers()
        gearings = (1.0,) if not self.rarely(6) else tuple(self.one(0.5, 1.0, 2.0, -1.0) for _ in range(2))
        return trades.FloatingLeg(
            index=self.index(self.rarely(30)),
            spreads=self.numbers() if self.rarely(3) else (0.0,),
            gearings=gearings,
            **self.leg_fields(currency, payer),
            **fields,
        )

    def overnight_leg(self, currency: str, payer: bool) -> trades.OvernightLeg:
        return trades.OvernightLeg(
            index=self.index(True),
            spreads=self.numbers() if self.rarely(3) else (0.0,),
            averaged=self.rarely(3),
            lookback_days=2 if self.rarely(10) else 0,
            **self.leg_fields(currency, payer),
        )

    def leg(self, currency: str, payer: bool) -> trades.Leg:
        return self.one(self.fixed_leg, self.floating_leg, self.overnight_leg)(currency, payer)

    def premiums(self) -> tuple[trades.Premium, ...]:
        count = self.random.randrange(1, 3) if self.rarely(LONG) else 0
        return tuple(
            trades.Premium(amount=self.amount(), currency=self.currency(), pay_date=self.date()) for _ in range(count)
        )

    def trade(self, trade_id: str) -> trades.Trade:
        """Any trade of those that may be plain."""
        kinds = (
            self.swap, self.swap, self.swap, self.fra, self.cap_floor, self.swaption, self.bond, self.bond, self.cds,
            self.fx_forward, self.forward, self.option, self.fx_option,
        )  # fmt: skip
        return self.one(*kinds)(trade_id)

    def swap(self, trade_id: str) -> trades.Swap:
        currency = self.currency()
        legs = [self.leg(currency, True), self.leg(currency if not self.rarely() else self.currency(), False)]
        return trades.Swap(id=trade_id, legs=tuple(legs[: 1 if self.rarely() else 2]))

    def fra(self, trade_id: str) -> trades.Fra:
        start = self.date()
        return trades.Fra(
            id=trade_id,
            currency=self.currency(),
            index=self.index(self.rarely(20)),
            start=start,
            end=start + dt.timedelta(self.random.randrange(1, 200)),
            strike=self.number(),
            notional=self.amount(),
            position=self.one("long", "short"),
        )

    def cap_floor(self, trade_id: str) -> trades.CapFloor:
        surfaces = [volatility.index for volatility in self.snapshot.cap_volatilities]
        leg = self.floating_leg(self.currency(), False)
        fields = {name: getattr(leg, name) for name in leg.__struct_fields__}
        fields |= {"caps": (), "floors": (), "index": self.name(surfaces) if not self.rarely() else leg.index}
        strikes = self.one(("caps",), ("floors",), ("caps", "floors"))
        return trades.CapFloor(
            id=trade_id,
            leg=trades.FloatingLeg(**fields),
            position=self.one("long", "short"),
            premiums=self.premiums(),
            **{name: self.numbers() for name in strikes},
        )

    def swaption(self, trade_id: str) -> trades.Swaption:
        currency, payer, expiry = self.one("EUR", "USD", self.currency()), self.rarely(2), self.date()
        fixed = self.fixed_leg(currency, payer)
        floating = self.one(self.floating_leg, self.overnight_leg)(currency, payer == self.rarely(20))
        schedule = trades.Schedule(
            start=expiry + dt.timedelta(self.one(0, 2, 2, -1)),
            end=expiry + dt.timedelta(self.random.randrange(300, 7000)),
            tenor=self.one("6M", "1Y"),
            calendar="TARGET",
        )
        legs = []
        for leg in (fixed, floating):
            fields = {name: getattr(leg, name) for name in leg.__struct_fields__} | {"schedule": schedule}
            if not self.rarely(20):
                fields |= {"notionals": (1e6,), "fx_reset": None, "day_count": self.one("A360", "30/360", "A365F")}
            if not self.rarely(20) and leg is floating and isinstance(leg, trades.FloatingLeg):
                fields |= {"caps": (), "floors": (), "front_stub": None, "index": "EUR-EURIBOR-6M"}
            if leg is fixed:
                fields |= {"rates": fixed.rates[:1]}
            legs.append(type(leg)(**fields))
        return trades.Swaption(
            id=trade_id,
            legs=(legs[0], legs[1]) if self.rarely(2) else (legs[1], legs[0]),
            expiry=expiry,
            position=self.one("long", "short"),
            settlement="cash" if self.rarely(10) else "physical",
            premiums=self.premiums(),
        )

    def bond(self, trade_id: str) -> trades.Bond:
        curves = [curve.name for curve in self.snapshot.curves] + [index.name for index in self.snapshot.indices]
        hazards = [hazard.name for hazard in self.snapshot.hazards]
        return trades.Bond(
            id=trade_id,
            leg=self.leg(self.currency(), self.rarely(5)),
            issue_date=self.as_of,
            settlement_days=2,
            calendar="TARGET",
            reference_curve=self.name(curves),
            credit_curve="" if self.rarely(LONG) else self.name(hazards),
            recovery_rate=self.one(None, 0.0, 0.4) if not self.rarely(40) else 1.5,
            ex_coupon_days=5 if self.rarely(20) else 0,
        )

    def cds(self, trade_id: str) -> trades.Cds:
        leg = self.fixed_leg(self.currency(), self.rarely(2))
        fields = {name: getattr(leg, name) for name in leg.__struct_fields__}
        if not self.rarely(4):
            start = self.date()
            fields["schedule"] = trades.Schedule(
                start=start, end=start + dt.timedelta(1826), tenor="3M", rule="cds2015", calendar="WeekendsOnly"
            )
        has_upfront = self.rarely(3)
        return trades.Cds(
            id=trade_id,
            leg=trades.FixedLeg(**fields),
            credit_curve=self.name([hazard.name for hazard in self.snapshot.hazards]),
            protection_start=self.date() if self.rarely(3) else None,
            upfront_date=self.date() if has_upfront else None,
            upfront_fee=self.number() if has_upfront else 0.0,
            settles_accrual=not self.rarely(4),
            pays_at_default=not self.rarely(4),
            recovery_rate=self.one(None, 0.2),
        )

    def pair(self) -> dict[str, Any]:
        bought, sold = self.random.sample(self.currencies, 2)
        return {
            "bought_currency": bought, "bought_amount": self.amount(), "sold_currency": sold,
            "sold_amount": self.amount(),
        }  # fmt: skip

    def fx_forward(self, trade_id: str) -> trades.FxForward:
        return trades.FxForward(id=trade_id, value_date=self.date(), **self.pair())

    def option_fields(self) -> dict[str, Any]:
        return {
            "expiry": self.date(), "option_type": self.one("call", "put"), "position": self.one("long", "short"),
            "premiums": self.premiums(),
        }  # fmt: skip

    def fx_option(self, trade_id: str) -> trades.FxOption:
        return trades.FxOption(id=trade_id, **self.option_fields(), **self.pair())

    def underlying(self, names: list[str]) -> dict[str, Any]:
        strike = self.one(0.5, 45.0, 80.0, 1100.0, 9000.0)
        return {"name": self.name(names), "currency": self.currency(), "strike": strike, "quantity": self.amount()}

    def forward(self, trade_id: str) -> trades.Trade:
        fields = {"id": trade_id, "maturity": self.date(), "position": self.one("long", "short")}
        if self.rarely(2):
            return trades.EquityForward(**fields, **self.underlying([item.name for item in self.snapshot.equities]))
        return trades.CommodityForward(**fields, **self.underlying([item.name for item in self.snapshot.commodities]))

    def option(self, trade_id: str) -> trades.Trade:
        fields = {"id": trade_id} | self.option_fields()
        if self.rarely(2):
            return trades.EquityOption(**fields, **self.underlying([item.name for item in self.snapshot.equities]))
        return trades.CommodityOption(**fields, **self.underlying([item.name for item in self.snapshot.commodities]))


def drawn_trades(random_numbers: random.Random, snapshot: Snapshot, count: int) -> list[trades.Trade]:
    """So many trades of all kinds; see the module's head."""
    draw = Draw(random_numbers, snapshot)
    return [draw.trade(f"T{place}") for place in range(count)]
