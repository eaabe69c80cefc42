"""Plans, runs and a store in memory: what the tests of the core are arranged with."""

from __future__ import annotations

from xip_core.graph.plan import InputRef, Node, NodeKind, Plan, Source
from xip_core.kernel_versions import Versions
from xip_core.model.detail import Detail
from xip_scheduler.core.actions import (
    Action,
    PersistRun,
    RecordAttempt,
    RecordFailedTiles,
    RecordPaused,
    RecordRunState,
    RecordTiles,
    ReserveEpochs,
)
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import RunSubmitted, TilesReported, WorkerAttached
from xip_scheduler.core.intervals import IntervalSet
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.retries import Attempt
from xip_scheduler.core.runs import RestoredRun
from xip_scheduler.core.words import ConnectionId, Epoch, Priority, RunId, RunState, WorkerId


def a_probe_plan(
    tile_count: int = 2, tiles_per_lease: int = 1, cost_s: float = 0.01, kernels: Versions = ()
) -> Plan:
    forced = {"tiles_per_lease": tiles_per_lease, "kernels": kernels}
    return Plan((Node(0, "probe", NodeKind.PROBE, "probe.noop", "1", tile_count, cost_s, **forced),), tile_count)


def a_book_plan(
    row_blocks: int = 2,
    scenario_blocks: int = 2,
    tiles_per_lease: int = 1,
    rows_per_tile: int = 3,
    detail: Detail = Detail.ALL,
) -> Plan:
    """Calibrate, resolve, value and reduce nodes (ids 0 to 3) as the planner lays them."""
    row_count, scenario_count = row_blocks * rows_per_tile, scenario_blocks * 4
    rows = b"".join(row.to_bytes(4, "little") for row in range(row_count))
    grid = {"scenario_count": scenario_count, "scenarios_per_tile": 4, "tiles_per_lease": tiles_per_lease}
    block = {"row_count": row_count, "rows_per_tile": rows_per_tile, "rows": rows}
    needs = (InputRef(1, scenario_blocks, row_blocks), InputRef(0, 1, scenario_blocks), InputRef(0, 1, 1))
    calibrate = Node(0, "calibrate", NodeKind.CALIBRATE, "calibrate", "1", scenario_blocks, 0.01, **grid)
    resolve = Node(1, "resolve", NodeKind.RESOLVE, "terms", "1", row_blocks, 0.01, tiles_per_lease=1, **block)
    value = Node(2, "value", NodeKind.VALUE, "terms", "1", row_blocks * scenario_blocks, 0.01, needs, **grid, **block)
    reduce = Node(3, "reduce", NodeKind.REDUCE, "reduce", "1", 1, 0.01, (InputRef(2),))
    source = Source(measures=("pv",), detail=detail)
    return Plan((calibrate, resolve, value, reduce), row_count * scenario_count, (source,))


def a_submission(
    run_id: str = "r1",
    plan: Plan | None = None,
    tenant: str = "desk",
    priority: Priority = Priority.INTERACTIVE,
    deadline_after_s: float = 0.0,
) -> RunSubmitted:
    plan = plan or a_probe_plan()
    return RunSubmitted(
        RunId(run_id),
        tenant,
        run_id,
        f"q-{run_id}",
        plan,
        "plan",
        "hash",
        priority=priority,
        deadline_after_s=deadline_after_s,
    )


def an_attachment(worker_id: str = "w1", connection_id: int = 1, slot_count: int = 1) -> WorkerAttached:
    return WorkerAttached(WorkerId(worker_id), ConnectionId(connection_id), slot_count)


def a_report(worker_id: str, epoch: int, begin: int, end: int | None = None, cell_count: int = 1) -> TilesReported:
    end = begin + 1 if end is None else end
    return TilesReported(WorkerId(worker_id), Epoch(epoch), begin, end, cell_count, (), (end - begin) * 10_000_000)


class MemoryStore:
    """What a store keeps of the persistent actions, and what it says after a restart.

    Refuses, loudly, whatever a store must never be asked: a tile recorded twice, a record of a final run, a run stored
    twice, an epoch mark that shrinks.
    """

    def __init__(self) -> None:
        self.runs: dict[str, PersistRun] = {}
        self.done: dict[str, list[IntervalSet]] = {}
        self.failed: dict[str, list[IntervalSet]] = {}
        self.cells: dict[str, list[int]] = {}
        self.final: dict[str, RunState] = {}
        self.attempts: dict[str, list[tuple[int, int, Attempt]]] = {}
        self.paused: dict[str, bool] = {}
        self.epoch_end = 1

    def commit(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case PersistRun():
                    assert action.run_id not in self.runs, f"{action.run_id} stored twice"
                    self.runs[action.run_id] = action
                    self.done[action.run_id] = [IntervalSet() for _ in action.plan.nodes]
                    self.failed[action.run_id] = [IntervalSet() for _ in action.plan.nodes]
                    self.cells[action.run_id] = [0, 0]
                    self.attempts[action.run_id] = []
                    if action.taken_over is not None:
                        assert (action.retry_of or action.reuse_of) in self.final, "only a final run is retried"
                        self.done[action.run_id] = [IntervalSet(node) for node in action.taken_over.done]
                        self.cells[action.run_id] = [action.taken_over.cells_done, action.taken_over.cells_quarantined]
                case RecordPaused():
                    assert action.run_id not in self.final, f"{action.run_id} paused after it became final"
                    assert self.paused.get(action.run_id, False) is not action.is_paused, "a pause that changes nothing"
                    self.paused[action.run_id] = action.is_paused
                case ReserveEpochs():
                    assert action.epoch_end > self.epoch_end
                    self.epoch_end = action.epoch_end
                case RecordTiles():
                    assert action.epoch < self.epoch_end, "epoch used before it was reserved"
                    self._record(action, action.cell_count, action.quarantined_count)
                case RecordFailedTiles():
                    self._record(action, action.cell_count, action.cell_count)
                    assert self.failed[action.run_id][action.node_id].add_new(action.tile_begin, action.tile_end)
                case RecordAttempt():
                    self._keep_attempt(action)
                case RecordRunState():
                    assert action.run_id not in self.final, f"{action.run_id} became final twice"
                    assert action.state.is_final
                    self.final[action.run_id] = action.state

    def _keep_attempt(self, action: RecordAttempt) -> None:
        assert action.run_id not in self.final, f"attempt at {action.run_id} after it became final"
        assert action.tile not in self.done[action.run_id][action.node_id], f"attempt at a decided tile: {action}"
        kept, key = self.attempts[action.run_id], (action.node_id, action.tile)
        assert action.attempt == sum(other[:2] == key for other in kept), f"attempts are numbered from 0: {action}"
        kept.append((*key, Attempt(action.worker_id, action.reason, action.message, action.is_suspect)))

    def _undecided(self, run_id: str) -> tuple[tuple[int, int, Attempt], ...]:
        undecided = [kept for kept in self.attempts[run_id] if kept[1] not in self.done[run_id][kept[0]]]
        return tuple(sorted(undecided, key=lambda kept: kept[:2]))

    def _record(self, action: RecordTiles | RecordFailedTiles, cell_count: int, quarantined_count: int) -> None:
        assert action.run_id not in self.final, f"record of {action.run_id} after it became final"
        is_new = self.done[action.run_id][action.node_id].add_new(action.tile_begin, action.tile_end)
        assert is_new, f"tile recorded twice: {action}"
        self.cells[action.run_id][0] += cell_count
        self.cells[action.run_id][1] += quarantined_count

    def live_runs(self) -> tuple[RestoredRun, ...]:
        return tuple(
            RestoredRun(
                run.run_id,
                run.tenant,
                run.name,
                run.plan,
                run.plan_digest,
                run.submitted_at_s,
                tuple(tuple(node) for node in self.done[run_id]),
                tuple(tuple(node) for node in self.failed[run_id]),
                *self.cells[run_id],
                self._undecided(run_id),
                run.priority,
                run.deadline_after_s,
                self.paused.get(run_id, False),
                run.retry_of,
                run.reuse_of,
                self._reused(run),
            )
            for run_id, run in self.runs.items()
            if run_id not in self.final
        )

    @staticmethod
    def _reused(run: PersistRun) -> tuple[int, ...]:
        taken = run.taken_over.done if run.taken_over is not None else ((),) * len(run.plan.nodes)
        return tuple(sum(end - begin for begin, end in intervals) for intervals in taken)

    def restart(self, now_s: float, term: int = 2, limits: Limits | None = None) -> Core:
        return Core.restore(self.live_runs(), self.epoch_end, term, now_s, limits)
