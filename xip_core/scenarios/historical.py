"""Historical scenarios: what quotes did over h days in the past, done to the quotes of today.

A pair of dates (from, to) gives one scenario. With v the quotes of the two dates and s the scale::

    absolute    quote + s (v_to - v_from)
    relative    quote * (1 + s (v_to / v_from - 1))
    log         quote * (v_to / v_from)^s

so with s = 1 relative and log say the same. Which quote has which return is told by patterns, the first that fits.

Pairs. Without a calendar a horizon is rows: the next row but h - 1. With one it is h business days, and a pair is made
where both days are in the history (the convention of ORE). Overlapping pairs begin on every row; others begin where
the one before ended. Scenarios are named "2016-12-30 to 2017-01-17".

What is not there is never guessed, only treated as the caller says:

    gaps      "refuse"      two rows too far apart, or a business day of the calendar without a row
              "skip"        pairs that would span one are left out
    missing   "refuse"      a quote without a number on a day it is needed
              "skip"        pairs that need it are left out
              "unmoved"     the quote stands still in such pairs (the convention of ORE)
              "previous"    the last number before that day stands in
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.kernels.level import load_module
from xip_core.model.calendars import calendar as calendar_of
from xip_core.model.dates import date_of, day_number
from xip_core.model.scenario import Scenario, ScenarioSet
from xip_core.model.scenario_table import ShiftTable, TableTarget, shift_table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Return = Literal["absolute", "relative", "log"]
Gaps = Literal["refuse", "skip"]
Missing = Literal["refuse", "skip", "unmoved", "previous"]

GAP_DAYS_MAX = 7
"""Between two rows of a history without a calendar: a week holds the longest run of holidays of most markets."""


class History(msgspec.Struct, frozen=True):
    """A time series of quotes.

    Attributes:
        dates: ascending.
        names: of the quotes, distinct.
        values: (dates, names); NaN where there is none.
    """

    dates: tuple[dt.date, ...]
    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.dates), len(self.names)):
            shape = (len(self.dates), len(self.names))
            raise _bad(f"a history must have values of shape {shape}, got {self.values.shape}")
        for name in {name for name in self.names if self.names.count(name) > 1} if _has_twins(self.names) else ():
            raise _bad(f"a history must name each quote once, {name!r} is there twice")
        for before, after in zip(self.dates, self.dates[1:], strict=False):
            if after <= before:
                raise _bad(f"dates of a history must ascend, got {after} after {before}")

    def restricted(self, only: Sequence[str] = (), without: Sequence[str] = ()) -> History:
        """The quotes whose name fits a pattern of *only* (() for all) and none of *without*.

        Raises:
            RequestError: BAD_HISTORY, a pattern fits no quote, or nothing is left.
        """
        for pattern in (*only, *without):
            if not fnmatch.filter(self.names, pattern):
                raise _bad(f"the filter {pattern!r} names no quote of the history")
        kept = [
            place
            for place, name in enumerate(self.names)
            if (not only or _fits(name, only)) and not _fits(name, without)
        ]
        if not kept:
            raise _bad("the filters must leave a quote of the history, got none")
        return History(self.dates, tuple(self.names[place] for place in kept), self.values[:, kept])


class Horizon(msgspec.Struct, frozen=True):
    """Which pairs of dates make scenarios.

    Attributes:
        days: rows, or business days of *calendar*.
        calendar: "" for rows.
        since, until: bounds of the later date of a pair, inclusive; None for none.
        gap_days_max: calendar days between rows of a history without a calendar.
    """

    days: int = 1
    calendar: str = ""
    is_overlapping: bool = True
    since: dt.date | None = None
    until: dt.date | None = None
    gaps: Gaps = "refuse"
    gap_days_max: int = GAP_DAYS_MAX


def historical(
    history: History,
    horizon: Horizon = Horizon(),  # noqa: B008 -- immutable, and says what the defaults are
    returns: Sequence[tuple[str, Return]] = (("*", "relative"),),
    missing: Missing = "refuse",
    scale: float = 1.0,
    target: TableTarget = "quote",
    moves_followers: bool = False,
) -> ScenarioSet:
    """
    The base and one scenario a pair of dates.

    Args:
        returns: (pattern of names, kind), the first that fits a quote says its kind.
        scale: of every return; sqrt(10) makes ten-day moves of one-day ones.
        target: of what *history* is; names of objects' rows are "name/tenor", such as "EUR1D/5Y".
        moves_followers: as of `ShiftTable`.

    Raises:
        RequestError: BAD_HISTORY, naming quote and date.
    """
    pairs = date_pairs(history, horizon)
    kinds = [_kind_of(name, returns) for name in history.names]
    values = _filled(history.values) if missing == "previous" else history.values
    begins, ends = values[pairs[:, 0]], values[pairs[:, 1]]
    is_there = np.isfinite(begins) & np.isfinite(ends)
    if missing in ("refuse", "previous"):
        _refuse_missing(history, pairs, is_there, missing)
    if missing == "skip":
        complete = is_there.all(axis=1)
        pairs, begins, ends, is_there = pairs[complete], begins[complete], ends[complete], is_there[complete]
        if not len(pairs):
            raise _bad("no pair of dates has all quotes; leave out quotes or choose another policy for missing ones")
    names = tuple(f"{history.dates[a]} to {history.dates[b]}" for a, b in pairs.tolist())
    scenarios = (Scenario(name="base"), *(Scenario(name=name) for name in names))
    tables = tuple(
        table
        for is_absolute in (True, False)
        if (table := _table(history, pairs, begins, ends, is_there, kinds, is_absolute, scale, target, moves_followers))
    )
    return ScenarioSet(scenarios=scenarios, tables=tables)


def date_pairs(history: History, horizon: Horizon) -> Ints:
    """
    Rows (from, to) of the pairs: (P, 2), ascending.

    Raises:
        RequestError: BAD_HISTORY: a single row, a gap, or no pair.
    """
    if len(history.dates) < 2:
        raise _bad(f"a history must have at least two rows, got {len(history.dates)}")
    if horizon.days < 1:
        raise _bad(f"a horizon must be at least one day, got {horizon.days}")
    days = np.array([day_number(date) for date in history.dates])
    ends = _ends_by_calendar(days, horizon) if horizon.calendar else _ends_by_row(days, horizon)
    pairs: list[tuple[int, int]] = []
    row = 0
    while row < len(days):
        end = int(ends[row])
        if end >= 0:
            pairs.append((row, end))
        row = end if not horizon.is_overlapping and end >= 0 else row + 1
    since, until = horizon.since or dt.date.min, horizon.until or dt.date.max
    kept = [(a, b) for a, b in pairs if since <= history.dates[b] <= until]
    if not kept:
        span = f"the history has {len(days)} rows from {history.dates[0]} to {history.dates[-1]}"
        raise _bad(f"no pair of dates is {horizon.days} days apart and ends in the period asked for; {span}")
    return np.array(kept, dtype=np.int64)


def _ends_by_row(days: Ints, horizon: Horizon) -> Ints:
    """Row h further on, -1 where there is none."""
    far = np.flatnonzero(np.diff(days) > horizon.gap_days_max)
    if len(far) and horizon.gaps == "refuse":
        first = int(far[0])
        raise _bad(
            f"two rows must be at most {horizon.gap_days_max} days apart, got {date_of(int(days[first]))} and "
            f"{date_of(int(days[first + 1]))}; {_counted(len(far), 'such gap')}, which \"skip\" leaves out"
        )
    rows = np.arange(len(days))
    ends = np.where(rows + horizon.days < len(days), rows + horizon.days, -1)
    for gap in far.tolist():
        ends[max(0, gap - horizon.days + 1) : gap + 1] = -1
    return ends


def _ends_by_calendar(days: Ints, horizon: Horizon) -> Ints:
    """Row h business days later, -1 where there is none."""
    try:
        business = calendar_of(horizon.calendar)
    except ValueError as error:
        raise _bad(str(error)) from None
    if horizon.gaps == "refuse":
        every = np.arange(days[0], days[-1] + 1)
        absent = np.setdiff1d(every[business.is_business_day(every)], days)
        if len(absent):
            raise _bad(
                f"every business day of {horizon.calendar} must have a row, got none for {date_of(int(absent[0]))}; "
                f"{_counted(len(absent), 'such day')}, which \"skip\" leaves out"
            )
    later = business.advance(days, horizon.days)
    places = np.minimum(np.searchsorted(days, later), len(days) - 1)
    return np.where(days[places] == later, places, -1)


def _table(
    history: History,
    pairs: Ints,
    begins: Floats,
    ends: Floats,
    is_there: npt.NDArray[np.bool_],
    kinds: Sequence[Return],
    is_absolute: bool,
    scale: float,
    target: TableTarget,
    moves_followers: bool,
) -> ShiftTable | None:
    """The absolute returns, or the others as factors; None where there are none."""
    rows = [place for place, kind in enumerate(kinds) if (kind == "absolute") == is_absolute]
    if not rows:
        return None
    before, after, there = begins[:, rows], ends[:, rows], is_there[:, rows]
    if is_absolute:
        sizes = np.where(there, scale * (after - before), 0.0)
    else:
        _refuse_not_positive(history, pairs, rows, begins, ends)
        ratio = np.divide(after, before, where=there, out=np.ones_like(after))
        is_log = np.array([kinds[row] == "log" for row in rows])
        sizes = ratio if scale == 1.0 else np.where(is_log, _power(ratio, scale), 1.0 + scale * (ratio - 1.0))
    names = tuple(history.names[row] for row in rows)
    tenors: tuple[str, ...] = ()
    if target != "quote":
        parts = [name.rpartition("/") for name in names]
        names, tenors = tuple(part[0] for part in parts), tuple(part[2] for part in parts)
    kind: Literal["absolute", "factor"] = "absolute" if is_absolute else "factor"
    return shift_table(kind, names, sizes.T, target=target, tenors=tenors, moves_followers=moves_followers)


def _kind_of(name: str, returns: Sequence[tuple[str, Return]]) -> Return:
    for pattern, kind in returns:
        if fnmatch.fnmatchcase(name, pattern):
            return kind
    raise _bad(f"a return must be given for {name!r}: no pattern fits, got {', '.join(p for p, _ in returns)}")


def _filled(values: Floats) -> Floats:
    """Each number carried on until the next."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=0), np.nan)


def _refuse_missing(history: History, pairs: Ints, is_there: npt.NDArray[np.bool_], missing: Missing) -> None:
    lost = np.argwhere(~is_there)
    if not len(lost):
        return
    pair, column = lost[0].tolist()
    first, last = pairs[pair].tolist()
    date = history.dates[first if not np.isfinite(history.values[first, column]) else last]
    when = f"{date} or before" if missing == "previous" else f"{date}"
    more = _counted(len(lost), "such return")
    raise _bad(f"quote {history.names[column]} must have a number on {when}, got none; {more}")


def _refuse_not_positive(history: History, pairs: Ints, rows: list[int], begins: Floats, ends: Floats) -> None:
    for place, values in ((0, begins), (1, ends)):
        bad = np.argwhere(values[:, rows] <= 0.0)
        if len(bad):
            pair, column = bad[0].tolist()
            value, date = float(values[pair, rows[column]]), history.dates[int(pairs[pair, place])]
            name = history.names[rows[column]]
            raise _bad(f"quote {name} must be positive for relative and log returns, got {value!r} on {date}")


def _power(ratio: Floats, exponent: float) -> Floats:
    """ratio ^ exponent by the kernels' elementary functions, whose bytes are the same on any CPU."""
    elementary = load_module("elementary")
    flat = np.ascontiguousarray(ratio).ravel()
    logs, powers, status = np.empty_like(flat), np.empty_like(flat), np.empty(len(flat), dtype=np.uint8)
    elementary.apply("log_", (flat,), logs, status)
    elementary.apply("exp_", (exponent * logs,), powers, status)
    return powers.reshape(ratio.shape)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _has_twins(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _bad(message: str) -> RequestError:
    return RequestError("BAD_HISTORY", message)
