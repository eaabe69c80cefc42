"""xip_scheduler.core.intervals against sets of integers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_scheduler.core.intervals import IntervalSet, PendingTiles

TILE_COUNT = 30
spans = st.tuples(st.integers(0, TILE_COUNT - 1), st.integers(1, 6)).map(
    lambda span: (span[0], min(span[0] + span[1], TILE_COUNT))
)


def members(intervals: IntervalSet) -> set[int]:
    return {item for begin, end in intervals for item in range(begin, end)}


def edges_ascend(intervals: IntervalSet) -> bool:
    edges = [edge for interval in intervals for edge in interval]
    return all(left < right for left, right in pairwise(edges))


@given(st.lists(spans, max_size=25))
def test_only_wholly_new_intervals_are_added_and_neighbours_merge(added: list[tuple[int, int]]) -> None:
    intervals, expected = IntervalSet(), set()
    for begin, end in added:
        is_new = not expected & set(range(begin, end))
        assert intervals.add_new(begin, end) is is_new
        if is_new:
            expected |= set(range(begin, end))
        assert members(intervals) == expected
        assert intervals.count == len(expected)
        assert edges_ascend(intervals)


@given(st.lists(spans, max_size=12), spans)
def test_gaps_are_what_is_not_in_the_set(added: list[tuple[int, int]], window: tuple[int, int]) -> None:
    intervals = IntervalSet()
    for begin, end in added:
        intervals.add_new(begin, end)
    wanted = set(range(*window)) - members(intervals)
    gaps = intervals.gaps(*window)
    assert {item for begin, end in gaps for item in range(begin, end)} == wanted
    assert intervals.count_in(*window) == window[1] - window[0] - len(wanted)
    assert all(left[1] < right[0] for left, right in pairwise(gaps)), "gaps are maximal"


@given(st.lists(spans, max_size=12), st.integers(0, TILE_COUNT))
def test_end_and_next_begin_find_the_edges_around_an_item(added: list[tuple[int, int]], item: int) -> None:
    intervals = IntervalSet()
    for begin, end in added:
        intervals.add_new(begin, end)
    inside = members(intervals)
    end = item
    while end in inside:
        end += 1
    assert intervals.end_at(item) == end
    assert (item in intervals) is (item in inside)
    later = [begin for begin, _ in intervals if begin > item]
    assert intervals.next_begin(item, 99) == (later[0] if later else 99)


def test_overlapping_intervals_are_no_set() -> None:
    with pytest.raises(AssertionError, match="overlap"):
        IntervalSet([(0, 3), (2, 5)])


moves_of_tiles = st.tuples(st.sampled_from(["take", "put", "claim", "drop"]), st.integers(0, 999))


@given(st.lists(moves_of_tiles, max_size=60), st.data())
def test_pending_tiles_are_those_neither_taken_nor_done(moves: list[tuple[str, int]], data: st.DataObject) -> None:
    done = IntervalSet([(4, 6), (9, 10)])
    pending = PendingTiles(TILE_COUNT, done)
    model = set(range(TILE_COUNT)) - members(done)
    fences = dict.fromkeys(range(TILE_COUNT), 0)
    taken: list[tuple[int, int]] = []
    for epoch, (move, number) in enumerate(moves, start=1):
        if move == "take" and model:
            begin, end = pending.head()
            assert begin == min(model)
            end = min(end, begin + number % 5 + 1)
            pending.take_ready(pending.head()[0], end)
            model -= set(range(begin, end))
            taken.append((begin, end))
        elif move == "put" and taken:
            begin, end = taken.pop(number % len(taken))
            pending.put_back(begin, end, epoch)
            model |= set(range(begin, end))
            fences.update(dict.fromkeys(range(begin, end), epoch))
        elif move == "claim":
            begin, end = data.draw(spans)
            claimed = number % 60
            wanted = range(begin, end)
            expected = set(wanted) <= model and all(fences[tile] <= claimed for tile in wanted)
            assert pending.may_take(begin, end, claimed) is expected
            if expected:
                pending.take(begin, end)
                model -= set(wanted)
                taken.append((begin, end))
        elif move == "drop":
            begin, end = data.draw(spans)
            if set(range(begin, end)) <= model:
                pending.drop(begin, end)
                assert done.add_new(begin, end)
                model -= set(range(begin, end))
        assert {tile for begin, end in pending for tile in range(begin, end)} == model
        assert pending.count == len(model)


def test_tiles_that_came_back_are_taken_before_new_ones() -> None:
    pending = PendingTiles(10, IntervalSet())
    pending.take_ready(pending.head()[0], 4)
    pending.put_back(1, 3, fence=1)
    assert pending.head() == (1, 3)
    pending.take_ready(pending.head()[0], 3)
    assert pending.head() == (4, 10)


def test_tiles_given_up_ahead_of_the_frontier_are_skipped() -> None:
    done = IntervalSet()
    pending = PendingTiles(10, done)
    pending.take_ready(pending.head()[0], 2)
    for begin, end in ((2, 4), (6, 7)):
        pending.drop(begin, end)
        done.add_new(begin, end)
    assert pending.head() == (4, 6)
    assert list(pending) == [(4, 6), (7, 10)]
    assert pending.count == 5


def test_intervals_stay_as_few_as_the_holes() -> None:
    """Memory: a million tiles that come back in any order leave one interval per hole."""
    done = IntervalSet()
    for begin in range(0, 1_000_000, 1_000):
        done.add_new(begin, begin + 999)
    assert len(done.begins) == 1_000
    for begin in range(999, 1_000_000, 1_000):
        done.add_new(begin, begin + 1)
    assert list(done) == [(0, 1_000_000)]
