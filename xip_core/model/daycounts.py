"""Day counts: the year fraction between two dates, vectorised over periods.

    A360          days / 360
    A365F         days / 365
    30/360        bond basis: day 31 becomes 30; the end's 31 only where the start is 30 or 31 (2006 ISDA 4.16(f))
    30E/360       eurobond basis: day 31 becomes 30 at both ends (4.16(g))
    30E/360 ISDA  as 30E/360, and the last day of February is a day 30, unless it is the leg's last date (4.16(h))
    30U/360       as 30/360, and the last day of February is a day 30 at the start, at the end if at both
    ACT/ACT ISDA  days of leap years / 366 + other days / 365 (4.16(b))
    ACT/ACT AFB   whole years back from the end, the rest over 366 if it holds a 29 February, else over 365 (AFB 1994)
    NL/365        days but 29 Februaries / 365
    1/1           1
    ACT/ACT ICMA  1 / frequency for a regular coupon, stubs in parts of it (ICMA rule 251); needs the coupon's tenor
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xip_core.model.dates import DayNumbers, add_tenor, month_ends, split_days

Fractions = npt.NDArray[np.float64]


def year_fractions(
    day_count: str, begins: DayNumbers, ends: DayNumbers, tenor_months: int = 0, termination_day: int | None = None
) -> Fractions:
    """Years between each begin and end.

    Args:
        day_count: a DayCount of xip_core.model.trade.
        begins, ends: day numbers, one shape, begin <= end.
        tenor_months: of the coupon period, for ACT/ACT ICMA alone.
        termination_day: last day of the leg, for 30E/360 ISDA alone; None means there is none among *ends*.

    Returns:
        float64 of the same shape.

    Raises:
        ValueError: an unknown day count, or ICMA without a tenor that divides a year.
    """
    if day_count == "A360":
        return (ends - begins) / 360.0
    if day_count == "A365F":
        return (ends - begins) / 365.0
    if day_count in ("30/360", "30E/360", "30U/360", "30E/360 ISDA"):
        return _thirty_360(day_count, begins, ends, termination_day)
    if day_count == "ACT/ACT AFB":
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        return np.array([_actual_afb(begin, end) for begin, end in pairs])
    if day_count == "NL/365":
        return (ends - begins - (_leap_days_until(ends) - _leap_days_until(begins))) / 365.0
    if day_count == "1/1":
        return np.ones(len(begins))
    if day_count == "ACT/ACT ISDA":
        return _actual_isda(begins, ends)
    if day_count == "ACT/ACT ICMA":
        if tenor_months <= 0 or 12 % tenor_months:
            raise ValueError(f"ACT/ACT ICMA needs a coupon tenor of 1, 2, 3, 4, 6 or 12 months, got {tenor_months}")
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        fractions = [_actual_icma(begin, end, tenor_months) for begin, end in pairs]
        if len(fractions) > 1:  # a stub at the back is part of the coupon that would have begun with it
            fractions[-1] = _actual_icma(int(ends[-1]), int(begins[-1]), -tenor_months)
        return np.array(fractions)
    raise ValueError(f"unknown day count {day_count!r}")


def _thirty_360(day_count: str, begins: DayNumbers, ends: DayNumbers, termination_day: int | None) -> Fractions:
    begin_month, begin_day = split_days(begins)
    end_month, end_day = split_days(ends)
    if day_count == "30U/360":
        from_february_end, to_february_end = _is_february_end(begins), _is_february_end(ends)
        end_day = np.where(from_february_end & to_february_end, 30, end_day)
        begin_day = np.where(from_february_end, 30, begin_day)
    if day_count == "30E/360 ISDA":
        begin_day = np.where(_is_february_end(begins), 30, begin_day)
        end_day = np.where(_is_february_end(ends) & (ends != termination_day), 30, end_day)
    begin_day = np.minimum(begin_day, 30)
    if day_count in ("30E/360", "30E/360 ISDA"):
        end_day = np.minimum(end_day, 30)
    else:
        end_day = np.where((end_day == 31) & (begin_day == 30), 30, end_day)
    fractions: Fractions = (30 * (end_month - begin_month) + end_day - begin_day) / 360.0
    return fractions


def _is_february_end(days: DayNumbers) -> npt.NDArray[np.bool_]:
    months, _ = split_days(days)
    is_end: npt.NDArray[np.bool_] = (months % 12 == 1) & (month_ends(days) == days)
    return is_end


def _actual_isda(begins: DayNumbers, ends: DayNumbers) -> Fractions:
    return _year_position(ends) - _year_position(begins)


def _year_position(days: DayNumbers) -> Fractions:
    """Years since 1970-01-01, each calendar year counting 1 whatever its length."""
    years = days.view("M8[D]").astype("M8[Y]")
    first = years.astype("M8[D]").view("i8")
    length = (years + 1).astype("M8[D]").view("i8") - first
    position: Fractions = years.view("i8") + (days - first) / length
    return position


def _leap_days_until(days: DayNumbers) -> DayNumbers:
    """How many 29 Februaries lie at or before each day, from some fixed year on."""
    months, days_of_month = split_days(days)
    years = months // 12 + 1900
    is_past = (months % 12 > 1) | ((months % 12 == 1) & (days_of_month == 29))
    full_years = years - 1 + is_past  # a 29 February of the year itself counts once it is there
    counted: DayNumbers = full_years // 4 - full_years // 100 + full_years // 400
    return counted


def _actual_afb(begin: int, end: int) -> float:
    """Whole years stepping back from *end* (from 28 February to the 29th where there is one), and what is left."""
    whole_years, near = 0, end
    while True:
        back = _one_year_back(end, whole_years + 1)
        if back < begin:
            break
        whole_years, near = whole_years + 1, back
    between = np.array([begin - 1, near - 1], dtype=np.int64)
    has_leap_day = np.ptp(_leap_days_until(between)) > 0
    return whole_years + (near - begin) / (366.0 if has_leap_day else 365.0)


def _one_year_back(end: int, years: int) -> int:
    back = add_tenor(end, 12, 0, np.array([-years]))
    months, days_of_month = split_days(np.array([end], dtype=np.int64))
    is_late_february = months[0] % 12 == 1 and days_of_month[0] >= 28
    return int(month_ends(back)[0] if is_late_february else back[0])


def _actual_icma(far: int, anchor: int, tenor_months: int) -> float:
    """Coupons between two days: whole ones of *tenor_months* stepping from *anchor*, and the part that is left.

    The anchor is the end of the period, or its begin with a negative tenor; a regular coupon is one whole step.
    """
    per_period = abs(tenor_months) / 12.0
    if int(add_tenor(far, tenor_months, 0, np.array([1]))[0]) == anchor:
        return per_period
    fraction, near, multiple = 0.0, anchor, 1
    while (near - far) * tenor_months > 0:
        next_day = int(add_tenor(anchor, tenor_months, 0, np.array([-multiple]))[0])
        left = min(abs(near - far), abs(near - next_day))
        fraction += per_period * left / abs(near - next_day)
        near, multiple = next_day, multiple + 1
    return fraction
