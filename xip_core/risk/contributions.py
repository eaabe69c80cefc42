"""Who the risk comes from: component, marginal and incremental VaR and ES of the children of a group.

A **component** is Euler's: what a child adds to the total per unit of its size, E[L_child | L_total = VaR] for a VaR
and E[L_child | the tail] for an ES. On scenarios the condition is a set of scenarios with weights::

    one rank                  the one scenario at that rank: its bytes add up to the total's
    several scenarios tied    each counts equally, whichever of them the sort would put at the rank; so a component does
                              not depend on the numbering of scenarios
    a rank between two        both, by the rule's weights
    kernel                    ranks around the quantile, triangular over +-bandwidth, scaled to the total: less noise,
                              some bias

Components add up to the total: exactly where it is one scenario's loss, else to rounding, n ulp of n summed scenarios.
A component may be negative: the child hedges.

Source: D. Tasche, Risk contributions and performance measurement (1999); W. Hallerbach, Decomposing portfolio
value-at-risk: a general analysis, J. Risk 5 (2003); kernel: E. Epperlein, A. Smillie, Cracking VaR with kernels, Risk
19 (2006).
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import ArgumentError
from xip_core.risk.measures import Floats, expected_shortfall, value_at_risk
from xip_core.risk.quantiles import QuantileRule, RankWeights, ShortfallRule, quantile_ranks, shortfall_ranks

CHILDREN_PER_BLOCK_BYTES = 4 << 20


class Components(msgspec.Struct, frozen=True):
    """A total and its parts.

    Attributes:
        total: VaR or ES of the sum of the children, a loss.
        parts: float64 (C,), in the order of the children.
        scenarios: int64, the scenarios the condition is made of, by ascending loss.
        weights: float64, of each of *scenarios*; sum 1.
    """

    total: float
    parts: Floats
    scenarios: npt.NDArray[np.int64]
    weights: Floats


def component_var(children: Floats, q: float, rule: QuantileRule = QuantileRule.ORDER_STATISTIC) -> Components:
    """
    Component VaR of each child.

    Args:
        children: P&Ls, float64 (C, S), finite, without the base; the group's P&L is their sum, in order.

    Raises:
        ArgumentError: as `measures.value_at_risk`; BAD_PNL where there is no child.
    """
    total = total_of(children)
    value = float(value_at_risk(total[None, :], q, rule)[0])
    return _components(children, total, value, quantile_ranks(len(total), q, rule))


def component_es(children: Floats, q: float, rule: ShortfallRule = ShortfallRule.TAIL_MEAN) -> Components:
    """Component ES of each child; as `component_var`."""
    total = total_of(children)
    value = float(expected_shortfall(total[None, :], q, rule)[0])
    return _components(children, total, value, shortfall_ranks(len(total), q, rule))


def component_var_kernel(children: Floats, q: float, bandwidth_ranks: int) -> Components:
    """
    Component VaR averaged over the ranks around the default quantile, scaled to it.

    Args:
        bandwidth_ranks: how many ranks the triangle reaches to each side, >= 0; cut off at the worst and best.

    Raises:
        ArgumentError: as `component_var`; BAD_BANDWIDTH, it is negative, or the average loss around the quantile is 0
            or of the other sign, so that nothing can be scaled to it.
    """
    if bandwidth_ranks < 0:
        raise ArgumentError("BAD_BANDWIDTH", f"bandwidth_ranks must be at least 0, got {bandwidth_ranks}")
    total = total_of(children)
    value = float(value_at_risk(total[None, :], q)[0])
    rank = quantile_ranks(len(total), q).first_rank
    first, last = max(1, rank - bandwidth_ranks), min(len(total), rank + bandwidth_ranks)
    weights = tuple(float(bandwidth_ranks + 1 - abs(at - rank)) for at in range(first, last + 1))
    smooth = _components(children, total, value, RankWeights(first, weights, sum(weights)))
    average = float(np.add.accumulate(smooth.parts)[-1])
    if not average * value > 0.0 and average != value:
        sentence = f"losses within {bandwidth_ranks} ranks must average to the sign of the VaR, {value}, got {average}"
        raise ArgumentError("BAD_BANDWIDTH", sentence)
    scale = value / average if average != value else 1.0
    return msgspec.structs.replace(smooth, parts=smooth.parts * scale)


def marginal(components: Components, exposure: Floats) -> Floats:
    """
    What one more unit of each child adds to the total: its component over its exposure.

    Args:
        exposure: float64 (C,), the size of each child in any unit (its pv, its notional), finite.

    Returns:
        float64 (C,) per unit of exposure.

    Raises:
        ArgumentError: BAD_SHAPE; BAD_EXPOSURE, a child has exposure 0: a number per nothing.
    """
    if exposure.shape != components.parts.shape:
        raise ArgumentError("BAD_SHAPE", f"exposure must be {components.parts.shape}, got {exposure.shape}")
    without = np.flatnonzero(~np.isfinite(exposure) | (exposure == 0.0))
    if len(without):
        child = int(without[0])
        raise ArgumentError(
            "BAD_EXPOSURE", f"exposure must be finite and not 0, got {exposure[child]} of child {child}"
        )
    per_unit: Floats = components.parts / exposure
    return per_unit


def incremental_var(children: Floats, q: float, rule: QuantileRule = QuantileRule.ORDER_STATISTIC) -> Floats:
    """
    By how much the VaR falls when a child is removed: VaR(all) - VaR(all but it); negative where it hedges.

    Args and raises as `component_var`.

    Returns:
        float64 (C,). The rest is the total minus the child: an ulp of the total's P&L off the sum of the others.
    """
    total = total_of(children)
    whole = float(value_at_risk(total[None, :], q, rule)[0])
    block = max(1, CHILDREN_PER_BLOCK_BYTES // (8 * max(1, len(total))))
    rests = [
        value_at_risk(total[None, :] - children[begin : begin + block], q, rule)
        for begin in range(0, len(children), block)
    ]
    falls: Floats = whole - np.concatenate(rests)
    return falls


def total_of(children: Floats) -> Floats:
    """The group's P&L: children added in order, (S,)."""
    if children.ndim != 2 or not len(children):
        sentence = f"children must be float64 (children, scenarios) with at least one child, got {children.shape}"
        raise ArgumentError("BAD_PNL", sentence)
    total = np.zeros(children.shape[1])
    for child in children:
        total += child
    return total


def scenario_weights(total: Floats, ranks: RankWeights) -> tuple[npt.NDArray[np.int64], Floats]:
    """
    The scenarios behind ranks of *total* and their weights, by ascending loss; tied ones share a rank's equally.

    Returns:
        (scenarios int64 (n,), weights float64 (n,)); weights are those of *ranks*, not yet over its divisor.
    """
    order = np.lexsort((np.arange(len(total)), 0.0 - total))
    losses = 0.0 - total[order]
    weight_of_place = np.zeros(len(total))
    weight_of_place[ranks.first_rank - 1 : ranks.last_rank] = ranks.weights
    first = int(np.searchsorted(losses, losses[ranks.first_rank - 1], side="left"))
    last = int(np.searchsorted(losses, losses[ranks.last_rank - 1], side="right"))
    places = np.arange(first, last)
    begins = np.searchsorted(losses, losses[places], side="left")
    ends = np.searchsorted(losses, losses[places], side="right")
    sums = np.concatenate(([0.0], np.add.accumulate(weight_of_place)))
    shared = (sums[ends] - sums[begins]) / (ends - begins)
    alone = ends - begins == 1  # differences of sums would round
    shared[alone] = weight_of_place[places[alone]]
    return order[places], shared


def _components(children: Floats, total: Floats, value: float, ranks: RankWeights) -> Components:
    scenarios, weights = scenario_weights(total, ranks)
    parts = np.zeros(len(children))
    for scenario, weight in zip(scenarios.tolist(), weights.tolist(), strict=True):
        parts += weight * (0.0 - children[:, scenario])
    return Components(value, parts / ranks.divisor, scenarios, weights / ranks.divisor)
