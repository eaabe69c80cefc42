"""Commodity trades beyond forwards and plain options: swaps, swaptions, options on an average.

Prices are those of the commodity's forward curve for a pricing date: the delivery of that day, not a future with an
expiry of its own. A period's price is that of its last pricing day, or the average over the period's pricing days:
the days of the pricing calendar after the period begins up to its end; the first period includes its first day.

Units: quantities in units of the commodity per period, prices per unit; otherwise as in `xip_core.model.trade`.
"""

from __future__ import annotations

import datetime as dt

from xip_core.model.trade_records import (
    Convention,
    OptionType,
    Position,
    Premium,
    Schedule,
    TradeRecord,
    TradeTerms,
)


class CommodityLegRecord(TradeRecord, frozen=True, kw_only=True):
    """What every commodity leg has.

    Attributes:
        payer: the owner of the book pays this leg.
        quantities: one, or one per period; the last continues.
        payment_lag_days: business days of *payment_calendar* after the period's end.
        payment_calendar: "" means the schedule's.
    """

    payer: bool
    currency: str
    quantities: tuple[float, ...]
    schedule: Schedule
    payment_convention: Convention = "following"
    payment_lag_days: int = 0
    payment_calendar: str = ""

    def __post_init__(self) -> None:
        if not self.quantities:
            raise ValueError("a commodity leg needs at least one quantity")
        if self.payment_lag_days < 0:
            raise ValueError(f"payment_lag_days must be >= 0, got {self.payment_lag_days}")


class CommodityFixedLeg(CommodityLegRecord, frozen=True, kw_only=True, tag="commodity_fixed", tag_field="type"):
    """quantity * price; *prices* is one, or one per period (the last continues)."""

    prices: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.prices:
            raise ValueError("a fixed commodity leg needs at least one price")


class CommodityFloatingLeg(CommodityLegRecord, frozen=True, kw_only=True, tag="commodity_floating", tag_field="type"):
    """quantity * (gearing * price + spread), the price being the commodity's in the period.

    Attributes:
        averaged: the price is the average over the period's pricing days instead of that of the last.
        pricing_calendar: its business days are the pricing days; a last day that is none moves back to one.
    """

    name: str
    spreads: tuple[float, ...] = (0.0,)
    gearings: tuple[float, ...] = (1.0,)
    averaged: bool = False
    pricing_calendar: str = "WeekendsOnly"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spreads or not self.gearings:
            raise ValueError("spreads and gearings of a floating commodity leg must not be empty lists")


CommodityLeg = CommodityFixedLeg | CommodityFloatingLeg


class CommoditySwap(TradeTerms, frozen=True, kw_only=True, tag="commodity_swap"):
    """Commodity legs of any kind."""

    legs: tuple[CommodityLeg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise ValueError("a commodity_swap needs at least one leg")


class CommoditySwaption(TradeTerms, frozen=True, kw_only=True, tag="commodity_swaption"):
    """European right to enter the swap of *legs*: a payer swaption where the fixed leg is paid.

    Attributes:
        legs: one fixed and one floating leg of one currency; the first period begins at or after *expiry*.
    """

    legs: tuple[CommodityLeg, CommodityLeg]
    expiry: dt.date
    position: Position
    premiums: tuple[Premium, ...] = ()


class CommodityAverageOption(TradeTerms, frozen=True, kw_only=True, tag="commodity_average_option"):
    """Option on the arithmetic average price over the pricing days from *start* to *end*, both included.

    Attributes:
        quantity: units; pays quantity * (average - strike)+ for a call, after *payment_lag_days* from *end*.
    """

    name: str
    currency: str
    start: dt.date
    end: dt.date
    option_type: OptionType
    position: Position
    strike: float
    quantity: float
    pricing_calendar: str = "WeekendsOnly"
    payment_convention: Convention = "following"
    payment_lag_days: int = 0
    payment_calendar: str = "WeekendsOnly"
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"averaging must start before its end, got {self.start} and {self.end}")
        if not self.strike > 0.0:
            raise ValueError(f"strike must be > 0, got {self.strike}")
        if self.payment_lag_days < 0:
            raise ValueError(f"payment_lag_days must be >= 0, got {self.payment_lag_days}")
