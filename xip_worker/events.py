"""What the worker's core hears and what it orders; events are facts in the past, actions are orders.

Records are not tracked by the garbage collector (`gc=False`): none can be part of a cycle, and a busy worker makes
tens of thousands of them a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

import msgspec

if TYPE_CHECKING:
    from xip_core.pricing.tile import QuarantinedCells

Epoch = NewType("Epoch", int)
SlotIndex = NewType("SlotIndex", int)

RESULT_OVERHEAD_BYTES = 256
"""Counted for a result beside its payload: about what an empty one takes in memory, more than it takes on the wire."""


Fetched = tuple[str, int, int]
"""kind, bytes, count."""


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Tiles [tile_begin, tile_end) of a node, granted under an epoch that is never used again.

    Attributes:
        is_isolated: to be evaluated in a child process (`isolation`).
        patience_s: nobody misses a result of it for so long after its tiles are finished.
        work_s: what the scheduler expects it to take in a slot, 0 when it does not say.
        has_origins: its run began with tiles of other runs (`origins`).
    """

    epoch: Epoch
    run_id: str
    node_id: int
    tile_begin: int
    tile_end: int
    plan_digest: bytes
    is_isolated: bool = False
    patience_s: float = 0.0
    work_s: float = 0.0
    has_origins: bool = False

    @property
    def tile_count(self) -> int:
        return self.tile_end - self.tile_begin


class FinishedTiles(msgspec.Struct, frozen=True, gc=False):
    """Outcome of tiles [tile_begin, tile_end): one tile, or a range of tiles without output.

    Attributes:
        output, detail: serialized Blocks; no output also where readers make it anew (`remaking`).
        size_bytes: what the result counts against limits, payload and RESULT_OVERHEAD_BYTES.
        objects: market objects that the rows of a resolve tile need.
        fetch_ns: of *elapsed_ns*, waiting for inputs from the scheduler.
        fetched: (kind, bytes, count) of what came for it.
        pruned_count: of *cell_count*, not computed because their scenario leaves their row alone.
    """

    epoch: Epoch
    tile_begin: int
    tile_end: int
    cell_count: int
    elapsed_ns: int
    output: bytes = b""
    detail: bytes = b""
    quarantine: tuple[QuarantinedCells, ...] = ()
    size_bytes: int = RESULT_OVERHEAD_BYTES
    objects: tuple[str, ...] = ()
    fetch_ns: int = 0
    fetched: tuple[Fetched, ...] = ()
    pruned_count: int = 0


class FailedTile(msgspec.Struct, frozen=True, gc=False):
    """Evaluating a tile raised, or its inputs could not be had; another worker tries."""

    epoch: Epoch
    tile: int
    reason: int
    message: str
    size_bytes: int = RESULT_OVERHEAD_BYTES


class LeaseBound(msgspec.Struct, frozen=True, gc=False):
    """A lease ends at *tile_end*: what a scheduler asks for, and what a worker answers."""

    epoch: Epoch
    tile_end: int


class SlotFreed(msgspec.Struct, frozen=True, gc=False):
    """A slot has no lease left; *busy_ns* is what its last batch took."""

    slot: SlotIndex
    busy_ns: int


Outcome = FinishedTiles | FailedTile
Report = FinishedTiles | FailedTile | LeaseBound | SlotFreed


# Events


class Connected(msgspec.Struct, frozen=True):
    """The stream to a scheduler is open; nothing was said on it yet."""


class ConnectionLost(msgspec.Struct, frozen=True):
    """The stream ended or failed; what was sent and not acknowledged may or may not have arrived."""


class Welcomed(msgspec.Struct, frozen=True):
    term: int
    heartbeat_interval_s: float
    lease_duration_s: float


class LeasesReceived(msgspec.Struct, frozen=True):
    leases: tuple[Lease, ...]


class LeasesRevoked(msgspec.Struct, frozen=True):
    epochs: tuple[Epoch, ...]


class LeasesTrimmed(msgspec.Struct, frozen=True):
    """The scheduler would lease the tiles from these bounds on elsewhere; each lease still held wants an answer."""

    bounds: tuple[LeaseBound, ...]


class ResultsAcknowledged(msgspec.Struct, frozen=True):
    """Messages of this stream up to *sequence* are durable, or were refused as stale."""

    sequence: int


class WorkReported(msgspec.Struct, frozen=True):
    """What slots reported since the last time, in order; a slot's SlotFreed follows its outcomes and LeaseBounds."""

    reports: tuple[Report, ...]


class ResultsWritten(msgspec.Struct, frozen=True):
    """The last results message left; the stream takes another one."""


class DrainRequested(msgspec.Struct, frozen=True):
    """Finish what runs within *grace_s*, hand back the rest, leave; nobody waits for the slots that are *stuck*."""

    reason: str
    grace_s: float
    stuck: tuple[SlotIndex, ...] = ()


class Ticked(msgspec.Struct, frozen=True):
    """Time passed `next_deadline_s()`."""


Event = (
    Connected
    | ConnectionLost
    | Welcomed
    | LeasesReceived
    | LeasesRevoked
    | LeasesTrimmed
    | ResultsAcknowledged
    | WorkReported
    | ResultsWritten
    | DrainRequested
    | Ticked
)


# Actions


class EvaluateLeases(msgspec.Struct, frozen=True):
    """Hand a batch to a free slot; it answers with outcomes and one SlotFreed."""

    slot: SlotIndex
    leases: tuple[Lease, ...]


class RevokeRunning(msgspec.Struct, frozen=True):
    """The slot stops these leases at the next look, between tiles or inside one; it still reports SlotFreed."""

    slot: SlotIndex
    epochs: tuple[Epoch, ...]


class TrimRunning(msgspec.Struct, frozen=True):
    """The slot begins no tile beyond these bounds, and reports a LeaseBound for each, never ahead of its outcomes."""

    slot: SlotIndex
    bounds: tuple[LeaseBound, ...]


class SendHello(msgspec.Struct, frozen=True):
    held: tuple[Lease, ...]


class SendResults(msgspec.Struct, frozen=True):
    """Write one message; ResultsWritten or ConnectionLost follows."""

    sequence: int
    outcomes: tuple[Outcome, ...]
    returned_epochs: tuple[Epoch, ...] = ()
    kept: tuple[LeaseBound, ...] = ()


class LeaseProgress(msgspec.Struct, frozen=True, gc=False):
    epoch: Epoch
    tiles_done: int


class SendHeartbeat(msgspec.Struct, frozen=True):
    progress: tuple[LeaseProgress, ...]


class SendDrain(msgspec.Struct, frozen=True):
    reason: str


class Leave(msgspec.Struct, frozen=True):
    """Close the stream and exit; *results_lost* outcomes were never acknowledged (their tiles are computed again)."""

    results_lost: int


Action = EvaluateLeases | RevokeRunning | TrimRunning | SendHello | SendResults | SendHeartbeat | SendDrain | Leave
