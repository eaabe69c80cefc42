"""One stream to one scheduler at a time, opened again for as long as the worker lives.

Each try opens a channel of its own, so no back-off of gRPC's hides behind ours: full jitter over a doubling ceiling, so
that five thousand workers whose scheduler restarts do not come back as one. Whatever ends a stream - refused, reset, a
proxy that answers UNKNOWN, an orderly end - is the same fact: ConnectionLost.

Writes go through one queue and one writer, in the order of the actions; a write waits for the stream's flow control.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from xip_core.wire.v1 import worker_pb2
from xip_core.wire.v1.blob_pb2_grpc import BlobServiceStub
from xip_core.wire.v1.worker_pb2_grpc import WorkerServiceStub
from xip_worker.events import Connected, ConnectionLost, Event, ResultsWritten
from xip_worker.fetch import Fetcher
from xip_worker.messages import event_of

if TYPE_CHECKING:
    AttachCall = grpc.aio.StreamStreamCall[worker_pb2.AttachRequest, worker_pb2.AttachResponse]

CONNECT_TIMEOUT_S = 5.0
"""For a channel to become ready, and for the first answer on the stream."""

BACKOFF_BASE_S = 0.05
"""Ceiling before the second try: a scheduler started in the same moment as the worker is there soon."""

BACKOFF_MAX_S = 2.0
"""A scheduler that restarts finds its workers back within this, five thousand of them at 2,500 tries a second."""

CLOSE_TIMEOUT_S = 1.0
"""For the scheduler to end its half of the stream after an orderly goodbye."""

MESSAGE_BYTES_MAX = 4 << 20
"""A message of leases is about 100 bytes a lease; the results of one are below 1 MiB."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),  # schedulers are addressed directly; HTTP_PROXY is meant for the web
    ("grpc.use_local_subchannel_pool", 1),  # a new try is a new TCP connection, not the broken one of the last
    ("grpc.keepalive_time_ms", 6_000),  # a scheduler that vanished or stands still; servers allow one ping per 5 s
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # of gRPC's own pings, behind which a keepalive waits; 60 s by default
)


def backoff_s(try_count: int, draw: float) -> float:
    """Pause after *try_count* failed tries; *draw* is uniform in [0, 1)."""
    return draw * min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(try_count, 30))


async def _becomes_ready(channel: grpc.aio.Channel) -> bool:
    """False at the first refusal: the channel's own next try would come a second later, ours comes sooner."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return True


class _Outbox:
    """Messages for one stream, so that a stream just broken cannot take the greeting of the next."""

    def __init__(self) -> None:
        self.messages: deque[tuple[worker_pb2.AttachRequest, bool]] = deque()
        self.is_filled = asyncio.Event()
        self.is_closed = False

    def close(self) -> None:
        """End the generator of requests, which gRPC lets hang when the other side ended the stream first."""
        self.is_closed = True
        self.is_filled.set()


class Connection:
    """Keeps the stream up and carries messages; knows nothing of leases.

    Args:
        handle: takes events; called on the event loop.
    """

    def __init__(
        self, addresses: tuple[str, ...], handle: Callable[[Event], None], fetcher: Fetcher, log: Any
    ) -> None:
        self._addresses = addresses
        self._handle = handle
        self._fetcher = fetcher
        self._log = log
        self._outbox = _Outbox()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._patience = asyncio.timeout(None)
        self._failed_try_count = 0

    def send(self, message: worker_pb2.AttachRequest, *, is_results: bool = False) -> None:
        """Queue a message for the stream; dropped with the stream. ResultsWritten follows one of results."""
        self._outbox.messages.append((message, is_results))
        self._outbox.is_filled.set()

    def close(self) -> None:
        """Say goodbye when everything queued is written; `run` then returns."""
        if not self._closed.done():
            self._closed.set_result(None)
        self._outbox.is_filled.set()

    async def run(self) -> None:
        """Connect, serve, connect again; returns after `close`."""
        for address in itertools.cycle(self._addresses):
            error = await self._attach_once(address)
            if self._closed.done():
                return
            self._failed_try_count += 1
            self._log_failure(address, error)
            await asyncio.wait((self._closed,), timeout=backoff_s(self._failed_try_count, random.random()))

    def _log_failure(self, address: str, error: str) -> None:
        """The first failure, then ever more rarely."""
        tries = self._failed_try_count
        if tries & (tries - 1) == 0:
            self._log.warning(
                "no scheduler",
                address=address,
                tries=tries,
                error=error,
                hint=f"start one with: xip-scheduler --listen {address}",
            )

    async def _attach_once(self, address: str) -> str:
        """Serve one stream to its end; what ended it."""
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            ready = asyncio.ensure_future(_becomes_ready(channel))
            await asyncio.wait((ready, self._closed), timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                return f"no connection within {CONNECT_TIMEOUT_S:g} s"
            if not ready.result():
                return "connection refused, or no such host"
            self._outbox = _Outbox()
            self._handle(Connected())
            call = WorkerServiceStub(channel).Attach(self._requests(self._outbox))
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S) as self._patience:
                    await self._serve(call, address, channel)
                return f"{(await call.code()).name}: {await call.details()}" if call.done() else "no welcome"
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
            except TimeoutError:
                return f"no answer to the greeting within {CONNECT_TIMEOUT_S:g} s, or to the goodbye"
            finally:
                call.cancel()
                self._fetcher.detach()
                self._outbox.close()
                self._outbox = _Outbox()
                self._handle(ConnectionLost())

    async def _serve(self, call: AttachCall, address: str, channel: grpc.aio.Channel) -> None:
        responses = aiter(call)
        first = await anext(responses, None)
        if first is None:
            return
        if first.WhichOneof("message") != "welcome":
            self._log.error("a scheduler must say welcome first", address=address, got=first.WhichOneof("message"))
            return
        if not self._closed.done():  # a goodbye said before the welcome came keeps its own deadline
            self._patience.reschedule(None)
        self._failed_try_count = 0
        self._fetcher.attach(BlobServiceStub(channel))
        self._log.info("attached", address=address, term=first.welcome.term)
        self._take(first)
        async for response in responses:
            self._take(response)

    def _take(self, response: worker_pb2.AttachResponse) -> None:
        event = event_of(response)
        if event is not None:
            self._handle(event)

    async def _requests(self, outbox: _Outbox) -> AsyncIterator[worker_pb2.AttachRequest]:
        """What gRPC writes to the stream: it asks for the next message when the stream has room for it."""
        while True:
            while outbox.messages and not outbox.is_closed:
                message, is_results = outbox.messages.popleft()
                yield message
                if is_results and outbox is self._outbox:
                    self._handle(ResultsWritten())
            if outbox.is_closed:
                return
            if self._closed.done():
                self._patience.reschedule(asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S)
                return
            outbox.is_filled.clear()
            await outbox.is_filled.wait()
