"""Tenors as ORE's files have them: in lists, and from a day on without a calendar."""

from __future__ import annotations

import datetime as dt

import numpy as np

from xip_core.model.dates import date_of, day_number, join_days, parse_tenor, split_days


def words(text: str | None) -> tuple[str, ...]:
    """ "1Y, 5Y" as ("1Y", "5Y")."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def moved_date(date: dt.date, tenor: str) -> dt.date:
    """
    *date* and a tenor, without a calendar; an ISO date stands for itself.

    Raises:
        ValueError: *tenor* is neither.
    """
    if "-" in tenor:
        return dt.date.fromisoformat(tenor)
    months, days = parse_tenor(tenor)
    month, day_of_month = split_days(np.array([day_number(date)]))
    return date_of(int(join_days(month + months, day_of_month)[0]) + days)
