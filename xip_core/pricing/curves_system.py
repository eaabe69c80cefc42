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
from xip_core.pricing.layout import Refs
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCENARIOS_PER_CALL = 256
"""Of the kernel, between two polls: a curve of 30 knots takes some 5 to 20 microseconds a scenario."""


class Term(msgspec.Struct, frozen=True):
    """amount * exp(exponent . market), multiplied by the instrument's quote where `is_quoted`."""

    amount: float
    exponent: Refs
    is_quoted: bool


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

    def __init__(self, first_factor: int, terms: Sequence[Sequence[Term]], knot_count: int | None = None) -> None:
        """
        Args:
            first_factor: row of the market matrix where the own factors begin.
            terms: per instrument, in pillar order.
            knot_count: of own factors; as many as instruments unless something else is solved for.
        """
        self.first_factor = first_factor
        self.instrument_count = len(terms)
        self.knot_count = len(terms) if knot_count is None else knot_count
        exponentials: dict[Refs, int] = {}
        self._cells: list[dict[int, tuple[float, float]]] = []  # per instrument: exponential -> (A, B)
        for row_terms in terms:
            poll()
            cells: dict[int, tuple[float, float]] = {}
            for term in row_terms:
                source = exponentials.setdefault(term.exponent, len(exponentials))
                plain, quoted = cells.get(source, (0.0, 0.0))
                cells[source] = (plain, quoted + term.amount) if term.is_quoted else (plain + term.amount, quoted)
            self._cells.append(cells)
        self._exponents = list(exponentials)
        own = range(first_factor, first_factor + self.knot_count)
        used = sorted({factor for exponent in self._exponents for factor, _ in exponent}.union(own))
        self.factors: Ints = np.array(used, dtype=np.int64)
        self.own_begin = used.index(first_factor)

    @property
    def is_lower_triangular(self) -> bool:
        """Whether no instrument depends on a knot after its own."""
        return len(self.blocks) == self.instrument_count + 1

    @cached_property
    def blocks(self) -> list[int]:
        """Bounds of the runs of instruments that are solved together."""
        last_knot = self._last_knots
        reach = [max((last_knot[source] for source in cells), default=-1) for cells in self._cells]
        return blocks_of(reach)

    @cached_property
    def _last_knots(self) -> list[int]:
        """Per exponential the last own knot in it, -1 where there is none."""
        first, end = self.first_factor, self.first_factor + self.knot_count
        found = []
        for exponent in self._exponents:
            last = -1
            for factor, _ in exponent:
                if first <= factor < end and factor - first > last:
                    last = factor - first
            found.append(last)
        return found

    @cached_property
    def kernel(self) -> calibration.System:
        """The system as the kernel wants it; compiled at first use."""
        blocks = self.blocks
        block_of_knot = np.repeat(np.arange(len(blocks) - 1), np.diff(blocks)).tolist()
        groups = [block_of_knot[knot] + 1 if knot >= 0 else 0 for knot in self._last_knots]
        order = sorted(range(len(groups)), key=groups.__getitem__)
        place = {source: position for position, source in enumerate(order)}
        place_of = {factor: position for position, factor in enumerate(self.factors.tolist())}
        fixed, own = _Runs(2), _Runs(2)
        for source in order:
            group = groups[source]
            own_from = self.first_factor + (blocks[group - 1] if group else self.knot_count)
            own_to = self.first_factor + (blocks[group] if group else 0)
            for factor, weight in self._exponents[source]:
                if own_from <= factor < own_to:
                    own.add(factor - self.first_factor, weight)
                else:
                    fixed.add(place_of[factor], weight)
            fixed.end()
            own.end()
        settled, live = _Runs(3), _Runs(3)
        for row, cells in enumerate(self._cells):
            for source, (plain, quoted) in cells.items():
                (live if groups[source] == block_of_knot[row] + 1 else settled).add(place[source], plain, quoted)
            settled.end()
            live.end()
        counts = np.bincount(groups, minlength=len(blocks))
        return calibration.System(
            self.factors.astype(np.int32),
            self.own_begin,
            block_begin=np.array(blocks, dtype=np.int32),
            group_begin=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
            **fixed.arrays("fixed", "place", "weight"),
            **own.arrays("own_pair", "knot", "weight"),
            **settled.arrays("settled", "source", "plain", "quoted"),
            **live.arrays("live", "source", "plain", "quoted"),
        )

    # ---- evaluation, term after term in NumPy: reports, sensitivities, tests ----------------------------------------

    @cached_property
    def _table(self) -> RefTable:
        return RefTable(self._exponents)

    @cached_property
    def _triplets(self) -> tuple[Ints, Ints, Floats, Floats]:
        """Instrument, exponential, A and B of each cell."""
        found = [(row, source, *ab) for row, cells in enumerate(self._cells) for source, ab in cells.items()]
        rows, sources, plain, quoted = zip(*found, strict=True)
        return np.array(rows), np.array(sources), np.array(plain), np.array(quoted)

    @cached_property
    def _slopes(self) -> tuple[Ints, Ints, Floats]:
        """For each factor in each cell: its place in a flat (n, u) matrix, the cell, its weight in the exponent."""
        place_of = {factor: position for position, factor in enumerate(self.factors.tolist())}
        rows, sources, _, _ = self._triplets
        width = len(self.factors)
        found = [
            (row * width + place_of[factor], cell, weight)
            for cell, (row, source) in enumerate(zip(rows.tolist(), sources.tolist(), strict=True))
            for factor, weight in self._exponents[source]
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
        rows, sources, plain, quoted = self._triplets
        values = (plain + quotes[rows] * quoted) * exponentials[sources]
        targets, cells, weights = self._slopes
        shape = (self.instrument_count, len(self.factors))
        return Derivatives(
            _sums(rows, values, shape[0]),
            _sums(targets, values[cells] * weights, shape[0] * shape[1]).reshape(shape),
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


class _Runs:
    """Runs of entries with some columns each, as flat arrays."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._entries: list[tuple[float, ...]] = []
        self._begin = [0]

    def add(self, *values: float) -> None:
        self._entries.append(values)

    def end(self) -> None:
        """Closes a run."""
        self._begin.append(len(self._entries))

    def arrays(self, stem: str, index: str, *weights: str) -> dict[str, npt.NDArray[np.generic]]:
        first, *others = zip(*self._entries, strict=True) if self._entries else [()] * self._width
        return {
            f"{stem}_begin": np.array(self._begin, dtype=np.int32),
            f"{stem}_{index}": np.array(first, dtype=np.int32),
            **{f"{stem}_{name}": np.array(column) for name, column in zip(weights, others, strict=True)},
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
