"""Is the tile still wanted? Asked between the steps of long work, so that a cancel reaches a running tile in time.

    evaluate_tile ──asking(is_cancelled)──> ... many layers of arithmetic ... ──poll()──> TileCancelledError

Whether somebody still waits for a number is no input of the number. So the question does not travel through the
signatures of the arithmetic; it belongs to the thread, which evaluates one tile at a time. Outside of `asking` nobody
wants to know, and `poll` does nothing.

Whoever writes a loop polls in it at least every STEP_S of its work. A kernel is called for blocks of rows that take
no longer; rows do not see each other, so the bytes are the same for any blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xip_core.pricing.tile import TileCancelledError

IsCancelled = Callable[[], bool]
"""Asked from any thread, cheap, and true for ever once it is true."""

STEP_S = 0.020
"""Between two polls, at most, on the machine of bench/README.md: a cancel has 100 ms to reach a kernel, 20 of them are
for the way to the worker, and a machine may be three times slower."""

WAIT_LOOK_S = 0.020
"""How often a thread that waits for another one's work polls."""


class _Thread(threading.local):
    is_cancelled: IsCancelled | None = None


_thread = _Thread()


@contextmanager
def asking(is_cancelled: IsCancelled) -> Iterator[None]:
    """Within, `poll` asks *is_cancelled*: cheap, and true for ever once it is true."""
    before, _thread.is_cancelled = _thread.is_cancelled, is_cancelled
    try:
        yield
    finally:
        _thread.is_cancelled = before


def poll() -> None:
    """
    Raises:
        TileCancelledError: nobody wants the tile any more.
    """
    is_cancelled = _thread.is_cancelled
    if is_cancelled is not None and is_cancelled():
        raise TileCancelledError


def wait_for(event: threading.Event) -> None:
    """Until *event* is set by another thread; polls meanwhile."""
    while not event.wait(WAIT_LOOK_S):
        poll()


@contextmanager
def holding(lock: threading.Lock) -> Iterator[None]:
    """Like `with lock`, and polls while another thread has it."""
    while not lock.acquire(timeout=WAIT_LOOK_S):
        poll()
    try:
        yield
    finally:
        lock.release()
