"""How far a run is resolved ahead of its values.

Where a run shows sums alone nobody waits for its first value, and value tiles are leased best when many are ready: as
long ranges that shrink towards the end of the run. Fed by one resolve tile at a time they come as leases of a few
tiles, each with a message, and the last resolve tile of the largest node is begun when little else is left. So resolve
tiles go first in such a run, as long as

    it is alone           one worker is active. Resolved rows stay with the worker that made them, and whoever values
                          them elsewhere makes them again: of several workers the one that has just resolved rows asks
                          next, so values go first.
    rows ahead are few    rows whose resolve tiles are leased or done and whose values are not all leased are fewer than
                          ROWS_AHEAD_MAX. They are in the worker's memo (`xip_worker.cache`: 512 MB, for lines of books
                          as well); what it drops is made again. Twice as many before the last scenario block is
                          calibrated: values leased until then come one scenario block at a time.

Beyond it values go first until enough are leased. Cost: 0.5 us a resolve node each time it is asked; where a run has
many, only so often that it takes 2 % of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xip_core.graph.plan import NodeKind

if TYPE_CHECKING:
    from xip_scheduler.core.run_state import LiveRun, NodeState
    from xip_scheduler.core.state import SchedulerState

ROWS_AHEAD_MAX = 100_000
"""150 MB of vanilla trades."""

NODES_ALWAYS_ADDED = 32
INTERVAL_S_PER_NODE = 25e-6


class Ahead:
    """
    Attributes:
        order: the nodes of the run, resolve before value.
    """

    __slots__ = ("_calibrates", "_due_s", "_is_far", "_readers", "order")

    def __init__(self, order: tuple[NodeState, ...]) -> None:
        self.order = order
        self._readers = tuple(
            (node, tuple((value, need.divisor) for value, need in node.dependents if need.modulus))
            for node in order
            if node.plan_node.kind is NodeKind.RESOLVE
        )
        self._calibrates = tuple(node for node in order if node.plan_node.kind is NodeKind.CALIBRATE)
        self._due_s = 0.0
        self._is_far = False

    def is_far(self, now_s: float) -> bool:
        """Are so many rows resolved, or being so, that their values come first?"""
        if now_s < self._due_s:
            return self._is_far
        if len(self._readers) > NODES_ALWAYS_ADDED:
            self._due_s = now_s + len(self._readers) * INTERVAL_S_PER_NODE
        rows, pending_count = 0.0, 0
        for node, readers in self._readers:
            pending_count += node.pending.count
            taken = node.tile_count - node.pending.count
            let_go = min(
                [(value.tile_count - value.pending.count) / divisor for value, divisor in readers], default=taken
            )
            rows += max(0.0, taken - let_go) * node.rows_per_tile
        is_calibrated = all(node.is_done for node in self._calibrates)
        self._is_far = pending_count > 0 and rows >= (ROWS_AHEAD_MAX if is_calibrated else 2 * ROWS_AHEAD_MAX)
        return self._is_far


def is_alone(state: SchedulerState, run: LiveRun) -> bool:
    """Does one worker compute sums of a book? Its slots share what it has queued, and nobody else waits for it."""
    return run.ahead is not None and state.active_count == 1
