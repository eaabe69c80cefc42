"""What does a worker do before it computes at full speed: its first calibrate tile, its first resolve tile, a book?

    python -m bench.bench_first_tiles [--trades 100000] [--scenarios 500] [--rounds 5]

The VaR run of `bench_var`, each piece in fresh processes that warmed up as a worker does, in turns; medians, in
milliseconds of CPU of a thread unless said otherwise:

    warming up          before the first lease, in the background
    calibrate           layout, equations of all curves, base market and the first block of scenarios; the second block
    resolve             snapshot, layout, line ends of the book and the first tile; the second
    download            the book from a real scheduler: event loop, slot (its hash is in that), wall time
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import grpc.aio

from bench.bench_throughput import grid
from bench.bench_var import AGGREGATES
from bench.var_book import joint_scenarios, sample_market, vanilla_book
from xip_core.client import connect_sync
from xip_core.graph.plan import NodeKind, Plan, decode_plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import decode_snapshot
from xip_core.model.run_spec import Detail, RiskWork, RunSpec
from xip_core.pricing.tile import Columns
from xip_core.wire.v1.blob_pb2_grpc import BlobServiceStub
from xip_worker.cache import BlobCache, Memo
from xip_worker.connection import CHANNEL_OPTIONS
from xip_worker.fetch import Fetcher
from xip_worker.main import GC_THRESHOLD, SWITCH_INTERVAL_S
from xip_worker.memory import keep_freed_memory
from xip_worker.pricing import PricingEvaluator

Figures = dict[str, float]


class Blobs:
    """TileData of tiles that read blobs alone, kept as a worker does."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs
        self._memo = Memo()

    def blob(self, digest: str) -> bytes:
        return self._blobs[digest]

    def output(self, node_id: int, tile: int) -> Columns:
        raise AssertionError((node_id, tile))

    def memo(self, key: tuple[object, ...], make: Callable[[], object]) -> object:
        return self._memo.get(key, make)


def first_tiles(kind: NodeKind, plan_bytes: bytes, blobs: Mapping[str, bytes]) -> Figures:
    """Of a fresh process: the first two tiles of the first node of a kind."""
    evaluator = begun_worker()
    begin_s = time.thread_time()
    evaluator.warm_up()
    figures = {"warming up": elapsed_ms(begin_s)}
    plan, data = decode_plan(plan_bytes), Blobs(blobs)
    nodes = [node for node in plan.nodes if node.kind is kind]
    tiles = [(node.node_id, tile) for node in nodes for tile in range(node.tile_count)][:2]
    for name, (node_id, tile) in zip(("first", "second"), tiles, strict=True):
        begin_s = time.thread_time()
        evaluator.evaluate_tile(plan, node_id, tile, data, lambda: False)
        figures[f"{kind.name.lower()}, {name}"] = elapsed_ms(begin_s)
    return figures


def download(address: str, digest: str) -> Figures:
    """Of a fresh process: a book from the scheduler there."""
    begun_worker()
    figures: Figures = {}

    def fetch(fetcher: Fetcher) -> None:
        begin_s, wall_s = time.thread_time(), time.perf_counter()
        BlobCache().get(digest, lambda digest: fetcher.blob(digest, lambda: False))
        figures["download, slot"] = elapsed_ms(begin_s)
        figures["download, wall time"] = (time.perf_counter() - wall_s) * 1e3

    async def serve() -> None:
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            await channel.channel_ready()
            fetcher = Fetcher(asyncio.get_running_loop())
            fetcher.attach(BlobServiceStub(channel))
            begin_s = time.thread_time()
            slot = threading.Thread(target=fetch, args=(fetcher,))
            slot.start()
            await asyncio.to_thread(slot.join)
            figures["download, event loop"] = elapsed_ms(begin_s)

    asyncio.run(serve())
    return figures


def begun_worker() -> PricingEvaluator:
    """This process set up as `xip_worker.main` does it."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_freed_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    return PricingEvaluator()


def elapsed_ms(begin_s: float) -> float:
    """CPU of this thread since then."""
    return (time.thread_time() - begin_s) * 1e3


def first_tiles_figures(trade_count: int, scenario_count: int, round_count: int) -> dict[str, float]:
    """Median of each figure."""
    inputs = vanilla_book(trade_count), sample_market(), joint_scenarios(scenario_count)
    book, market, scenarios = map(digest_of, inputs)
    blobs = dict(zip((book, market, scenarios), inputs, strict=True))
    plan = planned(blobs, book, market, scenarios).encode()
    rounds: list[Figures] = []
    with grid(".", worker_count=0, slot_count=1, profile="") as (address, _), connect_sync(address) as client:
        client.upload(*inputs)
        for _ in range(round_count):
            rounds.append(fresh(first_tiles, NodeKind.CALIBRATE, plan, blobs))
            rounds.append(fresh(first_tiles, NodeKind.RESOLVE, plan, blobs))
            rounds.append(fresh(download, address, book))
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: round(statistics.median(one[name] for one in rounds if name in one), 1) for name in names}


def planned(blobs: Mapping[str, bytes], book: str, market: str, scenarios: str) -> Plan:
    snapshot = decode_snapshot(blobs[market])
    work = RiskWork(
        book_digest=book,
        market_digest=market,
        scenarios_digest=scenarios,
        as_of=snapshot.as_of.isoformat(),
        base_currency=snapshot.base_currency,
        measures=("pv",),
        aggregates=AGGREGATES,
        detail=Detail.NONE,
    )
    return plan_run(RunSpec(name="first tiles", work=work), blobs.__getitem__)


def fresh(work: Callable[..., Figures], *arguments: Any) -> Figures:
    """What *work* gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(first_tiles_figures(arguments.trades, arguments.scenarios, arguments.rounds), indent=2))


if __name__ == "__main__":
    main()
