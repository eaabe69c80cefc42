"""Dates as day numbers: whole days since 1970-01-01, the integers behind numpy's datetime64[D].

Schedules, day counts and calendars work on int64 arrays of day numbers; `datetime.date` appears only at the doors of
the package. A tenor is a text such as "6M", "2D", "10Y", "1Y6M". Weeks and days move by calendar days, months and years
keep the day of the month and fall back to the month's end (31 January + 1M = 28 or 29 February).

Nothing here knows what day it is: every function takes the dates it needs.
"""

from __future__ import annotations

import datetime as dt
import functools
import re

import numpy as np
import numpy.typing as npt

DayNumbers = npt.NDArray[np.int64]

_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_YEAR_FIRST = 1900
_YEAR_LAST = 2299
_MONTHS = np.arange(f"{_YEAR_FIRST}-01", f"{_YEAR_LAST + 1}-02", dtype="M8[M]")
_MONTH_START: DayNumbers = _MONTHS.astype("M8[D]").view("i8")
_MONTH_OF_EPOCH = (1970 - _YEAR_FIRST) * 12
_TENOR = re.compile(r"(\d+)([DWMY])")


def day_number(date: dt.date) -> int:
    """Days from 1970-01-01 to *date*."""
    return date.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> dt.date:
    """The date of a day number."""
    return dt.date.fromordinal(int(day) + _EPOCH_ORDINAL)


@functools.lru_cache(maxsize=512)  # a market and a book use some dozens of tenors
def parse_tenor(tenor: str) -> tuple[int, int]:
    """Months and days of a tenor: "1Y6M" is (18, 0), "2W" is (0, 14).

    Raises:
        ValueError: *tenor* is not a number and one of D, W, M, Y, once or several times.
    """
    months = days = position = 0
    text = tenor.upper()
    for match in _TENOR.finditer(text):
        if match.start() != position:
            break
        count, unit = int(match[1]), match[2]
        if unit in "MY":
            months += count * (12 if unit == "Y" else 1)
        else:
            days += count * (7 if unit == "W" else 1)
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(f"a tenor must be like '6M', '2D' or '1Y6M', got {tenor!r}")
    return months, days


def split_days(days: DayNumbers) -> tuple[DayNumbers, DayNumbers]:
    """Months since January 1900 and days of the month (one-based) of *days*, both of its shape."""
    months = days.view("M8[D]").astype("M8[M]").view("i8") + _MONTH_OF_EPOCH
    return months, days - _MONTH_START[months] + 1


def join_days(months: DayNumbers, days_of_month: DayNumbers | int) -> DayNumbers:
    """Day numbers of months since January 1900 and days of the month; a day past the month's end is its end."""
    if len(months) and not (months.min() >= 0 and months.max() < len(_MONTH_START) - 1):
        raise ValueError(f"dates must lie in the years {_YEAR_FIRST} to {_YEAR_LAST}")
    first = _MONTH_START[months]
    joined: DayNumbers = np.minimum(first + days_of_month - 1, _MONTH_START[months + 1] - 1)
    return joined


def month_ends(days: DayNumbers) -> DayNumbers:
    """Last calendar day of the month of each day."""
    months, _ = split_days(days)
    ends: DayNumbers = _MONTH_START[months + 1] - 1
    return ends


def add_tenor(day: int, months: int, days: int, multiples: DayNumbers) -> DayNumbers:
    """*day* moved by each multiple of (months, days); all from *day* itself, so month ends do not decay.

    Shapes: returns that of *multiples*.
    """
    if months == 0:
        return day + days * multiples
    start = date_of(day)
    start_month = 12 * (start.year - _YEAR_FIRST) + start.month - 1
    return join_days(start_month + months * multiples, start.day) + days * multiples


def shift_date(date: dt.date, tenor: str, sign: int = 1) -> dt.date:
    """*date* plus (or minus, sign=-1) a tenor, in calendar days."""
    months, days = parse_tenor(tenor)
    return date_of(int(add_tenor(day_number(date), months, days, np.array([sign]))[0]))
