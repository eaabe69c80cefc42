"""What can happen to the scheduler: facts, in the past tense, frozen.

The shells (rpc, driver) translate messages into these; `Core.handle(event, now_s)` is the only reader. An event says
what was received, never what to do about it, and carries no clock: `now_s` is the time it was received.

Rules for whoever makes events:

* One `TilesReported` per tile result on the wire, in the order received. The message's acknowledgement is due when the
  batch that handled it is committed, whether the core recorded the tiles or refused them.
* Connections are numbered by the shell, ascending. A worker that reconnects is attached again with the new number; the
  detach of its older connection may come before or after and does no harm.
* What the core does not read it passes through: `payload` of a result goes to `RecordTiles` untouched.

Sizes: an event of eight fields takes 0.05 us to make, a frozen dataclass 0.7 us; `gc=False` keeps them off the
collector's lists, which is safe because no event refers to itself.
"""

from __future__ import annotations

import msgspec

from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan
from xip_scheduler.core.retries import Attempt
from xip_scheduler.core.words import ConnectionId, Epoch, Priority, RunId, WorkerId


class TakenOver(msgspec.Struct, frozen=True, gc=False):
    """What a run need not compute again: a retry (`remainder`), or one whose plan shares tiles with an earlier run's
    (`xip_core.graph.reuse`).

    Attributes:
        done: per node, by node id: ascending, disjoint, merged half-open intervals of tiles with output.
        cells_done, cells_quarantined: sums over their records.
        payload: quarantine of these tiles, for the store.
        attempts: (node_id, tile, attempt), at most one for each of the others that was poison: it counts in the new run
            as well, so the tile begins isolated and a retry costs no three workers more (S16).
    """

    done: tuple[tuple[tuple[int, int], ...], ...]
    cells_done: int
    cells_quarantined: int
    payload: object = None
    attempts: tuple[tuple[int, int, Attempt], ...] = ()


class RunSubmitted(msgspec.Struct, frozen=True, gc=False):
    """A planned request. The shell has checked the request id against the store; a known run id changes nothing.

    Attributes:
        plan: checked (`Plan.check`) by the shell; the core takes its word.
        payload_hash: digest of the request as the client sent it, to tell a repeat from another content.
        submitted_at_s: seconds since the Unix epoch, for people only.
        payload: whatever the shell wants stored with the run; passed through to `PersistRun`.
        deadline_after_s: wanted so many seconds after submission, 0 for no deadline.
        retry_of: a final run of the same plan, "" for none; with it *taken_over*.
        reuse_of: a final run of another plan, "" for none; with it *taken_over*.
        reuse_note: JSON for people: what was taken over of which run and why not more, "" for none.
        planned_s: for people: from the request's arrival until now.
    """

    run_id: RunId
    tenant: str
    name: str
    request_id: str
    plan: Plan
    plan_digest: str
    payload_hash: str
    submitted_at_s: float = 0.0
    payload: object = None
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    retry_of: str = ""
    taken_over: TakenOver | None = None
    reuse_of: str = ""
    reuse_note: str = ""
    planned_s: float = 0.0


class RunPaused(msgspec.Struct, frozen=True, gc=False):
    """Somebody entitled to asked to grant nothing more of a run. Of a paused, finished or unknown run: changes nothing.

    Attributes:
        who: the identity that asked, for the audit.
    """

    run_id: RunId
    who: str = ""


class RunResumed(msgspec.Struct, frozen=True, gc=False):
    """Somebody entitled to asked to go on with a run. Of one that is not paused: changes nothing."""

    run_id: RunId
    who: str = ""


class RunCancelled(msgspec.Struct, frozen=True, gc=False):
    """Somebody entitled to asked for the end of a run. Of a finished or unknown run: changes nothing.

    Attributes:
        who: the identity that asked, for the audit.
    """

    run_id: RunId
    reason: str = ""
    who: str = ""


class HeldLease(msgspec.Struct, frozen=True, gc=False):
    """A lease that an attaching worker says it still holds; the tiles are those of the grant, done or not."""

    epoch: Epoch
    run_id: RunId
    node_id: int
    tile_begin: int
    tile_end: int


class WorkerAttached(msgspec.Struct, frozen=True, gc=False):
    """A worker opened a stream, for the first time or again.

    Attributes:
        slot_count: partitions it evaluates at a time, >= 1.
        held: in the order the worker evaluates them. Each is adopted or answered with `RevokeLease`.
        kernels: (name, version) pairs the worker has.
    """

    worker_id: WorkerId
    connection_id: ConnectionId
    slot_count: int
    held: tuple[HeldLease, ...] = ()
    kernels: tuple[tuple[str, str], ...] = ()


class WorkerDetached(msgspec.Struct, frozen=True, gc=False):
    """A stream of a worker ended, for whatever reason.

    Attributes:
        is_orderly: the worker said goodbye with nothing held; otherwise it may have been killed by what it evaluated,
            and the tiles it was at are suspects.
    """

    worker_id: WorkerId
    connection_id: ConnectionId
    is_orderly: bool = False


class WorkerDraining(msgspec.Struct, frozen=True, gc=False):
    """A worker wants no new leases; it finishes or returns what it holds."""

    worker_id: WorkerId


class LeasesSent(msgspec.Struct, frozen=True, gc=False):
    """Leases were sent late, because the batch that granted them took long to commit: their time begins now.

    Their workers could not name them in a heartbeat before. Without this a disk that is slower than a lease would end
    every lease before it is known to anybody.
    """

    epochs: tuple[Epoch, ...]


class HeartbeatReceived(msgspec.Struct, frozen=True, gc=False):
    """A worker is alive, and so far with each lease it holds.

    Attributes:
        progress: (epoch, tiles done) of every lease the worker holds, running or queued. A lease it does not name is
            not renewed and ends at its deadline.
        stalled: (epoch, seconds) of the leases being evaluated: since the slot last asked whether it is cancelled.
    """

    worker_id: WorkerId
    progress: tuple[tuple[Epoch, int], ...] = ()
    memory_bytes: int = 0
    stalled: tuple[tuple[Epoch, float], ...] = ()


class TilesReported(msgspec.Struct, frozen=True, gc=False):
    """Tiles [tile_begin, tile_end) of a lease have been evaluated.

    Attributes:
        cell_count: cells decided by these tiles, quarantined ones included.
        quarantined: (scenario_begin, scenario_end) of a row without numbers, once per such row; only the plan can say
            how many cells that is, and which plan it is only the lease.
        elapsed_ns: time the slot spent on them.
        fetch_ns: of *elapsed_ns*, waiting for inputs.
        fetched: (kind, bytes, count) of what the worker received for them.
        pruned_count: of *cell_count*, not computed because their scenario leaves their row alone.
        poison_count: rows among the quarantined ones that an isolated evaluation refused.
        payload: output, detail and quarantine for the store.
    """

    worker_id: WorkerId
    epoch: Epoch
    tile_begin: int
    tile_end: int
    cell_count: int
    quarantined: tuple[tuple[int, int], ...]
    elapsed_ns: int
    payload: object = None
    poison_count: int = 0
    fetch_ns: int = 0
    fetched: tuple[tuple[str, int, int], ...] = ()
    pruned_count: int = 0


class TileFailed(msgspec.Struct, frozen=True, gc=False):
    """The evaluation of one tile raised, or its inputs could not be had; the worker goes on with the rest."""

    worker_id: WorkerId
    epoch: Epoch
    tile: int
    reason: FailureReason
    message: str


class LeaseKept(msgspec.Struct, frozen=True, gc=False):
    """A worker's answer to `TrimLease`: the lease ends at *tile_end*; beyond it nothing was begun, nor will be.

    *tile_end* is at most where the lease ended, and that where the worker can spare nothing; `tile_begin` or less means
    that it gave the lease back whole.
    """

    worker_id: WorkerId
    epoch: Epoch
    tile_end: int


class LeaseReturned(msgspec.Struct, frozen=True, gc=False):
    """A worker hands a lease back; what it has not reported is free again."""

    worker_id: WorkerId
    epoch: Epoch


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time passed. Due at `Core.next_deadline_s()`; harmless at any other time."""


Event = (
    RunSubmitted
    | RunCancelled
    | RunPaused
    | RunResumed
    | WorkerAttached
    | WorkerDetached
    | WorkerDraining
    | HeartbeatReceived
    | LeasesSent
    | TilesReported
    | TileFailed
    | LeaseKept
    | LeaseReturned
    | Tick
)
