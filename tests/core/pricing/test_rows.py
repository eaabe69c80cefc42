"""xip_core.pricing.rows: tiles with some rows refused, and rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.pricing.test_evaluate import Inputs, a_run, evaluate_all
from tests.core.pricing.test_properties import every_product
from xip_core.errors import Failure, FailureReason
from xip_core.graph.plan import NodeKind, Plan
from xip_core.model.trade import encode_trade
from xip_core.pricing import resolve
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.resolve import decode_rows, json_value
from xip_core.pricing.rows import evaluate_rows, evaluate_without, row_count
from xip_core.pricing.tile import TileValue

CRASH = Failure(FailureReason.CRASHED, "the row ended its process by signal 11 (SIGSEGV)")


@pytest.fixture(scope="module")
def computed() -> tuple[Plan, Inputs, dict[tuple[int, int], TileValue]]:
    plan, inputs = a_run(b"\n".join(encode_trade(trade) for trade in every_product()))
    return plan, inputs, evaluate_all(plan, inputs)


def test_neighbours_of_a_refused_row_have_the_same_bytes(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]],
) -> None:
    plan, inputs, values = computed
    checked = 0
    for (node_id, tile), whole in values.items():
        if plan.nodes[node_id].kind is not NodeKind.VALUE:
            continue
        rows = row_count(plan, node_id, tile)
        for refused in range(rows):
            value = evaluate_without(plan, node_id, tile, {refused: CRASH}, inputs, lambda: False)
            others = np.delete(np.arange(rows), refused)
            for name, column in whole.detail.items():
                kept = others if name != "scenario" else slice(None)
                assert value.detail[name][kept].tobytes() == column[kept].tobytes(), (node_id, tile, name)
            assert value.cell_count == whole.cell_count
            checked += len(others)
    assert checked > 0


def test_a_refused_row_is_quarantined_under_every_scenario_and_missing_in_the_sums(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]],
) -> None:
    plan, inputs, values = computed
    node_id = next(node.node_id for node in plan.nodes if node.kind is NodeKind.VALUE)
    value = evaluate_without(plan, node_id, 0, {0: CRASH}, inputs, lambda: False)
    (cells,) = value.quarantine
    node = plan.nodes[node_id]
    assert (cells.scenario_begin, cells.scenario_end) == node.scenario_range(0)
    assert cells.reason == FailureReason.CRASHED
    assert cells.trade_id
    assert cells.message == f"trade {cells.trade_id}: {CRASH.message}"
    assert np.isnan(value.detail["pv"][0]).all()
    whole = values[node_id, 0]
    assert (value.output["rows_used"] == whole.output["rows_used"] - 1).all()
    assert (value.output["rows_expected"] == whole.output["rows_expected"]).all()


def test_a_trade_that_must_not_be_resolved_leaves_an_empty_row_with_its_reason(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]],
) -> None:
    plan, inputs, values = computed
    node = next(node for node in plan.nodes if node.kind is NodeKind.RESOLVE)
    value = evaluate_without(plan, node.node_id, 0, {0: CRASH}, inputs, lambda: False)
    assert value.output["row_status"].tolist()[0] == FailureReason.CRASHED
    assert set(value.output) == set(values[node.node_id, 0].output)
    ((row, reason, message),) = json_value(value.output["failures"])
    assert (row, reason) == (0, FailureReason.CRASHED)
    assert message.startswith("trade ")
    assert message.endswith(f": {CRASH.message}")


def test_a_row_that_resolving_refused_stays_refused_when_its_value_tile_is_searched(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]],
) -> None:
    """Resolving it again could kill the child once more, and blame the value kernel for it."""
    plan, inputs, _ = computed
    value = next(node for node in plan.nodes if node.kind is NodeKind.VALUE and node.row_count > 1)
    resolve_id = value.inputs[0].node_id
    recorded = inputs.outputs[resolve_id, 0]
    refused = evaluate_without(plan, resolve_id, 0, {0: CRASH}, inputs, lambda: False)
    inputs.outputs[resolve_id, 0] = refused.output
    try:
        rows = row_count(plan, value.node_id, 0)
        other = Failure(FailureReason.TIMED_OUT, "the row was not done")
        found = evaluate_without(plan, value.node_id, 0, {rows - 1: other}, inputs, lambda: False)
    finally:
        inputs.outputs[resolve_id, 0] = recorded
    reasons = {cells.row: cells.reason for cells in found.quarantine}
    assert set(reasons.values()) == {FailureReason.CRASHED, FailureReason.TIMED_OUT}


def test_a_row_that_resolving_refused_is_not_touched_when_its_tile_is_valued(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved rows do not travel, so the worker of a value tile makes them anew: without the one that killed."""
    plan, inputs, values = computed
    node = next(node for node in plan.nodes if node.kind is NodeKind.VALUE and node.row_count > 1)
    resolve_id = node.inputs[0].node_id
    recorded = inputs.outputs[resolve_id, 0]
    inputs.outputs[resolve_id, 0] = evaluate_without(plan, resolve_id, 0, {0: CRASH}, inputs, lambda: False).output
    touched: list[list[bytes]] = []
    monkeypatch.setattr(resolve, "decode_rows", lambda lines: touched.append(list(lines)) or decode_rows(lines))
    compiled = resolve.PlainProgram
    monkeypatch.setattr(resolve, "PlainProgram", lambda market, lines: touched.append(lines) or compiled(market, lines))
    try:
        found = evaluate_tile(plan, node.node_id, 0, inputs, lambda: False)
    finally:
        inputs.outputs[resolve_id, 0] = recorded
    assert [lines[0] for lines in touched] == [b""]
    assert all(touched[0][1:])
    assert {cells.reason for cells in found.quarantine} == {FailureReason.CRASHED}
    whole = values[node.node_id, 0].detail["pv"]
    assert found.detail["pv"][1:].tobytes() == whole[1:].tobytes()


def test_rows_alone_raise_nothing_when_the_tile_does_not(
    computed: tuple[Plan, Inputs, dict[tuple[int, int], TileValue]],
) -> None:
    plan, inputs, _ = computed
    for node in plan.nodes:
        for position in range(row_count(plan, node.node_id, 0)):
            evaluate_rows(plan, node.node_id, 0, range(position, position + 1), inputs, lambda: False)
    kinds = {node.kind for node in plan.nodes if row_count(plan, node.node_id, 0)}
    assert kinds == {NodeKind.RESOLVE, NodeKind.VALUE}
