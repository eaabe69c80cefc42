"""The gRPC server: channel options, limits and how errors leave it.

Option names matter: gRPC ignores a misspelt one silently, so tests/scheduler/rpc look every name up in the library and
prove that those act whose effect shows at once.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from xip_core.errors import OverloadedError, RequestError, UnavailableError, XipError
from xip_core.wire.status import REASON_KEY, RETRY_AFTER_KEY, status_of
from xip_scheduler.logs import logger
from xip_scheduler.rpc.callers import CallerInterceptor

MESSAGE_SIZE_LIMIT_BYTES = 4 << 20
"""Blocks and chunks stay near 1 MiB; a worker's Hello may name thousands of leases."""

STATUS_TEXT_LIMIT = 2_000
"""Characters of a status message: it travels in the trailers, which peers cap at 8 or 16 kB."""

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # on by default: a second scheduler would share the port without an error
    ("grpc.max_receive_message_length", MESSAGE_SIZE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_SIZE_LIMIT_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 1_000),  # per connection; one desk application has a few
    ("grpc.server_handshake_timeout_ms", 2_000),  # a socket that says nothing is closed
    ("grpc.keepalive_time_ms", 10_000),  # notices a vanished peer in 15 s, about one lease
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # clients may ping every 5 s, not faster
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_allowed_incoming_connections", 12_000),  # 10,000 workers at 40 kB and desks; a socket more is closed
    ("grpc.max_connection_idle_ms", 600_000),  # without a call; the next call connects again
    # New calls move to a new connection, streams under way stay: what a client proves about itself at the handshake is
    # at most so old. Without `max_connection_age_grace_ms` no worker's stream is cut, which would cost it its leases.
    ("grpc.max_connection_age_ms", 1_800_000),
)

Handler = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps what handlers raise: an XipError to its status and reason, anything else to INTERNAL and an incident id.

    Without it gRPC sends the text of any exception to the client.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None  # gRPC answers UNIMPLEMENTED
        method = str(handler_call_details.method)
        for kind in ("unary_unary", "stream_unary", "unary_stream", "stream_stream"):
            inner = getattr(handler, kind)
            if inner is not None:
                guard = _guard_stream if inspect.isasyncgenfunction(inner) else _guard_answer
                sound = _sound_requests if kind.startswith("stream") else _sound_request
                return handler._replace(  # type: ignore[no-any-return]  # a named tuple
                    request_deserializer=_parse(handler.request_deserializer),
                    **{kind: guard(sound(inner), method)},
                )
        raise AssertionError(f"{method}: a handler without behaviour")


def _guard_answer(inner: Handler, method: str) -> Handler:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(request, context)
        except Exception as error:
            await _abort(error, method, context)

    return guarded


def _guard_stream(inner: Handler, method: str) -> Handler:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in inner(request, context):
                yield response
        except Exception as error:
            await _abort(error, method, context)

    return guarded


class _Malformed(msgspec.Struct, frozen=True):
    """Stands for a message that is none. gRPC would answer UNKNOWN, which says "try again", with the parser's words."""

    size_bytes: int


def _parse(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def parsed(message: bytes) -> Any:
        try:
            return deserialize(message)
        except (DecodeError, UnicodeDecodeError):
            return _Malformed(len(message))

    return parsed


def _sound(message: Any) -> Any:
    if type(message) is _Malformed:
        raise RequestError("MALFORMED_MESSAGE", f"{message.size_bytes} bytes were received that are not the message")
    return message


def _sound_request(inner: Handler) -> Handler:
    if inspect.isasyncgenfunction(inner):

        async def sound_stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async for response in inner(_sound(request), context):
                yield response

        return sound_stream

    async def sound(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await inner(_sound(request), context)

    return sound


def _sound_requests(inner: Handler) -> Handler:
    """Of a stream of requests; every streaming handler of ours answers by `context.write` or with one message."""

    async def sound(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await inner(_SoundRequests(requests), context)

    return sound


class _SoundRequests:
    """An iterator, not a generator: a worker's stream passes thousands of messages a second through it.

    gRPC's own iterator is only asked for with the first message: begun and never read, as where the caller is at its
    limit, it warns of a coroutine that was never awaited.
    """

    __slots__ = ("_next", "_requests")

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests
        self._next: Callable[[], Awaitable[Any]] | None = None

    def __aiter__(self) -> _SoundRequests:
        return self

    async def __anext__(self) -> Any:
        if self._next is None:
            self._next = aiter(self._requests).__anext__
        return _sound(await self._next())


async def _abort(error: Exception, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    hints: tuple[tuple[str, str], ...] = ()
    if isinstance(error, XipError):
        code, reason = status_of(error)
        text = str(error)[:STATUS_TEXT_LIMIT]
        if isinstance(error, OverloadedError):
            hints = ((RETRY_AFTER_KEY, str(round(error.retry_after_s * 1000))),)
    else:
        incident_id = secrets.token_hex(8)
        logger("rpc").error("handler failed", method=method, incident_id=incident_id, exc_info=error)
        code, reason = grpc.StatusCode.INTERNAL, "INTERNAL"
        text = f"internal error, incident {incident_id}; the scheduler's log has the details under this id"
    await context.abort(code, text, trailing_metadata=((REASON_KEY, reason), *hints))


def create_server(callers: CallerInterceptor) -> grpc.aio.Server:
    """A server with our options, error mapping and limits per caller, without services or port."""
    return grpc.aio.server(interceptors=(ErrorInterceptor(), callers), options=SERVER_OPTIONS)


def bind(server: grpc.aio.Server, address: str) -> int:
    """
    Bind *address*, "HOST:PORT", and return the port.

    Raises:
        UnavailableError: the port is taken or the address is not of this machine.
    """
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise UnavailableError(
            f"cannot listen on {address}: the address must be of this machine and the port free; "
            "another scheduler may be running there (stop it, or choose another --listen)"
        )
    return port
