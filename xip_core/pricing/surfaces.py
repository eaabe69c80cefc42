"""Where volatilities live in the market vector, and how an expiry and a strike become weights on them.

Lognormal surfaces keep total variance sigma^2 t: it is what adds up in time, and linear interpolation of it is free of
calendar arbitrage wherever the nodes are. Normal surfaces, and swaption grids of either kind, keep the volatility
itself, which is how they are quoted and interpolated. Outside the nodes the volatility is flat, in expiry, strike and
swap length, but for cap surfaces by spline whose definition extends them. Fractions of the time axis are fractions of
days (Act/365F).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.errors import XipError
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, parse_tenor
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import RateIndex
from xip_core.pricing.curves_pillars import add_tenors, index_spot_day
from xip_core.pricing.layout import CubicRef, Refs, VolatilityRef

YEAR_DAYS = 365.0


class BrokenSurfaceError(XipError):
    """A surface whose definition cannot be laid out."""


def bracket(knots: Sequence[float], value: float) -> tuple[int, int, float]:
    """Left and right position and the weight of the right one; flat outside."""
    right = bisect.bisect_left(knots, value)
    if right == 0:
        return 0, 0, 0.0
    if right == len(knots):
        return right - 1, right - 1, 0.0
    return right - 1, right, (value - knots[right - 1]) / (knots[right] - knots[right - 1])


def interval(knots: Sequence[float], value: float) -> tuple[int, float]:
    """Left position of the interval that holds *value*, or is the nearest to it, and the way from left to right."""
    left = min(max(bisect.bisect_left(knots, value) - 1, 0), len(knots) - 2)
    return left, (value - knots[left]) / (knots[left + 1] - knots[left])


def flat_weights(knot_days: Sequence[int], begin: int, day: int) -> Refs:
    """Linear between knots, flat outside; () without knots."""
    if not knot_days:
        return ()
    left, right, weight = bracket(knot_days, day)
    if left == right:
        return ((begin + left, 1.0),)
    return tuple((begin + p, w) for p, w in ((left, 1.0 - weight), (right, weight)) if w != 0.0)


def log_linear_weights(knot_days: Sequence[int], as_of_day: int, begin: int, day: int) -> Refs:
    """Of rates at knots, what makes rate times years at *day*: linear from 0 on, beyond the last knot as before it."""
    if not knot_days or day <= as_of_day:
        return ()
    days = (as_of_day, *knot_days)
    right = min(bisect.bisect_left(days, day), len(days) - 1)
    weight = (day - days[right - 1]) / (days[right] - days[right - 1])
    pairs = ((right - 1, 1.0 - weight), (right, weight))
    return tuple((begin + p - 1, w * ((days[p] - as_of_day) / YEAR_DAYS)) for p, w in pairs if p and w != 0.0)


def variance_rows(knot_days: Sequence[int], as_of_day: int, day: int) -> tuple[tuple[int, float], ...]:
    """Positions and weights of total variance at *day*: linear in time, flat volatility outside the knots."""
    left, right, weight = bracket(knot_days, day)
    if left != right:
        return tuple((p, w) for p, w in ((left, 1.0 - weight), (right, weight)) if w != 0.0)
    return ((left, max(day - as_of_day, 0) / (knot_days[left] - as_of_day)),)


class VolatilityTerm(msgspec.Struct, frozen=True):
    """Lognormal volatilities by expiry; factors are total variances at *knot_days*."""

    begin: int
    knot_days: tuple[int, ...]

    def at(self, as_of_day: int, day: int) -> VolatilityRef:
        """The volatility to the expiry *day*."""
        rows = variance_rows(self.knot_days, as_of_day, day)
        refs = tuple((self.begin + position, weight) for position, weight in rows)
        return VolatilityRef(refs, True, False, max(day - as_of_day, 0) / YEAR_DAYS)


class VolatilityGrid(msgspec.Struct, frozen=True):
    """Volatilities by expiry and column (strike or swap length in years), row-major.

    Attributes:
        row_days: expiries; for caps the last fixing day of each quoted cap, or every fixing day.
        columns: ascending; one column that stands for all strikes where it is (0.0,).
        is_total_variance: the nodes hold sigma^2 t.
        has_slopes: after all nodes stand their derivatives to the column; between columns it is Hermite's cubic then.
        is_cubic: between rows the volatility is Kruger's cubic in time, not linear.
        extends: outside the nodes the outer cubics go on, in time and over columns with slopes; otherwise it is flat.
    """

    begin: int
    row_days: tuple[int, ...]
    columns: tuple[float, ...]
    is_normal: bool
    is_total_variance: bool
    has_slopes: bool = False
    is_cubic: bool = False
    extends: bool = False

    @property
    def node_count(self) -> int:
        """Factors, slopes included."""
        return len(self.row_days) * len(self.columns) * (2 if self.has_slopes else 1)

    def at(self, as_of_day: int, day: int, column: float) -> VolatilityRef:
        """The volatility to the expiry *day* at a strike or swap length."""
        if self.is_total_variance:
            rows = variance_rows(self.row_days, as_of_day, day)
        else:
            rows = flat_weights(self.row_days, 0, day)
        across = self._across(column)
        refs = self._refs(rows, across)
        years = max(day - as_of_day, 0) / YEAR_DAYS
        is_between = len(rows) > 1 or (self.extends and day not in (self.row_days[0], *self.row_days[-1:]))
        cubic = self._cubic(day, across) if self.is_cubic and is_between else None
        return VolatilityRef(refs, self.is_total_variance, self.is_normal, years, cubic)

    def _refs(self, rows: Sequence[tuple[int, float]], across: Sequence[tuple[int, float]]) -> Refs:
        return tuple(
            (self.begin + row * len(self.columns) + position, row_weight * column_weight)
            for row, row_weight in rows
            for position, column_weight in across
            if row_weight * column_weight != 0.0
        )

    def _cubic(self, day: int, across: Sequence[tuple[int, float]]) -> CubicRef:
        """Of a day between two rows, or beyond them."""
        left, share = interval(self.row_days, day)
        rows = range(len(self.row_days))
        before, at_left, at_right, after = (
            self._refs(((row, 1.0),), across) if row in rows else () for row in range(left - 1, left + 3)
        )
        days = self.row_days
        first, own, last = (
            (days[row + 1] - days[row]) / YEAR_DAYS if row in rows and row + 1 in rows else 0.0
            for row in range(left - 1, left + 2)
        )
        return CubicRef((before, at_left, at_right, after), (first, own, last), share)

    def _across(self, column: float) -> tuple[tuple[int, float], ...]:
        """Positions from the begin of a row, and weights; those of slopes lie a whole grid further."""
        left, right, weight = bracket(self.columns, column)
        if self.extends and self.has_slopes:
            left, weight = interval(self.columns, column)
            right = left + 1
        if left == right:
            return ((left, 1.0),)
        if not self.has_slopes:
            return ((left, 1.0 - weight), (right, weight))
        width, other, slopes = self.columns[right] - self.columns[left], 1.0 - weight, self.node_count // 2
        return (
            (left, (1.0 + 2.0 * weight) * other * other),
            (right, (1.0 + 2.0 * other) * weight * weight),
            (slopes + left, weight * other * other * width),
            (slopes + right, -other * weight * weight * width),
        )


def expiry_days(name: str, calendar_names: str, as_of_day: int, tenors: Sequence[str]) -> tuple[int, ...]:
    days = add_tenors(calendar_names, as_of_day, tenors, "following", False).tolist()
    if not days:
        raise BrokenSurfaceError(f"{name} must have an expiry, got none")
    for before, day in zip((as_of_day, *days), days, strict=False):
        if day <= before:
            raise BrokenSurfaceError(f"{name}: expiries must ascend from the as-of date, got {date_of(day)}")
    return tuple(days)


def check_ascending(name: str, columns: Sequence[float]) -> tuple[float, ...]:
    if any(a >= b for a, b in itertools.pairwise(columns)):
        raise BrokenSurfaceError(f"{name}: strikes or tenors must ascend, got {list(columns)}")
    return tuple(columns)


def layout_term(snapshot: Snapshot, name: str, as_of_day: int, begin: int) -> VolatilityTerm:
    """An FX or equity volatility term structure ("fx_volatility/EURUSD")."""
    kind, short_name = name.split("/", 1)
    surfaces = snapshot.fx_volatilities if kind == "fx_volatility" else snapshot.equity_volatilities
    surface = next(item for item in surfaces if item.name == short_name)
    tenors = [pillar.tenor for pillar in surface.pillars]
    return VolatilityTerm(begin, expiry_days(name, surface.calendar, as_of_day, tenors))


def layout_commodity(snapshot: Snapshot, name: str, as_of_day: int, begin: int) -> VolatilityGrid:
    """A commodity surface by strike, or at-the-money alone."""
    surface = next(item for item in snapshot.commodity_volatilities if item.name == name.split("/", 1)[1])
    rows = expiry_days(name, surface.calendar, as_of_day, surface.expiries)
    return VolatilityGrid(begin, rows, check_ascending(name, surface.strikes or (0.0,)), False, True)


def layout_swaption_grid(snapshot: Snapshot, name: str, as_of_day: int, begin: int) -> VolatilityGrid:
    """An at-the-money swaption grid."""
    surface = next(item for item in snapshot.swaption_volatilities if item.name == name.split("/", 1)[1])
    rows = expiry_days(name, surface.calendar, as_of_day, surface.expiries)
    lengths = [parse_tenor(tenor)[0] / 12.0 for tenor in surface.swap_tenors]
    return VolatilityGrid(begin, rows, check_ascending(name, lengths), surface.is_normal, False)


def layout_cap_grid(
    snapshot: Snapshot, name: str, indices: dict[str, RateIndex], as_of_day: int, begin: int
) -> VolatilityGrid:
    """Caplet volatilities of a cap surface; a row per quoted cap, or per caplet, at its last fixing day."""
    surface = next(item for item in snapshot.cap_volatilities if item.name == name.split("/", 1)[1])
    if surface.has_caplets:
        expiries = expiry_days(name, surface.calendar, as_of_day, surface.tenors)
        return VolatilityGrid(begin, expiries, check_ascending(name, surface.strikes), surface.is_normal, False)
    index = indices.get(surface.index)
    if index is None:
        raise BrokenSurfaceError(f"{name}: rate index {surface.index} is not defined")
    rows = tuple(last_fixing_day(index, as_of_day, tenor) for tenor in surface.tenors)
    if any(b <= a for a, b in zip((as_of_day, *rows), rows, strict=False)):
        raise BrokenSurfaceError(f"{name}: each cap must end at least one period after the one before")
    if surface.is_spline:
        if len(rows) < 2:
            raise BrokenSurfaceError(f"{name}: a spline needs two caps, got {len(rows)}")
        period = parse_tenor(index.tenor)[0]
        if odd := [tenor for tenor in surface.tenors if parse_tenor(tenor)[0] % period]:
            raise BrokenSurfaceError(f"{name}: caps of a spline must be multiples of {index.tenor}, got {odd[0]}")
        rows = tuple(caplet_days(index, as_of_day, surface.tenors[-1])[0].tolist())
    strikes = check_ascending(name, surface.strikes)
    has_slopes = surface.is_spline and len(strikes) > 1
    cubics = (has_slopes, surface.is_spline, surface.extends)
    return VolatilityGrid(begin, rows, strikes, surface.is_normal, False, *cubics)


def last_fixing_day(index: RateIndex, as_of_day: int, tenor: str) -> int:
    """Fixing day of the last caplet of a spot-starting cap of length *tenor*."""
    start = index_spot_day(index, as_of_day)
    cap_months = parse_tenor(tenor)[0]
    index_months = parse_tenor(index.tenor)[0]
    if index_months <= 0 or cap_months <= index_months:
        raise BrokenSurfaceError(f"a cap on {index.name} must be longer than {index.tenor}, got {tenor}")
    last_start = add_tenors(
        index.calendar, start, (f"{cap_months - index_months}M",), index.convention, index.end_of_month
    )
    return int(_fixing_days(index, last_start)[0])


def _fixing_days(index: RateIndex, start_days: np.ndarray) -> np.ndarray:
    return calendar(index.calendar).advance(start_days, -index.settlement_days)


def caplet_days(index: RateIndex, as_of_day: int, tenor: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fixing, start and end days of the caplets of a spot-starting cap, without the first (its rate is known)."""
    start = index_spot_day(index, as_of_day)
    period = parse_tenor(index.tenor)[0]
    count = parse_tenor(tenor)[0] // period
    steps = [f"{period * step}M" for step in range(1, count + 1)]
    boundaries = add_tenors(index.calendar, start, steps, index.convention, index.end_of_month)
    return _fixing_days(index, boundaries[:-1]), boundaries[:-1], boundaries[1:]
