"""Commodity swaps, swaptions and average price options of ORE.

Of ORE's many ways to fix a price and a quantity those are read that `model.trade_commodity` has; every other one is
refused by name. A price is that of the pricing date on the forward curve (PriceType Spot).
"""

from __future__ import annotations

from typing import Any

from xip_core.errors import CellError, FailureReason
from xip_core.model import trade as trades
from xip_core.readers.ore_fields import Fields
from xip_core.readers.ore_legs import payment_terms, read_schedule

PLAIN = {
    # element: the only value that is supported, where it is given
    "PriceType": "Spot",
    "CommodityQuantityFrequency": "PerCalculationPeriod",
    "CommodityPayRelativeTo": "CalculationPeriodEndDate",
    "FutureMonthOffset": "0",
    "IsInArrears": "true",
    "PricingDateRule": "FutureExpiryDate",  # says something of futures alone
}


def read_commodity_legs(body: Fields) -> tuple[trades.CommodityLeg, ...]:
    """All legs of a swap or swaption."""
    return tuple(_read_leg(leg) for leg in body.children("LegData"))


def read_average_option(body: Fields) -> dict[str, Any]:
    """Fields of a CommodityAverageOption but its option data."""
    refuse_other_prices(body)
    for name in ("BarrierData", "Gearing", "Spread", "DailyExpiryOffset", "PricingDates", "FXIndex"):
        body.refuse(name, "an average price option with this feature")
    payment_calendar = body.text("PaymentCalendar", "NullCalendar")
    return {
        "name": body.text("Name"),
        "currency": body.text("Currency"),
        "start": body.date("StartDate"),
        "end": body.date("EndDate"),
        "strike": body.number("Strike"),
        "quantity": body.number("Quantity"),
        "pricing_calendar": body.text("PricingCalendar", "WeekendsOnly"),
        **payment_terms(body),
        "payment_calendar": payment_calendar,
    }


def _read_leg(fields: Fields) -> trades.CommodityLeg:
    leg_type = fields.text("LegType")
    shared = {
        "payer": fields.flag("Payer", False),
        "currency": fields.text("Currency"),
        "schedule": read_schedule(fields.child("ScheduleData")),
        **payment_terms(fields),
    }
    if leg_type == "CommodityFixed":
        body = fields.child("CommodityFixedLegData")
        shared["quantities"] = body.numbers("Quantities", "Quantity")
        leg: trades.CommodityLeg = trades.CommodityFixedLeg(**shared, prices=body.numbers("Prices", "Price"))
    elif leg_type == "CommodityFloating":
        body = fields.child("CommodityFloatingLegData")
        leg = _read_floating(shared, body)
    else:
        sentence = f"a leg of type {leg_type!r} is not supported beside commodity legs"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    refuse_other_prices(body)
    body.done()
    fields.done()
    return leg


def _read_floating(shared: dict[str, Any], body: Fields) -> trades.CommodityFloatingLeg:
    for name in ("FXIndex", "AvgPricePrecision", "HoursPerDay", "DailyExpiryOffset", "PricingDates"):
        body.refuse(name, "a floating commodity leg with this feature")
    if not body.flag("IncludePeriodEnd", True) or not body.flag("ExcludePeriodStart", True):
        raise CellError(FailureReason.UNSUPPORTED, "a commodity period without its end or with its start")
    return trades.CommodityFloatingLeg(
        **shared,
        name=body.text("Name"),
        quantities=body.numbers("Quantities", "Quantity"),
        spreads=body.numbers("Spreads", "Spread") or (0.0,),
        gearings=body.numbers("Gearings", "Gearing") or (1.0,),
        averaged=body.flag("IsAveraged", False),
        pricing_calendar=body.text("PricingCalendar", "WeekendsOnly"),
    )


def refuse_other_prices(body: Fields) -> None:
    """
    Raises:
        CellError: UNSUPPORTED, the price or the quantity of a period is fixed in a way we do not have.
    """
    for name, supported in PLAIN.items():
        value = body.text(name, supported)
        if value != supported:
            raise CellError(FailureReason.UNSUPPORTED, f"{name} {value!r} is not supported, {supported} is")
