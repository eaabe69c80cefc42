"""What clients ask a scheduler: `xip_scheduler.rpc.run_service` as a model, over the real core, admission and reuse."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from tests.simulation.ghost import DESK
from tests.simulation.workload import Request
from xip_core.errors import RequestError, StoreError, UnavailableError
from xip_core.graph.plan import Plan, decode_plan
from xip_core.wire.v1 import run_pb2
from xip_scheduler.core.events import RunCancelled, RunPaused, RunResumed, RunSubmitted, TakenOver
from xip_scheduler.core.views import RunView
from xip_scheduler.core.words import RunId
from xip_scheduler.rpc.admission import Admission
from xip_scheduler.rpc.retrying import taken_over
from xip_scheduler.rpc.reusing import NOTHING_REUSED, begin_with

if TYPE_CHECKING:
    from tests.simulation.scheduler_node import SchedulerNode

PLANNING_S = 0.7
"""At most, until an earlier run is read and compared."""


class RunService:
    """Of one incarnation of a scheduler."""

    def __init__(self, node: SchedulerNode) -> None:
        self.world = node.world
        self.process = node.process
        self.core = node.core
        self.driver = node.driver
        self.store = node.store
        self.queued = node.queued
        self.disk_turn = node.disk_turn
        self.held = node.held
        self.admission = Admission(node.driver, node.world.live_runs_max, node.world.tenant_live_runs_max)
        self.submissions: dict[tuple[str, str], asyncio.Lock] = {}

    async def submit(self, request: Request, payload_hash: str) -> str | None:
        """The run id, or None for FAILED_PRECONDITION; raises RequestError as `RunService.SubmitRun` does."""
        lock = self.submissions.setdefault((request.tenant, request.request_id), asyncio.Lock())
        async with lock:
            async with self.disk_turn:
                known = self.store.find_request(request.tenant, request.request_id)
            if known is not None:
                self.world.probe("submit repeated" if known.payload_hash == payload_hash else "submit of other content")
                return known.run_id if known.payload_hash == payload_hash else None
            with await self._admitted(request.tenant), ExitStack() as held:
                self.world.disk.put_blobs(request.blobs)
                begins_with = NOTHING_REUSED
                if request.spec:
                    spec = run_pb2.RunSpec.FromString(request.spec)
                    store, disk, plan = self.queued, self.world.disk, request.plan
                    begins_with = await begin_with(store, disk, self._plan, spec, plan, self.held, held)  # type: ignore[arg-type]  # models of a StoreThread and FileBlobs
                await self.driver.submit(run_submitted(request, payload_hash, begins_with.taken, begins_with.run_id))
            return request.run_id

    async def _plan(self, digest: str) -> Plan:
        """Reading it, and comparing what it names, takes the planner's thread a while."""
        await self.process.passed(PLANNING_S * self.world.chance.random())
        return decode_plan(self.world.disk.get(digest))

    async def _admitted(self, tenant: str) -> AbstractContextManager[None]:
        core = self.core
        counts = await self.driver.query(lambda: (core.live_run_count(), core.live_run_count_of(tenant)))
        return self.admission.admitted(tenant, *counts)

    async def retry(self, old: Request, new: Request) -> str:
        """The id of the run that computes the rest of *old*; raises RequestError as `RunService.RetryRun` does."""
        lock = self.submissions.setdefault((new.tenant, new.request_id), asyncio.Lock())
        async with lock:
            with self.held.holding(old.run_id):
                # In turn, as the store's thread answers: retention may be about to remove the run.
                known = await self.queued.find_request(new.tenant, new.request_id)
                if known is not None:
                    return known.run_id
                stored = await self.queued.run(old.run_id)
                if stored is None:
                    raise RequestError("NO_SUCH_RUN", f"run {old.run_id} is not known")
                if stored.pruned_at_s:
                    raise RequestError("RUN_PRUNED", f"the results of run {old.run_id} are gone")
                with await self._admitted(new.tenant):
                    taken = await taken_over(self.queued, stored, new.plan)
                    await self.driver.submit(run_submitted(new, new.payload_hash, taken))
            return new.run_id

    async def _view(self, run_id: str) -> RunView | None:
        """The run as the core knows it, None for one that is final or unknown.

        Raises:
            UnavailableError: the store has it live, so another scheduler leads.
        """
        view: RunView | None = await self.driver.query(lambda: self.core.run(RunId(run_id)))
        stored = self.store.run(run_id) if view is None else None
        if stored is not None and not stored.finished_at_s:
            self.world.probe("asked for a run of the successor")
            raise UnavailableError("another scheduler leads")
        return None if view is None or view.state.is_final else view

    async def pause(self, run_id: str) -> None:
        view = await self._view(run_id)
        if view is not None and not view.is_paused:
            await self.driver.submit(RunPaused(RunId(run_id), DESK))
        else:
            self._confirm()

    async def resume(self, run_id: str) -> None:
        view = await self._view(run_id)
        if view is not None and view.is_paused:
            await self.driver.submit(RunResumed(RunId(run_id), DESK))
        else:
            self._confirm()

    def _confirm(self) -> None:
        """As `RunService._confirm`: an answer that changed nothing rests on memory."""
        try:
            self.store.check_term()
        except StoreError as error:
            raise UnavailableError("another scheduler leads") from error

    async def cancel(self, run_id: str) -> bool:
        """True when the run is final now, False for NOT_FOUND."""
        if await self._view(run_id) is not None:
            await self.driver.submit(RunCancelled(RunId(run_id), "asked for", DESK))
            return True
        async with self.disk_turn:
            return self.store.run(run_id) is not None


def run_submitted(
    request: Request, payload_hash: str, taken: TakenOver | None = None, earlier: str = ""
) -> RunSubmitted:
    """What the run service makes of a request that begins with tiles of *earlier*, or of a retry."""
    return RunSubmitted(
        RunId(request.run_id),
        request.tenant,
        "",
        request.request_id,
        request.plan,
        request.plan_digest,
        payload_hash,
        1.0,
        request.spec,
        request.priority,
        request.deadline_after_s,
        retry_of=request.retried if taken is not None and not earlier else "",
        taken_over=taken,
        reuse_of=earlier if taken is not None else "",
    )
