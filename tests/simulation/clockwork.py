"""An asyncio event loop in virtual time: what the real `xip_scheduler.driver.Driver` runs on in a simulation.

Nothing waits: the loop takes the earliest call, sets the clock to its time and makes it. Calls of equal time are made
in the order they were asked for, so a schedule is a function of the seed alone. Every call is folded into `trace`, the
fingerprint by which two executions of one seed are compared.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

CALLS_PER_STEP = 500
STEP_S = 1e-6
"""So many calls at one point of time take so long, as a processor would: whoever waits for less than a clock can tell,
again and again, comes to the end all the same."""

CALLS_AT_ONCE_MAX = 20_000
"""At one point of time; the busiest schedule seen makes a few hundred."""


class Call:
    """A callback that waits for its time."""

    __slots__ = ("args", "callback", "home", "is_cancelled", "when_s")

    def __init__(
        self, when_s: float, callback: Callable[..., Any], args: tuple[Any, ...], home: VirtualLoop | Process
    ) -> None:
        self.when_s = when_s
        self.callback = callback
        self.args = args
        self.home = home
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.when_s


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of a loop as tasks, futures, locks and timeouts need; the world's own calls are never held up."""

    is_stopped = False

    def __init__(self) -> None:
        self.now_s = 0.0
        self.trace = 0
        self.call_count = 0
        self._sequence = 0
        self._ready: deque[Call] = deque()
        self._waiting: list[tuple[float, int, Call]] = []

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        call = Call(self.now_s, callback, args, self)
        self._ready.append(call)
        return call

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.wait(Call(max(when, self.now_s), callback, args, self))

    def wait(self, call: Call) -> Call:
        """Have *call* made at its time."""
        self._sequence += 1
        heapq.heappush(self._waiting, (call.when_s, self._sequence, call))
        return call

    def now(self, call: Call) -> None:
        """Have *call* made at this point of time, after those that wait already."""
        self._ready.append(call)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.call_at(self.now_s + delay, callback, *args)

    def passed(self, delay_s: float) -> asyncio.Future[None]:
        """Done when *delay_s* have passed."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self.call_later(delay_s, lambda: future.done() or future.set_result(None))
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]  # as much as is used
        return asyncio.Task(coro, loop=self)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Futures of a killed process end without anybody listening."""

    def note(self, text: str) -> None:
        """Fold *text* into the fingerprint."""
        self.trace = zlib.crc32(text.encode(), self.trace)

    def run(self, until_s: float, is_done: Callable[[], bool]) -> None:
        """Make calls until *until_s*, or until *is_done* says so between two points of time. Errors pass through."""
        ready, waiting = self._ready, self._waiting
        calls_before = self.call_count
        running: VirtualLoop | Process = self
        asyncio._set_running_loop(self)
        try:
            while True:
                while ready:
                    call = ready.popleft()
                    home = call.home
                    if home.is_stopped:
                        home.held.append(call)
                    elif not call.is_cancelled:
                        if home is not running:
                            asyncio._set_running_loop(running := home)
                        self.call_count += 1
                        if self.call_count - calls_before > CALLS_AT_ONCE_MAX:
                            raise AssertionError(f"livelock: {CALLS_AT_ONCE_MAX} calls and no time passed")
                        if (self.call_count - calls_before) % CALLS_PER_STEP == 0:
                            self.now_s += STEP_S
                        call.callback(*call.args)
                while waiting and waiting[0][2].is_cancelled:
                    heapq.heappop(waiting)
                if not waiting or waiting[0][0] > until_s or is_done():
                    return
                when_s, _, call = heapq.heappop(waiting)
                calls_before = self.call_count
                self.now_s = max(when_s, self.now_s)
                if running is not self:
                    asyncio._set_running_loop(running := self)
                self.note(f"{when_s:.9f}")
                ready.append(call)
        finally:
            asyncio._set_running_loop(None)


class Process(asyncio.AbstractEventLoop):
    """The loop as one process sees it: what would happen in it while it is stopped (SIGSTOP) happens when it wakes.

    Attributes:
        held: calls whose time came meanwhile, in order.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.is_stopped = False
        self.held: deque[Call] = deque()

    def stop(self) -> None:
        self.is_stopped = True

    def wake(self) -> None:
        self.is_stopped = False
        while self.held:
            self.loop.now(self.held.popleft())

    def do(self, callback: Callable[[], None]) -> None:
        """What reaches the process from outside: at once, or when it wakes."""
        if self.is_stopped:
            self.held.append(Call(self.loop.now_s, callback, (), self))
        else:
            callback()

    def time(self) -> float:
        return self.loop.now_s

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        call = Call(self.loop.now_s, callback, args, self)
        self.loop.now(call)
        return call

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.loop.wait(Call(max(when, self.loop.now_s), callback, args, self))

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.call_at(self.loop.now_s + delay, callback, *args)

    def passed(self, delay_s: float) -> asyncio.Future[None]:
        """Done when *delay_s* have passed and the process is awake."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self.call_later(delay_s, lambda: future.done() or future.set_result(None))
        return future

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # as much as is used
        """Work of another thread takes no time."""
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        future.set_result(func(*args))
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]  # as much as is used
        return asyncio.Task(coro, loop=self)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As of the loop."""
