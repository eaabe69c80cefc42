"""Who calls, and how much one caller may have under way: the one interceptor that knows identities.

`identify` is the seam. Today a caller is the address it calls from, and a tenant is what a request claims; one day a
certificate or token will say both, and nothing but this module has to learn it.

    calls_max           calls a peer has under way, streams included: `maximum_concurrent_rpcs` is global, so one peer
                        could take all of it
    workers_max         worker streams of a peer, 22 to 37 kB each: a host has a few, a test a thousand
    *_DURATION_S        how long a call may last, whatever its deadline: one without would stay as long as its peer does
    STALL_PATIENCE_S    how long a response may wait for its reader: gRPC holds megabytes for it, the cursor resumes

A refused call has cost its message and nothing more. Workers are counted apart, so that no desk on the same host can
keep them from coming back. Connections are limited by channel options (`server.SERVER_OPTIONS`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import grpc
import grpc.aio
import msgspec

from xip_core.errors import OverloadedError
from xip_scheduler.logs import logger

ATTACH = "/xip.v1.WorkerService/Attach"

UNARY_DURATION_S = 120.0
"""Submissions wait for the planner, seconds at most; clients give up after 30 s."""

UPLOAD_DURATION_S = 900.0
"""256 MiB at 300 kB/s."""

STREAM_DURATION_S = 3_600.0
"""Clients open a stream again every 5 minutes (`xip_core.client.connection`)."""

STALL_PATIENCE_S = 60.0
"""A reader that takes nothing for so long has stopped: 64 KiB in a minute is slower than any line a desk has."""

AGAIN_AFTER_S = 1.0
PEER_TEXT_MAX = 100

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Any]


class Caller(msgspec.Struct, frozen=True):
    """
    Attributes:
        peer: address without port, as "10.0.0.7"; what limits are counted by.
        tenant: claimed by the request; "" where it claims none.
    """

    peer: str
    tenant: str


caller: ContextVar[Caller] = ContextVar("caller")
"""Of the call under way, for handlers and their log lines."""


def identify(request: Any, context: Context) -> Caller:
    """The only place where a caller gets its name."""
    kind, _, address = context.peer().partition(":")
    host = address.rpartition(":")[0] if kind in ("ipv4", "ipv6") else kind
    spec = getattr(request, "spec", None)
    return Caller(host[:PEER_TEXT_MAX], str(getattr(spec, "tenant", "")))


class CallerInterceptor(grpc.aio.ServerInterceptor):
    """
    See the head of this module. Refusals are raised: whoever maps errors to statuses must stand before this one.

    Args:
        calls_max, workers_max: of one peer at a time.
    """

    def __init__(self, calls_max: int, workers_max: int) -> None:
        self._calls_max = calls_max
        self._workers_max = workers_max
        self._calls: Counter[str] = Counter()
        self._workers: Counter[str] = Counter()
        self.refused_count = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        is_attach = handler_call_details.method == ATTACH
        for kind, duration_s in (
            ("unary_unary", UNARY_DURATION_S),
            ("stream_unary", UPLOAD_DURATION_S),
            ("unary_stream", STREAM_DURATION_S),
            ("stream_stream", STREAM_DURATION_S),
        ):
            inner = getattr(handler, kind)
            if inner is None:
                continue
            if inspect.isasyncgenfunction(inner):
                limited = self._limited_stream(inner, duration_s)
            else:  # a worker's stream ends by silence, not by age
                limited = self._limited_answer(inner, None if is_attach else duration_s, is_attach)
            return handler._replace(**{kind: limited})  # type: ignore[no-any-return]  # a named tuple
        raise AssertionError(f"{handler_call_details.method}: a handler without behaviour")

    @contextmanager
    def _admitted(self, request: Any, context: Context, is_attach: bool) -> Iterator[None]:
        """Count the call while it is under way.

        Raises:
            OverloadedError: TOO_MANY_CALLS or TOO_MANY_WORKERS; the peer has as many as it may.
        """
        who = identify(request, context)
        counts, count_max, word = (
            (self._workers, self._workers_max, "workers") if is_attach else (self._calls, self._calls_max, "calls")
        )
        if counts[who.peer] >= count_max:
            self.refused_count += 1
            if self.refused_count & (self.refused_count - 1) == 0:  # the first, then ever more rarely
                logger("rpc").warning("peer is at its limit", peer=who.peer, limit=count_max, of=word)
            sentence = f"a peer may have at most {count_max} {word} under way, {who.peer} has as many; try again later"
            raise OverloadedError(f"TOO_MANY_{word.upper()}", sentence, AGAIN_AFTER_S)
        counts[who.peer] += 1
        caller.set(who)
        try:
            yield
        finally:
            counts[who.peer] -= 1
            if not counts[who.peer]:
                del counts[who.peer]

    def _limited_answer(self, inner: Handler, duration_s: float | None, is_attach: bool) -> Handler:
        async def limited(request: Any, context: Context) -> Any:
            with self._admitted(request, context, is_attach):
                patience = asyncio.timeout(duration_s)
                try:
                    async with patience:
                        return await inner(request, context)
                except TimeoutError:
                    if not patience.expired():
                        raise
                return await _abort_over(context, f"a call may last {duration_s:g} s")

        return limited

    def _limited_stream(self, inner: Handler, duration_s: float) -> Handler:
        async def limited(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._admitted(request, context, is_attach=False):
                ends_s = asyncio.get_running_loop().time() + duration_s
                responses = inner(request, context)
                stall = _Stall(context)
                try:
                    while True:
                        patience = asyncio.timeout_at(ends_s)
                        try:
                            async with patience:
                                response = await anext(responses, None)
                        except TimeoutError:
                            if not patience.expired():
                                raise
                            await _abort_over(context, f"a stream may last {duration_s:g} s; open it again")
                        if response is None:
                            return
                        stall.begin()
                        yield response
                        stall.end()
                finally:
                    stall.end()
                    await responses.aclose()

        return limited


class _Stall:
    """Ends a stream whose reader takes nothing: there the handler waits inside gRPC, where no timeout reaches it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._began_s: float | None = None
        self._ending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """A response is handed to gRPC."""
        self._began_s = self._loop.time()
        if self._timer is None:  # one that rings early looks again: a timer per response would cost more than that
            self._timer = self._loop.call_later(STALL_PATIENCE_S, self._ring)

    def end(self) -> None:
        """It has been taken."""
        self._began_s = None

    def _ring(self) -> None:
        self._timer = None
        if self._began_s is None or self._task is None:
            return
        left_s = self._began_s + STALL_PATIENCE_S - self._loop.time()
        if left_s > 0.0:
            self._timer = self._loop.call_later(left_s, self._ring)
            return
        self._ending = self._loop.create_task(self._end(self._task))

    async def _end(self, task: asyncio.Task[Any]) -> None:
        logger("rpc").info("reader stopped", peer=self._context.peer(), patience_s=STALL_PATIENCE_S)
        self._loop.call_soon(task.cancel)
        try:
            await _abort_over(self._context, f"a response must be taken within {STALL_PATIENCE_S:g} s")
        except grpc.aio.AbortError:
            return


async def _abort_over(context: Context, sentence: str) -> None:
    """DEADLINE_EXCEEDED, which clients answer by opening the stream again at their cursor."""
    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, sentence)
