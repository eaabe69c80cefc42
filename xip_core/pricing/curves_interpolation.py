"""What lies between the knots of a curve: log discount factors of any day as weights on the curve's factors.

    log_linear_discount        log D linear between knots; the last forward continues (the default)
    linear_zero                zero rates linear in time between knots, flat before the first and after the last
    log_cubic_discount         log D a natural cubic spline through the knots and today; the last forward continues
    monotone_convex            Hagan and West, for rates of any sign (`monotone_convex`)
    monotone_convex_positive   the same, forwards keep the sign of their data

The first three are linear in the log discount factors at the knots with weights that follow from dates alone, so a
curve's factors are its knots, and a scenario costs nothing more. A spline is not local: every instrument depends on all
knots, and the system of such a curve is solved at once instead of pillar by pillar. Monotone convex curves have more
factors than knots.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xip_core.model.market_instruments import Interpolation
from xip_core.pricing.layout import Refs
from xip_core.pricing.monotone_convex import YEAR_DAYS, NodeGrid

Floats = npt.NDArray[np.float64]


class Interpolator(Protocol):
    """Of one curve."""

    @property
    def factor_count(self) -> int: ...

    def weights(self, begin: int, day: int) -> Refs:
        """log D of a day in the factors that begin at row *begin*; () until the as-of date."""


def interpolator_of(method: Interpolation, as_of_day: int, knot_days: Sequence[int]) -> Interpolator | None:
    """None for log-linear discount factors, which the layout knows itself."""
    match method:
        case "log_linear_discount":
            return None
        case "linear_zero":
            return LinearZero(as_of_day, knot_days)
        case "log_cubic_discount":
            return LogCubic(as_of_day, knot_days)
        case "monotone_convex" | "monotone_convex_positive":
            return NodeGrid(as_of_day, knot_days, is_positive=method == "monotone_convex_positive")


class LinearZero:
    """log D(t) = -t z(t), z linear between z_k = -log D_k / t_k."""

    def __init__(self, as_of_day: int, knot_days: Sequence[int]) -> None:
        self._as_of_day = as_of_day
        self._days = tuple(knot_days)
        self.factor_count = len(knot_days)

    def weights(self, begin: int, day: int) -> Refs:
        if day <= self._as_of_day:
            return ()
        right = bisect.bisect_left(self._days, day)
        ahead = day - self._as_of_day
        if right in (0, len(self._days)):
            nearest = min(right, len(self._days) - 1)
            return ((begin + nearest, ahead / (self._days[nearest] - self._as_of_day)),)
        if self._days[right] == day:
            return ((begin + right, 1.0),)
        before, after = self._days[right - 1], self._days[right]
        share = (day - before) / (after - before)
        return (
            (begin + right - 1, (1.0 - share) * ahead / (before - self._as_of_day)),
            (begin + right, share * ahead / (after - self._as_of_day)),
        )


class LogCubic:
    """A natural cubic spline; its second derivatives at the knots are a matrix times the values there."""

    def __init__(self, as_of_day: int, knot_days: Sequence[int]) -> None:
        self._days = (as_of_day, *knot_days)
        self.factor_count = len(knot_days)
        self._years = (np.array(self._days) - as_of_day) / YEAR_DAYS
        self._bends = second_derivatives(self._years)

    def weights(self, begin: int, day: int) -> Refs:
        last = len(self._days) - 1
        if day <= self._days[0]:
            return ()
        values = np.zeros(last + 1)
        if day > self._days[last]:
            h, beyond = self._years[last] - self._years[last - 1], (day - self._days[last]) / YEAR_DAYS
            values[last] = 1.0 + beyond / h
            values[last - 1] = -beyond / h
            values += self._bends[last - 1] * (beyond * h / 6.0)
        else:
            right = bisect.bisect_left(self._days, day)
            if self._days[right] == day:
                return ((begin + right - 1, 1.0),)
            h = self._years[right] - self._years[right - 1]
            b = (day - self._days[right - 1]) / (self._days[right] - self._days[right - 1])
            a = 1.0 - b
            values[right - 1], values[right] = a, b
            values += self._bends[right - 1] * (a * (a * a - 1.0) * h * h / 6.0)
            values += self._bends[right] * (b * (b * b - 1.0) * h * h / 6.0)
        return tuple((begin + knot, float(weight)) for knot, weight in enumerate(values[1:]) if weight != 0.0)


def spline_weights(years: Floats, at: Floats) -> Floats:
    """(len(at), len(years)): a natural cubic spline at *at* from its values at *years*; the outer cubics go on."""
    bends = second_derivatives(years)
    right = np.clip(np.searchsorted(years, at), 1, len(years) - 1)
    h = years[right] - years[right - 1]
    b = (at - years[right - 1]) / h
    a = 1.0 - b
    found = (a * (a * a - 1.0) * h * h / 6.0)[:, None] * bends[right - 1]
    found += (b * (b * b - 1.0) * h * h / 6.0)[:, None] * bends[right]
    found[np.arange(len(at)), right - 1] += a
    found[np.arange(len(at)), right] += b
    return np.asarray(found)


def second_derivatives(years: Floats) -> Floats:
    """(n + 1, n + 1): second derivatives at the knots from the values there; zero at both ends."""
    count = len(years)
    found = np.zeros((count, count))
    h = np.diff(years)
    upper = np.zeros(count)
    for k in range(1, count - 1):  # elimination of a tridiagonal system, row by row
        right = np.zeros(count)
        right[k - 1 : k + 2] = 6.0 / h[k - 1], -6.0 / h[k - 1] - 6.0 / h[k], 6.0 / h[k]
        pivot = 2.0 * (h[k - 1] + h[k]) - h[k - 1] * upper[k - 1]
        upper[k] = h[k] / pivot
        found[k] = (right - h[k - 1] * found[k - 1]) / pivot
    for k in range(count - 2, 0, -1):
        found[k] -= upper[k] * found[k + 1]
    return found
