"""Monte-Carlo scenarios: correlated normals from scrambled Sobol points, one factor a dimension.

A factor moves the quotes it aims at by one number x over the horizon of h years, with z its normal::

    absolute    quote + x                x = mean h + volatility sqrt(h) z
    relative    quote * (1 + x)
    log         quote * exp(x)

mean and volatility are per year, in the quote's unit where absolute. The normals are those of the kernels
(`xip_core.kernels.monte_carlo`): path s of seed n is the same numbers wherever and however many are drawn, so a longer
set begins with the shorter one. Counts that are powers of two fill Sobol's cells evenly.

A correlation is refused unless it is square, symmetric, 1 on its diagonal and positive semidefinite; the last by its
smallest eigenvalue, which the refusal names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.kernels.level import load_module
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift
from xip_core.model.scenario_table import ShiftTable, shift_table

Floats = npt.NDArray[np.float64]

EIGENVALUE_MIN = -1e-10
"""What rounding makes of a zero: a correlation of some hundred factors from a spreadsheet, with ten digits."""

DRAWN_COUNT_MAX = 100_000 - 1


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One random number a scenario, and what it moves.

    Attributes:
        target, quotes, after, until: aim as of a `Shift`; *quotes* is its name pattern.
        mean, volatility: per year.
    """

    name: str
    target: str
    quotes: str
    kind: Literal["absolute", "relative", "log"]
    volatility: float
    mean: float = 0.0
    after: str = ""
    until: str = ""


def monte_carlo(
    factors: Sequence[Factor],
    correlation: Floats,
    count: int,
    seed: int,
    horizon_years: float,
    market: ScenarioMarket,
) -> ScenarioSet:
    """
    The base and *count* drawn scenarios, named "mc 1" and so on.

    Args:
        correlation: (n, n) of the factors.
        market: says which quotes the factors mean.

    Raises:
        RequestError: BAD_FACTOR, BAD_CORRELATION; CONTRADICTORY_SHIFTS where two factors move one quote.
    """
    _check(factors, count, seed, horizon_years)
    root = _root(correlation, len(factors))
    kernels = load_module("monte_carlo")
    normals: Floats = kernels.normals(seed, 0, count, len(factors), factor=root)
    rows: dict[tuple[str, bool], list[tuple[str, Floats]]] = {}
    owner: dict[str, str] = {}
    for place, factor in enumerate(factors):
        moves = factor.mean * horizon_years + factor.volatility * np.sqrt(horizon_years) * normals[:, place]
        sizes = moves if factor.kind != "log" else _exp(moves)
        key = ("factor" if factor.kind == "log" else factor.kind, factor.target != "quote")
        for quote in _quotes(factor, market):
            if quote in owner:
                message = f"factors must not move one quote, {owner[quote]} and {factor.name} both move {quote}"
                raise RequestError("CONTRADICTORY_SHIFTS", message)
            owner[quote] = factor.name
            rows.setdefault(key, []).append((quote, sizes))
    scenarios = (Scenario(name="base"), *(Scenario(name=f"mc {number}") for number in range(1, count + 1)))
    return ScenarioSet(scenarios=scenarios, tables=tuple(_table(*key, found) for key, found in rows.items()))


def _table(kind: str, moves_followers: bool, rows: list[tuple[str, Floats]]) -> ShiftTable:
    sizes = np.stack([sizes for _, sizes in rows])
    of_kind: Literal["absolute", "relative", "factor"]
    of_kind = "absolute" if kind == "absolute" else "relative" if kind == "relative" else "factor"
    return shift_table(of_kind, tuple(quote for quote, _ in rows), sizes, moves_followers=moves_followers)


def _quotes(factor: Factor, market: ScenarioMarket) -> tuple[str, ...]:
    fields = {"target": factor.target, "name": factor.quotes, "after": factor.after, "until": factor.until}
    try:
        quotes = market.quotes_of(msgspec.convert({**fields, "shift_absolute": 0.0}, Shift))
    except (msgspec.ValidationError, RequestError) as error:
        raise RequestError("BAD_FACTOR", f"factor {factor.name}: {error}") from None
    if not quotes:
        raise RequestError("BAD_FACTOR", f"factor {factor.name} must move quotes, got target {factor.target!r}")
    return quotes


def _check(factors: Sequence[Factor], count: int, seed: int, horizon_years: float) -> None:
    if not factors or len({factor.name for factor in factors}) < len(factors):
        raise RequestError("BAD_FACTOR", f"factors must have distinct names, got {[f.name for f in factors]}")
    for factor in factors:
        if not (np.isfinite(factor.mean) and np.isfinite(factor.volatility) and factor.volatility >= 0.0):
            sentence = f"factor {factor.name} must have a finite mean and a volatility of at least 0"
            raise RequestError("BAD_FACTOR", f"{sentence}, got {factor.mean!r} and {factor.volatility!r}")
    if not 1 <= count <= DRAWN_COUNT_MAX:
        raise RequestError("BAD_FACTOR", f"count must be from 1 to {DRAWN_COUNT_MAX}, got {count}")
    if not 0 <= seed < 1 << 32:
        raise RequestError("BAD_FACTOR", f"seed must be from 0 to 2^32 - 1, got {seed}")
    if not (np.isfinite(horizon_years) and horizon_years > 0.0):
        raise RequestError("BAD_FACTOR", f"horizon_years must be positive, got {horizon_years!r}")


def _root(correlation: Floats, count: int) -> Floats:
    """The lower triangular factor of a sound correlation."""
    matrix = np.asarray(correlation, dtype=np.float64)
    if matrix.shape != (count, count):
        raise _bad(f"must be ({count}, {count}) for {count} factors, got {matrix.shape}")
    for row, column in np.argwhere(~(np.abs(matrix) <= 1.0)).tolist():
        raise _bad(f"must have entries from -1 to 1, got {matrix[row, column]} at ({row}, {column})")
    if (np.diag(matrix) != 1.0).any() or not np.array_equal(matrix, matrix.T):
        row, column = np.argwhere((matrix != matrix.T) | (np.eye(count, dtype=bool) & (matrix != 1.0)))[0].tolist()
        raise _bad(f"must be symmetric with 1 on its diagonal, it is not at ({row}, {column})")
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < EIGENVALUE_MIN:
        raise _bad(f"must be positive semidefinite, its smallest eigenvalue is {smallest:.6g}")
    try:
        root: Floats = load_module("monte_carlo").cholesky(matrix, pivot_min=1e-9)
    except ValueError as error:
        raise _bad(f"must be positive semidefinite, its smallest eigenvalue is {smallest:.6g}: {error}") from None
    return root


def _exp(values: Floats) -> Floats:
    """By the kernels' exponential, whose bytes are the same on any CPU."""
    found, status = np.empty(len(values)), np.empty(len(values), dtype=np.uint8)
    load_module("elementary").apply("exp_", (np.ascontiguousarray(values),), found, status)
    return found


def _bad(sentence: str) -> RequestError:
    return RequestError("BAD_CORRELATION", f"a correlation {sentence}")
