"""xip_worker.isolation: children that are killed, hang and starve, and the rows that made them do it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.worker.poisonous import BLOB, BLOB_DIGEST, ONCE_VARIABLE, Row, a_poisonous_plan
from xip_core.errors import FailureReason, NotFoundError, XipError
from xip_core.graph.plan import NodeKind, Plan
from xip_core.pricing.tile import Columns, Maker, TileCancelledError
from xip_core.wire.convert import decode_block
from xip_worker.events import Epoch, Lease
from xip_worker.isolation import REFUSED_MAX, ContainedError, ContainedTile, Isolation
from xip_worker.isolation_settings import IsolationSettings

SETTINGS = IsolationSettings(
    time_limit_s=10.0, memory_limit_bytes=128 << 20, evaluator="tests.worker.poisonous:PoisonousEvaluator"
)
IMPATIENT = IsolationSettings(time_limit_s=1.0, evaluator=SETTINGS.evaluator)
FINE = Row.FINE


class SlotSide:
    """Inputs as a slot has them."""

    def blob(self, digest: str) -> bytes:
        if digest != BLOB_DIGEST:
            raise NotFoundError(f"no blob {digest}")
        return BLOB

    def output(self, node_id: int, tile: int) -> Columns:
        raise NotFoundError(f"no output {node_id} {tile}")

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        return make()


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    made = Isolation(SETTINGS)
    yield made
    made.close()


@pytest.fixture
def impatient() -> Iterator[Isolation]:
    made = Isolation(IMPATIENT)
    yield made
    made.close()


def evaluate(isolation: Isolation, plan: Plan) -> ContainedTile:
    lease = Lease(Epoch(1), "r", 0, 0, 1, plan.encode()[:32] + os.urandom(4), True)
    return isolation.evaluate(plan, lease, 0, SlotSide(), lambda: False)


def numbers(tile: ContainedTile) -> list[float]:
    found: list[float] = decode_block(tile.detail)["pv"].tolist()
    return found


def test_a_tile_that_ends_well_gives_its_result_and_the_child_is_used_again(isolation: Isolation) -> None:
    first = evaluate(isolation, a_poisonous_plan(FINE, Row.READS, FINE))
    child = isolation.child()
    second = evaluate(isolation, a_poisonous_plan(FINE, FINE))
    assert (numbers(first), numbers(second)) == ([0.0, 10.0, 20.0], [0.0, 10.0])
    assert first.quarantine == second.quarantine == ()
    assert isolation.child() is child


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        (Row.SEGFAULT, FailureReason.CRASHED, "signal 11 (SIGSEGV), twice, alone in a process of its own"),
        (Row.ABORT, FailureReason.CRASHED, "signal 6 (SIGABRT)"),
        (Row.EXIT, FailureReason.CRASHED, "exit code 3"),
        (Row.MEMORY, FailureReason.OUT_OF_MEMORY, "more memory than the 128 MiB it may have"),
        (Row.RESIDENT, FailureReason.OUT_OF_MEMORY, "more memory than the 128 MiB it may have"),
        (Row.RAISES, FailureReason.NUMERICAL, "no root"),
        (Row.PYTHON_ERROR, FailureReason.EVALUATION_FAILED, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_poison_row_is_refused_with_its_reason_and_its_neighbours_have_their_numbers(
    isolation: Isolation, row: Row, reason: FailureReason, words: str
) -> None:
    tile = evaluate(isolation, a_poisonous_plan(FINE, FINE, row, FINE))
    (refused,) = tile.quarantine
    assert (refused.row, refused.reason) == (2, reason)
    assert words in refused.message
    assert np.array_equal(numbers(tile), [0.0, 10.0, np.nan, 30.0], equal_nan=True)


@pytest.mark.parametrize("row", [Row.ENDLESS, Row.ENDLESS_GIL])
def test_an_endless_row_is_refused_at_its_limit(impatient: Isolation, row: Row) -> None:
    tile = evaluate(impatient, a_poisonous_plan(FINE, row, FINE))
    (refused,) = tile.quarantine
    assert (refused.row, refused.reason) == (1, FailureReason.TIMED_OUT)
    assert "the row was not done after 1 s, which is its limit, twice" in refused.message


def test_several_poison_rows_of_a_tile_are_all_found(isolation: Isolation) -> None:
    tile = evaluate(isolation, a_poisonous_plan(Row.ABORT, *[FINE] * 300, Row.EXIT, Row.SEGFAULT))
    assert sorted(cells.row for cells in tile.quarantine) == [0, 301, 302]


def test_a_row_that_dies_once_is_not_refused(
    isolation: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By chance, or because its host was sick for a moment."""
    monkeypatch.setenv(ONCE_VARIABLE, str(tmp_path / "died"))
    isolation.close()  # the next child has the variable
    tile = evaluate(isolation, a_poisonous_plan(FINE, Row.ONCE, FINE))
    assert tile.quarantine == ()
    assert numbers(tile) == [0.0, 10.0, 20.0]


def test_where_every_row_fails_no_row_is_blamed(isolation: Isolation) -> None:
    """The host may be sick: only a worker that computes other rows of a tile may give a verdict on one."""
    with pytest.raises(ContainedError, match="2 of the first 2 rows of the tile failed alone, the last: the row ended"):
        evaluate(isolation, a_poisonous_plan(Row.ABORT, Row.ABORT))


def test_a_tile_of_many_poison_rows_is_a_broken_kernel(isolation: Isolation) -> None:
    rows = [Row.RAISES] * (REFUSED_MAX + 5)
    with pytest.raises(ContainedError, match=f"{REFUSED_MAX + 1} of the first") as caught:
        evaluate(isolation, a_poisonous_plan(FINE, *rows))
    assert caught.value.failure.reason is FailureReason.NUMERICAL


def test_a_tile_without_rows_fails_as_a_whole_after_a_second_try(isolation: Isolation) -> None:
    with pytest.raises(ContainedError, match="the tile ended its process by signal 6") as caught:
        evaluate(isolation, a_poisonous_plan(Row.ABORT, kind=NodeKind.CALIBRATE))
    assert caught.value.failure.reason is FailureReason.CRASHED
    assert "Aborted" in caught.value.last_words


def test_what_a_row_prints_is_read_and_forgotten(isolation: Isolation) -> None:
    assert evaluate(isolation, a_poisonous_plan(Row.CHATTER, FINE)).quarantine == ()


def test_what_a_row_starts_dies_with_it(impatient: Isolation) -> None:
    evaluate(impatient, a_poisonous_plan(FINE))
    group = impatient.child().pid
    tile = evaluate(impatient, a_poisonous_plan(FINE, Row.STARTS_ANOTHER))
    assert tile.quarantine[0].reason == FailureReason.TIMED_OUT
    assert living_members(group) == []


def living_members(group: int) -> list[int]:
    """Processes of a group; a zombie that init has not collected yet is dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone since
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def test_a_cancelled_tile_takes_its_child_along(isolation: Isolation) -> None:
    plan, cancelled = a_poisonous_plan(Row.ENDLESS), threading.Event()
    lease = Lease(Epoch(1), "r", 0, 0, 1, b"digest", True)
    timer = threading.Timer(0.2, cancelled.set)
    timer.start()
    with pytest.raises(TileCancelledError):
        isolation.evaluate(plan, lease, 0, SlotSide(), cancelled.is_set)
    assert isolation._child is None


def test_an_installation_that_cannot_evaluate_says_so_and_blames_no_row() -> None:
    broken = Isolation(IsolationSettings(evaluator="tests.worker.poisonous:NoSuchEvaluator"))
    with pytest.raises(XipError, match=r"cannot evaluate, its last words: AttributeError: .*NoSuchEvaluator"):
        evaluate(broken, a_poisonous_plan(FINE))
