"""Calendars: the days pricing libraries hold for holidays, and moving by business days."""

from __future__ import annotations

import datetime as dt

import holidays
import numpy as np
import pytest

from xip_core.model.calendars import calendar, is_calendar
from xip_core.model.dates import date_of, day_number

HOLIDAYS = {
    "TARGET": ["2016-03-25", "2016-03-28", "2024-05-01", "2024-12-26"],
    "US": ["2016-02-15", "2016-11-24", "2021-07-05", "2021-12-24", "2022-06-20", "2027-12-31"],
    "US-FED": ["2016-02-15", "2021-07-05", "2022-06-20"],
    "US-NYSE": ["2016-03-25", "2018-12-05", "2024-06-19"],
    "UK": ["2016-05-02", "2016-05-30", "2022-06-03", "2022-09-19", "2023-05-08"],
    "ZUB": ["2018-01-02", "2018-08-01", "2018-05-10", "2018-05-21"],
    "JP": ["2018-01-02", "2018-12-31", "2019-04-30", "2020-07-24"],
}
OPEN = {
    "TARGET": ["2016-05-16", "2024-08-15"],
    "US": ["2016-03-25", "2021-06-18"],
    "US-FED": ["2021-12-24", "2027-12-31", "2016-03-25"],
    "US-NYSE": ["2016-10-10", "2016-11-11"],
    "UK": ["2016-08-01", "2022-05-30"],
    "ZUB": ["2018-01-03", "2018-06-29"],
    "JP": ["2018-12-28", "2018-05-01"],
}


def days(*dates: str) -> np.ndarray:
    return np.array([day_number(dt.date.fromisoformat(date)) for date in dates])


def dates(moved: np.ndarray) -> list[str]:
    return [str(date_of(day)) for day in moved]


@pytest.mark.parametrize("name", HOLIDAYS)
def test_holidays_are_closed_and_their_likes_elsewhere_are_not(name: str) -> None:
    assert not calendar(name).is_business_day(days(*HOLIDAYS[name])).any()
    assert calendar(name).is_business_day(days(*OPEN[name])).all()


def test_target_is_the_list_of_the_european_central_bank() -> None:
    listed = holidays.financial_holidays("XECB", years=range(2000, 2101))
    closed = days(*(str(date) for date in listed if date.weekday() < 5))
    every_day = np.arange(day_number(dt.date(2000, 1, 1)), day_number(dt.date(2101, 1, 1)))
    weekdays = every_day[calendar("WeekendsOnly").is_business_day(every_day)]
    assert weekdays[~calendar("TARGET").is_business_day(weekdays)].tolist() == sorted(closed.tolist())


def test_a_joint_calendar_is_open_when_all_are() -> None:
    joint = calendar("TARGET, US,UK")
    assert joint.is_business_day(days("2016-02-15", "2016-03-25", "2016-05-02", "2016-02-16")).tolist() == [
        False, False, False, True,
    ]  # fmt: skip
    assert joint.name == "TARGET,UK,US"


def test_names_have_aliases_and_case_does_not_matter() -> None:
    assert calendar("EUR").name == calendar("target").name == "TARGET"
    assert is_calendar("USD")
    assert not is_calendar("XYZ")


def test_an_unknown_name_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(ValueError, match=r"a calendar must be one of TARGET, US, .* got 'MOON'"):
        calendar("TARGET,MOON")


@pytest.mark.parametrize(
    ("convention", "moved"),
    [
        ("following", "2016-05-02"),
        ("modified_following", "2016-04-29"),
        ("preceding", "2016-04-29"),
        ("modified_preceding", "2016-04-29"),
        ("unadjusted", "2016-04-30"),
    ],
)
def test_a_saturday_at_the_end_of_a_month_moves_by_convention(convention: str, moved: str) -> None:
    assert dates(calendar("TARGET").adjust(days("2016-04-30"), convention)) == [moved]


@pytest.mark.parametrize(
    ("start", "count", "moved"),
    [
        ("2016-03-24", 1, "2016-03-29"),  # over Easter
        ("2016-03-25", 1, "2016-03-29"),  # from a holiday
        ("2016-03-25", -1, "2016-03-24"),
        ("2016-03-26", 0, "2016-03-29"),
        ("2016-03-29", -2, "2016-03-23"),
    ],
)
def test_advancing_counts_business_days_alone(start: str, count: int, moved: str) -> None:
    assert dates(calendar("TARGET").advance(days(start), count)) == [moved]


def test_every_day_is_open_in_the_null_calendar() -> None:
    assert calendar("NullCalendar").is_business_day(days("2016-01-01", "2016-01-02")).all()
    assert calendar("WeekendsOnly").is_business_day(days("2016-01-01", "2016-01-02")).tolist() == [True, False]


def test_business_days_between_include_the_first_day_and_not_the_last() -> None:
    count = calendar("TARGET").business_days_between(days("2016-03-24"), days("2016-03-30"))
    assert count.tolist() == [2]


def test_a_date_among_the_names_is_one_more_closed_day() -> None:
    mourning = np.array([day_number(dt.date(2022, 9, 19))])
    assert calendar("WeekendsOnly").is_business_day(mourning)[0]
    closed = calendar("WeekendsOnly, 2022-09-19,2022-09-20")
    assert not closed.is_business_day(mourning)[0]
    assert closed.adjust(mourning, "following")[0] == mourning[0] + 2
    every_day_but_one = calendar("NullCalendar,2022-09-19")
    assert every_day_but_one.is_business_day(mourning - 1)[0]
    with pytest.raises(ValueError, match="need the name of a calendar"):
        calendar("2022-09-19")
