"""xip_core.pricing.curves_system"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from xip_core.pricing.curves_system import CurveSystem, blocks_of, solve_system
from xip_core.pricing.curves_terms import Exponents, Term, TermList


def system_of(first_factor: int, terms: Sequence[Sequence[Term]]) -> CurveSystem:
    exponents, lists = Exponents(), []
    for instrument in terms:
        lists.append(TermList(exponents))
        for term in instrument:
            lists[-1].add(term.amount, exponents.number(term.exponent), term.is_quoted)
    return CurveSystem(first_factor, lists)


def deposit(knot: int, accrual: float) -> list[Term]:
    """exp(-x) - 1 - q * accrual: a deposit from today to a knot."""
    return [Term(1.0, ((knot, -1.0),), False), Term(-1.0, (), False), Term(-accrual, (), True)]


def swap(knots: tuple[int, ...], accrual: float = 1.0) -> list[Term]:
    """Single-curve par swap: 1 - D(last) - q * sum of accrual * D."""
    coupons = [Term(-accrual, ((knot, 1.0),), True) for knot in knots]
    return [Term(1.0, (), False), Term(-1.0, ((knots[-1], 1.0),), False), *coupons]


def three_swaps(first_factor: int = 0) -> CurveSystem:
    """Annual par swaps of 1, 2 and 3 years."""
    knots = tuple(range(first_factor, first_factor + 3))
    return system_of(first_factor, [swap(knots[:count]) for count in (1, 2, 3)])


def bootstrap_by_hand(rates: list[float]) -> list[float]:
    """Log discount factors of annual par swaps, one after the other."""
    factors: list[float] = []
    for rate in rates:
        factors.append((1.0 - rate * sum(factors)) / (1.0 + rate))
    return [math.log(factor) for factor in factors]


def test_deposit_solves_to_simple_interest():
    """DF = 1 / (1 + r tau)."""
    solution = solve_system(system_of(0, [deposit(0, 0.5)]), np.zeros((1, 1)), np.array([[0.03]]))
    assert solution.is_converged.tolist() == [True]
    assert solution.knots[0, 0] == pytest.approx(-math.log1p(0.015), abs=1e-15)


def test_par_swaps_solve_to_the_recursive_bootstrap():
    """Three unknowns, known closed form."""
    rates = [0.01, 0.02, 0.03]
    solution = solve_system(three_swaps(), np.zeros((3, 1)), np.array(rates)[:, None])
    assert solution.knots[:, 0] == pytest.approx(bootstrap_by_hand(rates), abs=1e-15)


def test_unknowns_stand_anywhere_in_the_market():
    """Rows before and after belong to other curves and are not touched."""
    market = np.full((6, 1), 7.0)
    market[2:5] = 0.0
    solution = solve_system(three_swaps(2), market, np.array([[0.01], [0.02], [0.03]]))
    assert solution.knots[:, 0] == pytest.approx(bootstrap_by_hand([0.01, 0.02, 0.03]), abs=1e-15)
    assert market[[0, 1, 5], 0].tolist() == [7.0, 7.0, 7.0]


def test_jacobian_is_the_derivative_of_the_residuals():
    """Against central differences, for a system with quoted terms and a curve that is already there."""
    terms = [*swap((1, 2)), Term(0.3, ((0, 0.5), (2, -1.5)), True), Term(0.2, ((0, 1.0), (1, 2.0)), False)]
    system = system_of(1, [swap((1,)), terms])
    market, quotes = np.array([[0.1], [-0.02], [-0.05]]), np.array([[0.01], [0.03]])
    _, jacobian = system.evaluate(market, quotes)
    size = 1e-6
    for knot in range(2):
        shift = np.zeros_like(market)
        shift[1 + knot] = size
        up, down = system.evaluate(market + shift, quotes)[0], system.evaluate(market - shift, quotes)[0]
        assert jacobian[:, knot, 0] == pytest.approx(((up - down) / (2.0 * size))[:, 0], abs=1e-9)


def test_system_in_any_order_is_solved_by_elimination():
    """Instruments against their pillars' order: no longer lower triangular."""
    turned = system_of(0, [swap((0, 1, 2)), swap((0,)), swap((0, 1))])
    mixed = system_of(0, [[*swap((0,)), *deposit(1, 0.1)], swap((0, 1)), swap((0, 1, 2))])
    assert turned.blocks == [0, 3]
    assert mixed.blocks == [0, 2, 3]
    quotes = np.array([[0.01], [0.02], [0.03]])
    solution = solve_system(mixed, np.zeros((3, 1)), quotes)
    market = solution.knots
    assert np.abs(mixed.evaluate(market, quotes)[0]).max() < 1e-15


def test_numbers_do_not_depend_on_the_block():
    """Bytes of each scenario alone, in pairs, and all together."""
    rng = np.random.default_rng(7)
    quotes = 0.02 + 0.01 * rng.standard_normal((3, 13))
    system = three_swaps()
    whole = solve_system(system, np.zeros((3, 13)), quotes).knots
    for width in (1, 2, 5, 8):
        parts = [
            solve_system(system, np.zeros((3, len(part))), quotes[:, part]).knots
            for part in np.array_split(np.arange(13), range(width, 13, width))
        ]
        assert np.hstack(parts).tobytes() == whole.tobytes()


def test_hopeless_scenario_is_reported_and_leaves_the_others_alone():
    """A 3-year par rate of 400 % above 300 % coupons has no positive discount factor."""
    good = [0.01, 0.02, 0.03]
    quotes = np.array([good, [0.01, 3.0, 4.0], good]).T
    solution = solve_system(three_swaps(), np.zeros((3, 3)), quotes)
    assert solution.is_converged.tolist() == [True, False, True]
    alone = solve_system(three_swaps(), np.zeros((3, 1)), quotes[:, :1])
    assert solution.knots[:, 0].tobytes() == solution.knots[:, 2].tobytes() == alone.knots[:, 0].tobytes()


@pytest.mark.parametrize(
    ("reach", "bounds"),
    [([0, 1, 2], [0, 1, 2, 3]), ([2, 0, 1], [0, 3]), ([1, 1, 2], [0, 2, 3]), ([0, 0, 2], [0, 1, 2, 3]), ([-1], [0, 1])],
)
def test_blocks_are_the_shortest_runs_that_reach_no_further(reach, bounds):
    """A bootstrap has one instrument a block; an instrument that reaches ahead takes what lies between with it."""
    assert blocks_of(reach) == bounds


def test_solution_is_that_of_newton_over_the_whole_system():
    """The twin: all unknowns at once, LAPACK for the steps, from another start."""
    rates = np.array([0.01, 0.02, 0.03])
    for system in (three_swaps(), system_of(0, [[*swap((0,)), *deposit(1, 0.1)], swap((0, 1)), swap((0, 1, 2))])):
        twin = np.full(3, -0.05)
        for _ in range(8):
            residuals, jacobian = system.evaluate(twin[:, None], rates[:, None])
            twin -= np.linalg.solve(jacobian[:, :, 0], residuals[:, 0])
        found = solve_system(system, np.zeros((3, 1)), rates[:, None])
        assert found.knots[:, 0] == pytest.approx(twin, abs=1e-15)
        assert np.abs(found.residuals).max() < 1e-15


def test_columns_are_solved_where_they_stand():
    """Two columns of five, in any order, with the quotes in the order of the columns."""
    rng = np.random.default_rng(3)
    quotes = 0.02 + 0.01 * rng.standard_normal((3, 5))
    market = 0.01 * rng.standard_normal((3, 5))
    whole = solve_system(three_swaps(), market, quotes).knots
    chosen = np.array([4, 1])
    found = solve_system(three_swaps(), market, np.ascontiguousarray(quotes[:, chosen]), chosen)
    assert found.knots.tobytes() == np.ascontiguousarray(whole[:, chosen]).tobytes()


def test_rounds_are_those_of_the_slowest_knot():
    """A scenario that starts at its solution takes one round; a far start takes more, and no neighbour counts."""
    quotes = np.array([[0.01], [0.02], [0.03]]).repeat(2, axis=1)
    known = solve_system(three_swaps(), np.zeros((3, 2)), quotes).knots
    known[:, 1] = -1.0
    assert solve_system(three_swaps(), known, quotes).rounds.tolist()[0] == 1
    assert 1 < solve_system(three_swaps(), known, quotes).rounds.tolist()[1] <= 6
