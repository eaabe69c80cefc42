"""Markets of the ISDA standard model: a curve of money-market and swap rates, a hazard curve of standard contracts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from xip_core.model.market import HazardDefinition, IsdaModel, Snapshot
from xip_core.model.market_instruments import CurveDefinition, Deposits, FixedFloatSwaps, Pillar, RateIndex
from xip_core.model.trade import Cds, FixedLeg, Schedule

MONTHS = {"Annual": 12, "Semiannual": 6, "Quarterly": 3}


def isda_curve(
    deposits: dict[str, float], swaps: dict[str, float], fixed_frequency: str
) -> tuple[CurveDefinition, RateIndex, dict[str, float | str]]:
    """The curve of the standard model with its index and quotes: weekends only, spot after two business days."""
    index = RateIndex(
        name="ISDA",
        currency="USD",
        tenor="3M",
        settlement_days=2,
        calendar="WeekendsOnly",
        convention="modified_following",
        day_count="A360",
        curve="ISDA",
    )
    money = Deposits(
        pillars=tuple(Pillar(tenor, f"MM {tenor}") for tenor in deposits),
        settlement_days=2,
        calendar="WeekendsOnly",
        convention="modified_following",
        day_count="A360",
    )
    fixed = FixedFloatSwaps(
        pillars=tuple(Pillar(tenor, f"SWAP {tenor}") for tenor in swaps),
        index="ISDA",
        fixed_frequency_months=MONTHS[fixed_frequency],
        fixed_calendar="WeekendsOnly",
        fixed_convention="modified_following",
        fixed_day_count="30/360",
    )
    quotes: dict[str, float | str] = {f"MM {tenor}": rate for tenor, rate in deposits.items()}
    quotes |= {f"SWAP {tenor}": rate for tenor, rate in swaps.items()}
    return CurveDefinition(name="ISDA", currency="USD", segments=(money, fixed)), index, quotes


def isda_snapshot(market: dict[str, Any], **hazard: Any) -> Snapshot:
    """One of the markets of isda_cds_quantlib.json, with hazard curve NAME; *hazard* are fields of its definition."""
    curve, index, quotes = isda_curve(market["deposits"], market["swaps"], market["swaps_fixed_freq"])
    fields = {"name": "NAME", "currency": "USD", "recovery_rate": 0.4, "discount_curve": "ISDA", "isda": IsdaModel()}
    return Snapshot(
        as_of=dt.date.fromisoformat(market["trade_date"]),
        base_currency="USD",
        quotes=quotes | hazard.pop("quotes", {}),
        indices=(index,),
        curves=(curve,),
        discount_curves={"USD": "ISDA"},
        hazards=(HazardDefinition(**fields | hazard),),
    )


def standard_cds(traded: dt.date, maturity: dt.date, coupon: float, notional: float = 1e7, **changes: Any) -> Cds:
    """Bought protection under the standard contract."""
    schedule = Schedule(
        start=traded, end=maturity, tenor="3M", calendar="WeekendsOnly", convention="following", rule="cds2015"
    )
    leg = FixedLeg(
        payer=True,
        currency="USD",
        notionals=(notional,),
        day_count="A360",
        schedule=schedule,
        rates=(coupon,),
    )
    return Cds(**{"id": "cds", "leg": leg, "credit_curve": "NAME", "protection_start": traded} | changes)
