"""Caps between those quoted: a natural cubic spline in time of each strike's quotes, and slopes between strikes.

ORE (and QuantLib's OptionletStripper1) read cap volatilities at every whole number of index periods from a spline and
strip caplet by caplet; a caplet between two strikes is then a cubic with Kruger's slopes, the harmonic mean of those on
either side, or 0 where they differ in sign: no overshooting, local, and not linear in the volatilities, so the slopes
are factors of the market beside them.

Source: C. Kruger, Constrained cubic spline interpolation for chemical engineering applications (2002).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xip_core.model.dates import parse_tenor
from xip_core.model.market import CapVolatility
from xip_core.model.market_instruments import RateIndex
from xip_core.pricing.curves_interpolation import spline_weights
from xip_core.pricing.curves_pillars import add_tenors
from xip_core.pricing.layout_slots import YEAR_DAYS

Floats = npt.NDArray[np.float64]


class CapQuotes:
    """From the quotes of a surface to those of all caps that are nodes: the quotes themselves, or a spline of them.

    Attributes:
        weights: (rows, tenors), the same for all strikes.
        quoted_rows: rows whose caps are quoted as they are.
    """

    def __init__(self, index: RateIndex, surface: CapVolatility, as_of_day: int, row_days: tuple[int, ...]) -> None:
        self.weights: Floats = np.eye(len(surface.tenors))
        self.quoted_rows = list(range(len(surface.tenors)))
        self._is_spline = surface.is_spline
        if surface.is_spline:
            period = parse_tenor(index.tenor)[0]
            months = [period * (row + 2) for row in range(len(row_days))]
            self.quoted_rows = [months.index(parse_tenor(tenor)[0]) for tenor in surface.tenors]
            names = [f"{count}M" for count in months]
            ends = (add_tenors(surface.calendar, as_of_day, names, "following", False) - as_of_day) / YEAR_DAYS
            self.weights = spline_weights(ends[self.quoted_rows], ends)
            self.weights[self.quoted_rows] = np.eye(len(surface.tenors))  # to the last bit

    def of_rows(self, quotes: Floats) -> Floats:
        """(rows, ...) from (tenors, ...), in order of the tenors; NaN where the spline is below zero."""
        if not self._is_spline:
            return quotes + 0.0  # as the sum below, which makes 0.0 of -0.0
        total = self.weights[:, :1, None] * quotes[:1].reshape(1, 1, -1)
        for place in range(1, len(quotes)):
            total = total + self.weights[:, place, None, None] * quotes[place].reshape(1, 1, -1)
        found: Floats = np.where(total >= 0.0, total, np.nan).reshape(len(self.weights), *quotes.shape[1:])
        return found


def kruger_slopes(x: Floats, y: Floats) -> Floats:
    """Slopes (n, ...) at *x* (n,), ascending, n > 1, of values *y* (n, ...)."""
    chord = np.diff(y, axis=0) / np.diff(x).reshape(-1, *(1,) * (y.ndim - 1))
    found = np.empty_like(y)
    inner = np.zeros_like(chord[1:])
    product = chord[:-1] * chord[1:]
    np.divide(2.0 * product, chord[:-1] + chord[1:], out=inner, where=product > 0.0)
    found[1:-1] = np.where(np.isnan(product), np.nan, inner)
    if len(x) == 2:
        found[:] = chord[0]
    else:
        found[0] = 0.5 * (3.0 * chord[0] - found[1])
        found[-1] = 0.5 * (3.0 * chord[-1] - found[-2])
    return found


def kruger_derivatives(x: Floats, y: Floats) -> Floats:
    """(n, n): of `kruger_slopes` to the values *y* (n,)."""
    count = len(x)
    chord = np.diff(y) / np.diff(x)
    of_chord = (np.eye(count)[1:] - np.eye(count)[:-1]) / np.diff(x)[:, None]
    found = np.zeros((count, count))
    for k in range(1, count - 1):
        before, after = chord[k - 1], chord[k]
        if before * after > 0.0:
            square = (before + after) ** 2
            found[k] = 2.0 * (after**2 * of_chord[k - 1] + before**2 * of_chord[k]) / square
    if count == 2:
        return np.tile(of_chord[0], (2, 1))
    found[0] = 0.5 * (3.0 * of_chord[0] - found[1])
    found[-1] = 0.5 * (3.0 * of_chord[-1] - found[-2])
    return found
