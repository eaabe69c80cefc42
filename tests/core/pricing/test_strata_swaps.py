"""Swaps of Strata's end-to-end tests, through trades and a snapshot as any other: 1e-4 on a notional of 100 million.

Strata interpolates zero rates linearly and projects each coupon over the deposit of its index (`is_par` false), so the
snapshot gives discount factors day by day. Its calendar is weekends and a list of closed days.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
from typing import Any

import numpy as np
import pytest

from tests.core.pricing.ore_reference import REPOSITORY
from xip_core.model.dates import day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import FxSpot, Snapshot
from xip_core.model.market_instruments import CurveDefinition, DiscountFactors, Pillar, RateIndex
from xip_core.model.trade import FixedLeg, FloatingLeg, Leg, OvernightLeg, Schedule, StubRate, Swap
from xip_core.pricing import calculate

TABLE = REPOSITORY.parent / "shared" / "reference" / "rates" / "strata_swap_end2end.json"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason=f"third-party values are absent: {TABLE} (see the README)")

AS_OF = dt.date(2014, 1, 22)
LAST = dt.date(2022, 3, 1)
NOTIONAL = 1e8


@functools.cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.read_text())
    return found


@functools.cache
def new_york() -> str:
    closed = [day for day in table()["holidays"] if day <= LAST.isoformat()]
    return ",".join(["WeekendsOnly", *closed])


def _curve(name: str, currency: str) -> tuple[CurveDefinition, dict[str, float]]:
    days = np.arange(day_number(AS_OF) + 1, day_number(LAST))
    times = year_fractions("ACT/ACT ISDA", np.full(len(days), day_number(AS_OF)), days)
    nodes = table()["curves"][name]
    discounts = np.exp(-np.interp(times, nodes["times"], nodes["zero_rates"]) * times)
    dates = [(AS_OF + dt.timedelta(days=int(day) + 1)).isoformat() for day in range(len(days))]
    pillars = tuple(Pillar(date, f"{name} {date}") for date in dates)
    definition = CurveDefinition(name=name, currency=currency, segments=(DiscountFactors(pillars=pillars),))
    return definition, {pillar.quote: value for pillar, value in zip(pillars, discounts.tolist(), strict=True)}


def _index(name: str, tenor: str, curve: str, calendar: str) -> RateIndex:
    is_overnight = tenor == "1D"
    return RateIndex(
        name=name,
        currency=name[:3],
        tenor=tenor,
        settlement_days=0 if is_overnight else 2,
        calendar=calendar,
        convention="modified_following",
        day_count="A360",
        curve=curve,
        end_of_month=not is_overnight,
        is_par=is_overnight,
    )


@functools.cache
def market(group: str) -> Snapshot:
    wanted = {
        "1": {"DSC": "1D", "L1M": "1M", "L3M": "3M", "L6M": "6M"},
        "2": {"DSC": "1D", "L3M": "3M"},
    }[group]
    quotes: dict[str, float | str] = {"EURUSD": 1.2}
    curves, indices = [], []
    for currency in ("USD", "EUR") if group == "2" else ("USD",):
        for suffix, tenor in wanted.items():
            name = f"GROUP{group}_{currency}_{suffix}"
            definition, values = _curve(name, currency)
            curves.append(definition)
            quotes.update(values)
            family = {"USD": "USD-LIBOR", "EUR": "EUR-EURIBOR"}[currency]
            index = "USD-FED-FUND" if tenor == "1D" else f"{family}-{tenor}"
            if (currency, tenor) != ("EUR", "1D"):
                indices.append(_index(index, tenor, name, new_york() if currency == "USD" else "TARGET"))
    fixings = {
        index: {dt.date.fromisoformat(day): rate for day, rate in by_day.items()}
        for index, by_day in table()["fixings"].items()
    }
    del fixings["USD-FED-FUND"][AS_OF]  # published on the day after
    return Snapshot(
        as_of=AS_OF,
        base_currency="USD",
        quotes=quotes,
        fixings=fixings,
        indices=tuple(indices),
        curves=tuple(curves),
        discount_curves={"USD": f"GROUP{group}_USD_DSC"} | ({"EUR": "GROUP2_EUR_DSC"} if group == "2" else {}),
        fx_spots=(FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="EURUSD"),) if group == "2" else (),
    )


def rolled(start: str, end: str, tenor: str, rule: str = "forward") -> dict[str, Any]:
    """The schedule every leg of these swaps has, and what else they share."""
    schedule = Schedule(
        start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end), tenor=tenor, calendar=new_york(),
        convention="modified_following", rule=rule,
    )  # fmt: skip
    return {"currency": "USD", "notionals": (NOTIONAL,), "schedule": schedule, "payment_calendar": new_york()}


def fixed(payer: bool, rate: float, **shared: Any) -> FixedLeg:
    return FixedLeg(**{"payer": payer, "day_count": "30U/360", "rates": (rate,), **shared})


def libor(payer: bool, tenor: str, **shared: Any) -> FloatingLeg:
    return FloatingLeg(**{"payer": payer, "day_count": "A360", "index": f"USD-LIBOR-{tenor}", **shared})


def legs_of(case: str) -> tuple[Leg, ...]:
    match case:
        case "VanillaFixedVsLibor1m":
            period = ("2014-09-12", "2016-09-12")
            return fixed(True, 0.0125, **rolled(*period, "6M")), libor(False, "1M", **rolled(*period, "1M"))
        case "VanillaFixedVsLibor3mWithFixing":
            period = ("2013-09-12", "2020-09-12")
            return fixed(True, 0.015, **rolled(*period, "6M")), libor(False, "3M", **rolled(*period, "3M"))
        case "BasisCompoundedFlatLibor1mVsLibor3m":
            period = ("2014-08-29", "2019-08-29")
            compounded = rolled(*period, "1M") | {"periods_per_payment": 3, "compounding": "flat"}
            return libor(False, "1M", **compounded), libor(True, "3M", **rolled(*period, "3M"))
        case "Stub1mFixed6mVsLibor3m":
            period = ("2014-09-12", "2016-07-12")
            received = fixed(False, 0.01, **rolled(*period, "6M", "backward"))
            return received, libor(True, "3M", **rolled(*period, "3M", "backward"))
        case "InterpStub4mFixed6mVsLibor6m":
            period = ("2014-09-12", "2016-07-12")
            stub = StubRate(indices=("USD-LIBOR-3M", "USD-LIBOR-6M"))
            received = fixed(False, 0.01, **rolled(*period, "6M", "backward"))
            return received, libor(True, "6M", front_stub=stub, **rolled(*period, "6M", "backward"))
        case "AmortizingFixedVsLibor3m":
            shared = rolled("2014-09-12", "2021-09-12", "3M")
            shared["notionals"] = tuple(NOTIONAL - 3e6 * period for period in range(28))
            return fixed(False, 0.016, **shared), libor(True, "3M", **shared)
        case "CompoundingOisWithFixing":
            shared = rolled("2014-01-17", "2014-03-17", "2M") | {"payment_lag_days": 2, "day_count": "A360"}
            return fixed(True, 0.00123, **shared), OvernightLeg(payer=False, index="USD-FED-FUND", **shared)
        case _:
            raise AssertionError(f"no legs for {case}")


CASES = (
    "VanillaFixedVsLibor1m",
    "VanillaFixedVsLibor3mWithFixing",
    "BasisCompoundedFlatLibor1mVsLibor3m",
    "Stub1mFixed6mVsLibor3m",
    "InterpStub4mFixed6mVsLibor6m",
    "AmortizingFixedVsLibor3m",
    "CompoundingOisWithFixing",
)


@pytest.mark.parametrize("name", CASES)
def test_a_swap_has_the_value_strata_gives(name: str) -> None:
    case = next(case for case in table()["cases"] if case["id"] == name)
    result = calculate([Swap(id=name, legs=legs_of(name))], market("1"), measures=("pv",))
    assert result.status[0, 0] == 0, result.failures
    assert abs(result.pv[0, 0] - case["expected_pv"]) <= case["abs_tol"]


def test_no_swap_of_the_table_is_left_out() -> None:
    assert {case["id"] for case in table()["cases"]} == set(CASES)


def test_a_cross_currency_swap_has_the_values_strata_gives() -> None:
    case = table()["xccy_cases"][0]
    exchanged: dict[str, Any] = {"initial_exchange": True, "final_exchange": True}
    shared = rolled("2014-01-24", "2016-01-24", "3M") | exchanged
    euro = FloatingLeg(
        payer=True, day_count="A360", index="EUR-EURIBOR-3M", spreads=(0.0020,), **shared | {"currency": "EUR"}
    )
    dollar = libor(False, "3M", **shared | {"notionals": (1.2e8,)})
    trades = [Swap(id="EUR", legs=(euro,)), Swap(id="USD", legs=(dollar,))]
    result = calculate(trades, market("2"), measures=("pv",))
    own = result.measures["pv_trade_currency"]
    assert abs(own[0] - case["expected_pv_EUR"]) <= case["abs_tol"]
    assert abs(own[1] - case["expected_pv_USD"]) <= case["abs_tol"]
    assert result.pv[0, 0] == pytest.approx(1.2 * own[0], rel=1e-14)
    assert math.isfinite(result.pv.sum())
