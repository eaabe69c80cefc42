"""The scheduler's clock: monotonic, and it stands still while the process does.

A process that was stopped (SIGSTOP, a suspended virtual machine, a starved container) wakes to find every lease expired
although the workers spoke in time: their heartbeats wait unread in the sockets. This clock is read at least every
`READ_INTERVAL_S` while there is a deadline to wait for (`driver`), so a larger step means that nobody was there to read
it, and the time of the step does not count. Expiry comes later than it could; it never comes wrongly.
"""

from __future__ import annotations

import time
from collections.abc import Callable

READ_INTERVAL_S = 1.0
STEP_MAX_S = 2.0
"""Larger steps count as this much."""


class PatientClock:
    """Seconds that only pass while the process runs."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._last_s = monotonic_s()
        self._skipped_s = 0.0

    def now_s(self) -> float:
        read_s = self._monotonic_s()
        step_s = read_s - self._last_s
        if step_s > STEP_MAX_S:
            self._skipped_s += step_s - STEP_MAX_S
        self._last_s = read_s
        return read_s - self._skipped_s
