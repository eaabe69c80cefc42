"""Day numbers, tenors and month ends."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_core.model.dates import (
    add_tenor,
    date_of,
    day_number,
    join_days,
    month_ends,
    parse_tenor,
    shift_date,
    split_days,
)

DATES = st.dates(dt.date(1900, 1, 1), dt.date(2299, 12, 31))


@given(DATES)
def test_a_date_survives_its_day_number(date: dt.date) -> None:
    assert date_of(day_number(date)) == date


@given(st.lists(DATES, min_size=1))
def test_days_split_into_months_and_days_of_the_month(dates: list[dt.date]) -> None:
    days = np.array([day_number(date) for date in dates])
    months, of_month = split_days(days)
    assert months.tolist() == [(date.year - 1900) * 12 + date.month - 1 for date in dates]
    assert of_month.tolist() == [date.day for date in dates]
    assert join_days(months, of_month).tolist() == days.tolist()


@pytest.mark.parametrize(
    ("tenor", "expected"),
    [("6M", (6, 0)), ("10Y", (120, 0)), ("2W", (0, 14)), ("1Y6M", (18, 0)), ("3d", (0, 3)), ("0D", (0, 0))],
)
def test_tenors_are_months_and_days(tenor: str, expected: tuple[int, int]) -> None:
    assert parse_tenor(tenor) == expected


@pytest.mark.parametrize("tenor", ["", "M", "6", "6X", "6M ", "-6M", "6M,1Y", "1.5Y"])
def test_what_is_no_tenor_is_refused(tenor: str) -> None:
    with pytest.raises(ValueError, match="a tenor must be like"):
        parse_tenor(tenor)


def test_months_fall_back_to_the_end_of_a_shorter_month_and_do_not_decay() -> None:
    start = day_number(dt.date(2024, 1, 31))
    moved = [date_of(day) for day in add_tenor(start, 1, 0, np.arange(4))]
    assert moved == [dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 31), dt.date(2024, 4, 30)]


def test_tenors_move_back_as_well() -> None:
    assert shift_date(dt.date(2024, 3, 31), "1M", -1) == dt.date(2024, 2, 29)
    assert shift_date(dt.date(2024, 3, 1), "2D", -1) == dt.date(2024, 2, 28) + dt.timedelta(days=0)


def test_month_ends_know_leap_years() -> None:
    days = np.array([day_number(dt.date(year, 2, 10)) for year in (1900, 2000, 2023, 2024)])
    assert [date_of(day).day for day in month_ends(days)] == [28, 29, 28, 29]


def test_years_without_a_table_are_refused() -> None:
    with pytest.raises(ValueError, match="years 1900 to 2299"):
        shift_date(dt.date(2290, 1, 1), "30Y")
