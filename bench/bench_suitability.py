"""Suitability of a million clients: `python -m pytest bench/bench_suitability.py --benchmark-only`.

1,000,000 clients of 5 to 15 positions over 2,000 instruments, 480 market and 20 stress scenarios. The clients are
judged from their blob, tile by tile, as a worker does it, by one thread and by two; what is not counted is making the
clients and the vectors. `us_per_client` is of the fastest round.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.core.risk.some_clients import a_profile, profiles, vectors
from xip_core.model.clients import ClientTable, decode_clients, encode_clients
from xip_core.risk.suitability import compiled, judge_clients, parameters, reference_numbers

CLIENT_COUNT = 1_000_000
INSTRUMENT_COUNT = 2_000
CLIENTS_PER_TILE = 4096

PROFILES = profiles(a_profile(volatility=(0.2, 0.15), leverage=2.0), a_profile("bold", stress_loss=0.5))


def many_clients() -> ClientTable:
    random = np.random.default_rng(9)
    counts = random.integers(5, 16, CLIENT_COUNT)
    position_count = int(counts.sum())
    return ClientTable(
        ids="\n".join(map(str, range(CLIENT_COUNT))).encode(),
        profile=random.integers(0, 2, CLIENT_COUNT).astype(np.uint8),
        knowledge=random.integers(0, 4, CLIENT_COUNT).astype(np.uint8),
        horizon_years=random.uniform(1.0, 20.0, CLIENT_COUNT),
        cash=random.uniform(0.0, 5000.0, CLIENT_COUNT),
        net_worth=np.zeros(CLIENT_COUNT),
        begin=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        instrument=random.integers(0, INSTRUMENT_COUNT, position_count).astype(np.int32),
        quantity=random.uniform(1.0, 20.0, position_count),
    )


@pytest.fixture(scope="module")
def blob() -> bytes:
    return encode_clients(many_clients())


@pytest.mark.parametrize("slots", [1, 2])
def test_a_million_clients(benchmark: Any, blob: bytes, slots: int) -> None:
    instruments, given = vectors(INSTRUMENT_COUNT, 480, 20), parameters(PROFILES, 480, 10 / 365.25)

    def judge() -> np.ndarray:
        clients, held = decode_clients(blob), compiled(instruments)
        counts = np.zeros((slots, 3), np.int64)
        tiles = range(0, CLIENT_COUNT, CLIENTS_PER_TILE)

        def slot(number: int) -> None:
            for begin in list(tiles)[number::slots]:
                end = min(begin + CLIENTS_PER_TILE, CLIENT_COUNT)
                judged = judge_clients(held, clients, begin, end, PROFILES, given)
                counts[number] += np.bincount(judged.verdict, minlength=3)

        threads = [threading.Thread(target=slot, args=(number,)) for number in range(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total: np.ndarray = counts.sum(axis=0)
        return total

    counts = benchmark.pedantic(judge, rounds=3, iterations=1)
    assert counts.sum() == CLIENT_COUNT
    benchmark.extra_info["us_per_client"] = round(benchmark.stats.stats.min * 1e6 / CLIENT_COUNT, 2)
    benchmark.extra_info["blob_mb"] = len(blob) >> 20


def test_the_same_in_numpy_client_by_client(benchmark: Any, blob: bytes) -> None:
    """The reference twin over 2,000 clients: what the kernel saves."""
    instruments, given = vectors(INSTRUMENT_COUNT, 480, 20), parameters(PROFILES, 480, 10 / 365.25)
    clients = decode_clients(blob)

    def judge() -> Iterator[object]:
        for client in range(2_000):
            yield reference_numbers(instruments, clients, client, given)

    benchmark.pedantic(lambda: list(judge()), rounds=2, iterations=1)
    benchmark.extra_info["us_per_client"] = round(benchmark.stats.stats.min * 1e6 / 2_000, 2)
