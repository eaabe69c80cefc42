"""Inflation curves and legs: against ORE's levels month by month, and against numbers a hand can follow."""

from __future__ import annotations

import datetime as dt
import functools
import math
from typing import Any

import numpy as np
import pytest

from tests.core.pricing.flat_market import AS_OF, a_snapshot
from tests.core.pricing.ore_reference import ORE, needs_ore, read_table
from xip_core.errors import FailureReason
from xip_core.model.dates import day_number
from xip_core.model.market import Snapshot
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import CpiLeg, FixedLeg, Leg, Schedule, Swap, YearOnYearLeg
from xip_core.pricing import Calculation, calculate, requirements
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.inflation import month_of
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve_inflation import observed_month
from xip_core.readers.ore_market import read_ore_market

BASE = 300.0  # of 2023-11, the month observed on 2024-01-15 with a lag of 2 months
SEASONS = tuple(1.0 + 0.01 * math.sin(month) for month in range(12))


def an_inflation_market(quotes: dict[str, float | str] | None = None, **changes: Any) -> Snapshot:
    """The flat market with a price index RPI: zero-coupon swaps at 3 %, year-on-year swaps at 2 %."""
    levels = InflationDefinition(
        name="RPI",
        currency="EUR",
        swaps=tuple(Pillar(tenor, f"RPI {tenor}") for tenor in ("1Y", "2Y", "5Y", "10Y")),
        observation_lag="2M",
        **changes,
    )
    growths = YearOnYearDefinition(
        name="YOY",
        currency="EUR",
        swaps=tuple(Pillar(tenor, f"YOY {tenor}") for tenor in ("1Y", "3Y", "7Y")),
        observation_lag="2M",
        discount_curve="EUR1D",
        base_rate=0.01,
        calendar="TARGET",
    )
    given: dict[str, float | str] = {f"RPI {tenor}": 0.03 for tenor in ("1Y", "2Y", "5Y", "10Y")}
    given |= {"YOY 1Y": 0.02, "YOY 3Y": 0.022, "YOY 7Y": 0.025}
    given |= {f"season {month}": season for month, season in enumerate(SEASONS)}
    fixings = {"RPI": {dt.date(2023, month, 1): 289.0 + month for month in range(1, 12)}}
    return a_snapshot(given | (quotes or {}), inflations=(levels,), year_on_years=(growths,), fixings=fixings)


def a_cpi_leg(**changes: Any) -> CpiLeg:
    fields: dict[str, Any] = {
        "payer": False,
        "currency": "EUR",
        "notionals": (1e6,),
        "day_count": "1/1",
        "schedule": Schedule(
            start=dt.date(2024, 1, 15), end=dt.date(2029, 1, 15), tenor="5Y", calendar="NullCalendar", rule="zero"
        ),
        "index": "RPI",
        "observation_lag": "2M",
        "rates": (0.0,),
        "final_exchange": True,
        "subtracts_notional": True,
    }
    return CpiLeg(**fields | changes)


def priced(leg: Leg, snapshot: Snapshot | None = None, **more: Any) -> Calculation:
    return calculate([Swap(id="T", legs=(leg,))], snapshot or an_inflation_market(), **more)


def discount(day: dt.date) -> float:
    return math.exp(-0.02 * (day - AS_OF).days / 365.0)


# ---- curves ---------------------------------------------------------------------------------------------------------


@functools.cache
def ore_levels() -> dict[str, dict[str, float]]:
    rows = read_table("curves_daily_df.csv.gz")
    return {name: {row["Date"][:7]: float(row[name]) for row in rows} for name in ("UKRPI", "EUHICPXT")}


@functools.cache
def ore_market() -> tuple[SnapshotLayout, np.ndarray]:
    snapshot = read_ore_market(ORE)
    layout = SnapshotLayout(snapshot)
    market, failures = calibrator_of(snapshot, layout).calibrate([{}])
    assert not [name for name, _ in failures if name.startswith(("inflation", "year"))]
    return layout, market[:, 0]


@needs_ore
@pytest.mark.parametrize(("index", "base"), [("UKRPI", 260.6), ("EUHICPXT", 100.17)])
def test_levels_from_quotes_are_those_of_ore_in_every_month_of_30_years(index: str, base: float) -> None:
    layout, market = ore_market()
    reached = {month: level for month, level in ore_levels()[index].items() if month <= "2046-11"}
    assert len(reached) == 370
    for month, expected in reached.items():
        ((factor, _),) = layout.log_growth(index, dt.date.fromisoformat(f"{month}-01"))
        assert base * math.exp(market[factor]) == pytest.approx(expected, rel=1e-12)  # ORE iterates to 1e-12


@needs_ore
def test_yearly_growth_from_quotes_is_that_of_ore_at_every_swap() -> None:
    layout, market = ore_market()
    rows = [row for row in read_table("todaysmarketcalibration.csv.gz") if row["MarketObjectId"] == "EUHICPXT_YY_Swaps"]
    growths = {row["ResultKey1"]: float(row["ResultValue"]) for row in rows if row["ResultId"] == "yoyRate"}
    assert len(growths) == 15
    for month, expected in growths.items():
        refs = layout.year_on_year("EUHICPXT", dt.date.fromisoformat(month))
        assert refs is not None
        assert sum(weight * market[factor] for factor, weight in refs) == pytest.approx(expected, abs=5e-9)


def test_a_zero_coupon_swap_at_its_quote_is_worth_nothing_whatever_the_seasons() -> None:
    quotes: dict[str, float | str] = {"RPI 1Y": 0.025, "RPI 2Y": 0.031, "RPI 5Y": 0.035, "RPI 10Y": 0.02}
    snapshot = an_inflation_market(quotes, seasonality=tuple(f"season {month}" for month in range(12)))
    for tenor, years in (("1Y", 1), ("2Y", 2), ("5Y", 5), ("10Y", 10)):
        ends = dt.date(2024 + years, 1, 15)
        schedule = Schedule(start=AS_OF, end=ends, tenor="1Y", calendar="NullCalendar")
        rate = quotes[f"RPI {tenor}"]
        assert isinstance(rate, float)
        fixed = FixedLeg(
            payer=True, currency="EUR", notionals=(1e6,), day_count="1/1", schedule=schedule, rates=(rate,),
            periods_per_payment=0, compounding="straight",
        )  # fmt: skip
        swap = Swap(id="T", legs=(a_cpi_leg(schedule=Schedule(dates=(AS_OF, ends), calendar="NullCalendar")), fixed))
        assert abs(calculate([swap], snapshot).pv[0, 0]) <= 1e-9, tenor


def test_year_on_year_swaps_at_their_quotes_are_worth_nothing() -> None:
    for tenor, rate in (("1Y", 0.02), ("3Y", 0.022), ("7Y", 0.025)):
        schedule = Schedule(
            start=AS_OF, end=dt.date(2024 + int(tenor[0]), 1, 15), tenor="1Y", calendar="NullCalendar",
            convention="unadjusted",
        )  # fmt: skip
        shared: dict[str, Any] = {
            "currency": "EUR", "notionals": (1e6,), "day_count": "30/360", "schedule": schedule,
            "payment_calendar": "TARGET", "payment_convention": "modified_following",
        }  # fmt: skip
        legs = (
            YearOnYearLeg(payer=False, index="YOY", observation_lag="2M", **shared),
            FixedLeg(payer=True, rates=(rate,), **shared),
        )
        assert abs(calculate([Swap(id="T", legs=legs)], an_inflation_market()).pv[0, 0]) <= 1e-9, tenor


def test_growth_before_the_first_swap_starts_from_the_base_rate() -> None:
    layout = SnapshotLayout(an_inflation_market())
    begin, _ = layout.ranges["year_on_year/YOY"]
    assert layout.year_on_year("YOY", dt.date(2023, 11, 1)) == ((begin, 1.0),)
    refs = layout.year_on_year("YOY", dt.date(2024, 5, 1))
    assert refs is not None
    assert refs == ((begin, pytest.approx(1.0 - 182 / 366)), (begin + 1, pytest.approx(182 / 366)))


# ---- legs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "month"), [((2020, 4, 3), 2), ((2019, 4, 3), 2), ((2019, 4, 2), 1)])
def test_fixing_days_of_a_year_on_year_coupon_are_calendar_days(end: tuple[int, int, int], month: int) -> None:
    """Two months and two days before 3 April is 1 February; two business days would lead to January in both years."""
    schedule = Schedule(start=dt.date(end[0] - 1, 4, 3), end=dt.date(*end), tenor="1Y")
    shared: dict[str, Any] = {"currency": "EUR", "notionals": (1e6,), "day_count": "30/360", "schedule": schedule}
    leg = YearOnYearLeg(payer=False, index="YOY", observation_lag="2M", fixing_days=2, **shared)
    assert observed_month(leg, day_number(dt.date(*end))) == month_of(day_number(dt.date(end[0], month, 1)))


def test_a_zero_coupon_leg_pays_the_growth_of_the_index() -> None:
    # base 2023-11 is published, 2028-11 is five years of 3 % later; the base of the leg is the base of the curve
    expected = 1e6 * (1.03**5 - 1.0) * discount(dt.date(2029, 1, 15))
    assert priced(a_cpi_leg()).pv[0, 0] == pytest.approx(expected, rel=1e-12)
    whole = a_cpi_leg(subtracts_notional=False)
    expected += 1e6 * discount(dt.date(2029, 1, 15))
    assert priced(whole).pv[0, 0] == pytest.approx(expected, rel=1e-12)


def test_real_coupons_grow_with_the_index_from_an_agreed_base() -> None:
    schedule = Schedule(start=AS_OF, end=dt.date(2026, 1, 15), tenor="1Y", calendar="NullCalendar")
    leg = a_cpi_leg(schedule=schedule, rates=(0.01, 0.02), base_index=250.0, final_exchange=False)
    first = 1e4 * BASE * 1.03 / 250.0 * discount(dt.date(2025, 1, 15))
    second = 2e4 * BASE * 1.03**2 / 250.0 * discount(dt.date(2026, 1, 15))
    assert priced(leg).pv[0, 0] == pytest.approx(first + second, rel=1e-12)
    paid = calculate([Swap(id="T", legs=(a_cpi_leg(payer=True),))], an_inflation_market())
    assert paid.pv[0, 0] == -priced(a_cpi_leg()).pv[0, 0]


def test_an_interpolated_level_lies_between_two_months_by_the_day_of_the_payment() -> None:
    flat, linear = a_cpi_leg(base_index=1.0), a_cpi_leg(base_index=1.0, observation="linear")
    layout, snapshot = SnapshotLayout(an_inflation_market()), an_inflation_market()
    market, _ = calibrator_of(snapshot, layout).calibrate([{}])
    ((november, _),) = layout.log_growth("RPI", dt.date(2028, 11, 1))
    levels = BASE * np.exp(market[november : november + 2, 0])
    difference = priced(linear).pv[0, 0] - priced(flat).pv[0, 0]
    expected = 1e6 * (levels[1] - levels[0]) * 14 / 31 * discount(dt.date(2029, 1, 15))
    assert difference == pytest.approx(expected, rel=1e-9)


def test_published_levels_are_used_and_the_rest_is_forecast() -> None:
    schedule = Schedule(start=dt.date(2023, 6, 15), end=dt.date(2025, 6, 15), tenor="1Y", calendar="NullCalendar")
    leg = YearOnYearLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="1/1", schedule=schedule, index="RPI",
        observation_lag="8M",
    )  # fmt: skip
    # 2023-10 over 2022-10, of which the second is not published; then 2024-10 over 2023-10
    failed = priced(leg)
    assert failed.failures["T"].reason == FailureReason.MISSING_DATA
    assert "RPI of 2022-10 is missing" in failed.failures["T"].message
    later = YearOnYearLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="1/1", index="RPI", observation_lag="8M",
        schedule=Schedule(start=dt.date(2024, 6, 15), end=dt.date(2025, 6, 15), tenor="1Y", calendar="NullCalendar"),
        spreads=(0.001,), gearings=(2.0,),
    )  # fmt: skip
    years = 61 / 365 + 274 / 366  # from 2023-11 to 2024-10, ACT/ACT
    zero_rate = 1.03 ** (1.0 / (61 / 365 + 305 / 366)) - 1.0  # flat before the first swap, which ends 2024-11
    level = BASE * (1.0 + zero_rate) ** years
    expected = 1e6 * (2.0 * (level / 299.0 - 1.0) + 0.001) * discount(dt.date(2025, 6, 15))
    assert priced(later).pv[0, 0] == pytest.approx(expected, rel=1e-10)


# ---- scenarios and faults -------------------------------------------------------------------------------------------


def test_a_shift_of_inflation_moves_levels_and_yearly_growth_and_nothing_else() -> None:
    up = Shift(target="inflation", name="*", shift_bps=10)
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(up,))))
    result = priced(a_cpi_leg(), scenarios=scenarios)
    expected = 1e6 * (1.031**5 - 1.03**5) * discount(dt.date(2029, 1, 15))
    assert result.pv[0, 1] - result.pv[0, 0] == pytest.approx(expected, rel=1e-9)
    needed = requirements([Swap(id="T", legs=(a_cpi_leg(),))], an_inflation_market())
    assert needed[0].market_objects == ("curve/EUR1D", "inflation/RPI")


def test_dv01_of_an_inflation_leg_is_that_of_its_discounting() -> None:
    result = priced(a_cpi_leg())
    years = (dt.date(2029, 1, 15) - AS_OF).days / 365.0
    assert result.measures["dv01"][0] == pytest.approx(result.pv[0, 0] * math.expm1(-years * 1e-4), rel=1e-9)


@pytest.mark.parametrize(
    ("quotes", "message"),
    [
        ({"RPI 5Y": "NaN"}, "quote RPI 5Y must be a finite number"),
        ({"RPI 5Y": -1.5}, "quote RPI 5Y must be above -1"),
        ({"season 3": 0.0}, "quote season 3 must be positive"),
    ],
)
def test_a_quote_outside_its_domain_fails_the_curve(quotes: dict[str, float | str], message: str) -> None:
    snapshot = an_inflation_market(quotes, seasonality=tuple(f"season {month}" for month in range(12)))
    failure = priced(a_cpi_leg(), snapshot).failures["T"]
    assert failure.reason == FailureReason.BAD_QUOTE
    assert message in failure.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"swaps": (Pillar("2Y", "RPI 2Y"), Pillar("1Y", "RPI 1Y"))}, "lengths of swaps must ascend"),
        ({"swaps": (Pillar("3W", "RPI 1Y"),)}, "must be of whole months"),
        ({"swaps": ()}, "must have a swap"),
        ({"seasonality": ("season 0",)}, "a season for each month"),
    ],
)
def test_a_curve_that_cannot_be_laid_out_breaks_alone(changes: dict[str, Any], message: str) -> None:
    market = an_inflation_market()
    definition = {**{f: getattr(market.inflations[0], f) for f in market.inflations[0].__struct_fields__}, **changes}
    broken = an_inflation_market()
    broken = type(broken)(**{
        **{f: getattr(broken, f) for f in broken.__struct_fields__},
        "inflations": (InflationDefinition(**definition),),
    })  # fmt: skip
    failure = priced(a_cpi_leg(), broken).failures["T"]
    assert failure.reason == FailureReason.CALIBRATION_FAILED
    assert message in failure.message


def test_a_level_more_than_a_year_beyond_the_last_swap_is_missing_data() -> None:
    leg = a_cpi_leg(schedule=Schedule(dates=(AS_OF, dt.date(2035, 2, 15)), calendar="NullCalendar"))
    failure = priced(leg).failures["T"]
    assert failure.reason == FailureReason.MISSING_DATA
    assert "no level of RPI for 2034-12, only up to 2034-11" in failure.message


def test_months_count_from_january_1900() -> None:
    assert month_of(0) == 70 * 12
