"""Isolated leases: tiles that may kill are evaluated in a child process of the slot, down to the row.

    tile whole ──ends──────────────────────────────────────────────────────────> its result: the host was to blame
        └─ dies, hangs, takes too much, raises ──> rows one by one in a new child, each told before it is begun
               row dies ──> that row again, alone in a new child ──dies again──> refused
        all rows tried ──> tile whole without the refused rows ─────────────────> its result: they are quarantined

The child says what it is about to begin, so whatever ends it is known to the row, and a search costs two children per
poison row and one look at each other row (about 1 ms), where halving would cost two children per level: a tile of 256
rows has eight. Tiles above PARTS_MAX rows are searched in as many parts first.

A row is refused only after it has failed twice, and while other rows of its tile were computed by the same worker in
the same way: a worker whose every child dies has a failed tile, and no verdict on a row. More than REFUSED_MAX rows are
no poison rows but a broken kernel: the tile fails as well. So does one without rows that fails twice.

Limits, each part (a row, or the tile): wall clock, processor time, address space beyond the imports; a process group of
its own, so what it starts dies with it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from xip_core.errors import Failure, FailureReason, XipError
from xip_core.graph.plan import Plan
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import Columns, QuarantinedCells, TileCancelledError, TileData, TileValue
from xip_core.wire.convert import encode_block
from xip_worker.events import Lease
from xip_worker.isolation_process import ChildGoneError, ChildProcess, failure_of_end
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.isolation_wire import (
    Answer,
    Begun,
    EvaluateRows,
    EvaluateTile,
    FromChild,
    NeedBlob,
    NeedOutput,
    Order,
    Raised,
    RowsEnded,
    TileDone,
    TileName,
)

LOOK_S = 0.02
"""Between two looks at cancellation and clock."""

START_LIMIT_S = 60.0
"""For a child's imports; a machine that takes longer evaluates nothing in time."""

COST_FACTOR = 100.0
"""A part may take so many times what its kernel declares: a declared cost may be wrong by 10x, a machine busy."""

PARTS_MAX = 256
REFUSED_MAX = 16
Part = tuple[int, int]


class IsolatedEvaluator(Protocol):
    """What a child calls; made in it, from a name."""

    def warm_up(self) -> None: ...

    def row_count(self, plan: Plan, node_id: int, tile: int) -> int:
        """Rows that can be evaluated and refused one by one, 0 where a tile has none."""

    def evaluate_rows(
        self, plan: Plan, node_id: int, tile: int, positions: range, data: TileData, is_cancelled: IsCancelled
    ) -> None: ...

    def evaluate_without(
        self,
        plan: Plan,
        node_id: int,
        tile: int,
        refused: Mapping[int, Failure],
        data: TileData,
        is_cancelled: IsCancelled,
    ) -> TileValue: ...

    def encode_block(self, columns: Columns) -> bytes: ...


class ContainedError(XipError):
    """A tile failed in a child process, and no row of it is to blame.

    Attributes:
        last_words: what the child wrote last, for the log.
    """

    def __init__(self, failure: Failure, last_words: str) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.last_words = last_words


class ContainedTile(msgspec.Struct, frozen=True):
    """Serialized blocks of a tile, its cells and those without a number."""

    output: bytes
    detail: bytes
    cell_count: int
    quarantine: tuple[QuarantinedCells, ...]


class _Failed(msgspec.Struct):
    """A part that did not end well."""

    failure: Failure
    last_words: str


class _NotBegunError(Exception):
    """The child is gone and had not begun."""


class Isolation:
    """The child of one slot; belongs to the slot's thread."""

    def __init__(self, settings: IsolationSettings) -> None:
        self.settings = settings
        self._child: ChildProcess | None = None

    def evaluate(
        self, plan: Plan, lease: Lease, tile: int, data: TileData, is_cancelled: IsCancelled
    ) -> ContainedTile:
        """
        Evaluate one tile in a child.

        Raises:
            ContainedError: it failed as a whole, twice.
            XipError: no child can be had.
            TileCancelledError: *is_cancelled* said so.
        """
        return _Search(self, plan, lease, tile, data, is_cancelled).run()

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def child(self) -> ChildProcess:
        if self._child is None:
            self._child = ChildProcess(self.settings)
        return self._child

    def lose_child(self) -> tuple[int, str]:
        """Exit code and last words of a child that has gone."""
        assert self._child is not None
        child, self._child = self._child, None
        return child.code(), child.last_words()


class _Search:
    """One tile, and the rows of it that are to blame."""

    def __init__(
        self, isolation: Isolation, plan: Plan, lease: Lease, tile: int, data: TileData, is_cancelled: IsCancelled
    ) -> None:
        self._isolation = isolation
        self._plan = plan
        self._lease = lease
        self._tile = tile
        self._data = data
        self._is_cancelled = is_cancelled
        self._node = plan.nodes[lease.node_id]
        self._row_count = 0
        self._parts_ended = 0

    def run(self) -> ContainedTile:
        first = self._try_tile({})
        if isinstance(first, ContainedTile):
            return first
        refused = self._poison_rows() if self._row_count > 1 else {}
        again = self._try_tile(refused)
        if isinstance(again, ContainedTile):
            return again
        raise ContainedError(_worded(again.failure, "the tile"), again.last_words)

    def _poison_rows(self) -> dict[int, Failure]:
        """Rows that fail alone, twice, with what they failed of."""
        refused: dict[int, Failure] = {}
        waiting = deque(_split(0, self._row_count))
        while (failed := self._try_rows(waiting)) is not None:
            begin, end = waiting.popleft()
            if end - begin > 1:
                waiting.extendleft(reversed(_split(begin, end)))
                continue
            again = self._try_rows(deque([(begin, end)]))
            if again is None:
                continue
            refused[begin] = _worded(again.failure, "the row")
            if len(refused) > REFUSED_MAX or len(refused) == self._row_count:
                sentence = f"{len(refused)} of the first {end} rows of the tile failed alone, the last: "
                failure = Failure(again.failure.reason, sentence + refused[begin].message)
                raise ContainedError(failure, failed.last_words)
        return refused

    # ---- orders to the child

    def _try_tile(self, refused: Mapping[int, Failure]) -> ContainedTile | _Failed:
        rows = tuple((row, int(failure.reason), failure.message) for row, failure in sorted(refused.items()))
        done = self._carry_out(lambda name: EvaluateTile(name, rows), 1)
        if isinstance(done, _Failed):
            return done
        assert isinstance(done, TileDone), done
        return ContainedTile(
            done.output, done.detail, done.cell_count, tuple(QuarantinedCells(*cells) for cells in done.quarantine)
        )

    def _try_rows(self, waiting: deque[Part]) -> _Failed | None:
        """Take what ends well from *waiting*; a failure is that of the first part left."""
        if not waiting:
            return None
        parts = tuple(waiting)
        done = self._carry_out(lambda name: EvaluateRows(name, parts), len(parts))
        for _ in range(self._parts_ended):
            waiting.popleft()
        return done if isinstance(done, _Failed) else None

    def _carry_out(self, order_of: Callable[[TileName], Order], part_count: int) -> FromChild | _Failed:
        """One order to the child, a new one if need be; what it ends with."""
        for _ in range(2):
            child = self._isolation.child()
            is_new = child.order_count == 0
            self._parts_ended = 0
            try:
                return self._follow(child, order_of(self._name(child)), part_count)
            except _NotBegunError:  # it had waited too long and left: another one is asked
                _, last_words = self._isolation.lose_child()
                if is_new:
                    words = last_words.strip().rpartition("\n")[2] or "nothing"
                    raise XipError(f"the child process of the slot cannot evaluate, its last words: {words}") from None
            except BaseException:
                self._isolation.close()
                raise
        raise XipError("the child process of the slot left twice before it began")

    def _name(self, child: ChildProcess) -> TileName:
        lease = self._lease
        is_known = child.plan_digest == lease.plan_digest
        child.plan_digest = lease.plan_digest
        child.order_count += 1
        plan = b"" if is_known else self._plan.encode()
        return TileName(plan, lease.run_id, lease.node_id, self._tile, self._limit_s * (os.cpu_count() or 1))

    @property
    def _limit_s(self) -> float:
        return max(self._isolation.settings.time_limit_s, COST_FACTOR * self._node.cost_s)

    def _follow(self, child: ChildProcess, order: Order, part_count: int) -> FromChild | _Failed:
        """Serve the child until the order is ended, one way or another."""
        begun_s = 0.0
        started_s = time.monotonic()
        try:
            child.send(order)
            while True:
                message = child.receive(LOOK_S)
                if self._is_cancelled():
                    raise TileCancelledError
                match message:
                    case Begun():
                        begun_s, self._row_count = time.monotonic(), message.row_count
                    case NeedBlob() | NeedOutput():
                        asked_s = time.monotonic()
                        child.send(self._answer(message))
                        begun_s += time.monotonic() - asked_s  # waiting for the network is not the row's fault
                    case RowsEnded():
                        self._parts_ended += 1
                        if self._parts_ended == part_count:
                            return message
                    case TileDone():
                        return message
                    case Raised():
                        return self._raised(message)
                    case None:
                        failure = self._look(begun_s, started_s)
                        if failure is not None:
                            self._isolation.close()
                            return _Failed(failure, child.last_words())
        except ChildGoneError:
            if not begun_s:
                raise _NotBegunError from None
            code, last_words = self._isolation.lose_child()
            return _Failed(failure_of_end(code, self._limit_s), last_words)

    def _answer(self, need: NeedBlob | NeedOutput) -> Answer:
        try:
            if isinstance(need, NeedBlob):
                return Answer(self._data.blob(need.digest))
            return Answer(encode_block(self._data.output(need.node_id, need.tile)))
        except XipError as error:
            return Answer(b"", str(error))

    def _raised(self, raised: Raised) -> _Failed:
        reason = FailureReason(raised.reason)
        if reason is not FailureReason.OUT_OF_MEMORY:
            return _Failed(Failure(reason, raised.message), "")
        self._isolation.close()  # it is full
        return _Failed(Failure(reason, f"{self._too_much_memory} ({raised.message})"), "")

    @property
    def _too_much_memory(self) -> str:
        limit_mib = self._isolation.settings.memory_limit_bytes >> 20
        return f"wanted more memory than the {limit_mib} MiB it may have"

    def _look(self, begun_s: float, started_s: float) -> Failure | None:
        """Has the child gone beyond its time?"""
        if not begun_s:
            if time.monotonic() - started_s > START_LIMIT_S:
                raise XipError(f"the child process of the slot had not begun after {START_LIMIT_S:g} s")
            return None
        if time.monotonic() - begun_s > self._limit_s:
            sentence = f"was not done after {self._limit_s:g} s, which is its limit"
            return Failure(FailureReason.TIMED_OUT, sentence)
        return None


def _worded(failure: Failure, what: str) -> Failure:
    """The sentence of a failure in which *what* failed twice; an error raised speaks for itself."""
    if failure.reason in (FailureReason.CRASHED, FailureReason.TIMED_OUT, FailureReason.OUT_OF_MEMORY):
        sentence = f"{what} {failure.message}, twice, alone in a process of its own"
        return Failure(failure.reason, sentence)
    return failure


def _split(begin: int, end: int) -> list[Part]:
    """At most PARTS_MAX parts of a range."""
    size = -(-(end - begin) // PARTS_MAX)
    return [(at, min(at + size, end)) for at in range(begin, end, size)]
