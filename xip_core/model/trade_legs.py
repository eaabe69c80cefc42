"""Legs of swaps, bonds, caps and credit contracts: schedules, notionals and what each period pays.

    fixed           a known rate
    floating        a term index, fixed in advance; stubs on another index, on two interpolated, or at a known rate
    overnight       an overnight index, compounded daily or averaged
    cpi             a real rate times the growth of a price index since a base, and the notional indexed likewise
    year_on_year    growth of a price index over the last year

Several accrual periods may be paid together (`periods_per_payment`), their interest compounded by one of the three
methods of ISDA or simply added up. The notional may be reset at each period to an amount of another currency
(`fx_reset`). Units: `xip_core.model.trade`.

Source of the compounding methods: ISDA, Alternative compounding methods for over-the-counter derivative transactions
(2009): "straight" is "Compounding", the spread earning interest like the rate; under "flat" earlier amounts earn the
rate without its spread; under "spread_exclusive" only the rate compounds and the spread is added as simple interest.
"""

from __future__ import annotations

from typing import Literal

from xip_core.model.trade_records import Convention, DayCount, Schedule, TradeRecord

Compounding = Literal["none", "straight", "flat", "spread_exclusive"]
Observation = Literal["flat", "linear"]


class FxReset(TradeRecord, frozen=True, kw_only=True):
    """Notionals worth *foreign_amount* when each period begins.

    Attributes:
        index: published FX rate, a name of the market's `fx_indices`, that links the leg's currency to the foreign one.
        fixing_days: business days of the index between fixing and period start.
        resets_first: also that of the first period, which otherwise is the leg's own notional.
    """

    foreign_currency: str
    foreign_amount: float
    index: str
    fixing_days: int = 2
    resets_first: bool = False

    def __post_init__(self) -> None:
        if self.fixing_days < 0:
            raise ValueError(f"fixing_days of an FX reset must be >= 0, got {self.fixing_days}")


class StubRate(TradeRecord, frozen=True, kw_only=True):
    """Rate of an irregular period: known, on an index, or linear in the days between the ends of two indices."""

    rate: float | None = None
    indices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.rate is None) == (not self.indices) or len(self.indices) > 2:
            raise ValueError(f"a stub has either a rate or one or two indices, got {self.rate} and {self.indices}")


class LegRecord(TradeRecord, frozen=True, kw_only=True):
    """What every leg has.

    Attributes:
        payer: the owner of the book pays this leg.
        notionals: one, or one per period; the last continues.
        payment_lag_days: business days of *payment_calendar* after the period's end.
        payment_calendar: "" means the schedule's.
        initial_exchange, final_exchange: the notional is exchanged at the start and at the end.
        amortising_exchange: the difference of two periods' notionals is exchanged between them.
        fx_reset: resets the notional of every period but the first; what changes is exchanged where the leg has a final
            exchange.
    """

    payer: bool
    currency: str
    notionals: tuple[float, ...]
    day_count: DayCount
    schedule: Schedule
    payment_convention: Convention = "following"
    payment_lag_days: int = 0
    payment_calendar: str = ""
    initial_exchange: bool = False
    final_exchange: bool = False
    amortising_exchange: bool = False
    fx_reset: FxReset | None = None

    def __post_init__(self) -> None:
        if not self.notionals:
            raise ValueError("a leg needs at least one notional")
        if self.payment_lag_days < 0:
            raise ValueError(f"payment_lag_days must be >= 0, got {self.payment_lag_days}")
        if self.fx_reset is not None and (len(self.notionals) > 1 or self.amortising_exchange):
            raise ValueError("a leg whose notional resets to an FX rate has one notional and does not amortise")


class _CompoundingLeg(LegRecord, frozen=True, kw_only=True):
    """A leg whose accrual periods may be paid together.

    Attributes:
        periods_per_payment: accrual periods of one payment, made at the end of the last; 0 means all of the leg's.
            Periods left over stand at the front where the schedule is rolled backward, otherwise at the back.
        compounding: how the interest of the periods of one payment adds up.
    """

    periods_per_payment: int = 1
    compounding: Compounding = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.periods_per_payment < 0:
            raise ValueError(f"periods_per_payment must be >= 0, got {self.periods_per_payment}")


class FixedLeg(_CompoundingLeg, frozen=True, kw_only=True, tag="fixed", tag_field="type"):
    """Coupons of a known rate; *rates* is one, or one per period (the last continues)."""

    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates:
            raise ValueError("a fixed leg needs at least one rate")


class FloatingLeg(_CompoundingLeg, frozen=True, kw_only=True, tag="floating", tag_field="type"):
    """Coupons gearing * index + spread, fixed in advance of each period.

    Attributes:
        index: such as "EUR-EURIBOR-6M"; the period's forward is the par coupon of its accrual period.
        spreads, gearings, caps, floors: one, or one per period (the last continues). A cap or floor applies to the
            whole coupon rate.
        fixing_days: business days between fixing and period start; None means the index's own.
        front_stub, back_stub: rate of the first or last period where it is not the index's.
    """

    index: str
    spreads: tuple[float, ...] = (0.0,)
    gearings: tuple[float, ...] = (1.0,)
    fixing_days: int | None = None
    caps: tuple[float, ...] = ()
    floors: tuple[float, ...] = ()
    front_stub: StubRate | None = None
    back_stub: StubRate | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spreads or not self.gearings:
            raise ValueError("spreads and gearings of a floating leg must not be empty lists")


class OvernightLeg(LegRecord, frozen=True, kw_only=True, tag="overnight", tag_field="type"):
    """Coupons of an overnight index, compounded daily or averaged over the period, plus a spread.

    Attributes:
        averaged: arithmetic average instead of compounding.
        lookback_days: business days by which the observed fixings precede the accrual days.
    """

    index: str
    spreads: tuple[float, ...] = (0.0,)
    gearings: tuple[float, ...] = (1.0,)
    averaged: bool = False
    lookback_days: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spreads or not self.gearings:
            raise ValueError("spreads and gearings of an overnight leg must not be empty lists")
        if self.lookback_days < 0:
            raise ValueError(f"lookback_days must be >= 0, got {self.lookback_days}")


class _InflationLeg(LegRecord, frozen=True, kw_only=True):
    """A leg on a price index.

    Attributes:
        index: such as "UKRPI".
        observation_lag: by which the observed month precedes the end of the period.
        observation: "flat" takes the month's level, "linear" interpolates by days to that of the next month.
    """

    index: str
    observation_lag: str
    observation: Observation = "flat"


class CpiLeg(_InflationLeg, frozen=True, kw_only=True, tag="cpi", tag_field="type"):
    """Coupons notional * rate * accrual * I(end) / base, and where the notional is exchanged, notional * I / base.

    A zero-coupon inflation swap is such a leg of one period (schedule rule "zero") with rate 0, a final exchange and
    *subtracts_notional*, against a fixed leg that compounds.

    Attributes:
        rates: real rates, one or one per period (the last continues).
        base_index: level the growth is measured from; None means the one observed for the start of the leg.
        subtracts_notional: the final exchange is notional * (I / base - 1).
    """

    rates: tuple[float, ...]
    base_index: float | None = None
    subtracts_notional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates:
            raise ValueError("a CPI leg needs at least one rate")
        if self.base_index is not None and not self.base_index > 0.0:
            raise ValueError(f"base_index must be > 0, got {self.base_index}")


class YearOnYearLeg(_InflationLeg, frozen=True, kw_only=True, tag="year_on_year", tag_field="type"):
    """Coupons notional * accrual * (gearing * (I(end) / I(end - 1 year) - 1) + spread).

    Attributes:
        fixing_days: calendar days by which the observation is earlier still: price indices have no holidays.
    """

    spreads: tuple[float, ...] = (0.0,)
    gearings: tuple[float, ...] = (1.0,)
    fixing_days: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spreads or not self.gearings:
            raise ValueError("spreads and gearings of a year-on-year leg must not be empty lists")
        if self.fixing_days < 0:
            raise ValueError(f"fixing_days must be >= 0, got {self.fixing_days}")


Leg = FixedLeg | FloatingLeg | OvernightLeg | CpiLeg | YearOnYearLeg
