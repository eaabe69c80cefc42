"""Sets of tiles as intervals: what makes the scheduler's memory independent of how many tiles a run has.

A tile of a node is in exactly one of four places::

    pending (PendingTiles) ──grant──> one live lease ──report──> done (IntervalSet)
          ^                              │    └──failed──> retries ──grant──> one live lease of that tile alone
          └───────────return─────────────┘

Tiles are carved in ascending order, so `done` is one interval with holes where leases live, and pending is everything
from a frontier on, plus what came back. Both have at most as many intervals as there are live or lost leases; only the
dependents of a given-up tile add more (DESIGN: state grows with live leases, not with work).

Cost: appending at the end and taking from the head are O(1); elsewhere a bisection and a list insertion among as many
intervals as there are live leases.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class IntervalSet:
    """Integers as disjoint half-open intervals, ascending, never touching.

    Attributes:
        begins, ends: the intervals; equal lengths, begins[i] < ends[i] < begins[i + 1].
        count: how many integers.
    """

    __slots__ = ("begins", "count", "ends")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.count = 0
        for begin, end in intervals:
            added = self.add_new(begin, end)
            assert added, ("intervals overlap", begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.begins, self.ends, strict=True)

    def __contains__(self, item: int) -> bool:
        return self.end_at(item) > item

    def add_new(self, begin: int, end: int) -> bool:
        """Add [begin, end) if none of it is in the set yet; otherwise change nothing and return False."""
        begins, ends = self.begins, self.ends
        if not ends or begin > ends[-1]:
            begins.append(begin)
            ends.append(end)
        elif begin == ends[-1]:
            ends[-1] = end
        else:
            position = bisect_left(ends, begin)  # first interval that ends at or after begin
            touches_left = ends[position] == begin
            after = position + 1 if touches_left else position
            if after < len(begins) and begins[after] < end:
                return False
            touches_right = after < len(begins) and begins[after] == end
            if touches_left and touches_right:
                ends[position] = ends[after]
                del begins[after], ends[after]
            elif touches_left:
                ends[position] = end
            elif touches_right:
                begins[after] = begin
            else:
                begins.insert(position, begin)
                ends.insert(position, end)
        self.count += end - begin
        return True

    def end_at(self, item: int) -> int:
        """End of the interval that holds *item*, or *item* itself when none does."""
        position = bisect_right(self.begins, item) - 1
        return self.ends[position] if position >= 0 and self.ends[position] > item else item

    def next_begin(self, item: int, default: int) -> int:
        """Begin of the first interval that begins after *item*, or *default*."""
        position = bisect_right(self.begins, item)
        return self.begins[position] if position < len(self.begins) else default

    def gaps(self, begin: int, end: int) -> list[tuple[int, int]]:
        """What of [begin, end) is not in the set, ascending."""
        gaps = []
        position = bisect_right(self.ends, begin)  # first interval that ends after begin
        while begin < end:
            if position == len(self.begins) or self.begins[position] >= end:
                gaps.append((begin, end))
                break
            if begin < self.begins[position]:
                gaps.append((begin, self.begins[position]))
            begin = self.ends[position]
            position += 1
        return gaps

    def count_in(self, begin: int, end: int) -> int:
        """How many integers of [begin, end) are in the set."""
        return (end - begin) - sum(gap_end - gap_begin for gap_begin, gap_end in self.gaps(begin, end))


class PendingTiles:
    """Tiles nobody works at: those that came back, and everything from the frontier on that is not done.

    Each interval that came back carries a **fence**: the epoch it was last granted under. A worker that returns after a
    silence may keep its lease only if nothing of it was granted to somebody else meanwhile, that is, if its epoch is
    not below the fence. Only intervals with equal fences are merged.

    Attributes:
        count: how many tiles.
        frontier: tiles from here on were never granted by this scheduler process.
    """

    __slots__ = ("_begins", "_done", "_ends", "_fences", "count", "frontier", "tile_count")

    def __init__(self, tile_count: int, done: IntervalSet) -> None:
        self._done = done
        self.tile_count = tile_count
        self.count = tile_count - done.count
        self.frontier = done.ends[-1] if done.ends else 0
        holes = done.gaps(0, self.frontier)
        self._begins = [begin for begin, _ in holes]
        self._ends = [end for _, end in holes]
        self._fences = [0] * len(holes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        yield from zip(self._begins, self._ends, strict=True)
        yield from self._done.gaps(self.frontier, self.tile_count)

    @property
    def returned_interval_count(self) -> int:
        return len(self._begins)

    def head(self) -> tuple[int, int]:
        """The lowest pending interval; call only while count > 0."""
        if self._begins:
            return self._begins[0], self._ends[0]
        done = self._done
        begin = self.frontier
        if not done.ends or done.ends[-1] <= begin:
            return begin, self.tile_count
        begin = self.frontier = done.end_at(begin)  # tiles given up ahead of the frontier are done
        return begin, done.next_begin(begin, self.tile_count)

    def take_ready(self, begin: int, end: int) -> None:
        """Take pending tiles [begin, end): from `head()` nearly always, others when they were ready before it was."""
        begins = self._begins
        if not begins and begin == self.frontier:
            self.count -= end - begin
            self.frontier = end
        elif begins and begin == begins[0]:
            self.count -= end - begin
            if end == self._ends[0]:
                del begins[0], self._ends[0], self._fences[0]
            else:
                begins[0] = end
        else:
            self.take(begin, end)

    def put_back(self, begin: int, end: int, fence: int) -> None:
        """Return tiles that were taken; *fence* is the epoch they were granted under."""
        assert begin < end <= self.frontier, (begin, end, self.frontier)
        self.count += end - begin
        begins, ends, fences = self._begins, self._ends, self._fences
        position = bisect_left(begins, begin)
        if position < len(begins) and begins[position] == end and fences[position] == fence:
            end = ends[position]
            del begins[position], ends[position], fences[position]
        if position and ends[position - 1] == begin and fences[position - 1] == fence:
            ends[position - 1] = end
            return
        begins.insert(position, begin)
        ends.insert(position, end)
        fences.insert(position, fence)

    def may_take(self, begin: int, end: int, epoch: int) -> bool:
        """Is all of [begin, end) pending, and was none of it granted under a newer epoch?"""
        if end > self.tile_count:
            return False
        low, high = self._overlapping(begin, end)
        found = max(0, end - max(begin, self.frontier))
        if found and self._done.count_in(end - found, end):
            return False
        for piece in range(low, high):
            if self._fences[piece] > epoch:
                return False
            found += min(end, self._ends[piece]) - max(begin, self._begins[piece])
        return found == end - begin

    def take(self, begin: int, end: int) -> None:
        """Take [begin, end), for which `may_take` said yes, from wherever it is."""
        self.count -= end - begin
        if end > self.frontier:
            skipped = self._done.gaps(self.frontier, max(self.frontier, begin))
            self.frontier = end
            for gap_begin, gap_end in skipped:
                self.count -= gap_end - gap_begin
                self.put_back(gap_begin, gap_end, 0)
        low, high = self._overlapping(begin, end)
        if low == high:
            return
        rest = [
            (self._begins[low], begin, self._fences[low]),
            (end, self._ends[high - 1], self._fences[high - 1]),
        ]
        rest = [piece for piece in rest if piece[0] < piece[1]]
        self._begins[low:high] = [piece[0] for piece in rest]
        self._ends[low:high] = [piece[1] for piece in rest]
        self._fences[low:high] = [piece[2] for piece in rest]

    def _overlapping(self, begin: int, end: int) -> tuple[int, int]:
        """Positions [low, high) of the intervals that came back and meet [begin, end)."""
        return bisect_right(self._ends, begin), bisect_left(self._begins, end)

    def drop(self, begin: int, end: int) -> None:
        """Forget [begin, end), all of it pending, which the caller makes done without having been granted.

        Tiles whose input was given up lie beyond the frontier, unless a worker of before a restart claimed a lease
        behind them.
        """
        if begin < self.frontier:
            self.take(begin, min(end, self.frontier))
            begin = min(end, self.frontier)
        self.count -= end - begin
