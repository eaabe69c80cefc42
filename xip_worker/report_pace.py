"""How long finished tiles of a worker may wait for each other, so that they share a message.

A message costs a worker 0.15 ms of CPU and a scheduler 1.5 ms. Tiles that others wait for come at the beginning of
leases; so the first look of a lease comes soon, and each look that finds something doubles the time to the next. A slot
without work does not wait at all, and with it the pace begins anew. What a look has found may wait longer (`patience`).
"""

from __future__ import annotations

INTERVAL_S_MIN = 0.002
"""At the beginning of a lease."""

INTERVAL_S_MAX = 0.025
"""In the middle of a long one: a lease of 2 s sends some 80 messages, and a worker that dies loses this much."""


class ReportPace:
    """Time between two looks at what slots have reported.

    Attributes:
        interval_s: to wait now.
    """

    def __init__(self) -> None:
        self.interval_s = INTERVAL_S_MIN

    def found_reports(self, is_slot_free: bool) -> None:
        """A look has found something; *is_slot_free*: a slot has ended its leases."""
        self.interval_s = INTERVAL_S_MIN if is_slot_free else min(2.0 * self.interval_s, INTERVAL_S_MAX)
