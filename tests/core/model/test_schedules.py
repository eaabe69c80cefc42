"""Schedules: boundaries that were compared with QuantLib 1.44 before they were written down here."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from xip_core.model.dates import date_of
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Schedule


def dates(start: str, end: str, tenor: str, **fields: Any) -> list[str]:
    schedule = Schedule(start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end), tenor=tenor, **fields)
    return [str(date_of(day)) for day in boundaries(schedule)]


def test_forward_from_the_start_leaves_the_stub_at_the_back() -> None:
    assert dates("2016-01-15", "2016-09-01", "3M", calendar="NullCalendar") == [
        "2016-01-15", "2016-04-15", "2016-07-15", "2016-09-01",
    ]  # fmt: skip


def test_backward_from_the_end_leaves_the_stub_at_the_front() -> None:
    assert dates("2016-01-15", "2016-09-01", "3M", calendar="NullCalendar", rule="backward") == [
        "2016-01-15", "2016-03-01", "2016-06-01", "2016-09-01",
    ]  # fmt: skip


def test_boundaries_move_to_business_days_and_the_last_by_its_own_convention() -> None:
    assert dates("2016-01-31", "2016-07-31", "3M", calendar="TARGET", term_convention="unadjusted") == [
        "2016-01-29", "2016-04-29", "2016-07-31",
    ]  # fmt: skip


def test_stubs_are_where_first_and_last_date_say() -> None:
    stubs = {"first_date": dt.date(2016, 2, 1), "last_date": dt.date(2016, 8, 1)}
    assert dates("2016-01-15", "2016-09-01", "3M", calendar="NullCalendar", **stubs) == [
        "2016-01-15", "2016-02-01", "2016-05-01", "2016-08-01", "2016-09-01",
    ]  # fmt: skip


def test_month_ends_stay_month_ends() -> None:
    assert dates("2015-02-28", "2015-12-31", "3M", calendar="NullCalendar", end_of_month=True) == [
        "2015-02-28", "2015-05-31", "2015-08-31", "2015-11-30", "2015-12-31",
    ]  # fmt: skip


def test_a_start_inside_the_month_is_not_moved_to_its_end() -> None:
    assert dates("2015-02-26", "2015-08-26", "3M", calendar="NullCalendar", end_of_month=True) == [
        "2015-02-26", "2015-05-26", "2015-08-26",
    ]  # fmt: skip


def test_imm_boundaries_are_third_wednesdays() -> None:
    assert dates("2016-03-16", "2016-12-21", "3M", calendar="NullCalendar", rule="imm") == [
        "2016-03-16", "2016-06-15", "2016-09-21", "2016-12-21",
    ]  # fmt: skip


def test_zero_is_one_period() -> None:
    assert dates("2016-03-16", "2020-03-16", "3M", calendar="NullCalendar", rule="zero") == ["2016-03-16", "2020-03-16"]


def test_standard_cds_runs_between_twentieths_of_quarter_months() -> None:
    fields = {"calendar": "WeekendsOnly", "convention": "following", "rule": "cds2015"}
    assert dates("2016-02-05", "2016-12-20", "3M", **fields) == [
        "2015-12-21", "2016-03-21", "2016-06-20", "2016-09-20", "2016-12-20",
    ]  # fmt: skip
    assert dates("2015-12-20", "2016-02-05", "3M", **fields) == ["2015-09-21", "2015-12-21", "2016-03-20"]


def test_boundaries_that_meet_on_one_business_day_are_one() -> None:
    assert dates("2016-04-29", "2016-05-03", "1D", calendar="TARGET", convention="following") == [
        "2016-04-29", "2016-05-02", "2016-05-03",
    ]  # fmt: skip


def test_explicit_dates_are_adjusted_and_nothing_else() -> None:
    schedule = Schedule(dates=(dt.date(2016, 4, 30), dt.date(2016, 7, 30)), calendar="TARGET", convention="following")
    assert [str(date_of(day)) for day in boundaries(schedule)] == ["2016-05-02", "2016-08-01"]


def test_a_schedule_without_a_period_is_refused() -> None:
    with pytest.raises(ValueError, match="has no period after adjustment"):
        dates("2016-04-30", "2016-05-01", "1M", calendar="TARGET", convention="following")


def test_a_schedule_of_ten_thousand_periods_is_a_typing_error() -> None:
    with pytest.raises(ValueError, match="at most 5000 periods"):
        dates("2016-04-30", "2056-05-01", "1D", calendar="TARGET")
