"""The one door for tiles: every kind, cancellation, and the same bytes again and again."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot
from tests.core.pricing.test_properties import every_product, scenarios
from xip_core.errors import FailureReason, NotFoundError
from xip_core.graph.plan import Node, NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import encode_snapshot
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.model.scenario import encode_scenarios
from xip_core.model.trade import encode_trade
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.tile import Columns, Maker, TileCancelledError, TileValue


class Inputs:
    """TileData of a plan evaluated here."""

    def __init__(self, blobs: dict[str, bytes], memo: dict[tuple[object, ...], object] | None = None) -> None:
        self.blobs = blobs
        self.outputs: dict[tuple[int, int], Columns] = {}
        self._memo = {} if memo is None else memo

    def blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise NotFoundError(f"no blob {digest}")
        return self.blobs[digest]

    def output(self, node_id: int, tile: int) -> Columns:
        return self.outputs[node_id, tile]

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]


def a_run(book: bytes, measures: tuple[str, ...] = ("pv", "delta", "vega", "dv01")) -> tuple[Plan, Inputs]:
    """Plan and inputs of *book* on the flat market under 41 scenarios."""
    blobs = [book, encode_snapshot(a_snapshot()), encode_scenarios(scenarios())]
    book_digest, market_digest, scenarios_digest = map(digest_of, blobs)
    work = RiskWork(
        book_digest=book_digest, market_digest=market_digest, scenarios_digest=scenarios_digest, measures=measures,
        base_currency="EUR", as_of="2024-01-15",
    )  # fmt: skip
    inputs = Inputs({digest_of(blob): blob for blob in blobs})
    return plan_run(RunSpec(name="test", work=work), inputs.blob), inputs


def evaluate_all(plan: Plan, inputs: Inputs) -> dict[tuple[int, int], TileValue]:
    values = {}
    for node in plan.nodes:
        for tile in range(node.tile_count):
            value = evaluate_tile(plan, node.node_id, tile, inputs, lambda: False)
            values[node.node_id, tile] = value
            inputs.outputs[node.node_id, tile] = value.output
    return values


@functools.cache
def good_book() -> bytes:
    return b"\n".join(map(encode_trade, every_product()))


def test_a_whole_run_decides_every_cell_once() -> None:
    plan, inputs = a_run(good_book())
    values = evaluate_all(plan, inputs)
    assert sum(value.cell_count for value in values.values()) == plan.cell_count
    assert not any(value.quarantine for value in values.values())
    totals = values[len(plan.nodes) - 1, 0].detail
    base = [value.detail["pv"][:, 0] for value in values.values() if "pv_trade_currency" in value.detail]
    pv = sum(float(column.sum()) for column in base)
    assert float(totals["pv"].sum()) == pytest.approx(pv, rel=1e-12)
    assert (totals["rows_used"] == totals["rows_expected"]).all()


def test_evaluating_again_gives_the_same_bytes() -> None:
    plan, inputs = a_run(good_book())
    again_plan, again_inputs = a_run(good_book())
    first, second = evaluate_all(plan, inputs), evaluate_all(again_plan, again_inputs)
    for key, value in first.items():
        for ours, theirs in ((value.detail, second[key].detail), (value.output, second[key].output)):
            assert {name: column.tobytes() for name, column in ours.items()} == {
                name: column.tobytes() for name, column in theirs.items()
            }


def test_only_the_measures_that_were_asked_for_are_put_out() -> None:
    plan, inputs = a_run(good_book(), ("pv", "vega"))
    values = evaluate_all(plan, inputs)
    base = [value for value in values.values() if "pv_trade_currency" in value.detail]
    assert base
    for value in base:
        assert set(value.detail) == {"row", "scenario", "pv", "status", "pv_trade_currency", "vega"}
        assert value.output["measure_sum"].shape == (1, 1)


def test_a_bad_line_is_quarantined_over_all_scenarios_and_the_rest_is_priced() -> None:
    lines = good_book().split(b"\n")
    lines[0] = lines[0].replace(b'"start"', b'"begin"', 1)
    plan, inputs = a_run(b"\n".join(lines))
    values = evaluate_all(plan, inputs)
    quarantine = [cells for value in values.values() for cells in value.quarantine]
    assert {(cells.row, cells.trade_id, cells.reason) for cells in quarantine} == {(0, "swap", FailureReason.BAD_TRADE)}
    assert sum(cells.scenario_end - cells.scenario_begin for cells in quarantine) == 41
    assert "unknown field `begin`" in quarantine[0].message


def test_tiles_above_a_tile_that_was_given_up_quarantine_all_their_cells() -> None:
    plan, inputs = a_run(good_book())
    evaluate_all(plan, inputs)
    value_node = next(node for node in plan.nodes if node.kind == NodeKind.VALUE)
    inputs.outputs[value_node.inputs[0].node_id, 0] = {}
    value = evaluate_tile(plan, value_node.node_id, 0, inputs, lambda: False)
    row_count = len(value.detail["row"])
    assert (value.detail["status"] == FailureReason.EVALUATION_FAILED).all()
    assert len(value.quarantine) == row_count
    assert value.output["rows_used"].tolist() == [[0] * len(value.detail["scenario"])]


def test_a_blob_that_is_not_there_fails_the_tile() -> None:
    plan, inputs = a_run(good_book())
    del inputs.blobs[plan.book_digest]
    resolve = next(node for node in plan.nodes if node.kind == NodeKind.RESOLVE)
    with pytest.raises(NotFoundError):
        evaluate_tile(plan, resolve.node_id, 0, inputs, lambda: False)


def a_probe(tile_duration_s: float) -> Plan:
    node = Node(
        node_id=0, name="probe", kind=NodeKind.PROBE, kernel="probe.spin", kernel_version="1", tile_count=1, cost_s=0.0
    )
    return Plan(nodes=(node,), cell_count=1, tile_duration_s=tile_duration_s)


def test_probe_keeps_a_core_busy_for_the_time_it_was_told() -> None:
    begin_s, begin_cpu_s = time.perf_counter(), time.thread_time()
    value = evaluate_tile(a_probe(0.05), 0, 0, Inputs({}), lambda: False)
    assert value == TileValue(output={}, detail={}, cell_count=1)
    assert time.perf_counter() - begin_s >= 0.05
    assert time.thread_time() > begin_cpu_s


def test_probe_stops_when_it_is_cancelled() -> None:
    answers = iter([False, False, False, True])
    with pytest.raises(TileCancelledError):
        evaluate_tile(a_probe(3600.0), 0, 0, Inputs({}), lambda: next(answers))


def test_a_cancelled_tile_is_not_evaluated() -> None:
    plan, inputs = a_run(good_book())
    with pytest.raises(TileCancelledError):
        evaluate_tile(plan, 0, 0, inputs, lambda: True)


def test_columns_are_what_a_block_can_carry() -> None:
    plan, inputs = a_run(good_book())
    for value in evaluate_all(plan, inputs).values():
        for column in (value.output | value.detail).values():
            assert isinstance(column, np.ndarray)
            assert column.dtype in (np.dtype("f8"), np.dtype("i8"), np.dtype("i4"), np.dtype("u1"))
            assert column.flags.c_contiguous
