"""Legs of interest-rate payments: what a swap, a bond or a cap is made of. Units: `xip_core.model.trade`."""

from __future__ import annotations

from xip_core.model.trade_records import Convention, DayCount, Schedule, TradeRecord


class LegRecord(TradeRecord, frozen=True, kw_only=True):
    """What every leg has.

    Attributes:
        payer: the owner of the book pays this leg.
        notionals: one, or one per period; the last continues.
        payment_lag_days: business days of *payment_calendar* after the period's end.
        payment_calendar: "" means the schedule's.
        initial_exchange, final_exchange: the notional is exchanged at the start and at the end.
        amortising_exchange: the difference of two periods' notionals is exchanged between them.
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

    def __post_init__(self) -> None:
        if not self.notionals:
            raise ValueError("a leg needs at least one notional")
        if self.payment_lag_days < 0:
            raise ValueError(f"payment_lag_days must be >= 0, got {self.payment_lag_days}")


class FixedLeg(LegRecord, frozen=True, kw_only=True, tag="fixed", tag_field="type"):
    """Coupons of a known rate; *rates* is one, or one per period (the last continues)."""

    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates:
            raise ValueError("a fixed leg needs at least one rate")


class FloatingLeg(LegRecord, frozen=True, kw_only=True, tag="floating", tag_field="type"):
    """Coupons gearing * index + spread, fixed in advance of each period.

    Attributes:
        index: such as "EUR-EURIBOR-6M"; the period's forward is the par coupon of its accrual period.
        spreads, gearings, caps, floors: one, or one per period (the last continues). A cap or floor applies to the
            whole coupon rate.
        fixing_days: business days between fixing and period start; None means the index's own.
    """

    index: str
    spreads: tuple[float, ...] = (0.0,)
    gearings: tuple[float, ...] = (1.0,)
    fixing_days: int | None = None
    caps: tuple[float, ...] = ()
    floors: tuple[float, ...] = ()

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


Leg = FixedLeg | FloatingLeg | OvernightLeg
