"""A real scheduler on loopback, in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import msgspec
import pytest

from xip_core.wire.v1 import blob_pb2_grpc, run_pb2, run_pb2_grpc, worker_pb2_grpc
from xip_scheduler.daemon import Scheduler
from xip_scheduler.settings import Settings


class Served:
    """A scheduler that serves, and stubs that reach it."""

    def __init__(self, settings: Settings) -> None:
        self.scheduler = Scheduler(settings)
        self.serving = asyncio.create_task(self.scheduler.serve())
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.scheduler.port}")
        self.runs = run_pb2_grpc.RunServiceStub(self.channel)
        self.blobs = blob_pb2_grpc.BlobServiceStub(self.channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(self.channel)

    async def submit(self, tile_count: int = 4, request_id: str = "q", **changes: object) -> run_pb2.Run:
        """A probe run, one tile per lease unless *changes* say otherwise."""
        response = await self.runs.SubmitRun(probe_request(tile_count, request_id, **changes))
        return response.run

    async def close(self) -> None:
        await self.channel.close()
        self.scheduler.stop()
        await self.serving


def probe_request(tile_count: int = 4, request_id: str = "q", **changes: object) -> run_pb2.SubmitRunRequest:
    probe = {"kernel": "probe.noop", "tile_count": tile_count, "tiles_per_lease": 1} | changes
    spec = run_pb2.RunSpec(name="probe", tenant="desk", probe=run_pb2.ProbeWork(**probe))  # type: ignore[arg-type]  # checked by protobuf
    return run_pb2.SubmitRunRequest(request_id=request_id, spec=spec)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(listen="127.0.0.1:0", data_dir=str(tmp_path / "data"), log_level="error", gathering_s=0.0)


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    served = Served(settings)
    yield served
    await served.close()


def with_port(settings: Settings, port: int) -> Settings:
    return msgspec.structs.replace(settings, listen=f"127.0.0.1:{port}")
