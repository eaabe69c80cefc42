"""Where the time of a live run goes: per node, bounded whatever its size, and read when somebody asks or the run ends.

The hot path adds two numbers and looks at a third (`results`): the sum of slot times, the end of the last tile, and
whether the tile is among the slowest. Everything else is counted where it is rare (failed tries, results that came
twice, results that say what they fetched) or follows from what is known anyway: how many tiles were timed is what is
done and was not taken over, restored or given up.

The account of a live run is stored beside its records, a few times a second (`journal`). A restart goes on from there
(`Past`): what was stored is added to what the new scheduler counts. Results of the last moments before are then in no
account; `RunAccount` says how many tiles of a node are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

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
        begin_s, end_s: scheduler clock; first lease, or the first that was adopted, and last tile.
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


class Past(msgspec.Struct, frozen=True):
    """What schedulers before this one accounted for.

    Attributes:
        account: as it was stored last.
        elapsed_s: from the submission to the restart.
    """

    account: RunAccount
    elapsed_s: float

    @property
    def is_begun(self) -> bool:
        return any(node.tiles_timed for node in self.account.nodes)

    @property
    def away_s(self) -> float:
        return self.account.away_s + self.elapsed_s - self.account.now_s


def past_of(account: RunAccount | None, elapsed_s: float) -> Past:
    """*elapsed_s* is by wall clocks, which may be anything; never before what is accounted for."""
    account = account or RunAccount()
    return Past(account, max(elapsed_s, account.now_s))


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


def first_lease_after_s(run: LiveRun) -> float:
    """Seconds from the submission to the first lease, 0 before it."""
    if run.past is not None and run.past.is_begun:
        return run.past.account.first_lease_s
    return 0.0 if run.first_lease_s is None else run.first_lease_s - _begun_s(run)


def _begun_s(run: LiveRun) -> float:
    """When the run was submitted, on the clock of this scheduler, which may not have run then."""
    return run.submitted_s if run.past is None else run.submitted_s - run.past.elapsed_s


def account_of(run: LiveRun, now_s: float | None = None) -> RunAccount:
    """The account at *now_s* of the scheduler clock; of a run that is final, at its last tile."""
    if now_s is None:
        now_s = max((node.times.end_s for node in run.nodes), default=0.0)
    begun_s = _begun_s(run)
    account = RunAccount(
        first_lease_s=first_lease_after_s(run),
        last_lease_s=max(0.0, run.last_lease_s - begun_s),
        now_s=max(0.0, now_s - begun_s),
        retried_count=run.retried_count,
        duplicated_count=run.duplicated_count,
        nodes=tuple(_node_account(run, node, begun_s) for node in run.nodes),
        traffic=tuple(
            WorkerTraffic(worker_id, tuple((kind, *received[kind]) for kind in sorted(received)))
            for worker_id, received in run.traffic.items()
        ),
        planned_s=run.planned_s,
    )
    return account if run.past is None else _added(account, run.past)


def _node_account(run: LiveRun, node: NodeState, begun_s: float) -> NodeAccount:
    times = node.times
    timed_count = max(0, node.done.count - node.failed.count - times.count_before)
    cell_count = cells_of_tiles(run.plan, node.plan_node, 0, node.tile_count) if timed_count else 0
    return NodeAccount(
        node_id=node.node_id,
        begin_s=0.0 if times.begin_s is None else times.begin_s - begun_s,
        end_s=max(0.0, times.end_s - begun_s) if timed_count else 0.0,
        tiles_timed=timed_count,
        elapsed_s=times.elapsed_ns * 1e-9,
        fetch_s=times.fetch_ns * 1e-9,
        wasted_s=times.wasted_s,
        cells_timed=round(cell_count * timed_count / node.tile_count),
        cells_pruned=times.pruned_count,
        slowest=tuple(SlowTile(tile, elapsed_ns * 1e-9, worker_id) for elapsed_ns, tile, worker_id in times.slowest),
    )


def _added(account: RunAccount, past: Past) -> RunAccount:
    """The account of this scheduler and of those before it."""
    before = past.account
    nodes_before = {node.node_id: node for node in before.nodes}
    return msgspec.structs.replace(
        account,
        last_lease_s=max(account.last_lease_s, before.last_lease_s),
        now_s=max(account.now_s, before.now_s),
        retried_count=account.retried_count + before.retried_count,
        duplicated_count=account.duplicated_count + before.duplicated_count,
        nodes=tuple(
            _node_added(node, nodes_before[node.node_id]) if node.node_id in nodes_before else node
            for node in account.nodes
        ),
        traffic=_traffic_added(account.traffic, before.traffic),
        planned_s=before.planned_s,
        away_s=past.away_s,
    )


def _node_added(node: NodeAccount, before: NodeAccount) -> NodeAccount:
    slowest = sorted((*before.slowest, *node.slowest), key=lambda slow: (-slow.elapsed_s, slow.tile))
    return NodeAccount(
        node_id=node.node_id,
        begin_s=before.begin_s if before.tiles_timed or before.begin_s else node.begin_s,
        end_s=max(before.end_s, node.end_s),
        tiles_timed=before.tiles_timed + node.tiles_timed,
        elapsed_s=before.elapsed_s + node.elapsed_s,
        fetch_s=before.fetch_s + node.fetch_s,
        wasted_s=before.wasted_s + node.wasted_s,
        cells_timed=before.cells_timed + node.cells_timed,
        cells_pruned=before.cells_pruned + node.cells_pruned,
        slowest=tuple(slowest[:SLOWEST_KEPT]),
    )


def _traffic_added(
    traffic: tuple[WorkerTraffic, ...], before: tuple[WorkerTraffic, ...]
) -> tuple[WorkerTraffic, ...]:
    received: dict[str, dict[str, tuple[int, int]]] = {}
    for worker in (*before, *traffic):
        kinds = received.setdefault(worker.worker_id, {})
        for kind, size_bytes, count in worker.received:
            total_bytes, total_count = kinds.get(kind, (0, 0))
            kinds[kind] = (total_bytes + size_bytes, total_count + count)
    return tuple(
        WorkerTraffic(worker_id, tuple((kind, *kinds[kind]) for kind in sorted(kinds)))
        for worker_id, kinds in received.items()
    )[:TRAFFIC_WORKERS_MAX]
