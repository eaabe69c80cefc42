"""What hangs in a worker, and how it gets rid of that: slots that do not come free, and a loop that does not turn.

A kernel that never ends holds its thread, and a thread cannot be killed. What can be done depends on the GIL:

    released   the loop turns and heartbeats go on; they say how long the slot has not asked whether it is cancelled,
               and the scheduler takes the lease back. A slot that is still not free `slot_patience_s` after that is
               **stuck**: the worker drains its other slots and replaces itself by exec, which keeps its process id and
               its container.
    held       nothing of Python runs any more, this module included. The interpreter's own watchdog (`faulthandler`, a
               thread of C) writes where every thread is to stderr and ends the process; whoever started it starts it
               again, as after a crash. The scheduler has noticed the silence long before.

A process that was stopped (SIGSTOP, a suspended machine) for longer than the loop's limit ends itself likewise when it
wakes: its leases are gone, a new start costs a second.
"""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Callable

from xip_worker.events import SlotIndex

TURNS_PER_LIMIT = 4


class SlotWatch:
    """Slots whose lease was revoked and that have not come free since.

    Args:
        on_stuck: told once, with all slots that are late by then.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_stuck: Callable[[tuple[SlotIndex, ...]], None],
        patience_s: float,
    ) -> None:
        self._loop = loop
        self._on_stuck = on_stuck
        self._patience_s = patience_s
        self._timers: dict[SlotIndex, asyncio.TimerHandle] = {}
        self._is_told = False

    def revoked(self, slot: SlotIndex) -> None:
        if slot not in self._timers and not self._is_told:
            self._timers[slot] = self._loop.call_later(self._patience_s, self._late)

    def freed(self, slot: SlotIndex) -> None:
        timer = self._timers.pop(slot, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for slot in list(self._timers):
            self.freed(slot)

    def _late(self) -> None:
        late_s = self._loop.time()
        late = tuple(slot for slot, timer in self._timers.items() if timer.when() <= late_s)
        self._is_told = True
        self.close()
        self._on_stuck(late)


class LoopWatch:
    """Ends the process when the event loop has not turned for *limit_s*."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._turn()

    def _turn(self) -> None:
        faulthandler.dump_traceback_later(self._limit_s, exit=True)
        self._timer = self._loop.call_later(self._limit_s / TURNS_PER_LIMIT, self._turn)

    def close(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.cancel()
