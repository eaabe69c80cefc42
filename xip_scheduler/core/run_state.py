"""Where a run stands: per node, intervals of tiles, and which tiles may be started.

A tile is **ready** when every tile it needs is done. Needs are arithmetic (`InputRef`), so readiness is a question to
the inputs' done intervals, not a count per tile: from a ready tile on, `ready_end` walks along the inputs' intervals.
Value tiles run row-major, so the head of what is pending follows calibrate through the first row block, and from the
second block on every tile is ready when its resolve tile is.

The head is asked first. When it is not ready (one calibrate tile is late: its worker is slow, silent or dead), the
first `LOOK_AHEAD_MAX` pending intervals are searched for a tile that is, by jumping from one finished input to the next
(at most `JUMPS_MAX` jumps). Each late input so leaves one interval behind per row block that was started without it; a
search sees only the first intervals, so at most LOOK_AHEAD_MAX are left behind before the node waits for its head
again: one late tile holds up at most so many row blocks, and memory stays bounded. A node that found nothing keeps the
run out of the queue until something is recorded, so the search is paid once per event, 20 us at the worst.

A given-up tile counts as done, without output. What cannot do without it (everything but `reduce`) is given up at once,
down to the values, whose cells go to quarantine; `reduce` adds what is there and says rows_used < rows_expected.

Order inside a run: the deepest node first (what is nearest to a number the desk sees, and what lets memory go), then
node id; where a run shows sums alone, calibrate before all others. Every row block reads all scenario blocks, so
nothing is let go before the last one is calibrated; left for later, each would hold up all that is ready then but for a
tile or two, and near the end of a run slots would stand idle for it. While one worker has such a run to itself, resolve
comes before value as well, within bounds (`ahead`), and the nodes with the largest value tiles first of either: long
tiles begun late leave a slot idle at the end, short ones fill it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_core.model.detail import Detail
from xip_scheduler.core.accounts import NodeTimes, Past, Traffic
from xip_scheduler.core.ahead import Ahead
from xip_scheduler.core.costs import CostModel, TileCost
from xip_scheduler.core.fleets import kernel_set
from xip_scheduler.core.intervals import IntervalSet, PendingTiles
from xip_scheduler.core.rests import Rest
from xip_scheduler.core.words import Epoch, Priority, RunId

if TYPE_CHECKING:
    from xip_scheduler.core.fairness import Share
    from xip_scheduler.core.retries import Retry


LOOK_AHEAD_MAX = 32
"""Pending intervals searched for a ready tile behind a head that is not."""

JUMPS_MAX = 64
"""Steps of one search, over all intervals."""


class Need:
    """An input of a node (`InputRef`).

    With a modulus, tile t needs tile `(t // divisor) % modulus` of *source*. Without one it needs a column of a grid;
    it is held to wait for whole rows of that grid, *span* tiles for every *stride* of its own: values run row-major, so
    a column is done no earlier than the rows it crosses, and one look at the done intervals tells.
    """

    __slots__ = ("divisor", "modulus", "source", "span", "stride")

    def __init__(self, source: NodeState, ref: InputRef) -> None:
        self.source = source
        self.divisor = ref.divisor
        self.modulus = ref.modulus
        self.stride = ref.stride
        self.span = ref.rows * ref.stride  # 0: all of the source

    def met_until(self, tile: int, limit: int) -> int:
        """End of the tiles from *tile* on, at most *limit*, whose needs are done; *tile* when its own are not."""
        divisor, modulus, done = self.divisor, self.modulus, self.source.done
        if modulus == 0:
            while tile < limit and self._is_span_done(tile // self.stride):
                tile = (tile // self.stride + 1) * self.stride
            return min(tile, limit)
        if done.end_at(0) >= modulus:
            return limit
        while tile < limit:
            quotient = tile // divisor
            needed = quotient % modulus
            done_end = min(done.end_at(needed), modulus)
            if done_end == needed:
                return tile
            tile = (quotient + done_end - needed) * divisor
        return limit

    def next_met(self, tile: int, limit: int) -> int:
        """The first tile from *tile* on whose needed tiles are done, at most *limit*."""
        divisor, modulus, done = self.divisor, self.modulus, self.source.done
        if modulus == 0:
            return self._next_span_met(tile, limit)
        quotient = tile // divisor
        needed = quotient % modulus
        if needed in done:
            return tile
        found = done.next_begin(needed, modulus)
        if found >= modulus:  # none in the rest of this round: the first one of the next
            found = modulus + (0 if 0 in done else done.next_begin(0, modulus))
            if found >= 2 * modulus:
                return limit
        return min(limit, (quotient + found - needed) * divisor)

    def dependents(self, needed: int, tile_count: int) -> list[tuple[int, int]]:
        """Tiles, out of *tile_count*, that need tile *needed*."""
        if self.modulus and needed >= self.modulus:
            return []
        if self.modulus == 0:
            begin = needed // self.span * self.stride if self.span else 0
            end = begin + self.stride if self.span else tile_count
            return [(begin, min(end, tile_count))] if begin < tile_count else []
        if self.modulus == 1:
            return [(0, tile_count)]
        divisor, period = self.divisor, self.divisor * self.modulus
        return [(begin, min(begin + divisor, tile_count)) for begin in range(needed * divisor, tile_count, period)]

    def _is_span_done(self, row: int) -> bool:
        begin = row * self.span
        end = min(begin + self.span, self.source.tile_count) if self.span else self.source.tile_count
        return begin >= end or self.source.done.end_at(begin) >= end

    def _next_span_met(self, tile: int, limit: int) -> int:
        """From gap to gap of what is done: as many steps as there are intervals."""
        done, span, stride = self.source.done, self.span, self.stride
        while tile < limit and not self._is_span_done(tile // stride):
            if not span:
                return limit
            row = tile // stride
            gap = done.end_at(row * span)
            found = done.next_begin(gap, self.source.tile_count)
            tile = max(row + 1, -(-found // span)) * stride
        return min(tile, limit)


class NodeState:
    """Tiles of one node of a live run.

    Attributes:
        done: recorded tiles, given-up ones included.
        failed: the given-up ones.
        pending: tiles nobody works at; tiles in leases and retries are in neither.
        needs: inputs that are not finished yet.
        kernels: what a worker must have announced.
        dependents: (node, need) of the nodes that read this one.
        depth: length of the longest chain of inputs.
        leased_count: tiles in live leases that are not decided.
        reused_count: tiles that were taken over when the run began.
        times: where the time of its tiles went (`accounts`).
        suspects: tiles that are leased isolated, decided ones among them; None while there never was one.
    """

    __slots__ = (
        "_ready_begin",
        "_ready_end",
        "cost",
        "dependents",
        "depth",
        "done",
        "failed",
        "kernels",
        "leased_count",
        "needs",
        "node_id",
        "pending",
        "plan_node",
        "reused_count",
        "rows_per_tile",
        "suspects",
        "tile_count",
        "tiles_per_lease",
        "times",
    )

    def __init__(self, plan_node: Node, cost: TileCost, done: IntervalSet, failed: IntervalSet) -> None:
        self.plan_node = plan_node
        self.node_id = plan_node.node_id
        self.tile_count = plan_node.tile_count
        self.rows_per_tile = plan_node.row_count * plan_node.scenario_block_count / plan_node.tile_count
        self.tiles_per_lease = plan_node.tiles_per_lease
        self.kernels = kernel_set(plan_node.kernels)
        self.cost = cost
        self.done = done
        self.failed = failed
        self.pending = PendingTiles(plan_node.tile_count, done)
        self.needs: list[Need] = []
        self.dependents: list[tuple[NodeState, Need]] = []
        self.depth = 0
        self.leased_count = 0
        self.reused_count = 0
        self.times = NodeTimes()
        self.times.count_before = done.count - failed.count
        self.suspects: IntervalSet | None = None
        self._ready_begin = self._ready_end = 0  # what was found ready last; a ready tile stays ready

    @property
    def is_done(self) -> bool:
        return self.done.count == self.tile_count

    def suspect(self, begin: int, end: int) -> None:
        """Lease tiles [begin, end) isolated from now on."""
        if self.suspects is None:
            self.suspects = IntervalSet()
        for gap_begin, gap_end in self.suspects.gaps(begin, end):
            self.suspects.add_new(gap_begin, gap_end)

    @property
    def goes_on_without_inputs(self) -> bool:
        return self.plan_node.kind is NodeKind.REDUCE

    @property
    def carries_cells(self) -> bool:
        return self.plan_node.kind in (NodeKind.VALUE, NodeKind.PROBE, NodeKind.KERNEL, NodeKind.SUITABILITY)

    def ready_head(self) -> tuple[int, int]:
        """The first ready tiles of what is pending; empty when there are none within reach."""
        begin, end = self.pending.head()
        if self.needs:
            if not self._ready_begin <= begin < self._ready_end:
                self._ready_begin = begin
                self._ready_end = self.ready_until(begin, end)
            if self._ready_end == begin:
                return self._ready_behind()
            end = min(end, self._ready_end)
        return begin, end

    def ready_further(self, begin: int, end: int) -> int:
        """Where the ready tiles from *begin* on end by now: `ready_head` remembers where they did, *end*, and more of
        them may have become ready since."""
        head_begin, pending_end = self.pending.head()
        if not self.needs or begin != head_begin or end >= pending_end:
            return end
        self._ready_end = self.ready_until(begin, pending_end)
        return self._ready_end

    def _ready_behind(self) -> tuple[int, int]:
        """Ready tiles among the next pending ones; empty when the search finds none."""
        jumps = 0
        for begin, end in itertools.islice(self.pending, LOOK_AHEAD_MAX):
            while begin < end and jumps < JUMPS_MAX:
                jumps += 1
                found = begin
                for need in self.needs:
                    found = need.next_met(found, end)
                if found == begin:
                    return begin, self.ready_until(begin, end)
                begin = found
        return 0, 0

    def ready_until(self, begin: int, end: int) -> int:
        """End of the ready tiles from *begin* on, at most *end*."""
        self.needs = [need for need in self.needs if not need.source.is_done]
        for need in self.needs:
            end = need.met_until(begin, end)
        return end


class LiveRun:
    """A run that is not final.

    Attributes:
        nodes: by node id.
        is_watched: it shows more than sums, so somebody may wait for its first numbers.
        grant_order: see above.
        ahead: the other order, of a run that shows sums of a book alone; None of any other.
        retries: failed tiles waiting for another worker, by (node id, tile).
        histories: undecided tiles that were tried, waiting or leased, by (node id, tile).
        open_count: tiles not done, over all nodes; 0 ends the run.
        submitted_s, first_lease_s, last_lease_s: scheduler clock.
        rest: what is left of it, for `rests.rest_of` to say.
        retried_count, duplicated_count, traffic, past, planned_s: for its account (`accounts`).
        duplicated_s: work leased again though its holder may still be at it, by the cost model.
        message: what the final state will say; the first given-up tile of a node without cells.
        waits_for: a sentence about kernels that no active worker has; "" while it waits for none.
        deadline_after_s: as submitted, 0 for none; deadline_s: scheduler clock, infinite for none. A restart gives the
            whole span again: the clock of before means nothing now.
        patience_ms: what the last lease of it said, of those that something was worked out for (`patience`).
        is_paused: nothing of it is granted.
        reclaimed_epoch: the last lease that was asked to make room for it (`reclaim`), 0 for none.
        share: of its tenant (`fairness`).
        retry_of: the run whose results it took over, "" for none.
        reuse_of: the run of another plan whose tiles it began with, "" for none; these may lack inputs here.
    """

    __slots__ = (
        "ahead",
        "cells_done",
        "cells_quarantined",
        "deadline_after_s",
        "deadline_s",
        "duplicated_count",
        "duplicated_s",
        "epoch_last",
        "first_lease_s",
        "grant_order",
        "histories",
        "is_paused",
        "is_queued",
        "is_watched",
        "last_lease_s",
        "message",
        "name",
        "nodes",
        "open_count",
        "past",
        "patience_ms",
        "plan",
        "plan_digest",
        "planned_s",
        "priority",
        "reclaimed_epoch",
        "rest",
        "retried_count",
        "retries",
        "retry_of",
        "reuse_of",
        "run_id",
        "share",
        "submitted_at_s",
        "submitted_s",
        "tenant",
        "traffic",
        "turns",
        "waits_for",
    )

    def __init__(
        self,
        run_id: RunId,
        tenant: str,
        name: str,
        plan: Plan,
        plan_digest: str,
        submitted_at_s: float,
        submitted_s: float,
        nodes: tuple[NodeState, ...],
        priority: Priority = Priority.INTERACTIVE,
        deadline_after_s: float = 0.0,
        retry_of: str = "",
        reuse_of: str = "",
    ) -> None:
        self.run_id = run_id
        self.tenant = tenant
        self.name = name
        self.plan = plan
        self.plan_digest = plan_digest
        self.submitted_at_s = submitted_at_s
        self.submitted_s = submitted_s
        self.nodes = nodes
        self.is_watched = any(source.detail is not Detail.NONE for source in plan.sources)
        self.grant_order = tuple(sorted(nodes, key=functools.partial(_grant_rank, self.is_watched)))
        self.ahead = None if self.is_watched else _ahead_of(nodes)
        self.retries: dict[tuple[int, int], Retry] = {}
        self.histories: dict[tuple[int, int], Retry] = {}
        self.open_count = sum(node.tile_count - node.done.count for node in nodes)
        self.cells_done = 0
        self.cells_quarantined = 0
        self.epoch_last = 0
        self.duplicated_s = 0.0
        self.first_lease_s: float | None = None
        self.last_lease_s = 0.0
        self.rest = Rest()
        self.retried_count = 0
        self.duplicated_count = 0
        self.traffic: Traffic = {}
        self.past: Past | None = None
        self.patience_ms = 0
        self.planned_s = 0.0
        self.priority = priority
        self.deadline_after_s = deadline_after_s
        self.deadline_s = submitted_s + deadline_after_s if deadline_after_s > 0.0 else math.inf
        self.retry_of = retry_of
        self.reuse_of = reuse_of
        self.share: Share  # set by `RunQueue.begin`
        self.turns: OrderedDict[RunId, LiveRun]  # the runs of equal rank, while it is queued
        self.reclaimed_epoch = Epoch(0)
        self.is_paused = False
        self.is_queued = False
        self.message = ""
        self.waits_for = ""

    def forget_histories(self, node_id: int, begin: int, end: int) -> None:
        """Tiles [begin, end) are decided: their attempts are void."""
        histories = self.histories
        if end - begin < len(histories):
            for tile in range(begin, end):
                histories.pop((node_id, tile), None)
        else:
            for key in [key for key in histories if key[0] == node_id and begin <= key[1] < end]:
                del histories[key]

    @property
    def shows_nothing_yet(self) -> bool:
        """Somebody may be watching for its first numbers."""
        return self.is_watched and not self.cells_done

    @property
    def tiles_failed(self) -> int:
        return sum(node.failed.count for node in self.nodes)


def _grant_rank(is_watched: bool, node: NodeState) -> tuple[bool, int, int]:
    return is_watched or node.plan_node.kind is not NodeKind.CALIBRATE, -node.depth, node.node_id


def _ahead_of(nodes: tuple[NodeState, ...]) -> Ahead | None:
    if not any(node.plan_node.kind is NodeKind.RESOLVE for node in nodes):
        return None
    return Ahead(tuple(sorted(nodes, key=_rank_ahead)))


_RANKS_AHEAD = {NodeKind.CALIBRATE: 0, NodeKind.RESOLVE: 2, NodeKind.VALUE: 3}
"""1 are the nodes that add what was valued, or judge by it."""


def _rank_ahead(node: NodeState) -> tuple[int, int, float, int]:
    """Resolve nodes go by the value tiles that they make ready: the largest, as declared, first."""
    kind = node.plan_node.kind
    valuing = [reader for reader, _ in node.dependents] if kind is NodeKind.RESOLVE else [node]
    tile_s = max((reader.plan_node.cost_s for reader in valuing), default=0.0)
    return _RANKS_AHEAD.get(kind, 1), -node.depth, -tile_s, node.node_id


Intervals = tuple[tuple[int, int], ...]


def build_nodes(
    plan: Plan, costs: CostModel, done: tuple[Intervals, ...] = (), failed: tuple[Intervals, ...] = ()
) -> tuple[NodeState, ...]:
    """Node states of a plan, wired to their inputs; *done* and *failed* by node id, nothing when empty."""
    nodes = tuple(
        NodeState(
            node,
            costs.cost_of(node),
            IntervalSet(done[node.node_id] if done else ()),
            IntervalSet(failed[node.node_id] if failed else ()),
        )
        for node in plan.nodes
    )
    for node in nodes:
        for ref in node.plan_node.inputs:
            source = nodes[ref.node_id]
            need = Need(source, ref)
            node.needs.append(need)
            source.dependents.append((node, need))
            node.depth = max(node.depth, source.depth + 1)
    return nodes
