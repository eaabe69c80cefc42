"""Kernels over tables through real daemons: ours, and those that other packages add to a worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import xip_core
from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, kept, start_scheduler
from tests.plugins.install import Plugin
from xip_core.client import connect_sync
from xip_core.client.sync import SyncClient
from xip_core.errors import FailureReason
from xip_core.model.result import RunState


class Grid:
    """A scheduler without any package, and a worker with the poison kernels."""

    def __init__(self, stack: contextlib.ExitStack, data_dir: Path, plugin: Plugin) -> None:
        scheduler, self.address = start_scheduler(data_dir)
        kept(stack, scheduler)
        arguments = ["xip_worker", f"--scheduler={self.address}", "--slots=2"]
        self.worker = kept(stack, Daemon(arguments, plugin.environment))
        self.worker.wait_for_log("attached")
        self.client: SyncClient = stack.enter_context(connect_sync(self.address))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, poison_kernels: Plugin) -> Iterator[Grid]:
    with contextlib.ExitStack() as stack:
        yield Grid(stack, tmp_path_factory.mktemp("tables"), poison_kernels)


def european_columns(row_count: int) -> dict[str, object]:
    return {
        "spot": np.linspace(80.0, 120.0, row_count),
        "strike": 100.0,
        "time": np.linspace(0.1, 5.0, row_count),
        "rate": 0.02,
        "dividend_yield": [0.01],
        "volatility": np.linspace(0.05, 0.6, row_count),
        "is_call": np.arange(row_count) % 2,
    }


def test_a_table_through_the_grid_has_the_bytes_of_a_call_in_this_process(grid: Grid) -> None:
    columns = european_columns(100_000)
    run = grid.client.submit_kernel("equity.european", columns)
    numbers = grid.client.table_results(run.run_id).to_numpy()
    here = xip_core.evaluate("equity.european", **columns)
    assert list(numbers.outputs) == [name for name in here if name != "status"]
    assert {name: values.tobytes() for name, values in (numbers.outputs | {"status": numbers.status}).items()} == {
        name: values.tobytes() for name, values in here.items()
    }
    final = grid.client.wait(run.run_id, RUN_LIMIT_S)
    assert (final.state, final.cell_count, final.cells_done) == (RunState.COMPLETED, 800_000, 800_000)
    assert final.nodes[0].tile_count > 1
    assert dict(final.kernel_versions) == {"equity.european": "1", "table": "1"}


def test_rows_outside_the_domain_are_quarantined_alone(grid: Grid) -> None:
    columns = european_columns(1000) | {"strike": np.where(np.arange(1000) == 617, -1.0, 100.0)}
    run = grid.client.submit_kernel("equity.european", columns, outputs=("vega", "pv"), rows_per_tile=100)
    numbers = grid.client.table_results(run.run_id).to_numpy()
    assert list(numbers.outputs) == ["pv", "vega"]
    assert np.flatnonzero(numbers.status).tolist() == [617]
    assert np.isnan(numbers.outputs["pv"]).nonzero()[0].tolist() == [617]
    (cells,) = numbers.quarantine
    assert (cells.row, cells.reason) == (617, FailureReason.NUMERICAL)
    assert cells.message == "row 617: is outside the domain or has no finite result, by equity.european"
    final = grid.client.wait(run.run_id, RUN_LIMIT_S)
    assert final.state is RunState.COMPLETED_WITH_QUARANTINE
    assert (final.cell_count, final.cells_done, final.cells_quarantined) == (2000, 2000, 2)


def test_a_kernel_only_workers_have_is_planned_by_what_they_announced(grid: Grid) -> None:
    values, acts = np.arange(50.0), np.zeros(50)
    acts[[3, 7, 11]] = [8, 13, 14]  # NaN with a good status, a refusal, a status that is none
    run = grid.client.submit_kernel("poison.row", {"value": values, "act": acts, "amount": 0.0}, rows_per_tile=8)
    numbers = grid.client.table_results(run.run_id).to_numpy()
    assert numbers.kernel_version == "1+poison-kernels-0.1.0"
    assert np.flatnonzero(numbers.status).tolist() == [3, 7, 11]
    expected = np.where(numbers.status == 0, 2.0 * values + 1.0, np.nan)
    assert numbers.outputs["pv"].tobytes() == expected.tobytes()
    assert ("poison.row", "1+poison-kernels-0.1.0") in grid.client.run(run.run_id).kernel_versions
