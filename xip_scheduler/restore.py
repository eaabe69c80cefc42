"""The core as the store left it: what a restart begins with."""

from __future__ import annotations

import msgspec

from xip_core.errors import IntegrityError, NotFoundError, StoreError
from xip_core.graph.plan import Plan, decode_plan
from xip_core.model.account import RunAccount
from xip_scheduler.core.core import Core
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.retries import Attempt
from xip_scheduler.core.runs import RestoredRun
from xip_scheduler.core.words import RunId, WorkerId, priority_of
from xip_scheduler.journal import Journal
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Store, StoredRun


def restore_core(
    store: Store, blobs: FileBlobs, journal: Journal, limits: Limits, now_s: float, wall_clock_s: float = 0.0
) -> Core:
    """
    A core that goes on with every run that is not final; *journal* learns their plans.

    Args:
        wall_clock_s: seconds since the Unix epoch, for the accounts of runs alone.

    Raises:
        StoreError: a plan is gone or damaged: the store cannot be trusted.
    """
    restored = []
    for stored in store.live_runs():
        plan = _plan(stored, blobs)
        journal.remember(stored.run_id, plan, stored.plan_digest, bool(stored.reuse_of or stored.retry_of))
        run = _restored_run(store, stored, plan)
        elapsed_s = max(0.0, wall_clock_s - stored.submitted_at_s)
        account = _account(store.notes(stored.run_id).get("account", ""))
        restored.append(msgspec.structs.replace(run, account=account, elapsed_s=elapsed_s))
    return Core.restore(restored, max(1, store.epoch_end), store.term, now_s, limits, store.epoch_floor)


def _plan(stored: StoredRun, blobs: FileBlobs) -> Plan:
    try:
        return decode_plan(blobs.get(stored.plan_digest))
    except (NotFoundError, IntegrityError) as error:
        raise StoreError(f"run {stored.run_id} is live, but its plan cannot be read: {error}") from error


def _account(note: str) -> RunAccount | None:
    """What was stored last; None where that is nothing this version reads: it is for people, and no reason to stop."""
    try:
        return msgspec.json.decode(note, type=RunAccount) if note else None
    except msgspec.MsgspecError:
        return None


def _restored_run(store: Store, stored: StoredRun, plan: Plan) -> RestoredRun:
    done: list[list[tuple[int, int]]] = [[] for _ in plan.nodes]
    failed: list[list[tuple[int, int]]] = [[] for _ in plan.nodes]
    for interval in store.done_intervals(stored.run_id):
        begin, end = interval.tile_begin, interval.tile_end
        if interval.is_failed:
            failed[interval.node_id].append((begin, end))
        of_node = done[interval.node_id]
        if of_node and of_node[-1][1] == begin:  # one kind ends where the other begins
            begin, _ = of_node.pop()
        of_node.append((begin, end))
    tallies = store.tallies(stored.run_id)
    reused = {tally.node_id: tally.tiles_reused for tally in tallies}
    return RestoredRun(
        run_id=RunId(stored.run_id),
        tenant=stored.tenant,
        name=stored.name,
        plan=plan,
        plan_digest=stored.plan_digest,
        submitted_at_s=stored.submitted_at_s,
        done=tuple(tuple(intervals) for intervals in done),
        failed=tuple(tuple(intervals) for intervals in failed),
        cells_done=sum(tally.cell_count for tally in tallies),
        cells_quarantined=sum(tally.quarantined_count for tally in tallies),
        attempts=tuple(
            (node_id, tile, Attempt(WorkerId(worker_id), reason, message, is_suspect))
            for _, node_id, tile, _, worker_id, reason, message, is_suspect in store.attempts(stored.run_id)
            if not any(begin <= tile < end for begin, end in done[node_id])
        ),
        priority=priority_of(stored.priority),
        deadline_after_s=stored.deadline_after_s,
        is_paused=stored.is_paused,
        retry_of=stored.retry_of,
        reuse_of=stored.reuse_of,
        reused=tuple(reused.get(node.node_id, 0) for node in plan.nodes),
    )
