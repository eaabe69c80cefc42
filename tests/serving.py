"""gRPC servers and channels of tests, closed whatever fails.

One that outlives its event loop is closed by the garbage collector, which cannot: pytest then hangs when all tests are
done. So a test opens a server by `listening`, a channel by `async with` or the fixture `open_channel`, and a whole
scheduler by the fixture `serve` of tests/scheduler/rpc (tests/test_tidy.py looks).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import pytest

ANY_PORT = "127.0.0.1:0"

OpenChannel = Callable[..., grpc.aio.Channel]
"""(address, options without their "grpc."); the fixture `open_channel`."""


@asynccontextmanager
async def listening(server: grpc.aio.Server, address: str = ANY_PORT) -> AsyncIterator[str]:
    """The address under which *server*, whose services are added, answers inside the block."""
    try:
        port = server.add_insecure_port(address)
        await server.start()
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture
async def open_channel() -> AsyncIterator[OpenChannel]:
    """Opens channels, closed together when the test is over, the last first."""
    async with AsyncExitStack() as closing:

        def opened(address: str, **options: int) -> grpc.aio.Channel:
            channel = grpc.aio.insecure_channel(address, [(f"grpc.{name}", value) for name, value in options.items()])
            closing.push_async_callback(channel.close)
            return channel

        yield opened
