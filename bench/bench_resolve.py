"""Resolving trades, compiled and in Python, in one run: `python -m pytest bench/bench_resolve.py --benchmark-only`.

Tiles of 400 plain trades of one type from the sample, repeated. Microseconds a trade:

    compiled    `resolve_lines`, as a worker does
    unlocked    of that, lines to records and records to terms, without the lock; writing columns comes on top
    decode      of its line to a Trade, which only what is not plain needs
    python      `resolve_rows_in_python` of trades

`gain` is what a second thread is worth: 2 where neither the lock nor the memory is shared.
The last case is the work of a run: 400 swaps decoded, resolved and valued under 8 blocks of 64 scenarios.
"""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

import pytest

from bench.bench_slots import ROUNDS, Work, repeated, seconds
from xip_core import samples
from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import decode_scenarios
from xip_core.model.trade import Trade, encode_trade
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, resolve_lines, resolve_rows_in_python
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.pricing.vanilla.program import PlainProgram

ROWS = 400
TYPES = (
    "Swap", "Fra", "CapFloor", "Swaption", "Bond", "Cds", "FxForward", "FxOption", "EquityForward", "EquityOption",
    "CommodityForward", "CommodityOption",
)  # fmt: skip


@functools.cache
def view() -> MarketView:
    return MarketView(SnapshotLayout(decode_snapshot(samples.load("cross-asset").market)))


def plain_trades(kind: str) -> list[Trade]:
    book = [row for row in decode_rows(samples.load("cross-asset").book.splitlines()) if type(row).__name__ == kind]
    program = prepared(book)
    program.resolve()
    left = set(program.left())
    plain = [row for place, row in enumerate(book) if place not in left]
    return list(itertools.islice(itertools.cycle(plain), ROWS))  # type: ignore[arg-type] # the sample has no bad line


def prepared(rows: list[Any]) -> PlainProgram:
    lines = [encode_trade(row) for row in rows]
    program = PlainProgram(view().plain, lines)  # type: ignore[arg-type] # a snapshot's layout has tables
    program.read()
    program.prepare()
    return program


def microseconds(work: Work) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return round(min(times) / ROWS * 1e6, 2)


def unlocked_microseconds(rows: list[Trade]) -> float:
    times = []
    lines = [encode_trade(row) for row in rows]
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        program = PlainProgram(view().plain, lines)  # type: ignore[arg-type] # a snapshot's layout has tables
        program.read()
        program.prepare()
        program.resolve()
        times.append(time.perf_counter() - begin)
    return round(min(times) / ROWS * 1e6, 2)


def gain_of_two(work: Work, count: int) -> float:
    one, two = [], []
    for _ in range(ROUNDS):
        one.append(seconds([repeated(work, 2 * count)]))
        two.append(seconds([repeated(work, count)] * 2))
    return round(min(one) / min(two), 2)


@pytest.mark.parametrize("kind", TYPES)
def test_microseconds_a_trade(benchmark: Any, kind: str) -> None:
    rows = plain_trades(kind)
    lines = [encode_trade(row) for row in rows]
    resolve_lines(lines, view())
    benchmark.extra_info["decode"] = microseconds(lambda: decode_rows(lines))
    benchmark.extra_info["compiled"] = microseconds(lambda: resolve_lines(lines, view()))
    benchmark.extra_info["unlocked"] = unlocked_microseconds(rows)
    benchmark.extra_info["python"] = microseconds(lambda: resolve_rows_in_python(rows, view()))
    benchmark.extra_info["gain"] = gain_of_two(lambda: resolve_lines(lines, view()), 4)
    benchmark.pedantic(lambda: resolve_lines(lines, view()), rounds=5)


def test_a_tile_of_swaps_decoded_resolved_and_valued(benchmark: Any) -> None:
    sample = samples.load("cross-asset")
    snapshot = decode_snapshot(sample.market)
    scenarios = decode_scenarios(sample.scenarios)
    market = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 0, 64)["market"]
    lines = [encode_trade(row) for row in plain_trades("Swap")]

    def run() -> None:
        columns = resolve_lines(lines, view())
        for _ in range(8):  # blocks of 64
            row_values(columns, market)

    run()
    benchmark.extra_info["gain"] = gain_of_two(run, 4)
    benchmark.pedantic(run, rounds=5)
