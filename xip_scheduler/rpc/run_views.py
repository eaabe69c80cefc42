"""Runs as clients see them: live ones from the core, finished ones from the store.

A finished run is described by what is recorded of it (tallies) and by its plan, which is a blob. The cells of rows the
planner had to refuse belong to no tile: they are the cells of the plan that no tile carries.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from xip_core.errors import NotFoundError
from xip_core.graph.plan import Plan, decode_plan
from xip_core.model.result import NodeProgress, Run, RunState
from xip_core.model.run_spec import Priority
from xip_scheduler.core.runs import planned_cells
from xip_scheduler.core.views import RunView
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import NodeTally, StoredRun

PLANS_CACHED_MAX = 32
"""Plans of runs looked at, or accepted last, kept decoded."""

PLANS_BYTES_MAX = 64 << 20
"""Of their rows and groups, 12 bytes a trade and source; the plan used last is kept whatever its size."""


class PlanCache:
    """Plans by digest, decoded from their blobs in a thread; the least recently used go first."""

    def __init__(self, blobs: FileBlobs, bytes_max: int = PLANS_BYTES_MAX) -> None:
        self._blobs = blobs
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._bytes_max = bytes_max
        self._size_bytes = 0

    async def plan(self, digest: str) -> Plan:
        plan = self._plans.get(digest)
        if plan is None:
            plan = await asyncio.to_thread(lambda: decode_plan(self._blobs.get(digest)))
        self.keep(digest, plan)
        return plan

    def keep(self, digest: str, plan: Plan) -> None:
        """*plan* is stored under *digest*; the next tick is compared with it."""
        if self._plans.pop(digest, None) is None:
            self._size_bytes += _size_bytes(plan)
        self._plans[digest] = plan
        while len(self._plans) > 1 and (len(self._plans) > PLANS_CACHED_MAX or self._size_bytes > self._bytes_max):
            self._size_bytes -= _size_bytes(self._plans.popitem(last=False)[1])


def _size_bytes(plan: Plan) -> int:
    return sum(len(node.rows) + len(node.groups) for node in plan.nodes)


def run_of_view(view: RunView, worker_count: int, slot_count: int) -> Run:
    """A run the core knows; *worker_count* and *slot_count* are those it may use now."""
    return Run(
        run_id=view.run_id,
        name=view.name,
        tenant=view.tenant,
        state=RunState(int(view.state)),
        submitted_at_s=view.submitted_at_s,
        cell_count=view.cell_count,
        cells_done=view.cells_done,
        cells_quarantined=view.cells_quarantined,
        worker_count=worker_count,
        slot_count=slot_count,
        nodes=tuple(
            NodeProgress(
                node.node_id,
                node.name,
                node.kind,
                node.kernel,
                node.kernel_version,
                node.tile_count,
                node.tiles_done,
                node.tiles_leased,
                node.kernels,
                node.tiles_reused,
            )
            for node in view.nodes
        ),
        book_digest=view.book_digest,
        market_digest=view.market_digest,
        scenarios_digest=view.scenarios_digest,
        plan_digest=view.plan_digest,
        message=view.message,
        epoch_last=view.epoch_last,
        first_lease_after_s=view.first_lease_after_s,
        priority=Priority(view.priority),
        deadline_after_s=view.deadline_after_s,
        is_paused=view.is_paused,
        eta_s=view.eta_s,
        retry_of=view.retry_of,
        reuse_of=view.reuse_of,
    )


def run_of_store(stored: StoredRun, plan: Plan, tallies: Iterable[NodeTally]) -> Run:
    """A run as it is recorded."""
    by_node = {tally.node_id: tally for tally in tallies}
    cells_without_tile = planned_cells(plan)
    return Run(
        run_id=stored.run_id,
        name=stored.name,
        tenant=stored.tenant,
        state=RunState(stored.state),
        submitted_at_s=stored.submitted_at_s,
        finished_at_s=stored.finished_at_s,
        cell_count=plan.cell_count,
        cells_done=cells_without_tile + sum(tally.cell_count for tally in by_node.values()),
        cells_quarantined=cells_without_tile + sum(tally.quarantined_count for tally in by_node.values()),
        nodes=tuple(
            NodeProgress(
                node.node_id,
                node.name,
                node.kind,
                node.kernel,
                node.kernel_version,
                node.tile_count,
                by_node[node.node_id].tiles_done if node.node_id in by_node else 0,
                0,
                node.kernels,
                by_node[node.node_id].tiles_reused if node.node_id in by_node else 0,
            )
            for node in plan.nodes
        ),
        book_digest=plan.book_digest,
        market_digest=plan.market_digest,
        scenarios_digest=plan.scenarios_digest,
        plan_digest=stored.plan_digest,
        message=stored.message,
        epoch_last=stored.epoch_last,
        first_lease_after_s=stored.first_lease_after_s,
        priority=Priority(stored.priority or Priority.INTERACTIVE),
        deadline_after_s=stored.deadline_after_s,
        retry_of=stored.retry_of,
        reuse_of=stored.reuse_of,
    )


def pruned_run(run_id: str) -> NotFoundError:
    return NotFoundError(f"run {run_id} is over and its results have been removed; its request id still names it")


def unknown_run(run_id: str) -> NotFoundError:
    return NotFoundError(f"run {run_id[:200]!r} is not known here; `xipctl runs` lists those that are")
