"""Newton's method for a curve, all scenarios of a block at once, with numbers that do not depend on the block.

A curve with n knots has unknowns x (log discount factors at the knots) and n instruments. Every residual is

    r_i(x) = sum_e A[i,e] E_e + q_i sum_e B[i,e] E_e,       E_e = exp(sum_k U[e,k] m_k)

where m is the market vector (the curve's own x and the factors of curves solved before), q_i the quote, and A, B, U
sparse constants that follow from dates alone. So the Jacobian is exact and as cheap as the residual:

    dr_i/dx_k = sum_e (A[i,e] + q_i B[i,e]) U[e,k] E_e

`pricing.curves_instruments` writes the terms, `CurveSystem` compiles them, `solve_system` runs Newton.

Reproducibility. A scenario's numbers must be the same bytes whatever other scenarios share its block, and on any CPU:
no BLAS, no numpy reduction along an axis (their order of additions depends on shapes and on the CPU). Sums run term
by term through `np.bincount`, which adds in the order of its input; elimination is elementwise over the scenario axis;
a scenario leaves the iteration when it has converged by itself, so its number of steps depends on it alone.
Exponentials come from `pricing.arithmetic`.

Sizes: EUR3M under OIS has 27 knots, 700 distinct exponentials, 6,000 Jacobian terms; 32 scenarios take 4 Newton steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.layout import Refs
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEP_COUNT_MAX = 25
"""Newton needs 3 to 6 steps; a system that needs more has no solution nearby."""

STEP_SIZE_MAX = 1e-9
"""A step this small is the last: the error it leaves is its square."""

STEP_LIMIT = 2.0
"""Longest step in a log discount factor; keeps the first steps of a hopeless system finite."""


class Term(msgspec.Struct, frozen=True):
    """amount * exp(exponent . market), multiplied by the instrument's quote where `is_quoted`."""

    amount: float
    exponent: Refs
    is_quoted: bool


class Sums:
    """Sparse sums in a fixed order: out[target] += weight * source, term after term."""

    def __init__(self, targets: Sequence[int], sources: Sequence[int], weights: Sequence[float], size: int) -> None:
        self.targets: Ints = np.array(targets, dtype=np.int64)
        self.sources: Ints = np.array(sources, dtype=np.int64)
        self.weights: Floats = np.array(weights, dtype=np.float64)[:, None]
        self.size = size

    def apply(self, values: Floats) -> Floats:
        """(sources, S) -> (size, S)."""
        return self.scatter(self.weights * values[self.sources])

    def scatter(self, products: Floats) -> Floats:
        """Adds the rows of *products* (terms, S) into their targets, in order."""
        column_count = products.shape[1]
        bins = (self.targets[:, None] * column_count + np.arange(column_count)).ravel()
        summed: Floats = np.bincount(bins, weights=products.ravel(), minlength=self.size * column_count)  # type: ignore[assignment] # float64 with weights; the stub says int
        return summed.reshape(self.size, column_count)


class CurveSystem:
    """A compiled system; immutable, shared between threads."""

    def __init__(self, first_factor: int, terms: Sequence[Sequence[Term]]) -> None:
        """
        Args:
            first_factor: row of the market matrix where the unknowns begin.
            terms: per instrument, in pillar order.
        """
        self.first_factor = first_factor
        self.knot_count = len(terms)
        exponentials: dict[Refs, int] = {}
        plain: tuple[list[int], list[int], list[float]] = ([], [], [])
        quoted: tuple[list[int], list[int], list[float]] = ([], [], [])
        cells: list[int] = []  # of the Jacobian, row-major
        cell_plain: tuple[list[int], list[int], list[float]] = ([], [], [])
        cell_quoted: tuple[list[int], list[int], list[float]] = ([], [], [])
        cell_rows: list[int] = []
        for row, row_terms in enumerate(terms):
            poll()
            for term in row_terms:
                source = exponentials.setdefault(term.exponent, len(exponentials))
                lists, cell_lists = (quoted, cell_quoted) if term.is_quoted else (plain, cell_plain)
                _append(lists, row, source, term.amount)
                for factor, weight in term.exponent:
                    knot = factor - first_factor
                    if 0 <= knot < self.knot_count:
                        cell = row * self.knot_count + knot
                        _append(cell_lists, cell, source, term.amount * weight)
                        if term.is_quoted:
                            cell_rows.append(row)
                        cells.append(cell)
        own = range(first_factor, first_factor + self.knot_count)
        used = sorted({factor for exponent in exponentials for factor, _ in exponent}.union(own))
        place = {factor: position for position, factor in enumerate(used)}
        self.factors: Ints = np.array(used, dtype=np.int64)
        self.own_begin = place[first_factor]
        self._exponentials = RefTable([tuple((place[f], weight) for f, weight in e) for e in exponentials])
        self._plain = Sums(*plain, self.knot_count)
        self._quoted = Sums(*quoted, self.knot_count)
        cell_count = self.knot_count * self.knot_count
        self._cell_plain = Sums(*cell_plain, cell_count)
        self._cell_quoted = Sums(*cell_quoted, cell_count)
        self._cell_rows: Ints = np.array(cell_rows, dtype=np.int64)
        self.is_lower_triangular = all(cell % self.knot_count <= cell // self.knot_count for cell in cells)

    def evaluate(self, market: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """Residuals and Jacobian.

        Args:
            market: (F, S).
            quotes: (n, S).

        Returns:
            residuals (n, S), Jacobian (n, n, S).
        """
        return self.evaluate_used(market[self.factors], quotes)

    def evaluate_used(self, used: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """`evaluate` on the rows `factors` of the market alone: Newton copies these and not the whole market."""
        exponentials = self._exponentials.exp(used)
        residuals = self._plain.apply(exponentials) + quotes * self._quoted.apply(exponentials)
        jacobian = self._cell_plain.apply(exponentials)
        if len(self._cell_rows):
            quoted = self._cell_quoted
            products = quoted.weights * exponentials[quoted.sources] * quotes[self._cell_rows]
            jacobian = jacobian + quoted.scatter(products)
        return residuals, jacobian.reshape(self.knot_count, self.knot_count, -1)


def _append(lists: tuple[list[int], list[int], list[float]], target: int, source: int, weight: float) -> None:
    lists[0].append(target)
    lists[1].append(source)
    lists[2].append(weight)


class Solution(msgspec.Struct, frozen=True):
    """Of one curve in a block.

    Attributes:
        knots: (n, S); meaningless where not converged.
        is_converged: (S,).
        residuals: (n, S) after the last step taken, NaN where it left the domain.
    """

    knots: Floats
    is_converged: npt.NDArray[np.bool_]
    residuals: Floats


def solve_system(system: CurveSystem, market: Floats, quotes: Floats) -> Solution:
    """Newton for all scenarios of a block.

    Args:
        market: (F, S); its rows [first_factor, first_factor + n) hold the start values; it is not changed.
        quotes: (n, S), finite.
    """
    own = slice(system.own_begin, system.own_begin + system.knot_count)
    working = market[system.factors]
    active: Ints = np.arange(market.shape[1])
    is_converged = np.zeros(market.shape[1], dtype=np.bool_)
    residuals = np.full((system.knot_count, market.shape[1]), np.nan)
    with np.errstate(all="ignore"):  # a hopeless scenario overflows; it is reported through is_converged
        for _ in range(STEP_COUNT_MAX):
            poll()
            block = working[:, active]
            residual, jacobian = system.evaluate_used(block, quotes[:, active])
            residuals[:, active] = residual
            step = _solve_linear(jacobian, residual, system.is_lower_triangular)
            step = np.clip(step, -STEP_LIMIT, STEP_LIMIT)
            working[own, active] -= step
            size = np.abs(step).max(axis=0)  # a maximum is exact in any order
            is_last = size <= STEP_SIZE_MAX
            is_converged[active[is_last]] = True
            active = active[~is_last & np.isfinite(size)]
            if len(active) == 0:
                break
    return Solution(working[own], is_converged, residuals)


def _solve_linear(matrix: Floats, right: Floats, is_lower_triangular: bool) -> Floats:
    """Elimination without pivoting, elementwise over scenarios: (n, n, S), (n, S) -> (n, S).

    Each instrument depends most on its own knot, so the diagonal is what pivoting would choose.
    """
    count = len(right)
    right = right.copy()
    if not is_lower_triangular:
        matrix = matrix.copy()
        for k in range(count):
            factors = matrix[k + 1 :, k] / matrix[k, k]
            matrix[k + 1 :, k + 1 :] -= factors[:, None] * matrix[k, k + 1 :][None]
            right[k + 1 :] -= factors * right[k]
        for k in range(count - 1, -1, -1):
            right[k] /= matrix[k, k]
            right[:k] -= matrix[:k, k] * right[k]
        return right
    for k in range(count):
        right[k] /= matrix[k, k]
        right[k + 1 :] -= matrix[k + 1 :, k] * right[k]
    return right
