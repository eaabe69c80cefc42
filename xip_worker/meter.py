"""What tiles wait for and receive from the scheduler, by slot thread: nanoseconds, and bytes by kind.

What is fetched is charged to the tile that asked first, for others find it kept: sums over a run are what a worker
received, whatever the number of its slots.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from xip_worker.events import Fetched


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.waited_ns = 0
        self.received: dict[str, tuple[int, int]] = {}


class FetchMeter:
    """Counts for each thread apart, until it takes its own."""

    def __init__(self) -> None:
        self._own = _OfThread()

    def waiting(self) -> AbstractContextManager[None]:
        """For an input: also while another slot fetches it."""
        return self._counting(1)

    def working(self) -> AbstractContextManager[None]:
        """Within `waiting`: what the thread does itself is no waiting."""
        return self._counting(-1)

    @contextmanager
    def _counting(self, sign: int) -> Iterator[None]:
        begun_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self._own.waited_ns += sign * (time.perf_counter_ns() - begun_ns)

    def received(self, kind: str, size_bytes: int) -> None:
        total_bytes, count = self._own.received.get(kind, (0, 0))
        self._own.received[kind] = (total_bytes + size_bytes, count + 1)

    def take(self) -> tuple[int, tuple[Fetched, ...]]:
        """Of this thread since it asked last."""
        own = self._own
        waited_ns, received = own.waited_ns, own.received
        own.waited_ns = 0
        if not received:
            return waited_ns, ()
        own.received = {}
        return waited_ns, tuple((kind, size_bytes, count) for kind, (size_bytes, count) in received.items())
