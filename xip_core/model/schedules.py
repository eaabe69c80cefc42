"""Schedules: period boundaries of a leg from its rule.

    forward    from the start (or first_date) in steps of the tenor; the stub, if any, at the back
    backward   from the end (or last_date); the stub at the front
    zero       one period
    imm        forward, every inner boundary moved to the third Wednesday of its month
    cds2015    quarterly on the 20th of March, June, September and December, from the one before the start to the one
               at or after the end; the last date stays unadjusted (ISDA standard CDS contract, 2015 roll rule)

Boundaries are generated unadjusted from one anchor, so month ends do not decay, then adjusted by the schedule's
convention; two boundaries that fall on the same business day are one. With end_of_month and an anchor on the last
business day of its month, inner boundaries are month ends before they are adjusted.
"""

from __future__ import annotations

import datetime as dt
import functools

import numpy as np

from xip_core.model.calendars import Calendar, calendar
from xip_core.model.dates import DayNumbers, add_tenor, day_number, join_days, month_ends, parse_tenor, split_days
from xip_core.model.trade import Schedule

_PERIODS_MAX = 5000  # 13 years of days; more is a typing error


def boundaries(schedule: Schedule) -> DayNumbers:
    """Adjusted period boundaries, ascending, at least two: period i runs from boundary i to i + 1.

    Raises:
        ValueError: the calendar or tenor is unknown, or fewer than two boundaries remain.
    """
    return unadjusted_and_adjusted(schedule)[1]


def unadjusted_and_adjusted(schedule: Schedule) -> tuple[DayNumbers, DayNumbers]:
    """`boundaries` before they were adjusted, and as they are.

    Raises:
        ValueError: as `boundaries`.
    """
    days_of = calendar(schedule.calendar)
    if schedule.dates:
        unadjusted = np.array([day_number(date) for date in schedule.dates], dtype=np.int64)
    else:
        unadjusted = _unadjusted(schedule, days_of)
    adjusted = _adjust(schedule, days_of, unadjusted)
    keep = np.ones(len(adjusted), dtype=bool)
    keep[1:] = adjusted[1:] > adjusted[:-1]
    adjusted = adjusted[keep]
    if len(adjusted) < 2:
        raise ValueError(f"schedule from {schedule.start} to {schedule.end} has no period after adjustment")
    return unadjusted[keep], adjusted


def tenor_months(schedule: Schedule) -> int:
    """Months of a coupon period, 0 where the schedule is not regular; for ACT/ACT ICMA."""
    return parse_tenor(schedule.tenor)[0] if schedule.tenor else 0


def _unadjusted(schedule: Schedule, days_of: Calendar) -> DayNumbers:
    assert schedule.start is not None, schedule  # Schedule.__post_init__ saw to it
    assert schedule.end is not None, schedule
    start, end = day_number(schedule.start), day_number(schedule.end)
    first, last = _number_or_none(schedule.first_date), _number_or_none(schedule.last_date)
    months, days = parse_tenor(schedule.tenor)
    if schedule.rule == "zero" or (months, days) == (0, 0):
        return np.array([start, end])
    if schedule.rule == "cds2015":
        return _cds_boundaries(start, end, days_of, schedule.convention)
    step_count = (end - start) // max(28 * months + days, 1) + 2  # enough: no month is shorter than 28 days
    if step_count > _PERIODS_MAX:
        raise ValueError(f"a schedule has at most {_PERIODS_MAX} periods, got about {step_count}")
    steps = np.arange(step_count + 1)
    if schedule.rule == "backward":
        anchor, limit = (end if last is None else last), (start if first is None else first)
        inner = add_tenor(anchor, months, days, -steps)[::-1]
        inner = inner[inner >= limit]
    else:
        anchor, limit = (start if first is None else first), (end if last is None else last)
        inner = add_tenor(anchor, months, days, steps)
        inner = inner[inner <= limit]
    if schedule.rule == "imm":
        inner = np.where(inner == anchor, inner, _third_wednesdays(inner))
    elif schedule.end_of_month and months and _is_month_end(anchor, days_of):
        inner = np.where(inner == anchor, inner, month_ends(inner))
    marks = [mark for mark in (first, last) if mark is not None]
    inner = inner[(inner > start) & (inner < end)]
    unadjusted = np.concatenate(([start], inner, np.array(marks, dtype=np.int64), [end]))
    unadjusted.sort()
    keep = np.ones(len(unadjusted), dtype=bool)  # np.unique takes three times as long
    keep[1:] = unadjusted[1:] > unadjusted[:-1]
    distinct: DayNumbers = unadjusted[keep]
    return distinct


def _adjust(schedule: Schedule, days_of: Calendar, unadjusted: DayNumbers) -> DayNumbers:
    adjusted = days_of.adjust(unadjusted, schedule.convention).copy()
    if schedule.rule == "cds2015" and not schedule.dates:
        adjusted[-1] = unadjusted[-1]
    elif schedule.term_convention is not None and schedule.term_convention != schedule.convention:
        adjusted[-1:] = days_of.adjust(unadjusted[-1:], schedule.term_convention)
    return adjusted


def _number_or_none(date: dt.date | None) -> int | None:
    return None if date is None else day_number(date)


@functools.lru_cache(maxsize=1024)  # ends of swaps on few days
def _is_month_end(day: int, days_of: Calendar) -> bool:
    """No business day follows in the same month."""
    one = np.array([day], dtype=np.int64)
    return bool(day >= days_of.month_end(one)[0])


def _third_wednesdays(days: DayNumbers) -> DayNumbers:
    months, _ = split_days(days)
    first = join_days(months, np.ones_like(months))
    to_wednesday = (6 - first) % 7  # 1970-01-01 was a Thursday: day 6 is a Wednesday
    moved: DayNumbers = first + to_wednesday + 14
    return moved


def _cds_boundaries(start: int, end: int, days_of: Calendar, convention: str) -> DayNumbers:
    """The twentieths of quarter months that bracket [start, end]; one more in front where the first is not reached."""
    begin_month, begin_day = _quarter_month(start, back=True)
    end_month, _ = _quarter_month(end, back=False)
    first = join_days(np.array([begin_month]), np.array([begin_day]))
    if days_of.adjust(first, convention)[0] > start:
        begin_month -= 3
    months = np.arange(begin_month, end_month + 1, 3)
    return join_days(months, np.full(len(months), 20))


def _quarter_month(day: int, back: bool) -> tuple[int, int]:
    """Month (since January 1900) of the last quarterly twentieth at or before *day*, or the first at or after it."""
    month_array, day_array = split_days(np.array([day], dtype=np.int64))
    month, day_of_month = int(month_array[0]), int(day_array[0])
    if back:
        if day_of_month < 20:
            month -= 1
        month -= (month + 1) % 3  # month 2 (March) and every third after it
    else:
        if day_of_month > 20:
            month += 1
        month += -(month + 1) % 3
    return month, 20
