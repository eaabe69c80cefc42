"""A worker that does not hear, or hears late, where tiles were computed that its run began with. No number changes.

The whole scheduler and a whole worker in one loop, with the real blob service behind one that fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import structlog

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Serve, Served
from tests.worker.builders import some_settings
from xip_core import samples
from xip_core.client import connect
from xip_core.client.client import Client
from xip_core.client.results import RunNumbers
from xip_core.client.sent import ticked
from xip_core.kernel_versions import announced
from xip_core.model.result import Run, RunState
from xip_core.model.scenario import ScenarioSet, decode_scenarios, encode_scenarios
from xip_core.wire.v1 import blob_pb2
from xip_scheduler.rpc.blob_service import BlobService
from xip_scheduler.settings import Settings
from xip_worker.daemon import Daemon
from xip_worker.messages import Identity
from xip_worker.pricing import PricingEvaluator

SAMPLE = samples.load("cross-asset")
BOOK = b"\n".join(SAMPLE.book.splitlines()[::40])
SCENARIOS = encode_scenarios(ScenarioSet(scenarios=decode_scenarios(SAMPLE.scenarios).scenarios[:5]))
QUOTE = "EQUITY/PRICE/Lufthansa/EUR"

Answer = Callable[[], Awaitable[blob_pb2.ListOriginsResponse]]
Fault = Callable[["Origins", Answer, Any], Awaitable[blob_pb2.ListOriginsResponse]]


class Origins:
    """Calls of ListOrigins, to each of which a fault happens, and the outputs fetched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
        self.asked = 0
        self.fetched: set[tuple[str, int]] = set()
        self.has_fetched = asyncio.Event()
        list_origins, download = BlobService.ListOrigins, BlobService.DownloadOutputs

        async def listed(service: BlobService, request: Any, context: Any) -> blob_pb2.ListOriginsResponse:
            self.asked += 1
            return await fault(self, lambda: list_origins(service, request, context), context)

        async def downloaded(service: BlobService, request: Any, context: Any) -> Any:
            self.fetched.add((request.run_id, request.node_id))
            async for response in download(service, request, context):
                yield response

        monkeypatch.setattr(BlobService, "ListOrigins", listed)
        monkeypatch.setattr(BlobService, "DownloadOutputs", downloaded)


async def lost_twice(origins: Origins, answer: Answer, context: Any) -> blob_pb2.ListOriginsResponse:
    if origins.asked <= 2:
        await context.abort(grpc.StatusCode.UNKNOWN, "stream removed")
    return await answer()


async def answered_and_lost(origins: Origins, answer: Answer, context: Any) -> blob_pb2.ListOriginsResponse:
    response = await answer()
    if origins.asked == 1:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")
    return response


async def late(origins: Origins, answer: Answer, context: Any) -> blob_pb2.ListOriginsResponse:
    """Behind everything else that the loop has to do, a hundred times over."""
    for _ in range(100):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    return await answer()


async def not_known_here(origins: Origins, answer: Answer, context: Any) -> blob_pb2.ListOriginsResponse:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this scheduler is of an older version")
    raise AssertionError("aborted")


async def broken(origins: Origins, answer: Answer, context: Any) -> blob_pb2.ListOriginsResponse:
    raise ValueError("a defect of the scheduler's")


@asynccontextmanager
async def a_pricing_worker(address: str, worker_id: str) -> AsyncIterator[None]:
    identity = Identity(worker_id, 2, "v3", "0.1.0", "here", 7, announced())
    daemon = Daemon(some_settings(address, 2), identity, PricingEvaluator(), structlog.get_logger())
    running = asyncio.create_task(daemon.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def completed(client: Client, market: bytes, request_id: str, **how: Any) -> tuple[Run, RunNumbers]:
    submitted = await client.submit(BOOK, market, SCENARIOS, request_id=request_id, **how)
    run = await client.wait(submitted.run_id, timeout_s=PATIENCE_S)
    assert run.state is RunState.COMPLETED
    return run, (await client.results(run.run_id)).to_numpy()


@pytest.mark.parametrize("fault", [lost_twice, answered_and_lost, late, not_known_here, broken])
async def test_origins_lost_or_late_change_no_number(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    origins = Origins(monkeypatch, fault)
    served: Served = serve(settings)
    address = f"127.0.0.1:{served.scheduler.port}"
    price = float(json.loads(SAMPLE.market)["quotes"][QUOTE])
    moved = ticked(SAMPLE.market, {QUOTE: price + 1.0})
    async with connect(address) as client:
        async with a_pricing_worker(address, "one"):
            first, _ = await completed(client, SAMPLE.market, "first")
        async with a_pricing_worker(address, "another"):  # which has nothing of the first run
            origins.fetched.clear()
            tick, numbers = await completed(client, moved, "tick", since=first.run_id)
            fetched = set(origins.fetched)
            _, whole = await completed(client, moved, "whole", is_reusing=False)
    assert tick.reuse_of == first.run_id
    assert origins.asked >= (3 if fault is lost_twice else 1)
    assert {run_id for run_id, _ in fetched} == {tick.run_id}, "what others computed is fetched, for the run itself"
    for name in ("pv", "status", "delta", "vega", "dv01"):
        assert np.array_equal(getattr(numbers, name).view(np.uint8), getattr(whole, name).view(np.uint8)), name
    assert numbers.totals is not None
    assert whole.totals is not None
    assert numbers.totals.pnl.tobytes() == whole.totals.pnl.tobytes()
