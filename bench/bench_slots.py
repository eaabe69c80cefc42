"""What a second slot is worth: `python -m pytest bench/bench_slots.py --benchmark-only`.

Slots are threads. The same work is done by one thread and, split in two, by two at once; `gain` is the time of one over
the time of two, the median of some rounds: 2 where nothing at all is shared.

What two cores of this machine can do is less: they share a cache, the memory's bandwidth and a clock that falls when
both are busy, and beside them other programs work. So in the same rounds two processes, forked before the clock, do
the work of the two threads: they share all that and no lock. `gain_of_processes` is their gain, `of_processes` what
threads reach of it, the median of the rounds' ratios: 1 where no lock is left. Each has a core of its own, otherwise
the kernel may wake a thread on the core of the one that gave the lock away, where it waits for that one's time to end.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import xip_core
from bench.var_book import joint_scenarios, sample_market, swap_book, vanilla_book
from tests.core.kernels.american_book import american_book
from tests.core.pricing.test_evaluate import Inputs
from xip_core import samples
from xip_core.graph.plan import NodeKind, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.run_spec import Detail, RiskWork, RunSpec
from xip_core.model.scenario import ScenarioSet, decode_scenarios
from xip_core.model.trade import decode_trade
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import resolve_lines, resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.wire.convert import encode_block
from xip_worker.memory import keep_freed_memory

Work = Callable[[], object]
ROUNDS = 7
ROUND_DURATION_S = 0.5
"""Of one thread; long enough that starting the second does not matter."""


def cores() -> Iterator[int]:
    """Those this process may use, again and again."""
    return itertools.cycle(sorted(os.sched_getaffinity(0)))


def seconds(works: list[Work]) -> float:
    """Of all works, each in a thread of its own, from the moment they start together."""
    ready = threading.Barrier(len(works) + 1)

    def run(core: int, work: Work) -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        ready.wait()
        work()

    threads = [threading.Thread(target=run, args=placed) for placed in zip(cores(), works, strict=False)]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def seconds_of_processes(works: list[Work]) -> float:
    """Of all works, each in a forked process of its own, from the first begin to the last end."""
    context = multiprocessing.get_context("fork")
    ready, spans = context.Barrier(len(works)), context.SimpleQueue()

    def run(core: int, work: Work) -> None:
        os.sched_setaffinity(0, {core})
        work()  # the memory that fork shares is copied where it is written to: before the clock
        ready.wait()
        begin = time.perf_counter()
        work()
        spans.put((begin, time.perf_counter()))  # one clock for all processes of the machine

    processes = [context.Process(target=run, args=placed) for placed in zip(cores(), works, strict=False)]
    for process in processes:
        process.start()
    begins, ends = zip(*(spans.get() for _ in works), strict=True)
    for process in processes:
        process.join()
    return max(ends) - min(begins)


def repeated(work: Work, count: int) -> Work:
    def run() -> None:
        for _ in range(count):
            work()

    return run


def european() -> Work:
    draw = np.random.default_rng(1)
    spot, strike, volatility = draw.uniform(50.0, 150.0, (3, 20_000))
    fields: dict[str, Any] = {"spot": spot, "strike": strike, "volatility": volatility / 300.0}
    fields |= {"time": 0.5, "rate": 0.02, "dividend_yield": 0.01, "is_call": 1.0}
    return lambda: xip_core.evaluate("equity.european", **fields)


def american() -> Work:
    book = american_book(2_000)
    return lambda: xip_core.evaluate("equity.american", **book)


def sample_parts() -> tuple[Any, SnapshotLayout, Any, list[Any]]:
    sample = samples.load("cross-asset")
    snapshot = decode_snapshot(sample.market)
    trades = [decode_trade(line) for line in sample.book.splitlines()]
    return snapshot, SnapshotLayout(snapshot), decode_scenarios(sample.scenarios), trades


def values_of_swaps() -> Work:
    snapshot, layout, scenarios, trades = sample_parts()
    market = calibrate_tile(snapshot, layout, scenarios, 0, 64)["market"]
    columns = resolve_rows([trade for trade in trades if type(trade).__name__ == "Swap"][:100], MarketView(layout))
    return lambda: row_values(columns, market)


def values_of_options() -> Work:
    snapshot, layout, scenarios, trades = sample_parts()
    market = calibrate_tile(snapshot, layout, scenarios, 0, 64)["market"]
    names = ("FxOption", "EquityOption", "CommodityOption")
    columns = resolve_rows([trade for trade in trades if type(trade).__name__ in names][:300], MarketView(layout))
    return lambda: row_values(columns, market)


def calibration() -> Work:
    snapshot, layout, scenarios, _ = sample_parts()
    calibrate_tile(snapshot, layout, scenarios, 0, 32)
    return lambda: calibrated_anew(snapshot, layout, scenarios, 32, 64)


def calibration_of_joint_moves() -> Work:
    """Every rate, spot and volatility of every scenario moves, as in a historical simulation."""
    snapshot, layout, _, _ = sample_parts()
    scenarios = decode_scenarios(joint_scenarios(128))
    calibrate_tile(snapshot, layout, scenarios, 0, 64)
    return lambda: calibrated_anew(snapshot, layout, scenarios, 64, 128)


def calibrated_anew(snapshot: Snapshot, layout: SnapshotLayout, scenarios: ScenarioSet, begin: int, end: int) -> None:
    """Without what is known of the same block from the time before."""
    layout.derived.pop("known_blocks", None)
    calibrate_tile(snapshot, layout, scenarios, begin, end)


def value_tiles() -> Work:
    """A tile of each value node but its base block, as a worker evaluates and encodes it."""
    blobs = {digest_of(blob): blob for blob in (vanilla_book(20_000), sample_market(), joint_scenarios(128))}
    book, market, scenarios = blobs
    work = RiskWork(
        book_digest=book, market_digest=market, scenarios_digest=scenarios, measures=("pv",), base_currency="EUR",
        as_of=decode_snapshot(blobs[market]).as_of.isoformat(), detail=Detail.NONE,
    )  # fmt: skip
    inputs = Inputs(blobs)
    plan = plan_run(RunSpec(name="slots", work=work), inputs.blob)
    for node in plan.nodes:
        if node.kind in (NodeKind.RESOLVE, NodeKind.CALIBRATE):
            for tile in range(node.tile_count):
                value = evaluate_tile(plan, node.node_id, tile, inputs, lambda: False)
                inputs.outputs[node.node_id, tile] = value.output
    nodes = [node.node_id for node in plan.nodes if node.kind is NodeKind.VALUE]

    def evaluate() -> None:
        for node_id in nodes:
            encode_block(evaluate_tile(plan, node_id, 1, inputs, lambda: False).output)

    return evaluate


def resolving() -> Work:
    """A resolve tile of the VaR run: lines of swaps to their row program."""
    view = MarketView(sample_parts()[1])
    lines = swap_book(1_000).split(b"\n")
    return lambda: resolve_lines(lines, view)


CASES: dict[str, Callable[[], Work]] = {
    "equity.european, tables of 20,000 rows": european,
    "equity.american, tables of 2,000 rows": american,
    "values of 100 swaps under 64 scenarios": values_of_swaps,
    "values of 300 options under 64 scenarios": values_of_options,
    "calibration of 32 scenarios of the sample's market": calibration,
    "calibration of 64 joint moves of it": calibration_of_joint_moves,
    "value tiles of 20,000 mixed vanilla trades": value_tiles,
    "resolving 1,000 lines of swaps": resolving,
}


@pytest.mark.parametrize("case", CASES)
def test_two_slots_against_one(benchmark: Any, case: str) -> None:
    keep_freed_memory()  # as a worker's first act
    work = CASES[case]()
    work()
    count = max(1, round(0.5 * ROUND_DURATION_S / seconds([work])))
    gains, gains_of_processes = [], []
    for _ in range(ROUNDS):  # in turn, so that what else the machine does meets all
        one = seconds([repeated(work, 2 * count)])
        gains.append(one / seconds([repeated(work, count)] * 2))
        gains_of_processes.append(one / seconds_of_processes([repeated(work, count)] * 2))
    ratios = [threads / processes for threads, processes in zip(gains, gains_of_processes, strict=True)]
    for name, found in (("gain", gains), ("gain_of_processes", gains_of_processes), ("of_processes", ratios)):
        benchmark.extra_info[name] = round(statistics.median(found), 2)
        benchmark.extra_info[f"{name}_sorted"] = [round(value, 2) for value in sorted(found)]
    benchmark.pedantic(work, rounds=3)
