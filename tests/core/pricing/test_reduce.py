"""xip_core.pricing.reduce: totals in a fixed order, and no sum that hides a missing row."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.core.graph.builders import a_book, a_book_of, a_line, a_plan, some_scenarios
from xip_core.graph.plan import NodeKind, Plan
from xip_core.pricing.reduce import reduce_tile
from xip_core.pricing.tile import Columns, Maker


class Outputs:
    """TileData of value tiles whose every row is worth *pv_of(row, scenario)*; NaN has no number."""

    def __init__(self, plan: Plan, pv: np.ndarray, given_up: tuple[tuple[int, int], ...] = ()) -> None:
        self._plan = plan
        self._pv = pv
        self._given_up = given_up
        self._measure_count = len(plan.measures) - 1
        self.read: list[tuple[int, int]] = []

    def blob(self, digest: str) -> bytes:
        raise AssertionError(f"reduce reads no blob, got {digest}")

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        raise AssertionError(f"reduce keeps nothing, got {key}")

    def output(self, node_id: int, tile: int) -> Columns:
        self.read.append((node_id, tile))
        if (node_id, tile) in self._given_up:
            return {}
        node = self._plan.nodes[node_id]
        (row_begin, row_end), (begin, end) = node.row_range(tile), node.scenario_range(tile)
        rows = np.frombuffer(node.rows, "<i4")[row_begin:row_end]
        pv = self._pv[rows, begin:end]
        base = self._pv[rows, :1]
        used = np.isfinite(pv) & np.isfinite(base)
        pnl = np.where(used, pv - base, 0.0)
        groups = np.frombuffer(node.groups, "<i4")[row_begin:row_end]
        numbers, inverse = np.unique(groups, return_inverse=True)
        columns: Columns = {
            "group": numbers,
            "rows_expected": np.bincount(inverse),
            "rows_used": np.stack([used[inverse == at].sum(axis=0) for at in range(len(numbers))]),
            "pnl_sum": np.stack([pnl[inverse == at].sum(axis=0) for at in range(len(numbers))]),
        }
        if begin == 0:
            base_pv = np.where(np.isfinite(base[:, 0]), base[:, 0], 0.0)
            columns["pv_sum"] = np.bincount(inverse, base_pv)
            columns["measure_sum"] = np.outer(columns["pv_sum"], (0.1, 0.2, 0.3)[: self._measure_count])
        return columns


def reduced(plan: Plan, outputs: Outputs) -> Columns:
    value = reduce_tile(plan, plan.nodes[-1].node_id, 0, outputs)
    assert value.cell_count == 0
    assert value.quarantine == ()
    return value.detail


def asset_classes(columns: Columns) -> list[str]:
    names: list[str] = json.loads(columns["asset_class"].tobytes())
    return names


def whole_numbers(row_count: int, scenario_count: int) -> np.ndarray:
    """Numbers whose sums are exact in any order."""
    return np.random.default_rng(20160205).integers(-1000, 1000, (row_count, scenario_count)).astype(float)


def a_mixed_plan() -> Plan:
    fx_options, fx_forwards = a_book_of("fx_option", 90), a_book_of("fx_forward", 70)
    book = a_book_of("swap", 150) + fx_options.replace(b"T", b"F") + fx_forwards.replace(b"T", b"G")
    return a_plan(book=book, scenarios=some_scenarios(70))


def test_totals_are_the_sums_over_rows_of_each_asset_class():
    plan, pv = a_mixed_plan(), whole_numbers(310, 70)
    columns = reduced(plan, Outputs(plan, pv))
    assert asset_classes(columns) == ["fx", "rates"]
    by_class = (slice(150, 310), slice(0, 150))
    assert columns["pv"].tolist() == [pv[rows, 0].sum() for rows in by_class]
    for at, rows in enumerate(by_class):
        assert columns["pnl"][at].tolist() == (pv[rows] - pv[rows, :1]).sum(axis=0).tolist()
        assert columns["dv01"][at] == pytest.approx(0.3 * pv[rows, 0].sum(), rel=1e-12)
        assert set(columns["rows_used"][at]) == set(columns["rows_expected"][at]) == {len(range(310)[rows])}


def test_pnl_leaves_out_rows_without_a_number_in_base_or_scenario():
    plan, pv = a_plan(book=a_book_of("swap", 100), scenarios=some_scenarios(40)), whole_numbers(100, 40)
    pv[3, 0] = np.nan  # without a base number no scenario of the row is used
    pv[5, 33] = np.nan
    columns = reduced(plan, Outputs(plan, pv))
    assert columns["rows_used"][0].tolist() == [99] * 33 + [98] + [99] * 6
    assert set(columns["rows_expected"][0]) == {100}
    assert columns["pv"][0] == np.nansum(pv[:, 0])
    kept = np.delete(pv, [3, 5], axis=0)
    assert columns["pnl"][0, 33] == (kept[:, 33] - kept[:, 0]).sum()


def test_rows_of_a_tile_that_was_given_up_are_expected_and_not_used():
    plan, pv = a_plan(book=a_book_of("swap", 900), scenarios=some_scenarios(100)), whole_numbers(900, 100)
    value = next(node for node in plan.nodes if node.kind == NodeKind.VALUE)
    lost = 5  # row block 1 of 2, scenario block 1 of 4
    (row_begin, row_end), (begin, end) = value.row_range(lost), value.scenario_range(lost)
    assert (row_begin, row_end, begin, end) == (809, 900, 32, 64)
    columns = reduced(plan, Outputs(plan, pv, given_up=((value.node_id, lost),)))
    assert set(columns["rows_expected"][0]) == {900}
    assert columns["rows_used"][0].tolist() == [900] * 32 + [809] * 32 + [900] * 36
    assert columns["pv"][0] == pv[:, 0].sum()
    assert columns["pnl"][0, 40] == (pv[:809, 40] - pv[:809, 0]).sum()


@pytest.mark.parametrize("given_up", [(), (1, 6)])
def test_sums_are_those_of_tiles_added_one_by_one_in_their_order(given_up: tuple[int, ...]):
    """To the byte, of numbers whose sums depend on the order."""
    plan = a_plan(book=a_book_of("swap", 900), scenarios=some_scenarios(100))
    pv = np.random.default_rng(7).normal(scale=1e6, size=(900, 100)) ** 3
    value = next(node for node in plan.nodes if node.kind == NodeKind.VALUE)
    outputs = Outputs(plan, pv, given_up=tuple((value.node_id, tile) for tile in given_up))
    expected = np.zeros((len(plan.groups.labels), 100))
    for tile in range(value.tile_count):
        partial = outputs.output(value.node_id, tile)
        if partial:
            expected[partial["group"], slice(*value.scenario_range(tile))] += partial["pnl_sum"]
    assert reduce_tile(plan, plan.nodes[-1].node_id, 0, outputs).output["pnl"].tobytes() == expected.tobytes()


def test_rows_quarantined_by_planning_are_expected_in_their_class_or_unclassified():
    book = a_book(a_line("A"), a_line("A", "cds"), b"no trade", a_line("B", "autocallable"))
    plan = a_plan(book=book)
    columns = reduced(plan, Outputs(plan, whole_numbers(4, 3)))
    assert asset_classes(columns) == ["rates", "credit", "unclassified"]
    assert columns["rows_expected"].tolist() == [[1] * 3, [1] * 3, [2] * 3]
    assert columns["rows_used"].tolist() == [[1] * 3, [0] * 3, [0] * 3]
    assert columns["pv"][1:].tolist() == [0.0, 0.0]


def test_a_book_without_a_sound_row_reduces_to_what_was_expected():
    plan = a_plan(book=b"no trade\n")
    columns = reduced(plan, Outputs(plan, whole_numbers(1, 3)))
    assert columns["rows_expected"].tolist() == [[1, 1, 1]]
    assert not columns["rows_used"].any()


def test_tiles_are_added_in_their_order():
    plan = a_mixed_plan()
    outputs = Outputs(plan, whole_numbers(310, 70))
    reduced(plan, outputs)
    assert outputs.read == sorted(outputs.read)
    assert len(outputs.read) == sum(node.tile_count for node in plan.nodes if node.kind == NodeKind.VALUE)


def test_only_requested_measures_have_a_column():
    plan = a_plan(book=a_book_of("swap", 2), measures=("pv",))
    columns = reduced(plan, Outputs(plan, whole_numbers(2, 3)))
    assert list(columns) == ["asset_class", "pv", "pnl", "rows_used", "rows_expected", "scenario"]
