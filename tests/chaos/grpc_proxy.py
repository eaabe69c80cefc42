"""A gRPC proxy that ends streams with UNKNOWN, as an L7 proxy does with those it finds idle.

It forwards every call as bytes; `cut` ends the streams under way. Pings do not pass it, as they do not pass HAProxy.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from tests.serving import listening

START_LIMIT_S = 10.0
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class UnknownProxy:
    """In front of *target*; a context manager."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._streams: set[asyncio.Event] = set()
        self.address = ""
        self.cut_count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_LIMIT_S)

    def cut(self) -> int:
        """End the streams there are with UNKNOWN; how many they were."""

        async def cut_all() -> int:
            count = len(self._streams)
            for stream in self._streams:
                stream.set()
            self.cut_count += count
            return count

        return asyncio.run_coroutine_threadsafe(cut_all(), self._loop).result(START_LIMIT_S)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        async with grpc.aio.insecure_channel(self._target, options=OPTIONS) as channel:
            server = grpc.aio.server(options=OPTIONS)
            server.add_generic_rpc_handlers((_Forwarding(self, channel),))
            async with listening(server) as self.address:
                self._started.set()
                await self._stopping.wait()

    async def forward(
        self, channel: grpc.aio.Channel, method: str, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        """Carry one call; ends with UNKNOWN when the proxy is told to cut."""
        cut = asyncio.Event()
        self._streams.add(cut)
        call: Any = channel.stream_stream(method)(requests, metadata=context.invocation_metadata())
        cutting = asyncio.create_task(cut.wait())
        try:
            while True:
                reading = asyncio.ensure_future(call.read())
                await asyncio.wait((reading, cutting), return_when=asyncio.FIRST_COMPLETED)
                if cutting.done():
                    reading.cancel()
                    await context.abort(grpc.StatusCode.UNKNOWN, "stream removed")
                response = await reading
                if response is grpc.aio.EOF:
                    break
                yield response
            if await call.code() is not grpc.StatusCode.OK:
                await context.abort(await call.code(), await call.details(), await call.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details(), error.trailing_metadata())
        finally:
            self._streams.discard(cut)
            cutting.cancel()
            call.cancel()


class _Forwarding(grpc.GenericRpcHandler):
    """Every method as a stream of bytes in both directions, which on the wire a unary call is too."""

    def __init__(self, proxy: UnknownProxy, channel: grpc.aio.Channel) -> None:
        self._proxy = proxy
        self._channel = channel

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method

        async def behaviour(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for response in self._proxy.forward(self._channel, method, requests, context):
                yield response

        return grpc.stream_stream_rpc_method_handler(behaviour)
