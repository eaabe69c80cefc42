"""xip_core.graph.blocks: blocks cover a node's rows in order, and end where dependencies do where that costs few"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.graph.builders import Blobs, a_book, a_plan, a_request
from xip_core.graph import cost
from xip_core.graph.blocks import aligned_ends, blocks_allowed, rows_allowed
from xip_core.graph.plan import Node, NodeKind
from xip_core.graph.planner import plan_run
from xip_core.graph.reuse import compare


def cut(runs: Sequence[int], rows_max: int) -> list[int] | None:
    """Ends of the blocks of runs of rows."""
    breaks = np.array(list(accumulate(runs))[:-1], dtype=np.int64)
    ends = aligned_ends(breaks, sum(runs), rows_max)
    return None if ends is None else ends.tolist()


@pytest.mark.parametrize(
    ("runs", "rows_max", "ends"),
    [
        ([5], 8, None),  # one block
        ([20], 8, None),  # one dependency
        ([10, 6, 16], 8, [8, 10, 16, 24, 32]),  # 2 blocks, 1, 2: an even cut has 4
        ([9, 8], 8, [9, 17]),  # a rest of an eighth of a block joins the one before
        ([18, 16], 16, [18, 34]),
        ([19, 16], 16, [10, 19, 35]),  # a rest of less than a quarter shares the rows of the one before
        ([20, 16], 16, [16, 20, 36]),
        ([1, 1, 1, 8, 1, 2], 8, [3, 11, 14]),  # short runs share blocks on their side of a long one
        ([3, 3, 3, 3, 8], 8, [6, 12, 20]),  # too many where each had its own; these end at their boundaries
        ([1] * 20, 8, [8, 16, 20]),  # none is worth a block: as even
        ([5] * 8, 8, None),  # a block each were too many, and none has a whole one
    ],
)
def test_blocks_end_where_dependencies_do(runs: list[int], rows_max: int, ends: list[int] | None) -> None:
    assert cut(runs, rows_max) == ends


RUNS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(RUNS, st.integers(1, 50))
def test_blocks_are_the_rows_in_order_and_not_many_more_than_of_an_even_cut(runs: list[int], rows_max: int) -> None:
    ends = cut(runs, rows_max)
    if ends is None:
        return
    sizes = [end - begin for begin, end in pairwise([0, *ends])]
    assert ends[-1] == sum(runs)
    assert 0 < min(sizes) <= max(sizes) <= rows_allowed(rows_max)
    assert len(ends) <= blocks_allowed(-(-sum(runs) // rows_max))


@given(RUNS, st.integers(1, 50))
def test_a_run_of_more_than_a_block_is_set_apart(runs: list[int], rows_max: int) -> None:
    ends = cut(runs, rows_max)
    if ends is None:
        return
    for end, size in zip(accumulate(runs), runs, strict=True):
        if size >= rows_max:
            assert {end - size, end} <= {0, *ends}


@given(st.lists(st.integers(8, 200), min_size=2, max_size=8), st.integers(0, 7))
def test_a_trade_more_moves_the_last_blocks_of_its_run_alone(runs: list[int], joined: int) -> None:
    """Of any other run the blocks have the sizes they had."""
    rows_max, joined = 8, joined % len(runs)
    before, after = cut(runs, rows_max), cut([size + (at == joined) for at, size in enumerate(runs)], rows_max)
    if before is None or after is None:
        return
    run_ends = list(accumulate(runs))
    begin, end = run_ends[joined] - runs[joined], run_ends[joined]
    assert [at for at in before if at <= begin] == [at for at in after if at <= begin]
    assert [at for at in before if at >= end] == [at - 1 for at in after if at > end]
    assert len({at for at in before if begin < at < end} - set(after)) <= 2


def swaps(currencies: Sequence[tuple[str, int]]) -> bytes:
    lines = [
        b'{"type": "swap", "id": "%s%d", "legs": [{"currency": "%s"}]}' % (currency.encode(), at, currency.encode())
        for currency, count in currencies
        for at in range(count)
    ]
    return a_book(*lines)


def value_node(book: bytes) -> Node:
    plan = a_plan(book=book)
    (node,) = (node for node in plan.nodes if node.kind is NodeKind.VALUE)
    (resolve,) = (node for node in plan.nodes if node.kind is NodeKind.RESOLVE)
    assert (resolve.block_ends, resolve.rows) == (node.block_ends, node.rows)
    return node


def test_a_plan_has_the_blocks_and_every_row_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "rows_per_tile", lambda *_: 8)
    node = value_node(swaps((("EUR", 12), ("GBP", 9), ("USD", 8))))
    assert [node.block_range(block) for block in range(node.row_block_count)] == [(0, 8), (8, 12), (12, 21), (21, 29)]
    width = node.scenario_block_count
    assert node.tile_count == 4 * width
    assert [node.row_range(tile) for tile in range(0, node.tile_count, width)] == [(0, 8), (8, 12), (12, 21), (21, 29)]
    assert [node.block_of_row(row) for row in (0, 7, 8, 11, 12, 20, 21, 28)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_book_of_one_dependency_is_cut_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "rows_per_tile", lambda *_: 8)
    node = value_node(swaps((("EUR", 20),)))
    assert node.block_ends == b""
    assert [node.block_range(block) for block in range(node.row_block_count)] == [(0, 8), (8, 16), (16, 20)]
    assert [node.block_of_row(row) for row in (0, 7, 8, 19)] == [0, 0, 1, 2]


def test_a_trade_that_joins_a_run_leaves_the_blocks_behind_it_to_be_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "rows_per_tile", lambda *_: 8)
    blobs = Blobs()
    book = swaps((("EUR", 12), ("GBP", 9), ("USD", 8)))
    more = book + swaps((("EUR", 1),)).replace(b"EUR0", b"joined")
    old, new = (plan_run(a_request(blobs, book=each), blobs.get) for each in (book, more))
    comparison = compare(old, new, blobs.get, {})
    (values,) = (node for node in comparison.nodes if node.kind == NodeKind.VALUE)
    width = new.nodes[values.node_id].scenario_block_count
    assert values.same == ((0, width), (2 * width, 4 * width)), "all but the second of the euro's"
