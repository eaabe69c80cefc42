"""Where the time of a live run goes: per node, bounded whatever its size, and read when somebody asks or the run ends.

The hot path adds two numbers and looks at a third (`results`): the sum of slot times, the end of the last tile, and
whether the tile is among the slowest. Everything else is counted where it is rare (failed tries, results that came
twice, results that say what they fetched) or follows from what is known anyway: how many tiles were timed is what is
done and was not taken over, restored or given up.

Soft state: a restart forgets it, and accounts from there on; `RunAccount` says how much of a node that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xip_core.model.account import NodeAccount, RunAccount, SlowTile, WorkerTraffic
from xip_scheduler.core.failures import cells_of_tiles
from xip_scheduler.core.words import WorkerId

if TYPE_CHECKING:
    from xip_scheduler.core.events import TilesReported
    from xip_scheduler.core.run_state import LiveRun, NodeState

SLOWEST_KEPT = 5
TRAFFIC_WORKERS_MAX = 1_000


class NodeTimes:
    """What is added up of one node.

    Attributes:
        begin_s, end_s: scheduler clock; first lease and last tile.
        slow_ns: a tile that took longer is among the slowest.
        slowest: (elapsed_ns, tile, worker), longest first.
        count_before: tiles done when the accounting began.
    """

    __slots__ = (
        "begin_s",
        "count_before",
        "elapsed_ns",
        "end_s",
        "fetch_ns",
        "pruned_count",
        "slow_ns",
        "slowest",
        "wasted_s",
    )

    def __init__(self) -> None:
        self.begin_s: float | None = None
        self.end_s = 0.0
        self.elapsed_ns = 0
        self.fetch_ns = 0
        self.pruned_count = 0
        self.wasted_s = 0.0
        self.slow_ns = 0
        self.slowest: list[tuple[int, int, WorkerId]] = []
        self.count_before = 0

    def keep_slow(self, elapsed_ns: int, tile: int, worker_id: WorkerId) -> None:
        self.slowest.append((elapsed_ns, tile, worker_id))
        self.slowest.sort(key=lambda slow: (-slow[0], slow[1]))
        if len(self.slowest) >= SLOWEST_KEPT:
            del self.slowest[SLOWEST_KEPT:]
            self.slow_ns = self.slowest[-1][0]


Traffic = dict[WorkerId, dict[str, tuple[int, int]]]
"""What workers received for a run: (bytes, count) by kind."""


def add_inputs(run: LiveRun, times: NodeTimes, event: TilesReported) -> None:
    """What a result says beside its counts; most say how long they waited, few that something came."""
    times.fetch_ns += event.fetch_ns
    times.pruned_count += event.pruned_count
    if not event.fetched:
        return
    received = run.traffic.get(event.worker_id)
    if received is None:
        if len(run.traffic) >= TRAFFIC_WORKERS_MAX:
            return
        received = run.traffic[event.worker_id] = {}
    for kind, size_bytes, count in event.fetched:
        total_bytes, total_count = received.get(kind, (0, 0))
        received[kind] = (total_bytes + size_bytes, total_count + count)


def account_of(run: LiveRun, now_s: float | None = None) -> RunAccount:
    """The account at *now_s* of the scheduler clock; of a run that is final, at its last tile."""
    if now_s is None:
        now_s = max((node.times.end_s for node in run.nodes), default=0.0)
    begun_s = run.submitted_s
    return RunAccount(
        first_lease_s=0.0 if run.first_lease_s is None else run.first_lease_s - begun_s,
        last_lease_s=max(0.0, run.last_lease_s - begun_s),
        now_s=max(0.0, now_s - begun_s),
        retried_count=run.retried_count,
        duplicated_count=run.duplicated_count,
        nodes=tuple(_node_account(run, node) for node in run.nodes),
        traffic=tuple(
            WorkerTraffic(worker_id, tuple((kind, *received[kind]) for kind in sorted(received)))
            for worker_id, received in run.traffic.items()
        ),
    )


def _node_account(run: LiveRun, node: NodeState) -> NodeAccount:
    times, begun_s = node.times, run.submitted_s
    timed_count = max(0, node.done.count - node.failed.count - times.count_before)
    cell_count = cells_of_tiles(run.plan, node.plan_node, 0, node.tile_count) if timed_count else 0
    return NodeAccount(
        node_id=node.node_id,
        begin_s=0.0 if times.begin_s is None else times.begin_s - begun_s,
        end_s=max(0.0, times.end_s - begun_s),
        tiles_timed=timed_count,
        elapsed_s=times.elapsed_ns * 1e-9,
        fetch_s=times.fetch_ns * 1e-9,
        wasted_s=times.wasted_s,
        cells_timed=round(cell_count * timed_count / node.tile_count),
        cells_pruned=times.pruned_count,
        slowest=tuple(SlowTile(tile, elapsed_ns * 1e-9, worker_id) for elapsed_ns, tile, worker_id in times.slowest),
    )
