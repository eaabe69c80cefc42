"""The numbers of a kernel over a table, put together from the blocks that stream in.

Like `client.results`, which does the same for a book: every block says which rows it holds, so the order in which tiles
were recorded leaves no trace. 8 bytes an output and 1 of status, a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.client.results import PENDING
from xip_core.errors import IntegrityError, RequestError
from xip_core.graph.plan import NodeKind, Plan
from xip_core.model.result import Quarantine, ResultBlock


class TableNumbers(msgspec.Struct, frozen=True, eq=False):
    """All numbers of a kernel over a table of R rows.

    Attributes:
        kernel, kernel_version: what computed them.
        outputs: (R,) by name, NaN where there is no number.
        status: (R,) u1, 0 where there are numbers, else FailureReason; `PENDING` where nothing came.
        quarantine: the rows without numbers, and why; of very many the first ones.
    """

    kernel: str
    kernel_version: str
    outputs: dict[str, np.ndarray]
    status: np.ndarray
    quarantine: tuple[Quarantine, ...]


class TableResults:
    """Columns of one run, filled block by block."""

    def __init__(self, plan: Plan) -> None:
        """
        Raises:
            RequestError: NO_TABLE, the plan is of another kind of work.
        """
        node = plan.nodes[0]
        if node.kind is not NodeKind.KERNEL:
            raise RequestError("NO_TABLE", f"a run must be of a kernel over a table, this one begins with {node.name}")
        self._node = node
        self._outputs = {name: np.full(node.row_count, np.nan) for name in plan.outputs}
        self._status = np.full(node.row_count, PENDING, np.uint8)
        self.quarantine: tuple[Quarantine, ...] = ()

    def add(self, block: ResultBlock) -> None:
        """
        Take the numbers of *block*; the same block again changes nothing.

        Raises:
            IntegrityError: it names rows the run does not have, or lacks a column.
        """
        try:
            rows = block.columns["row"]
            if rows.size and rows.min() < 0:
                raise IndexError("rows must be >= 0")
            for name, values in self._outputs.items():
                values[rows] = block.columns[name]
            self._status[rows] = block.columns["status"]
        except (KeyError, IndexError, ValueError) as error:
            where = f"block of node {block.node_id}, tile {block.tile}"
            raise IntegrityError(f"{where} does not fit its run: {error}") from None

    def add_quarantine(self, quarantine: Sequence[Quarantine]) -> None:
        """The quarantine list; also marks the rows of tiles that were given up."""
        self.quarantine = tuple(quarantine)
        for cells in self.quarantine:
            if 0 <= cells.row < len(self._status):
                self._status[cells.row] = cells.reason

    def to_numpy(self) -> TableNumbers:
        """Everything received so far, as read-only views: no copy."""
        views = {name: values.view() for name, values in self._outputs.items()}
        status = self._status.view()
        for array in (*views.values(), status):
            array.flags.writeable = False
        return TableNumbers(self._node.kernel, self._node.kernel_version, views, status, self.quarantine)
