"""How many one-tile partitions a second go through a real scheduler and real workers?

    python -m pytest bench/bench_throughput.py --benchmark-only --benchmark-json=bench/results/throughput.json
    python -m bench.bench_throughput [--tiles 200000] [--workers 2] [--profile FILE]      one run, or a profile of it

A scheduler process with its journal on disk and worker processes, all on loopback, evaluate a probe.noop run whose
leases are of one tile each: every tile costs a grant, a lease on the wire, an evaluation of nothing, a result on the
wire, a durable record and an acknowledgement. The clock runs from SubmitRun to the final state of the run.

Printed as JSON, and in `extra_info` of the benchmark: partitions a second, and the CPU time of each process per
partition, which tells where the rest is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import grpc

from xip_core.wire.v1 import run_pb2, run_pb2_grpc, worker_pb2, worker_pb2_grpc

START_PATIENCE_S = 20.0


TILES_PER_ROUND = 100_000
ROUNDS = 3


def test_one_tile_partitions_end_to_end(benchmark: Any) -> None:
    """Two workers of a slot each; the figure is the median round."""
    rounds: list[dict[str, Any]] = []
    with (
        grid(".", worker_count=2, slot_count=1, profile="") as (address, processes),
        grpc.insecure_channel(address) as channel,
    ):
        _measure(channel, 10_000, processes, "warm up")

        def measure() -> None:
            rounds.append(_measure(channel, TILES_PER_ROUND, processes, f"round {len(rounds)}"))

        benchmark.pedantic(measure, rounds=ROUNDS)
    rounds.sort(key=lambda figures: figures["partitions_per_s"])
    benchmark.extra_info.update(rounds[len(rounds) // 2])


def main() -> None:
    arguments = _arguments()
    with (
        grid(arguments.directory, arguments.workers, arguments.slots, arguments.profile) as (address, processes),
        grpc.insecure_channel(address) as channel,
    ):
        print(json.dumps(_measure(channel, arguments.tiles, processes, "throughput")))


@contextlib.contextmanager
def grid(
    parent: str, worker_count: int, slot_count: int, profile: str, metrics_port: int = 0
) -> Iterator[tuple[str, dict[str, int]]]:
    """The address of a scheduler with workers attached, and the process ids by name."""
    with tempfile.TemporaryDirectory(prefix="xip-bench-", dir=parent) as directory:
        port_file = Path(directory) / "port"
        scheduler = _start_scheduler(Path(directory), port_file, profile, metrics_port)
        workers: list[subprocess.Popen[bytes]] = []
        try:
            address = f"127.0.0.1:{_wait_for_port(port_file, scheduler)}"
            command = [sys.executable, "-m", "xip_worker", "--scheduler", address, "--slots", str(slot_count)]
            workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(worker_count)]
            processes = {"scheduler": scheduler.pid} | {
                f"worker {number}": worker.pid for number, worker in enumerate(workers, start=1)
            }
            with grpc.insecure_channel(address) as channel:
                _wait_for_workers(channel, worker_count)
            yield address, processes
        finally:
            for process in [*workers, scheduler]:
                process.send_signal(signal.SIGTERM)
            for process in [*workers, scheduler]:
                process.wait(timeout=30)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--directory", default=".", help="where the journal is kept; a real disk, not a tmpfs")
    parser.add_argument("--profile", default="", help="profile the scheduler with cProfile into this file")
    return parser.parse_args()


def _start_scheduler(
    directory: Path, port_file: Path, profile: str, metrics_port: int
) -> subprocess.Popen[bytes]:
    profiler = ["-m", "cProfile", "-o", profile] if profile else []
    options = {
        "--listen": "127.0.0.1:0",
        "--port-file": str(port_file),
        "--data-dir": str(directory / "data"),
        "--log-level": "error",
        "--metrics-port": str(metrics_port),
    }
    command = [sys.executable, *profiler, "-m", "xip_scheduler", *chain.from_iterable(options.items())]
    return subprocess.Popen(command)


def _wait_for_port(port_file: Path, scheduler: subprocess.Popen[bytes]) -> int:
    deadline_s = time.monotonic() + START_PATIENCE_S
    while not port_file.exists():
        if scheduler.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit("the scheduler did not start")
        time.sleep(0.01)
    return int(port_file.read_text())


def _wait_for_workers(channel: grpc.Channel, count: int) -> None:
    stub = worker_pb2_grpc.WorkerServiceStub(channel)
    deadline_s = time.monotonic() + START_PATIENCE_S
    while len(stub.ListWorkers(worker_pb2.ListWorkersRequest()).workers) < count:
        if time.monotonic() > deadline_s:
            raise SystemExit("the workers did not attach")
        time.sleep(0.05)


def _measure(channel: grpc.Channel, tile_count: int, processes: dict[str, int], request_id: str) -> dict[str, Any]:
    stub = run_pb2_grpc.RunServiceStub(channel)
    probe = run_pb2.ProbeWork(kernel="probe.noop", tile_count=tile_count, tiles_per_lease=1)
    before_s = {name: cpu_s(pid) for name, pid in processes.items()}
    begin_s = time.perf_counter()
    spec = run_pb2.RunSpec(name="throughput", probe=probe)
    run = stub.SubmitRun(run_pb2.SubmitRunRequest(request_id=request_id, spec=spec)).run
    for response in stub.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id)):
        run = response.run
    elapsed_s = time.perf_counter() - begin_s
    if run.state != run_pb2.RUN_STATE_COMPLETED:
        raise SystemExit(f"the run ended in state {run.state}: {run.message}")
    return {
        "partitions_per_s": round(tile_count / elapsed_s),
        "elapsed_s": round(elapsed_s, 3),
        "cpu_us_per_partition": {
            name: round((cpu_s(pid) - before_s[name]) / tile_count * 1e6, 2) for name, pid in processes.items()
        },
    }


def cpu_s(pid: int) -> float:
    """Processor time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
