"""Commodity trades on the flat market (flat_market.py), as builders."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.core.pricing.flat_market import a_schedule
from xip_core.model.trade import (
    CommodityAverageOption,
    CommodityFixedLeg,
    CommodityFloatingLeg,
    CommodityLeg,
    CommoditySwap,
    CommoditySwaption,
)

QUARTERS = {"start": dt.date(2025, 1, 31), "end": dt.date(2026, 1, 31), "tenor": "3M", "calendar": "WeekendsOnly"}


def _leg_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "payer": False,
        "currency": "USD",
        "quantities": (1000.0,),
        "schedule": a_schedule(**QUARTERS, convention="unadjusted", end_of_month=True),
        "payment_lag_days": 2,
    }
    return fields | changes


def a_fixed_oil_leg(**changes: Any) -> CommodityFixedLeg:
    """Receives 75 USD for a thousand barrels a quarter."""
    return CommodityFixedLeg(**_leg_fields(prices=(75.0,)) | changes)


def an_oil_leg(**changes: Any) -> CommodityFloatingLeg:
    """Receives the price of the quarter's last day for a thousand barrels."""
    return CommodityFloatingLeg(**_leg_fields(name="OIL") | changes)


def an_oil_swap(*legs: CommodityLeg, id: str = "oil swap") -> CommoditySwap:
    """A swap of these legs; pays fixed and receives floating without any."""
    return CommoditySwap(id=id, legs=legs or (a_fixed_oil_leg(payer=True), an_oil_leg()))


def an_oil_swaption(**changes: Any) -> CommoditySwaption:
    """Right to pay 75 USD a barrel."""
    fields = {
        "id": "oil swaption",
        "legs": (a_fixed_oil_leg(payer=True), an_oil_leg()),
        "expiry": dt.date(2025, 1, 15),
        "position": "long",
    }
    return CommoditySwaption(**fields | changes)


def an_average_option(**changes: Any) -> CommodityAverageOption:
    """A call on the average price of the first quarter of 2025, struck at 75 USD, on ten barrels."""
    fields = {
        "id": "average option",
        "name": "OIL",
        "currency": "USD",
        "start": dt.date(2025, 1, 1),
        "end": dt.date(2025, 3, 31),
        "option_type": "call",
        "position": "long",
        "strike": 75.0,
        "quantity": 10.0,
    }
    return CommodityAverageOption(**fields | changes)
