"""What is left of a run, by the cost model: leases are sized by it, and how long results may wait.

Added up over the nodes, 0.3 us each, whenever a lease is carved; where there are more than NODES_ALWAYS_ADDED, so that
it takes 2 % of the time at most. In between, what is carved is taken off, and all else is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xip_scheduler.core.run_state import LiveRun

NODES_ALWAYS_ADDED = 32
INTERVAL_S_PER_NODE = 20e-6


class Rest:
    """
    Attributes:
        pending_s: slot-seconds of tiles nobody works at.
        left_s: of all that are not done.
        is_measured: a tile of some node's class was.
    """

    __slots__ = ("due_s", "is_measured", "left_s", "pending_s")

    def __init__(self) -> None:
        self.pending_s = self.left_s = self.due_s = 0.0
        self.is_measured = False


def rest_of(run: LiveRun, now_s: float) -> Rest:
    rest, node_count = run.rest, len(run.nodes)
    if node_count > NODES_ALWAYS_ADDED:
        if now_s < rest.due_s:
            return rest
        rest.due_s = now_s + node_count * INTERVAL_S_PER_NODE
    pending_s = left_s = 0.0
    is_measured = False
    for node in run.nodes:
        cost = node.cost
        pending_s += node.pending.count * cost.tile_s
        left_s += (node.tile_count - node.done.count) * cost.tile_s
        is_measured = is_measured or cost.is_measured
    rest.pending_s, rest.left_s, rest.is_measured = pending_s, left_s, is_measured
    return rest
