"""`xip_worker.executor` and `xip_worker.probe`: slots without a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.worker.builders import ScriptedEvaluator, a_plan, a_value, until_cancelled
from tests.worker.poisonous import Row, a_poisonous_plan
from xip_core.errors import FailureReason, NotFoundError
from xip_core.graph.plan import NodeKind, Plan
from xip_core.pricing.tile import Columns, TileData, TileValue
from xip_core.wire.convert import decode_block, encode_block
from xip_worker.cursor import TileCursor
from xip_worker.events import Epoch, FailedTile, Fetched, FinishedTiles, Lease, LeaseBound, Report, SlotFreed, SlotIndex
from xip_worker.executor import MESSAGE_LENGTH_MAX, Executor
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.probe import evaluate_probe

SLOT = SlotIndex(0)


def a_lease(epoch: int = 1, tile_begin: int = 0, tile_end: int = 1, node_id: int = 1) -> Lease:
    return Lease(Epoch(epoch), "run-1", node_id, tile_begin, tile_end, b"plan")


def a_cursor(tile_begin: int, tile_end: int) -> TileCursor:
    return TileCursor(a_lease(1, tile_begin, tile_end), threading.Lock())


class NoData:
    """Inputs of tiles that read nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.kept: list[tuple[int, Columns | bytes]] = []

    def plan(self, digest: bytes, is_cancelled: object) -> Plan:
        if digest != b"plan":
            raise NotFoundError(f"blob {digest.hex()} is not here")
        return self._plan

    def tile_data(self, lease: Lease, plan: Plan, is_cancelled: object) -> TileData:
        return self

    def take_fetched(self) -> tuple[int, tuple[Fetched, ...]]:
        return 0, ()

    def keep_output(self, lease: Lease, plan: Plan, tile: int, output: Columns | bytes) -> None:
        self.kept.append((tile, output))

    def blob(self, digest: str) -> bytes:
        raise NotFoundError(digest)

    def output(self, node_id: int, tile: int) -> Columns:
        raise NotFoundError(str(tile))

    def memo(self, key: tuple[object, ...], make: object) -> object:
        raise NotFoundError(str(key))


class Slots:
    """An executor, and its reports gathered until a slot is free again."""

    def __init__(
        self,
        plan: Plan | None = None,
        evaluator: ScriptedEvaluator | None = None,
        isolation: IsolationSettings = IsolationSettings(),  # noqa: B008 - a frozen record of numbers
    ) -> None:
        self.inputs = NoData(plan or a_plan())
        self.evaluator = evaluator or ScriptedEvaluator()
        self.failures: list[tuple[Lease, int, Exception]] = []
        self.wakes: list[bool] = []
        self._woken = threading.Semaphore(0)
        self.executor = Executor(1, self.inputs, self.evaluator, self._wake, self._log_failure, isolation)

    def _wake(self, is_slot_free: bool) -> None:
        self.wakes.append(is_slot_free)
        self._woken.release()

    def _log_failure(self, lease: Lease, tile: int, error: Exception) -> None:
        self.failures.append((lease, tile, error))

    def evaluate(self, *leases: Lease) -> None:
        self.executor.evaluate(SLOT, leases)

    def reports(self) -> list[Report]:
        """Up to and with the next SlotFreed."""
        reports: list[Report] = []
        while not any(isinstance(report, SlotFreed) for report in reports):
            assert self._woken.acquire(timeout=PATIENCE_S), reports
            reports += self.executor.take_reports()
        return reports


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots()
    yield made
    assert made.executor.close(PATIENCE_S)


def test_a_batch_is_evaluated_in_order_and_ends_with_one_slot_freed(slots: Slots) -> None:
    slots.evaluate(a_lease(1, 0, 2), a_lease(2, 5, 6))
    *finished, freed = slots.reports()
    assert [(r.epoch, r.tile_begin) for r in finished if isinstance(r, FinishedTiles)] == [(1, 0), (1, 1), (2, 5)]
    assert isinstance(freed, SlotFreed)
    assert freed.busy_ns > 0


def test_outputs_that_are_kept_are_those_that_are_sent(slots: Slots) -> None:
    slots.evaluate(a_lease(1, 0, 2))
    sent = [(r.tile_begin, r.output) for r in slots.reports() if isinstance(r, FinishedTiles)]
    kept = [(tile, encode_block(output)) for tile, output in slots.inputs.kept if not isinstance(output, bytes)]
    assert kept == sent


def test_the_loop_is_woken_once_until_it_looks(slots: Slots) -> None:
    slots.evaluate(a_lease(1, 0, 50))
    while True not in slots.wakes:
        assert slots._woken.acquire(timeout=PATIENCE_S)
    assert slots.wakes == [False, True]
    assert len(slots.executor.take_reports()) == 51


def test_a_lease_revoked_before_its_turn_is_skipped() -> None:
    gate = threading.Event()

    def gated(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        assert gate.wait(PATIENCE_S)
        return a_value(tile)

    slots = Slots(evaluator=ScriptedEvaluator(gated))
    slots.evaluate(a_lease(1), a_lease(2), a_lease(3))
    assert slots.evaluator.begun.acquire(timeout=PATIENCE_S)
    slots.executor.revoke(SLOT, (Epoch(2),))
    gate.set()
    assert [r.epoch for r in slots.reports() if isinstance(r, FinishedTiles)] == [1, 3]


def test_a_lease_revoked_inside_a_tile_reports_nothing_but_its_slot() -> None:
    slots = Slots(evaluator=ScriptedEvaluator(until_cancelled))
    slots.evaluate(a_lease(1, 0, 9))
    assert slots.evaluator.begun.acquire(timeout=PATIENCE_S)
    slots.executor.revoke(SLOT, (Epoch(1),))
    (freed,) = slots.reports()
    assert isinstance(freed, SlotFreed)


def test_a_trimmed_lease_ends_behind_the_tile_begun_and_says_so_before_its_slot_is_free() -> None:
    gate = threading.Event()

    def gated(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        assert gate.wait(PATIENCE_S)
        return a_value(tile)

    slots = Slots(evaluator=ScriptedEvaluator(gated))
    slots.evaluate(a_lease(1, 0, 9), a_lease(2, 0, 9), a_lease(3, 0, 9))
    assert slots.evaluator.begun.acquire(timeout=PATIENCE_S)
    bounds = [LeaseBound(Epoch(1), 0), LeaseBound(Epoch(2), 2), LeaseBound(Epoch(3), 0), LeaseBound(Epoch(4), 0)]
    slots.executor.trim(SLOT, tuple(bounds))
    gate.set()
    *reports, freed = slots.reports()
    assert isinstance(freed, SlotFreed)
    assert [r for r in reports if isinstance(r, LeaseBound)] == [LeaseBound(Epoch(1), 1), *bounds[1:3]]
    finished = [(r.epoch, r.tile_begin) for r in reports if isinstance(r, FinishedTiles)]
    assert finished == [(1, 0), (2, 0), (2, 1)]


def test_a_slot_that_does_not_ask_whether_it_is_cancelled_is_stalled() -> None:
    gate = threading.Event()

    def deaf(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        assert gate.wait(PATIENCE_S)
        return a_value(tile)

    slots = Slots(evaluator=ScriptedEvaluator(deaf))
    slots.evaluate(a_lease(7))
    assert slots.evaluator.begun.acquire(timeout=PATIENCE_S)
    first_s = slots.executor.stalled_s()[Epoch(7)]
    assert slots.executor.stalled_s()[Epoch(7)] > first_s
    gate.set()
    slots.reports()
    assert slots.executor.stalled_s() == {}


def test_a_revocation_that_comes_too_late_does_not_reach_the_next_batch(slots: Slots) -> None:
    slots.evaluate(a_lease(1))
    slots.reports()
    slots.executor.revoke(SLOT, (Epoch(2),))
    slots.evaluate(a_lease(2))
    assert [r.epoch for r in slots.reports() if isinstance(r, FinishedTiles)] == [2]


def test_an_error_is_cut_to_what_travels_and_logged_whole() -> None:
    def failing(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        raise ValueError("x" * 10_000)

    slots = Slots(evaluator=ScriptedEvaluator(failing))
    slots.evaluate(a_lease(1))
    (failed, _) = slots.reports()
    assert isinstance(failed, FailedTile)
    assert len(failed.message) == MESSAGE_LENGTH_MAX
    assert len(str(slots.failures[0][2])) == 10_000


@pytest.mark.parametrize(
    ("lease", "sentence"),
    [
        (a_lease(node_id=9), "run run-1: node 9 leased of a plan of 3 nodes"),
        (a_lease(tile_begin=99, tile_end=101), "run run-1: tiles up to 101 leased of node 'tested', which has 100"),
    ],
)
def test_a_lease_that_is_not_of_its_plan_fails_and_says_why(slots: Slots, lease: Lease, sentence: str) -> None:
    slots.evaluate(lease)
    *failed, _ = slots.reports()
    assert [r.message for r in failed if isinstance(r, FailedTile)] == [sentence] * lease.tile_count


def test_a_column_that_cannot_travel_is_a_failed_tile(slots: Slots) -> None:
    slots.evaluator._behaviour = lambda tile, data, is_cancelled: TileValue({"x": np.array(["text"])}, {}, 1)
    slots.evaluate(a_lease(1))
    (failed, _) = slots.reports()
    assert isinstance(failed, FailedTile)
    assert failed.message.startswith("ValueError: column 'x' must be one of")


def test_spinning_takes_its_time_and_covers_each_tile_once() -> None:
    plan = a_plan(NodeKind.PROBE, "probe.spin", tile_duration_s=0.004)
    begun_ns = time.perf_counter_ns()
    parts = list(evaluate_probe(plan, plan.nodes[1], a_cursor(3, 13), lambda: False))
    assert time.perf_counter_ns() - begun_ns >= 40_000_000
    assert [tile for part in parts for tile in range(part.tile_begin, part.tile_end)] == list(range(3, 13))
    assert len(parts) < 10
    assert sum(part.cell_count for part in parts) == 10
    assert sum(part.elapsed_ns for part in parts) >= 39_000_000


def test_spinning_ends_when_cancelled() -> None:
    plan = a_plan(NodeKind.PROBE, "probe.spin", tile_duration_s=60.0)
    looks = iter([False, True])
    assert list(evaluate_probe(plan, plan.nodes[1], a_cursor(0, 2), lambda: next(looks))) == []


def test_memory_that_runs_out_is_named_so_that_the_next_try_is_isolated() -> None:
    def greedy(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        raise MemoryError("Unable to allocate 8.00 TiB")

    slots = Slots(evaluator=ScriptedEvaluator(greedy))
    slots.evaluate(a_lease())
    (failed, _) = slots.reports()
    assert isinstance(failed, FailedTile)
    assert failed.reason == FailureReason.OUT_OF_MEMORY
    assert failed.message == "MemoryError: Unable to allocate 8.00 TiB"


def test_an_isolated_lease_is_evaluated_in_a_child_and_its_poison_row_is_quarantined() -> None:
    plan = a_poisonous_plan(Row.FINE, Row.ABORT, Row.FINE)
    settings = IsolationSettings(evaluator="tests.worker.poisonous:PoisonousEvaluator")
    slots = Slots(plan, isolation=settings)
    slots.evaluate(Lease(Epoch(1), "run-1", 0, 0, 1, b"plan", is_isolated=True))
    (finished, _) = slots.reports()
    assert isinstance(finished, FinishedTiles)
    assert [(cells.row, cells.reason) for cells in finished.quarantine] == [(1, FailureReason.CRASHED)]
    assert decode_block(finished.detail)["pv"].tolist()[::2] == [0.0, 20.0]
    assert slots.executor.close(PATIENCE_S)


def test_an_isolated_tile_that_fails_whole_says_of_what() -> None:
    plan = a_poisonous_plan(Row.ABORT, kind=NodeKind.CALIBRATE)
    settings = IsolationSettings(evaluator="tests.worker.poisonous:PoisonousEvaluator")
    slots = Slots(plan, isolation=settings)
    slots.evaluate(Lease(Epoch(1), "run-1", 0, 0, 1, b"plan", is_isolated=True))
    (failed, _) = slots.reports()
    assert isinstance(failed, FailedTile)
    assert failed.reason == FailureReason.CRASHED
    assert failed.message == "the tile ended its process by signal 6 (SIGABRT), twice, alone in a process of its own"
    assert slots.executor.close(PATIENCE_S)


def test_a_slot_that_ends_by_a_bug_says_so_when_its_reports_are_taken() -> None:
    broken = Slots()

    def tile_data(*_: object) -> TileData:
        raise LookupError("a bug of the worker's own")

    broken.inputs.tile_data = tile_data  # type: ignore[method-assign]  # what the worker's inputs never do
    broken.evaluate(a_lease(1, 0, 2))
    with pytest.raises(LookupError, match="a bug of the worker's own"):
        broken.reports()
