"""Rows that kill and hang on real daemons: they are quarantined, and nothing else changes by a bit."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, kept, numbers_of, start_scheduler, start_worker
from tests.integration.poison_worker import VARIABLE
from xip_core import samples
from xip_core.client import connect_sync
from xip_core.client.results import RunNumbers
from xip_core.client.sync import SyncClient
from xip_core.errors import FailureReason
from xip_core.model.result import Run, RunState
from xip_core.model.scenario import ScenarioSet, decode_scenarios, encode_scenarios

SCENARIO_COUNT = 20
STALLED_SOON = {
    "XIP_SCHEDULER_HEARTBEAT_INTERVAL_S": "0.3",
    "XIP_SCHEDULER_LEASE_DURATION_S": "2.0",
    "XIP_SCHEDULER_STALLED_AFTER_S": "1.0",
}
LOOP_LIMIT_S = 4.0


def submit(client: SyncClient, request_id: str) -> Run:
    sample = samples.load("cross-asset")
    base_first = decode_scenarios(sample.scenarios).scenarios[:SCENARIO_COUNT]
    scenarios = encode_scenarios(ScenarioSet(scenarios=base_first))
    book = b"\n".join(sample.book.splitlines()[::4])
    return client.submit(book, sample.market, scenarios, request_id=request_id, is_reusing=False)


def start_poisoned_worker(address: str, poison: str) -> Daemon:
    arguments = ["tests.integration.poison_worker", address, "1", "1.0", str(LOOP_LIMIT_S)]
    daemon = Daemon(arguments, {VARIABLE: poison})
    daemon.wait_for_log("attached")
    return daemon


@pytest.fixture
def daemons() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> RunNumbers:
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(tmp_path_factory.mktemp("healthy"))
        kept(stack, scheduler)
        kept(stack, start_worker(address))
        with connect_sync(address) as client:
            run_id = submit(client, "healthy").run_id
        return numbers_of(address, run_id)


def test_a_row_that_kills_its_process_costs_one_worker_and_no_neighbour(
    tmp_path: Path, daemons: contextlib.ExitStack, healthy: RunNumbers
) -> None:
    position = 300
    poison = f"{healthy.trade_ids[position]}=segfault"
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    workers = [kept(daemons, start_poisoned_worker(address, poison)) for _ in range(3)]
    with connect_sync(address) as client:
        run = client.wait(submit(client, "poison").run_id, timeout_s=RUN_LIMIT_S)
        assert run.state is RunState.COMPLETED_WITH_QUARANTINE, run
    numbers = numbers_of(address, run.run_id)
    assert sum(worker.process.poll() is not None for worker in workers) == 1
    refused = {cells.row: cells for cells in numbers.quarantine}
    assert list(refused) == [position]
    assert refused[position].reason == FailureReason.CRASHED
    assert "signal 11 (SIGSEGV), twice, alone in a process of its own" in refused[position].message
    assert refused[position].message.startswith(f"trade {healthy.trade_ids[position]}: the row")
    others = np.delete(np.arange(len(healthy.trade_ids)), position)
    assert np.isnan(numbers.pv[position]).all()
    for name in ("pv", "delta", "vega", "dv01"):
        left, right = getattr(numbers, name)[others], getattr(healthy, name)[others]
        assert left.tobytes() == right.tobytes(), name
    assert numbers.totals is not None
    assert healthy.totals is not None
    assert (numbers.totals.rows_expected == healthy.totals.rows_expected).all()
    missing = healthy.totals.rows_used - numbers.totals.rows_used
    assert missing.max(axis=1).sum() == 1  # of its asset class, and of no other
    assert missing.min(axis=1).sum() == 1


@pytest.mark.long
def test_a_row_that_never_ends_is_quarantined_and_the_worker_stuck_in_it_replaces_itself(
    tmp_path: Path, daemons: contextlib.ExitStack, healthy: RunNumbers
) -> None:
    position = 100
    poison = f"{healthy.trade_ids[position]}=endless"
    scheduler, address = start_scheduler(tmp_path, environment=STALLED_SOON)
    kept(daemons, scheduler)
    workers = [kept(daemons, start_poisoned_worker(address, poison)) for _ in range(2)]
    with connect_sync(address) as client:
        run = client.wait(submit(client, "endless").run_id, timeout_s=RUN_LIMIT_S)
    assert run.state is RunState.COMPLETED_WITH_QUARANTINE, run
    (refused,) = numbers_of(address, run.run_id).quarantine
    assert (refused.row, refused.reason) == (position, FailureReason.TIMED_OUT)
    assert "was not done after 1 s, which is its limit, twice" in refused.message
    (stuck,) = [worker for worker in workers if worker.has_logged("slots are stuck, the worker starts anew")]
    stuck.wait_for_log("attached", count=2)
    assert stuck.process.poll() is None
    with connect_sync(address) as client:
        assert len(client.workers()) == 2


@pytest.mark.long
def test_a_row_that_never_ends_and_keeps_the_gil_is_quarantined_and_its_worker_ends_itself(
    tmp_path: Path, daemons: contextlib.ExitStack, healthy: RunNumbers
) -> None:
    position = 100
    poison = f"{healthy.trade_ids[position]}=endless-with-the-gil"
    scheduler, address = start_scheduler(tmp_path, environment=STALLED_SOON)
    kept(daemons, scheduler)
    workers = [kept(daemons, start_poisoned_worker(address, poison)) for _ in range(2)]
    with connect_sync(address) as client:
        run = client.wait(submit(client, "endless").run_id, timeout_s=RUN_LIMIT_S)
    assert run.state is RunState.COMPLETED_WITH_QUARANTINE, run
    (refused,) = numbers_of(address, run.run_id).quarantine
    assert (refused.row, refused.reason) == (position, FailureReason.TIMED_OUT)
    while not (ended_now := [worker for worker in workers if worker.process.poll() is not None]):
        with contextlib.suppress(subprocess.TimeoutExpired):
            workers[0].process.wait(0.1)
    (ended,) = ended_now
    assert ended.process.returncode == 1
    assert any("row_values" in line or "_do" in line for line in ended.lines)
