"""The run the platform is built for, small: 100,000 mixed vanilla trades under 500 scenarios, VaR by desk.

    python -m bench.bench_var [--trades 100000] [--scenarios 500] [--slots 2] [--json FILE]
    python -m pytest bench/bench_var.py --benchmark-only

A scheduler process and a worker process on loopback. The clock of a run goes from SubmitRun to its final state; books
and markets are uploaded before, as a desk's are. In the order in which they are printed:

    full        the run, nothing known before
    ticks       the same book a moment later, the quotes of one curve moved: each curve in turn, compared with the full
                run. `cone` is the part of the book's cost that needs what the curve reaches (`var_cones`), `share` the
                time as a part of that of the full run
    one slot    the full run again on a worker of one slot; the scheduler still has a core of its own
    one core    the same with both processes on one core: what a second core with a second slot is held against

Daemons live long, so a run begins when both are idle, their imports done. The first run finds nothing of its book,
market or scenarios known.
Memory is the sum over both processes of the largest resident sets; the client's is told apart. CPU is what the
processes used during the run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.bench_throughput import cpu_s, grid
from bench.var_book import joint_scenarios, sample_market, vanilla_book
from bench.var_cones import Run, cone_share, runs_of
from xip_core.client import connect_sync
from xip_core.client.sync import SyncClient
from xip_core.graph.reuse import market_change
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.run_spec import Detail
from xip_core.model.scenario import Scenario, ScenarioMarket, Shift

RUN_LIMIT_S = 600.0
IDLE_S = 0.3
TICKED_CURVE = "GBP6M"
"""Of benches that tick one curve."""

AGGREGATES = (Aggregate(measure="var", by=("desk",), q=0.99),)


def test_value_at_risk_by_desk(benchmark: Any) -> None:
    figures: dict[str, Any] = {}

    def measure() -> None:
        figures.update(var_figures(100_000, 500, 2))

    benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(figures)


def var_figures(trade_count: int, scenario_count: int, slot_count: int) -> dict[str, Any]:
    """Figures by the name of the run."""
    book, market, scenarios = vanilla_book(trade_count), sample_market(), joint_scenarios(scenario_count)
    figures: dict[str, Any] = {}
    two_slots = grid(".", worker_count=1, slot_count=slot_count, profile="")
    with two_slots as (address, processes), connect_sync(address) as client:
        full = figures["full"] = measured(client, processes, "full", book, market, scenarios)
        figures["ticks"] = {
            name: ticked_figures(client, processes, name, full, (book, market, scenarios), runs)
            for runs in (runs_of(book, decode_snapshot(market)),)
            for name in quoted_curves(market)
        }
    for what in ("cone", "share", "cpu_share"):
        of_ticks = sorted(tick[what] for tick in figures["ticks"].values())
        figures[f"{what} of a tick: median, worst"] = statistics.median(of_ticks), of_ticks[-1]
    for name, cores in (("one slot", os.sched_getaffinity(0)), ("one core", {min(os.sched_getaffinity(0))})):
        one_slot = grid(".", worker_count=1, slot_count=1, profile="")
        with one_slot as (address, processes), connect_sync(address) as client:
            for pid in processes.values():
                pin(pid, cores)
            figures[name] = measured(client, processes, name, book, market, scenarios)
        figures[f"gain over {name}"] = round(figures[name]["elapsed_s"] / full["elapsed_s"], 2)
    return figures


def pin(pid: int, cores: set[int]) -> None:
    """Keep all threads of a process on *cores*."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def wait_until_idle(processes: dict[str, int]) -> None:
    """Until no process has used its CPU for a while."""
    used_s = -1.0
    while (now_s := sum(map(cpu_s, processes.values()))) > used_s:
        used_s = now_s
        time.sleep(IDLE_S)


def quoted_curves(market: bytes) -> list[str]:
    """Curves that have quotes to be moved."""
    snapshot = decode_snapshot(market)
    seen = ScenarioMarket(snapshot)
    return [curve.name for curve in snapshot.curves if seen.changed_quotes(one_curve_move(curve.name))]


def one_curve_move(curve: str) -> Scenario:
    return Scenario(name="tick", shifts=(Shift(target="curve", name=curve, shift_bps=1.0),))


def ticked_figures(
    client: SyncClient,
    processes: dict[str, int],
    curve: str,
    full: dict[str, Any],
    inputs: tuple[bytes, bytes, bytes],
    runs: list[Run],
) -> dict[str, Any]:
    """Of the run after a tick of *curve*, beside those of the run before."""
    book, market, scenarios = inputs
    ticked = one_curve_tick(market, curve)
    tick = measured(client, processes, f"tick {curve}", book, ticked, scenarios, since=full["run_id"])
    reached = market_change(decode_snapshot(market), decode_snapshot(ticked)).objects
    return {
        "cone": round(cone_share(runs, reached), 3),
        "tiles": tick["tiles_computed"],
        "cpu_s": round(sum(tick["cpu_s"].values()), 2),
        "elapsed_s": tick["elapsed_s"],
        "share": round(tick["elapsed_s"] / full["elapsed_s"], 3),
        "cpu_share": round(sum(tick["cpu_s"].values()) / sum(full["cpu_s"].values()), 3),
    }


def one_curve_tick(market: bytes, curve: str = TICKED_CURVE) -> bytes:
    """The market with the quotes of one curve a basis point higher."""
    snapshot = decode_snapshot(market)
    quotes = snapshot.quotes | ScenarioMarket(snapshot).changed_quotes(one_curve_move(curve))
    return encode_snapshot(msgspec.structs.replace(snapshot, quotes=quotes))


def measured(
    client: SyncClient,
    processes: dict[str, int],
    name: str,
    book: bytes,
    market: bytes,
    scenarios: bytes,
    since: str = "",
) -> dict[str, Any]:
    """One run: seconds, CPU and memory of each process, cells."""
    client.upload(book, market, scenarios)
    wait_until_idle(processes)
    before_s = {process: cpu_s(pid) for process, pid in processes.items()}
    begin_s = time.perf_counter()
    run = client.submit(
        book, market, scenarios, ("pv",), request_id=name, aggregates=AGGREGATES, detail=Detail.NONE, since=since
    )
    submitted_s = time.perf_counter()
    run = client.wait(run.run_id, timeout_s=RUN_LIMIT_S)
    end_s = time.perf_counter()
    assert run.state.is_final, run.state
    used_s = {process: round(cpu_s(pid) - before_s[process], 2) for process, pid in processes.items()}
    return {
        "run_id": run.run_id,
        "state": run.state.label,
        "cells": run.cell_count,
        "cells_quarantined": run.cells_quarantined,
        "elapsed_s": round(end_s - begin_s, 2),
        "submitting_s": round(submitted_s - begin_s, 2),
        "cpu_s": used_s,
        "scheduler_share": round(used_s["scheduler"] / sum(used_s.values()), 4),
        "peak_memory_mb": {process: peak_memory_mb(pid) for process, pid in processes.items()},
        "tiles_computed": sum(node.tile_count - node.tiles_reused for node in run.nodes),
        "tiles": {node.name: node.tile_count for node in run.nodes},
    }


def peak_memory_mb(pid: int) -> int:
    """Largest resident set until now."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--slots", type=int, default=2)
    arguments = parser.parse_args()
    print(json.dumps(var_figures(arguments.trades, arguments.scenarios, arguments.slots), indent=2))


if __name__ == "__main__":
    main()
