"""Rows that kill, hang and eat, for children of the tests: each row of a node's `rows` is what it does."""

from __future__ import annotations

import ctypes
import enum
import os
import sys
import threading
from collections.abc import Mapping

import numpy as np

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.graph.plan import Node, NodeKind, Plan, Source
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import Columns, QuarantinedCells, TileData, TileValue
from xip_core.wire.convert import encode_block


class Row(enum.IntEnum):
    FINE = 0
    SEGFAULT = 1
    ABORT = 2
    ENDLESS = 3
    MEMORY = 4
    EXIT = 5
    CHATTER = 6
    RAISES = 7
    RESIDENT = 8
    READS = 9
    ONCE = 10
    ENDLESS_GIL = 11
    STARTS_ANOTHER = 12
    PYTHON_ERROR = 13


BLOB = b"from the slot"
BLOB_DIGEST = "ab" * 32
ONCE_VARIABLE = "XIP_TEST_DIED_ONCE"


def a_poisonous_plan(*rows: Row, kind: NodeKind = NodeKind.VALUE, cost_s: float = 0.001) -> Plan:
    """One node of one tile; a calibrate node has no rows to search, and does what its first row does."""
    codes = np.array(rows, dtype="<i4").tobytes()
    node = Node(0, "tested", kind, "tested", "1", 1, cost_s, row_count=len(rows), rows_per_tile=len(rows), rows=codes)
    return Plan(nodes=(node,), cell_count=len(rows), sources=(Source(book_digest=BLOB_DIGEST),))


class PoisonousEvaluator:
    """An `isolation.IsolatedEvaluator` over such plans; fine rows are worth ten times their position."""

    def warm_up(self) -> None:
        pass

    def row_count(self, plan: Plan, node_id: int, tile: int) -> int:
        return plan.nodes[0].row_count if plan.nodes[0].kind is NodeKind.VALUE else 0

    def evaluate_rows(
        self, plan: Plan, node_id: int, tile: int, positions: range, data: TileData, is_cancelled: IsCancelled
    ) -> None:
        for position in positions:
            _do(_rows(plan.nodes[0])[position], data)

    def evaluate_without(
        self,
        plan: Plan,
        node_id: int,
        tile: int,
        refused: Mapping[int, Failure],
        data: TileData,
        is_cancelled: IsCancelled,
    ) -> TileValue:
        rows = _rows(plan.nodes[0])
        for position, row in enumerate(rows):
            if position not in refused:
                _do(row, data)
        pv = np.array([np.nan if position in refused else 10.0 * position for position in range(len(rows))])
        quarantine = tuple(
            QuarantinedCells(position, 0, 1, f"T{position}", int(failure.reason), failure.message)
            for position, failure in refused.items()
        )
        return TileValue({}, {"pv": pv}, len(rows), quarantine)

    def encode_block(self, columns: Columns) -> bytes:
        return encode_block(columns)


def _rows(node: Node) -> list[int]:
    found: list[int] = np.frombuffer(node.rows, dtype="<i4").tolist()
    return found


def _do(row: int, data: TileData) -> None:
    match Row(row):
        case Row.SEGFAULT:
            ctypes.string_at(0)
        case Row.ABORT:
            os.abort()
        case Row.ENDLESS:
            ctypes.CDLL(None).pause()  # without the GIL, like a kernel
        case Row.ENDLESS_GIL:
            ctypes.PyDLL(None).pause()
        case Row.MEMORY:
            np.zeros(1 << 40)
        case Row.RESIDENT:
            hoard = [b"x" * (1 << 24) for _ in range(1 << 8)]
            assert hoard
        case Row.EXIT:
            sys.exit(3)
        case Row.CHATTER:
            for _ in range(64):
                os.write(1, b"so much to say " * 4_096)
        case Row.RAISES:
            raise CellError(FailureReason.NUMERICAL, "trade T: no root")
        case Row.PYTHON_ERROR:
            raise ZeroDivisionError("division by zero")
        case Row.READS:
            assert data.blob(BLOB_DIGEST) == BLOB
        case Row.ONCE:
            marker = os.environ[ONCE_VARIABLE]
            if not os.path.exists(marker):
                with open(marker, "wb"):
                    pass
                os.abort()
        case Row.STARTS_ANOTHER:
            if os.fork() == 0:
                threading.Event().wait(60.0)
                os._exit(0)
            ctypes.CDLL(None).pause()
        case Row.FINE:
            pass


