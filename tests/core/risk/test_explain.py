"""xip_core.risk.explain and xip_core.risk.hierarchy"""

from __future__ import annotations

import numpy as np
import pytest

from xip_core.errors import ArgumentError
from xip_core.risk.explain import Moved, explain
from xip_core.risk.hierarchy import group_leaves, sum_leaves

NO_VOLS = Moved(np.zeros((1, 0)), np.zeros(0))


def test_a_quadratic_book_is_explained_without_a_residual() -> None:
    """pv(x, y, v, t) = 3 x + 2 y + x^2 / 2 + 4 x y + 7 v - 5 t, from (1, 2, 0.2, 0) to (1.5, 1, 0.25, 0.1)."""

    def pv(x: float, y: float, v: float, t: float) -> float:
        return 3.0 * x + 2.0 * y + 0.5 * x * x + 4.0 * x * y + 7.0 * v - 5.0 * t

    moves = np.array([0.5, -1.0])
    spots = Moved(np.array([[12.0, 6.0]]), moves, np.array([[1.0, 4.0]]), np.array([[0, 0], [0, 1]]))
    split = explain(
        np.array([pv(1, 2, 0.2, 0)]),
        np.array([pv(1.5, 1, 0.25, 0.1)]),
        np.array([pv(1, 2, 0.2, 0.1)]),
        np.zeros(1),
        spots,
        Moved(np.array([[7.0]]), np.array([0.05])),
    )
    assert split.carry[0] == pytest.approx(-0.5)
    assert split.delta[0] == pytest.approx(0.0)
    assert split.gamma[0] == pytest.approx(0.125 - 2.0)
    assert split.vega[0] == pytest.approx(0.35)
    assert split.residual[0] == pytest.approx(0.0, abs=1e-12)


def test_cash_paid_is_no_loss() -> None:
    """A coupon of 3 leaves the pv: P&L 0, and so is the carry beside the price it had."""
    split = explain(
        np.array([100.0]), np.array([97.0]), np.array([97.0]), np.array([3.0]), Moved(np.zeros((1, 0)), np.zeros(0)),
        NO_VOLS,
    )  # fmt: skip
    assert (split.total[0], split.carry[0], split.residual[0], split.residual_share[0]) == (0.0, 0.0, 0.0, 0.0)


def test_what_is_not_explained_is_shown() -> None:
    spots = Moved(np.array([[10.0]]), np.array([1.0]))
    split = explain(np.zeros(1), np.array([15.0]), np.zeros(1), np.zeros(1), spots, NO_VOLS)
    assert (split.delta[0], split.residual[0], split.residual_share[0]) == (10.0, 5.0, 0.5)


def test_explain_refuses_shapes_and_missing_numbers() -> None:
    spots, one = Moved(np.array([[10.0]]), np.array([1.0])), np.zeros(1)
    with pytest.raises(ArgumentError, match="cash must be"):
        explain(one, one, one, np.zeros(2), spots, NO_VOLS)
    with pytest.raises(ArgumentError, match="those of group 0 are not"):
        explain(one, np.array([np.inf]), one, one, spots, NO_VOLS)
    with pytest.raises(ArgumentError, match="first_order must be"):
        explain(one, one, one, one, Moved(np.zeros((1, 2)), np.zeros(1)), NO_VOLS)
    bad = Moved(np.zeros((1, 1)), np.zeros(1), np.zeros((1, 1)), np.array([[0, 1]]))
    with pytest.raises(ArgumentError, match="a pair must be two factors"):
        explain(one, one, one, one, bad, NO_VOLS)


LEAVES = [("rates", "EUR"), ("fx", "USD"), ("rates", "USD"), ("fx", "EUR")]


def test_groups_come_in_the_order_of_their_first_leaf() -> None:
    by_desk = group_leaves(LEAVES, (0,))
    assert by_desk.keys == (("rates",), ("fx",))
    assert by_desk.group_of_leaf.tolist() == [0, 1, 0, 1]
    assert group_leaves(LEAVES, (1, 0)).keys == (("EUR", "rates"), ("USD", "fx"), ("USD", "rates"), ("EUR", "fx"))
    assert group_leaves(LEAVES, ()).keys == ((),)


def test_leaves_add_up_in_their_order() -> None:
    """The order shows in the last bit: (1 + 1e-16) + 1e-16 is 1, 1e-16 first would not be lost."""
    leaves = np.array([[1.0], [5.0], [1e-16], [6.0]])
    assert sum_leaves(leaves, group_leaves(LEAVES, (0,))).tolist() == [[1.0], [11.0]]
    counts = np.array([1, 2, 3, 4])
    assert sum_leaves(counts, group_leaves(LEAVES, ())).tolist() == [10]


def test_hierarchy_refuses_missing_keys_and_other_leaves() -> None:
    with pytest.raises(ArgumentError, match="leaf 0 must have a part 2") as refused:
        group_leaves(LEAVES, (2,))
    assert refused.value.reason == "MISSING_HIERARCHY_KEY"
    with pytest.raises(ArgumentError, match="leaves must be 4 vectors"):
        sum_leaves(np.zeros((3, 2)), group_leaves(LEAVES, (0,)))
