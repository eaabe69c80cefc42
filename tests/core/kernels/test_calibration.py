"""xip_core.kernels.calibration: bytes for every split, lane and CPU level; faults of one scenario; refused systems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from xip_core.kernels.level import load_module

Arrays = dict[str, Any]

KNOTS = 3


def pairs(stem: str, index: str, runs: list[list[tuple[float, ...]]], *weights: str) -> Arrays:
    """Runs of (index, weight, ...) as flat arrays."""
    flat = [entry for run in runs for entry in run]
    return {
        f"{stem}_begin": np.cumsum([0, *map(len, runs)], dtype=np.int32),
        f"{stem}_{index}": np.array([entry[0] for entry in flat], dtype=np.int32),
        **{f"{stem}_{name}": np.array([e[1 + k] for e in flat], dtype=float) for k, name in enumerate(weights)},
    }


def three_swaps(is_one_block: bool = False) -> Arrays:
    """Annual par swaps of 1, 2 and 3 years against D(1), D(2), D(3): 1 - D(n) - q (D(1) + .. + D(n)).

    The factors are rows 1, 2, 3 of the market, which are the knots. Exponentials: 1, D(1), D(2), D(3).
    """
    blocks = [0, 3] if is_one_block else [0, 1, 2, 3]
    amounts = [[(0, 1.0, 0.0), *((k, -1.0 * (k == n), -1.0) for k in range(1, n + 1))] for n in (1, 2, 3)]
    own = (lambda n, k: k > 0) if is_one_block else (lambda n, k: k == n)
    settled = [[term for term in run if not own(n + 1, term[0])] for n, run in enumerate(amounts)]
    live = [[term for term in run if own(n + 1, term[0])] for n, run in enumerate(amounts)]
    return {
        "factors": np.array([1, 2, 3]),
        "own_begin": 0,
        "block_begin": np.array(blocks),
        "group_begin": np.array([0, 1, 4] if is_one_block else [0, 1, 2, 3, 4]),
        **pairs("fixed", "place", [[], [], [], []], "weight"),
        **pairs("own_pair", "knot", [[], [(0, 1.0)], [(1, 1.0)], [(2, 1.0)]], "weight"),
        **pairs("settled", "source", settled, "plain", "quoted"),
        **pairs("live", "source", live, "plain", "quoted"),
    }


def solve(quotes: np.ndarray, is_one_block: bool = False, level: str = LEVELS[-1]) -> tuple[np.ndarray, ...]:
    market = np.zeros((5, quotes.shape[1]))
    system = load_module("calibration", level).System(**three_swaps(is_one_block))
    found: tuple[np.ndarray, ...] = system.solve(market, np.arange(quotes.shape[1]), quotes)
    return found


def some_quotes(count: int) -> np.ndarray:
    return np.array([[0.01], [0.02], [0.03]]) + 0.005 * np.random.default_rng(5).standard_normal((KNOTS, count))


@pytest.mark.parametrize("is_one_block", [False, True])
def test_par_swaps_give_the_recursive_bootstrap(is_one_block: bool) -> None:
    """D(n) = (1 - q (D(1) + .. + D(n - 1))) / (1 + q)."""
    quotes = some_quotes(20)
    knots, residuals, rounds = solve(quotes, is_one_block)
    for column in range(20):
        factors: list[float] = []
        for rate in quotes[:, column]:
            factors.append((1.0 - rate * math.fsum(factors)) / (1.0 + rate))
        assert np.exp(knots[:, column]) == pytest.approx(factors, rel=4e-16)
    assert np.abs(residuals).max() < 1e-15
    assert (rounds > 0).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("is_one_block", [False, True])
def test_bytes_are_those_of_every_level_split_and_lane(level: str, is_one_block: bool) -> None:
    quotes = some_quotes(21)
    whole = [array.tobytes() for array in solve(quotes, is_one_block)]
    assert [array.tobytes() for array in solve(quotes, is_one_block, level)] == whole
    for width in (1, 5, 8, 9):
        blocks = [np.ascontiguousarray(quotes[:, begin : begin + width]) for begin in range(0, 21, width)]
        parts = [solve(block, is_one_block, level) for block in blocks]
        joined = [np.concatenate([part[k] for part in parts], axis=-1).tobytes() for k in range(3)]
        assert joined == whole


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 9.0])
@pytest.mark.parametrize("is_one_block", [False, True])
def test_scenario_without_solution_is_nan_and_moves_no_neighbour(bad: float, is_one_block: bool) -> None:
    """A second coupon of 900 % leaves no positive discount factor."""
    quotes = some_quotes(9)
    quotes[1, 4] = bad
    knots, residuals, rounds = solve(quotes, is_one_block)
    others = [0, 1, 2, 3, 5, 6, 7, 8]
    clean = solve(some_quotes(9), is_one_block)
    assert np.isnan(knots[:, 4]).all()
    assert rounds[4] < 0
    assert knots[:, others].tobytes() == clean[0][:, others].tobytes()
    assert rounds[others].tolist() == clean[2][others].tolist()
    assert np.isfinite(residuals[:, others]).all()


def test_no_scenario_is_an_empty_answer() -> None:
    knots, residuals, rounds = solve(np.empty((KNOTS, 0)))
    assert knots.shape == residuals.shape == (KNOTS, 0)
    assert rounds.shape == (0,)


def changed(**arrays: Any) -> Arrays:
    return three_swaps() | arrays


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"block_begin": np.array([0])}, "block_begin must ascend from 0"),
        ({"block_begin": np.array([0, 2, 2, 3])}, "block_begin must ascend from 0"),
        ({"group_begin": np.array([0, 1, 2, 4])}, "group_begin must ascend from 0 and have 5 values"),
        ({"own_begin": 1}, "factors must hold the own knots from place 1 on"),
        ({"own_begin": -1}, "factors must hold the own knots"),
        ({"factors": np.array([1, 2, -3])}, "no negative row"),
        ({"fixed_begin": np.array([0, 0, 0, 0])}, "fixed_begin must ascend from 0 to 0 in 4 runs"),
        ({"own_pair_knot": np.array([0, 1, 3])}, r"own_pair_knot must lie in \[0, 3\), got 0 to 3"),
        ({"own_pair_knot": np.array([0, 2, 1])}, "own_pair_knot must lie in the block of its exponential"),
        ({"own_pair_weight": np.array([1.0])}, "own_pair_weight must have 3 values"),
        ({"settled_source": np.array([0, 0, 1, 0, 1, 3])}, "settled_source must be of an earlier block"),
        ({"settled_source": np.array([0, 0, 1, 0, 1, 9])}, r"settled_source must lie in \[0, 4\)"),
        ({"live_source": np.array([1, 1, 3])}, "live_source must be of the instrument's own block"),
        (
            {"own_pair_begin": np.array([0, 0, 0, 2, 3]), "own_pair_knot": np.array([1, 1, 2])},
            "an exponential must have own pairs where its group is not the first",
        ),
        (
            {
                "own_pair_begin": np.array([0, 0, 2, 3, 4]),
                "own_pair_knot": np.array([0, 0, 1, 2]),
                "own_pair_weight": np.ones(4),
            },
            "an exponential of a block of one knot must name it once",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: Arrays, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_module("calibration").System(**changed(**arrays))


def test_missing_arrays_are_refused() -> None:
    arrays = three_swaps()
    del arrays["live_plain"]
    with pytest.raises(ValueError, match="a system needs the arrays"):
        load_module("calibration").System(**arrays)


@pytest.mark.parametrize(
    ("market", "columns", "quotes", "sentence"),
    [
        (np.zeros((3, 2)), [0], np.zeros((3, 1)), "market must have more than 3 rows, got 3"),
        (np.zeros((4, 2)), [2], np.zeros((3, 1)), r"columns must lie in \[0, 2\), got 2"),
        (np.zeros((4, 2)), [-1], np.zeros((3, 1)), r"columns must lie in \[0, 2\), got -1"),
        (np.zeros((4, 2)), [0], np.zeros((2, 1)), r"quotes must have shape \(3, 1\), got \(2, 1\)"),
        (np.zeros((4, 2)), [0, 1], np.zeros((3, 1)), r"quotes must have shape \(3, 2\), got \(3, 1\)"),
    ],
)
def test_markets_that_do_not_fit_are_refused(market: Any, columns: Any, quotes: Any, sentence: str) -> None:
    system = load_module("calibration").System(**three_swaps())
    with pytest.raises(ValueError, match=sentence):
        system.solve(market, np.array(columns), quotes)
