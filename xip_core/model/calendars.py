"""Business day calendars: lists mostly of the `holidays` package, arithmetic of numpy's busdaycalendar.

The lists are those that pricing libraries use for settlement, which differ from public holidays here and there; the
differences are written out below and were compared day by day with QuantLib 1.44 over 2000-2075: equal but for one
day, 2003-05-06 in Japan.

    TARGET        euro area                       by rule, so that books in euro need not import the package
    US            United States settlement        holidays.US without 2021-06-18 (Juneteenth was proclaimed on the eve)
    US-FED        Federal Reserve                 US without the Fridays before a Saturday's holiday
    US-NYSE       New York Stock Exchange         holidays.NYSE
    UK            England                         holidays.GB/ENG
    ZUB           Zurich                          holidays.CH/ZH and 2 January
    JP            Japan                           holidays.JP and 31 December to 3 January
    WeekendsOnly, NullCalendar (every day is a business day)

Names joined by commas ("TARGET,US,UK") are open when all of them are. An ISO date among the names is one more closed
day, "UK,2022-09-19" for a day of mourning: nobody has to wait for a list to be published, and none is registered
anywhere. Lists span 1990-2100; outside them only weekends
are known. Importing the package takes 60 ms, making a calendar 3 to 15 ms, once per process and name.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterable

import numpy as np

from xip_core.model.dates import DayNumbers, month_ends

_YEARS = range(1990, 2101)

_ALIASES = {
    "EUR": "TARGET", "TGT": "TARGET",
    "USD": "US", "US-SET": "US", "UNITEDSTATES": "US", "NEWYORK": "US",
    "GBP": "UK", "GB": "UK", "LONDON": "UK", "UNITEDKINGDOM": "UK",
    "CHF": "ZUB", "CH": "ZUB", "ZURICH": "ZUB", "SWITZERLAND": "ZUB",
    "JPY": "JP", "JPN": "JP", "TOKYO": "JP", "JAPAN": "JP",
    "FED": "US-FED", "US-WITH-JUNETEENTH": "US",
    "NYSE": "US-NYSE",
    "WEEKENDSONLY": "WeekendsOnly", "NULLCALENDAR": "NullCalendar", "NULL": "NullCalendar",
}  # fmt: skip
"""Other names met in trades and conventions, upper case."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

_ROLLS = {
    "following": "following",
    "modified_following": "modifiedfollowing",
    "preceding": "preceding",
    "modified_preceding": "modifiedpreceding",
}


class Calendar:
    """Business days of one place or of several together; build it with `calendar`."""

    def __init__(self, name: str, holidays: DayNumbers, weekmask: str) -> None:
        self.name = name
        self._busdays = np.busdaycalendar(weekmask=weekmask, holidays=holidays.view("M8[D]"))

    def is_business_day(self, days: DayNumbers) -> np.ndarray:
        """Boolean array of the shape of *days*."""
        return np.is_busday(days.view("M8[D]"), busdaycal=self._busdays)

    def adjust(self, days: DayNumbers, convention: str) -> DayNumbers:
        """Each day moved to a business day by *convention* (a Convention of xip_core.model.trade)."""
        if convention == "unadjusted":
            return days
        moved = np.busday_offset(days.view("M8[D]"), 0, roll=_ROLLS[convention], busdaycal=self._busdays)  # type: ignore[call-overload] # the stubs want a literal roll
        return moved.view("i8")  # type: ignore[no-any-return] # follows from the ignore above

    def advance(self, days: DayNumbers, business_days: int) -> DayNumbers:
        """Each day moved by a count of business days, forward or back; 0 means the following business day."""
        roll = "preceding" if business_days > 0 else "following"  # so that the first step leaves a holiday
        moved = np.busday_offset(days.view("M8[D]"), business_days, roll=roll, busdaycal=self._busdays)  # type: ignore[call-overload] # as above
        return moved.view("i8")  # type: ignore[no-any-return] # as above

    def business_days_between(self, begins: DayNumbers, ends: DayNumbers) -> DayNumbers:
        """Count of business days in [begin, end) of each pair."""
        return np.busday_count(begins.view("M8[D]"), ends.view("M8[D]"), busdaycal=self._busdays)

    def month_end(self, days: DayNumbers) -> DayNumbers:
        """Last business day of the month of each day."""
        return self.adjust(month_ends(days), "preceding")


@functools.lru_cache(maxsize=256)  # a few names and their combinations; about 20 kB each
def calendar(names: str) -> Calendar:
    """The calendar of a name or of several joined by commas; case does not matter.

    Raises:
        ValueError: a name is neither a date nor one of the table at the head of this module.
    """
    parts = [name.strip() for name in names.split(",")]
    closed = {dt.date.fromisoformat(part) for part in parts if _DATE.fullmatch(part)}
    singles = sorted({_canonical(part) for part in parts if not _DATE.fullmatch(part)})
    if not singles:
        raise ValueError(f"days a calendar is closed on need the name of a calendar, got {names!r}")
    holidays = np.concatenate([*map(_holidays_of, singles), _day_numbers(closed)])  # which numpy sorts, each day once
    weekmask = "1111111" if singles == ["NullCalendar"] else "1111100"
    return Calendar(",".join([*singles, *map(str, sorted(closed))]), holidays, weekmask)


@functools.cache  # nine names
def _holidays_of(name: str) -> DayNumbers:
    return _day_numbers(_LISTS[name]())


def make_all() -> None:
    """Make every list now, for whoever has time before the first one is needed."""
    for name in _LISTS:
        _holidays_of(name)


def _day_numbers(dates: Iterable[dt.date]) -> DayNumbers:
    return np.array([date.toordinal() for date in dates], dtype=np.int64) - dt.date(1970, 1, 1).toordinal()


def is_calendar(name: str) -> bool:
    """Whether *name*, a single one, is known; currency codes are."""
    return _known_as(name) in _LISTS


def _known_as(name: str) -> str:
    text = name.strip()
    return _ALIASES.get(text.upper(), text.upper() if text.upper() in _LISTS else text)


def _canonical(name: str) -> str:
    found = _known_as(name)
    if found not in _LISTS:
        raise ValueError(f"a calendar must be one of {', '.join(_LISTS)}, got {name!r}")
    return found


def _target() -> Iterable[dt.date]:
    """1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December from 2000 on; fewer days before."""
    for year in _YEARS:
        yield dt.date(year, 1, 1)
        yield dt.date(year, 12, 25)
        if year >= 2000:
            easter = _easter(year)
            yield from (easter - dt.timedelta(days=2), easter + dt.timedelta(days=1))
            yield from (dt.date(year, 5, 1), dt.date(year, 12, 26))
        if year in (1999, 2001):
            yield dt.date(year, 12, 31)


def _easter(year: int) -> dt.date:
    """Easter Sunday of the Gregorian calendar (J. Meeus, Astronomical Algorithms, 1991, ch. 8)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    correction = (8 * century + 13) // 25
    epact = (19 * golden + century - century // 4 - correction + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - epact - of_century % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return dt.date(year, month, day + 1)


def _us() -> Iterable[dt.date]:
    import holidays  # 60 ms, and only where such a calendar is needed

    return set(holidays.country_holidays("US", years=_YEARS)) - {dt.date(2021, 6, 18)}


def _us_fed() -> Iterable[dt.date]:
    import holidays

    named = holidays.country_holidays("US", years=_YEARS)
    eve_of_saturday = {d for d, name in named.items() if d.weekday() == 4 and "observed" in name}
    return set(named) - eve_of_saturday


def _us_nyse() -> Iterable[dt.date]:
    import holidays

    return list(holidays.financial_holidays("NYSE", years=_YEARS))


def _uk() -> Iterable[dt.date]:
    import holidays

    return list(holidays.country_holidays("GB", subdiv="ENG", years=_YEARS))


def _zub() -> Iterable[dt.date]:
    import holidays

    berchtold = {dt.date(year, 1, 2) for year in _YEARS}
    return set(holidays.country_holidays("CH", subdiv="ZH", years=_YEARS)) | berchtold


def _jp() -> Iterable[dt.date]:
    import holidays

    bank = {dt.date(year, month, day) for year in _YEARS for month, day in ((1, 2), (1, 3), (12, 31))}
    return set(holidays.country_holidays("JP", years=_YEARS)) | bank


_LISTS = {
    "TARGET": _target,
    "US": _us,
    "US-FED": _us_fed,
    "US-NYSE": _us_nyse,
    "UK": _uk,
    "ZUB": _zub,
    "JP": _jp,
    "WeekendsOnly": tuple,
    "NullCalendar": tuple,
}
