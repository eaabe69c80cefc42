"""xip.v1.RunService: submit, retry, pause, resume, cancel, look, watch, stream.

A run passes four doors before it is answered: the request id (is it a repeat?), admission (is there room?), the planner
(does it make sense?), the driver (is it durable?). What is refused at a door leaves nothing behind but blobs.

Repeats of one request that cross each other pass the doors one after the other. What is through the first door is
carried to its end though its caller gives up: its place among the live runs, its request id and the run it takes over
are given back when the core has the new run, not when nobody waits for the answer any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import grpc.aio
import msgspec

from xip_core.errors import RequestError, StoreError, UnavailableError
from xip_core.graph.plan import digest_of
from xip_core.model.account import RunAccount
from xip_core.model.result import Quarantine, Run
from xip_core.wire import convert
from xip_core.wire.v1 import run_pb2, run_pb2_grpc
from xip_scheduler.core.events import RunCancelled, RunPaused, RunResumed, RunSubmitted
from xip_scheduler.core.views import RunView
from xip_scheduler.core.words import RunId, priority_of
from xip_scheduler.driver import Driver
from xip_scheduler.logs import logger
from xip_scheduler.rpc.admission import Admission
from xip_scheduler.rpc.callers import caller
from xip_scheduler.rpc.changes import RunChanges
from xip_scheduler.rpc.explaining import explanation, tile_records
from xip_scheduler.rpc.held_runs import HeldRuns
from xip_scheduler.rpc.kernel_signatures import KernelSignatures
from xip_scheduler.rpc.pages import page_token_of, run_key_of
from xip_scheduler.rpc.planning import load_planner, plan_of, store_plan
from xip_scheduler.rpc.retrying import retry_hash, taken_over
from xip_scheduler.rpc.reusing import begin_with
from xip_scheduler.rpc.run_views import PlanCache, pruned_run, run_of_store, run_of_view, unknown_run
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import StoredRun
from xip_scheduler.store.thread import StoreThread

TEXT_LENGTH_MAX = 128
"""Characters of request ids, names and tenants: they become labels on screens and in metrics."""

REASON_LENGTH_MAX = 1_000
DEADLINE_S_MAX = 366 * 86_400.0
"""A deadline beyond a year is a slip of units."""

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000

WATCH_INTERVAL_S = 0.25
"""Between two states of a run on one stream, but for the final one: four a second is what an eye follows."""

WATCH_HEARTBEAT_S = 15.0
"""The state is sent again after so long without change: proxies cut idle streams after 30 s or more."""

DETAILS_SIZE_LIMIT_BYTES = 1 << 20
"""Blocks read ahead of a client; also what a client that stops reading keeps in memory here."""

QUARANTINE_ROWS_MAX = 10_000
QUARANTINE_SIZE_LIMIT_BYTES = 3 << 20
"""Rows in one answer and their size, below the 4 MiB of a message; `cells_quarantined` tells the whole count."""

Context = grpc.aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer")


class CoreQueries(msgspec.Struct, frozen=True):
    """What the service asks of the core, at a moment when all it knows is durable."""

    run: Callable[[RunId], RunView | None]
    account: Callable[[RunId], RunAccount | None]
    live_run_count: Callable[[], int]
    live_run_count_of: Callable[[str], int]
    worker_count: Callable[[], int]
    slot_count: Callable[[], int]


class RunService(run_pb2_grpc.RunServiceServicer):
    """See the head of this module."""

    def __init__(
        self,
        driver: Driver,
        core: CoreQueries,
        store: StoreThread,
        blobs: FileBlobs,
        changes: RunChanges,
        admission: Admission,
        signatures: KernelSignatures,
    ) -> None:
        self._driver = driver
        self._core = core
        self._store = store
        self._blobs = blobs
        self._changes = changes
        self._admission = admission
        self._signatures = signatures
        self._plans = PlanCache(blobs)
        self._planner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planner")
        self.held = HeldRuns()
        self._submissions: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._submitting: set[asyncio.Task[Any]] = set()
        self._log = logger("runs")

    def close(self) -> None:
        self._planner.shutdown(wait=False, cancel_futures=True)
        for task in self._submitting:
            task.cancel()

    async def warm_up(self) -> None:
        """Load the planner before the first run needs it (0.2 s)."""
        await asyncio.get_running_loop().run_in_executor(self._planner, load_planner)

    # ---- submit and cancel

    async def SubmitRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.SubmitRunRequest, context: Context
    ) -> run_pb2.SubmitRunResponse:
        tenant, request_id = request.spec.tenant, request.request_id
        _check_text("request_id", request_id, length_min=1)
        _check_text("tenant", tenant)
        _check_text("name", request.spec.name)
        _check_order(request.spec)
        spec = request.spec.SerializeToString(deterministic=True)
        run_id, is_new = await self._alone(tenant, request_id, lambda: self._submitted(request, spec))
        return run_pb2.SubmitRunResponse(run=convert.run_to_wire(await self._run(run_id)), created=is_new)

    async def _alone(self, tenant: str, request_id: str, pass_doors: Callable[[], Awaitable[Answer]]) -> Answer:
        """What *pass_doors* returns, while nobody else is at the request; it goes on when the caller is cancelled."""
        lock = self._submissions.setdefault((tenant, request_id), asyncio.Lock())
        await lock.acquire()

        async def to_the_end() -> Answer:
            try:
                return await pass_doors()
            finally:
                lock.release()

        task = asyncio.create_task(to_the_end())
        self._submitting.add(task)
        task.add_done_callback(self._submitting.discard)
        return await asyncio.shield(task)

    async def _submitted(self, request: run_pb2.SubmitRunRequest, spec: bytes) -> tuple[RunId, bool]:
        """The run of the request, and whether it is new."""
        known = await self._store.find_request(request.spec.tenant, request.request_id)
        if known is not None:
            return _same_run(known, digest_of(spec)), False
        return await self._accept(request, spec), True

    async def _accept(self, request: run_pb2.SubmitRunRequest, spec: bytes) -> RunId:
        """Plan and store a new run."""
        begin_s = time.perf_counter()
        loop = asyncio.get_running_loop()
        with await self._admitted(request.spec.tenant), ExitStack() as held:
            announced = self._signatures.by_name() if request.spec.HasField("kernel") else {}
            plan = await loop.run_in_executor(self._planner, plan_of, request.spec, self._blobs, announced)
            storing = loop.run_in_executor(self._planner, store_plan, plan, self._blobs)
            try:
                begins_with = await begin_with(
                    self._store, self._blobs, self._plans.plan, request.spec, plan, self.held, held
                )
            finally:
                await asyncio.wait((storing,))
            plan_digest = storing.result()
            self._plans.keep(plan_digest, plan)
            run_id = _run_id(request.spec.tenant, request.request_id)
            await self._driver.submit(
                RunSubmitted(
                    run_id=run_id,
                    tenant=request.spec.tenant,
                    name=request.spec.name,
                    request_id=request.request_id,
                    plan=plan,
                    plan_digest=plan_digest,
                    payload_hash=digest_of(spec),
                    submitted_at_s=time.time(),
                    payload=spec,
                    priority=priority_of(request.spec.priority),
                    deadline_after_s=request.spec.deadline_after_s,
                    reuse_of=begins_with.run_id if begins_with.taken is not None else "",
                    taken_over=begins_with.taken,
                    reuse_note=begins_with.note,
                    planned_s=time.perf_counter() - begin_s,
                )
            )
        self._log.info(
            "run accepted",
            run_id=run_id,
            tenant=request.spec.tenant,
            nodes=len(plan.nodes),
            tiles=sum(node.tile_count for node in plan.nodes),
            tiles_reused=begins_with.tile_count,
            accepted_after_s=round(time.perf_counter() - begin_s, 4),
        )
        return run_id

    async def _admitted(self, tenant: str) -> AbstractContextManager[None]:
        core = self._core
        counts = await self._driver.query(lambda: (core.live_run_count(), core.live_run_count_of(tenant)))
        return self._admission.admitted(tenant, *counts)

    async def RetryRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.RetryRunRequest, context: Context
    ) -> run_pb2.RetryRunResponse:
        _check_text("request_id", request.request_id, length_min=1)
        with self.held.holding(request.run_id):
            old = await self._store.run(request.run_id)
            if old is None:
                raise unknown_run(request.run_id)
            run_id, is_new = await self._alone(
                old.tenant, request.request_id, lambda: self._retried(old, request.request_id)
            )
        return run_pb2.RetryRunResponse(run=convert.run_to_wire(await self._run(run_id)), created=is_new)

    async def _retried(self, old: StoredRun, request_id: str) -> tuple[RunId, bool]:
        """The run that goes on from *old*, and whether it is new."""
        with self.held.holding(old.run_id):
            known = await self._store.find_request(old.tenant, request_id)
            if known is not None:
                return _same_run(known, retry_hash(old.run_id)), False
            if old.pruned_at_s:
                raise pruned_run(old.run_id)
            return await self._retry(old, request_id), True

    async def _retry(self, old: StoredRun, request_id: str) -> RunId:
        """Store a new run that begins with what *old* has."""
        with await self._admitted(old.tenant):
            plan = await self._plans.plan(old.plan_digest)
            taken = await taken_over(self._store, old, plan)
            run_id = _run_id(old.tenant, request_id)
            await self._driver.submit(
                RunSubmitted(
                    run_id=run_id,
                    tenant=old.tenant,
                    name=old.name,
                    request_id=request_id,
                    plan=plan,
                    plan_digest=old.plan_digest,
                    payload_hash=retry_hash(old.run_id),
                    submitted_at_s=time.time(),
                    payload=old.spec,
                    priority=priority_of(old.priority),
                    deadline_after_s=old.deadline_after_s,
                    retry_of=old.run_id,
                    taken_over=taken,
                )
            )
        taken_count = sum(end - begin for intervals in taken.done for begin, end in intervals)
        self._log.info("run retried", run_id=run_id, retry_of=old.run_id, tiles_taken_over=taken_count)
        return run_id

    async def PauseRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.PauseRunRequest, context: Context
    ) -> run_pb2.PauseRunResponse:
        run = await self._run(request.run_id)
        if not run.state.is_final and not run.is_paused:
            self._log.info("run paused", run_id=run.run_id, reason=request.reason[:REASON_LENGTH_MAX])
            await self._driver.submit(RunPaused(RunId(request.run_id), caller.get().peer))
            run = await self._run(request.run_id)
        else:
            await self._confirm()
        return run_pb2.PauseRunResponse(run=convert.run_to_wire(run))

    async def ResumeRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.ResumeRunRequest, context: Context
    ) -> run_pb2.ResumeRunResponse:
        run = await self._run(request.run_id)
        if run.is_paused:
            self._log.info("run resumed", run_id=run.run_id)
            await self._driver.submit(RunResumed(RunId(request.run_id), caller.get().peer))
            run = await self._run(request.run_id)
        else:
            await self._confirm()
        return run_pb2.ResumeRunResponse(run=convert.run_to_wire(run))

    async def CancelRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.CancelRunRequest, context: Context
    ) -> run_pb2.CancelRunResponse:
        run = await self._run(request.run_id)
        if not run.state.is_final:
            reason = request.reason[:REASON_LENGTH_MAX]
            self._log.info("run cancelled", run_id=run.run_id, reason=reason)
            await self._driver.submit(RunCancelled(RunId(request.run_id), reason, caller.get().peer))
            run = await self._run(request.run_id)
        return run_pb2.CancelRunResponse(run=convert.run_to_wire(run))

    async def _confirm(self) -> None:
        """
        An answer that changed nothing rests on memory; a commit would have noticed a successor.

        Raises:
            UnavailableError: another scheduler leads.
        """
        try:
            await self._store.check_term()
        except StoreError:
            raise UnavailableError("another scheduler leads; try the next address") from None

    # ---- look

    async def GetRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.GetRunRequest, context: Context
    ) -> run_pb2.GetRunResponse:
        response = run_pb2.GetRunResponse(run=convert.run_to_wire(await self._run(request.run_id)))
        if request.with_quarantine:
            size_bytes = 0
            for row in await self._store.quarantine(request.run_id, QUARANTINE_ROWS_MAX):
                quarantine = Quarantine(
                    row=row.row,
                    scenario_begin=row.scenario_begin,
                    scenario_end=row.scenario_end,
                    trade_id=row.trade_id,
                    reason=row.reason,
                    message=row.message,
                )
                message = convert.quarantine_to_wire(quarantine)
                size_bytes += message.ByteSize()
                if size_bytes > QUARANTINE_SIZE_LIMIT_BYTES:
                    break
                response.quarantine.append(message)
        return response

    async def ExplainRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.ExplainRunRequest, context: Context
    ) -> run_pb2.ExplainRunResponse:
        run = await self._run(request.run_id)
        live = await self._driver.query(lambda: self._core.account(RunId(request.run_id)))
        return await explanation(self._store, run, live)

    async def GetTileRecords(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.GetTileRecordsRequest, context: Context
    ) -> run_pb2.GetTileRecordsResponse:
        await self._run(request.run_id)
        return await tile_records(self._store, request)

    async def ListRuns(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.ListRunsRequest, context: Context
    ) -> run_pb2.ListRunsResponse:
        page_size = request.page_size or PAGE_SIZE_DEFAULT
        if page_size > PAGE_SIZE_MAX:
            raise RequestError("BAD_PAGE_SIZE", f"page_size must be at most {PAGE_SIZE_MAX}, got {page_size}")
        stored = await self._store.runs(page_size + 1, run_key_of(request.page_token))
        runs = [await self._described(run) for run in stored[:page_size]]
        token = page_token_of(stored[page_size - 1].run_key) if len(stored) > page_size else ""
        return run_pb2.ListRunsResponse(runs=[convert.run_to_wire(run) for run in runs], next_page_token=token)

    async def _run(self, run_id: str) -> Run:
        """
        Raises:
            NotFoundError: there is no such run.
        """
        view = await self._driver.query(lambda: self._core.run(RunId(run_id)))
        if view is not None and not view.state.is_final:
            return self._of_view(view)
        stored = await self._store.run(run_id)
        if stored is None:
            raise unknown_run(run_id)
        if stored.pruned_at_s:
            raise pruned_run(run_id)
        return await self._described(stored)

    async def _described(self, stored: StoredRun) -> Run:
        """
        What the core and the store together know: a final state and its time only ever come from the store.

        Raises:
            UnavailableError: the store has a live run that the core never heard of, so another scheduler has written
                it and leads; what is asked of this one about the run would be answered and not be done.
        """
        view: RunView | None = await self._driver.query(lambda: self._core.run(RunId(stored.run_id)))
        if view is None:
            if not stored.finished_at_s:
                raise UnavailableError(f"another scheduler leads: run {stored.run_id} is not known to this one")
            plan = await self._plans.plan(stored.plan_digest)
            return run_of_store(stored, plan, await self._store.tallies(stored.run_id))
        run = self._of_view(view)
        if run.state.is_final and not stored.finished_at_s:
            reread = await self._store.run(stored.run_id)
            assert reread is not None, stored.run_id
            stored = reread
        return msgspec.structs.replace(run, finished_at_s=stored.finished_at_s)

    def _of_view(self, view: RunView) -> Run:
        return run_of_view(view, self._core.worker_count(), self._core.slot_count())

    # ---- streams

    async def WatchRun(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.WatchRunRequest, context: Context
    ) -> AsyncIterator[run_pb2.WatchRunResponse]:
        with self._changes.subscribed(request.run_id) as flags:
            while True:
                flags.changed.clear()
                run = await self._run(request.run_id)
                yield run_pb2.WatchRunResponse(run=convert.run_to_wire(run))
                if run.state.is_final:
                    return
                await _set_within(flags.finished, WATCH_INTERVAL_S)
                await _set_within(flags.changed, WATCH_HEARTBEAT_S)

    async def StreamResults(  # noqa: N802 - the name is the wire's
        self, request: run_pb2.StreamResultsRequest, context: Context
    ) -> AsyncIterator[run_pb2.StreamResultsResponse]:
        cursor = request.cursor
        if cursor >= 1 << 63:
            raise RequestError("BAD_CURSOR", f"a cursor must be one received before, got {cursor}")
        with self._changes.subscribed(request.run_id) as flags:
            while True:
                flags.changed.clear()
                is_final = (await self._run(request.run_id)).state.is_final  # before the read: nothing comes after it
                details = await self._store.details(request.run_id, cursor, DETAILS_SIZE_LIMIT_BYTES)
                for detail in details:
                    cursor = detail.cursor
                    yield run_pb2.StreamResultsResponse(
                        cursor=cursor, node_id=detail.node_id, tile=detail.tile, block=detail.block
                    )
                if not details:
                    if is_final:
                        return
                    await _set_within(flags.changed, WATCH_HEARTBEAT_S)


async def _set_within(flag: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await flag.wait()
    except TimeoutError:
        return


def _check_text(name: str, text: str, length_min: int = 0) -> None:
    if not length_min <= len(text) <= TEXT_LENGTH_MAX or not text.isprintable():
        sentence = f"{name} must be {length_min} to {TEXT_LENGTH_MAX} printable characters, got {text[:200]!r}"
        raise RequestError(f"BAD_{name.upper()}", sentence)


def _check_order(spec: run_pb2.RunSpec) -> None:
    """Whether the run says in a way we know who goes first."""
    convert.priority_from_wire(spec.priority)
    if not 0.0 <= spec.deadline_after_s <= DEADLINE_S_MAX:
        sentence = f"deadline_after_s must be 0 (none) to {DEADLINE_S_MAX:.0f} s, got {spec.deadline_after_s}"
        raise RequestError("BAD_DEADLINE", sentence)


def _run_id(tenant: str, request_id: str) -> RunId:
    """The same request makes the same id, so even two crossing submissions could not make two runs."""
    name = f"{len(tenant)}:{tenant}{request_id}".encode()
    return RunId("r-" + hashlib.blake2b(name, digest_size=10).hexdigest())


def _same_run(known: StoredRun, payload_hash: str) -> RunId:
    if known.payload_hash != payload_hash:
        raise RequestError(
            "REQUEST_ID_REUSED",
            f"request id {known.request_id!r} must always name the same request, but run {known.run_id} was submitted "
            "under it with another content",
        )
    return RunId(known.run_id)
