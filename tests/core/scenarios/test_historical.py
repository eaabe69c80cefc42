"""xip_core.scenarios.historical: pairs of dates, returns, and what is not there"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.core.small_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import ScenarioMarket, encode_scenarios
from xip_core.scenarios.historical import History, Horizon, date_pairs, historical

MONDAY = dt.date(2024, 1, 8)
NAN = float("nan")


def weekdays(count: int) -> tuple[dt.date, ...]:
    """Monday to Friday from a Monday on."""
    return tuple(MONDAY + dt.timedelta(days=7 * (n // 5) + n % 5) for n in range(count))


def a_history(**columns: list[float]) -> History:
    """Columns by quote, one number a weekday; __ in a name is a dot."""
    values = np.array(list(columns.values())).T
    return History(weekdays(len(values)), tuple(name.replace("__", ".") for name in columns), values)


def changed(history: History, *args: object, **fields: object) -> list[dict[str, float]]:
    """Quotes of the small market in each scenario but the base."""
    scenarios = historical(history, *args, **fields)
    return ScenarioMarket(a_snapshot()).quote_matrix(scenarios, 0, len(scenarios.scenarios)).changed()[1:]


def test_relative_returns_are_done_to_today():
    """Oil fell from 50 to 40 and rose to 60; today it is at 30."""
    history = a_history(OIL=[50.0, 40.0, 60.0])
    assert changed(history) == [{"OIL": pytest.approx(24.0)}, {"OIL": pytest.approx(45.0)}]
    assert changed(history, returns=(("*", "log"),)) == changed(history)


def test_absolute_returns_are_differences():
    """Of rates, which may be negative."""
    (moved,) = changed(a_history(EUR__OIS__5Y=[0.001, -0.0005]), returns=(("*", "absolute"),))
    assert moved == {"EUR.OIS.5Y": pytest.approx(0.0005)}


def test_first_pattern_that_fits_says_the_kind_of_return():
    """A rate by difference beside a spot by ratio, in two tables of one set."""
    history = a_history(EUR__OIS__5Y=[0.001, 0.002], OIL=[50.0, 55.0])
    scenarios = historical(history, returns=(("EUR.*", "absolute"), ("*", "relative")))
    assert [(table.kind, table.names) for table in scenarios.shift_tables] == [
        ("absolute", ("EUR.OIS.5Y",)),
        ("factor", ("OIL",)),
    ]


def test_scale_makes_longer_moves_of_short_ones():
    """sqrt(4) of a relative return is twice it, of a log return its square."""
    history = a_history(OIL=[50.0, 55.0])
    assert changed(history, scale=2.0) == [{"OIL": pytest.approx(36.0)}]
    assert changed(history, returns=(("*", "log"),), scale=2.0) == [{"OIL": pytest.approx(30.0 * 1.21)}]


def test_scenarios_are_named_by_their_dates():
    """From and to."""
    scenarios = historical(a_history(OIL=[1.0, 2.0, 3.0]), Horizon(days=2))
    assert [s.name for s in scenarios.scenarios] == ["base", "2024-01-08 to 2024-01-10"]


@pytest.mark.parametrize(
    ("is_overlapping", "expected"), [(True, [(0, 2), (1, 3), (2, 4)]), (False, [(0, 2), (2, 4)])]
)
def test_overlapping_pairs_begin_on_every_row_others_where_the_last_ended(is_overlapping, expected):
    """Horizon of two rows."""
    history = a_history(OIL=[1.0, 2.0, 3.0, 4.0, 5.0])
    pairs = date_pairs(history, Horizon(days=2, is_overlapping=is_overlapping))
    assert [tuple(pair) for pair in pairs.tolist()] == expected


def test_calendar_counts_business_days_not_rows():
    """15 January 2024 is a holiday in the US: the Friday before and the Tuesday after are one business day apart."""
    dates = tuple(date for date in weekdays(8) if date != dt.date(2024, 1, 15))
    history = History(dates, ("OIL",), np.arange(1.0, 8.0)[:, None])
    pairs = date_pairs(history, Horizon(days=1, calendar="US"))
    assert (4, 5) in [tuple(pair) for pair in pairs.tolist()]
    with pytest.raises(RequestError, match="every business day of TARGET must have a row, got none for 2024-01-15"):
        date_pairs(history, Horizon(days=1, calendar="TARGET"))
    left = date_pairs(history, Horizon(days=1, calendar="TARGET", gaps="skip"))
    assert (4, 5) not in [tuple(pair) for pair in left.tolist()]


def test_period_bounds_the_later_date():
    """A pair may begin before the period."""
    history = a_history(OIL=[1.0, 2.0, 3.0, 4.0])
    pairs = date_pairs(history, Horizon(since=dt.date(2024, 1, 10), until=dt.date(2024, 1, 10)))
    assert pairs.tolist() == [[1, 2]]


def test_gap_between_rows_is_refused_or_left_out():
    """Three weeks without a row are no return of a day."""
    dates = (MONDAY, MONDAY + dt.timedelta(days=1), MONDAY + dt.timedelta(days=22), MONDAY + dt.timedelta(days=23))
    history = History(dates, ("OIL",), np.array([[1.0], [2.0], [3.0], [4.0]]))
    with pytest.raises(RequestError, match="7 days apart, got 2024-01-09 and 2024-01-30; 1 such gap, which") as caught:
        historical(history)
    assert caught.value.reason == "BAD_HISTORY"
    assert date_pairs(history, Horizon(gaps="skip")).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(RequestError, match="no pair of dates is 2 days apart"):
        date_pairs(history, Horizon(days=2, gaps="skip"))


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("skip", ["2024-01-10 to 2024-01-11"]),
        ("unmoved", ["2024-01-08 to 2024-01-09", "2024-01-09 to 2024-01-10", "2024-01-10 to 2024-01-11"]),
        ("previous", ["2024-01-08 to 2024-01-09", "2024-01-09 to 2024-01-10", "2024-01-10 to 2024-01-11"]),
    ],
)
def test_missing_numbers_are_treated_as_the_caller_says(missing, expected):
    """Pairs left out, quotes that stand still, or the number before."""
    history = a_history(OIL=[50.0, NAN, 40.0, 44.0], ACME=[1.0, 2.0, 3.0, 4.0])
    scenarios = historical(history, missing=missing)
    assert [s.name for s in scenarios.scenarios[1:]] == expected
    oil = [moved.get("OIL") for moved in changed(history, missing=missing)]
    factors = {"skip": [1.1], "unmoved": [None, None, 1.1], "previous": [None, 0.8, 1.1]}[missing]
    assert oil == [factor and pytest.approx(30.0 * factor) for factor in factors]


@pytest.mark.parametrize(
    ("history", "fields", "message"),
    [
        (a_history(OIL=[50.0, NAN, 40.0]), {}, "quote OIL must have a number on 2024-01-09, got none; 2 such returns"),
        (
            a_history(OIL=[NAN, 50.0, 40.0]),
            {"missing": "previous"},
            "quote OIL must have a number on 2024-01-08 or before, got none",
        ),
        (
            a_history(OIL=[NAN, 50.0, NAN]),
            {"missing": "skip"},
            "no pair of dates has all quotes; leave out quotes or choose another policy",
        ),
        (
            a_history(OIL=[50.0, 40.0, -37.0]),
            {},
            "quote OIL must be positive for relative and log returns, got -37.0 on 2024-01-10",
        ),
        (a_history(OIL=[50.0]), {}, "a history must have at least two rows, got 1"),
        (a_history(OIL=[50.0, 51.0]), {"returns": (("X*", "log"),)}, "a return must be given for 'OIL'"),
        (a_history(OIL=[50.0, 51.0]), {"horizon": Horizon(days=0)}, "a horizon must be at least one day, got 0"),
        (a_history(OIL=[50.0, 51.0]), {"horizon": Horizon(days=2)}, "no pair of dates is 2 days apart"),
        (a_history(OIL=[50.0, 51.0]), {"horizon": Horizon(calendar="MARS")}, "MARS"),
    ],
)
def test_history_that_cannot_be_used_is_refused_with_quote_and_date(history, fields, message):
    """Nothing is guessed."""
    with pytest.raises(RequestError, match=message) as caught:
        historical(history, **fields)
    assert caught.value.reason == "BAD_HISTORY"


@pytest.mark.parametrize(
    ("dates", "names", "message"),
    [
        ((MONDAY, MONDAY), ("a",), "dates of a history must ascend, got 2024-01-08 after 2024-01-08"),
        ((MONDAY, MONDAY + dt.timedelta(1)), ("a", "a"), "must name each quote once, 'a' is there twice"),
    ],
)
def test_history_that_contradicts_itself_is_refused(dates, names, message):
    """Dates ascend, names are distinct."""
    with pytest.raises(RequestError, match=message):
        History(dates, names, np.ones((len(dates), len(names))))


def test_filters_keep_the_quotes_whose_names_fit():
    """A pattern that fits nothing is a mistake, not a wish for nothing."""
    history = a_history(OIL=[1.0, 2.0], ACME=[1.0, 2.0], INDX=[1.0, 2.0])
    assert history.restricted(only=("*",), without=("A*",)).names == ("OIL", "INDX")
    with pytest.raises(RequestError, match="the filter 'GAS' names no quote"):
        history.restricted(only=("GAS",))
    with pytest.raises(RequestError, match="must leave a quote"):
        history.restricted(only=("OIL",), without=("O*",))


def test_same_history_gives_the_same_bytes():
    """A set is data; its digest is its name."""
    history = a_history(OIL=[50.0, 40.0, 60.0], EUR__OIS__5Y=[0.001, 0.002, 0.003])
    assert encode_scenarios(historical(history)) == encode_scenarios(historical(history))
