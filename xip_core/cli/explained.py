"""From an account to what `xipctl explain` shows: critical path, shares, slow kernels and tiles, cost by desk. Pure.

**Critical path.** Nodes overlap: a value tile runs while others resolve. So the path is read backwards, from the node
that ended last to the input of it that ended last, and so on; each node adds the time from the end of its predecessor
to its own end, and where its first lease came later than that, it waited for a slot. The pieces

    planning  queue (no slot for the run)  [wait  node] ...  end (from the last tile until the run was final)

add up to the time from the request's arrival to the end, or to now: to make the run faster, make one of them shorter.

**Cost.** Slot-seconds of a node, wasted ones included, are shared out by its rows; those of nodes without rows
(calibrate, sums) by the rows of the run. A row is charged the average of its node, whatever it alone took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from xip_core.errors import RequestError
from xip_core.graph.plan import Node, Plan
from xip_core.model.account import Explanation, NodeAccount, RunAccount

NO_GROUP = "all"


class Step(msgspec.Struct, frozen=True):
    """
    A node of the critical path, from *begin_s* to *end_s* after submission.

    Attributes:
        waits_s: from when nothing stood against it until its first lease; then *adds_s* until its end.
        meanwhile: nodes of the run that had the slots while it waited, at most 3; () where other runs had them.
    """

    node: str
    begin_s: float
    end_s: float
    adds_s: float
    tiles_timed: int
    waits_s: float = 0.0
    meanwhile: tuple[str, ...] = ()


class KernelCost(msgspec.Struct, frozen=True):
    """Slot-seconds of an operation at a kind of node, inputs not included; *ns_per_cell* None where it has no cells."""

    kernel: str
    version: str
    kind: str
    compute_s: float
    ns_per_cell: float | None


class SlowestTile(msgspec.Struct, frozen=True):
    """A tile that took long; *rows* are plan rows of its trades, at most 3 of *row_count*."""

    node: str
    node_id: int
    tile: int
    elapsed_s: float
    worker_id: str
    row_count: int
    rows: tuple[int, ...]


class SlowTrades(msgspec.Struct, frozen=True):
    """Trades of a row block, each charged the average of its tiles.

    Attributes:
        trade_s: slot time a trade, in those tiles of the block that are among the slowest of their node alone.
        tiles_seen: so many of *tile_count*, one for each block of scenarios.
        rows: plan rows of at most 3 of *row_count* trades; trades: their ids, "" where the book does not say.
    """

    node: str
    node_id: int
    trade_s: float
    tiles_seen: int
    tile_count: int
    row_count: int
    rows: tuple[int, ...]
    trades: tuple[str, ...] = ()


class Cost(msgspec.Struct, frozen=True):
    """What the rows of one label cost, *wasted_s* of *core_s* for nothing."""

    label: str
    row_count: int
    core_s: float
    wasted_s: float


class Explained(msgspec.Struct, frozen=True):
    """
    Attributes:
        wall_s: from submission to the end, or to now; planned_s: before it.
        queue_s: before the first lease; tail_s: after the last one.
        end_s: from the last tile to the end, or to now: what the critical path does not hold.
        away_s: no scheduler ran, or what it accounted for is lost.
        compute_s, fetch_s, wasted_s: slot-seconds; *fetch_s* waiting for inputs.
        is_whole: every tile computed here is accounted for; else the scheduler restarted in between.
        deadline_s: after submission, None for none; late_s: how much later the run will be, or was; negative: earlier.
    """

    run_id: str
    state: str
    wall_s: float
    queue_s: float
    tail_s: float
    compute_s: float
    fetch_s: float
    wasted_s: float
    retried_count: int
    duplicated_count: int
    tile_count: int
    tiles_reused: int
    cells_timed: int
    cells_pruned: int
    is_whole: bool
    eta_s: float | None
    deadline_s: float | None
    late_s: float | None
    path: tuple[Step, ...]
    kernels: tuple[KernelCost, ...]
    slowest: tuple[SlowestTile, ...]
    costs: tuple[Cost, ...]
    received: dict[str, dict[str, tuple[int, int]]]
    planned_s: float = 0.0
    end_s: float = 0.0
    away_s: float = 0.0
    tiles_unaccounted: int = 0
    slowest_trades: tuple[SlowTrades, ...] = ()


KERNELS_SHOWN = 10
TILES_SHOWN = 10
TRADES_SHOWN = 5
MEANWHILE_SHOWN = 3


def explained(explanation: Explanation, plan: Plan, account: RunAccount, key: str = "") -> Explained:
    """
    Args:
        key: of the hierarchy, by which cost is shared out; "" takes the first beside the asset class.

    Raises:
        RequestError: UNKNOWN_KEY.
    """
    run = explanation.run
    nodes = {node.node_id: node for node in account.nodes}
    wall_s = run.finished_at_s - run.submitted_at_s if run.state.is_final and run.finished_at_s else account.now_s
    eta_s = run.eta_s or None
    deadline_s = run.deadline_after_s or None
    end_s = wall_s if run.state.is_final else wall_s + eta_s if eta_s is not None else None
    path = critical_path(plan, nodes, account.first_lease_s)
    open_counts = [
        node.tiles_done - node.tiles_reused - nodes[node.node_id].tiles_timed
        for node in run.nodes
        if node.node_id in nodes
    ]
    return Explained(
        run_id=run.run_id,
        state=run.state.label,
        wall_s=wall_s,
        queue_s=account.first_lease_s,
        tail_s=max(0.0, account.now_s - account.last_lease_s) if run.state.is_final else 0.0,
        compute_s=sum(node.elapsed_s - node.fetch_s for node in account.nodes),
        fetch_s=sum(node.fetch_s for node in account.nodes),
        wasted_s=sum(node.wasted_s for node in account.nodes),
        retried_count=account.retried_count,
        duplicated_count=account.duplicated_count,
        tile_count=sum(node.tile_count for node in run.nodes),
        tiles_reused=sum(node.tiles_reused for node in run.nodes),
        cells_timed=sum(node.cells_timed for node in account.nodes),
        cells_pruned=sum(node.cells_pruned for node in account.nodes),
        is_whole=max(open_counts, default=0) <= 0,
        tiles_unaccounted=sum(max(0, count) for count in open_counts),
        eta_s=eta_s,
        deadline_s=deadline_s,
        late_s=end_s - deadline_s if deadline_s is not None and end_s is not None else None,
        path=path,
        kernels=kernel_costs(plan, nodes)[:KERNELS_SHOWN],
        slowest=slowest_tiles(plan, account)[:TILES_SHOWN],
        costs=costs_by(plan, nodes, key),
        received={
            worker.worker_id: {kind: (size_bytes, count) for kind, size_bytes, count in worker.received}
            for worker in account.traffic
        },
        planned_s=account.planned_s,
        end_s=max(0.0, wall_s - (path[-1].end_s if path else account.first_lease_s)),
        away_s=account.away_s,
        slowest_trades=slowest_trades(plan, account)[:TRADES_SHOWN],
    )


def critical_path(plan: Plan, nodes: Mapping[int, NodeAccount], first_lease_s: float) -> tuple[Step, ...]:
    """The steps in the order of time; none before anything was computed."""
    timed = [node for node in plan.nodes if node.node_id in nodes and nodes[node.node_id].tiles_timed]
    if not timed:
        return ()
    steps: list[Step] = []
    at: Node | None = max(timed, key=lambda node: (nodes[node.node_id].end_s, node.node_id))
    while at is not None:
        account = nodes[at.node_id]
        before = _last_input(at, plan, nodes)
        since_s = min(nodes[before.node_id].end_s if before is not None else first_lease_s, account.end_s)
        waits_s = min(max(0.0, account.begin_s - since_s), account.end_s - since_s)
        steps.append(
            Step(
                node=at.name,
                begin_s=account.begin_s,
                end_s=account.end_s,
                adds_s=account.end_s - since_s - waits_s,
                tiles_timed=account.tiles_timed,
                waits_s=waits_s,
                meanwhile=_at_work(timed, nodes, since_s, since_s + waits_s) if waits_s else (),
            )
        )
        at = before
    return tuple(reversed(steps))


def _at_work(
    timed: Sequence[Node], nodes: Mapping[int, NodeAccount], begin_s: float, end_s: float
) -> tuple[str, ...]:
    """Names of the nodes that worked longest between two times."""
    spans = [
        (min(nodes[node.node_id].end_s, end_s) - max(nodes[node.node_id].begin_s, begin_s), node) for node in timed
    ]
    found = sorted((span for span in spans if span[0] > 0.0), key=lambda span: (-span[0], span[1].node_id))
    return tuple(node.name for _, node in found[:MEANWHILE_SHOWN])


def _last_input(node: Node, plan: Plan, nodes: Mapping[int, NodeAccount]) -> Node | None:
    """The input that ended last, of those that were computed."""
    ids = sorted({ref.node_id for ref in node.inputs})
    timed = [plan.nodes[node_id] for node_id in ids if node_id in nodes and nodes[node_id].tiles_timed]
    return max(timed, key=lambda source: (nodes[source.node_id].end_s, source.node_id), default=None)


def kernel_costs(plan: Plan, nodes: Mapping[int, NodeAccount]) -> tuple[KernelCost, ...]:
    """Operations, the costliest first."""
    sums: dict[tuple[str, str, str], tuple[float, int]] = {}
    for node in plan.nodes:
        account = nodes.get(node.node_id)
        if account is None or not account.tiles_timed:
            continue
        key = (node.kernel, node.kernel_version, str(node.kind))
        compute_s, cell_count = sums.get(key, (0.0, 0))
        sums[key] = compute_s + account.elapsed_s - account.fetch_s, cell_count + account.cells_timed
    costs = [
        KernelCost(*key, compute_s, compute_s * 1e9 / cell_count if cell_count else None)
        for key, (compute_s, cell_count) in sums.items()
    ]
    return tuple(sorted(costs, key=lambda cost: (-cost.compute_s, cost.kernel, cost.kind)))


def slowest_tiles(plan: Plan, account: RunAccount) -> tuple[SlowestTile, ...]:
    """Of all nodes, slowest first."""
    found = []
    for node_account in account.nodes:
        node = plan.nodes[node_account.node_id]
        for slow in node_account.slowest:
            rows = rows_of_tile(node, slow.tile)
            shown = tuple(rows[:3].tolist())
            found.append(
                SlowestTile(node.name, node.node_id, slow.tile, slow.elapsed_s, slow.worker_id, len(rows), shown)
            )
    return tuple(sorted(found, key=lambda slow: (-slow.elapsed_s, slow.node_id, slow.tile)))


def slowest_trades(plan: Plan, account: RunAccount) -> tuple[SlowTrades, ...]:
    """Row blocks of all value nodes, the one with the costliest trades first."""
    sums: dict[tuple[int, int], list[float]] = {}
    for node_account in account.nodes:
        node = plan.nodes[node_account.node_id]
        for slow in node_account.slowest if node.kind == "value" else ():
            sums.setdefault((node.node_id, slow.tile // node.scenario_block_count), []).append(slow.elapsed_s)
    found = []
    for (node_id, block), times in sums.items():
        node = plan.nodes[node_id]
        rows = rows_of_tile(node, block * node.scenario_block_count)
        found.append(
            SlowTrades(
                node=node.name,
                node_id=node_id,
                trade_s=sum(times) / len(rows),
                tiles_seen=len(times),
                tile_count=node.scenario_block_count,
                row_count=len(rows),
                rows=tuple(rows[:3].tolist()),
            )
        )
    return tuple(sorted(found, key=lambda slow: (-slow.trade_s, slow.node_id, slow.rows)))


def with_names(found: Explained, names: Mapping[int, str]) -> Explained:
    """*found* with the ids of its slowest trades, by plan row."""
    named = [
        msgspec.structs.replace(slow, trades=tuple(names.get(row, "") for row in slow.rows))
        for slow in found.slowest_trades
    ]
    return msgspec.structs.replace(found, slowest_trades=tuple(named))


def rows_of_tile(node: Node, tile: int) -> np.ndarray:
    """Plan rows of a tile, none of a node without rows."""
    if not node.rows_per_tile:
        return np.zeros(0, dtype=np.int32)
    rows = node.row_numbers
    return np.array(rows[slice(*node.row_range(tile))], dtype=np.int32)


def costs_by(plan: Plan, nodes: Mapping[int, NodeAccount], key: str = "") -> tuple[Cost, ...]:
    """Cost by label, the costliest first."""
    label_of_row = _labels(plan, key)
    row_counts: dict[str, int] = {}
    for label in label_of_row.values():
        row_counts[label] = row_counts.get(label, 0) + 1
    spent: dict[str, list[float]] = {label: [0.0, 0.0] for label in row_counts or {NO_GROUP: 0}}
    for node in plan.nodes:
        account = nodes.get(node.node_id)
        if account is None:
            continue
        weights = _weights(node, label_of_row) or row_counts or {NO_GROUP: 1}
        total = sum(weights.values())
        for label, weight in weights.items():
            spent[label][0] += (account.elapsed_s + account.wasted_s) * weight / total
            spent[label][1] += account.wasted_s * weight / total
    costs = [Cost(label, row_counts.get(label, 0), *sums) for label, sums in spent.items()]
    return tuple(sorted(costs, key=lambda cost: (-cost.core_s, cost.label)))


def _weights(node: Node, label_of_row: Mapping[int, str]) -> dict[str, int]:
    """Rows of the node by label."""
    weights: dict[str, int] = {}
    for row in np.frombuffer(node.rows, dtype="<i4").tolist():
        label = label_of_row.get(row, NO_GROUP)
        weights[label] = weights.get(label, 0) + 1
    return weights if label_of_row else {}


def _labels(plan: Plan, key: str) -> dict[int, str]:
    """Label of every row of a value node."""
    found: dict[int, str] = {}
    for node in plan.nodes:
        if node.kind == "value":
            rows = np.frombuffer(node.rows, dtype="<i4").tolist()
            found.update(zip(rows, _labels_of(plan, node, key), strict=True))
    return found


def _labels_of(plan: Plan, node: Node, key: str) -> list[str]:
    """One a row: of the hierarchy key asked for, else the first one the run has, else the asset class."""
    groups = plan.groups
    if not node.groups:
        return [node.asset_class] * node.row_count
    others = [name for name in groups.keys if name != "asset_class"]
    key = key or (others[0] if others else groups.keys[0])
    if key not in groups.keys:
        raise RequestError("UNKNOWN_KEY", f"the run must have aggregates by {key!r}, it has {', '.join(groups.keys)}")
    place = groups.keys.index(key)
    labels = [label[place] for label in groups.labels]
    return [labels[group] for group in np.frombuffer(node.groups, dtype="<i4").tolist()]
