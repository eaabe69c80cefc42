"""`xip_core.pricing.polling`: no long loop without a question, whatever the tile, and no bit moves for it.

Counted, never timed: rows, scenarios, steps and pairs between two questions. bench/bench_cancel.py has the times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, ValuesView
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.core.pricing.test_evaluate import Inputs, a_run, evaluate_all, good_book
from tests.patience import PATIENCE_S
from xip_core import samples
from xip_core.graph.plan import Node, NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.kernels import calibration, terms
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.pricing import curves_system, resolve, tile_market, value
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.polling import asking, holding, poll, wait_for
from xip_core.pricing.tile import TileCancelledError, TileValue


class Questions:
    """Counts them; from *patience* questions on the tile is not wanted any more."""

    def __init__(self, patience: int | None = None) -> None:
        self.count = 0
        self.patience = patience

    def __call__(self) -> bool:
        self.count += 1
        return self.patience is not None and self.count > self.patience


def evaluate_until(plan: Plan, inputs: Inputs, kind: NodeKind, questions: Questions) -> list[tuple[Node, TileValue]]:
    """Every tile up to and with those of *kind*; only these are asked about."""
    values = []
    for node in plan.nodes:
        for tile in range(node.tile_count):
            ask: Callable[[], bool] = questions if node.kind is kind else lambda: False
            evaluated = evaluate_tile(plan, node.node_id, tile, inputs, ask)
            inputs.outputs[node.node_id, tile] = evaluated.output
            if node.kind is kind:
                values.append((node, evaluated))
    return values


def bytes_of(values: dict[tuple[int, int], TileValue]) -> dict[tuple[int, int, str], bytes]:
    """Everything that leaves the worker, by node, tile and column."""
    return {
        (*key, f"{part} {name}"): column.tobytes()
        for key, evaluated in values.items()
        for part, columns in (("output", evaluated.output), ("detail", evaluated.detail))
        for name, column in columns.items()
    }


def a_sample_run() -> tuple[Plan, Inputs]:
    """The shipped sample, whose curves are solved for."""
    sample = samples.load("cross-asset")
    blobs = [sample.book, sample.market, sample.scenarios]
    book, market, scenarios = map(digest_of, blobs)
    work = RiskWork(
        book_digest=book, market_digest=market, scenarios_digest=scenarios, measures=("pv",), base_currency="EUR",
        as_of="2016-02-05",
    )  # fmt: skip
    inputs = Inputs({digest_of(blob): blob for blob in blobs})
    return plan_run(RunSpec(name="sample", work=work), inputs.blob), inputs


def between_questions(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, work_of: Callable[..., int], questions: Questions
) -> ValuesView[int]:
    """Work done by calls of *name* between two questions: a view that fills."""
    done: dict[int, int] = {}
    original = getattr(owner, name)

    def spy(*args: object) -> object:
        done[questions.count] = done.get(questions.count, 0) + work_of(*args)
        return original(*args)

    monkeypatch.setattr(owner, name, spy)
    return done.values()


def test_no_more_than_a_step_of_plain_rows_is_resolved_between_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps last STEP_S; one of no time at all has as few rows as stand between two looks at the clock."""
    monkeypatch.setattr(resolve, "STEP_S", 0.0)
    plan, inputs = a_sample_run()
    questions = Questions()
    done: dict[int, int] = {}

    class Spy(resolve.PlainProgram):
        def resolve(self, begin: int = 0, duration_s: float = 0.0) -> int:
            assert duration_s == 0.0
            end = super().resolve(begin, duration_s)
            done[questions.count] = done.get(questions.count, 0) + end - begin
            return end

    monkeypatch.setattr(resolve, "PlainProgram", Spy)
    evaluate_until(plan, inputs, NodeKind.RESOLVE, questions)
    assert len(done) > 100
    assert max(done.values()) == 8


def test_no_more_than_one_row_is_resolved_in_python_between_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_market, "PlainMarket", lambda layout: None)
    plan, inputs = a_run(good_book())
    questions = Questions()
    rows = between_questions(monkeypatch, resolve, "resolve_trade", lambda row, market: 1, questions)
    evaluate_until(plan, inputs, NodeKind.RESOLVE, questions)
    assert len(rows) > 5
    assert max(rows) == 1


def test_no_more_than_a_call_of_the_solver_is_made_between_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a call takes no more scenarios than its step: here made small instead of the tile large."""
    monkeypatch.setattr(curves_system, "SCENARIOS_PER_CALL", 4)
    plan, inputs = a_sample_run()
    questions = Questions()

    class Spy(calibration.System):
        def solve(self, market: Any, columns: Any, quotes: Any) -> Any:
            done[questions.count] = done.get(questions.count, 0) + len(columns)
            return super().solve(market, columns, quotes)

    done: dict[int, int] = {}
    monkeypatch.setattr(calibration, "System", Spy)
    calibrate = next(node for node in plan.nodes if node.kind is NodeKind.CALIBRATE)
    evaluate_tile(plan, calibrate.node_id, 1, inputs, questions)
    assert len(done) > 10
    assert max(done.values()) <= 4


def test_a_kernel_sees_no_more_than_a_step_between_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tile of any size: here the step is made small instead of the tile large."""
    step_max = 1_500
    monkeypatch.setattr(value, "PAIRS_PER_STEP", step_max)
    monkeypatch.setattr(value, "SCENARIOS_PER_STEP_MIN", 1)
    plan, inputs = a_run(good_book(), ("pv",))
    questions = Questions()

    def pairs(market: Any, *arrays: Any) -> int:
        return (len(arrays[4]) + len(arrays[7])) * int(market.shape[1])

    done = between_questions(monkeypatch, terms, "rows", pairs, questions)
    values = evaluate_until(plan, inputs, NodeKind.VALUE, questions)
    scenarios_max = max(len(evaluated.detail["scenario"]) for _, evaluated in values) + 1
    one_scenario = max(done) // scenarios_max
    assert len(done) > 2 * len(values)
    assert max(done) <= max(step_max, one_scenario)


@pytest.mark.parametrize("pairs_per_step", [1, 3_000, 50_000])
def test_blocks_of_a_kernel_move_no_bit(monkeypatch: pytest.MonkeyPatch, pairs_per_step: int) -> None:
    whole = bytes_of(evaluate_all(*a_run(good_book())))
    monkeypatch.setattr(value, "PAIRS_PER_STEP", pairs_per_step)
    monkeypatch.setattr(value, "SCENARIOS_PER_STEP_MIN", 1)
    assert bytes_of(evaluate_all(*a_run(good_book()))) == whole


def test_a_sum_asks_at_every_tile_it_reads() -> None:
    plan, inputs = a_run(good_book())
    questions = Questions()
    ((reduce, _),) = evaluate_until(plan, inputs, NodeKind.REDUCE, questions)
    assert questions.count > sum(plan.nodes[ref.node_id].tile_count for ref in reduce.inputs)


@pytest.mark.parametrize("kind", [NodeKind.RESOLVE, NodeKind.CALIBRATE, NodeKind.VALUE, NodeKind.REDUCE])
def test_a_tile_ends_at_whatever_question_is_answered_with_yes_and_leaves_nothing_half_done(kind: NodeKind) -> None:
    asked = Questions()
    evaluate_until(*a_run(good_book()), kind, asked)
    whole = bytes_of(evaluate_all(*a_run(good_book())))
    for patience in sorted({0, asked.count // 2, asked.count - 1}):
        plan, inputs = a_run(good_book())
        with pytest.raises(TileCancelledError):
            evaluate_until(plan, inputs, kind, Questions(patience))
        assert bytes_of(evaluate_all(plan, inputs)) == whole


def test_nobody_asks_outside_of_a_tile_and_each_thread_asks_for_itself() -> None:
    poll()
    with asking(lambda: True), ThreadPoolExecutor(1) as pool:
        pool.submit(poll).result(PATIENCE_S)
        with pytest.raises(TileCancelledError):
            poll()
        with asking(lambda: False):
            poll()
    poll()


def test_who_waits_for_another_thread_is_cancelled_too() -> None:
    lock = threading.Lock()
    with lock, asking(lambda: True):
        with pytest.raises(TileCancelledError):
            wait_for(threading.Event())
        with pytest.raises(TileCancelledError), holding(lock):
            raise AssertionError("held by two")
    with asking(lambda: True), holding(lock):
        assert lock.locked()
    assert not lock.locked()
