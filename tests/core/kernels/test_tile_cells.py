"""xip_core.kernels.tile_cells: what NumPy and sums in a loop give, to the byte, on every CPU level; refused arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS
from xip_core.kernels import terms, tile_cells
from xip_core.kernels.level import load_module


def at_level(level: str) -> ModuleType:
    return load_module("tile_cells", level)


# ---- versions --------------------------------------------------------------------------------------------------------


def versions_by_hand(market: np.ndarray, base: np.ndarray, factors: np.ndarray) -> tuple[list[int], list[int]]:
    kept: list[int] = []
    numbers: dict[bytes, int] = {base[factors, 0].tobytes(): -1}
    for scenario in range(market.shape[1]):
        seen = market[factors, scenario].tobytes()
        if seen not in numbers:
            numbers[seen] = len(kept)
            kept.append(scenario)
    return kept, [numbers[market[factors, scenario].tobytes()] for scenario in range(market.shape[1])]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 40))
def test_versions_are_those_of_bytes_compared_one_by_one(seed: int, factor_count: int, scenario_count: int) -> None:
    draw = np.random.default_rng(seed)
    values = np.array([0.0, -0.0, 1.0, np.nan, np.inf, 5e-324])
    market, base = draw.choice(values, (6, scenario_count)), draw.choice(values, (6, 1))
    factors = draw.choice(6, factor_count, replace=False)
    kept, version_of = tile_cells.versions(market, base, factors)
    assert (kept.tolist(), version_of.tolist()) == versions_by_hand(market, base, factors)
    kept, version_of = tile_cells.versions(market, None, factors)
    first = {market[factors, scenario].tobytes(): scenario for scenario in reversed(range(scenario_count))}
    assert kept.tolist() == sorted(first.values())
    assert [kept[version] for version in version_of] == [
        first[market[factors, scenario].tobytes()] for scenario in range(scenario_count)
    ]


@pytest.mark.parametrize(
    ("base", "factors"), [(np.zeros((2, 1)), [0]), (np.zeros((3, 2)), [0]), (np.zeros((3, 1)), [3]), (None, [-1])]
)
def test_versions_of_arrays_that_do_not_fit_are_refused(base: np.ndarray | None, factors: list[int]) -> None:
    with pytest.raises(ValueError, match="must"):
        tile_cells.versions(np.zeros((3, 4)), base, np.array(factors))


# ---- quotients -------------------------------------------------------------------------------------------------------


def quotients(draw: np.random.Generator, count: int, scenario_count: int) -> dict[str, Any]:
    """Of 12 rows on 7 factors, up to four pairs a vector."""
    found: dict[str, Any] = {
        "values": draw.normal(size=(12, scenario_count)),
        "market": draw.normal(0.0, 0.1, (7, scenario_count)),
        "rows": draw.integers(0, 12, count).astype(np.int32),
    }
    for name in ("notional", "strike", "accrual", "index_accrual"):
        found[name] = draw.uniform(0.1, 1.0, count)
    for name in ("discount", "growth"):
        begin = np.concatenate(([0], np.cumsum(draw.integers(0, 5, count)))).astype(np.int32)
        found[name] = (begin, draw.integers(0, 7, begin[-1]).astype(np.int32), draw.normal(size=begin[-1]))
    return found


def with_numpy(book: dict[str, Any]) -> np.ndarray:
    """Quotient after quotient, in the order of operations that the rows of a program always had."""
    values = book["values"].copy()
    discount, growth = (terms.gather_exp(book["market"], *book[name]) for name in ("discount", "growth"))
    for i, row in enumerate(book["rows"]):
        forward = (growth[i] - 1.0) / book["index_accrual"][i]
        payoff = (forward - book["strike"][i]) * book["accrual"][i] / (1.0 + forward * book["accrual"][i])
        values[row] += book["notional"][i] * discount[i] * payoff
    return values


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scenario_count", [1, 7, 64, 65, 200])
def test_quotients_have_the_bytes_of_numpy(level: str, scenario_count: int) -> None:
    book = quotients(np.random.default_rng(scenario_count), 30, scenario_count)
    expected = with_numpy(book)
    at_level(level).add_quotients(**book)
    assert book["values"].tobytes() == expected.tobytes()


def test_quotients_of_a_split_have_the_same_bytes() -> None:
    book = quotients(np.random.default_rng(1), 20, 100)
    parts = [
        book | {name: np.ascontiguousarray(book[name][:, part]) for name in ("values", "market")}
        for part in (slice(0, 3), slice(3, 70), slice(70, 100))
    ]
    for part in (book, *parts):
        tile_cells.add_quotients(**part)
    assert np.concatenate([part["values"] for part in parts], axis=1).tobytes() == book["values"].tobytes()


def test_a_factor_that_is_no_number_is_seen_in_its_own_rows_and_scenarios_alone() -> None:
    book = quotients(np.random.default_rng(2), 20, 9)
    clean = book | {"values": book["values"].copy()}
    tile_cells.add_quotients(**clean)
    book["market"][3, 4] = np.nan
    tile_cells.add_quotients(**book)
    begin, factor, _ = book["discount"]
    hit = {int(book["rows"][i]) for i in range(20) if 3 in factor[begin[i] : begin[i + 1]]}
    begin, factor, _ = book["growth"]
    hit |= {int(book["rows"][i]) for i in range(20) if 3 in factor[begin[i] : begin[i + 1]]}
    is_nan = np.isnan(book["values"])
    assert set(np.flatnonzero(is_nan[:, 4]).tolist()) == hit
    others = np.delete(np.arange(9), 4)
    assert book["values"][:, others].tobytes() == clean["values"][:, others].tobytes()


BROKEN_QUOTIENTS: dict[str, dict[str, Any]] = {
    "a row outside": {"rows": np.full(3, 12, np.int32)},
    "a row below 0": {"rows": np.full(3, -1, np.int32)},
    "a number too few": {"strike": np.ones(2)},
    "a vector too few": {"growth": (np.zeros(3, np.int32), np.zeros(0, np.int32), np.zeros(0))},
    "a factor outside": {"discount": (np.arange(4, dtype=np.int32), np.full(3, 7, np.int32), np.ones(3))},
    "values of other scenarios": {"values": np.zeros((12, 4))},
    "values that are no doubles": {"values": np.zeros((12, 5), np.float32)},
    "values in another order": {"values": np.zeros((5, 12)).T},
}


@pytest.mark.parametrize("case", BROKEN_QUOTIENTS)
def test_quotients_that_would_reach_outside_are_refused(case: str) -> None:
    book = quotients(np.random.default_rng(3), 3, 5) | BROKEN_QUOTIENTS[case]
    with pytest.raises(ValueError, match=r"must|got"):
        tile_cells.add_quotients(**book)


# ---- sums ------------------------------------------------------------------------------------------------------------


def sums_by_hand(groups: np.ndarray, values: np.ndarray, base: np.ndarray, refused: np.ndarray) -> tuple[Any, ...]:
    numbers = sorted(set(groups.tolist()))
    total, used = np.zeros((len(numbers), values.shape[1])), np.zeros((len(numbers), values.shape[1]), np.int32)
    for row, group in enumerate(groups.tolist()):
        for scenario in range(values.shape[1]):
            if not refused[row, scenario]:
                total[numbers.index(group), scenario] += values[row, scenario] - base[row]
                used[numbers.index(group), scenario] += 1
    return np.array(numbers, np.int32), np.array([np.sum(groups == one) for one in numbers], np.int64), used, total


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (40, 5), (17, 64), (5, 0)])
def test_sums_are_those_of_a_loop_over_rows(level: str, shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(shape)
    groups = draw.choice(np.array([7, -2, 100_000, 8], np.int32), shape[0])
    values, base = draw.normal(0.0, 1e6, shape), draw.normal(0.0, 1e6, shape[0])
    for refused in (np.zeros(shape, np.bool_), draw.random(shape) < 0.4):
        values[refused] = np.nan
        found = at_level(level).group_sums(groups, values, base, refused if refused.any() else None)
        for ours, expected in zip(found, sums_by_hand(groups, values, base, refused), strict=True):
            assert (ours.dtype, ours.shape, ours.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_groups_may_be_as_many_as_rows() -> None:
    groups = np.random.default_rng(4).permutation(500).astype(np.int32)
    numbers, rows, _, total = tile_cells.group_sums(groups, groups[:, None].astype(float))
    assert numbers.tolist() == list(range(500))
    assert (rows == 1).all()
    assert total[:, 0].tolist() == list(range(500))


@pytest.mark.parametrize(
    "change",
    [
        {"groups": np.zeros(3, np.int32)},
        {"base": np.zeros(5)},
        {"refused": np.zeros((4, 3), np.bool_)},
        {"refused": np.zeros((3, 2), np.bool_)},
        {"values": np.zeros(4)},
    ],
)
def test_sums_of_arrays_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    whole = {"groups": np.zeros(4, np.int32), "values": np.zeros((4, 2)), "base": None, "refused": None}
    with pytest.raises(ValueError, match="must have"):
        tile_cells.group_sums(**(whole | change))


@pytest.mark.parametrize("level", LEVELS)
def test_one_number_that_is_none_is_found_wherever_it_is(level: str) -> None:
    values = np.random.default_rng(5).normal(0.0, 1e300, (7, 9))
    assert at_level(level).all_finite(values)
    assert at_level(level).all_finite(np.empty((0, 9)))
    for place in np.ndindex(values.shape):
        for broken in (np.nan, np.inf, -np.inf):
            hurt = values.copy()
            hurt[place] = broken
            assert not at_level(level).all_finite(hurt)


@pytest.mark.parametrize("level", LEVELS)
def test_factors_that_occur_are_marked_and_marks_that_stand_are_left(level: str) -> None:
    marks = np.zeros(6, dtype=np.bool_)
    marks[5] = True
    at_level(level).mark(marks, np.array([3, 0, 3], dtype=np.int32))
    at_level(level).mark(marks, np.empty(0, dtype=np.int32))
    assert marks.tolist() == [True, False, False, True, False, True]


@pytest.mark.parametrize("outside", [-1, 6, 2**31 - 1])
def test_a_factor_outside_of_the_marks_is_refused(outside: int) -> None:
    with pytest.raises(ValueError, match=rf"factors must lie in \[0, 6\), got {outside}"):
        at_level(LEVELS[-1]).mark(np.zeros(6, dtype=np.uint8), np.array([0, outside], dtype=np.int32))
    with pytest.raises(ValueError, match="marks must"):
        at_level(LEVELS[-1]).mark(np.zeros(6, dtype=np.int64), np.array([0], dtype=np.int32))
    with pytest.raises(ValueError, match="marks must"):
        at_level(LEVELS[-1]).mark(np.zeros((6, 2), dtype=np.uint8)[:, 0], np.array([0], dtype=np.int32))


def shifted_by_numpy(
    values: np.ndarray, rows: np.ndarray, positions: np.ndarray, sizes: np.ndarray, is_factor: bool, leaders: list[Any]
) -> np.ndarray:
    """The words of `shift`, array by array."""
    values = values.copy()
    at = (rows[:, None], positions)
    before = values[at]
    after = before * sizes if is_factor else before + sizes
    values[at] = after
    for leader, followers in leaders:
        moved = np.flatnonzero(before[leader] != 0.0)
        values[np.array(followers)[:, None], positions[moved]] *= after[leader, moved] / before[leader, moved]
    return values


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("is_factor", [False, True])
def test_shifts_move_what_follows_in_proportion_but_after_a_spot_of_zero(level: str, is_factor: bool) -> None:
    draw = np.random.default_rng(7)
    values = draw.normal(size=(9, 6))
    values[4, 2] = 0.0
    rows, positions, sizes = np.array([1, 4, 7]), np.array([0, 2, 3, 5]), draw.normal(size=4)
    leaders = [(1, [0, 7]), (2, [3])]  # 7 is shifted itself and then follows
    arrays = [np.array(part, dtype=np.int64) for part in ([1, 2], [0, 2, 3], [0, 7, 3])]
    found = values.copy()
    at_level(level).shift(found, rows, positions, sizes, is_factor, *arrays)
    assert found.tobytes() == shifted_by_numpy(values, rows, positions, sizes, is_factor, leaders).tobytes()
    assert found[0, 2] == values[0, 2]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [(1, [9]), (2, [6, 0]), (2, [0]), (4, [3]), (5, [0, 1, 1]), (5, [1, 1]), (6, [9]), (0, np.zeros((9, 6)).T)],
)
def test_shifts_outside_of_their_arrays_are_refused(place: int, wrong: Any) -> None:
    arguments: list[Any] = [np.zeros((9, 6)), [1, 2], [0, 3], np.ones(2), [0], [0, 1], [5]]
    arguments = [np.array(one, dtype=np.float64 if k in (0, 3) else np.int64) for k, one in enumerate(arguments)]
    arguments[place] = wrong if place == 0 else np.array(wrong, dtype=np.int64)
    with pytest.raises(ValueError, match="must"):
        at_level(LEVELS[-1]).shift(*arguments[:4], False, *arguments[4:])
