"""Ladders as a quadratic P&L, and its VaR by several methods.

Deltas, gammas and cross gammas of a run's ladders are the coefficients of

    P&L = delta . x + 1/2 x' Gamma x

in the moves x of the factors that were bumped, each in the unit of its ladder; a gamma that was not asked for is 0. No
theta: what time alone does over the horizon is not in it. With x normal (`risk.delta_gamma`)::

    cornish_fisher       four exact moments, the normal quantile bent by skewness and excess kurtosis
    delta_gamma_normal   two exact moments, a normal's quantile
    delta                gammas left out: a normal P&L, exactly
    monte_carlo          the quantile of simulated P&Ls, by the rule order_statistic

The first three are the Open Source Risk Engine's Cornish-Fisher, DeltaGammaNormal and Delta.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np

from xip_core.errors import ArgumentError, RequestError
from xip_core.model.aggregates import PATH_COUNT_DEFAULT, QUADRATIC_METHODS, Aggregate
from xip_core.model.covariance import factor_name
from xip_core.model.sensitivity import Expansion
from xip_core.risk.delta_gamma import Cumulants, cornish_fisher_var, cumulants_of, normal_var, simulated_pnls
from xip_core.risk.measures import Floats, value_at_risk

SEED = 1
"""Of simulated paths: equal runs give equal numbers."""

HELD_COUNT_MAX = 1 << 24
"""Simulated P&Ls, and entries of Gammas, held at once: 134 MB each; for further groups the paths are drawn again."""

_SAME_MOVES = (("zero_rate", "par_rate"), ("hazard_rate", "par_credit"))
"""Two ladders of one curve: each sees all of its risk, so both would count it twice."""


class QuadraticVar(msgspec.Struct, frozen=True):
    """A VaR, a loss, and the moments behind it; *var* is NaN where Cornish-Fisher has left its domain."""

    var: float
    moments: Cumulants
    is_outside_expansion: bool = False


class QuadraticLadder(msgspec.Struct, frozen=True, eq=False):
    """Where an expansion's sensitivities stand in delta and Gamma.

    Attributes:
        deltas: (F,) position of each factor's delta among the sensitivities.
        gammas: (factor, factor, position).
    """

    deltas: tuple[int, ...]
    gammas: tuple[tuple[int, int, int], ...]

    def coefficients(self, values: Floats) -> tuple[Floats, Floats]:
        """Delta (F,) and Gamma (F, F) from sensitivities (N,)."""
        delta = values[list(self.deltas)]
        gamma = np.zeros((len(delta), len(delta)))
        for first, second, at in self.gammas:
            gamma[first, second] = gamma[second, first] = values[at]
        return delta, gamma


def quadratic_ladder(expansion: Expansion, method: str) -> QuadraticLadder:
    """
    Args:
        method: one of `QUADRATIC_METHODS`; "" for the first.

    Raises:
        RequestError: BAD_AGGREGATE: no gamma for a method that needs some, or two ladders that see the same moves.
    """
    deltas: dict[int, int] = {}
    gammas: list[tuple[int, int, int]] = []
    for at, item in enumerate(expansion.sensitivities):
        if item.measure == "delta":
            deltas[item.bumps[0]] = at
        else:
            gammas.append((item.bumps[0], item.bumps[-1], at))
    _check_moves(expansion)
    method = method or QUADRATIC_METHODS[0]
    if not gammas and method != "delta":
        sentence = f"method {method} needs gammas: ask for ladders with gamma, or for method=delta, which has none"
        raise RequestError("BAD_AGGREGATE", sentence)
    return QuadraticLadder(tuple(deltas[number] for number in range(len(expansion.bumps))), tuple(gammas))


def quadratic_vars(
    ladder: QuadraticLadder,
    values: Floats,
    root: Floats,
    aggregate: Aggregate,
    between: Callable[[], None] = lambda: None,
) -> list[QuadraticVar]:
    """
    VaR of the quadratic P&Ls of several groups.

    Args:
        values: (K, N) sensitivities of each group.
        root: (F, F), of `delta_gamma.check_covariance`.
        aggregate: its q, method and count.
        between: called between steps of at most some seconds; may raise to stop.

    Raises:
        ArgumentError: TOO_FEW_SCENARIOS, fewer paths than the quantile takes.
    """
    found = []
    for of_group in values:
        between()
        found.append(_by_moments(*ladder.coefficients(of_group), root, aggregate))
    if aggregate.method != "monte_carlo":
        return found
    path_count = aggregate.count or PATH_COUNT_DEFAULT
    groups = rows_at_once(path_count, len(root))
    for begin in range(0, len(found), groups):
        coefficients = [ladder.coefficients(of_group) for of_group in values[begin : begin + groups]]
        pnl = simulated_pnls(coefficients, root, path_count, SEED, between)
        for at, var in enumerate(value_at_risk(pnl, aggregate.q).tolist(), begin):
            found[at] = QuadraticVar(var, found[at].moments)
    return found


def rows_at_once(path_count: int, factor_count: int) -> int:
    """Groups that are simulated over one drawing of the paths."""
    return max(1, HELD_COUNT_MAX // max(path_count, factor_count**2))


def _by_moments(delta: Floats, gamma: Floats, root: Floats, aggregate: Aggregate) -> QuadraticVar:
    """Of monte_carlo the moments alone."""
    method = aggregate.method or QUADRATIC_METHODS[0]
    moments = cumulants_of(delta, np.zeros(gamma.shape) if method == "delta" else gamma, root)
    match method:
        case "delta" | "delta_gamma_normal":
            return QuadraticVar(normal_var(moments, aggregate.q), moments)
        case "monte_carlo":
            return QuadraticVar(math.nan, moments)
    try:
        return QuadraticVar(cornish_fisher_var(moments, aggregate.q), moments)
    except ArgumentError as error:
        if error.reason != "OUTSIDE_EXPANSION":
            raise
        return QuadraticVar(math.nan, moments, is_outside_expansion=True)


def _check_moves(expansion: Expansion) -> None:
    kinds: dict[str, dict[str, str]] = {}
    for bump in expansion.bumps:
        kinds.setdefault(bump.object, {})[bump.kind] = factor_name(bump)
    for found in kinds.values():
        for pair in _SAME_MOVES:
            if found.keys() >= set(pair):
                sentence = f"{found[pair[0]]!r} and {found[pair[1]]!r} move one curve: its risk would count twice"
                raise RequestError("BAD_AGGREGATE", f"a VaR must have one ladder of each curve, {sentence}")
