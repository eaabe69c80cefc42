"""The system of equations behind a curve, and its solution for many scenarios.

A curve with n knots has unknowns x (log discount factors at the knots) and n instruments. Every residual is

    r_i(x) = sum_e A[i,e] E_e + q_i sum_e B[i,e] E_e,       E_e = exp(sum_k U[e,k] m_k)

where m is the market vector (the curve's own x and the factors of curves solved before), q_i the quote, and A, B, U
sparse constants that follow from dates alone. So all derivatives are exact and as cheap as the residual:

    dr_i/dm_k = sum_e (A[i,e] + q_i B[i,e]) U[e,k] E_e            dr_i/dq_i = sum_e B[i,e] E_e

`pricing.curves_instruments` writes the terms, `CurveSystem` compiles them, `solve_system` hands them to the kernel
(`kernels/calibration.pyx`), which has no GIL and gives a scenario the same bytes whatever its neighbours and the CPU.

An instrument's residual rarely depends on knots after its own pillar. `blocks_of` cuts the instruments into the
smallest runs that can be solved one after the other: single instruments in a bootstrap, more where one reaches beyond
its pillar.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels import calibration
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.curves_terms import TermList, cells_of
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCENARIOS_PER_CALL = 256
"""Of the kernel, between two polls: a curve of 30 knots takes some 5 to 20 microseconds a scenario."""


class Derivatives(msgspec.Struct, frozen=True):
    """Of the residuals of a system in one market.

    Attributes:
        residuals: (n,), in units of the terms.
        by_factor: (n, u), to the factors that the system reads, in the order of `CurveSystem.factors`.
        by_quote: (n,), of each instrument to its own quote.
    """

    residuals: Floats
    by_factor: Floats
    by_quote: Floats


class CurveSystem:
    """A compiled system; immutable, shared between threads.

    Attributes:
        first_factor: row of the market matrix where the own factors begin.
        knot_count: number of own factors.
        factors: (u,) rows of the market that the system reads, ascending, all own factors among them.
        own_begin: place of the first own factor in `factors`.
    """

    def __init__(self, first_factor: int, terms: Sequence[TermList], knot_count: int | None = None) -> None:
        """
        Args:
            first_factor: row of the market matrix where the own factors begin.
            terms: per instrument, in pillar order; their exponents are numbered alike.
            knot_count: of own factors; as many as instruments unless something else is solved for.
        """
        self.first_factor = first_factor
        self.instrument_count = len(terms)
        self.knot_count = len(terms) if knot_count is None else knot_count
        self._cells = cells_of(terms)
        own = range(first_factor, first_factor + self.knot_count)
        used = sorted({factor for exponent in self._cells.exponents for factor, _ in exponent}.union(own))
        self.factors: Ints = np.array(used, dtype=np.int64)
        self.own_begin = used.index(first_factor)

    @property
    def is_lower_triangular(self) -> bool:
        """Whether no instrument depends on a knot after its own."""
        return len(self.blocks) == self.instrument_count + 1

    @cached_property
    def blocks(self) -> list[int]:
        """Bounds of the runs of instruments that are solved together."""
        reach = np.full(self.instrument_count, -1)
        np.maximum.at(reach, self._cells.rows, self._last_knots[self._cells.sources])
        return blocks_of(reach.tolist())

    @cached_property
    def _last_knots(self) -> Ints:
        """Per exponential the last own knot in it, -1 where there is none."""
        first, end = self.first_factor, self.first_factor + self.knot_count
        found = []
        for exponent in self._cells.exponents:
            last = -1
            for factor, _ in exponent:
                if first <= factor < end and factor - first > last:
                    last = factor - first
            found.append(last)
        return np.array(found, dtype=np.int64)

    @cached_property
    def kernel(self) -> calibration.System:
        """The system as the kernel wants it; compiled at first use.

        Exponentials by the run of instruments that settles them: group 0 needs no own knot, group b + 1 needs one of
        run b and none behind. A cell is live in its own run, and settled once that of its exponential is solved.
        """
        blocks, cells = self.blocks, self._cells
        block_of_knot = np.repeat(np.arange(len(blocks) - 1), np.diff(blocks))
        groups = np.append(block_of_knot + 1, 0)[self._last_knots]  # -1 is the last
        order = np.argsort(groups, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        ordered = [cells.exponents[source] for source in order.tolist()]
        exponents = np.repeat(np.arange(len(ordered)), [len(exponent) for exponent in ordered])
        factors = np.array([factor for exponent in ordered for factor, _ in exponent], dtype=np.int64)
        weights = np.array([weight for exponent in ordered for _, weight in exponent], dtype=np.float64)
        bounds, group = np.array(blocks), groups[order][exponents]
        knots = factors - self.first_factor
        is_own = (group > 0) & (knots >= bounds[group - 1]) & (knots < bounds[group])
        is_live = groups[cells.sources] == block_of_knot[cells.rows] + 1
        places, values = place[cells.sources], {"plain": cells.plain, "quoted": cells.quoted}
        positions = np.searchsorted(self.factors, factors)
        return calibration.System(
            self.factors.astype(np.int32),
            self.own_begin,
            block_begin=np.array(blocks, dtype=np.int32),
            group_begin=_begins(groups, len(blocks)),
            **_runs("fixed", exponents, len(ordered), ~is_own, {"place": positions}, {"weight": weights}),
            **_runs("own_pair", exponents, len(ordered), is_own, {"knot": knots}, {"weight": weights}),
            **_runs("settled", cells.rows, self.instrument_count, ~is_live, {"source": places}, values),
            **_runs("live", cells.rows, self.instrument_count, is_live, {"source": places}, values),
        )

    # ---- evaluation, term after term in NumPy: reports, sensitivities, tests ----------------------------------------

    @cached_property
    def _table(self) -> RefTable:
        return RefTable(self._cells.exponents)

    @cached_property
    def _slopes(self) -> tuple[Ints, Ints, Floats]:
        """For each factor in each cell: its place in a flat (n, u) matrix, the cell, its weight in the exponent."""
        place_of = {factor: position for position, factor in enumerate(self.factors.tolist())}
        rows, sources = self._cells.rows, self._cells.sources
        width = len(self.factors)
        found = [
            (row * width + place_of[factor], cell, weight)
            for cell, (row, source) in enumerate(zip(rows.tolist(), sources.tolist(), strict=True))
            for factor, weight in self._cells.exponents[source]
        ]
        targets, cells, weights = zip(*found, strict=True)
        return np.array(targets), np.array(cells), np.array(weights)

    def derivatives(self, market: Floats, quotes: Floats) -> Derivatives:
        """Residuals and their derivatives in one market. Sums run in the order of the terms.

        Args:
            market: (F,).
            quotes: (n,).
        """
        exponentials = self._table.exp(np.ascontiguousarray(market[:, None]))[:, 0]
        cells = self._cells
        rows, sources, plain, quoted = cells.rows, cells.sources, cells.plain, cells.quoted
        values = (plain + quotes[rows] * quoted) * exponentials[sources]
        targets, numbers, weights = self._slopes
        shape = (self.instrument_count, len(self.factors))
        return Derivatives(
            _sums(rows, values, shape[0]),
            _sums(targets, values[numbers] * weights, shape[0] * shape[1]).reshape(shape),
            _sums(rows, quoted * exponentials[sources], shape[0]),
        )

    def evaluate(self, market: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """Residuals and Jacobian of many scenarios.

        Args:
            market: (F, S).
            quotes: (n, S).

        Returns:
            residuals (n, S), Jacobian to the own factors (n, knot_count, S).
        """
        found = [self.derivatives(market[:, s], quotes[:, s]) for s in range(market.shape[1])]
        own = slice(self.own_begin, self.own_begin + self.knot_count)
        return (
            np.stack([item.residuals for item in found], axis=1),
            np.stack([item.by_factor[:, own] for item in found], axis=2),
        )


def _sums(targets: Ints, values: Floats, count: int) -> Floats:
    """Adds each value to its target, in order."""
    found: Floats = np.bincount(targets, weights=values, minlength=count)  # type: ignore[assignment] # float64 with weights; the stub says int
    return found


def _begins(runs: Ints, run_count: int) -> npt.NDArray[np.int32]:
    """Where each run begins, and the end of the last, of entries that belong to *runs*."""
    return np.concatenate(([0], np.cumsum(np.bincount(runs, minlength=run_count)))).astype(np.int32)


def _runs(
    stem: str,
    runs: Ints,
    run_count: int,
    chosen: npt.NDArray[np.bool_],
    index: dict[str, Ints],
    values: dict[str, Floats],
) -> dict[str, npt.NDArray[np.generic]]:
    """The chosen entries of runs as flat arrays; entries come by run."""
    return {
        f"{stem}_begin": _begins(runs[chosen], run_count),
        **{f"{stem}_{name}": column[chosen].astype(np.int32) for name, column in index.items()},
        **{f"{stem}_{name}": column[chosen] for name, column in values.items()},
    }


def blocks_of(reach: Sequence[int]) -> list[int]:
    """Bounds of the smallest runs of instruments that can be solved one after the other.

    Args:
        reach: per instrument the last knot it depends on.

    Returns:
        ascending, from 0 to the count of instruments: all instruments before a bound depend on knots before it alone.
    """
    far = list(accumulate(reach, max))
    return [0, *(count for count in range(1, len(reach) + 1) if far[count - 1] < count)] if reach else [0]


class Solution(msgspec.Struct, frozen=True):
    """Of one curve in some columns.

    Attributes:
        knots: (n, K); NaN where not converged.
        is_converged: (K,).
        residuals: (n, K) at the knots, in units of the terms; NaN after the instrument that has no solution.
        rounds: (K,) the most iterations a knot took.
    """

    knots: Floats
    is_converged: npt.NDArray[np.bool_]
    residuals: Floats
    rounds: npt.NDArray[np.int32]


def solve_system(system: CurveSystem, market: Floats, quotes: Floats, columns: Ints | None = None) -> Solution:
    """Solves for the knots.

    Args:
        market: (F, S); its rows [first_factor, first_factor + n) hold the start values; it is not changed.
        quotes: (n, K), finite.
        columns: (K,) of the market to solve; all where there is none.
    """
    wanted = np.arange(market.shape[1]) if columns is None else columns
    parts = []
    for begin in range(0, len(wanted), SCENARIOS_PER_CALL):
        poll()
        block = slice(begin, begin + SCENARIOS_PER_CALL)
        parts.append(system.kernel.solve(market, wanted[block], quotes[:, block]))
    knots = np.concatenate([part[0] for part in parts], axis=1)
    residuals = np.concatenate([part[1] for part in parts], axis=1)
    rounds = np.concatenate([part[2] for part in parts])
    return Solution(knots, rounds > 0, residuals, np.abs(rounds))
