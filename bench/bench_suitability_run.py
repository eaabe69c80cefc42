"""A million clients through the grid: `python -m bench.bench_suitability_run [--clients 1000000] [--workers 2]`.

2,000 instruments (the cross-asset sample's trades), the base, 480 market scenarios and a stress pack of 20; clients
of 5 to 15 positions; a scheduler with its journal on disk and workers of one slot on loopback. Timed from the call of
`submit_suitability` until every verdict and number is in the caller's arrays: upload, plan, value the instruments,
judge, record, stream. The second round is other clients over the same market, the third the first again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.bench_throughput import cpu_s, grid
from tests.core.risk.some_clients import a_profile, profiles
from xip_core import samples
from xip_core.client import connect
from xip_core.client.sync import SyncClient
from xip_core.model.clients import ClientTable, encode_clients
from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, decode_scenarios, encode_scenarios
from xip_core.model.suitability import InstrumentTerms, encode_instruments, encode_profiles
from xip_core.model.trade import decode_head
from xip_core.samples.stresses import stresses

SCENARIO_COUNT = 501
STRESS_COUNT = 20
PROFILES = profiles(a_profile(volatility=(0.2, 0.15), leverage=2.0), a_profile("bold", stress_loss=0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    sample = samples.load("cross-asset")
    scenarios = _scenarios(sample.market)
    with grid(".", arguments.workers, 1, "") as (address, processes), connect(address) as client:
        for seed in (1, 2, 1):
            blobs = {"book": sample.book, "market": sample.market, "scenarios": scenarios}
            print(json.dumps(_measure(client, processes, blobs, arguments.clients, seed)))


def _scenarios(market: bytes) -> bytes:
    drawn: ScenarioSet = decode_scenarios(encode_scenarios(stresses(decode_snapshot(market), SCENARIO_COUNT)))
    last = SCENARIO_COUNT - STRESS_COUNT
    named: tuple[Scenario, ...] = tuple(
        msgspec.structs.replace(one, name=f"stress {at}") if at >= last else one
        for at, one in enumerate(drawn.scenarios)
    )
    return encode_scenarios(msgspec.structs.replace(drawn, scenarios=named))


def _clients(client_count: int, instrument_count: int, seed: int) -> bytes:
    """Positions so small beside cash that every client has assets, whatever it is long or short of."""
    random = np.random.default_rng(seed)
    counts = random.integers(5, 16, client_count)
    position_count = int(counts.sum())
    table = ClientTable(
        ids="\n".join(map(str, range(client_count))).encode(),
        profile=random.integers(0, 2, client_count).astype(np.uint8),
        knowledge=random.integers(0, 4, client_count).astype(np.uint8),
        horizon_years=random.uniform(1.0, 20.0, client_count),
        cash=random.uniform(50_000.0, 100_000.0, client_count),
        net_worth=np.zeros(client_count),
        begin=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        instrument=random.integers(0, instrument_count, position_count).astype(np.int32),
        quantity=random.uniform(1e-5, 1e-3, position_count),
    )
    return encode_clients(table)


def _measure(
    client: SyncClient, processes: dict[str, int], blobs: dict[str, bytes], client_count: int, seed: int
) -> dict[str, Any]:
    ids = [decode_head(line).id for line in blobs["book"].splitlines()]
    terms = tuple(
        InstrumentTerms(id=name, issuer=f"X{row % 97}", sector=f"S{row % 11}", currency="EUR", knowledge_class=row % 4)
        for row, name in enumerate(ids)
    )
    clients = _clients(client_count, len(ids), seed)
    watched = {"client": os.getpid()} | processes
    before_s = {name: cpu_s(pid) for name, pid in watched.items()}
    begin_s = time.perf_counter()
    run = client.submit_suitability(
        **blobs,
        instruments=encode_instruments(terms),
        clients=clients,
        profiles=encode_profiles(PROFILES),
        span_years=10 / 365.25,
        stress="stress *",
    )
    submitted_s = time.perf_counter()
    numbers = client.suitability_results(run.run_id).to_numpy()
    end_s = time.perf_counter()
    final = client.run(run.run_id)
    return {
        "seconds": round(end_s - begin_s, 2),
        "submit_s": round(submitted_s - begin_s, 2),
        "clients_mb": len(clients) >> 20,
        "verdicts": np.bincount(numbers.verdict, minlength=3).tolist(),
        "without_numbers": int((numbers.client_status != 0).sum()),
        "tiles": final.nodes[-1].tile_count,
        "state": final.state.label,
        "cpu_s": {name: round(cpu_s(pid) - before_s[name], 2) for name, pid in watched.items()},
        "peak_mb": {name: _peak_mb(pid) for name, pid in watched.items()},
    }


def _peak_mb(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()
