"""How many rows a second go through the grid when a desk has one kernel evaluated over a table?

    python -m pytest bench/bench_kernel_table.py --benchmark-only --benchmark-json=bench/results/kernel_table.json
    python -m bench.bench_kernel_table [--rows 1000000] [--workers 2]

`equity.european`, PV and all Greeks of a million options: a scheduler with its journal on disk and worker processes on
loopback. Each round draws other numbers, so nothing is known before. Timed from the call of `submit_kernel` until every
number is in the caller's arrays: encode, upload, plan, fetch, evaluate, encode, record (fsync), stream, decode.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np

from bench.bench_throughput import cpu_s, grid
from xip_core.client import connect
from xip_core.client.sync import SyncClient

ROW_COUNT = 1_000_000
ROUNDS = 5


def test_rows_of_equity_european_through_the_grid(benchmark: Any) -> None:
    """Two workers of a slot each; the figure is the median round."""
    with grid(".", worker_count=2, slot_count=1, profile="") as (address, processes), connect(address) as client:
        _measure(client, processes, 50_000, seed=0)  # workers load their kernels
        figures: list[dict[str, Any]] = []
        benchmark.pedantic(
            lambda: figures.append(_measure(client, processes, ROW_COUNT, len(figures) + 1)), rounds=ROUNDS
        )
        figures.sort(key=lambda figure: figure["rows_per_s"])
        benchmark.extra_info.update(figures[ROUNDS // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROW_COUNT)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with grid(".", arguments.workers, 1, "") as (address, processes), connect(address) as client:
        for seed in range(4):
            print(json.dumps(_measure(client, processes, arguments.rows, seed)))


def _measure(client: SyncClient, processes: dict[str, int], row_count: int, seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    columns = {
        "spot": draw.uniform(80.0, 120.0, row_count),
        "strike": 100.0,
        "time": draw.uniform(0.1, 5.0, row_count),
        "rate": 0.02,
        "dividend_yield": 0.01,
        "volatility": draw.uniform(0.05, 0.6, row_count),
        "is_call": draw.integers(0, 2, row_count),
    }
    watched = {"client": os.getpid()} | processes
    before_s = {name: cpu_s(pid) for name, pid in watched.items()}
    begin_s = time.perf_counter()
    run = client.submit_kernel("equity.european", columns)
    submitted_s = time.perf_counter()
    numbers = client.table_results(run.run_id).to_numpy()
    end_s = time.perf_counter()
    assert not numbers.status.any()
    final = client.run(run.run_id)
    return {
        "rows_per_s": round(row_count / (end_s - begin_s)),
        "submit_s": round(submitted_s - begin_s, 3),
        "compute_and_stream_s": round(end_s - submitted_s, 3),
        "tiles": final.nodes[0].tile_count,
        "cpu_us_per_row": {
            name: round((cpu_s(pid) - before_s[name]) / row_count * 1e6, 2) for name, pid in watched.items()
        },
    }


if __name__ == "__main__":
    main()
