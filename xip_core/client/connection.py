"""One scheduler, reached again and again.

A `Connection` holds one channel for each address and uses one of them at a time. A call that fails with UNAVAILABLE or
UNKNOWN (a proxy that cuts an idle stream answers UNKNOWN) moves to the next address, waits and is made again; every
XiP call may be repeated. Waits double from 50 ms to 2 s and are drawn with full jitter, so that a thousand clients do
not return in the same moment.

    never answered yet      tried for `Patience.first_s`: a wrong address should be told soon
    answered before         tried for `Patience.again_s`: it restarts, or a standby takes over; the answer of one that
                            stands by counts when there are others to ask
    refused for now         likewise, at the same address: RESOURCE_EXHAUSTED with a hint when to come again; each
                            further wait is twice as long, up to `HINT_MAX_S`, and drawn between its half and 1.5 of it

Streams carry a deadline too (a black hole is noticed when it passes) and are opened again where they ended.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

import grpc
import grpc.aio
import msgspec

from xip_core.errors import OverloadedError, RequestError, UnavailableError, XipError
from xip_core.wire.status import RETRIED_CODES, error_of, reason_of
from xip_core.wire.v1 import blob_pb2_grpc, run_pb2_grpc, worker_pb2_grpc

Response = TypeVar("Response")
ResponseRead = TypeVar("ResponseRead", covariant=True)

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0
HINT_MAX_S = 15.0
REFUSAL_BUDGET_MAX = 10.0
REFUSAL_BUDGET_PER_ANSWER = 0.1
"""Of tries after a refusal for now, for one client: ten, and one more for ten calls answered, as gRPC's own retry
throttling counts them. An application that submits without end so adds a tenth to an overload and no more; beyond it
its calls are refused at once, with `OverloadedError.retry_after_s` for the application to go by."""

UNKNOWN_TRIES_MAX = 5  # a handler that fails also answers UNKNOWN: a defect is told, not waited for
STREAM_DURATION_S = 300.0
MESSAGE_SIZE_BYTES_MAX = 64 << 20  # blocks and chunks stay near 1 MiB, but 100,000 quarantined rows come in one message

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 50),  # the channel's own default waits a second after the first refusal
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),  # a scheduler that is stopped or cut off: the call moves on within 15 s
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # of gRPC's own pings, behind which a keepalive waits; 60 s by default
    ("grpc.http2.max_pings_without_data", 0),  # a watcher sends nothing else
    ("grpc.enable_http_proxy", 0),  # a scheduler is addressed directly; HTTP_PROXY is meant for the web
)


class Patience(msgspec.Struct, frozen=True):
    """How long calls are made again before a scheduler counts as unreachable; see the head of this module."""

    first_s: float = 2.0
    again_s: float = 60.0
    call_s: float = 30.0


class ResponseStream(Protocol[ResponseRead]):
    """What a call of a streaming method gives."""

    def __aiter__(self) -> AsyncIterator[ResponseRead]: ...

    def cancel(self) -> bool: ...


class Stubs:
    """The services of one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.runs = run_pb2_grpc.RunServiceStub(channel)
        self.blobs = blob_pb2_grpc.BlobServiceStub(channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(channel)


def parse_addresses(text: str) -> tuple[str, ...]:
    """
    Addresses of "host:port,host:port".

    Raises:
        RequestError: BAD_ADDRESS.
    """
    addresses = tuple(address.strip() for address in text.split(","))
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise RequestError("BAD_ADDRESS", f"a scheduler's address must be HOST:PORT, got {address!r}")
    return addresses


class Connection:
    """See the head of this module."""

    def __init__(self, addresses: tuple[str, ...], patience: Patience) -> None:
        self.addresses = addresses
        self.patience = patience
        self._stubs: list[Stubs | None] = [None] * len(addresses)
        self._active = 0
        self._has_answered = False
        self._refusal_budget = REFUSAL_BUDGET_MAX

    async def close(self) -> None:
        for stubs in self._stubs:
            if stubs is not None:
                await stubs.channel.close(grace=None)
        self._stubs = [None] * len(self.addresses)

    async def unary(self, call: Callable[[Stubs, float], Awaitable[Response]]) -> Response:
        """
        The answer to *call*, which gets the stubs and the deadline of one try in seconds.

        Raises:
            UnavailableError: nobody answered in time.
            XipError: the scheduler refused; see `xip_core.wire.status`.
        """
        tries = _Tries(self)
        while True:
            try:
                response = await call(self._current(), self.patience.call_s)
            except grpc.aio.AioRpcError as error:
                await tries.failed(error)
            else:
                self._has_answered = True
                self._refusal_budget = min(REFUSAL_BUDGET_MAX, self._refusal_budget + REFUSAL_BUDGET_PER_ANSWER)
                return response

    async def stream(
        self, open_stream: Callable[[Stubs, float], ResponseStream[Response]]
    ) -> AsyncGenerator[Response, None]:
        """
        Responses of *open_stream*, opened again whenever the line is cut until the server ends it. *open_stream* must
        continue after the last response it gave.

        Raises: like `unary`.
        """
        tries = _Tries(self)
        while True:
            call = open_stream(self._current(), STREAM_DURATION_S)
            try:
                async for response in call:
                    self._has_answered = True
                    tries = _Tries(self)
                    yield response
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:  # its duration is over: open it again at once
                    await tries.failed(error)
            finally:
                call.cancel()  # of a call that has ended: nothing; of one the reader left: the server need not go on

    def _current(self) -> Stubs:
        stubs = self._stubs[self._active]
        if stubs is None:
            channel = grpc.aio.insecure_channel(self.addresses[self._active], options=_CHANNEL_OPTIONS)
            stubs = self._stubs[self._active] = Stubs(channel)
        return stubs

    def _turn(self) -> None:
        self._active = (self._active + 1) % len(self.addresses)

    def _patience_s(self) -> float:
        return self.patience.again_s if self._has_answered else self.patience.first_s


class _Tries:
    """The tries of one call since the last answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun_s = time.monotonic()
        self._count = 0
        self._unknown_count = 0
        self._refused_count = 0

    async def failed(self, error: grpc.aio.AioRpcError) -> None:
        """
        Wait before the next try.

        Raises:
            XipError: what *error* stands for, when there should be no next try.
        """
        self._count += 1
        code, message = error.code(), error.details() or ""
        self._unknown_count += code is grpc.StatusCode.UNKNOWN
        refusal = error_of(code, message, error.trailing_metadata())
        if isinstance(refusal, OverloadedError):
            await self._wait_for_room(refusal)
            return
        if code is grpc.StatusCode.UNAVAILABLE and len(self._connection.addresses) > 1:
            self._connection._has_answered |= reason_of(error.trailing_metadata()) == "UNAVAILABLE"
        if code not in RETRIED_CODES:
            raise refusal from None
        if self._unknown_count >= UNKNOWN_TRIES_MAX:
            raise XipError(f"the scheduler failed {self._unknown_count} times: {message}") from None
        elapsed_s = time.monotonic() - self._begun_s
        backoff_max_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._count - 1))
        left_s = self._connection._patience_s() - elapsed_s
        if left_s <= 0.0:
            raise self._unavailable(elapsed_s, message) from None
        self._connection._turn()
        await asyncio.sleep(min(random.uniform(0.0, backoff_max_s), left_s))  # the last try comes when patience ends

    async def _wait_for_room(self, refusal: OverloadedError) -> None:
        """Somebody is there and has no room now."""
        self._connection._has_answered = True
        if self._connection._refusal_budget < 1.0:
            raise refusal from None
        self._connection._refusal_budget -= 1.0
        hint_s = min(HINT_MAX_S, refusal.retry_after_s * 2**self._refused_count)
        self._refused_count += 1
        left_s = self._connection.patience.again_s - (time.monotonic() - self._begun_s)
        if left_s <= 0.0:
            raise refusal from None
        await asyncio.sleep(min(random.uniform(0.5, 1.5) * hint_s, left_s))

    def _unavailable(self, elapsed_s: float, message: str) -> UnavailableError:
        addresses = self._connection.addresses
        tries = f"{self._count} {'try' if self._count == 1 else 'tries'} in {elapsed_s:.1f} s"
        return UnavailableError(
            f"no scheduler answers at {', '.join(addresses)} ({tries}; last: {message}); start one with "
            f"`xip-scheduler --listen {addresses[0]}`, or have one started for a run: `xipctl run ... --local`"
        )
