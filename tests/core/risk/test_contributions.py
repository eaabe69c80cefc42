"""xip_core.risk.contributions and xip_core.risk.worst"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xip_core.errors import ArgumentError
from xip_core.risk.contributions import (
    component_es,
    component_var,
    component_var_kernel,
    incremental_var,
    marginal,
    total_of,
)
from xip_core.risk.measures import expected_shortfall, value_at_risk
from xip_core.risk.quantiles import QuantileRule, ShortfallRule
from xip_core.risk.worst import Driver, WorstScenario, worst_scenarios

Floats = npt.NDArray[np.float64]

children_pnls = arrays(np.float64, (4, 60), elements=st.floats(-1e6, 1e6, width=32))
tied_pnls = arrays(np.float64, (4, 60), elements=st.integers(-2, 2).map(float))


def drawn(child_count: int = 5, scenario_count: int = 500) -> Floats:
    return np.random.default_rng(11).normal(size=(child_count, scenario_count))


def test_components_of_one_scenario_add_up_to_the_byte() -> None:
    children = drawn(child_count=40)
    split = component_var(children, 0.99)
    total = 0.0
    for part in split.parts.tolist():
        total += part
    assert total == split.total == value_at_risk(total_of(children)[None, :], 0.99)[0]
    assert len(split.scenarios) == 1
    assert split.weights.tolist() == [1.0]
    assert (split.parts == -children[:, split.scenarios[0]]).all()


@settings(max_examples=20)
@given(st.one_of(children_pnls, tied_pnls), st.sampled_from(list(QuantileRule)), st.sampled_from([0.5, 0.9, 0.95]))
def test_components_of_every_rule_add_up(children: Floats, rule: QuantileRule, q: float) -> None:
    split = component_var(children, q, rule)
    assert split.parts.sum() == pytest.approx(split.total, rel=1e-12, abs=1e-8)
    assert split.weights.sum() == pytest.approx(1.0)


@settings(max_examples=20)
@given(st.one_of(children_pnls, tied_pnls), st.sampled_from(list(ShortfallRule)), st.sampled_from([0.5, 0.9, 0.95]))
def test_components_of_the_shortfall_add_up(children: Floats, rule: ShortfallRule, q: float) -> None:
    split = component_es(children, q, rule)
    total = expected_shortfall(total_of(children)[None, :], q, rule)[0]
    assert split.total == total
    assert split.parts.sum() == pytest.approx(total, rel=1e-12, abs=1e-8)


@settings(max_examples=15)
@given(tied_pnls, st.integers(0, 2**32 - 1))
def test_components_do_not_depend_on_the_numbering_of_scenarios(children: Floats, seed: int) -> None:
    """Small whole numbers, so that sums are exact and ties many."""
    shuffled = np.ascontiguousarray(children[:, np.random.default_rng(seed).permutation(60)])
    assert component_var(shuffled, 0.9).parts == pytest.approx(component_var(children, 0.9).parts, abs=1e-12)
    assert component_es(shuffled, 0.9).parts == pytest.approx(component_es(children, 0.9).parts, abs=1e-12)


def test_tied_scenarios_count_equally() -> None:
    """Scenarios 0 and 1 lose 10 each, by different children."""
    children = np.zeros((2, 20))
    children[0, 0], children[1, 1], children[0, 2] = -10.0, -10.0, -20.0
    split = component_var(children, 0.95)
    assert (split.total, split.parts.tolist(), split.scenarios.tolist()) == (10.0, [5.0, 5.0], [0, 1])


def test_component_is_the_derivative_to_the_size_of_a_child() -> None:
    children = drawn()
    split, step = component_var(children, 0.99), 1e-6
    for child in range(len(children)):
        grown, shrunk = children.copy(), children.copy()
        grown[child] *= 1.0 + step
        shrunk[child] *= 1.0 - step
        slope = (component_var(grown, 0.99).total - component_var(shrunk, 0.99).total) / (2.0 * step)
        assert slope == pytest.approx(split.parts[child], abs=1e-7)


def test_kernel_components_add_up_and_vary_less_than_one_scenario() -> None:
    """20 samples of two children with the same distribution: each should bear half."""
    shares: dict[int, list[float]] = {0: [], 15: []}
    for seed in range(20):
        children = np.random.default_rng(seed).normal(size=(2, 1000))
        for bandwidth in shares:
            split = component_var_kernel(children, 0.99, bandwidth)
            assert split.parts.sum() == pytest.approx(split.total, rel=1e-12)
            shares[bandwidth].append(split.parts[0] / split.total)
    assert np.std(shares[15]) < 0.5 * np.std(shares[0])
    assert component_var_kernel(drawn(), 0.99, 0).parts.tolist() == component_var(drawn(), 0.99).parts.tolist()


def test_kernel_is_refused_where_its_losses_have_the_other_sign() -> None:
    children = np.concatenate((np.full(90, 100.0), np.full(10, -1.0)))[None, :]
    with pytest.raises(ArgumentError, match="must average to the sign of the VaR"):
        component_var_kernel(children, 0.91, 40)
    with pytest.raises(ArgumentError, match="at least 0, got -1"):
        component_var_kernel(children, 0.91, -1)


def test_incremental_is_the_var_without_the_child() -> None:
    children = drawn()
    falls = incremental_var(children, 0.99)
    for child in range(len(children)):
        rest = np.delete(children, child, axis=0).sum(axis=0, keepdims=True)
        without = value_at_risk(rest, 0.99)[0]
        assert falls[child] == pytest.approx(component_var(children, 0.99).total - without, abs=1e-12)


def test_a_hedge_has_a_negative_component_and_increment() -> None:
    position = np.random.default_rng(1).normal(size=500)
    children = np.stack((2.0 * position, -position))
    assert component_var(children, 0.99).parts[1] < 0.0
    assert incremental_var(children, 0.99)[1] < 0.0


def test_marginal_is_per_unit_and_refuses_nothing_to_divide_by() -> None:
    split = component_var(drawn(child_count=2), 0.99)
    assert marginal(split, np.array([4.0, -2.0])) == pytest.approx(split.parts / [4.0, -2.0])
    with pytest.raises(ArgumentError, match=r"not 0, got 0.0 of child 1"):
        marginal(split, np.array([4.0, 0.0]))
    with pytest.raises(ArgumentError, match="exposure must be"):
        marginal(split, np.ones(3))


def test_no_child_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at least one child"):
        component_var(np.zeros((0, 100)), 0.95)


def test_worst_scenarios_come_with_who_drives_them() -> None:
    children = np.array([[5.0, -3.0, 0.0, -8.0], [-9.0, -1.0, 0.0, 4.0], [0.0, -2.0, 0.0, 0.0]])
    assert worst_scenarios(children, 3, driver_count=2) == (
        WorstScenario(1, -6.0, (Driver(0, -3.0), Driver(2, -2.0)), -1.0),
        WorstScenario(0, -4.0, (Driver(1, -9.0),), 5.0),
        WorstScenario(3, -4.0, (Driver(0, -8.0),), 4.0),
    )
    assert len(worst_scenarios(children, 100)) == 4
    with pytest.raises(ArgumentError, match="at least 1"):
        worst_scenarios(children, 0)
    with pytest.raises(ArgumentError, match="got nan in scenario 1"):
        worst_scenarios(np.array([[0.0, np.nan]]), 1)
