"""Waiting for what another process does: a condition, a limit, and a sentence when the limit passes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

LOOK_INTERVAL_S = 0.01
"""Between two looks at a condition that tells nobody when it becomes true: the state of another process."""

Value = TypeVar("Value")

_never = threading.Event()
_runner = asyncio.Runner()
"""One loop for all scenarios of a process: gRPC's poller does not follow from a loop that is closed to a new one."""


def run_async(coroutine: Coroutine[Any, Any, Value], limit_s: float = 120.0) -> Value:
    """The result of *coroutine*, within *limit_s*."""
    return _runner.run(asyncio.wait_for(coroutine, limit_s))


def until(condition: Callable[[], bool], limit_s: float, what: str) -> float:
    """Seconds until *condition* held; fails with *what* when *limit_s* pass before."""
    begun_s = time.monotonic()
    while not condition():
        elapsed_s = time.monotonic() - begun_s
        assert elapsed_s < limit_s, f"must happen within {limit_s:g} s: {what}"
        _never.wait(LOOK_INTERVAL_S)
    return time.monotonic() - begun_s


def let_pass(duration_s: float) -> None:
    """Let a fault last: here time itself is what is injected, there is no condition to wait for."""
    _never.wait(duration_s)
