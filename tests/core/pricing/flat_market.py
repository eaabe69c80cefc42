"""A snapshot in which every curve is flat, so that values can be written down by hand.

As of 2024-01-15 (a Monday), base EUR. Zero rates, continuous, Act/365F: EUR 2 %, EURIBOR-3M 3 %, EUR-ESTR 2 %, USD 4 %,
SOFR 4 %. One EUR is 1.25 USD. Hazard rate of ACME 1.5 %, recovery 40 %. ACME's share: 50 EUR, dividend yield 1 %,
financed at EUR 2 %. Oil: 80 USD flat. Volatilities: lognormal 20 %, normal 80 bp.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from xip_core.model.market import (
    CapVolatility,
    CommodityDefinition,
    CommodityVolatility,
    EquityDefinition,
    EquityVolatility,
    FxSpot,
    FxVolatility,
    HazardDefinition,
    Snapshot,
    SwaptionVolatility,
)
from xip_core.model.market_instruments import CurveDefinition, Pillar, RateIndex, ZeroRates
from xip_core.model.trade import (
    FixedLeg,
    FloatingLeg,
    OvernightLeg,
    Schedule,
    Swap,
    Trade,
)
from xip_core.pricing import Calculation, calculate

AS_OF = dt.date(2024, 1, 15)
ZERO_RATES = {"EUR1D": 0.02, "EUR3M": 0.03, "USD1D": 0.04}
FX_EURUSD = 1.25

_QUOTES: dict[str, float | str] = {
    **ZERO_RATES, "EURUSD": FX_EURUSD, "ACME": 50.0, "ACME dividend": 0.01, "ACME hazard": 0.015, "OIL": 80.0,
    "lognormal": 0.2, "normal": 0.008,
}  # fmt: skip


def _curve(name: str, currency: str) -> CurveDefinition:
    return CurveDefinition(name=name, currency=currency, segments=(ZeroRates(pillars=(Pillar("30Y", name),)),))


def _index(name: str, tenor: str, curve: str, calendar: str) -> RateIndex:
    return RateIndex(
        name=name,
        currency=name[:3],
        tenor=tenor,
        settlement_days=0 if tenor == "1D" else 2,
        calendar=calendar,
        convention="modified_following",
        day_count="A360",
        curve=curve,
    )


def a_snapshot(quotes: dict[str, float | str] | None = None, **changes: Any) -> Snapshot:
    """The flat market, with some quotes or fields changed."""
    fields: dict[str, Any] = {
        "as_of": AS_OF,
        "base_currency": "EUR",
        "quotes": _QUOTES | (quotes or {}),
        "indices": (
            _index("EUR-EURIBOR-3M", "3M", "EUR3M", "TARGET"),
            _index("EUR-ESTER", "1D", "EUR1D", "TARGET"),
            _index("USD-SOFR", "1D", "USD1D", "US"),
        ),
        "curves": (_curve("EUR1D", "EUR"), _curve("EUR3M", "EUR"), _curve("USD1D", "USD")),
        "discount_curves": {"EUR": "EUR1D", "USD": "USD1D"},
        "fx_spots": (FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="EURUSD"),),
        "equities": (
            EquityDefinition(
                name="ACME",
                currency="EUR",
                spot_quote="ACME",
                forecast_curve="EUR1D",
                dividend_yields=(Pillar("1Y", "ACME dividend"),),
            ),
        ),
        "commodities": (CommodityDefinition(name="OIL", currency="USD", forwards=(Pillar("1Y", "OIL"),)),),
        "hazards": (
            HazardDefinition(
                name="ACME", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("10Y", "ACME hazard"),)
            ),
        ),
        "fx_volatilities": (
            FxVolatility(
                foreign_currency="EUR",
                domestic_currency="USD",
                pillars=(Pillar("1Y", "lognormal"),),
                calendar="TARGET",
            ),
        ),
        "equity_volatilities": (EquityVolatility(name="ACME", pillars=(Pillar("1Y", "lognormal"),)),),
        "commodity_volatilities": (
            CommodityVolatility(name="OIL", expiries=("1Y",), strikes=(), quotes=("lognormal",)),
        ),
        "swaption_volatilities": (
            SwaptionVolatility(
                currency="EUR", is_normal=True, expiries=("1Y",), swap_tenors=("5Y",), quotes=("normal",)
            ),
        ),
        "cap_volatilities": (
            CapVolatility(
                index="EUR-EURIBOR-3M", discount_curve="EUR1D", tenors=("5Y",), strikes=(0.02,), quotes=("normal",)
            ),
        ),
    }
    return Snapshot(**fields | changes)


def years(date: dt.date) -> float:
    """Act/365F from the as-of date."""
    return (date - AS_OF).days / 365.0


def discount(date: dt.date, curve: str = "EUR1D") -> float:
    """Discount factor of a flat curve."""
    return float(np.exp(-ZERO_RATES[curve] * years(date)))


def value(trade: Trade, snapshot: Snapshot | None = None) -> float:
    """PV in EUR of a trade that must have one."""
    result = calculate([trade], snapshot or a_snapshot())
    assert not result.failures, result.failures
    return float(result.pv[0, 0])


def book(*trades: Trade, snapshot: Snapshot | None = None) -> Calculation:
    """All numbers of some trades."""
    return calculate(trades, snapshot or a_snapshot())


def a_schedule(**changes: Any) -> Schedule:
    """Five years of quarters from 2024-03-20."""
    fields = {"start": dt.date(2024, 3, 20), "end": dt.date(2029, 3, 20), "tenor": "3M", "calendar": "TARGET"}
    return Schedule(**fields | changes)


def _leg_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "payer": False,
        "currency": "EUR",
        "notionals": (1e6,),
        "day_count": "A360",
        "schedule": a_schedule(),
        "payment_convention": "modified_following",
    }
    return fields | changes


def a_fixed_leg(**changes: Any) -> FixedLeg:
    """Receives 3 % on a million EUR."""
    return FixedLeg(**_leg_fields(rates=(0.03,)) | changes)


def a_floating_leg(**changes: Any) -> FloatingLeg:
    """Receives three-month EURIBOR on a million EUR."""
    return FloatingLeg(**_leg_fields(index="EUR-EURIBOR-3M") | changes)


def an_overnight_leg(**changes: Any) -> OvernightLeg:
    """Receives compounded ESTR on a million EUR."""
    return OvernightLeg(**_leg_fields(index="EUR-ESTER") | changes)


def a_swap(*legs: Any, id: str = "swap") -> Swap:
    """A swap of these legs; pays fixed and receives floating without any."""
    return Swap(id=id, legs=legs or (a_fixed_leg(payer=True), a_floating_leg()))
