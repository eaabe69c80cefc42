"""Start, maturity and pillar day of every instrument a curve is built from.

The **pillar** is where the instrument puts its knot: the last day its value depends on, payment lags included. So the
system of a curve is lower triangular in the order of its pillars, and the knots are known from conventions alone,
before any quote is looked at.

Days are day numbers of `xip_core.model.dates`. Conventions follow the market: overnight tenors count business days,
other tenors calendar days or months that are then rolled; spot dates count business days of the fixing calendar.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.errors import CalibrationError
from xip_core.model import market_instruments as instruments
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number, join_days, parse_tenor, shift_date, split_days
from xip_core.model.market import HazardDefinition
from xip_core.model.market_instruments import CurveDefinition, RateIndex, Segment


class Instrument(msgspec.Struct, frozen=True):
    """One quoted instrument with its days.

    Attributes:
        segment: position of its segment in the curve.
        start_day, end_day: of the (first) accrual period and of the last.
        pillar_day: where its knot stands.
    """

    quote: str
    tenor: str
    segment: int
    start_day: int
    end_day: int
    pillar_day: int


def advance_days(calendar_names: str, day: int, business_days: int) -> int:
    """*day*, rolled to a business day if it is none, then moved by business days."""
    days_of = calendar(calendar_names)
    rolled = days_of.adjust(np.array([day]), "following")
    return int(days_of.advance(rolled, business_days)[0]) if business_days else int(rolled[0])


def add_tenors(
    calendar_names: str, start_day: int, tenors: Sequence[str], convention: str, end_of_month: bool
) -> np.ndarray:
    """*start_day* moved by each tenor and rolled. A tenor that is an ISO date stands for itself.

    Args:
        end_of_month: from the last business day of a month, move to last business days.

    Raises:
        ValueError: a tenor is neither.
    """
    days_of = calendar(calendar_names)
    months, days = np.zeros(len(tenors), dtype=np.int64), np.zeros(len(tenors), dtype=np.int64)
    business_days, fixed_days = np.zeros_like(days), np.full(len(tenors), -1)
    for position, tenor in enumerate(tenors):
        if "-" in tenor:
            fixed_days[position] = day_number(dt.date.fromisoformat(tenor))
        elif tenor.endswith("D") and tenor[:-1].isdigit():
            business_days[position] = int(tenor[:-1])
        else:
            months[position], days[position] = parse_tenor(tenor)
    start_month, day_of_month = split_days(np.array([start_day]))
    moved = join_days(start_month + months, np.full(len(tenors), day_of_month[0])) + days
    rolled = days_of.adjust(moved, convention)
    if end_of_month and start_day >= int(days_of.month_end(np.array([start_day]))[0]):
        rolled = np.where(months > 0, days_of.month_end(moved), rolled)
    counts_business_days = business_days > 0
    if counts_business_days.any():
        stepped = [advance_days(calendar_names, start_day, int(count)) for count in business_days[counts_business_days]]
        rolled = rolled.copy()
        rolled[counts_business_days] = stepped
    return np.where(fixed_days >= 0, fixed_days, rolled)


def days_after(as_of_day: int, tenors: Sequence[str], calendar_names: str) -> list[int]:
    """Where tenors of calendar days or months end, or the business day after. ISO dates stand for themselves.

    Raises:
        ValueError: a tenor is neither; an unknown calendar.
    """
    ends = add_tenors("NullCalendar", as_of_day, tenors, "unadjusted", False)
    rolled = calendar(calendar_names).adjust(ends, "following")
    return np.where(["-" in tenor for tenor in tenors], ends, rolled).tolist()  # type: ignore[no-any-return]  # integers


def index_spot_day(index: RateIndex, day: int) -> int:
    """Value date of a deposit of *index* fixed on *day*."""
    value_day = advance_days(index.calendar, day, index.settlement_days)
    return advance_days(index.value_calendar, value_day, 0) if index.value_calendar else value_day


def index_end_days(index: RateIndex, start_days: Sequence[int]) -> list[int]:
    """Maturities of the deposits of *index* that start on *start_days*."""
    calendar_names = index.value_calendar or index.calendar
    return [
        int(add_tenors(calendar_names, day, (index.tenor,), index.convention, index.end_of_month)[0])
        for day in start_days
    ]


def curve_instruments(
    definition: CurveDefinition, indices: dict[str, RateIndex], as_of_day: int
) -> tuple[Instrument, ...]:
    """All instruments of a curve in the order of their pillars.

    Raises:
        CalibrationError: an undefined index, a bad tenor or calendar, a pillar on or before the as-of date, or two
            instruments with one pillar; names the curve and the instrument.
    """
    found: list[Instrument] = []
    for position, segment in enumerate(definition.segments):
        if not segment.pillars:
            continue
        first = segment.pillars[0].quote
        try:
            found.extend(_segment_instruments(segment, position, indices, as_of_day))
        except KeyError as error:
            message = f"rate index {error.args[0]} is not defined"
            raise CalibrationError(f"curve/{definition.name}", first, message) from error
        except (ValueError, OverflowError) as error:
            raise CalibrationError(f"curve/{definition.name}", first, str(error)) from error
    found.sort(key=lambda item: item.pillar_day)
    previous_day, previous_quote = as_of_day, "the as-of date"
    for item in found:
        if item.pillar_day <= previous_day:
            message = f"pillar must be later than that of {previous_quote}, got {date_of(item.pillar_day)}"
            raise CalibrationError(f"curve/{definition.name}", item.quote, message)
        previous_day, previous_quote = item.pillar_day, item.quote
    return tuple(found)


def _segment_instruments(
    segment: Segment, position: int, indices: dict[str, RateIndex], as_of_day: int
) -> list[Instrument]:
    tenors = [pillar.tenor for pillar in segment.pillars]
    starts, ends, pillars = _segment_days(segment, tenors, indices, as_of_day)
    return [
        Instrument(pillar.quote, pillar.tenor, position, int(start), int(end), int(knot))
        for pillar, start, end, knot in zip(segment.pillars, starts, ends, pillars, strict=True)
    ]


def _segment_days(
    segment: Segment, tenors: list[str], indices: dict[str, RateIndex], as_of_day: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and pillar days of one segment's instruments."""
    count = len(tenors)
    match segment:
        case instruments.Deposits():
            start = advance_days(segment.calendar, as_of_day, segment.settlement_days)
            ends = add_tenors(segment.calendar, start, tenors, segment.convention, segment.end_of_month)
            return np.full(count, start), ends, ends
        case instruments.ForwardRateAgreements():
            index = indices[segment.index]
            spot = index_spot_day(index, as_of_day)
            starts = add_tenors(index.calendar, spot, tenors, index.convention, index.end_of_month)
            ends = np.array(index_end_days(index, starts.tolist()))
            return starts, ends, ends
        case instruments.OvernightSwaps():
            start = advance_days(segment.calendar, as_of_day, segment.settlement_days)
            ends = add_tenors(segment.calendar, start, tenors, segment.fixed_convention, segment.end_of_month)
            paid = calendar(segment.calendar).advance(ends, segment.payment_lag_days)
            return np.full(count, start), ends, paid
        case instruments.FixedFloatSwaps():
            index = indices[segment.index]
            start = index_spot_day(index, as_of_day)
            ends = add_tenors(segment.fixed_calendar, start, tenors, index.convention, index.end_of_month)
            fixed = add_tenors(segment.fixed_calendar, start, tenors, segment.fixed_convention, index.end_of_month)
            return np.full(count, start), ends, np.maximum(ends, fixed)
        case instruments.TwoSwapBasis():
            index = indices[segment.long_index]
            start = index_spot_day(index, as_of_day)
            ends = add_tenors(segment.fixed_calendar, start, tenors, index.convention, index.end_of_month)
            fixed = add_tenors(segment.fixed_calendar, start, tenors, segment.fixed_convention, index.end_of_month)
            return np.full(count, start), ends, np.maximum(ends, fixed)
        case instruments.TenorBasisSwaps():
            index = indices[segment.pay_index]
            start = index_spot_day(index, as_of_day)
            ends = add_tenors(index.calendar, start, tenors, index.convention, index.end_of_month)
            return np.full(count, start), ends, ends
        case instruments.FxForwards():
            start = advance_days(segment.calendar, as_of_day, segment.spot_days)
            ends = add_tenors(segment.calendar, start, tenors, "modified_following", False)
            return np.full(count, start), ends, ends
        case instruments.CrossCurrencyBasisSwaps():
            start = advance_days(segment.calendar, as_of_day, segment.settlement_days)
            ends = add_tenors(segment.calendar, start, tenors, segment.convention, False)
            return np.full(count, start), ends, ends
        case instruments.ZeroRates() | instruments.ZeroSpreads():
            start = advance_days(segment.calendar, as_of_day, segment.settlement_days)
            ends = add_tenors(segment.calendar, start, tenors, "following", False)
            return np.full(count, as_of_day), ends, ends
        case instruments.DiscountFactors():
            ends = add_tenors("NullCalendar", as_of_day, tenors, "unadjusted", False)
            return np.full(count, as_of_day), ends, ends


def cds_maturity(trade_date: dt.date, tenor: str) -> dt.date:
    """Maturity of a standard contract under the rule of December 2015: rolls in March and September.

    *tenor* may be the maturity itself, an ISO date.
    """
    if "-" in tenor:
        return dt.date.fromisoformat(tenor)
    anchor = dt.date(trade_date.year, 3, 20)
    while anchor > trade_date:
        anchor = shift_date(anchor, "6M", -1)
    while shift_date(anchor, "6M") <= trade_date:
        anchor = shift_date(anchor, "6M")
    months, _ = parse_tenor(tenor)
    return shift_date(anchor, f"{months + 3}M")


def hazard_knot_days(definition: HazardDefinition, as_of_day: int) -> tuple[int, ...]:
    """Knots of a survival curve: rolled CDS maturities, or the ends of the constant hazard rates.

    Raises:
        CalibrationError: two pillars on one day, or none after the as-of date.
    """
    pillars = definition.contracts or definition.hazard_rates
    if definition.contracts:
        as_of = date_of(as_of_day)
        ends = np.array([day_number(cds_maturity(as_of, pillar.tenor)) for pillar in pillars])
        is_isda = definition.isda is not msgspec.UNSET  # whose knots are the maturities themselves
        days = ends.tolist() if is_isda else calendar(definition.calendar).adjust(ends, "following").tolist()
    else:
        days = add_tenors("NullCalendar", as_of_day, [p.tenor for p in pillars], "unadjusted", False).tolist()
    for before, day, pillar in zip((as_of_day, *days), days, pillars, strict=False):
        if day <= before:
            message = f"pillars must ascend from the as-of date, got {date_of(day)}"
            raise CalibrationError(f"hazard/{definition.name}", pillar.quote, message)
    return tuple(days)
