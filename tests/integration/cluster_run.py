"""A whole run on real daemons, and the places in it where a test may break something."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.integration.cluster import Daemon
from xip_core import samples
from xip_core.client import connect_sync
from xip_core.client.results import RunNumbers
from xip_core.client.sync import SyncClient
from xip_core.model.result import Run

RUN_LIMIT_S = 120.0


def kept(stack: contextlib.ExitStack, daemon: Daemon) -> Daemon:
    """*daemon*, which is gone when *stack* is left."""
    stack.callback(daemon.stop)
    return daemon


def start_scheduler(
    data_dir: Path, port: int = 0, environment: dict[str, str] | None = None
) -> tuple[Daemon, str]:
    """A scheduler on loopback and its address."""
    daemon = Daemon(["xip_scheduler", f"--listen=127.0.0.1:{port}", f"--data-dir={data_dir}"], environment)
    serving = daemon.wait_for_log("serving")
    return daemon, str(serving["address"])


def start_worker(address: str, slot_count: int = 1) -> Daemon:
    """A worker that the scheduler has welcomed."""
    daemon = Daemon(["xip_worker", f"--scheduler={address}", f"--slots={slot_count}"])
    daemon.wait_for_log("attached")
    return daemon


def start_sparing_worker(address: str) -> Daemon:
    """One that keeps to itself what others can make."""
    daemon = Daemon(["tests.integration.sparing_worker", f"--scheduler={address}"])
    daemon.wait_for_log("attached")
    return daemon


def submit_sample(client: SyncClient, request_id: str) -> Run:
    sample = samples.load("cross-asset")
    return client.submit(sample.book, sample.market, sample.scenarios, request_id=request_id, is_reusing=False)


def watch_until(client: SyncClient, run_id: str, reached: Callable[[Run], bool]) -> Run:
    """The first state of the run that is *reached*; the run must not end before."""
    for run in client.watch(run_id):
        if reached(run):
            return run
        assert not run.state.is_final, f"the run ended as {run.state.name} before the test could act on it"
    raise AssertionError("the watch ended before the run")


def has_done(fraction: float) -> Callable[[Run], bool]:
    return lambda run: run.cells_done >= fraction * run.cell_count


def numbers_of(address: str, run_id: str) -> RunNumbers:
    with connect_sync(address) as client:
        client.wait(run_id, timeout_s=RUN_LIMIT_S)
        return client.results(run_id).to_numpy()


def assert_same_bytes(left: RunNumbers, right: RunNumbers) -> None:
    assert left.trade_ids == right.trade_ids
    for name in ("pv", "status", "pv_trade_currency", "delta", "vega", "dv01"):
        assert np.array_equal(_bits(getattr(left, name)), _bits(getattr(right, name))), name
    assert left.quarantine == right.quarantine
    assert left.totals is not None
    assert right.totals is not None
    for name in ("pv", "delta", "vega", "dv01", "pnl", "rows_used", "rows_expected"):
        assert np.array_equal(_bits(getattr(left.totals, name)), _bits(getattr(right.totals, name))), name


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8)
