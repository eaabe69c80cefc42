"""The child process of a slot: evaluates what may kill, hang or eat up whoever evaluates it (`isolation`).

    python -m xip_worker.isolation_child FD MEMORY_BYTES MODULE:EVALUATOR

It dumps no core, ends with the thread that started it, leaves its parent's signals alone, may have so much memory
beyond what it has after its imports, and 256 files. Whoever sends it nothing for IDLE_S finds it gone: a worker that
needs no child has none.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import math
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, cast

from xip_core.errors import CellError, Failure, FailureReason, XipError
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
    frame,
    receive_order,
)

if TYPE_CHECKING:
    from xip_core.graph.plan import Plan
    from xip_core.pricing.tile import Columns, Maker
    from xip_worker.isolation import IsolatedEvaluator

IDLE_S = 30.0
OPEN_FILES_MAX = 256
MESSAGE_LENGTH_MAX = 2_000
MEMORY_KEPT_BYTES = 64 << 20
"""Of blobs and what is derived from them; a child lives for a few tiles of one run."""

PR_SET_PDEATHSIG = 1


class SlotData:
    """TileData of a child: asks the slot."""

    def __init__(self, line: socket.socket) -> None:
        from xip_worker.cache import Memo

        self._line = line
        self._memo = Memo(MEMORY_KEPT_BYTES)
        self._outputs: dict[tuple[int, int], Columns] = {}
        self._named: tuple[str, int, int] | None = None

    def begin(self, name: TileName) -> None:
        """Outputs read by another tile are not needed any more."""
        if self._named != (name.run_id, name.node_id, name.tile):
            self._named = name.run_id, name.node_id, name.tile
            self._outputs.clear()

    def blob(self, digest: str) -> bytes:
        return cast(bytes, self._memo.get(("blob", digest), lambda: self._ask(NeedBlob(digest))))

    def output(self, node_id: int, tile: int) -> Columns:
        from xip_core.wire.convert import decode_block

        found = self._outputs.get((node_id, tile))
        if found is None:
            found = self._outputs[node_id, tile] = decode_block(self._ask(NeedOutput(node_id, tile)))
        return found

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        return self._memo.get(key, make)

    def _ask(self, question: NeedBlob | NeedOutput) -> bytes:
        self._line.sendall(frame(question))
        answer = receive_order(self._line)
        if answer is None:
            os._exit(0)  # the slot is gone, nobody waits
        assert isinstance(answer, Answer), answer
        if answer.error:
            raise XipError(answer.error)
        return answer.content


class Child:
    def __init__(self, line: socket.socket, evaluator: IsolatedEvaluator) -> None:
        self._line = line
        self._evaluator = evaluator
        self._data = SlotData(line)
        self._plan: Plan | None = None

    def serve(self) -> None:
        while True:
            self._line.settimeout(IDLE_S)
            try:
                order = receive_order(self._line)
            except TimeoutError:
                return
            if order is None:
                return
            assert not isinstance(order, Answer), order
            self._line.settimeout(None)
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        name = order.name
        if name.plan:
            from xip_core.graph.plan import decode_plan

            self._plan = decode_plan(name.plan)
        assert self._plan is not None, "the first order names a plan"
        self._data.begin(name)
        try:
            if isinstance(order, EvaluateTile):
                self._say(self._tile(self._plan, order))
            else:
                self._rows(self._plan, order)
        except MemoryError as error:
            self._say(Raised(FailureReason.OUT_OF_MEMORY, f"{type(error).__name__}: {error}"[:MESSAGE_LENGTH_MAX]))
        except Exception as error:
            reason = error.failure.reason if isinstance(error, CellError) else FailureReason.EVALUATION_FAILED
            text = str(error) if isinstance(error, XipError) else f"{type(error).__name__}: {error}"
            self._say(Raised(int(reason), text[:MESSAGE_LENGTH_MAX]))

    def _say(self, message: FromChild) -> None:
        self._line.sendall(frame(message))

    def _begin(self, plan: Plan, name: TileName) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit_s = math.ceil(used.ru_utime + used.ru_stime + name.cpu_limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        self._say(Begun(self._evaluator.row_count(plan, name.node_id, name.tile)))

    def _tile(self, plan: Plan, order: EvaluateTile) -> TileDone:
        name = order.name
        refused = {row: Failure(FailureReason(reason), message) for row, reason, message in order.refused}
        self._begin(plan, name)
        value = self._evaluator.evaluate_without(plan, name.node_id, name.tile, refused, self._data, _never)
        return TileDone(
            self._evaluator.encode_block(value.output) if value.output else b"",
            self._evaluator.encode_block(value.detail) if value.detail else b"",
            value.cell_count,
            tuple(
                (cells.row, cells.scenario_begin, cells.scenario_end, cells.trade_id, cells.reason, cells.message)
                for cells in value.quarantine
            ),
        )

    def _rows(self, plan: Plan, order: EvaluateRows) -> None:
        name = order.name
        for begin, end in order.ranges:
            self._begin(plan, name)
            self._evaluator.evaluate_rows(plan, name.node_id, name.tile, range(begin, end), self._data, _never)
            self._say(RowsEnded())


def _never() -> bool:
    """A child is not asked to stop, it is killed."""
    return False


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    memory_bytes = int(sys.argv[2])
    sys.path[:] = json.loads(os.environ.pop("XIP_ISOLATED_PATH"))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError):  # where less is allowed, less it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_MAX, OPEN_FILES_MAX))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    module, _, name = sys.argv[3].partition(":")
    evaluator = getattr(importlib.import_module(module), name)()
    evaluator.warm_up()
    size_bytes = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    Child(line, evaluator).serve()


def _address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
