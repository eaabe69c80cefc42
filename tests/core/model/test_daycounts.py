"""Day counts on the examples of their definitions."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from xip_core.model.dates import day_number
from xip_core.model.daycounts import year_fractions


def fraction(day_count: str, begin: str, end: str, tenor_months: int = 0) -> float:
    days = [np.array([day_number(dt.date.fromisoformat(date))]) for date in (begin, end)]
    return float(year_fractions(day_count, days[0], days[1], tenor_months)[0])


@pytest.mark.parametrize(
    ("day_count", "begin", "end", "expected"),
    [
        ("A360", "2016-02-09", "2016-08-09", 182 / 360),
        ("A365F", "2016-02-09", "2017-02-09", 366 / 365),
        ("30/360", "2016-01-31", "2016-03-31", 60 / 360),
        ("30/360", "2016-01-15", "2016-03-31", 76 / 360),
        ("30E/360", "2016-01-15", "2016-03-31", 75 / 360),
        ("30U/360", "2016-02-29", "2017-02-28", 1.0),
        ("30U/360", "2017-02-28", "2017-03-31", 30 / 360),
        ("30U/360", "2017-01-31", "2017-02-28", 28 / 360),
        ("30/360", "2016-02-28", "2016-03-31", 33 / 360),
        # EMU and market conventions: recent developments, ISDA memorandum (1998), first example
        ("ACT/ACT ISDA", "2003-11-01", "2004-05-01", 61 / 365 + 121 / 366),
        ("ACT/ACT ISDA", "1999-02-01", "1999-07-01", 150 / 365),
        ("ACT/ACT ISDA", "2015-07-01", "2017-07-01", 184 / 365 + 1 + 181 / 365),
        # the same memorandum: AFB on the first, third and fourth example
        ("ACT/ACT AFB", "2003-11-01", "2004-05-01", 182 / 366),
        ("ACT/ACT AFB", "1999-02-01", "1999-07-01", 150 / 365),
        ("ACT/ACT AFB", "1999-02-01", "2000-02-01", 1.0),
        ("ACT/ACT AFB", "2003-10-01", "2012-02-28", 8.413698630136986),  # QuantLib 1.44: 29 February is stepped to
        ("NL/365", "2016-02-28", "2016-03-01", 1 / 365),
        ("NL/365", "2016-02-29", "2016-03-01", 1 / 365),
        ("NL/365", "2015-02-28", "2017-02-28", 2.0),
        ("1/1", "2015-02-28", "2017-02-28", 1.0),
        ("30E/360 ISDA", "2016-02-29", "2016-08-31", 180 / 360),
        ("30E/360 ISDA", "2016-08-31", "2017-02-28", 180 / 360),
    ],
)
def test_fractions_are_those_of_the_definitions(day_count: str, begin: str, end: str, expected: float) -> None:
    assert fraction(day_count, begin, end) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("begin", "end", "tenor_months", "expected"),
    [
        ("2003-11-01", "2004-05-01", 6, 0.5),  # the same memorandum: regular, short first, long first
        ("1999-02-01", "1999-07-01", 12, 150 / 365),
        ("2002-08-15", "2003-07-15", 6, 0.5 + 0.5 * 153 / 184),
    ],
)
def test_icma_counts_coupons_and_parts_of_them(begin: str, end: str, tenor_months: int, expected: float) -> None:
    assert fraction("ACT/ACT ICMA", begin, end, tenor_months) == pytest.approx(expected, rel=1e-12)


def test_icma_counts_a_last_stub_in_the_coupon_it_begins() -> None:
    days = np.array([day_number(dt.date(*date)) for date in ((1999, 7, 30), (2000, 1, 30), (2000, 6, 30))])
    fractions = year_fractions("ACT/ACT ICMA", days[:-1], days[1:], 6)
    assert fractions.tolist() == pytest.approx([0.5, 0.5 * 152 / 182], rel=1e-12)


def test_icma_needs_a_tenor_that_divides_the_year() -> None:
    with pytest.raises(ValueError, match="needs a coupon tenor of 1, 2, 3, 4, 6 or 12 months, got 5"):
        fraction("ACT/ACT ICMA", "2003-11-01", "2004-05-01", 5)


def test_an_unknown_day_count_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown day count 'BUS/252'"):
        fraction("BUS/252", "2003-11-01", "2004-05-01")


def test_30e_360_isda_leaves_the_last_day_of_a_leg_where_it_is() -> None:
    days = [np.array([day_number(dt.date.fromisoformat(date))]) for date in ("2016-08-31", "2017-02-28")]
    inside = year_fractions("30E/360 ISDA", days[0], days[1])
    at_the_end = year_fractions("30E/360 ISDA", days[0], days[1], termination_day=int(days[1][0]))
    assert inside[0] == 180 / 360
    assert at_the_end[0] == 178 / 360


QUANTLIB = Path(__file__).resolve().parents[4] / "shared" / "reference" / "quantlib_tests"


@pytest.mark.skipif(not QUANTLIB.exists(), reason=f"third-party values are absent: {QUANTLIB} (see the README)")
@pytest.mark.parametrize(
    ("table", "day_count", "last_day"),
    [
        ("bondbasis", "30/360", None),
        ("eurobond", "30E/360", None),
        ("usa", "30U/360", None),
        # the dates on which the legs of QuantLib's three examples end
        ("isda_data1", "30E/360 ISDA", dt.date(2009, 8, 20)),
        ("isda_data2", "30E/360 ISDA", dt.date(2012, 2, 28)),
        ("isda_data3", "30E/360 ISDA", dt.date(2008, 2, 29)),
    ],
)
def test_days_are_those_of_quantlib(table: str, day_count: str, last_day: dt.date | None) -> None:
    rows = list(csv.DictReader((QUANTLIB / f"daycount_30_360_{table}.csv").read_text().splitlines()))
    begins, ends = (np.array([day_number(dt.date.fromisoformat(row[key])) for row in rows]) for key in ("start", "end"))
    termination = None if last_day is None else day_number(last_day)
    found = 360.0 * year_fractions(day_count, begins, ends, termination_day=termination)
    assert np.round(found, 9).tolist() == [float(row["expected_days"]) for row in rows]
