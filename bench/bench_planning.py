"""What planning costs the scheduler: reading a book, planning it, planning its next tick, comparing the two plans.

    python -m bench.bench_planning [--trades 100000] [--scenarios 500]

The book, market and scenarios of `bench_var`, in one process without a grid. CPU seconds, the least of five rounds:

    reading in Python   labels of every line by the decoder alone, as lines are read that leave doubt
    reading             the same rows by the compiled reader, equal to these
    planning            request to plan and its bytes, nothing known before
    planning a tick     the same book and scenarios, the quotes of one curve moved
    comparing           which tiles of the tick are those of the plan before
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.bench_var import AGGREGATES, one_curve_tick
from bench.var_book import joint_scenarios, sample_market, vanilla_book
from tests.core.graph.line_readers import NothingTold
from xip_core.graph import rows
from xip_core.graph.kept import KEPT
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.graph.reuse import compare
from xip_core.graph.rows import read_rows
from xip_core.model.market import decode_snapshot
from xip_core.model.run_spec import Detail, RiskWork, RunSpec

KEYS = ("asset_class", "desk")
ROUNDS = 5


def planning_figures(trade_count: int, scenario_count: int) -> dict[str, Any]:
    book, market, scenarios = vanilla_book(trade_count), sample_market(), joint_scenarios(scenario_count)
    ticked = one_curve_tick(market)
    blobs = {digest_of(blob): blob for blob in (book, market, scenarios, ticked)}
    snapshot = decode_snapshot(market)

    def request(market: bytes) -> RunSpec:
        work = RiskWork(
            book_digest=digest_of(book),
            market_digest=digest_of(market),
            scenarios_digest=digest_of(scenarios),
            as_of=snapshot.as_of.isoformat(),
            base_currency=snapshot.base_currency,
            measures=("pv",),
            aggregates=AGGREGATES,
            detail=Detail.NONE,
        )
        return RunSpec(name="planning", work=work)

    def plan(spec: RunSpec) -> Plan:
        made = plan_run(spec, blobs.__getitem__)
        made.encode()
        return made

    first, tick = request(market), request(ticked)
    plans = plan(first), plan(tick)
    objects = {
        (node.node_id, tile): ("curve/EUR1D",)
        for node in plans[0].nodes
        if node.kind is NodeKind.RESOLVE
        for tile in range(node.tile_count)
    }

    def compare_again() -> None:
        compare(*plans, blobs.__getitem__, objects)

    return {
        "trades": trade_count,
        "reading in Python": least_cpu_s(lambda: read_in_python(book)),
        "reading": least_cpu_s(lambda: read_rows(book, KEYS)),
        "planning": least_cpu_s(lambda: plan(first), KEPT.clear),
        "planning a tick": least_cpu_s(lambda: plan(tick), lambda: forget_all_but(plan, first)),
        "comparing": least_cpu_s(compare_again),
    }


def read_in_python(book: bytes) -> None:
    compiled, rows.LineReader = rows.LineReader, NothingTold  # type: ignore[misc]  # a class of the same calls
    try:
        read = read_rows(book, KEYS)
    finally:
        rows.LineReader = compiled  # type: ignore[misc]  # likewise
    assert int(np.sum([len(group) for group in read.group_rows])) + len(read.quarantine) == read.row_count


def forget_all_but(plan: Callable[[RunSpec], Plan], spec: RunSpec) -> None:
    """As a scheduler that has planned *spec* and nothing else."""
    KEPT.clear()
    plan(spec)


def least_cpu_s(work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    times_s = []
    for _ in range(ROUNDS):
        prepare()
        begin_s = time.process_time()
        work()
        times_s.append(time.process_time() - begin_s)
    return round(min(times_s), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--scenarios", type=int, default=500)
    arguments = parser.parse_args()
    print(json.dumps(planning_figures(arguments.trades, arguments.scenarios), indent=2))


if __name__ == "__main__":
    main()
