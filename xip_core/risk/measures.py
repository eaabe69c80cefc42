"""VaR and ES of many groups at once.

Of a group's losses only those at the rule's ranks are needed (`risk.quantiles`): they are selected, not sorted, in
O(S) a group. Groups are handled in blocks of BLOCK_SIZE_BYTES, so 2,000 groups x 10,000 scenarios, 160 MB, take 8 MB
beside themselves.

Numbers are losses: a VaR above 0 is money lost, one below 0 says that even the quantile is a gain. Scenarios in which
rows are missing are the caller's to show beside each number: `completeness` counts them.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import ArgumentError
from xip_core.risk.quantiles import (
    QuantileRule,
    RankWeights,
    ShortfallRule,
    check_scenario_count,
    interval_ranks,
    quantile_ranks,
    shortfall_ranks,
)

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BLOCK_SIZE_BYTES = 4 << 20


class Completeness(msgspec.Struct, frozen=True):
    """How many of a group's scenarios lack rows, and how many rows the worst of them lacks; int64 (G,) each."""

    incomplete_scenario_count: Counts
    rows_missing_max: Counts


def value_at_risk(pnl: Floats, q: float, rule: QuantileRule = QuantileRule.ORDER_STATISTIC) -> Floats:
    """
    Value at risk of each group, a loss, in the P&L's unit.

    Args:
        pnl: float64 (G, S), finite, without the base.
        q: confidence in (0, 1), such as 0.99.

    Returns:
        float64 (G,). Exact where the rule takes one rank, else within 2 ulp.

    Raises:
        ArgumentError: BAD_PNL, BAD_QUANTILE; TOO_FEW_SCENARIOS, with the number needed.

    Source: the rules' in `risk.quantiles`.
    """
    return _weighted_ranks(pnl, quantile_ranks(_checked(pnl), q, rule))


def expected_shortfall(pnl: Floats, q: float, rule: ShortfallRule = ShortfallRule.TAIL_MEAN) -> Floats:
    """
    Expected shortfall of each group: the mean loss from the quantile on; never below the default VaR but for rounding.

    Args and raises as `value_at_risk`. Of k losses added left to right the error is at most k ulp of the largest.
    """
    return _weighted_ranks(pnl, shortfall_ranks(_checked(pnl), q, rule))


def confidence_interval(pnl: Floats, q: float, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """
    Losses between which the true quantile lies with *confidence*, were scenarios independent; float64 (G,) each.

    Raises:
        ArgumentError: as `value_at_risk`; TOO_FEW_SCENARIOS also where the interval would reach beyond the worst.
    """
    low, high = interval_ranks(_checked(pnl), q, confidence)
    return _weighted_ranks(pnl, RankWeights(low, (1.0,))), _weighted_ranks(pnl, RankWeights(high, (1.0,)))


def age_weights(scenario_count: int, decay: float) -> Floats:
    """
    Weights of scenarios from the oldest to the newest, falling by *decay* with each step back; sum 1.

    Raises:
        ArgumentError: BAD_WEIGHTS, decay is not in (0, 1].

    Source: J. Boudoukh, M. Richardson, R. Whitelaw, The best of both worlds, Risk 11 (1998).
    """
    if not 0.0 < decay <= 1.0:
        raise ArgumentError("BAD_WEIGHTS", f"decay must be above 0 and at most 1, got {decay}")
    powers = np.concatenate(([1.0], np.full(scenario_count - 1, decay)))
    falling = np.multiply.accumulate(powers)[::-1]
    weights: Floats = falling / np.add.accumulate(falling)[-1]
    return weights


def weighted_measures(pnl: Floats, weights: Floats, q: float) -> tuple[Floats, Floats]:
    """
    (VaR, ES) where scenarios weigh differently: the smallest loss up to which the weights reach *q* of their sum, and
    the weighted mean of the losses from there; with equal weights the default rules.

    Args:
        weights: float64 (S,), >= 0, not all 0; of any sum.

    Raises:
        ArgumentError: as `value_at_risk`, and BAD_WEIGHTS.
    """
    check_scenario_count(_checked(pnl), q)
    if weights.shape != pnl.shape[1:] or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        sentence = f"weights must be {pnl.shape[1]} numbers >= 0, not all 0, got shape {weights.shape}"
        raise ArgumentError("BAD_WEIGHTS", sentence)
    quantiles, shortfalls = np.empty(len(pnl)), np.empty(len(pnl))
    for group, row in enumerate(pnl):
        losses = 0.0 - row
        order = np.argsort(losses, kind="stable")
        reached = np.add.accumulate(weights[order])
        # Rounding of the sum must not push the quantile a rank up: what is within it of q has reached q.
        first = int(np.searchsorted(reached, q * reached[-1] * (1.0 - 2.0**-40)))
        tail = order[first:]
        quantiles[group] = losses[order[first]]
        shortfalls[group] = np.add.accumulate(weights[tail] * losses[tail])[-1] / np.add.accumulate(weights[tail])[-1]
    return quantiles, shortfalls


def completeness(rows_used: Counts, rows_expected: Counts) -> Completeness:
    """
    Args:
        rows_used, rows_expected: int64 (G, S), as a reduce node puts them out.

    Raises:
        ArgumentError: BAD_SHAPE; more rows used than expected.
    """
    missing = rows_expected - rows_used
    if (missing < 0).any():
        raise ArgumentError("BAD_SHAPE", f"rows_used must be at most rows_expected, got {-missing.min()} more")
    return Completeness(np.count_nonzero(missing, axis=1), missing.max(axis=1, initial=0))


def _checked(pnl: Floats) -> int:
    """How many scenarios there are."""
    if pnl.ndim != 2 or pnl.dtype != np.float64:
        raise ArgumentError("BAD_PNL", f"pnl must be float64 (groups, scenarios), got {pnl.dtype} {pnl.shape}")
    for begin, end in _blocks(pnl):
        finite = np.isfinite(pnl[begin:end])
        if not finite.all():
            group, scenario = np.argwhere(~finite)[0].tolist()
            sentence = f"pnl must be finite, got {pnl[begin + group, scenario]} in group {begin + group}"
            raise ArgumentError("BAD_PNL", f"{sentence}, scenario {scenario}")
    return int(pnl.shape[1])


def _weighted_ranks(pnl: Floats, ranks: RankWeights) -> Floats:
    scenario_count = pnl.shape[1]
    low, high = scenario_count - ranks.last_rank, scenario_count - ranks.first_rank  # places among ascending P&Ls
    places = sorted({low, high} - {0} or {high})  # the lowest ones are there once those above them are
    weights = np.array(ranks.weights)
    result = np.empty(len(pnl))
    for begin, end in _blocks(pnl):
        chosen = np.partition(pnl[begin:end], places, axis=1)[:, low : high + 1]
        losses = 0.0 - np.sort(chosen, axis=1)[:, ::-1]
        result[begin:end] = np.add.accumulate(weights * losses, axis=1)[:, -1] / ranks.divisor
    return result


def _blocks(pnl: Floats) -> list[tuple[int, int]]:
    rows = max(1, BLOCK_SIZE_BYTES // (8 * max(1, pnl.shape[1])))
    return [(begin, min(begin + rows, len(pnl))) for begin in range(0, len(pnl), rows)]
