"""A scheduler that computes nothing: speaks xip.v1 over loopback and does what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import msgspec
import numpy as np

from tests.serving import listening
from xip_core.errors import FailureReason, NotFoundError, RequestError, XipError
from xip_core.graph.plan import digest_of
from xip_core.model.result import BreakerInfo, NodeProgress, Quarantine, Run, RunState, WorkerInfo
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.wire import convert
from xip_core.wire.status import REASON_KEY, RETRY_AFTER_KEY, status_of
from xip_core.wire.v1 import blob_pb2, blob_pb2_grpc, run_pb2, run_pb2_grpc, worker_pb2, worker_pb2_grpc

BOOK = b"\n".join(
    [
        b'{"type":"swap","id":"S1","legs":[{"currency":"EUR"}]}',
        b'{"type":"fx_option","id":"F1","bought_currency":"EUR","sold_currency":"USD"}',
        b'{"type":"equity_option","id":"E1","currency":"USD"}',
    ]
)
MARKET = b'{"as_of":"2016-02-05","base_currency":"EUR","quotes":{}}'
SCENARIOS = b'{"scenarios":[{"name":"base"},{"name":"rates up"},{"name":"crash"}]}'
PV = np.array([[100.0, 90.0, 80.0], [50.0, 55.0, 20.0], [np.nan, np.nan, np.nan]])
STATUS = np.array([[0, 0, 0], [0, 0, 0], [5, 5, 5]], dtype=np.uint8)
QUARANTINE = (Quarantine(2, 0, 3, "E1", FailureReason.MISSING_DATA, "trade E1: no volatility for RIC:.SPX"),)


def value_block(row: int) -> dict[str, np.ndarray]:
    """The detail of the tile that holds book row *row* alone."""
    columns = {
        "row": np.array([row], dtype="<i4"),
        "scenario": np.arange(3, dtype="<i4"),
        "pv": PV[[row]],
        "status": STATUS[[row]],
    }
    for name, value in (("pv_trade_currency", 2.0), ("delta", 0.5), ("vega", 0.25), ("dv01", -1.0)):
        columns[name] = np.array([np.nan if np.isnan(PV[row, 0]) else value * PV[row, 0]])
    return columns


def reduce_block() -> dict[str, np.ndarray]:
    names = ["rates", "fx", "equity"]
    pv = np.nan_to_num(PV)
    used = np.array([[1] * 3, [1] * 3, [0] * 3], dtype="<i8")
    return {
        "asset_class": np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
        "pv": pv[:, 0].copy(),
        "delta": 0.5 * pv[:, 0],
        "vega": 0.25 * pv[:, 0],
        "dv01": -1.0 * pv[:, 0],
        "pnl": pv - pv[:, :1],
        "rows_used": used,
        "rows_expected": np.ones((3, 3), dtype="<i8"),
    }


class ScriptedScheduler(
    run_pb2_grpc.RunServiceServicer, blob_pb2_grpc.BlobServiceServicer, worker_pb2_grpc.WorkerServiceServicer
):
    """
    Attributes:
        faults: statuses with which the next calls fail, by method name, first in first out.
        retry_after_ms: sent with every fault, nothing when empty.
        cut_after: cursors after which the next result streams are cut, first in first out.
        hold_after: cursors after which the next result streams stand still, first in first out.
        calls: method names, in the order of the calls.
        requests: every StreamResults cursor asked for.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.specs: dict[str, tuple[str, RunSpec]] = {}
        self.runs: dict[str, Run] = {}
        self.faults: dict[str, list[grpc.StatusCode]] = {}
        self.cut_after: list[int] = []
        self.hold_after: list[int] = []
        self.cursors: list[int] = []
        self.calls: list[str] = []
        self.deadlines_s: dict[str, float | None] = {}
        self.blocks = [value_block(0), value_block(1), value_block(2), reduce_block()]
        self.quarantine = QUARANTINE
        self.state = RunState.COMPLETED_WITH_QUARANTINE
        self.message = ""
        self.is_corrupt = False
        self.watch_ends_early = 0
        self.retry_after_ms = ""
        self.breakers: list[BreakerInfo] = []

    async def _enter(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.calls.append(method)
        self.deadlines_s[method] = context.time_remaining()
        if self.faults.get(method):
            hint = ((RETRY_AFTER_KEY, self.retry_after_ms),) if self.retry_after_ms else ()
            await context.abort(self.faults[method].pop(0), "as the test wants it", hint)

    async def _run(self, run_id: str, context: grpc.aio.ServicerContext[Any, Any]) -> Run:
        if run_id not in self.runs:
            await refuse(context, NotFoundError(f"run {run_id!r} is not known"))
        return self.runs[run_id]

    # ---- blobs

    async def FindMissing(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("FindMissing", context)
        missing = [digest for digest in request.digests if digest.hex() not in self.blobs]
        return blob_pb2.FindMissingResponse(digests=missing)

    async def Upload(self, request_iterator, context):  # noqa: N802  # named by the protocol
        await self._enter("Upload", context)
        requests = [request async for request in request_iterator]
        content = b"".join(request.chunk for request in requests)
        assert max(len(request.chunk) for request in requests) <= convert.CHUNK_SIZE_BYTES
        assert requests[0].size_bytes == len(content)
        assert requests[0].digest.hex() == digest_of(content)
        self.blobs[digest_of(content)] = content
        return blob_pb2.UploadResponse(digest=requests[0].digest)

    async def Download(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("Download", context)
        if request.digest.hex() not in self.blobs:
            await refuse(context, NotFoundError(f"blob {request.digest.hex()} is not known"))
        content = self.blobs[request.digest.hex()]
        for chunk in convert.chunks(content[:-1] if self.is_corrupt else content):
            yield blob_pb2.DownloadResponse(chunk=chunk)

    # ---- runs

    async def SubmitRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("SubmitRun", context)
        spec = convert.run_spec_from_wire(request.spec)
        known = self.specs.get(request.request_id)
        if known is not None:
            if known[1] != spec:
                await refuse(context, RequestError("REQUEST_ID_REUSED", f"request id {request.request_id!r} was used"))
            return run_pb2.SubmitRunResponse(run=convert.run_to_wire(self.runs[known[0]]), created=False)
        run = self._new_run(f"r{len(self.runs) + 1}", spec)
        self.specs[request.request_id] = (run.run_id, spec)
        return run_pb2.SubmitRunResponse(run=convert.run_to_wire(run), created=True)

    def _new_run(self, run_id: str, spec: RunSpec) -> Run:
        work = spec.work
        is_risk = isinstance(work, RiskWork)
        digests = (work.book_digest, work.market_digest, work.scenarios_digest) if is_risk else ("",) * 3
        self.runs[run_id] = Run(
            run_id=run_id,
            name=spec.name,
            tenant=spec.tenant,
            state=self.state,
            submitted_at_s=1e9,
            finished_at_s=1e9 + 1.5,
            cell_count=18,
            cells_done=18,
            cells_quarantined=3,
            worker_count=1,
            slot_count=2,
            nodes=(
                NodeProgress(0, "value", "value", "terms", "1", 3, 3, 0),
                NodeProgress(1, "reduce", "reduce", "sum", "1", 1, 1, 0),
            ),
            book_digest=digests[0],
            market_digest=digests[1],
            scenarios_digest=digests[2],
            message=self.message,
            epoch_last=7,
            first_lease_after_s=0.125,
            priority=spec.priority,
            deadline_after_s=spec.deadline_after_s,
        )
        return self.runs[run_id]

    async def GetRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("GetRun", context)
        run = await self._run(request.run_id, context)
        quarantine = self.quarantine if request.with_quarantine else ()
        return run_pb2.GetRunResponse(
            run=convert.run_to_wire(run), quarantine=[convert.quarantine_to_wire(cells) for cells in quarantine]
        )

    async def ListRuns(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("ListRuns", context)
        newest_first = list(reversed(self.runs.values()))
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        return run_pb2.ListRunsResponse(
            runs=[convert.run_to_wire(run) for run in newest_first[begin:end]],
            next_page_token=str(end) if end < len(newest_first) else "",
        )

    async def WatchRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("WatchRun", context)
        run = await self._run(request.run_id, context)
        fields = {name: getattr(run, name) for name in run.__struct_fields__}
        earlier = {"state": RunState.RUNNING, "cells_done": 9, "cells_quarantined": 0, "finished_at_s": 0.0}
        half = Run(**(fields | earlier))
        yield run_pb2.WatchRunResponse(run=convert.run_to_wire(half))
        if self.watch_ends_early:
            self.watch_ends_early -= 1
            return
        yield run_pb2.WatchRunResponse(run=convert.run_to_wire(run))

    async def StreamResults(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("StreamResults", context)
        await self._run(request.run_id, context)
        self.cursors.append(request.cursor)
        cut_after = self.cut_after.pop(0) if self.cut_after else None
        hold_after = self.hold_after.pop(0) if self.hold_after else None
        for position, columns in enumerate(self.blocks):
            cursor = 10 * (position + 1)
            if cursor > request.cursor:
                node_id = int("asset_class" in columns)
                block = convert.encode_block(columns)
                yield run_pb2.StreamResultsResponse(cursor=cursor, node_id=node_id, tile=position, block=block)
            if hold_after is not None and cursor >= hold_after:
                await asyncio.Event().wait()
            if cut_after is not None and cursor >= cut_after:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

    async def CancelRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("CancelRun", context)
        run = await self._run(request.run_id, context)
        fields = {name: getattr(run, name) for name in run.__struct_fields__}
        self.runs[run.run_id] = Run(**(fields | {"state": RunState.CANCELLED, "message": request.reason}))
        return run_pb2.CancelRunResponse(run=convert.run_to_wire(self.runs[run.run_id]))

    async def PauseRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("PauseRun", context)
        run = await self._run(request.run_id, context)
        self.runs[run.run_id] = msgspec.structs.replace(run, state=RunState.RUNNING, is_paused=True)
        return run_pb2.PauseRunResponse(run=convert.run_to_wire(self.runs[run.run_id]))

    async def ResumeRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("ResumeRun", context)
        run = await self._run(request.run_id, context)
        self.runs[run.run_id] = msgspec.structs.replace(run, is_paused=False)
        return run_pb2.ResumeRunResponse(run=convert.run_to_wire(self.runs[run.run_id]))

    async def RetryRun(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("RetryRun", context)
        old = await self._run(request.run_id, context)
        known = self.specs.get(request.request_id)
        if known is None:
            if not old.state.is_final:
                await refuse(context, RequestError("RUN_NOT_FINAL", f"run {old.run_id} must be final"))
            run_id = f"r{len(self.runs) + 1}"
            changes = {"run_id": run_id, "retry_of": old.run_id, "state": RunState.RUNNING}
            self.runs[run_id] = msgspec.structs.replace(old, **changes)
            self.specs[request.request_id] = (run_id, RunSpec("", RiskWork("", "", "", (), "", "")))
        run_id = self.specs[request.request_id][0]
        return run_pb2.RetryRunResponse(run=convert.run_to_wire(self.runs[run_id]), created=known is None)

    # ---- workers

    async def ListWorkers(self, request, context):  # noqa: N802  # named by the protocol
        await self._enter("ListWorkers", context)
        worker = WorkerInfo("w1", "host-a", 42, 2, "v4", "0.1.0", 1, 99, 3.5, 0.25, 64 << 20, False)
        breakers = [convert.breaker_info_to_wire(breaker) for breaker in self.breakers]
        return worker_pb2.ListWorkersResponse(workers=[convert.worker_info_to_wire(worker)], breakers=breakers)


async def refuse(context: grpc.aio.ServicerContext[Any, Any], error: XipError) -> None:
    code, reason = status_of(error)
    await context.abort(code, str(error), ((REASON_KEY, reason),))


@contextlib.asynccontextmanager
async def serving(scheduler: ScriptedScheduler, port: int = 0) -> AsyncIterator[str]:
    """Address under which *scheduler* answers inside the block."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    run_pb2_grpc.add_RunServiceServicer_to_server(scheduler, server)
    blob_pb2_grpc.add_BlobServiceServicer_to_server(scheduler, server)
    worker_pb2_grpc.add_WorkerServiceServicer_to_server(scheduler, server)
    async with listening(server, f"127.0.0.1:{port}") as address:
        yield address


class ServerThread:
    """`serving` in a thread of its own, for tests of code that blocks."""

    def __init__(self, scheduler: ScriptedScheduler) -> None:
        self.scheduler = scheduler
        self.address = ""

    def __enter__(self) -> ServerThread:
        import threading

        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

        async def main() -> None:
            async with serving(self.scheduler) as self.address:
                ready.set()
                await self._stop.wait()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(main()), daemon=True)
        self._thread.start()
        assert ready.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)
        self._loop.close()
