"""How long does a cancel take to free a slot that is in the middle of a tile?

    python -m bench.bench_cancel [--cancels 100]

A scheduler process, and the real daemon of a worker with one slot in this process, so that its slot can be looked at. A
run is cancelled at a random moment while the slot is at one of its tiles; the clock runs from sending CancelRun until
the slot has no lease. Runs are of the sample with its rows in another order and under new quotes each time, so that
every row is resolved and every curve calibrated again, and of a probe whose only tile would last a minute.

Printed as JSON: milliseconds, median, 99th percentile and longest, by kind of run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.bench_sample_run import _moved
from bench.bench_throughput import _start_scheduler, _wait_for_port
from xip_core import samples
from xip_core.client.client import Client
from xip_core.kernel_versions import announced
from xip_core.model.result import Run
from xip_core.model.run_spec import ProbeWork, RunSpec
from xip_worker.daemon import Daemon
from xip_worker.logs import configured_log
from xip_worker.messages import Identity
from xip_worker.pricing import PricingEvaluator
from xip_worker.settings import Settings

LOOK_S = 0.0005
CANCEL_AFTER_S_MAX = 0.6
"""The sample takes about a second on one slot: cancels hit resolving, calibrating and valuing."""


async def until(is_true: Callable[[], bool]) -> None:
    """Looks at what tells nobody when it changes."""
    while True:
        if is_true():
            return
        await asyncio.sleep(LOOK_S)


async def cancel_once(client: Client, daemon: Daemon, submission: Awaitable[Run], delay_s: float) -> float | None:
    """Milliseconds from CancelRun to a free slot; None when the run was over before."""

    def is_busy() -> bool:
        return daemon._core._slots[0] is not None

    run = await submission
    await until(is_busy)
    await asyncio.sleep(delay_s)
    await until(lambda: is_busy() or not daemon._core._held)
    if not is_busy():
        return None
    begun_s = time.perf_counter()
    cancelling = asyncio.ensure_future(client.cancel(run.run_id, "bench"))
    await until(lambda: not is_busy())
    elapsed_s = time.perf_counter() - begun_s
    await cancelling
    await until(lambda: not daemon._core._held)
    return 1e3 * elapsed_s


async def measure(address: str, cancel_count: int) -> dict[str, dict[str, float]]:
    evaluator = PricingEvaluator()
    evaluator.warm_up()
    settings = Settings((address,), 1, 1 << 28, 1 << 28, 1.0, "error")
    identity = Identity("bench", 1, "v3", "0", "localhost", 1, announced())
    daemon = Daemon(settings, identity, evaluator, configured_log("error"))
    running = asyncio.ensure_future(daemon.run())
    chance, sample = random.Random(1), samples.load("cross-asset")
    lines = sample.book.split(b"\n")
    figures: dict[str, list[float]] = {"sample": [], "probe": []}
    async with Client(address) as client:
        for number in range(cancel_count):
            book = b"\n".join(lines[number:] + lines[:number])
            market = _moved(sample.market, number)
            delay_s = CANCEL_AFTER_S_MAX * chance.random()
            spec = RunSpec(name="probe", work=ProbeWork("probe.spin", 1, tile_duration_s=60.0))
            for kind, submission in (
                (
                    "sample",
                    client.submit(
                        book, market, sample.scenarios, request_id=f"sample-{number}", is_reusing=False
                    ),
                ),
                ("probe", client.submit_spec(spec, request_id=f"probe-{number}")),
            ):
                if (elapsed_ms := await cancel_once(client, daemon, submission, delay_s)) is not None:
                    figures[kind].append(elapsed_ms)
    running.cancel()
    return {kind: summary(found) for kind, found in figures.items()}


def summary(milliseconds: list[float]) -> dict[str, float]:
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {
        "cancels": len(milliseconds),
        "median_ms": round(percentiles[49], 1),
        "p99_ms": round(percentiles[98], 1),
        "longest_ms": round(max(milliseconds), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cancels", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xip-bench-", dir=".") as directory:
        port_file = Path(directory) / "port"
        scheduler = _start_scheduler(Path(directory), port_file, "")
        try:
            address = f"127.0.0.1:{_wait_for_port(port_file, scheduler)}"
            print(json.dumps(asyncio.run(measure(address, arguments.cancels)), indent=1))
        finally:
            scheduler.terminate()
            scheduler.wait(timeout=30)


if __name__ == "__main__":
    main()
