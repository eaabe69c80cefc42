"""What does a one-tile partition cost a worker?

    python -m pytest bench/bench_worker.py --benchmark-only --benchmark-json=bench/results/worker.json
    python -m bench.bench_worker [--window 512] [--partitions 200000] [--slots 1] [--profile]

A feeder in a process of its own keeps WINDOW one-tile leases with the worker and answers each message of results with
an acknowledgement and as many new leases. The worker is the real daemon, in this process, so that its CPU time can be
read. Printed as JSON, and in `extra_info` of the benchmark; the scheduler's side of the same road is bench_throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from xip_core.graph.plan import Node, NodeKind, Plan, digest_of
from xip_core.wire.v1 import blob_pb2, blob_pb2_grpc, worker_pb2, worker_pb2_grpc
from xip_worker.daemon import Daemon, resident_bytes
from xip_worker.logs import configured_log
from xip_worker.messages import Identity
from xip_worker.pricing import PricingEvaluator
from xip_worker.settings import Settings

PLAN = Plan(
    nodes=(Node(0, "probe", NodeKind.PROBE, "probe.noop", "1", tile_count=1 << 40, cost_s=1e-6, tiles_per_lease=1),),
    cell_count=1 << 40,
)


PLAN_DIGEST = bytes.fromhex(digest_of(PLAN.encode()))


class Feeder(worker_pb2_grpc.WorkerServiceServicer, blob_pb2_grpc.BlobServiceServicer):
    """Leases one tile at a time, WINDOW of them outstanding, until the count is reached."""

    def __init__(self, window: int, partition_count: int) -> None:
        self._window = window
        self._partition_count = partition_count
        self._granted = 0

    def _leases(self, count: int) -> worker_pb2.AttachResponse:
        begin = self._granted
        self._granted += count
        return worker_pb2.AttachResponse(
            leases=worker_pb2.Leases(
                leases=[
                    worker_pb2.Lease(
                        epoch=tile + 1, run_id="run-1", tile_begin=tile, tile_end=tile + 1, plan_digest=PLAN_DIGEST
                    )
                    for tile in range(begin, begin + count)
                ]
            )
        )

    async def Attach(self, requests: Any, context: Any) -> AsyncIterator[worker_pb2.AttachResponse]:  # noqa: N802 - gRPC
        done = 0
        begun_s = 0.0
        cpu_s = 0.0
        async for request in requests:
            match request.WhichOneof("message"):
                case "hello":
                    yield worker_pb2.AttachResponse(
                        welcome=worker_pb2.Welcome(term=1, heartbeat_interval_s=1.0, lease_duration_s=30.0)
                    )
                    yield self._leases(1)
                case "results":
                    count = len(request.results.results)
                    done += count
                    if done == 1:
                        begun_s, cpu_s = time.perf_counter(), time.process_time()
                        yield self._leases(self._window - 1)
                    yield worker_pb2.AttachResponse(
                        acknowledged=worker_pb2.ResultsAcknowledged(sequence=request.results.sequence)
                    )
                    if done >= self._partition_count:
                        wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
                        print(f"{done} {wall_s} {cpu_s} {request.results.sequence}", flush=True)
                        return
                    yield self._leases(count)

    async def Download(self, request: Any, context: Any) -> AsyncIterator[blob_pb2.DownloadResponse]:  # noqa: N802 - gRPC
        yield blob_pb2.DownloadResponse(chunk=PLAN.encode())


async def serve(window: int, partition_count: int) -> None:
    server = grpc.aio.server()
    feeder = Feeder(window, partition_count)
    worker_pb2_grpc.add_WorkerServiceServicer_to_server(feeder, server)
    blob_pb2_grpc.add_BlobServiceServicer_to_server(feeder, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def work(port: int, slot_count: int, line: asyncio.Future[str]) -> dict[str, int | float]:
    settings = Settings((f"127.0.0.1:{port}",), slot_count, 1 << 26, 1 << 26, 1.0, "warning")
    identity = Identity("bench", slot_count, "v3", "0", "localhost", 1, {})
    evaluator = PricingEvaluator()
    evaluator.warm_up()  # before the clock starts: a worker does it once
    daemon = Daemon(settings, identity, evaluator, configured_log("error"))
    begun_s = time.process_time()
    running = asyncio.ensure_future(daemon.run())
    done, wall_s, scheduler_cpu_s, messages = (await line).split()
    cpu_s = time.process_time() - begun_s
    count = int(done)
    figures = {
        "partitions_per_s": round(count / float(wall_s)),
        "worker_cpu_us": round(cpu_s / count * 1e6, 1),
        "feeder_cpu_us": round(float(scheduler_cpu_s) / count * 1e6, 1),
        "partitions_per_message": round(count / int(messages)),
        "worker_resident_mb": round(resident_bytes() / 1e6),
    }
    running.cancel()
    return figures


async def measure(window: int, partition_count: int, slot_count: int) -> dict[str, int | float]:
    options = ["--serve", "--window", str(window), "--partitions", str(partition_count)]
    command = [sys.executable, "-m", "bench.bench_worker", *options]
    feeder = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert feeder.stdout is not None
    port = int(await feeder.stdout.readline())

    async def last_line() -> str:
        assert feeder.stdout is not None
        return (await feeder.stdout.readline()).decode()

    try:
        return await work(port, slot_count, asyncio.ensure_future(last_line()))
    finally:
        feeder.terminate()
        await feeder.wait()


@pytest.mark.parametrize("slot_count", [1, 2])
def test_one_tile_partitions_of_a_worker(benchmark: Any, slot_count: int) -> None:
    rounds: list[dict[str, int | float]] = []
    benchmark.pedantic(lambda: rounds.append(asyncio.run(measure(512, 50_000, slot_count))), rounds=3)
    rounds.sort(key=lambda figures: figures["partitions_per_s"])
    benchmark.extra_info.update(rounds[len(rounds) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--partitions", type=int, default=200_000)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help="where the event loop's thread spends its time")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.window, options.partitions))
        return
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    print(json.dumps(asyncio.run(measure(options.window, options.partitions, options.slots))))
    if options.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
