"""xip_core.risk.quantiles"""

from __future__ import annotations

import math

import numpy as np
import pytest

from xip_core.errors import ArgumentError
from xip_core.risk.measures import expected_shortfall, value_at_risk
from xip_core.risk.quantiles import (
    QuantileRule,
    ShortfallRule,
    interval_ranks,
    quantile_ranks,
    scenarios_needed,
    shortfall_ranks,
)

NUMPY_METHOD = {
    QuantileRule.ORDER_STATISTIC: "inverted_cdf",
    QuantileRule.AVERAGED: "averaged_inverted_cdf",
    QuantileRule.HAZEN: "hazen",
    QuantileRule.WEIBULL: "weibull",
    QuantileRule.LINEAR: "linear",
    QuantileRule.MEDIAN_UNBIASED: "median_unbiased",
}


@pytest.mark.parametrize("rule", NUMPY_METHOD)
@pytest.mark.parametrize(("count", "q"), [(715, 0.99), (100, 0.99), (500, 0.975), (1001, 0.05), (20, 0.95)])
def test_rule_is_numpys_method_of_the_same_name(rule: QuantileRule, count: int, q: float) -> None:
    """NumPy computes n q in doubles, so where n q is whole its step methods may be a rank off: those are left out."""
    if rule in (QuantileRule.ORDER_STATISTIC, QuantileRule.AVERAGED) and (count * q) != round(count * q, 9):
        count += 1
    losses = np.random.default_rng(count).normal(size=count)
    expected = np.quantile(losses, q, method=NUMPY_METHOD[rule])  # type: ignore[call-overload]  # a str, not a literal
    assert value_at_risk(-losses[None, :], q, rule)[0] == pytest.approx(expected, rel=1e-12)


def test_whole_n_q_is_told_by_the_decimal_that_was_written() -> None:
    """0.07 x 100 is 7.000000000000001 in doubles, which would be rank 8."""
    assert quantile_ranks(100, 0.07).first_rank == 7
    assert quantile_ranks(100, 0.99).first_rank == 99
    assert quantile_ranks(100, 0.99, QuantileRule.PNL_ORDER_STATISTIC).first_rank == 100
    assert quantile_ranks(715, 0.99).first_rank == 708
    assert quantile_ranks(715, 0.99, QuantileRule.PNL_ORDER_STATISTIC).first_rank == 708


def test_rules_between_ranks_weigh_both() -> None:
    linear = quantile_ranks(101, 0.985, QuantileRule.LINEAR)
    assert (linear.first_rank, linear.weights) == (99, (0.5, 0.5))
    averaged = quantile_ranks(100, 0.99, QuantileRule.AVERAGED)
    assert (averaged.first_rank, averaged.weights) == (99, (0.5, 0.5))


def test_tail_of_the_default_shortfall_is_floor_of_n_times_tail_plus_one() -> None:
    for count, q, size in ((715, 0.99, 8), (715, 0.95, 36), (100, 0.99, 2), (250, 0.975, 7)):
        tail = shortfall_ranks(count, q)
        assert (len(tail.weights), tail.last_rank, tail.divisor) == (size, count, size)


def test_fractional_shortfall_takes_a_part_of_the_last_loss() -> None:
    tail = shortfall_ranks(250, 0.975, ShortfallRule.FRACTIONAL)  # 6.25 scenarios
    assert tail.weights == (0.25, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert tail.divisor == 6.25
    losses = np.arange(1.0, 251.0)
    by_hand = (0.25 * 244 + sum(range(245, 251))) / 6.25
    assert expected_shortfall(-losses[None, :], 0.975, ShortfallRule.FRACTIONAL)[0] == by_hand


@pytest.mark.parametrize(("q", "needed"), [(0.99, 100), (0.975, 40), (0.95, 20), (0.999, 1000), (0.01, 100)])
def test_too_few_scenarios_are_refused_with_the_number_needed(q: float, needed: int) -> None:
    assert scenarios_needed(q) == needed
    for rule in QuantileRule:
        quantile_ranks(needed, q, rule)
        with pytest.raises(ArgumentError, match=f"at least {needed} scenarios, got {needed - 1}") as refused:
            quantile_ranks(needed - 1, q, rule)
        assert refused.value.reason == "TOO_FEW_SCENARIOS"


@pytest.mark.parametrize("rule", QuantileRule)
def test_ranks_stay_among_the_scenarios(rule: QuantileRule) -> None:
    for q in (0.01, 0.05, 0.5, 0.9, 0.975, 0.99):
        for count in range(scenarios_needed(q), scenarios_needed(q) + 250):
            ranks = quantile_ranks(count, q, rule)
            assert 1 <= ranks.first_rank <= ranks.last_rank <= count
            assert sum(ranks.weights) == pytest.approx(1.0)


@pytest.mark.parametrize("q", [0.0, 1.0, 99.0, -0.1, math.nan])
def test_confidence_outside_its_range_is_refused(q: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1") as refused:
        quantile_ranks(1000, q)
    assert refused.value.reason == "BAD_QUANTILE"


def test_interval_holds_its_confidence_and_no_narrower_one_would() -> None:
    """Binomial sums with whole numbers, n = 500 at 0.99."""
    low, high = interval_ranks(500, 0.99)
    chance = [math.comb(500, k) * 0.99**k * 0.01 ** (500 - k) for k in range(501)]
    assert sum(chance[:low]) <= 0.025 < sum(chance[: low + 1])
    assert sum(chance[high:]) <= 0.025 < sum(chance[high - 1 :])
    assert low < quantile_ranks(500, 0.99).first_rank < high


def test_interval_that_reaches_beyond_the_worst_is_refused() -> None:
    """0.99^367 is above 0.025, 0.99^368 is not: the 368 scenarios of the textbooks."""
    assert interval_ranks(368, 0.99)[1] == 368
    with pytest.raises(ArgumentError, match="at least 368 scenarios, got 367"):
        interval_ranks(367, 0.99)
