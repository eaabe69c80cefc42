"""Kernels over tables through real daemons: ours, and those that other packages add to a worker."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xip_core
from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, kept, start_scheduler
from tests.plugins.install import REPOSITORY, Plugin
from tests.plugins.written import write_package
from xip_core.client import connect
from xip_core.client.sync import SyncClient
from xip_core.errors import FailureReason, RequestError
from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.model.result import RunState
from xip_core.model.run_spec import KernelSignature, KernelWork, Priority, RunSpec
from xip_core.model.table import encode_table


class Grid:
    """A scheduler and this process without any package, a worker with the poison and one with the example kernels."""

    def __init__(self, stack: contextlib.ExitStack, data_dir: Path, *plugins: Plugin) -> None:
        scheduler, self.address = start_scheduler(data_dir)
        kept(stack, scheduler)
        self.workers = [
            kept(stack, Daemon(["xip_worker", f"--scheduler={self.address}", "--slots=2"], plugin.environment))
            for plugin in plugins
        ]
        for worker in self.workers:
            worker.wait_for_log("attached")
        self.client: SyncClient = stack.enter_context(connect(self.address))


@pytest.fixture(scope="module")
def grid(
    tmp_path_factory: pytest.TempPathFactory, poison_kernels: Plugin, example_kernels: Plugin
) -> Iterator[Grid]:
    with contextlib.ExitStack() as stack:
        yield Grid(stack, tmp_path_factory.mktemp("tables"), poison_kernels, example_kernels)


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
    assert (final.state, final.cell_count, final.cells_done) == (RunState.COMPLETED, 900_000, 900_000)
    assert final.nodes[0].tile_count > 1
    assert dict(final.kernel_versions) == {"equity.european": KERNEL_VERSIONS["equity.european"], "table": "1"}


def test_rows_outside_the_domain_are_quarantined_alone(grid: Grid) -> None:
    columns = european_columns(1000) | {"strike": np.where(np.arange(1000) == 617, -1.0, 100.0)}
    run = grid.client.submit_kernel("equity.european", columns, outputs=("vega", "pv"), rows_per_tile=100)
    numbers = grid.client.table_results(run.run_id).to_numpy()
    assert list(numbers.outputs) == ["pv", "vega"]
    assert np.flatnonzero(numbers.status).tolist() == [617]
    assert np.isnan(numbers.outputs["pv"]).nonzero()[0].tolist() == [617]
    (cells,) = numbers.quarantine
    assert (cells.row, cells.reason) == (617, FailureReason.NUMERICAL)
    assert cells.message == (
        "row 617: equity.european gives no number, a column is outside its domain or a result is not finite"
    )
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


EXAMPLES: dict[str, dict[str, Any]] = {
    "example.cash_digital": {
        "forward": np.linspace(50.0, 150.0, 3001).tolist(),
        "strike": 100.0,
        "time": 0.75,
        "volatility": np.linspace(-0.01, 0.9, 3001).tolist(),  # the first rows are outside the domain
        "discount": 0.97,
        "is_call": 1,
    },
    "example.simple_forward": {
        "spot": np.linspace(50.0, 150.0, 3001).tolist(),
        "rate": 0.03,
        "dividend_yield": 0.01,
        "time": np.linspace(-0.01, 9.0, 3001).tolist(),
    },
}

IN_PROCESS = """
import json, sys, xip_core
value = xip_core.evaluate(sys.argv[1], **json.load(sys.stdin))
json.dump({name: array.tobytes().hex() for name, array in value.items()}, sys.stdout)
"""


@pytest.mark.parametrize("kernel", EXAMPLES)
def test_a_kernel_of_another_package_has_the_same_bytes_on_a_worker_and_in_process(
    grid: Grid, example_kernels: Plugin, kernel: str
) -> None:
    columns = EXAMPLES[kernel]
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, kernel],
        input=json.dumps(columns),
        env=os.environ | example_kernels.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    run = grid.client.submit_kernel(kernel, columns, rows_per_tile=617)
    numbers = grid.client.table_results(run.run_id).to_numpy()
    here = {name: values.tobytes().hex() for name, values in (numbers.outputs | {"status": numbers.status}).items()}
    assert here == json.loads(done.stdout)
    assert 0 < np.count_nonzero(numbers.status) < 100
    assert dict(grid.client.run(run.run_id).kernel_versions)[kernel] == "1+example-kernels-0.1.0"


def test_a_run_of_a_kernel_that_no_worker_has_waits_and_says_for_what(grid: Grid) -> None:
    (digest,) = grid.client.upload(encode_table({"x": np.arange(10.0)}))
    signature = KernelSignature("desk.absent", "4+desk-kernels-1.0", ("x",), ("pv",), 1e-6)
    work = KernelWork("desk.absent", digest, signature=signature)
    run = grid.client.submit_spec(RunSpec("absent", work))
    assert grid.client.run(run.run_id).message == (
        "waits for a worker that has desk.absent@4+desk-kernels-1.0: no attached one does"
    )
    command = [sys.executable, "-m", "xip_core.cli", "watch", run.run_id, f"--scheduler={grid.address}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        line = watching.stderr.readline()
        assert grid.client.cancel(run.run_id, "nobody will have it").state is RunState.CANCELLED
        _, rest = watching.communicate(timeout=RUN_LIMIT_S)
    assert line.endswith(", waits for a worker that has desk.absent@4+desk-kernels-1.0: no attached one does\n")
    assert rest.endswith(", nobody will have it\n")
    assert watching.returncode == 1


@pytest.mark.parametrize(
    ("kernel", "changes", "reason", "sentence"),
    [
        ("poison.rov", {}, "UNKNOWN_KERNEL", "or of an attached worker, got 'poison.rov'; near: poison.row"),
        ("poison.row", {"value": None}, "BAD_COLUMN", "must be value, act, amount; missing value"),
        ("poison.row", {"volume": 1.0}, "BAD_COLUMN", "unknown volume"),
        ("poison.row", {"value": []}, "EMPTY_TABLE", "at least one row, got none in column value"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_a_run_exists(
    grid: Grid, kernel: str, changes: dict[str, Any], reason: str, sentence: str
) -> None:
    columns = {"value": np.arange(3.0), "act": 0.0, "amount": 0.0} | changes
    before = [run.run_id for run in grid.client.runs()]
    with pytest.raises(RequestError, match=sentence) as caught:
        grid.client.submit_kernel(kernel, {name: column for name, column in columns.items() if column is not None})
    assert caught.value.reason == reason
    assert [run.run_id for run in grid.client.runs()] == before


def test_the_same_request_id_answers_the_same_run(grid: Grid) -> None:
    columns = european_columns(100)
    first = grid.client.submit_kernel("equity.european", columns, request_id="table-1")
    again = grid.client.submit_kernel("equity.european", columns, request_id="table-1")
    assert (again.run_id, again.is_repeated) == (first.run_id, True)
    with pytest.raises(RequestError, match="was submitted under it with another content"):
        grid.client.submit_kernel("equity.european", columns | {"rate": 0.03}, request_id="table-1")


def xipctl(grid: Grid, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xip_core.cli", *arguments]
    return subprocess.run(
        command, env=os.environ | {"XIP_SCHEDULER": grid.address}, capture_output=True, text=True, check=False
    )


def test_xipctl_evaluates_a_csv_table_and_prints_the_run_again(grid: Grid, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("forward,strike,time,volatility,discount,is_call\n105,100,0.5,0.25,0.98,1\n105,0,0.5,0.25,0.98,1\n")
    first = xipctl(grid, "evaluate", "example.cash_digital", str(table), "--request-id", "cli-1", "--outputs", "pv")
    lines = first.stdout.splitlines()
    assert (first.returncode, lines[0], lines[2], len(lines)) == (3, "pv,status", ",NUMERICAL", 3), first.stderr
    pv = float(lines[1].removesuffix(",ok"))
    assert 0.5 < pv < 0.98
    as_json = ("evaluate", "example.cash_digital", str(table), "--request-id", "cli-1", "--outputs", "pv", "-o", "json")
    batch = xipctl(grid, "evaluate", "example.cash_digital", str(table), "--priority", "batch", "--deadline", "5m")
    assert batch.returncode == 3
    assert next(run for run in grid.client.runs(1)).priority is Priority.BATCH
    again = json.loads(xipctl(grid, *as_json).stdout)
    assert (again["outputs"], again["status"]) == ({"pv": [pv, None]}, ["ok", "NUMERICAL"])
    assert again["kernel_version"] == "1+example-kernels-0.1.0"
    assert xipctl(grid, "results", again["run_id"]).stdout == first.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("example.cash_digitals",), 1, "got 'example.cash_digitals'; near: example.cash_digital"),
        (("black.european",), 1, "columns of black.european must be"),
        (("example.simple_forward", "--outputs", "pv"), 1, "must be of forward, delta, got 'pv'"),
        (("example.simple_forward", "--local", "--scheduler", "127.0.0.1:1"), 2, "there is no --scheduler to reach"),
    ],
)
def test_xipctl_says_in_one_sentence_what_it_cannot_evaluate(
    grid: Grid, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("spot,rate,dividend_yield,time\n100,0.02,0.01,1\n")
    kernel, *options = arguments
    answer = xipctl(grid, "evaluate", kernel, str(table), *options)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_worker_says_which_kernels_it_refuses_and_serves_the_others(grid: Grid, tmp_path: Path) -> None:
    directory = write_package(tmp_path, "desk_kernels", {"desk.twice": "TWICE", "desk.wrong": "MISNAMED"})
    path = os.pathsep.join([str(directory), str(REPOSITORY)])
    with contextlib.ExitStack() as stack:
        worker = kept(stack, Daemon(["xip_worker", f"--scheduler={grid.address}"], {"PYTHONPATH": path}))
        refused = worker.wait_for_log("kernel refused")
        worker.wait_for_log("attached")
        run = grid.client.submit_kernel("desk.twice", {"x": [1.0, 2.0]})
        numbers = grid.client.table_results(run.run_id).to_numpy()
    assert (refused["kernel"], refused["package"]) == ("desk.wrong", "desk_kernels 1.2.0")
    assert "its name must be that of its entry point" in refused["sentence"]
    assert numbers.outputs["pv"].tolist() == [2.0, 4.0]
    with pytest.raises(RequestError, match=r"got 'desk.wrong'"):
        grid.client.submit_kernel("desk.wrong", {"x": [1.0]})
