"""A grid in virtual time, to count what its two sides say to each other: both real cores, and slots that take time.

    python -m tests.scheduler.core.message_model        a line per grid: messages, leases, and how long slots idled

The scheduler handles what came in while its last commit ran, commits for COMMIT_S when there is something to keep, then
sends leases and acknowledgements. A worker evaluates batches tile by tile and looks at what its slots report as the
daemon does (`report_pace`). A message takes WIRE_S. How long a tile takes is the model's to say, not the plan's: what
plans declare is wrong by up to ten.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock

import msgspec

from tests.scheduler.core.builders import a_submission
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan, Source
from xip_core.model.detail import Detail
from xip_scheduler.core.actions import GrantLease, RecordTiles, TrimLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import Event, LeaseKept, Tick, TilesReported, WorkerAttached
from xip_scheduler.core.words import ConnectionId, Epoch, WorkerId
from xip_worker import events as at_worker
from xip_worker.core import WorkerCore
from xip_worker.cursor import TileCursor
from xip_worker.report_pace import ReportPace

COMMIT_S = 0.0015
WIRE_S = 0.0005
HEARTBEAT_S = 5.0

SCENARIO_BLOCKS = 8
ROWS_PER_BLOCK = 2_500


class Part(msgspec.Struct, frozen=True):
    """Rows of one kind: a resolve node, and a value node with SCENARIO_BLOCKS tiles for each of its tiles.

    Attributes:
        resolve_s, value_s: what a tile takes.
        declared_resolve_s, declared_value_s: what the plan says.
    """

    row_blocks: int
    resolve_s: float
    value_s: float
    declared_resolve_s: float
    declared_value_s: float


PARTS = (
    Part(1, 0.007, 0.0009, 0.006, 0.0008),
    Part(1, 0.017, 0.0009, 0.009, 0.0012),
    Part(3, 0.021, 0.0024, 0.015, 0.0019),
    Part(2, 0.003, 0.0012, 0.004, 0.0039),
    Part(4, 0.008, 0.0028, 0.010, 0.0095),
    Part(5, 0.007, 0.0030, 0.012, 0.0115),
    Part(4, 0.033, 0.0059, 0.013, 0.0089),
    Part(5, 0.003, 0.0010, 0.008, 0.0046),
    Part(15, 0.030, 0.0105, 0.042, 0.0164),
)
"""The book of 100,000 trades of `bench_var`: declared and measured."""

CALIBRATE_S = 0.011
FIRST_S = 0.25
"""What the first tiles of a worker take longer: a book comes, a base market is made. The plan declares 128 ms for each
calibrate tile."""


class Figures(msgspec.Struct):
    """
    Attributes:
        messages: with results, of all workers.
        leases: granted.
        elapsed_s: from the submission to the last record.
        ideal_s: what the tiles took, over the slots.
        idle_s: slot-seconds without a tile.
        ahead: most row blocks that were resolved and had values left to do.
    """

    messages: int = 0
    leases: int = 0
    elapsed_s: float = 0.0
    ideal_s: float = 0.0
    idle_s: float = 0.0
    ahead: int = 0


def a_run_of_parts(parts: Sequence[Part] = PARTS, copies: int = 1, detail: Detail = Detail.NONE) -> Plan:
    """The plan as the planner lays it: calibrate, then resolve, value and reduce; row blocks *copies* times as many."""
    calibrate = Node(0, "calibrate", NodeKind.CALIBRATE, "calibrate", "1", SCENARIO_BLOCKS, 0.128)
    resolves = [
        Node(
            1 + i,
            f"resolve {i}",
            NodeKind.RESOLVE,
            str(i),
            "1",
            copies * part.row_blocks,
            part.declared_resolve_s,
            row_count=copies * part.row_blocks * ROWS_PER_BLOCK,
            rows_per_tile=ROWS_PER_BLOCK,
        )
        for i, part in enumerate(parts)
    ]
    values = [
        Node(
            len(resolves) + resolve.node_id,
            f"value {i}",
            NodeKind.VALUE,
            str(i),
            "1",
            resolve.tile_count * SCENARIO_BLOCKS,
            part.declared_value_s,
            (
                InputRef(resolve.node_id, SCENARIO_BLOCKS, resolve.tile_count),
                InputRef(0, 1, SCENARIO_BLOCKS),
                InputRef(0, 1, 1),
            ),
        )
        for i, (part, resolve) in enumerate(zip(parts, resolves, strict=True))
    ]
    inputs = tuple(InputRef(value.node_id) for value in values)
    reduce = Node(1 + 2 * len(parts), "reduce", NodeKind.REDUCE, "reduce", "1", 1, 0.006, inputs)
    return Plan((calibrate, *resolves, *values, reduce), 1, (Source(detail=detail),))


class ModelWorker:
    """The worker's core, with slots of the model."""

    def __init__(self, grid: MessageGrid, number: int, slot_count: int) -> None:
        self.grid = grid
        self.worker_id = WorkerId(f"w{number}")
        self.core = WorkerCore(slot_count)
        self.pace = ReportPace()
        self.reports: list[at_worker.Report] = []
        self.cursors: dict[Epoch, TileCursor] = {}
        self.looked_s = -1.0
        self.is_woken = False
        self.timer_s: float | None = None

    def handle(self, event: at_worker.Event) -> None:
        grid = self.grid
        for action in self.core.handle(event, grid.now_s):
            match action:
                case at_worker.EvaluateLeases():
                    grid.slot_busy(1)
                    for lease in action.leases:
                        self.cursors[Epoch(lease.epoch)] = TileCursor(lease, grid.lock)
                    self.next_tile(action.slot, self.tiles(action.leases), grid.now_s)
                case at_worker.SendResults():
                    grid.later(WIRE_S, partial(grid.received, self, action))
                    grid.later(WIRE_S / 2, lambda: self.handle(at_worker.ResultsWritten()))
                case at_worker.TrimRunning():
                    for bound in action.bounds:
                        self.cursors[Epoch(bound.epoch)].trim(bound.tile_end, self.report)
        deadline_s = self.core.next_deadline_s()
        if deadline_s is not None and (self.timer_s is None or deadline_s < self.timer_s):
            self.timer_s = deadline_s
            grid.later(max(0.0, deadline_s - grid.now_s), self.ring)

    def ring(self) -> None:
        self.timer_s = None
        self.handle(at_worker.Ticked())

    def tiles(self, leases: tuple[at_worker.Lease, ...]) -> Iterator[tuple[at_worker.Lease, int]]:
        """What a slot claims, one after the other."""
        for lease in leases:
            cursor = self.cursors[Epoch(lease.epoch)]
            while (tile := cursor.claim()) is not None:
                yield lease, tile

    def next_tile(
        self, slot: at_worker.SlotIndex, tiles: Iterator[tuple[at_worker.Lease, int]], begun_s: float
    ) -> None:
        grid = self.grid
        claimed = next(tiles, None)
        if claimed is None:
            grid.slot_busy(-1)
            self.reports.append(at_worker.SlotFreed(slot, round((grid.now_s - begun_s) * 1e9)))
            grid.later(0.0, self.look)
            return
        lease, tile = claimed
        tile_s = grid.tile_s(lease.node_id, tile)

        def finished() -> None:
            cell_count = int(grid.plan.nodes[lease.node_id].kind is NodeKind.VALUE)
            self.report(at_worker.FinishedTiles(lease.epoch, tile, tile + 1, cell_count, round(tile_s * 1e9)))
            self.next_tile(slot, tiles, begun_s)

        grid.later(tile_s, finished)

    def report(self, report: at_worker.Report) -> None:
        self.reports.append(report)
        if not self.is_woken:
            self.is_woken = True
            self.grid.later(max(0.0, self.looked_s + self.pace.interval_s - self.grid.now_s), self.look)

    def look(self) -> None:
        self.looked_s = self.grid.now_s
        self.is_woken = False
        reports, self.reports = tuple(self.reports), []
        if reports:
            self.pace.found_reports(any(isinstance(report, at_worker.SlotFreed) for report in reports))
            self.handle(at_worker.WorkReported(reports))


class MessageGrid:
    def __init__(self, plan: Plan, tile_s: Callable[[int, int], float], slot_counts: Sequence[int] = (2,)) -> None:
        self.plan = plan
        self.tile_s = tile_s
        self.core = Core()
        self.now_s = 0.0
        self.lock = Lock()
        self.figures = Figures()
        self.slot_count = sum(slot_counts)
        self.busy_count = 0
        self.busy_s = 0.0
        self._counted_s = 0.0
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._inbox: list[Event] = []
        self._sequences: dict[WorkerId, int] = {}
        self._is_committing = False
        self._open = Counter[tuple[int, int]]()
        self._resolved: set[tuple[int, int]] = set()
        self.workers = {
            worker.worker_id: worker
            for worker in (ModelWorker(self, number, count) for number, count in enumerate(slot_counts))
        }
        for worker in self.workers.values():
            worker.handle(at_worker.Connected())
            worker.handle(at_worker.Welcomed(1, HEARTBEAT_S, 15.0))
            count = slot_counts[int(worker.worker_id[1:])]
            self.core.handle(WorkerAttached(worker.worker_id, ConnectionId(1), count), 0.0)

    def later(self, delay_s: float, do: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._order), do))

    def slot_busy(self, change: int) -> None:
        self.busy_s += self.busy_count * (self.now_s - self._counted_s)
        self._counted_s = self.now_s
        self.busy_count += change

    # ---- the scheduler

    def received(self, worker: ModelWorker, message: at_worker.SendResults) -> None:
        self.figures.messages += 1
        self._sequences[worker.worker_id] = message.sequence
        for outcome in message.outcomes:
            assert isinstance(outcome, at_worker.FinishedTiles), outcome
            tiles = outcome.tile_begin, outcome.tile_end
            epoch, cell_count, elapsed_ns = Epoch(outcome.epoch), outcome.cell_count, outcome.elapsed_ns
            self._inbox.append(TilesReported(worker.worker_id, epoch, *tiles, cell_count, (), elapsed_ns))
        self._inbox += [LeaseKept(worker.worker_id, Epoch(kept.epoch), kept.tile_end) for kept in message.kept]
        self._work()

    def _work(self) -> None:
        """A turn of the driver: all that came in, one commit, then the orders and acknowledgements."""
        deadline_s = self.core.next_deadline_s()
        if deadline_s is not None and deadline_s <= self.now_s:
            self._inbox.append(Tick())
        if self._is_committing or not self._inbox:
            return
        events, self._inbox = self._inbox, []
        actions = [action for event in events for action in self.core.handle(event, self.now_s)]
        self.core.check_invariants()
        for action in actions:
            if isinstance(action, RecordTiles):
                self._count(action)
        sequences, self._sequences = self._sequences, {}
        orders = [action for action in actions if isinstance(action, GrantLease | TrimLease)]

        def committed() -> None:
            self._is_committing = False
            for worker in self.workers.values():
                self._send(worker, [order for order in orders if order.worker_id == worker.worker_id])
                if worker.worker_id in sequences:
                    acknowledged = at_worker.ResultsAcknowledged(sequences[worker.worker_id])
                    self.later(WIRE_S, partial(worker.handle, acknowledged))
            self._work()

        self._is_committing = True
        self.later(COMMIT_S, committed)

    def _send(self, worker: ModelWorker, orders: list[GrantLease | TrimLease]) -> None:
        leases = tuple(
            at_worker.Lease(
                at_worker.Epoch(order.epoch),
                order.run_id,
                order.node_id,
                order.tile_begin,
                order.tile_end,
                b"",
                patience_s=order.patience_ms / 1e3,
                work_s=order.work_us / 1e6,
            )
            for order in orders
            if isinstance(order, GrantLease)
        )
        bounds = tuple(
            at_worker.LeaseBound(at_worker.Epoch(order.epoch), order.tile_end)
            for order in orders
            if isinstance(order, TrimLease)
        )
        if leases:
            self.later(WIRE_S, lambda: worker.handle(at_worker.LeasesReceived(leases)))
        if bounds:
            self.later(WIRE_S, lambda: worker.handle(at_worker.LeasesTrimmed(bounds)))

    def _count(self, record: RecordTiles) -> None:
        """Row blocks resolved whose values are not all recorded."""
        node = self.plan.nodes[record.node_id]
        self.figures.elapsed_s = self.now_s
        for tile in range(record.tile_begin, record.tile_end):
            if node.kind is NodeKind.RESOLVE:
                self._open[node.node_id, tile] = SCENARIO_BLOCKS
            elif node.kind is NodeKind.VALUE:
                block = node.inputs[0].node_id, tile // SCENARIO_BLOCKS
                self._open[block] -= 1
                if not self._open[block]:
                    del self._open[block]
        self.figures.ahead = max(self.figures.ahead, len(self._open))

    def run(self) -> Figures:
        self._inbox.append(a_submission(plan=self.plan))
        self._work()
        while self.core.live_run_count():
            deadline_s = self.core.next_deadline_s()
            if deadline_s is not None and deadline_s < self._timers[0][0] and not self._is_committing:
                self.now_s = max(self.now_s, deadline_s)
                self._work()
                continue
            self.now_s, _, do = heapq.heappop(self._timers)
            do()
        self.slot_busy(0)
        figures = self.figures
        figures.leases = self.core.counters.leases_granted
        figures.idle_s = self.slot_count * figures.elapsed_s - self.busy_s
        figures.ideal_s = self.busy_s / self.slot_count
        return figures


def measured_s(parts: Sequence[Part] = PARTS) -> Callable[[int, int], float]:
    """Seconds by node and tile as the plan of `a_run_of_parts` numbers them; the first of a kind takes longer."""

    def tile_s(node_id: int, tile: int) -> float:
        draw = 0.9 + 0.2 * ((17 * node_id + tile) * 2_654_435_761 % 1_024) / 1_024
        if node_id == 0:
            return CALIBRATE_S * draw + (0.0 if tile else FIRST_S)
        if node_id <= len(parts):
            is_first = node_id in (1, len(parts)) and tile == 0
            return parts[node_id - 1].resolve_s * draw + (FIRST_S if is_first else 0.0)
        return parts[node_id - 1 - len(parts)].value_s * draw if node_id <= 2 * len(parts) else 0.004

    return tile_s


GRIDS = (
    ("one worker of 2 slots", (2,), 1, Detail.NONE),
    ("one worker of 1 slot", (1,), 1, Detail.NONE),
    ("two workers of 1 slot", (1, 1), 1, Detail.NONE),
    ("one worker of 8 slots", (8,), 1, Detail.NONE),
    ("eight workers of 2 slots, 7 times the rows", (2,) * 8, 7, Detail.NONE),
    ("one worker of 2 slots, 7 times the rows", (2,), 7, Detail.NONE),
    ("one worker of 2 slots, watched", (2,), 1, Detail.BASE),
)


def main() -> int:
    print(f"{'grid':44} {'messages':>8} {'leases':>7} {'elapsed':>9} {'ideal':>9} {'idle':>9} ahead")
    for name, slot_counts, copies, detail in GRIDS:
        figures = MessageGrid(a_run_of_parts(copies=copies, detail=detail), measured_s(), slot_counts).run()
        print(
            f"{name:44} {figures.messages:8} {figures.leases:7} {figures.elapsed_s:7.3f} s {figures.ideal_s:7.3f} s "
            f"{figures.idle_s:7.3f} s {figures.ahead:5}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
