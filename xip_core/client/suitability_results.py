"""The verdicts of a suitability run, put together from the blocks that stream in.

Every block says which clients it holds, so the order in which tiles were recorded leaves no trace. 111 bytes a client;
for more of them than fit, use `Client.stream_results` and keep what you need.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.client.results import PENDING
from xip_core.errors import IntegrityError, RequestError
from xip_core.graph.plan import NodeKind, Plan
from xip_core.model.result import Quarantine, ResultBlock
from xip_core.model.suitability import RULES, Verdict

COLUMNS = ("verdict", "binding", "client_status", "missing", "numbers")


class SuitabilityNumbers(msgspec.Struct, frozen=True, eq=False):
    """All verdicts of C clients, in the order of the clients' table.

    Attributes:
        verdict: (C,) u1, a `Verdict`; `PENDING` where nothing came.
        binding: (C,) u1, position in RULES of the rule that decided; 255 where there are no numbers.
        client_status: (C,) u1, a `ClientStatus`. missing: (C,) i4, the instrument without a number, or -1.
        numbers: (C, RULES) f8, NaN where there are none.
        quarantine: instruments without a number, and clients of tiles that were given up, by row; clients are numbered
            from *row_begin*.
    """

    verdict: np.ndarray
    binding: np.ndarray
    client_status: np.ndarray
    missing: np.ndarray
    numbers: np.ndarray
    quarantine: tuple[Quarantine, ...]
    row_begin: int

    def count(self, verdict: Verdict) -> int:
        return int((self.verdict == verdict).sum())


class SuitabilityResults:
    """Columns of one run, filled block by block."""

    def __init__(self, plan: Plan) -> None:
        """
        Raises:
            RequestError: NO_TABLE, the plan is of another kind of work.
        """
        node = plan.nodes[-1]
        if node.kind is not NodeKind.SUITABILITY:
            raise RequestError("NO_TABLE", f"a run must judge clients to have verdicts, this one ends with {node.name}")
        self._row_begin = node.row_begin
        self._columns = {
            "verdict": np.full(node.row_count, PENDING, np.uint8),
            "binding": np.full(node.row_count, PENDING, np.uint8),
            "client_status": np.zeros(node.row_count, np.uint8),
            "missing": np.full(node.row_count, -1, "<i4"),
            "numbers": np.full((node.row_count, len(RULES)), np.nan),
        }
        self.quarantine: tuple[Quarantine, ...] = ()

    def add(self, block: ResultBlock) -> None:
        """
        Take the clients of *block*, if it is of clients; the same block again changes nothing.

        Raises:
            IntegrityError: it names clients the run does not have, or lacks a column.
        """
        if "client" not in block.columns:
            return
        try:
            clients = block.columns["client"]
            if clients.size and clients.min() < 0:
                raise IndexError("clients must be >= 0")
            for name, values in self._columns.items():
                values[clients] = block.columns[name]
        except (KeyError, IndexError, ValueError) as error:
            where = f"block of node {block.node_id}, tile {block.tile}"
            raise IntegrityError(f"{where} does not fit its run: {error}") from None

    def add_quarantine(self, quarantine: Sequence[Quarantine]) -> None:
        """The quarantine list; clients of tiles that were given up are for review."""
        self.quarantine = tuple(quarantine)
        for cells in self.quarantine:
            client = cells.row - self._row_begin
            if 0 <= client < len(self._columns["verdict"]):
                self._columns["verdict"][client] = Verdict.REVIEW

    def to_numpy(self) -> SuitabilityNumbers:
        """Everything received so far, as read-only views: no copy."""
        views = {name: values.view() for name, values in self._columns.items()}
        for array in views.values():
            array.flags.writeable = False
        return SuitabilityNumbers(**views, quarantine=self.quarantine, row_begin=self._row_begin)
