"""The worker by hand, which other tests rely on."""

from __future__ import annotations

import asyncio

from tests.scheduler.rpc.conftest import Served
from tests.scheduler.rpc.protocol_worker import ProtocolWorker
from xip_core.wire.v1 import worker_pb2


async def test_what_tasks_say_at_once_is_said_one_after_the_other(served: Served) -> None:
    """gRPC refuses a write that begins before the one before has ended: a heartbeat beside a result, for one."""
    async with ProtocolWorker(served.channel) as worker:
        await asyncio.gather(*(worker.send(heartbeat=worker_pb2.Heartbeat()) for _ in range(20)))
        await served.submit(tile_count=1)
        await worker.work_off(1)
