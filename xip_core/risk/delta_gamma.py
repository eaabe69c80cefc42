"""VaR of a quadratic P&L under normal factors: no book is valued again.

    P&L = theta + delta . x + 1/2 x' Gamma x,      x ~ N(0, Sigma) over the horizon

* **Cornish-Fisher**: the first four cumulants are exact,

      k_1 = theta + 1/2 tr(Gamma Sigma)
      k_r = 1/2 (r - 1)! tr((Gamma Sigma)^r) + 1/2 r! delta' Sigma (Gamma Sigma)^(r-2) delta,    r >= 2

  and the quantile is that of a normal bent by skewness s and excess kurtosis k:

      z + (z^2 - 1) s / 6 + (z^3 - 3 z) k / 24 - (2 z^3 - 5 z) s^2 / 36

  With Gamma 0 it is the normal's, exactly. Where the bent quantile is not increasing at z, the expansion has left its
  domain and is refused, simulation answers.
* **Simulated**: paths of correlated normals (scrambled Sobol, `kernels.monte_carlo`), each path a P&L, and any rule of
  `risk.quantiles`. Exact but for sampling; `delta_gamma_pnl` gives the paths.

Sigma must be symmetric and positive semidefinite, else nothing has that covariance: refused, with the factor where the
factorisation fails, never repaired in silence. Matrix products add in the order of factors (no BLAS), F^3 additions.

Source: M. Britten-Jones, S. Schaefer, Non-linear value-at-risk, European Finance Review 2 (1999); S. Jaschke, The
Cornish-Fisher expansion in the context of delta-gamma-normal approximations, J. Risk 4 (2002); domain: D. Maillard, A
user's guide to the Cornish Fisher expansion (2012).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from xip_core.errors import ArgumentError
from xip_core.kernels import monte_carlo
from xip_core.risk.measures import Floats
from xip_core.risk.quantiles import scenarios_needed

ASYMMETRY_MAX = 1e-12
"""Of a covariance or gamma, relative to its largest entry: what rounding leaves between two halves."""

PIVOT_MIN = 1e-10
"""Of a correlation: a pivot within it of 0 is rounding of a matrix that was positive semidefinite."""

PATHS_PER_BLOCK = 4096


class Cumulants(msgspec.Struct, frozen=True):
    """Mean, variance, skewness and excess kurtosis of a P&L; the last two are 0 where the variance is."""

    mean: float
    variance: float
    skewness: float
    excess_kurtosis: float


def check_covariance(covariance: Floats, names: Sequence[str] = ()) -> Floats:
    """
    The lower triangular factor A of *covariance* = A A', float64 (F, F).

    Args:
        names: of the factors, for what a refusal says; () numbers them.

    Raises:
        ArgumentError: BAD_COVARIANCE, it is not square, finite, symmetric and positive semidefinite; says where.
    """
    _check_symmetric(covariance, "covariance", "BAD_COVARIANCE", names)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    negative = np.flatnonzero(np.diagonal(covariance) < 0.0)
    if len(negative):
        factor = int(negative[0])
        sentence = f"a variance must be at least 0, got {covariance[factor, factor]} of {_factor(factor, names)}"
        raise ArgumentError("BAD_COVARIANCE", sentence)
    scale = np.where(deviation > 0.0, deviation, 1.0)
    correlation = covariance / scale[:, None] / scale[None, :]
    try:
        root = monte_carlo.cholesky(correlation, PIVOT_MIN)
    except ValueError as error:
        row = re.search(r"row (\d+)$", str(error))
        where = _factor(int(row[1]), names) if row else str(error)
        sentence = f"a covariance must be positive semidefinite, it is not from {where} on"
        raise ArgumentError("BAD_COVARIANCE", sentence) from None
    scaled: Floats = root * scale[:, None]
    return scaled


def cumulants(delta: Floats, gamma: Floats, covariance: Floats, theta: float = 0.0) -> Cumulants:
    """
    Exact cumulants of the quadratic P&L.

    Args:
        delta: float64 (F,), P&L per unit of each factor.
        gamma: float64 (F, F), symmetric, second derivatives; or (F,), its diagonal.
        covariance: float64 (F, F), of the factors' moves over the horizon, in their units squared.
        theta: P&L of time alone over the horizon.

    Raises:
        ArgumentError: BAD_COVARIANCE, BAD_SHAPE.
    """
    return cumulants_of(*_checked(delta, gamma, covariance), theta)


def cumulants_of(delta: Floats, gamma: Floats, root: Floats, theta: float = 0.0) -> Cumulants:
    """`cumulants` of what was checked: *gamma* a symmetric matrix, *root* of `check_covariance`; shapes are theirs."""
    # In independent normals u, x = A u: delta' A and A' Gamma A; the cumulants are those of the transformed pair.
    linear, quadratic = _times(root.T, delta[:, None])[:, 0], _times(root.T, _times(gamma, root))
    squared = _times(quadratic, quadratic)
    bent = _times(quadratic, linear[:, None])[:, 0]
    mean = theta + 0.5 * _ordered_sum(np.diagonal(quadratic))
    variance = 0.5 * _ordered_sum(np.diagonal(squared)) + _ordered_sum(linear * linear)
    if variance <= 0.0:
        return Cumulants(mean, 0.0, 0.0, 0.0)
    third = _ordered_sum((squared * quadratic).ravel()) + 3.0 * _ordered_sum(linear * bent)
    fourth = 3.0 * _ordered_sum((squared * squared).ravel()) + 12.0 * _ordered_sum(bent * bent)
    return Cumulants(mean, variance, third / variance**1.5, fourth / variance**2)


def cornish_fisher_var(moments: Cumulants, q: float) -> float:
    """
    VaR at *q* of a P&L with these moments, a loss.

    Raises:
        ArgumentError: BAD_QUANTILE; OUTSIDE_EXPANSION, the bent quantile falls at z: simulate instead.
    """
    scenarios_needed(q)  # refuses a q outside (0, 1)
    z = NormalDist().inv_cdf(1.0 - q)
    s, k = moments.skewness, moments.excess_kurtosis
    bent = z + (z * z - 1.0) * s / 6.0 + (z**3 - 3.0 * z) * k / 24.0 - (2.0 * z**3 - 5.0 * z) * s * s / 36.0
    slope = 1.0 + z * s / 3.0 + (z * z - 1.0) * k / 8.0 - (6.0 * z * z - 5.0) * s * s / 36.0
    if slope <= 0.0:
        sentence = f"Cornish-Fisher must increase at q {q}, with skewness {s:.4g} and excess kurtosis {k:.4g} it falls"
        raise ArgumentError("OUTSIDE_EXPANSION", f"{sentence}: simulate")
    return 0.0 - (moments.mean + math.sqrt(moments.variance) * bent)


def delta_gamma_pnl(
    delta: Floats, gamma: Floats, covariance: Floats, path_count: int, seed: int = 1, theta: float = 0.0
) -> Floats:
    """
    Simulated P&Ls, float64 (path_count,): what `measures.value_at_risk` takes as (1, path_count).

    Args:
        path_count: a power of two keeps Sobol's balance. seed: 0 to 2^32 - 1. Others as `cumulants`.

    Raises:
        ArgumentError: BAD_COVARIANCE, BAD_SHAPE; TOO_MANY_FACTORS, Sobol's directions end at 1,024.
    """
    return simulated_pnl(*_checked(delta, gamma, covariance), path_count, seed, theta)


def simulated_pnl(
    delta: Floats, gamma: Floats, root: Floats, path_count: int, seed: int = 1, theta: float = 0.0
) -> Floats:
    """`delta_gamma_pnl` of what was checked, as of `cumulants_of`.

    Raises:
        ArgumentError: TOO_MANY_FACTORS.
    """
    found: Floats = simulated_pnls([(delta, gamma)], root, path_count, seed)[0]
    return found + theta


def simulated_pnls(
    coefficients: Sequence[tuple[Floats, Floats]],
    root: Floats,
    path_count: int,
    seed: int = 1,
    between: Callable[[], None] = lambda: None,
) -> Floats:
    """
    P&Ls of several books over the same paths, which cost more than their P&Ls: float64 (books, path_count).

    Args:
        coefficients: delta and gamma of each, as of `cumulants_of`.
        between: called before each block of paths; may raise to stop.

    Raises:
        ArgumentError: TOO_MANY_FACTORS, Sobol's directions end at 1,024.
    """
    factor_count = len(root)
    if factor_count > monte_carlo.DIMENSION_COUNT_MAX:
        sentence = f"at most {monte_carlo.DIMENSION_COUNT_MAX} factors can be simulated, got {factor_count}"
        raise ArgumentError("TOO_MANY_FACTORS", sentence)
    pnl = np.empty((len(coefficients), path_count))
    for begin in range(0, path_count, PATHS_PER_BLOCK):
        between()
        count = min(PATHS_PER_BLOCK, path_count - begin)
        moves = np.ascontiguousarray(monte_carlo.normals(seed, begin, count, factor_count, factor=root).T)
        for book, (delta, gamma) in enumerate(coefficients):
            pnl[book, begin : begin + count] = _pnl_of(moves, delta, gamma)
    return pnl


def _pnl_of(moves: Floats, delta: Floats, gamma: Floats) -> Floats:
    """Of moves (F, paths), added in the order of factors; what is 0 is left out."""
    total = np.zeros(moves.shape[1])
    for factor in np.flatnonzero((delta != 0.0) | gamma.any(axis=1)).tolist():
        pull = np.full(moves.shape[1], delta[factor])
        for other in np.flatnonzero(gamma[factor]).tolist():
            pull += 0.5 * gamma[factor, other] * moves[other]
        total += moves[factor] * pull
    return total


def normal_var(moments: Cumulants, q: float) -> float:
    """
    VaR at *q* of a normal P&L with the first two moments, a loss.

    Raises:
        ArgumentError: BAD_QUANTILE.
    """
    scenarios_needed(q)
    return 0.0 - (moments.mean + math.sqrt(moments.variance) * NormalDist().inv_cdf(1.0 - q))


def _checked(delta: Floats, gamma: Floats, covariance: Floats) -> tuple[Floats, Floats, Floats]:
    """Delta, gamma as a matrix, and the covariance's factor."""
    if delta.ndim != 1 or not len(delta) or not np.isfinite(delta).all():
        raise ArgumentError("BAD_SHAPE", f"delta must be finite (factors,), got {delta.shape}")
    matrix = np.diag(gamma) if gamma.ndim == 1 else gamma
    _check_symmetric(matrix, "gamma", "BAD_SHAPE")
    for name, values in (("gamma", matrix), ("covariance", covariance)):
        if values.shape != (len(delta), len(delta)):
            raise ArgumentError("BAD_SHAPE", f"{name} must be of the {len(delta)} factors of delta, got {values.shape}")
    return delta, matrix, check_covariance(covariance)


def _check_symmetric(matrix: Floats, name: str, reason: str, factors: Sequence[str] = ()) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ArgumentError(reason, f"{name} must be square, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        where = _pair(row, column, factors)
        raise ArgumentError(reason, f"{name} must be finite, got {matrix[row, column]} at {where}")
    gap = abs(matrix - matrix.T)
    if gap.max() > ASYMMETRY_MAX * abs(matrix).max():
        row, column = np.unravel_index(int(gap.argmax()), gap.shape)
        got = f"{matrix[row, column]} and {matrix[column, row]} at {_pair(int(row), int(column), factors)}"
        raise ArgumentError(reason, f"{name} must be symmetric, got {got}")


def _factor(number: int, names: Sequence[str]) -> str:
    return repr(names[number]) if names else f"factor {number}"


def _pair(row: int, column: int, names: Sequence[str]) -> str:
    return f"({names[row]!r}, {names[column]!r})" if names else f"({row}, {column})"


def _times(left: Floats, right: Floats) -> Floats:
    """Matrix product, added in the order of the inner index; what is 0 throughout is left out."""
    product = np.zeros((left.shape[0], right.shape[1]))
    for inner in np.flatnonzero(left.any(axis=0) & right.any(axis=1)).tolist():
        product += left[:, inner, None] * right[None, inner, :]
    return product


def _ordered_sum(values: Floats) -> float:
    return float(np.add.accumulate(values)[-1])
