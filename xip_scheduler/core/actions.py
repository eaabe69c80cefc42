"""What the core orders: frozen, in the imperative.

Two kinds, and the order between them is the contract with the driver:

    persistent   PersistRun  RecordPaused  ReserveEpochs  RecordTiles  RecordFailedTiles  RecordAttempt
                 RecordRunState
    soft         GrantLease  TrimLease  RevokeLease  DrainWorker  KernelJudged  RunChanged

**Commit every persistent action of a batch in one transaction, in the order given, before any soft action of the batch
is carried out.** A lease may rest on a tile recorded in the same batch and on an epoch reserved in it. If the commit
fails, memory is ahead of the store: exit, and start again from the store.

Soft actions may be lost with the process; they are made again from the store and from what workers present.

Every persistent action and every GrantLease names its run: each of them means that the run changed and its watchers
are to be woken after the commit. `RunChanged` is for the changes no other action shows (leases that came back).
"""

from __future__ import annotations

import msgspec

from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan
from xip_scheduler.core.events import TakenOver
from xip_scheduler.core.words import ConnectionId, Epoch, Priority, RunId, RunState, WorkerId


class PersistRun(msgspec.Struct, frozen=True, gc=False):
    """Store a new run; SubmitRun may answer when this is committed.

    With *taken_over* the store copies the records, outputs and details of those tiles from run *retry_of* or
    *reuse_of*.
    """

    run_id: RunId
    tenant: str
    name: str
    request_id: str
    plan: Plan
    plan_digest: str
    payload_hash: str
    submitted_at_s: float
    payload: object
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    retry_of: str = ""
    taken_over: TakenOver | None = None
    reuse_of: str = ""
    reuse_note: str = ""


class RecordPaused(msgspec.Struct, frozen=True, gc=False):
    """Store that a run is paused, or goes on."""

    run_id: RunId
    is_paused: bool
    who: str


class ReserveEpochs(msgspec.Struct, frozen=True, gc=False):
    """Epochs below *epoch_end* may be in use: after a restart the first new epoch is *epoch_end* or more.

    One write for a block of grants, so a grant costs no write of its own. *epoch_end* only grows.
    """

    epoch_end: Epoch


class RecordTiles(msgspec.Struct, frozen=True, gc=False):
    """Store the outcome of tiles [tile_begin, tile_end). No tile is ever recorded twice, here or as failed."""

    run_id: RunId
    node_id: int
    tile_begin: int
    tile_end: int
    epoch: Epoch
    worker_id: WorkerId
    cell_count: int
    quarantined_count: int
    payload: object


class RecordFailedTiles(msgspec.Struct, frozen=True, gc=False):
    """Store that tiles [tile_begin, tile_end) are given up: done, without output.

    For value nodes every row x scenario of the tiles goes to quarantine with this reason and message
    (`xip_scheduler.core.failures.failed_cells` lists them); other nodes have no cells. Whoever downloads the output of
    such a tile gets a block without columns; only a `reduce` ever asks, and counts its rows as expected, not used.

    Attributes:
        cell_count: cells decided by giving up; all of them are quarantined.
    """

    run_id: RunId
    node_id: int
    tile_begin: int
    tile_end: int
    cell_count: int
    reason: FailureReason
    message: str


class RecordAttempt(msgspec.Struct, frozen=True, gc=False):
    """Store that a try at a tile gave no result: *attempt* counts them from 0, *reason* 0 takes the one before back."""

    run_id: RunId
    node_id: int
    tile: int
    attempt: int
    worker_id: WorkerId
    reason: int
    message: str
    is_suspect: bool


class RecordRunState(msgspec.Struct, frozen=True, gc=False):
    """Store the final state of a run. Always the last persistent action of its run.

    Attributes:
        who: the identity that asked for it, "" where nobody did; for the audit.
    """

    run_id: RunId
    state: RunState
    message: str
    who: str = ""


class GrantLease(msgspec.Struct, frozen=True, gc=False):
    """Send the worker tiles [tile_begin, tile_end) of a node, under a new epoch.

    Attributes:
        is_isolated: to be evaluated in a child process, down to the row.
        patience_ms: how long the worker may keep results of it (`patience`).
        work_us: what it is expected to take.
    """

    worker_id: WorkerId
    connection_id: ConnectionId
    epoch: Epoch
    run_id: RunId
    node_id: int
    tile_begin: int
    tile_end: int
    is_isolated: bool = False
    patience_ms: int = 0
    work_us: int = 0


class TrimLease(msgspec.Struct, frozen=True, gc=False):
    """Ask the worker to keep only the tiles below *tile_end* of a lease; until `LeaseKept` it is what it was."""

    worker_id: WorkerId
    connection_id: ConnectionId
    epoch: Epoch
    tile_end: int


class RevokeLease(msgspec.Struct, frozen=True, gc=False):
    """Tell the worker that nothing more is wanted of this lease."""

    worker_id: WorkerId
    connection_id: ConnectionId
    epoch: Epoch


class DrainWorker(msgspec.Struct, frozen=True, gc=False):
    """Tell the worker to hand back what it has not begun and to leave: it fails at what others compute.

    Attributes:
        reason: for everybody; evidence: for operators, it names runs.
    """

    worker_id: WorkerId
    connection_id: ConnectionId
    reason: str
    evidence: str


class KernelJudged(msgspec.Struct, frozen=True, gc=False):
    """Tell the operators: a kernel version is closed (as usual), guarded or stopped from now on (`breakers`)."""

    kernel: str
    version: str
    state: str
    reason: str


class RunChanged(msgspec.Struct, frozen=True, gc=False):
    """Wake the watchers of a run."""

    run_id: RunId


PersistentAction = (
    PersistRun | RecordPaused | ReserveEpochs | RecordTiles | RecordFailedTiles | RecordAttempt | RecordRunState
)
SoftAction = GrantLease | TrimLease | RevokeLease | DrainWorker | KernelJudged | RunChanged
Action = PersistentAction | SoftAction
