"""How long a tile takes: an exponential average per (node kind, kernel, declared cost).

The plan's `cost_s` is the first guess and the class: nodes of one kind and kernel with one declared cost share what is
learnt. The first measurement replaces the guess (a guess may be wrong by 10x), each later one moves the average by a
fifth, so five reports forget a cold cache and one outlier shifts a lease size by a factor 2 at most in the range of
sizes.

Estimates are soft: lost with the process, learnt again in one lease. They size leases; no number of a run depends on
them, because tiles are fixed by the plan.
"""

from __future__ import annotations

from xip_core.graph.plan import Node

WEIGHT_OF_NEW = 0.2
TILE_S_MIN = 1e-7
"""Floor of an estimate: keeps sizes finite when a clock is too coarse to see a tile."""

CLASSES_MAX = 4096
"""Cost classes remembered: 64 kernels x 64 costs; beyond that the oldest is forgotten."""


class TileCost:
    """Seconds per tile of one class."""

    __slots__ = ("is_measured", "tile_s")

    def __init__(self, guess_s: float) -> None:
        self.tile_s = max(guess_s, TILE_S_MIN)
        self.is_measured = False

    def measure(self, tile_count: int, elapsed_ns: int) -> None:
        measured_s = max(elapsed_ns * 1e-9 / tile_count, TILE_S_MIN)
        if self.is_measured:
            self.tile_s += (measured_s - self.tile_s) * WEIGHT_OF_NEW
        else:
            self.tile_s = measured_s
            self.is_measured = True


class CostModel:
    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[tuple[str, str, float], TileCost] = {}

    def cost_of(self, node: Node) -> TileCost:
        """The shared estimate for tiles like those of *node*."""
        key = (node.kind, node.kernel, node.cost_s)
        cost = self._classes.get(key)
        if cost is None:
            if len(self._classes) >= CLASSES_MAX:
                del self._classes[next(iter(self._classes))]
            cost = self._classes[key] = TileCost(node.cost_s)
        return cost
