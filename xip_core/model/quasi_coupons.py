"""Coupon periods and the reference periods that ACT/ACT ICMA counts in.

A regular coupon is 1 / frequency of a year however long it is, and a day of it its share of that. A stub is measured
against the coupons that would have been there: **quasi-coupons**, stepping back from the end of a front stub and
forward from the begin of a back stub. So the fraction between two days is, over the quasi-coupons [a, b],

    sum of (days of [a, b] that lie between them) / (b - a) * tenor / 12

Whether a period is regular is a matter of the schedule before it was adjusted for holidays; its quasi-coupon is then
the adjusted period itself, so that all regular coupons are equal.

Source: ICMA rule 251; ISDA, EMU and market conventions: recent developments (1998).
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.model.dates import DayNumbers, add_tenor, parse_tenor
from xip_core.model.daycounts import year_fractions
from xip_core.model.schedules import unadjusted_and_adjusted
from xip_core.model.trade import Schedule


class CouponPeriod(msgspec.Struct, frozen=True):
    """One coupon period in adjusted day numbers.

    Attributes:
        tenor_months: of a regular coupon of the schedule.
        stub: 0 a regular coupon, -1 quasi-coupons step back from the end, 1 forward from the begin.
    """

    begin: int
    end: int
    tenor_months: int
    stub: int


def coupon_periods(schedule: Schedule) -> list[CouponPeriod]:
    """
    The periods of *schedule*.

    Raises:
        ValueError: the schedule is none, or has no tenor that divides a year.
    """
    months, days = parse_tenor(schedule.tenor) if schedule.tenor else (0, 0)
    if days or months <= 0 or 12 % months:
        raise ValueError(f"ACT/ACT ICMA needs a coupon tenor of 1, 2, 3, 4, 6 or 12 months, got {schedule.tenor!r}")
    unadjusted, adjusted = unadjusted_and_adjusted(schedule)
    found = []
    for i in range(len(adjusted) - 1):
        is_regular = _is_step(int(unadjusted[i]), int(unadjusted[i + 1]), months)
        is_back = i == len(adjusted) - 2 and (i > 0 or schedule.rule != "backward")
        stub = 0 if is_regular else 1 if is_back else -1
        found.append(CouponPeriod(int(adjusted[i]), int(adjusted[i + 1]), months, stub))
    return found


def _is_step(begin: int, end: int, months: int) -> bool:
    """One is the other moved by the tenor; month ends are reached from one side only."""
    return int(_moved(begin, months)) == end or int(_moved(end, -months)) == begin


def _moved(day: int, months: int, count: int = 1) -> int:
    return int(add_tenor(day, months, 0, np.array([count]))[0])


def icma_fraction(period: CouponPeriod, first: int, last: int) -> float:
    """Years from *first* to *last*, two days of the coupon (or after it, where it is paid late)."""
    if last <= first:
        return 0.0
    years = period.tenor_months / 12.0
    total = 0.0
    for begin, end in _quasi_coupons(period, first, last):
        days = min(end, last) - max(begin, first)
        if days > 0:
            total += years * days / (end - begin)
    return total


def _quasi_coupons(period: CouponPeriod, first: int, last: int) -> list[tuple[int, int]]:
    """Reference periods that cover *first* to *last*, in order of time."""
    months = period.tenor_months
    back, forward, middle = [], [], []
    if period.stub == 0:
        middle = [(period.begin, period.end)]
        back_anchor, forward_anchor = period.begin, period.end
    else:
        back_anchor = forward_anchor = period.end if period.stub < 0 else period.begin
    near, count = back_anchor, 1
    while near > first:
        far = _moved(back_anchor, months, -count)
        back.append((far, near))
        near, count = far, count + 1
    near, count = forward_anchor, 1
    while near < last:
        far = _moved(forward_anchor, months, count)
        forward.append((near, far))
        near, count = far, count + 1
    return back[::-1] + middle + forward


def accruals_of(day_count: str, schedule: Schedule, begins: DayNumbers, ends: DayNumbers) -> list[float]:
    """Year fractions of the coupons of a bond, by any day count."""
    if day_count == "ACT/ACT ICMA":
        return [icma_fraction(period, period.begin, period.end) for period in coupon_periods(schedule)]
    fractions: list[float] = year_fractions(day_count, begins, ends).tolist()
    return fractions
