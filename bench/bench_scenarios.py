"""Tables of shifts against named ones: `python -m pytest bench/bench_scenarios.py --benchmark-only`.

500 scenarios of 1,000 quotes of the sample's market, as one table and as a named shift a quote and scenario, in one
process: bytes, decoding, and the quotes of one tile of 100 scenarios.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from xip_core import samples
from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import (
    Scenario,
    ScenarioMarket,
    ScenarioSet,
    Shift,
    decode_scenarios,
    encode_scenarios,
)
from xip_core.model.scenario_table import shift_table

SCENARIOS, QUOTES, TILE = 500, 1_000, 100
ROUNDS = 5


def fastest_s(work: Callable[[], object]) -> float:
    """Of some rounds."""
    times = []
    for _ in range(ROUNDS):
        begin_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin_s)
    return min(times)


@pytest.mark.benchmark(group="scenarios")
def test_table_beside_named_shifts(benchmark: Callable[..., object]) -> None:
    """Same sizes both ways; the quotes of a tile agree to the bit."""
    snapshot = decode_snapshot(samples.load("cross-asset").market)
    market = ScenarioMarket(snapshot)
    names = tuple(name for name, value in snapshot.quotes.items() if isinstance(value, float))[:QUOTES]
    sizes = np.random.default_rng(1).normal(0.0, 0.01, (len(names), SCENARIOS))
    scenarios = tuple(Scenario(name=str(number) if number else "base") for number in range(SCENARIOS + 1))
    as_table = ScenarioSet(scenarios=scenarios, tables=(shift_table("relative", names, sizes),))
    named = tuple(
        Scenario(
            name=str(number + 1),
            shifts=tuple(
                Shift(target="quote", name=name, shift_relative=size)
                for name, size in zip(names, sizes[:, number].tolist(), strict=True)
            ),
        )
        for number in range(SCENARIOS)
    )
    as_shifts = ScenarioSet(scenarios=(Scenario(name="base"), *named))
    for label, scenario_set in (("table", as_table), ("named", as_shifts)):
        encoded = encode_scenarios(scenario_set)
        decode_s = fastest_s(lambda encoded=encoded: decode_scenarios(encoded))
        tile_s = fastest_s(lambda chosen=scenario_set: market.quote_matrix(chosen, 101, 101 + TILE))
        print(f"{label}: {len(encoded):,} bytes, decode {decode_s:.4f} s, tile of {TILE} {tile_s:.4f} s")
    one, other = (market.quote_matrix(chosen, 101, 101 + TILE).changed() for chosen in (as_table, as_shifts))
    assert one == other
    benchmark(lambda: market.quote_matrix(as_table, 101, 101 + TILE))
