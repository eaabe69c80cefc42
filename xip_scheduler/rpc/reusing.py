"""What a new run takes over of an earlier one of its tenant, found before the run is stored.

    candidates ──the request's `since`, or the tenant's last final runs──> the one most like it
    its plan, objects of its resolve tiles ──> which tiles have the same content (`xip_core.graph.reuse`)
    its records, its quarantine ──> which of these are there, and sound ──> `TakenOver`, as for a retry

The earlier run is final, so what is read of it does not change (S9), and it is held against retention meanwhile. A run
that retention has pruned is no candidate; one that is named and pruned is refused. Copies stay when it goes later.

Whatever stands against reuse (a quarantine too large, a plan that is gone) makes a run compute everything; only a run
that was named says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from xip_core.errors import IntegrityError, NotFoundError, RequestError
from xip_core.graph.plan import Plan
from xip_core.model.account import NodeReuse, QuoteTick, Reuse
from xip_core.wire.v1 import run_pb2
from xip_scheduler.core.events import TakenOver
from xip_scheduler.core.intervals import IntervalSet
from xip_scheduler.core.remainder import remainder_of
from xip_scheduler.core.run_state import Intervals
from xip_scheduler.rpc.held_runs import HeldRuns
from xip_scheduler.rpc.retrying import cells_within, computed_tiles, quarantine_of
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import StoredRun
from xip_scheduler.store.thread import StoreThread

if TYPE_CHECKING:
    from xip_core.graph.reuse import Comparison

RUNS_CONSIDERED_MAX = 16
"""Final runs of the tenant looked at for one with the same book or scenarios; one of them is compared."""

OBJECT_TILES_MAX = 200_000
"""Resolve tiles whose objects are read, 0.3 kB each; value tiles of others are computed when the market changed."""

QUOTES_TOLD = 50
OBJECTS_TOLD = 200


PlanOf = Callable[[str], Awaitable[Plan]]


class Reused(msgspec.Struct, frozen=True):
    """What a run begins with; *taken* is None where no tile is taken over."""

    run_id: str = ""
    taken: TakenOver | None = None
    note: str = ""

    @property
    def tile_count(self) -> int:
        spans = (span for intervals in self.taken.done for span in intervals) if self.taken is not None else ()
        return sum(end - begin for begin, end in spans)


NOTHING_REUSED = Reused()


async def begin_with(
    store: StoreThread,
    blobs: FileBlobs,
    plan_of: PlanOf,
    spec: run_pb2.RunSpec,
    plan: Plan,
    runs: HeldRuns,
    held: ExitStack,
) -> Reused:
    """
    What a run of *spec* begins with. The run it comes from is *held* until the caller has the new one stored.

    Raises:
        RequestError: BAD_SINCE, the run named is not one that a new run can begin with.
    """
    earlier = await find_earlier(store, spec)
    if earlier is None:
        return NOTHING_REUSED
    held.enter_context(runs.holding(earlier.run_id))
    kept = await store.run(earlier.run_id)  # read once more: retention may have been faster than the hold
    if kept is None or not check_usable(kept, bool(spec.since)):
        return NOTHING_REUSED
    return await reused(store, blobs, plan_of, kept, plan, bool(spec.since))


def check_usable(run: StoredRun, is_named: bool) -> bool:
    """
    Can a new run begin with tiles of *run*? Asked when it is held, so that the answer stays true.

    Raises:
        RequestError: BAD_SINCE, it cannot, and was named.
    """
    if run.finished_at_s and not run.pruned_at_s:
        return True
    if is_named:
        why = "its results were removed by retention" if run.pruned_at_s else "it still runs"
        raise RequestError("BAD_SINCE", f"since must name a final run that has its results, {run.run_id}: {why}")
    return False


async def find_earlier(store: StoreThread, spec: run_pb2.RunSpec) -> StoredRun | None:
    """
    The run that a new one of *spec* is compared with.

    Raises:
        RequestError: BAD_SINCE, the tenant has no run of that name.
    """
    if spec.since:
        named = await store.run(spec.since)
        if named is None or named.tenant != spec.tenant:  # the same answer: nobody learns of others' runs (S13)
            sentence = f"since must name a run of tenant {spec.tenant!r}, got {spec.since[:200]!r}"
            raise RequestError("BAD_SINCE", sentence)
        return named
    if spec.no_reuse or spec.WhichOneof("work") == "probe":
        return None
    return most_like(spec, await store.final_runs_of(spec.tenant, RUNS_CONSIDERED_MAX))


def most_like(spec: run_pb2.RunSpec, runs: list[StoredRun]) -> StoredRun | None:
    """Of *runs*, newest first, the newest of those that have most in common with *spec*."""
    best, best_score = None, 0
    for run in runs:
        score = _likeness(spec, run_pb2.RunSpec.FromString(run.spec))
        if score > best_score:
            best, best_score = run, score
    return best


def _likeness(new: run_pb2.RunSpec, old: run_pb2.RunSpec) -> int:
    """0 where no tile can be the same; the digest of an amended book says nothing, so date and currency are enough."""
    kind = new.WhichOneof("work")
    if kind is None or kind != old.WhichOneof("work"):
        return 0
    if kind == "kernel":
        return int(new.kernel.table_digest == old.kernel.table_digest and new.kernel.kernel == old.kernel.kernel)
    if kind != "risk":
        return int(getattr(new, kind) == getattr(old, kind))
    ours, theirs = new.risk, old.risk
    if (ours.as_of, ours.base_currency) != (theirs.as_of, theirs.base_currency):
        return 0
    return (
        1
        + 8 * (ours.book_digest == theirs.book_digest)
        + 4 * (ours.scenarios_digest == theirs.scenarios_digest)
        + 2 * (ours.measures == theirs.measures)
        + 1 * (ours.market_digest == theirs.market_digest)
    )


async def reused(
    store: StoreThread, blobs: FileBlobs, plan_of: PlanOf, old: StoredRun, plan: Plan, is_named: bool
) -> Reused:
    """What a run of *plan* takes over of *old*."""
    try:
        old_plan = await plan_of(old.plan_digest)
        objects = await store.objects(old.run_id, OBJECT_TILES_MAX)
        computed = await computed_tiles(store, old.run_id, old_plan)
        quarantine = await quarantine_of(store, old.run_id)
        entries = [(row.row, row.scenario_begin, row.scenario_end, row.reason) for row in quarantine]

        def look() -> tuple[Reuse, tuple[Intervals, ...], tuple[int, ...]]:
            from xip_core.graph.reuse import compare  # numpy and the market model: in the planner's thread

            needed = {(node_id, tile): tuple(names.split("\n")) for node_id, tile, names in objects}
            comparison = compare(old_plan, plan, blobs.get, needed)
            there = [
                intersection(node.same, computed[node.node_id]) if node.node_id < len(computed) else ()
                for node in comparison.nodes
            ]
            remainder = remainder_of(plan, there, entries, is_same_plan=False)
            return _told(old.run_id, is_named, comparison, remainder.done), remainder.done, remainder.kept

        note, done, kept = await asyncio.to_thread(look)
        if not any(done):
            return Reused(old.run_id, None, _encoded(note))
        cells_done, cells_quarantined = await cells_within(store, old.run_id, done)
    except (RequestError, NotFoundError, IntegrityError) as error:
        refusal = Reuse(run_id=old.run_id, is_named=is_named, refusal=str(error))
        return Reused(old.run_id, None, _encoded(refusal))
    rows = tuple(
        (row.row, row.scenario_begin, row.scenario_end, row.reason, row.message, row.trade_id)
        for row in map(quarantine.__getitem__, kept)
    )
    return Reused(old.run_id, TakenOver(done, cells_done, cells_quarantined, rows), _encoded(note))


def intersection(left: Intervals, right: Intervals) -> Intervals:
    """Tiles in both, each ascending and disjoint."""
    both: list[tuple[int, int]] = []
    ours, theirs = iter(left), iter(right)
    mine, other = next(ours, None), next(theirs, None)
    while mine is not None and other is not None:
        begin, end = max(mine[0], other[0]), min(mine[1], other[1])
        if begin < end:
            both.append((begin, end))
        if mine[1] <= other[1]:
            mine = next(ours, None)
        else:
            other = next(theirs, None)
    return tuple(both)


def _told(run_id: str, is_named: bool, comparison: Comparison, done: tuple[Intervals, ...]) -> Reuse:
    """The note: why a tile of equal content is not taken over is that the earlier run has no sound result of it."""
    from xip_core.graph.reuse import MISSING

    nodes = []
    for node, intervals in zip(comparison.nodes, done, strict=True):
        taken_count = IntervalSet(intervals).count
        missing_count = sum(end - begin for begin, end in node.same) - taken_count
        missing = ((MISSING, missing_count),) if missing_count else ()
        reasons = node.reasons + missing
        nodes.append(NodeReuse(node.node_id, node.name, node.kind, node.tile_count, taken_count, reasons))
    quotes = {
        change.name: QuoteTick(change.name, change.before, change.after)
        for market in comparison.markets
        for change in market.quotes
    }
    objects = sorted({name for market in comparison.markets for name in market.objects})
    return Reuse(
        run_id=run_id,
        is_named=is_named,
        nodes=tuple(nodes),
        definitions=tuple(sorted({name for market in comparison.markets for name in market.definitions})),
        quote_count=len(quotes),
        quotes=tuple(quotes.values())[:QUOTES_TOLD],
        object_count=len(objects),
        objects=tuple(objects[:OBJECTS_TOLD]),
    )


def _encoded(note: Reuse) -> str:
    return msgspec.json.encode(note).decode()
