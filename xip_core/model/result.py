"""What a run says about itself while it is computed and afterwards; the model side of xip.v1.

    Run             state, counts and lineage digests, with the progress of every node
    Quarantine      cells without a number, and why
    ResultBlock     the arrays of one tile, with the cursor that resumes the stream after it
    WorkerInfo      one attached worker daemon
    BreakerInfo     a kernel version that is not leased as usual

All values are immutable. Arrays inside a `ResultBlock` are read-only views of the bytes received.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from xip_core.kernel_versions import Versions
from xip_core.model.run_spec import Priority

if TYPE_CHECKING:  # numpy costs 0.1 s at import; commands that list runs or workers never need it
    import numpy as np

    Columns = dict[str, np.ndarray]


class RunState(enum.IntEnum):
    """The values are those of xip.v1.RunState."""

    RUNNING = 1
    COMPLETED = 2
    COMPLETED_WITH_QUARANTINE = 3
    FAILED = 4
    CANCELLED = 5

    @property
    def is_final(self) -> bool:
        return self is not RunState.RUNNING

    @property
    def label(self) -> str:
        """For screens: "completed with quarantine"."""
        return self.name.lower().replace("_", " ")


class NodeProgress(msgspec.Struct, frozen=True):
    """How far one node of the risk graph is; *kernels* is what its numbers rest on (`xip_core.kernel_versions`),
    *tiles_reused* of *tiles_done* were taken over from another run."""

    node_id: int
    name: str
    kind: str
    kernel: str
    kernel_version: str
    tile_count: int
    tiles_done: int
    tiles_leased: int
    kernels: Versions = ()
    tiles_reused: int = 0


class Run(msgspec.Struct, frozen=True):
    """One run as the scheduler sees it now.

    Attributes:
        submitted_at_s, finished_at_s: seconds since the Unix epoch, 0 while unknown; for people only.
        cell_count: 0 until the run is planned.
        cells_quarantined: part of cells_done.
        first_lease_after_s: seconds from submission to the first lease, 0 before it.
        message: why a run failed or was cancelled.
        deadline_after_s: as submitted, 0 for none.
        is_paused: nothing new of it is computed until it is resumed; only of a running run.
        eta_s: seconds until it is final by the cost model, at the share of the grid it has now; 0 when unknown.
        retry_of: the run whose results it took over, "" for none.
        reuse_of: the run of another plan whose tiles it began with, "" for none.
        is_repeated: in the answer to a submission: an earlier one under the same request id made this run.
    """

    run_id: str
    name: str
    tenant: str
    state: RunState
    submitted_at_s: float = 0.0
    finished_at_s: float = 0.0
    cell_count: int = 0
    cells_done: int = 0
    cells_quarantined: int = 0
    worker_count: int = 0
    slot_count: int = 0
    nodes: tuple[NodeProgress, ...] = ()
    book_digest: str = ""
    market_digest: str = ""
    scenarios_digest: str = ""
    plan_digest: str = ""
    message: str = ""
    epoch_last: int = 0
    first_lease_after_s: float = 0.0
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    is_paused: bool = False
    eta_s: float = 0.0
    retry_of: str = ""
    is_repeated: bool = False
    reuse_of: str = ""

    @property
    def is_of_table(self) -> bool:
        """Of a kernel over a table: its numbers are columns, not trades under scenarios."""
        return any(node.kind == "kernel" for node in self.nodes)

    @property
    def is_of_several(self) -> bool:
        """Of several books, markets or days: its numbers are tables, its rows those of more than one book."""
        return sum(node.kernel == "reduce" for node in self.nodes) > 1

    @property
    def kernel_versions(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of every operation and kernel that the run's numbers rest on, in node order, each once."""
        pairs = [
            pair
            for node in self.nodes
            for pair in ((node.kernel, node.kernel_version), *node.kernels)
            if pair[0]
        ]
        return tuple(dict.fromkeys(pairs))


class Quarantine(msgspec.Struct, frozen=True):
    """Scenarios [scenario_begin, scenario_end) of book row *row* have no number; *reason* is a FailureReason."""

    row: int
    scenario_begin: int
    scenario_end: int
    trade_id: str
    reason: int
    message: str


class ResultBlock(msgspec.Struct, frozen=True):
    """
    The arrays of one recorded tile; *cursor* resumes the stream just after it. `columns` has them all by name
    (docs/tile-outputs.md); the properties are those everybody asks for. R = rows, S = scenarios of the tile.
    """

    cursor: int
    node_id: int
    tile: int
    columns: Columns

    @property
    def is_totals(self) -> bool:
        """Blocks of the reduce node hold sums by asset class."""
        return "asset_class" in self.columns

    @property
    def is_aggregate(self) -> bool:
        """The block of an aggregate node holds its table (`xip_core.client.tables`); others hold values of trades."""
        return "aggregate" in self.columns

    @property
    def rows(self) -> np.ndarray:
        """(R,) rows of the book. KeyError for totals."""
        return self.columns["row"]

    @property
    def scenarios(self) -> np.ndarray:
        """(S,) positions in the scenario set. KeyError for totals."""
        return self.columns["scenario"]

    @property
    def pv(self) -> np.ndarray:
        """(R, S), base currency, NaN where `status` is not 0; of totals (asset classes,) under the base."""
        return self.columns["pv"]

    @property
    def status(self) -> np.ndarray:
        """(R, S) u1, 0 where there is a number, else a FailureReason. KeyError for totals."""
        return self.columns["status"]


class WorkerInfo(msgspec.Struct, frozen=True):
    """One attached worker daemon.

    Attributes:
        speed: tiles a second against the average of the grid at the same work; 0 before anything was measured.
        drain_reason: why the scheduler wants no more of it, "" when it does.
    """

    worker_id: str
    host: str
    pid: int
    slot_count: int
    cpu_level: str
    version: str
    lease_count: int
    tiles_done: int
    attached_s: float
    heartbeat_age_s: float
    memory_bytes: int
    is_draining: bool
    speed: float = 0.0
    drain_reason: str = ""


class BreakerInfo(msgspec.Struct, frozen=True):
    """A kernel version that is not leased as usual, because workers died of it.

    Attributes:
        state: "guarded": evaluated in child processes only; "stopped": not at all, for now.
        reason: in counts.
    """

    kernel: str
    version: str
    state: str
    reason: str
