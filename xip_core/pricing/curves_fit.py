"""Solves the system of one curve for the scenarios that have quotes, and refuses what does not fit.

A curve is refused where its instruments do not reprice: Newton's method finds no solution, the residual left is larger
than rounding explains, or the curve that reprices them cannot be meant (a survival probability that rises). The failure
names the first instrument that does not fit; those before it do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.pricing.curves_system import CurveSystem, Solution, solve_system

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

START_RATE = 0.01
"""Zero rate, and hazard rate, Newton starts from in the base: any number of the right size does."""

RESIDUAL_MAX = 1e-9
"""Largest accepted residual, of the notional. A fit leaves rounding: 1e-15 for a deposit, 1e-13 for a 60-year basis
swap."""

HAZARD_ROUNDING = 1e-9
"""A hazard rate of a curve without default risk may come out this much below zero."""

SLOPE_MIN = 1e-12
"""An instrument whose value moves less than this with its own knot does not determine it."""


def fit(
    system: CurveSystem,
    labels: Sequence[str],
    market: Floats,
    columns: Ints,
    quotes: Floats,
    years: Floats,
    failures: dict[int, Failure],
) -> tuple[Floats, dict[int, Failure]]:
    """Knots of the columns that have quotes, from the start values in the market or from START_RATE.

    Args:
        labels: what a message calls each instrument.
        market: (F, S). columns: (K,) of the market. quotes: (n, K). years: (n, 1) of the knots.
        failures: by position in *columns*: not solved; what does not fit is added.

    Returns:
        knots (n, K), NaN where there is a failure, and the failures.
    """
    own = slice(system.first_factor, system.first_factor + system.knot_count)
    knots = np.full(quotes.shape, np.nan)
    solvable = np.array([position for position in range(len(columns)) if position not in failures], dtype=np.int64)
    if not len(solvable):
        return knots, failures
    is_cold = ~np.isfinite(market[own][:, columns[solvable]]).all(axis=0)
    if is_cold.any():
        market = market.copy()
        market[own, columns[solvable[is_cold]]] = -START_RATE * years
    solution = solve_system(system, market, np.ascontiguousarray(quotes[:, solvable]), columns[solvable])
    knots[:, solvable] = solution.knots
    is_good = solution.is_converged & (np.abs(solution.residuals) <= RESIDUAL_MAX).all(axis=0)
    for bad in np.flatnonzero(~is_good).tolist():
        position = int(solvable[bad])
        knots[:, position] = np.nan
        failures[position] = _misfit(system, solution, labels, market[:, columns[position]], quotes[:, position], bad)
    return knots, failures


class SolvedObject(msgspec.Struct, frozen=True):
    """One object solved from a flat start, or what became of the attempt.

    Attributes:
        residuals: (n,), in units of the quotes: what a quote would have to move by, to first order; NaN for instruments
            that were not reached.
        rounds: the most iterations a knot took.
    """

    residuals: Floats
    rounds: int


def solve_cold(system: CurveSystem, market: Floats, quotes: Floats, scales: Floats, years: Floats) -> SolvedObject:
    """
    Args:
        market: (F,), parents built. quotes: (n,) as the equations see them. years: (n,) of the knots.
        scales: (n,) quotes of the equations per quote of the market.
    """
    own = slice(system.first_factor, system.first_factor + system.knot_count)
    start = market.copy()
    start[own] = -START_RATE * years
    solution = solve_system(system, start[:, None], quotes[:, None])
    if solution.is_converged[0]:
        start[own] = solution.knots[:, 0]
    slopes = system.derivatives(start, quotes).by_quote * scales
    residuals = np.full(len(quotes), np.nan)
    np.divide(-solution.residuals[:, 0], slopes, out=residuals, where=slopes != 0.0)
    return SolvedObject(residuals, int(solution.rounds[0]))


def _misfit(
    system: CurveSystem, solution: Solution, labels: Sequence[str], market: Floats, quotes: Floats, position: int
) -> Failure:
    """Names the first instrument that does not reprice."""
    residuals = solution.residuals[:, position]
    row = next((row for row, value in enumerate(residuals) if not abs(value) <= RESIDUAL_MAX), len(residuals) - 1)
    slope = system.derivatives(market, quotes).by_factor[row, system.own_begin + row]
    message = (
        f"no curve fits instrument {labels[row]} with quote {float(quotes[row])!r}: "
        f"a residual of {residuals[row]:.3g} of the notional is left after Newton's method"
    )
    if abs(slope) < SLOPE_MIN:
        message = f"{message}; its value does not depend on the curve at its own pillar, so it determines nothing there"
    return Failure(FailureReason.CALIBRATION_FAILED, message)


def rising_survival(knots: Floats, labels: Sequence[str], quotes: Floats, years: Floats) -> dict[int, Failure]:
    """Spreads that only a negative default probability explains; names the first such contract per column."""
    found: dict[int, Failure] = {}
    hazards = -np.diff(knots, axis=0, prepend=0.0) / np.diff(years, axis=0, prepend=0.0)
    for row, column in np.argwhere(hazards < -HAZARD_ROUNDING).tolist():
        if column not in found:
            message = (
                f"quote {labels[row]} implies a negative hazard rate of {hazards[row, column]:.3g} a year, "
                f"got {float(quotes[row, column])!r}"
            )
            found[column] = Failure(FailureReason.CALIBRATION_FAILED, message)
    return found
