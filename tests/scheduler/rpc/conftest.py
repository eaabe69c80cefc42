"""A real scheduler on loopback, in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc.aio
import msgspec
import pytest

from xip_core.wire.v1 import blob_pb2_grpc, run_pb2, run_pb2_grpc, worker_pb2_grpc
from xip_scheduler.daemon import Scheduler
from xip_scheduler.settings import Settings


class Served:
    """A scheduler that serves, and stubs that reach it; made by the fixture `serve`."""

    def __init__(self, settings: Settings) -> None:
        self.scheduler = Scheduler(settings)
        self.serving = asyncio.create_task(self.scheduler.serve())
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.scheduler.port}")
        self.runs = run_pb2_grpc.RunServiceStub(self.channel)
        self.blobs = blob_pb2_grpc.BlobServiceStub(self.channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(self.channel)
        self.is_closed = False

    async def submit(self, tile_count: int = 4, request_id: str = "q", **changes: object) -> run_pb2.Run:
        """A probe run, one tile per lease unless *changes* say otherwise."""
        response = await self.runs.SubmitRun(probe_request(tile_count, request_id, **changes))
        return response.run

    async def close(self) -> None:
        """Once more does nothing."""
        if self.is_closed:
            return
        self.is_closed = True
        try:
            await self.channel.close()
        finally:
            self.scheduler.stop()
            await self.serving


Serve = Callable[[Settings], Served]


def probe_request(tile_count: int = 4, request_id: str = "q", **changes: object) -> run_pb2.SubmitRunRequest:
    probe = {"kernel": "probe.noop", "tile_count": tile_count, "tiles_per_lease": 1} | changes
    spec = run_pb2.RunSpec(name="probe", tenant="desk", probe=run_pb2.ProbeWork(**probe))  # type: ignore[arg-type]  # checked by protobuf
    return run_pb2.SubmitRunRequest(request_id=request_id, spec=spec)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(listen="127.0.0.1:0", data_dir=str(tmp_path / "data"), log_level="error", gathering_s=0.0)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts schedulers; those that the test has not closed are closed when it is over, whatever failed."""
    async with AsyncExitStack() as closing:

        def started(settings: Settings) -> Served:
            served = Served(settings)
            closing.push_async_callback(served.close)
            return served

        yield started


@pytest.fixture
async def served(serve: Serve, settings: Settings) -> Served:
    return serve(settings)


def with_port(settings: Settings, port: int) -> Settings:
    return msgspec.structs.replace(settings, listen=f"127.0.0.1:{port}")
