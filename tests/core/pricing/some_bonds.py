"""Bonds by a few fields, as quants write them down."""

from __future__ import annotations

import datetime as dt
from typing import Any

from xip_core.model.trade import Bond, FixedLeg, Schedule


def a_bond(
    start: dt.date,
    end: dt.date,
    rates: tuple[float, ...] = (0.05,),
    tenor: str = "6M",
    day_count: str = "ACT/ACT ICMA",
    notionals: tuple[float, ...] = (100.0,),
    schedule: dict[str, Any] | None = None,
    **changes: Any,
) -> Bond:
    """A fixed bond with unadjusted dates, made backward from its end; *schedule* and *changes* replace fields."""
    fields = {"calendar": "WeekendsOnly", "convention": "unadjusted", "rule": "backward"} | (schedule or {})
    leg = FixedLeg(
        payer=False,
        currency="EUR",
        notionals=notionals,
        day_count=day_count,  # type: ignore[arg-type] # one of the literals
        rates=rates,
        payment_convention="unadjusted",
        schedule=Schedule(start=start, end=end, tenor=tenor, **fields),
    )
    trade: dict[str, Any] = {
        "id": "bond",
        "leg": leg,
        "issue_date": start,
        "settlement_days": 1,
        "calendar": fields["calendar"],
        "reference_curve": "EUR1D",
    }
    return Bond(**trade | changes)
