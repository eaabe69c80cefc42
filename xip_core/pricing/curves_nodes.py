"""Newton's method for curves whose factors are functions of fewer unknowns: monotone convex.

The instruments' equations are terms over the factors, as for any curve (`curves_system`), and the factors are functions
of the knots (`monotone_convex.NodeGrid.factors`): r(F(x)) = 0, with the exact Jacobian dr/dF dF/dx. F has kinks where a
segment changes its zone, so a step that does not bring the residuals down is halved. Each scenario is solved alone:
numbers depend on the scenario and its start, on nothing else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xip_core.pricing.curves_system import CurveSystem, Solution
from xip_core.pricing.linear import product, solve
from xip_core.pricing.monotone_convex import NodeGrid
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROUNDS_MAX = 50

STEP_SIZE_MAX = 1e-10
"""A step this small in log discount factors is the last."""

HALVINGS_MAX = 8

STEP_LIMIT = 2.0


def solve_nodes(system: CurveSystem, grid: NodeGrid, market: Floats, quotes: Floats, columns: Ints) -> Solution:
    """As `curves_system.solve_system`; the start values in the market are factors, and so is what is found."""
    count = len(columns)
    factors = np.full((grid.factor_count, count), np.nan)
    residuals = np.full((system.instrument_count, count), np.nan)
    is_converged, rounds = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.int32)
    for position, column in enumerate(columns.tolist()):
        poll()
        with np.errstate(all="ignore"):  # a hopeless scenario overflows; it is reported through is_converged
            found = _solve_one(system, grid, market[:, column].copy(), quotes[:, position])
        factors[:, position], residuals[:, position], is_converged[position], rounds[position] = found
    return Solution(factors, is_converged, residuals, rounds)


def _solve_one(
    system: CurveSystem, grid: NodeGrid, market: Floats, quotes: Floats
) -> tuple[Floats, Floats, bool, int]:
    """Factors (NaN without solution), residuals, whether it converged, rounds."""
    own = slice(system.first_factor, system.first_factor + grid.factor_count)
    used = slice(system.own_begin, system.own_begin + grid.factor_count)
    knots = market[own][grid.knot_places]
    market[own], by_knot = grid.factors(knots)
    found = system.derivatives(market, quotes)
    for count in range(1, ROUNDS_MAX + 1):
        step = solve(product(found.by_factor[:, used], by_knot), found.residuals[:, None])[:, 0]
        step = np.clip(step, -STEP_LIMIT, STEP_LIMIT)
        size, before = np.abs(step).max(), np.abs(found.residuals).max()
        if not np.isfinite(size):
            break
        for _ in range(HALVINGS_MAX):
            market[own], by_knot = grid.factors(knots - step)
            found = system.derivatives(market, quotes)
            if size <= STEP_SIZE_MAX or np.abs(found.residuals).max() < before:
                break
            step = 0.5 * step
        knots = knots - step
        if size <= STEP_SIZE_MAX:
            return market[own], found.residuals, True, count
    return np.full(grid.factor_count, np.nan), found.residuals, False, ROUNDS_MAX
