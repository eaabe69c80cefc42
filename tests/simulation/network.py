"""Streams between workers and the scheduler: in order, delayed, broken in every way TCP breaks.

A message either arrives after all that were sent before it on its stream, or the stream is broken. What differs is who
learns when: a side that has not heard yet goes on sending into nothing (black hole), and what was on its way when the
other side gave up may still arrive: results over a connection that its worker has long replaced.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.clockwork import VirtualLoop

DELAY_S = 0.001

NOTICED_SHARE = 0.2
"""Of a silence, until the worker gives its stream up; what it sent meanwhile arrives when the silence ends."""


class Link:
    """One stream, two directions.

    Attributes:
        worker_open, server_open: this side still believes in the stream.
        stalled_until_s: nothing arrives before (up, down).
        break_worker: tells the worker's side that the stream is gone; break_server the scheduler's.
    """

    def __init__(
        self, loop: VirtualLoop, chance: random.Random, spike_share: float, count: Callable[[str], None]
    ) -> None:
        self.loop = loop
        self.chance = chance
        self.spike_share = spike_share
        self.count = count
        self.worker_open = True
        self.server_open = True
        self.arrival_s = [0.0, 0.0]
        self.stalled_until_s = [0.0, 0.0]
        self.break_worker: Callable[[], None] = lambda: None
        self.break_server: Callable[[], None] = lambda: None

    def _arrival_s(self, direction: int) -> float:
        delay_s = DELAY_S
        draw = self.chance.random()
        if draw < self.spike_share:
            delay_s += self.chance.random() ** 3 * 6.0
            self.count("delay")
        self.arrival_s[direction] = max(
            self.arrival_s[direction], self.loop.now_s + delay_s, self.stalled_until_s[direction]
        )
        return self.arrival_s[direction]

    def up(self, deliver: Callable[[], None]) -> None:
        """From the worker; void when the scheduler's side is closed by then."""
        if self.worker_open:
            self.loop.call_at(self._arrival_s(0), lambda: deliver() if self.server_open else None)

    def down(self, deliver: Callable[[], None]) -> None:
        if self.server_open:
            self.loop.call_at(self._arrival_s(1), lambda: deliver() if self.worker_open else None)

    def close_worker(self) -> None:
        """The worker's side ends; the scheduler reads what is on its way, then the end."""
        if self.worker_open:
            self.worker_open = False
            if self.server_open:
                self.loop.call_at(self._arrival_s(0), self.close_server)

    def close_server(self) -> None:
        """The scheduler's side ends; nothing on its way to it arrives."""
        if self.server_open:
            self.server_open = False
            self.break_server()
            if self.worker_open:
                self.loop.call_at(self._arrival_s(1), self.lose_worker)

    def lose_worker(self) -> None:
        """The worker learns that the stream is gone."""
        if self.worker_open:
            self.close_worker()
            self.break_worker()

    def cut(self, mode: str, silence_s: float) -> None:
        """Break the stream: "both" at once, or one side first and the other *silence_s* later."""
        if mode == "both":
            self.server_open, server_was_open = False, self.server_open
            self.lose_worker()
            if server_was_open:
                self.break_server()
        elif mode == "worker":
            self.stalled_until_s[0] = self.loop.now_s + silence_s
            self.loop.call_later(silence_s * NOTICED_SHARE, self.lose_worker)
        else:
            self.stalled_until_s[1] = self.loop.now_s + silence_s
            self.close_server()
