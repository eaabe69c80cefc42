"""Rules of quantiles: which ranks of the sorted losses a VaR or an ES is made of.

Every rule here is a weighted sum of order statistics, so a rule is data: ranks and weights, all that measures,
contributions and intervals need of it.

With n losses L(1) <= ... <= L(n) and a position p = j + g, j whole, 0 <= g < 1, the quantile is
(1 - g) L(j) + g L(j+1)::

    order_statistic          p = ceil(n q)                           Hyndman-Fan type 1 of the losses (default)
    pnl_order_statistic      p = floor(n q) + 1                      type 1 of the P&L at 1 - q; differs from the
                                                                     default only where n q is whole
    averaged                 p = n q + 1/2 where n q is whole, else ceil(n q)                   type 2
    hazen                    p = n q + 1/2                                                      type 5
    weibull                  p = (n + 1) q                                                      type 6
    linear                   p = (n - 1) q + 1                       type 7: NumPy's default, PERCENTILE.INC
    median_unbiased          p = (n + 1/3) q + 1/3                                              type 8

and the expected shortfall one of::

    tail_mean                mean of L(r) for r from ceil(n q): the lowest floor(n (1 - q)) + 1 P&Ls       (default)
    fractional               mean of the worst n (1 - q) losses, the last of them in part

Source: R. Hyndman, Y. Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996); for
`fractional` C. Acerbi, D. Tasche, On the coherence of expected shortfall, J. Banking & Finance 26 (2002). The defaults
are those of the Open Source Risk Engine's historical simulation wherever n q is not whole; at a whole n q its VaR is
`pnl_order_statistic`.

n q is computed with q as it is written, 0.99 and not the double next to it: 100 x 0.07 is 7. A quantile needs a
scenario beyond it, n (1 - q) >= 1, and one before it, n q >= 1; fewer scenarios are refused.
"""

from __future__ import annotations

import enum
import math
from fractions import Fraction

import msgspec

from xip_core.errors import ArgumentError

HALF = Fraction(1, 2)
THIRD = Fraction(1, 3)


class QuantileRule(enum.StrEnum):
    """How a VaR is read off the sorted losses; the module's head defines each."""

    ORDER_STATISTIC = "order_statistic"
    PNL_ORDER_STATISTIC = "pnl_order_statistic"
    AVERAGED = "averaged"
    HAZEN = "hazen"
    WEIBULL = "weibull"
    LINEAR = "linear"
    MEDIAN_UNBIASED = "median_unbiased"


class ShortfallRule(enum.StrEnum):
    """How an ES is read off the sorted losses; the module's head defines each."""

    TAIL_MEAN = "tail_mean"
    FRACTIONAL = "fractional"


class RankWeights(msgspec.Struct, frozen=True):
    """sum of weights[i] * L(first_rank + i), left to right, over *divisor*."""

    first_rank: int
    weights: tuple[float, ...]
    divisor: float = 1.0

    @property
    def last_rank(self) -> int:
        return self.first_rank + len(self.weights) - 1


def scenarios_needed(q: float) -> int:
    """
    Fewest scenarios of which a quantile at *q* is told: 100 at 0.99, 40 at 0.975.

    Raises:
        ArgumentError: BAD_QUANTILE.
    """
    exact = _exact(q)
    return max(math.ceil(1 / (1 - exact)), math.ceil(1 / exact))


def quantile_ranks(scenario_count: int, q: float, rule: QuantileRule = QuantileRule.ORDER_STATISTIC) -> RankWeights:
    """
    Ranks and weights of a VaR.

    Raises:
        ArgumentError: BAD_QUANTILE, TOO_FEW_SCENARIOS.
    """
    check_scenario_count(scenario_count, q)
    position = _position(scenario_count, _exact(q), rule)
    rank = math.floor(position)
    share = float(position - rank)
    return RankWeights(rank, (1.0 - share, share) if share else (1.0,))


def shortfall_ranks(scenario_count: int, q: float, rule: ShortfallRule = ShortfallRule.TAIL_MEAN) -> RankWeights:
    """
    Ranks and weights of an ES.

    Raises:
        ArgumentError: BAD_QUANTILE, TOO_FEW_SCENARIOS.
    """
    check_scenario_count(scenario_count, q)
    exact = _exact(q)
    match rule:
        case ShortfallRule.TAIL_MEAN:
            first_rank = math.ceil(scenario_count * exact)
            count = scenario_count - first_rank + 1
            return RankWeights(first_rank, (1.0,) * count, float(count))
        case ShortfallRule.FRACTIONAL:
            size = scenario_count * (1 - exact)
            whole, share = math.floor(size), float(size - math.floor(size))
            weights = (share,) * bool(share) + (1.0,) * whole
            return RankWeights(scenario_count - len(weights) + 1, weights, float(size))


def interval_ranks(scenario_count: int, q: float, confidence: float = 0.95) -> tuple[int, int]:
    """
    Ranks (low, high) so that L(low) <= true quantile < L(high) with at least *confidence*, whatever the distribution.

    How many of n independent losses lie below the true quantile is binomial(n, q); each side leaves out at most half of
    what confidence leaves. Overlapping historical returns are not independent: their true interval is wider.

    Raises:
        ArgumentError: BAD_QUANTILE; TOO_FEW_SCENARIOS, with the number that would do.

    Source: H. David, H. Nagaraja, Order Statistics, 3rd edition (2003), section 7.1.
    """
    check_scenario_count(scenario_count, q)
    beyond = 0.5 * float(1 - _exact(confidence, "confidence"))
    needed = max(math.ceil(math.log(beyond) / math.log(edge)) for edge in (q, 1.0 - q))
    if scenario_count < needed:
        sentence = f"an interval of {confidence} around a quantile at {q} must have at least {needed} scenarios"
        raise ArgumentError("TOO_FEW_SCENARIOS", f"{sentence}, got {scenario_count}")
    chance = _binomial(scenario_count, q)
    low, below = 1, chance[0]  # below: of less than `low` losses under the quantile
    while below + chance[low] <= beyond:
        below += chance[low]
        low += 1
    high, above = scenario_count, chance[scenario_count]  # above: of `high` losses or more
    while above + chance[high - 1] <= beyond:
        above += chance[high - 1]
        high -= 1
    return low, high


def check_scenario_count(scenario_count: int, q: float) -> None:
    """
    Raises:
        ArgumentError: BAD_QUANTILE, TOO_FEW_SCENARIOS.
    """
    needed = scenarios_needed(q)
    if scenario_count < needed:
        sentence = f"a quantile at {q} must have at least {needed} scenarios, got {scenario_count}"
        raise ArgumentError("TOO_FEW_SCENARIOS", sentence)


def _position(n: int, q: Fraction, rule: QuantileRule) -> Fraction:
    rank = n * q
    match rule:
        case QuantileRule.ORDER_STATISTIC:
            return Fraction(math.ceil(rank))
        case QuantileRule.PNL_ORDER_STATISTIC:
            return Fraction(math.floor(rank) + 1)
        case QuantileRule.AVERAGED:
            return rank + HALF if rank.denominator == 1 else Fraction(math.ceil(rank))
        case QuantileRule.HAZEN:
            return rank + HALF
        case QuantileRule.WEIBULL:
            return rank + q
        case QuantileRule.LINEAR:
            return rank - q + 1
        case QuantileRule.MEDIAN_UNBIASED:
            return rank + THIRD * q + THIRD


def _exact(q: float, name: str = "q") -> Fraction:
    """The fraction that was written: the shortest decimal that gives this double."""
    if not 0.0 < q < 1.0:
        raise ArgumentError("BAD_QUANTILE", f"{name} must lie between 0 and 1, such as 0.99, got {q}")
    return Fraction(repr(float(q)))


def _binomial(n: int, q: float) -> list[float]:
    """Chances of 0 to n of n."""
    log_q, log_other, log_all = math.log(q), math.log1p(-q), math.lgamma(n + 1)
    return [
        math.exp(log_all - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_q + (n - k) * log_other)
        for k in range(n + 1)
    ]
