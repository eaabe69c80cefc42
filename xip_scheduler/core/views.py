"""What shells may see: frozen copies, made when asked for; building one costs a few microseconds per node."""

from __future__ import annotations

import msgspec

from xip_core.kernel_versions import Versions
from xip_core.model.account import RunAccount
from xip_scheduler.core.accounts import first_lease_after_s
from xip_scheduler.core.leases import Worker
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.words import ConnectionId, Priority, RunId, RunState, WorkerId


class NodeView(msgspec.Struct, frozen=True):
    """Progress of a node; *tiles_done* includes the *tiles_failed* that were given up, and *tiles_reused*."""

    node_id: int
    name: str
    kind: str
    kernel: str
    kernel_version: str
    tile_count: int
    tiles_done: int
    tiles_leased: int
    tiles_failed: int
    kernels: Versions = ()
    tiles_reused: int = 0


class RunView(msgspec.Struct, frozen=True):
    """A run at a moment.

    Attributes:
        cell_count, cells_done, cells_quarantined: of the whole run; the planner's quarantine counts as done.
        epoch_last: newest epoch granted to the run, 0 before the first lease.
        first_lease_after_s: from submission (or restart) to the first lease, 0 before it.
        deadline_after_s: as submitted, 0 for none.
        is_paused: only of a running run.
        eta_s: seconds until the run is final at its present share, 0 when unknown (`estimates`).
        retry_of: the run whose results it took over, "" for none.
        reuse_of: the run of another plan whose tiles it began with, "" for none.
        account: of a run that is final.
        message: why a run failed or was cancelled, which sums are missing, or what a live one waits for.
    """

    run_id: RunId
    tenant: str
    name: str
    state: RunState
    plan_digest: str
    book_digest: str
    market_digest: str
    scenarios_digest: str
    submitted_at_s: float
    cell_count: int
    cells_done: int
    cells_quarantined: int
    epoch_last: int
    first_lease_after_s: float
    message: str
    nodes: tuple[NodeView, ...]
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    is_paused: bool = False
    eta_s: float = 0.0
    retry_of: str = ""
    reuse_of: str = ""
    account: RunAccount | None = None


class WorkerView(msgspec.Struct, frozen=True):
    """A worker at a moment.

    Attributes:
        attached_s, heard_s: on the scheduler's clock.
        speed: tiles a second against the average of the grid at the same work; 0 before anything was measured.
    """

    worker_id: WorkerId
    connection_id: ConnectionId
    slot_count: int
    lease_count: int
    tiles_done: int
    attached_s: float
    heard_s: float
    memory_bytes: int
    is_draining: bool
    is_silent: bool
    kernels: tuple[tuple[str, str], ...]
    speed: float = 0.0
    drain_reason: str = ""


def view_run(
    run: LiveRun, state: RunState, message: str, eta_s: float = 0.0, account: RunAccount | None = None
) -> RunView:
    plan = run.plan
    return RunView(
        run_id=run.run_id,
        tenant=run.tenant,
        name=run.name,
        state=state,
        plan_digest=run.plan_digest,
        book_digest=plan.book_digest,
        market_digest=plan.market_digest,
        scenarios_digest=plan.scenarios_digest,
        submitted_at_s=run.submitted_at_s,
        cell_count=plan.cell_count,
        cells_done=run.cells_done,
        cells_quarantined=run.cells_quarantined,
        epoch_last=run.epoch_last,
        first_lease_after_s=first_lease_after_s(run),
        message=message,
        nodes=tuple(
            NodeView(
                node_id=node.node_id,
                name=node.plan_node.name,
                kind=node.plan_node.kind,
                kernel=node.plan_node.kernel,
                kernel_version=node.plan_node.kernel_version,
                tile_count=node.tile_count,
                tiles_done=node.done.count,
                tiles_leased=node.leased_count,
                tiles_failed=node.failed.count,
                kernels=node.plan_node.kernels,
                tiles_reused=node.reused_count,
            )
            for node in run.nodes
        ),
        priority=run.priority,
        deadline_after_s=run.deadline_after_s,
        is_paused=run.is_paused and not state.is_final,
        eta_s=eta_s,
        retry_of=run.retry_of,
        reuse_of=run.reuse_of,
        account=account,
    )


def view_worker(worker: Worker) -> WorkerView:
    return WorkerView(
        worker_id=worker.worker_id,
        connection_id=worker.connection_id,
        slot_count=worker.slot_count,
        lease_count=len(worker.leases),
        tiles_done=worker.tiles_done,
        attached_s=worker.attached_s,
        heard_s=worker.heard_s,
        memory_bytes=worker.memory_bytes,
        is_draining=worker.is_draining,
        is_silent=worker.is_silent,
        kernels=tuple(sorted(worker.kernels)),
        drain_reason=worker.drain_reason,
        speed=worker.paces.speed(),
    )
