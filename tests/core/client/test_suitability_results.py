"""Verdicts put together from blocks in any order."""

from __future__ import annotations

import numpy as np
import pytest

from xip_core.client.results import PENDING
from xip_core.client.suitability_results import SuitabilityResults
from xip_core.errors import FailureReason, IntegrityError, RequestError
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.model.result import Quarantine, ResultBlock
from xip_core.model.suitability import RULES, Verdict

NODE = Node(
    0, "suitability", NodeKind.SUITABILITY, "suitability", "1", tile_count=3, cost_s=1e-6, row_count=5,
    rows_per_tile=2, row_begin=7,
)  # fmt: skip
PLAN = Plan((NODE,), cell_count=5)


def a_block(*clients: int) -> ResultBlock:
    count = len(clients)
    columns = {
        "client": np.array(clients, "<i4"),
        "verdict": np.full(count, Verdict.UNSUITABLE, np.uint8),
        "binding": np.array([client % 13 for client in clients], np.uint8),
        "client_status": np.zeros(count, np.uint8),
        "missing": np.full(count, -1, "<i4"),
        "numbers": np.outer(clients, np.ones(len(RULES))),
    }
    return ResultBlock(1, 0, 0, columns)


def test_clients_find_their_places_in_any_order_and_more_than_once() -> None:
    results = SuitabilityResults(PLAN)
    for block in (a_block(4), a_block(0, 1), a_block(2, 3), a_block(0, 1), ResultBlock(1, 1, 0, {"asset_class": NODE})):
        results.add(block)
    numbers = results.to_numpy()
    assert numbers.numbers[:, 3].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert numbers.binding.tolist() == [0, 1, 2, 3, 4]
    assert numbers.count(Verdict.UNSUITABLE) == 5
    assert not numbers.verdict.flags.writeable


def test_what_did_not_come_is_pending_and_what_was_given_up_is_for_review() -> None:
    """Client 4 is row 11: behind the seven rows of the book."""
    results = SuitabilityResults(PLAN)
    results.add(a_block(0, 1))
    gone = (Quarantine(3, 0, 1, "", FailureReason.BAD_TRADE, "no trade"), Quarantine(11, 0, 1, "", 10, "it died"))
    results.add_quarantine(gone)
    numbers = results.to_numpy()
    assert numbers.verdict.tolist() == [2, 2, PENDING, PENDING, Verdict.REVIEW]
    assert np.isnan(numbers.numbers[2:]).all()
    assert (numbers.quarantine, numbers.row_begin) == (gone, 7)


@pytest.mark.parametrize("block", [a_block(5), a_block(-1), ResultBlock(1, 0, 2, {"client": np.array([0])})])
def test_a_block_that_does_not_fit_is_refused(block: ResultBlock) -> None:
    with pytest.raises(IntegrityError, match=r"block of node 0, tile . does not fit its run"):
        SuitabilityResults(PLAN).add(block)


def test_a_run_of_another_kind_has_no_verdicts() -> None:
    probe = Plan((Node(0, "probe", NodeKind.PROBE, "probe.noop", "1", 1, 1e-6),), 1)
    with pytest.raises(RequestError, match="must judge clients to have verdicts, this one ends with probe"):
        SuitabilityResults(probe)
