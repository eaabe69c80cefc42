"""`xip_worker.remaking`: outputs that are sooner made again than sent, and who makes them"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.worker.builders import a_plan
from xip_core.errors import XipError
from xip_core.graph.plan import InputRef, NodeKind, Plan
from xip_core.pricing.tile import Columns, TileCancelledError, TileData, TileValue
from xip_core.wire.convert import encode_block
from xip_worker.events import Epoch, FinishedTiles, Lease, SlotFreed, SlotIndex
from xip_worker.executor import Executor
from xip_worker.fetch import Fetcher
from xip_worker.inputs import WorkerInputs
from xip_worker.remaking import stays_here

TILE_COUNT = 8


def a_block(tile: int) -> Columns:
    return {"market": np.full(100_000, float(tile))}


def plan_with(kind: NodeKind) -> Plan:
    """Node 0, of *kind*, feeds node 1."""
    plan = a_plan(inputs=(InputRef(0, 1, TILE_COUNT),), input_tile_count=TILE_COUNT)
    first = msgspec.structs.replace(plan.nodes[0], kind=kind)
    return msgspec.structs.replace(plan, nodes=(first, *plan.nodes[1:]))


class Store(Fetcher):
    """A scheduler that has what *sent* says, and of all other tiles no output."""

    def __init__(self, sent: dict[int, Columns] | None = None) -> None:
        self.sent = sent or {}
        self.ranges: list[tuple[int, int]] = []

    def outputs(
        self, run_id: str, node_id: int, tile_begin: int, tile_end: int, is_cancelled: object
    ) -> list[tuple[int, bytes]]:
        self.ranges.append((tile_begin, tile_end))
        tiles = range(tile_begin, tile_end)
        return [(tile, encode_block(self.sent[tile]) if tile in self.sent else b"") for tile in tiles]


class Maker:
    """Makes blocks, and counts them, while its gate is open."""

    def __init__(self, remake_s: float = 0.0) -> None:
        self.remake_s = remake_s
        self.made: list[int] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def evaluate_tile(
        self, plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: Callable[[], bool]
    ) -> TileValue:
        self.made.append(tile)
        self.begun.release()
        assert self.gate.wait(PATIENCE_S)
        if is_cancelled():
            raise TileCancelledError
        return TileValue(a_block(tile), {}, 0, remake_s=self.remake_s)

    def encode_block(self, columns: Columns) -> bytes:
        return encode_block(columns)

    def warm_up(self) -> None:
        pass


def reader(inputs: WorkerInputs, is_cancelled: Callable[[], bool] = lambda: False) -> TileData:
    lease = Lease(Epoch(1), "run-1", 1, 0, TILE_COUNT, b"plan")
    return inputs.tile_data(lease, plan_with(NodeKind.CALIBRATE), is_cancelled)


def market_of(data: TileData, tile: int) -> float:
    return float(data.output(0, tile)["market"][0])


@pytest.mark.parametrize(
    ("remake_s", "size", "is_kept"),
    [
        (0.010, 1 << 20, True),
        (0.104, 1 << 20, True),
        (0.110, 1 << 20, False),
        (0.001, 1_000, False),
        (math.inf, 1 << 27, False),
        (0.0, 0, True),
    ],
)
def test_what_takes_a_second_for_ten_megabytes_is_sent(remake_s: float, size: int, is_kept: bool) -> None:
    assert stays_here(TileValue({"market": np.zeros(size, np.uint8)}, {}, 0, remake_s=remake_s)) is is_kept


def test_nothing_is_taken_for_made_again_that_does_not_say_what_it_takes() -> None:
    assert not stays_here(TileValue(a_block(0), {}, 0))


@pytest.mark.parametrize(("remake_s", "is_sent"), [(0.01, False), (1.0, True)])
def test_an_output_that_stays_is_there_for_the_slots_of_its_worker(
    monkeypatch: pytest.MonkeyPatch, remake_s: float, is_sent: bool
) -> None:
    maker, store = Maker(remake_s), Store()
    inputs = WorkerInputs(store, maker.evaluate_tile)
    monkeypatch.setattr(inputs, "plan", lambda digest, is_cancelled: plan_with(NodeKind.CALIBRATE))
    free = threading.Event()
    executor = Executor(1, inputs, maker, lambda is_free: free.set() if is_free else None, lambda *_: None)
    executor.evaluate(SlotIndex(0), (Lease(Epoch(1), "run-1", 0, 3, 4, b"plan"),))
    assert free.wait(PATIENCE_S)
    finished, freed = executor.take_reports()
    assert executor.close(PATIENCE_S)
    assert isinstance(finished, FinishedTiles)
    assert isinstance(freed, SlotFreed)
    assert finished.output == (encode_block(a_block(3)) if is_sent else b"")
    assert finished.size_bytes < 1_000 or is_sent
    assert market_of(reader(inputs), 3) == 3.0
    assert (maker.made, store.ranges) == ([3], []), "it was kept: nobody asked for it, nobody made it again"


def test_what_the_scheduler_has_is_read_and_what_it_lacks_is_made() -> None:
    maker, store = Maker(), Store({0: a_block(0), 1: a_block(1), 4: a_block(4)})
    inputs = WorkerInputs(store, maker.evaluate_tile)
    data = reader(inputs)
    assert [market_of(data, tile) for tile in range(TILE_COUNT)] == [float(tile) for tile in range(TILE_COUNT)]
    assert maker.made == [2, 3, 5, 6, 7]
    assert store.ranges == [(tile, tile + 1) for tile in range(TILE_COUNT)], "nobody waits for more than it reads"


def test_slots_that_read_one_output_make_it_once_and_different_ones_beside_each_other() -> None:
    maker = Maker()
    inputs = WorkerInputs(Store(), maker.evaluate_tile)
    maker.gate.clear()
    with ThreadPoolExecutor(4) as slots:
        same = [slots.submit(market_of, reader(inputs), 2) for _ in range(3)]
        other = slots.submit(market_of, reader(inputs), 5)
        assert maker.begun.acquire(timeout=PATIENCE_S)
        assert maker.begun.acquire(timeout=PATIENCE_S)
        maker.gate.set()
        assert [read.result() for read in same] == [2.0] * 3
        assert other.result() == 5.0
    assert sorted(maker.made) == [2, 5]


def test_a_made_output_is_what_another_worker_would_have_got() -> None:
    inputs = WorkerInputs(Store(), Maker().evaluate_tile)
    made = reader(inputs).output(0, 6)
    got = WorkerInputs(Store({6: a_block(6)}), Maker().evaluate_tile)
    fetched = reader(got).output(0, 6)
    assert {name: array.tobytes() for name, array in made.items()} == {
        name: array.tobytes() for name, array in fetched.items()
    }
    assert not made["market"].flags.writeable


def test_making_is_work_and_not_waiting_for_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_ns = 0
    monkeypatch.setattr("xip_worker.meter.time", SimpleNamespace(perf_counter_ns=lambda: clock_ns))

    class SlowStore(Store):
        def outputs(
            self, run_id: str, node_id: int, tile_begin: int, tile_end: int, is_cancelled: object
        ) -> list[tuple[int, bytes]]:
            nonlocal clock_ns
            clock_ns += 3
            return super().outputs(run_id, node_id, tile_begin, tile_end, is_cancelled)

    def slow(plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: object) -> TileValue:
        nonlocal clock_ns
        clock_ns += 500
        return TileValue(a_block(tile), {}, 0)

    inputs = WorkerInputs(SlowStore(), slow)
    reader(inputs).output(0, 1)
    assert inputs.take_fetched() == (3, (("outputs", 0, 1),))


def test_a_tile_that_cannot_be_made_fails_whoever_reads_it_and_is_tried_again_by_the_next() -> None:
    calls: list[int] = []

    def fails_once(plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: object) -> TileValue:
        calls.append(tile)
        if len(calls) == 1:
            raise XipError("no such quote")
        return TileValue(a_block(tile), {}, 0)

    inputs = WorkerInputs(Store(), fails_once)
    with pytest.raises(XipError, match="no such quote"):
        reader(inputs).output(0, 1)
    assert market_of(reader(inputs), 1) == 1.0


def test_a_reader_whose_lease_was_revoked_stops_making() -> None:
    inputs = WorkerInputs(Store(), Maker().evaluate_tile)
    with pytest.raises(TileCancelledError):
        reader(inputs, is_cancelled=lambda: True).output(0, 1)


def test_an_output_that_is_missing_elsewhere_is_no_output() -> None:
    """A value tile that was given up has none: sums go on without it."""
    inputs = WorkerInputs(Store(), Maker().evaluate_tile)
    lease = Lease(Epoch(1), "run-1", 1, 0, TILE_COUNT, b"plan")
    assert inputs.tile_data(lease, plan_with(NodeKind.VALUE), lambda: False).output(0, 1) == {}
