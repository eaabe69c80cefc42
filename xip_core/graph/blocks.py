"""Where the row blocks of a node end: at boundaries of dependency, where that costs few tiles.

Rows of a group are ordered by what they lean on in the market. A block that straddles two dependencies is computed
again when either moves, so a run of rows with one dependency that is worth a block has blocks of its own::

    runs        EUR EUR EUR EUR EUR EUR | GBP GBP GBP | CHF | JPY | USD USD USD
    even        ............|............|...........|............|....
    aligned     ............|............|...........|..........|.........

A run is set apart where it has at least a quarter of a block; shorter ones share blocks, which then end at one of their
boundaries. Where that makes too many blocks, only runs of half a block, or of a whole one, are set apart; where that is
not enough the cut is even.

Blocks of a run are full but for the last one. A rest of up to an eighth of a block joins the block before, one of up to
a quarter shares its rows. So a trade that joins a book moves the last blocks of its own run alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

LEAST_PARTS_OF_A_BLOCK = (4, 2, 1)


def aligned_ends(breaks: Positions, row_count: int, rows_max: int) -> npt.NDArray[np.int32] | None:
    """
    The end of each block, ascending to *row_count*; None for blocks of *rows_max* rows and a rest.

    Args:
        breaks: positions at which the dependency changes, ascending, in (0, row_count).
        rows_max: of a block of an even cut; `rows_allowed` of an aligned one.
    """
    even_count = -(-row_count // rows_max)
    if even_count < 2 or not len(breaks):
        return None
    for part in LEAST_PARTS_OF_A_BLOCK:
        ends = _cut(breaks, row_count, rows_max, max(1, rows_max // part))
        if len(ends) <= blocks_allowed(even_count):
            return np.array(ends, "<i4")
    return None


def blocks_allowed(even_count: int) -> int:
    """A quarter more blocks than an even cut has, for each costs its overhead."""
    return even_count + max(1, even_count // 4)


def rows_allowed(rows_max: int) -> int:
    """Most rows of an aligned block."""
    return rows_max + rows_max // 8


def _cut(breaks: Positions, row_count: int, rows_max: int, least: int) -> list[int]:
    edges = np.concatenate(([0], breaks, [row_count]))
    ends: list[int] = []
    begin = 0
    for run in np.flatnonzero(np.diff(edges) >= least).tolist():
        run_begin, run_end = int(edges[run]), int(edges[run + 1])
        _share(ends, begin, run_begin, rows_max, breaks)
        _fill(ends, run_begin, run_end, rows_max)
        begin = run_end
    _share(ends, begin, row_count, rows_max, breaks)
    return ends


def _fill(ends: list[int], begin: int, end: int, rows_max: int) -> None:
    """Blocks of one run."""
    while end - begin > rows_allowed(rows_max):
        rest = end - begin - rows_max
        begin += (end - begin + 1) // 2 if 4 * rest < rows_max else rows_max
        ends.append(begin)
    ends.append(end)


def _share(ends: list[int], begin: int, end: int, rows_max: int, breaks: Positions) -> None:
    """Blocks of the short runs in [begin, end)."""
    while begin < end:
        until = min(end, begin + rows_max)
        if until < end:
            last = int(breaks[np.searchsorted(breaks, until, side="right") - 1])
            until = last if last > begin else until
        ends.append(until)
        begin = until
