"""How long does a person wait: for the sample run, for its first numbers, for --help; and what do idle daemons weigh?

    python -m pytest bench/bench_sample_run.py --benchmark-only --benchmark-json=bench/results/sample_run.json

Whole processes are timed as a user starts them, so interpreter start and imports are in every figure.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, start_scheduler, start_worker, submit_sample
from xip_core import samples
from xip_core.client import connect_sync
from xip_core.client.sync import SyncClient
from xip_core.model.market import decode_snapshot, encode_snapshot

XIPCTL = [sys.executable, "-m", "xip_core.cli"]


def test_sample_run_from_enter_to_prompt(benchmark: BenchmarkFixture) -> None:
    def run() -> dict[str, object]:
        command = [*XIPCTL, "run", "sample:cross-asset", "--local", "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report: dict[str, object] = json.loads(done.stdout)
        return report

    report = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["timing"] = report["timing"]


def test_help(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(
        lambda: subprocess.run([*XIPCTL, "--help"], capture_output=True, check=True), rounds=20, warmup_rounds=2
    )


@pytest.fixture
def warm_cluster(tmp_path: Path) -> Iterator[SyncClient]:
    """A scheduler and a worker with two slots that have run the sample once."""
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(tmp_path)
        stack.callback(scheduler.stop)
        stack.callback(start_worker(address, slot_count=2).stop)
        client = stack.enter_context(connect_sync(address))
        client.wait(submit_sample(client, "warm-up").run_id, timeout_s=RUN_LIMIT_S)
        yield client


@pytest.mark.parametrize("is_market_new", [False, True], ids=["same market", "quotes moved"])
def test_first_result_block_after_submit_on_a_warm_cluster(
    benchmark: BenchmarkFixture, warm_cluster: SyncClient, is_market_new: bool
) -> None:
    """Warm: the worker has run this book. With the same market it keeps resolved rows and calibrated scenarios; with
    quotes that moved only the rows, and every curve and surface is calibrated again."""
    numbers = itertools.count(1)
    sample = samples.load("cross-asset")
    last = ""

    def arguments(number: int) -> tuple[tuple[bytes, str], dict[str, object]]:
        if last:
            warm_cluster.wait(last, timeout_s=RUN_LIMIT_S)
        market = _moved(sample.market, number) if is_market_new else sample.market
        return (market, f"first-block-{number}"), {}

    def first_block(market: bytes, request_id: str) -> None:
        nonlocal last
        run = warm_cluster.submit(sample.book, market, sample.scenarios, request_id=request_id, is_reusing=False)
        next(iter(warm_cluster.stream_results(run.run_id)))
        last = run.run_id

    benchmark.pedantic(first_block, setup=lambda: arguments(next(numbers)), rounds=15)
    warm_cluster.wait(last, timeout_s=RUN_LIMIT_S)


def _moved(market: bytes, number: int) -> bytes:
    """The snapshot with every quote up by some millionths."""
    snapshot = decode_snapshot(market)
    quotes = {
        name: quote if isinstance(quote, str) else quote * (1.0 + number * 1e-6)
        for name, quote in snapshot.quotes.items()
    }
    return encode_snapshot(msgspec.structs.replace(snapshot, quotes=quotes))


def test_idle_memory_of_the_daemons(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The figure is in extra_info; what is timed is the start of both daemons until the worker is attached."""
    started: list[Daemon] = []

    def start() -> None:
        scheduler, address = start_scheduler(tmp_path)
        started.extend((scheduler, start_worker(address)))

    try:
        benchmark.pedantic(start, rounds=1)
        # The worker imports its kernels after it has attached; idle means that this is over.
        settled = _settled_memory_mb(started[1].process.pid)
        benchmark.extra_info["worker_mb"] = settled
        benchmark.extra_info["scheduler_mb"] = _settled_memory_mb(started[0].process.pid)
    finally:
        for daemon in started:
            daemon.stop()


def _settled_memory_mb(pid: int) -> float:
    """Resident memory when it has stopped growing for a second."""
    last = _memory_mb(pid)
    while True:
        time.sleep(1.0)
        now = _memory_mb(pid)
        if abs(now - last) < 0.1:
            return now
        last = now


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no VmRSS")
