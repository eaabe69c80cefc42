"""What do results cost the scheduler while a run goes on: per commit, per lease and per tile?

    python -m bench.bench_messages [--trades 100000] [--scenarios 500] [--slots 2] [--rounds 3]
    python -m pytest bench/bench_messages.py --benchmark-only

The VaR run of `bench_var`, each round on a scheduler and a worker of its own; the figures are those of the round with
the median CPU. The clock runs from the accepted submission to the final state, so planning is not in it; the worker's
downloads of book, market and scenarios are. Counts come from the scheduler's metrics: a commit carries what came in
while the one before ran, so with one worker it is a message, nearly always.

CPU time is told by thread: the event loop (gRPC, core, answers), the store's (SQLite and its syncs), the others (gRPC's
own, and those that read blobs).
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

from bench.bench_throughput import cpu_s, grid
from bench.bench_var import AGGREGATES, RUN_LIMIT_S
from bench.var_book import joint_scenarios, sample_market, vanilla_book
from xip_core.client import connect_sync
from xip_core.model.run_spec import Detail

COUNTED = ("commits", "leases_granted", "tiles_recorded")


def test_cpu_of_a_scheduler_per_message(benchmark: Any) -> None:
    figures: dict[str, Any] = {}
    benchmark.pedantic(lambda: figures.update(message_figures(100_000, 500, 2, 1)), rounds=1)
    benchmark.extra_info.update(figures)


def message_figures(trade_count: int, scenario_count: int, slot_count: int, round_count: int) -> dict[str, Any]:
    """Figures of the median round."""
    inputs = (vanilla_book(trade_count), sample_market(), joint_scenarios(scenario_count))
    rounds = sorted(
        (_round(inputs, slot_count) for _ in range(round_count)), key=lambda figures: figures["scheduler_cpu_s"]
    )
    return rounds[len(rounds) // 2]


def _round(inputs: tuple[bytes, bytes, bytes], slot_count: int) -> dict[str, Any]:
    port = _free_port()
    with (
        grid(".", worker_count=1, slot_count=slot_count, profile="", metrics_port=port) as (address, processes),
        connect_sync(address) as client,
    ):
        run = client.submit(*inputs, ("pv",), request_id="run", aggregates=AGGREGATES, detail=Detail.NONE)
        scheduler, worker = processes["scheduler"], processes["worker 1"]
        counts, threads_s, worker_s = _counts(port), _threads_s(scheduler), cpu_s(worker)
        run = client.wait(run.run_id, timeout_s=RUN_LIMIT_S)
        assert run.state.is_final, run.state
        assert run.cells_quarantined < 0.01 * run.cell_count, run.message
        ended_s, worker_s = _threads_s(scheduler), cpu_s(worker) - worker_s
        counts = {name: count - counts[name] for name, count in _counts(port).items()}
    used_s = {thread: spent_s - threads_s.get(thread, 0.0) for thread, spent_s in ended_s.items()}
    loop_s = used_s.pop(scheduler)
    store_s = max(used_s.values())
    total_s = loop_s + sum(used_s.values())
    return {
        "counts": counts,
        "scheduler_cpu_s": round(total_s, 3),
        "by_thread_s": {
            "event loop": round(loop_s, 3),
            "store": round(store_s, 3),
            "others": round(total_s - loop_s - store_s, 3),
        },
        "worker_cpu_s": round(worker_s, 2),
        "cpu_us_per": {name: round(total_s / count * 1e6) for name, count in counts.items()},
    }


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _counts(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10.0) as answer:
        text = answer.read().decode()
    return {name: _count(text, f"xip_scheduler_{name}_total") for name in COUNTED}


def _count(text: str, metric: str) -> int:
    found = re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)
    assert found is not None, metric
    return int(float(found[1]))


def _threads_s(pid: int) -> dict[int, float]:
    """CPU time by thread until now, in nanoseconds' precision; the main thread has the process's id."""
    threads_s = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        threads_s[int(task.name)] = int((task / "schedstat").read_text().split()[0]) * 1e-9
    return threads_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    figures = message_figures(arguments.trades, arguments.scenarios, arguments.slots, arguments.rounds)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
