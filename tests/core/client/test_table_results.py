"""Columns of a kernel run put together from blocks in any order."""

from __future__ import annotations

import numpy as np
import pytest

from xip_core.client.results import PENDING
from xip_core.client.table_results import TableResults
from xip_core.errors import FailureReason, IntegrityError, RequestError
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.model.result import Quarantine, ResultBlock

NODE = Node(
    0, "desk.twice", NodeKind.KERNEL, "desk.twice", "3", tile_count=3, cost_s=1e-6, row_count=5, rows_per_tile=2
)
PLAN = Plan((NODE,), cell_count=5, outputs=("pv",))


def a_block(*rows: int) -> ResultBlock:
    values = np.array(rows, "<i4")
    return ResultBlock(1, 0, 0, {"row": values, "pv": 2.0 * values, "status": np.zeros(len(rows), np.uint8)})


def test_rows_find_their_places_in_any_order_and_more_than_once() -> None:
    results = TableResults(PLAN)
    for block in (a_block(4), a_block(0, 1), a_block(2, 3), a_block(0, 1)):
        results.add(block)
    numbers = results.to_numpy()
    assert numbers.outputs["pv"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert numbers.status.tolist() == [0] * 5
    assert (numbers.kernel, numbers.kernel_version) == ("desk.twice", "3")
    assert not numbers.outputs["pv"].flags.writeable


def test_what_did_not_come_is_pending_and_what_was_given_up_has_its_reason() -> None:
    results = TableResults(PLAN)
    results.add(a_block(0, 1))
    results.add_quarantine([Quarantine(4, 0, 1, "", FailureReason.CRASHED, "row 4: the worker died")])
    numbers = results.to_numpy()
    assert numbers.status.tolist() == [0, 0, PENDING, PENDING, FailureReason.CRASHED]
    assert np.isnan(numbers.outputs["pv"][2:]).all()
    assert numbers.quarantine[0].row == 4


@pytest.mark.parametrize("block", [a_block(5), a_block(-1), ResultBlock(1, 0, 2, {"row": np.array([0])})])
def test_a_block_that_does_not_fit_is_refused(block: ResultBlock) -> None:
    with pytest.raises(IntegrityError, match=r"block of node 0, tile . does not fit its run"):
        TableResults(PLAN).add(block)


def test_a_run_of_another_kind_has_no_table() -> None:
    probe = Plan((Node(0, "probe", NodeKind.PROBE, "probe.noop", "1", 1, 1e-6),), 1)
    with pytest.raises(RequestError, match="must be of a kernel over a table, this one begins with probe"):
        TableResults(probe)
