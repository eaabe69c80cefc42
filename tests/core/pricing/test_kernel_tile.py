"""A kernel over rows of a table: the bytes of a call, whatever the range and whichever rows are left out."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import xip_core
from xip_core.errors import CellError, Failure, FailureReason
from xip_core.graph.plan import Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.run_spec import KernelWork, RunSpec
from xip_core.model.table import encode_table
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.kernel_tile import kernel_rows, tile_columns
from xip_core.pricing.rows import evaluate_rows, evaluate_without, row_count
from xip_core.pricing.tile import Columns, Maker, TileCancelledError

ROW_COUNT = 1000
COLUMNS = {
    "forward": np.linspace(50.0, 150.0, ROW_COUNT),
    "strike": 100.0,
    "time": np.linspace(-0.01, 3.0, ROW_COUNT),  # the first rows are refused
    "volatility": 0.2,
    "discount": np.full(ROW_COUNT, 0.98),
    "is_call": 1,
}


class OneBlob:
    """TileData of a table and nothing else."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def blob(self, digest: str) -> bytes:
        assert digest == digest_of(self.content)
        return self.content

    def output(self, node_id: int, tile: int) -> Columns:
        raise AssertionError("a kernel tile has no inputs")

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        return make()


def a_plan(rows_per_tile: int = 100, outputs: tuple[str, ...] = ("pv", "vega")) -> tuple[Plan, OneBlob]:
    data = OneBlob(encode_table(COLUMNS))
    work = KernelWork("black.european", digest_of(data.content), outputs, rows_per_tile)
    return plan_run(RunSpec("table", work), data.blob), data


def never() -> bool:
    return False


def same(left: Columns, right: Columns) -> bool:
    return {name: values.tobytes() for name, values in left.items()} == {
        name: values.tobytes() for name, values in right.items()
    }


@pytest.mark.parametrize("rows_per_tile", [1, 7, 100, 1000])
def test_tiles_of_any_size_have_the_bytes_of_one_call(rows_per_tile: int) -> None:
    plan, data = a_plan(rows_per_tile)
    tiles = [evaluate_tile(plan, 0, tile, data, never) for tile in range(plan.nodes[0].tile_count)]
    joined = {name: np.concatenate([tile.detail[name] for tile in tiles]) for name in tiles[0].detail}
    assert joined.pop("row").tolist() == list(range(ROW_COUNT))
    assert same(joined, xip_core.evaluate("black.european", outputs=("pv", "vega"), **COLUMNS))
    assert sum(tile.cell_count for tile in tiles) == plan.cell_count == 2 * ROW_COUNT


def test_columns_of_one_value_alone_are_one_row() -> None:
    data = OneBlob(encode_table({name: np.ravel(values)[-1] for name, values in COLUMNS.items()}))
    plan = plan_run(RunSpec("table", KernelWork("black.european", digest_of(data.content))), data.blob)
    assert evaluate_tile(plan, 0, 0, data, never).detail["row"].tolist() == [0]


def test_a_refused_row_is_quarantined_in_every_output() -> None:
    plan, data = a_plan()
    tile = evaluate_tile(plan, 0, 0, data, never)
    refused = np.flatnonzero(tile.detail["status"]).tolist()
    assert refused == [0, 1, 2, 3]
    assert [(cells.row, cells.scenario_begin, cells.scenario_end) for cells in tile.quarantine] == [
        (row, 0, 2) for row in refused
    ]
    assert {cells.reason for cells in tile.quarantine} == {FailureReason.NUMERICAL}
    assert tile.quarantine[0].message.startswith("row 0: black.european gives no number, a column is outside")


def test_rows_left_out_have_their_reason_and_the_others_their_bytes() -> None:
    plan, data = a_plan()
    whole = evaluate_tile(plan, 0, 3, data, never)
    crashed = Failure(FailureReason.CRASHED, "the worker died")
    tile = evaluate_without(plan, 0, 3, {17: crashed, 99: crashed}, data, never)
    assert np.flatnonzero(tile.detail["status"]).tolist() == [17, 99]
    assert np.isnan(tile.detail["pv"]).nonzero()[0].tolist() == [17, 99]
    others = np.delete(np.arange(100), [17, 99])
    assert tile.detail["pv"][others].tobytes() == whole.detail["pv"][others].tobytes()
    assert tile.detail["row"].tobytes() == whole.detail["row"].tobytes()
    assert [cells.message for cells in tile.quarantine] == ["row 317: the worker died", "row 399: the worker died"]
    assert tile.cell_count == whole.cell_count


def test_a_tile_of_which_every_row_is_left_out_calls_nothing() -> None:
    plan, data = a_plan(rows_per_tile=2)
    failure = Failure(FailureReason.TIMED_OUT, "too slow")
    tile = evaluate_without(plan, 0, 3, {0: failure, 1: failure}, data, never)
    assert tile.detail["status"].tolist() == [FailureReason.TIMED_OUT] * 2


def test_rows_are_looked_at_without_fetching_the_table_for_each() -> None:
    plan, data = a_plan()
    memo: dict[tuple[object, ...], object] = {}

    class Remembering(OneBlob):
        fetched_count = 0

        def blob(self, digest: str) -> bytes:
            self.fetched_count += 1
            return super().blob(digest)

        def memo(self, key: tuple[object, ...], make: Maker) -> object:
            if key not in memo:
                memo[key] = make()
            return memo[key]

    remembering = Remembering(data.content)
    assert row_count(plan, 0, 3) == 100
    for position in range(100):
        evaluate_rows(plan, 0, 3, range(position, position + 1), remembering, never)
    assert remembering.fetched_count == 1


def test_a_cancel_is_seen_between_blocks_of_rows() -> None:
    plan, data = a_plan(rows_per_tile=1000)
    slow = msgspec.structs.replace(plan.nodes[0], cost_s=10.0)  # a hundredth of a second a row: blocks of one row
    answers = iter([False] * 5 + [True])
    with pytest.raises(TileCancelledError):
        kernel_rows(plan, slow, 0, range(1000), tile_columns(plan, slow, 0, data), lambda: next(answers))


def test_a_kernel_of_another_version_than_planned_is_not_called() -> None:
    plan, data = a_plan()
    node = msgspec.structs.replace(plan.nodes[0], kernel_version="99")
    with pytest.raises(CellError, match=r"must be of version 99 as planned, this worker has \d+") as caught:
        kernel_rows(plan, node, 0, range(1), tile_columns(plan, node, 0, data), never)
    assert caught.value.failure.reason is FailureReason.UNSUPPORTED
