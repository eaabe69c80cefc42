"""xip_core.pricing.curves_pillars"""

from __future__ import annotations

import datetime as dt

import pytest

from tests.core.ore_directory import needs_ore, ore_rows, ore_snapshot
from tests.core.small_market import AS_OF, INDICES, curves
from xip_core.errors import CalibrationError
from xip_core.model import market_instruments as instruments
from xip_core.model.dates import date_of, day_number
from xip_core.model.market import HazardDefinition
from xip_core.model.market_instruments import CurveDefinition, Pillar
from xip_core.pricing.curves_pillars import (
    add_tenors,
    advance_days,
    cds_maturity,
    curve_instruments,
    days_after,
    hazard_knot_days,
)

AS_OF_DAY = day_number(AS_OF)
BY_NAME = {index.name: index for index in INDICES}


def dates(*texts: str) -> list[int]:
    return [day_number(dt.date.fromisoformat(text)) for text in texts]


def curve_of(segment: instruments.Segment) -> CurveDefinition:
    return CurveDefinition(name="X", currency="EUR", segments=(segment,))


def pillars_of(definition: CurveDefinition) -> list[str]:
    return [date_of(item.pillar_day).isoformat() for item in curve_instruments(definition, BY_NAME, AS_OF_DAY)]


def test_tenors_stand_on_business_days_and_dates_where_they_are():
    """A year from the as-of date, and 324 days on Christmas, are Sundays."""
    tenors = ("324D", "1Y", "2017-09-17")
    assert days_after(AS_OF_DAY, tenors, "NullCalendar") == dates("2016-12-25", "2017-02-05", "2017-09-17")
    assert days_after(AS_OF_DAY, tenors, "WeekendsOnly") == dates("2016-12-26", "2017-02-06", "2017-09-17")
    assert days_after(AS_OF_DAY, tenors, "US") == dates("2016-12-27", "2017-02-06", "2017-09-17")


def test_tenors_move_by_days_months_and_dates():
    """Business days for D, calendar days for W, months rolled; a date stands for itself."""
    start = day_number(dt.date(2016, 2, 5))  # a Friday
    moved = add_tenors("TARGET", start, ("1D", "1W", "1M", "1Y3M", "2016-02-06"), "modified_following", False)
    assert moved.tolist() == dates("2016-02-08", "2016-02-12", "2016-03-07", "2017-05-05", "2016-02-06")


def test_end_of_month_moves_to_business_month_ends():
    """From the last business day of February; weeks are no months."""
    start = day_number(dt.date(2016, 2, 29))
    moved = add_tenors("TARGET", start, ("1M", "2M", "1W"), "modified_following", True)
    assert moved.tolist() == dates("2016-03-31", "2016-04-29", "2016-03-07")


def test_spot_is_counted_from_a_business_day():
    """From a Saturday, two business days are Wednesday, as from Monday."""
    saturday = day_number(dt.date(2016, 2, 6))
    assert advance_days("TARGET", saturday, 2) == day_number(dt.date(2016, 2, 10))
    assert advance_days("TARGET", saturday, 0) == day_number(dt.date(2016, 2, 8))


def test_pillar_of_an_overnight_swap_is_its_last_payment():
    """One business day after its end in EUR, two in USD."""
    assert pillars_of(curves()[0]) == ["2016-02-08", "2017-02-10", "2018-02-12", "2021-02-10", "2026-02-10"]
    assert pillars_of(curves()[2])[0] == "2017-02-13"


def test_pillar_of_an_fra_is_the_end_of_its_index_period():
    """Six months from spot plus six months."""
    assert pillars_of(curves()[1])[:2] == ["2016-08-09", "2017-02-09"]


def test_unknown_index_names_curve_and_instrument():
    """A definition that cannot be laid out is told apart from a bad quote."""
    segment = instruments.ForwardRateAgreements(pillars=(Pillar("6M", "Q"),), index="EUR-NOWHERE")
    with pytest.raises(CalibrationError, match="curve/X: Q: rate index EUR-NOWHERE is not defined"):
        curve_instruments(curve_of(segment), BY_NAME, AS_OF_DAY)


def test_unknown_calendar_names_curve_and_instrument():
    """The calendar's own sentence is kept."""
    segment = instruments.Deposits(
        pillars=(Pillar("6M", "Q"),), settlement_days=2, calendar="MARS", convention="following", day_count="A360"
    )
    with pytest.raises(CalibrationError, match=r"curve/X: Q: .*MARS"):
        curve_instruments(curve_of(segment), BY_NAME, AS_OF_DAY)


def test_two_instruments_with_one_pillar_are_refused():
    """12M and 1Y: two quotes for one unknown."""
    segment = instruments.ZeroRates(pillars=(Pillar("12M", "A"), Pillar("1Y", "B")))
    with pytest.raises(CalibrationError, match="curve/X: B: pillar must be later than that of A, got 2017-02-06"):
        curve_instruments(curve_of(segment), BY_NAME, AS_OF_DAY)


def test_pillar_in_the_past_is_refused():
    """A discount factor of yesterday is no market."""
    segment = instruments.DiscountFactors(pillars=(Pillar("2016-02-05", "A"),))
    with pytest.raises(CalibrationError, match="curve/X: A: pillar must be later than that of the as-of date"):
        curve_instruments(curve_of(segment), BY_NAME, AS_OF_DAY)


@pytest.mark.parametrize(
    ("trade_date", "tenor", "maturity"),
    [
        (dt.date(2016, 2, 5), "5Y", dt.date(2020, 12, 20)),
        (dt.date(2016, 3, 19), "5Y", dt.date(2020, 12, 20)),
        (dt.date(2016, 3, 20), "5Y", dt.date(2021, 6, 20)),
        (dt.date(2016, 9, 19), "5Y", dt.date(2021, 6, 20)),
        (dt.date(2016, 9, 20), "5Y", dt.date(2021, 12, 20)),
        (dt.date(2016, 2, 5), "6M", dt.date(2016, 6, 20)),
    ],
)
def test_cds_maturity_rolls_in_march_and_september(trade_date, tenor, maturity):
    """ISDA amendment of December 2015: on-the-run contracts roll twice a year."""
    assert cds_maturity(trade_date, tenor) == maturity


def test_hazard_rates_end_at_their_tenors():
    """Calendar days: a rate needs no business day."""
    definition = HazardDefinition(
        name="H", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("1Y", "A"), Pillar("2Y", "B"))
    )
    assert list(hazard_knot_days(definition, AS_OF_DAY)) == dates("2017-02-05", "2018-02-05")


def test_hazard_pillars_must_ascend():
    """12M after 1Y is the same contract twice."""
    definition = HazardDefinition(
        name="H", currency="EUR", recovery_rate=0.4, cds_spreads=(Pillar("1Y", "A"), Pillar("12M", "B"))
    )
    with pytest.raises(CalibrationError, match="hazard/H: B: pillars must ascend"):
        hazard_knot_days(definition, AS_OF_DAY)


@needs_ore
def test_pillars_of_the_reference_market_are_those_of_ore():
    """Dates of every quoted pillar of every curve that ORE bootstraps from instruments."""
    snapshot = ore_snapshot()
    expected: dict[str, list[str]] = {}
    for row in ore_rows("todaysmarketcalibration.csv.gz"):
        if row["MarketObjectType"] == "yieldCurve" and row["ResultId"] == "mdQuote":
            expected.setdefault(row["MarketObjectId"], []).append(row["ResultKey1"])
    indices = {index.name: index for index in snapshot.indices}
    compared = {}
    for definition in snapshot.curves:
        if definition.name in expected:
            found = curve_instruments(definition, indices, day_number(snapshot.as_of))
            compared[definition.name] = [date_of(item.pillar_day).isoformat() for item in found]
    assert len(compared) >= 18
    assert compared == {name: expected[name] for name in compared}
