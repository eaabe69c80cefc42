"""What the scheduler asks of a store: one protocol, whatever database is behind it.

The store is the truth and the second fence. Everything in a `Batch` becomes durable together or not at all, and only
then may anything that rests on it be said to a client or a worker. What is not here (leases, workers, cost estimates)
is soft state that workers present again after a restart.

Rules for implementations, each with a test in tests/scheduler/store that every implementation must pass:

* `open` raises the term; a commit under an older term is refused.
* `commit` is atomic and durable when it returns: power loss included.
* A tile is recorded once (S1): the same record again changes nothing, another record over the same tile refuses the
  batch. A final run never changes again (S9).
* (tenant, request id) names at most one run, for ever (S6).
* A failed attempt at a tile is kept once, under its number (S16); another one under the same number refuses the batch.
* A takeover copies records, never changes those it copies (S9), and takes every tile it names or refuses the batch.
* Every transition has its row in the audit, in the same transaction (S17); `audit` says which, and how rows are linked.
* A pruned run keeps its row, and with it its request id, for ever; its other rows go in bounded steps (`pruning`).
* Cursors of details only grow, and a reader that continues from its last cursor misses nothing and sees nothing twice.
* A store of a newer version, a damaged one, or one in use elsewhere is refused with `StoreError`, never repaired.

Every method blocks on the disk. All are called from one thread that is not the event loop's (`thread.StoreThread`); an
implementation needs no lock. Reads are bounded by the size or count they are given, so that none holds up a commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from xip_core.errors import NotFoundError


class NewRun(msgspec.Struct, frozen=True, gc=False):
    """A run as it is accepted. `spec` and the texts are opaque to the store.

    Attributes:
        deadline_after_s: from submission, 0 for none.
        retry_of: the run whose remainder this one computes, "" for none.
        reuse_of: the run of another plan whose tiles this one begins with, "" for none.
    """

    run_id: str
    tenant: str
    request_id: str
    payload_hash: str
    name: str
    spec: bytes
    plan_digest: str
    state: int
    submitted_at_s: float
    priority: int = 0
    deadline_after_s: float = 0.0
    retry_of: str = ""
    reuse_of: str = ""


class FinishedRun(msgspec.Struct, frozen=True, gc=False):
    """The last word about a run.

    Attributes:
        epoch_last: newest epoch granted to it, 0 for none.
        first_lease_after_s: from submission to the first lease, 0 where there was none.
        who: the identity that ended it, "" for the scheduler; written to the audit.
    """

    run_id: str
    state: int
    message: str
    finished_at_s: float
    epoch_last: int = 0
    first_lease_after_s: float = 0.0
    who: str = ""


TileRecord = tuple[str, int, int, int, int, str, int, int]
"""run_id, node_id, tile_begin, tile_end, epoch, worker_id, cell_count, quarantined_count.

A bare tuple because it is made 30,000 times a second. Epoch 0 and worker "" are tiles the scheduler itself gave up."""

TileBlock = tuple[str, int, int, bytes]
"""run_id, node_id, tile, serialized block."""

QuarantinedCells = tuple[str, int, int, int, int, str, str]
"""run_id, row, scenario_begin, scenario_end, reason, message, trade_id."""

Attempt = tuple[str, int, int, int, str, int, str, bool]
"""run_id, node_id, tile, attempt (0, 1, 2, ... at this tile), worker_id, reason, message, is_suspect."""

PauseChange = tuple[str, bool, str]
"""run_id, is_paused from now on, who asked for it."""

TileObjects = tuple[str, int, int, str]
"""run_id, node_id, tile, names of the market objects that its rows need, one a line."""

WorkerFacts = tuple[str, str, str]
"""worker_id, cpu_level, version."""

RunNote = tuple[str, str, str]
"""run_id, kind, content. Kinds: "reuse", what was taken over and why not more; "account", what it cost."""


TileSpan = tuple[int, int, int]
"""node_id, tile_begin, tile_end."""


class Takeover(msgspec.Struct, frozen=True, gc=False):
    """Records of a final run that a new run begins with: a retry of the same plan, or one of a plan whose tiles of
    the same numbers have the same content (`xip_core.graph.reuse`). Outputs, details and objects come along.

    Attributes:
        run_id: the new run, stored in the same batch.
        source: the final run.
        spans: tiles; every record of *source* is inside one of them or outside all.
    """

    run_id: str
    source: str
    spans: tuple[TileSpan, ...]


class Batch(msgspec.Struct, gc=False):
    """Everything one transaction makes durable.

    Attributes:
        at_s: seconds since the Unix epoch, written to the audit; for people only.
        epoch_end: epochs below it may be in use; 0 when the batch reserves none.
        objects: of resolve tiles in *records*.
        workers: what is known of those that *records* name for the first time; the newest word counts.
        notes: the same run and kind again replaces the content.
        pruned: final runs that readers shall not see any more; erased: pruned ones that lose some more of their rows.
    """

    at_s: float = 0.0

    runs: list[NewRun] = []
    epoch_end: int = 0
    records: list[TileRecord] = []
    outputs: list[TileBlock] = []
    details: list[TileBlock] = []
    quarantine: list[QuarantinedCells] = []
    attempts: list[Attempt] = []
    takeovers: list[Takeover] = []
    objects: list[TileObjects] = []
    workers: list[WorkerFacts] = []
    notes: list[RunNote] = []
    paused: list[PauseChange] = []
    finished: list[FinishedRun] = []
    pruned: list[str] = []
    erased: list[str] = []

    @property
    def is_empty(self) -> bool:
        return not (
            self.runs
            or self.epoch_end
            or self.records
            or self.outputs
            or self.details
            or self.quarantine
            or self.attempts
            or self.takeovers
            or self.objects
            or self.workers
            or self.notes
            or self.paused
            or self.pruned
            or self.erased
            or self.finished
        )


class StoredRun(msgspec.Struct, frozen=True):
    """A run as the store knows it. `run_key` grows with every run accepted; it is the position in pages of runs.

    Attributes:
        pruned_at_s: when its tiles, details and spec were removed (seconds since the Unix epoch), 0 if they are kept.
    """

    run_key: int
    run_id: str
    tenant: str
    request_id: str
    payload_hash: str
    name: str
    spec: bytes
    plan_digest: str
    state: int
    message: str
    submitted_at_s: float
    finished_at_s: float
    epoch_last: int
    first_lease_after_s: float
    priority: int = 0
    deadline_after_s: float = 0.0
    is_paused: bool = False
    retry_of: str = ""
    pruned_at_s: float = 0.0
    reuse_of: str = ""


class NodeTally(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of one node; *tiles_reused* of *tiles_done* were taken over when the run began."""

    node_id: int
    tiles_done: int
    cell_count: int
    quarantined_count: int
    tiles_reused: int = 0


OriginSpan = tuple[int, int, int, str]
"""node_id, tile_begin, tile_end, the run these tiles were computed in."""


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """A tile record with the names behind its keys.

    Attributes:
        worker_id: "" where the scheduler gave the tiles up.
        cpu_level, version: of the worker; "" where nobody has written them down.
        origin: the run it was computed in, where it was taken over; "" where that is the run itself.
    """

    node_id: int
    tile_begin: int
    tile_end: int
    epoch: int
    worker_id: str
    cpu_level: str
    version: str
    cell_count: int
    quarantined_count: int
    origin: str


class DoneInterval(msgspec.Struct, frozen=True, gc=False):
    """Tiles [tile_begin, tile_end) of a node are recorded; neighbouring records of one kind come merged.

    Attributes:
        is_failed: they were given up (epoch 0): done, without output.
    """

    node_id: int
    tile_begin: int
    tile_end: int
    is_failed: bool = False


class Detail(msgspec.Struct, frozen=True, gc=False):
    """A block for clients and the cursor that names its place."""

    cursor: int
    node_id: int
    tile: int
    block: bytes


class QuarantineRow(msgspec.Struct, frozen=True, gc=False):
    row: int
    scenario_begin: int
    scenario_end: int
    reason: int
    message: str
    trade_id: str


class AuditRow(msgspec.Struct, frozen=True):
    """A row as it is stored; the fields are the columns of `schema.audit`, in order.

    Attributes:
        at_s: seconds since the Unix epoch, for people only.
        run_key: 0 where it is about no run.
        detail: JSON.
    """

    audit_key: int
    at_s: float
    term: int
    run_key: int
    event: str
    who: str
    detail: str
    previous_hash: bytes
    hash: bytes


class Store(Protocol):
    """See the head of this module for the rules; `sqlite.SqliteStore` is the default."""

    @property
    def term(self) -> int:
        """Number of this opening of the store; every later one has a larger term."""

    @property
    def epoch_end(self) -> int:
        """Epochs below it may be in use; 0 in a new store."""

    @property
    def epoch_floor(self) -> int:
        """Epochs below it were granted before a backup was put back: such a lease is never adopted (S3). 0 for none."""

    def close(self) -> None:
        """Release the store for another scheduler."""

    def commit(self, batch: Batch) -> None:
        """Make *batch* durable as a whole.

        Raises:
            StoreError: nothing of the batch is kept, and this store must not be used any more.
        """

    def rest(self) -> None:
        """Nobody commits for a moment: do what would else fall into a commit. If it fails, the next commit refuses."""

    def find_request(self, tenant: str, request_id: str) -> StoredRun | None:
        """The run submitted under this request id, finished or not."""

    def run(self, run_id: str) -> StoredRun | None: ...

    def runs(self, limit: int, before_run_key: int | None = None) -> list[StoredRun]:
        """At most *limit* runs that are not pruned, newest first, of those older than *before_run_key*."""

    def live_runs(self) -> list[StoredRun]:
        """Runs that are not final, oldest first: what a restart resumes."""

    def done_intervals(self, run_id: str) -> Iterator[DoneInterval]:
        """What is recorded of a run, by node and tile; streamed, because there may be millions of records."""

    def tallies(self, run_id: str) -> list[NodeTally]:
        """Counts per node, by node id; nodes without a record are absent."""

    def tallies_within(self, run_id: str, spans: Sequence[TileSpan]) -> list[NodeTally]:
        """Counts per node of the records with output that are wholly inside *spans*: what a takeover of them takes."""

    def outputs(self, run_id: str, node_id: int, tile_begin: int, tile_end: int, size_limit_bytes: int) -> list[bytes]:
        """Outputs of recorded tiles from *tile_begin* on, at least one, until *tile_end* or the size limit.

        A tile recorded without output gives b"".

        Raises:
            NotFoundError: a tile of the answer is not recorded.
        """

    def details(self, run_id: str, after_cursor: int, size_limit_bytes: int) -> list[Detail]:
        """The next details after *after_cursor*, at least one where there is one, until the size limit."""

    def quarantine(self, run_id: str, limit: int, offset: int = 0) -> list[QuarantineRow]:
        """Quarantined cells in the order they were recorded."""

    def attempts(self, run_id: str) -> list[Attempt]:
        """Failed attempts of a run, by node, tile and number."""

    def records_of(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> list[StoredRecord]:
        """The records that hold *tiles*, (node_id, tile) each, in their order; a tile without one has none."""

    def origins(self, run_id: str, limit: int) -> list[OriginSpan]:
        """Tiles that were taken over, by node and tile; of at most *limit* records, neighbours merged."""

    def objects(self, run_id: str, limit: int) -> list[tuple[int, int, str]]:
        """(node_id, tile, names one a line) of at most *limit* resolve tiles, by node and tile."""

    def notes(self, run_id: str) -> dict[str, str]:
        """Content by kind."""

    def final_runs_of(self, tenant: str, limit: int) -> list[StoredRun]:
        """At most *limit* final runs of the tenant that are not pruned, newest first, of the newest in the store."""

    def check_term(self) -> None:
        """Make sure that nothing was written here under a later term.

        Raises:
            StoreError: another scheduler leads, so what this one remembers may be of the past.
        """

    def size_bytes(self) -> int:
        """What rows and indexes take; space that was freed and waits for new rows does not count."""

    def oldest_final_run(self) -> tuple[str, float] | None:
        """Id and end (seconds since the Unix epoch) of the oldest final run that is not pruned."""

    def erasable_run(self) -> str | None:
        """A pruned run that still has rows."""

    def audit_rows(self, after_key: int, limit: int) -> list[AuditRow]:
        """At most *limit* rows of the audit after *after_key*, in the order of the chain."""


def not_recorded(run_id: str, node_id: int, tile: int) -> NotFoundError:
    return NotFoundError(f"run {run_id}: tile {tile} of node {node_id} is not recorded")
