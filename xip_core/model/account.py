"""What a run tells of itself beside its numbers: what it took over and why not more, and what it cost.

The scheduler writes both as JSON, bounded whatever the size of the run (some kB), keeps them with the run and hands
them out (`ExplainRun`); clients read them. A field that an older reader does not know is skipped, one that an older
writer did not know has its default.

Times are seconds since the run was submitted, on the clock of the scheduler that accounts for it. A restart of the
scheduler goes on from the account that was stored last, with what had passed meanwhile by the wall clock; `tiles_timed`
says how much of a node is accounted for.
"""

from __future__ import annotations

import msgspec

from xip_core.model.result import Run


class QuoteTick(msgspec.Struct, frozen=True):
    """A quote that changed since the earlier run; None where it is not there."""

    name: str
    before: float | str | None
    after: float | str | None


class NodeReuse(msgspec.Struct, frozen=True):
    """How much of a node was taken over; *reasons* are (why not, tiles)."""

    node_id: int
    name: str
    kind: str
    tile_count: int
    tiles_reused: int
    reasons: tuple[tuple[str, int], ...] = ()


class Reuse(msgspec.Struct, frozen=True):
    """What a run took over of another.

    Attributes:
        run_id: the other run.
        is_named: the request named it (`--since`); else the scheduler found it.
        definitions: fields of the market that differ, quotes apart.
        quotes: the first of the *quote_count* quotes that differ, by name.
        objects: the first of the *object_count* market objects that these reach, by name.
        refusal: why nothing could be taken over; "" when that is a matter of tiles.
    """

    run_id: str
    is_named: bool = False
    nodes: tuple[NodeReuse, ...] = ()
    definitions: tuple[str, ...] = ()
    quote_count: int = 0
    quotes: tuple[QuoteTick, ...] = ()
    object_count: int = 0
    objects: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def tile_count(self) -> int:
        return sum(node.tile_count for node in self.nodes)

    @property
    def tiles_reused(self) -> int:
        return sum(node.tiles_reused for node in self.nodes)


class SlowTile(msgspec.Struct, frozen=True):
    """A tile that took long."""

    tile: int
    elapsed_s: float
    worker_id: str


class NodeAccount(msgspec.Struct, frozen=True):
    """One node.

    Attributes:
        begin_s, end_s: first lease and last tile; 0 before there was one.
        tiles_timed: tiles computed under the scheduler that accounts for the node.
        elapsed_s: slot time of these, inputs included; fetch_s: waiting for inputs, part of it.
        wasted_s: slot time without a use: results that came twice (measured), tries that failed (one tile each, by the
            cost model).
        cells_timed: cells of the tiles timed; cells_pruned: those of them that were copied from the base.
        slowest: at most 5, slowest first.
    """

    node_id: int
    begin_s: float = 0.0
    end_s: float = 0.0
    tiles_timed: int = 0
    elapsed_s: float = 0.0
    fetch_s: float = 0.0
    wasted_s: float = 0.0
    cells_timed: int = 0
    cells_pruned: int = 0
    slowest: tuple[SlowTile, ...] = ()


class WorkerTraffic(msgspec.Struct, frozen=True):
    """What a worker received for the run: (kind, bytes, count) each."""

    worker_id: str
    received: tuple[tuple[str, int, int], ...] = ()


class RunAccount(msgspec.Struct, frozen=True):
    """
    Attributes:
        first_lease_s: until the first lease, 0 before it.
        last_lease_s: until the last one; from there to the end nothing was left to be leased: the tail.
        now_s: when this was written; of a final run its end.
        retried_count: tries that failed; duplicated_count: results that came twice.
        traffic: of at most 1,000 workers.
        planned_s: before the submission: from the request's arrival until it was planned and compared.
        away_s: no scheduler ran, or what it accounted for is lost: from the account stored last to the restart.
    """

    first_lease_s: float = 0.0
    last_lease_s: float = 0.0
    now_s: float = 0.0
    retried_count: int = 0
    duplicated_count: int = 0
    nodes: tuple[NodeAccount, ...] = ()
    traffic: tuple[WorkerTraffic, ...] = ()
    planned_s: float = 0.0
    away_s: float = 0.0


class Explanation(msgspec.Struct, frozen=True):
    """
    Attributes:
        reuse: None where no other run was compared.
        account: None of a run that ended before accounts were kept, or whose scheduler restarted after its end.
    """

    run: Run
    reuse: Reuse | None = None
    account: RunAccount | None = None


class Attempted(msgspec.Struct, frozen=True):
    """A failed try at a tile; *is_suspect*: the worker died of it or may have."""

    worker_id: str
    reason: str
    message: str
    is_suspect: bool = False


class TileRecord(msgspec.Struct, frozen=True):
    """Who computed tiles [tile_begin, tile_end) of a node.

    Attributes:
        epoch: 0 where the scheduler gave them up; then *worker_id* is "".
        cpu_level, version: of the worker; "" where an older scheduler did not write them down.
        origin: the run they were computed in where that is another one, "" else; then *epoch* is of that run.
        attempts: tries of this run that failed before.
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
    origin: str = ""
    attempts: tuple[Attempted, ...] = ()
