"""kernels/market_program.pxi: formulas by hand, where a walk stops, refused programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from xip_core.kernels.level import load_module

OBJECTS: dict[str, Any] = {
    "kind": [1, 2, 0, 3],  # log spot, variance and copies; survival; the caller's; forwards on the first
    "factor_begin": [0, 3, 5, 6],
    "factor_end": [3, 5, 6, 8],
    "seen_begin": [0, 3, 5, 6, 8],
    "seen_quote": [0, 1, 2, 3, 4, 5, 6, 7],
    "parent_begin": [0, 0, 0, 1, 2],
    "parent_object": [1, 0],
    "input_begin": [0, 3, 5, 5, 7],
    "input_quote": [0, 1, 2, 3, 4, 6, 7],
    "input_domain": [1, 2, 0, 2, 2, 1, 1],
    "input_spot": [-1, -1, 0, -1, -1, -1, -1],
    "input_function": [1, 3, 0, 0, 0, 0, 0],
    "dot_begin": [0, 0, 0, 0, 0, 0, 0, 2],
    "dot_factor": [0, 1],
    "is_survival": [0, 0, 0, 0],
    "input_points": [1.0, 1.0, 1e4, 1.0, 1.0, 1.0, 1.0],
    "input_number": [-1.0, 2.0, 0.0, 1.0, 4.0, 0.0, 0.5],
    "dot_weight": [0.25, 0.75],
}
QUOTES = np.array([1.25, 0.2, 40.0, 0.01, 0.03, 7.0, 80.0, 90.0])
BASE = np.arange(8.0)


def program(level: str = LEVELS[-1], factor_count: int = 8, quote_count: int = 8, **changes: Any) -> Any:
    kernels = load_module("calibration", level)
    return kernels.MarketProgram([None] * 4, factor_count, quote_count, 1e-9, 1e-9, **{**OBJECTS, **changes})


def block(compiled: Any, changed: dict[int, list[float]], level: str = LEVELS[-1], **known: Any) -> Any:
    rows = np.full(8, -1, dtype=np.int32)
    rows[list(changed)] = np.arange(len(changed))
    values = np.array(list(changed.values())).reshape(len(changed), -1)
    return load_module("calibration", level).MarketBlock(
        compiled, BASE, QUOTES, rows, values, QUOTES[list(changed)], **known
    )


@pytest.mark.parametrize("level", LEVELS)
def test_factors_by_hand(level: str) -> None:
    changed = {0: [1.25, 1.5, 1.5, 1.25], 3: [0.01, 0.01, 0.01, 0.02], 7: [90.0, 90.0, 90.0, 95.0]}
    walk = block(program(level), changed, level)
    assert walk.walk_on() == 2, "the caller's, because its parent moved"
    columns, versions = walk.versions_of(2)
    assert (columns.tolist(), versions.tolist()) == ([3], [-1, -1, -1, 0])
    assert walk.walk_on() == -1
    assert walk.place == 4
    assert [walk.versions_of(3)[k].tolist() for k in range(2)] == [[1, 3], [-1, 0, 0, 1]]
    market = walk.market
    assert market[:, 0].tolist() == BASE.tolist()
    moved = [-math.log(1.5), 2.0 * 0.2**2, 40.0 / (1e4 * 1.5)]
    assert market[:3, 1] == pytest.approx(moved, rel=1e-15)
    assert market[:, 1].tolist() == market[:, 2].tolist()
    assert market[:3, 3].tolist() == BASE[:3].tolist()
    assert market[3:5, 3] == pytest.approx([-0.02, -0.02 - 4.0 * 0.03], rel=1e-15)
    assert market[5].tolist() == [5.0] * 4, "left to the caller"
    for column, forward in ((1, 90.0), (3, 95.0)):
        dot = 0.25 * market[0, column] + 0.75 * market[1, column]
        expected = [math.log(80.0), (math.log(80.0) - dot - math.log(forward)) / 0.5]
        assert market[6:, column] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_walk_stops_at_an_object_with_a_quote_outside_its_domain(bad: float) -> None:
    walk = block(program(), {0: [1.25, bad]})
    assert walk.walk_on() == 0
    assert walk.market[:3].tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], "as if it had not been looked at"


def test_a_walk_stops_at_what_is_held_and_copies_what_is_known() -> None:
    known = np.arange(16.0).reshape(8, 2) + 100.0
    walk = block(program(), {0: [1.25, 1.5]}, known=known, is_known=np.array([1, 0, 0, 0], dtype=np.uint8))
    walk.hold(1)
    assert walk.walk_on() == 1
    assert walk.walk_on() == -1
    assert walk.market[:3].tobytes() == known[:3].tobytes()
    with pytest.raises(ValueError, match="an object must lie in"):
        walk.hold(4)
    with pytest.raises(ValueError, match="an object must lie in"):
        walk.versions_of(4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": [1, 2, 0]}, "kind must have a value for each of 4 objects"),
        ({"kind": [5, 2, 0, 3]}, "kind must lie in"),
        ({"input_number": [1.0]}, "input_number must have a value for each of 7 inputs"),
        ({"seen_quote": [0, 1, 2, 3, 4, 5, 6, 8]}, "seen_quote must lie in"),
        ({"input_quote": [0, 1, 2, 3, 4, 6, -1]}, "input_quote must lie in"),
        ({"input_spot": [-1, -1, 8, -1, -1, -1, -1]}, "input_spot must lie in"),
        ({"parent_object": [2, 0]}, "a parent must come before its object"),
        ({"dot_factor": [0, 8]}, "dot_factor must lie in"),
        ({"factor_end": [3, 5, 6, 9]}, "factors must lie in"),
        ({"factor_end": [2, 5, 6, 8]}, "as many inputs as factors"),
        ({"kind": [4, 2, 0, 3]}, "object 0 must have a system"),
    ],
)
def test_a_program_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program(**changes)


def test_a_block_that_does_not_fit_its_program_is_refused() -> None:
    kernels, rows = load_module("calibration", LEVELS[-1]), np.full(8, -1, dtype=np.int32)
    good = (program(), BASE, QUOTES, rows, np.empty((0, 2)), np.empty(0))
    assert kernels.MarketBlock(*good).walk_on() == -1
    for place, wrong in ((1, BASE[1:]), (2, QUOTES[1:]), (3, rows[1:]), (3, np.zeros(8, dtype=np.int32))):
        with pytest.raises(ValueError, match="must"):
            kernels.MarketBlock(*good[:place], wrong, *good[place + 1 :])
    for known in ({"known": np.ones((7, 2)), "is_known": np.ones(4)}, {"known": np.ones((8, 2)), "is_known": [1]}):
        with pytest.raises(ValueError, match="must"):
            kernels.MarketBlock(*good, **known)
