"""A kernel over a table as a plan: its tiles, what it needs of a worker, what is refused."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from xip_core.errors import RequestError
from xip_core.graph import cost
from xip_core.graph.kernel_table import OUR_SIGNATURES, installed_signature
from xip_core.graph.plan import NodeKind, Plan, decode_plan
from xip_core.graph.planner import plan_run
from xip_core.model.run_spec import KernelSignature, KernelWork, RunSpec
from xip_core.model.table import encode_table

from .builders import Blobs

SIGNATURE = KernelSignature("desk.twice", "3+desk-kernels-1.0", ("x", "y"), ("pv", "delta"), 1e-6)


def planned(
    row_count: int = 10, announced: dict[str, KernelSignature] | None = None, **changes: Any
) -> Plan:
    blobs = Blobs()
    digest = blobs.put(encode_table({"x": np.arange(float(row_count)), "y": 1.0}))
    work = KernelWork(kernel="desk.twice", table_digest=digest, signature=SIGNATURE)
    spec = RunSpec("table", msgspec.structs.replace(work, **changes))
    return plan_run(spec, blobs.get, announced or {})


def test_rows_become_tiles_and_outputs_become_cells() -> None:
    plan = planned(row_count=10, rows_per_tile=4)
    (node,) = plan.nodes
    assert (node.kind, node.kernel, node.kernel_version) == (NodeKind.KERNEL, "desk.twice", "3+desk-kernels-1.0")
    assert [node.row_range(tile) for tile in range(node.tile_count)] == [(0, 4), (4, 8), (8, 10)]
    assert [node.scenario_range(tile) for tile in range(3)] == [(0, 2)] * 3
    assert (plan.outputs, plan.cell_count, plan.cells_of_row(0, 2)) == (("pv", "delta"), 20, 2)
    assert node.cost_s == 4 * SIGNATURE.row_s
    assert decode_plan(plan.encode()) == plan


def test_a_worker_needs_the_kernel_and_what_cuts_tables() -> None:
    assert planned().nodes[0].kernels == (("desk.twice", "3+desk-kernels-1.0"), ("table", "1"))


def test_outputs_come_in_declared_order_whatever_was_asked_for() -> None:
    assert planned(outputs=("delta", "pv", "delta")).outputs == ("pv", "delta")
    assert planned(outputs=("delta",)).outputs == ("delta",)


def test_the_client_says_which_version_and_only_without_it_the_workers_do() -> None:
    other = msgspec.structs.replace(SIGNATURE, version="4+desk-kernels-2.0")
    announced = {"desk.twice": other}
    assert planned(announced=announced).nodes[0].kernel_version == SIGNATURE.version
    assert planned(announced=announced, signature=None).nodes[0].kernel_version == other.version


def test_our_own_kernels_are_what_we_say_whoever_says_otherwise() -> None:
    columns = dict.fromkeys(OUR_SIGNATURES["black.european"].columns, 1.0)
    blobs = Blobs()
    work = KernelWork("black.european", blobs.put(encode_table(columns)), signature=SIGNATURE)
    announced = {"black.european": msgspec.structs.replace(SIGNATURE, name="black.european")}
    plan = plan_run(RunSpec("table", work), blobs.get, announced)
    assert plan.outputs == OUR_SIGNATURES["black.european"].outputs
    assert installed_signature("black.european") is None


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"signature": None}, "UNKNOWN_KERNEL", "or of an attached worker, got 'desk.twice'; near: "),
        ({"table_digest": ""}, "BLOB_MISSING", "table_digest must name an uploaded blob, got ''"),
        ({"table_digest": "ab" * 32}, "BLOB_MISSING", "which is not here"),
        ({"outputs": ("vega",)}, "UNKNOWN_OUTPUT", "outputs of desk.twice must be of pv, delta, got 'vega'"),
        ({"rows_per_tile": 10**6}, "BAD_TILE_SIZE", r"0 to \d+, so that a tile is one message, got 1000000"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes: dict[str, Any], reason: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        planned(**changes)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "desk.other"}, "must be that of the kernel, 'desk.twice', got 'desk.other'"),
        ({"name": "a b"}, "a kernel must have a lower-case name, got 'a b'"),
        ({"columns": ()}, "1 to 64 columns, each with a name, got 0"),
        ({"columns": ("x", "x")}, "1 to 64 columns, each with a name, got 2"),
        ({"outputs": tuple(f"o{i}" for i in range(65))}, "1 to 64 outputs, each with a name, got 65"),
        ({"outputs": ("p" * 1000,)}, "an? output must have a lower-case name"),
        ({"version": ""}, "must have a version, got ''"),
        ({"row_s": math.inf}, "row_s must be seconds above 0 and up to 60, got inf"),
        ({"row_s": 0.0}, "got 0.0"),
    ],
)
def test_a_signature_that_no_kernel_can_have_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        planned(signature=msgspec.structs.replace(SIGNATURE, **changes))
    assert caught.value.reason == "BAD_SIGNATURE"


def test_columns_must_be_those_of_the_signature() -> None:
    wider = msgspec.structs.replace(SIGNATURE, columns=("x", "z"))
    with pytest.raises(RequestError, match=r"columns of desk.twice must be x, z; missing z; unknown y") as caught:
        planned(signature=wider)
    assert caught.value.reason == "BAD_COLUMN"


def test_a_table_of_more_tiles_than_a_run_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xip_core.graph.kernel_table.TILE_COUNT_MAX", 4)
    assert planned(row_count=8, rows_per_tile=2).nodes[0].tile_count == 4
    with pytest.raises(RequestError, match="at most 4 tiles, got 10 rows, 2 a tile"):
        planned(row_count=10, rows_per_tile=2)


@pytest.mark.parametrize("row_s", [20e-9, 100e-9, 1e-6, 1e-3, 1.0, 60.0])
@pytest.mark.parametrize("output_count", [1, 8, 64])
@pytest.mark.parametrize("row_count", [1, 100, 1_000_000, 30_000_000])
def test_a_tile_is_one_message_and_no_long_silence(row_s: float, output_count: int, row_count: int) -> None:
    rows = cost.kernel_rows_per_tile(row_s, row_count, output_count)
    assert rows >= 1
    assert rows == 1 or rows * row_s <= cost.KERNEL_TILE_S_MAX
    detail = rows * (cost.KERNEL_BYTES_PER_ROW + cost.KERNEL_BYTES_PER_OUTPUT * output_count)
    assert detail <= cost.KERNEL_DETAIL_SIZE_BYTES_MAX
    assert detail + rows * cost.KERNEL_QUARANTINE_BYTES_PER_ROW <= cost.KERNEL_QUARANTINE_SIZE_BYTES_MAX


def test_the_same_request_has_the_same_plan() -> None:
    assert planned(row_count=1000).encode() == planned(row_count=1000).encode()


def test_the_table_is_an_input_that_must_be_kept() -> None:
    plan = planned()
    assert plan.input_digests == (plan.table_digest,)
    assert len(plan.table_digest) == 64
