"""How long a tile takes: per class (node kind, kernel, declared cost), and per worker and class.

The plan's `cost_s` is the first guess and the class: nodes of one kind and kernel with one declared cost share what is
learnt. An estimate is seconds over tiles, both summed with a fading memory, so each tile counts alike whoever computed
it: of a class of workers with different paces this is one over the mean number of tiles a second and slot, which is
what says how long the rest of a node takes. The first measurement so replaces the guess (which may be wrong by 10x).

    class    remembers 20 reports: a sample of the grid large enough to be within some 15 % of its mean
    pace     of one worker at one class, remembers 5 reports: notices a neighbour on the machine. Its first one, cold,
             is forgotten at once when the second says so (COLD_FACTOR)

A worker's **speed** is what the classes say its recent work should have taken over what it took: 1 is the grid's
average, 0.1 a worker ten times slower. A worker not yet measured at a class is expected to be as fast as at the others.

Estimates are soft: lost with the process, learnt again in one lease. They size leases and choose what is trimmed; no
number of a run depends on them, because tiles are fixed by the plan.
"""

from __future__ import annotations

from xip_core.graph.plan import Node

CLASS_KEPT = 0.95
PACE_KEPT = 0.8
"""Of the sums so far, at each report: 1 / (1 - kept) reports are remembered."""

COLD_FACTOR = 4.0
"""A worker's first report of a class that takes so much longer than its second counts as the second: it has imports, a
book on its way or a base market in it, 0.3 s beside tiles of 10 to 40 ms."""

TILE_S_MIN = 1e-7
"""Floor of an estimate: keeps sizes finite when a clock is too coarse to see a tile."""

CLASSES_MAX = 4096
"""Cost classes remembered: 64 kernels x 64 costs; beyond that the oldest is forgotten."""

PACES_MAX = 64
"""Classes remembered of one worker, 0.2 kB each; beyond that the oldest is forgotten."""


class TileCost:
    """Seconds per tile of one class, or of one worker at one class.

    Attributes:
        tiles, seconds: what was measured lately.
    """

    __slots__ = ("_kept", "is_measured", "seconds", "tile_s", "tiles")

    def __init__(self, guess_s: float, kept: float = CLASS_KEPT) -> None:
        self.tile_s = max(guess_s, TILE_S_MIN)
        self.is_measured = False
        self.tiles = 0.0
        self.seconds = 0.0
        self._kept = kept

    def measure(self, tile_count: int, elapsed_ns: int) -> None:
        kept = self._kept
        self.tiles = tiles = self.tiles * kept + tile_count
        self.seconds = seconds = self.seconds * kept + elapsed_ns * 1e-9
        tile_s = seconds / tiles
        self.tile_s = tile_s if tile_s > TILE_S_MIN else TILE_S_MIN
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


class Pace(TileCost):
    """Seconds per tile of one worker at one class.

    Attributes:
        is_cold: it has reported one time; what it found not yet made may be in that.
    """

    __slots__ = ("cost", "is_cold")

    def __init__(self, cost: TileCost) -> None:
        super().__init__(cost.tile_s, PACE_KEPT)
        self.cost = cost
        self.is_cold = False

    def report(self, tile_count: int, elapsed_ns: int) -> None:
        """Measure the worker and the class: `measure` of both in one call, for it is made for every result."""
        elapsed_s = elapsed_ns * 1e-9
        if self.is_cold:
            self._forget_cold(elapsed_s / tile_count)
        self.is_cold = not self.is_measured
        self.tiles = tiles = self.tiles * PACE_KEPT + tile_count
        self.seconds = seconds = self.seconds * PACE_KEPT + elapsed_s
        tile_s = seconds / tiles
        self.tile_s = tile_s if tile_s > TILE_S_MIN else TILE_S_MIN
        cost = self.cost
        cost.tiles = tiles = cost.tiles * CLASS_KEPT + tile_count
        cost.seconds = seconds = cost.seconds * CLASS_KEPT + elapsed_s
        tile_s = seconds / tiles
        cost.tile_s = tile_s if tile_s > TILE_S_MIN else TILE_S_MIN
        self.is_measured = cost.is_measured = True

    def _forget_cold(self, tile_s: float) -> None:
        """The second report says *tile_s* a tile: where the first says far more, the rest was not for its tiles."""
        if self.seconds <= COLD_FACTOR * tile_s * self.tiles:
            return
        excess_s = self.seconds - self.tiles * tile_s
        cost = self.cost
        self.seconds -= excess_s
        cost.seconds = max(cost.seconds - excess_s, cost.tiles * TILE_S_MIN)


class Paces(dict[TileCost, Pace]):
    """How fast one worker is, by class; whoever asks for one gets it. A dict, for it is asked at each grant."""

    __slots__ = ()

    def __missing__(self, cost: TileCost) -> Pace:
        if len(self) >= PACES_MAX:
            del self[next(iter(self))]
        pace = self[cost] = Pace(cost)
        return pace

    def tile_s(self, cost: TileCost) -> float:
        """Seconds the worker is expected to take for a tile of the class."""
        pace = self.get(cost)
        if pace is not None and pace.is_measured:
            return pace.tile_s
        return cost.tile_s / (self.speed() or 1.0)

    def speed(self) -> float:
        """Against the average of the grid at the same work; 0 before anything was measured."""
        expected_s = measured_s = 0.0
        for cost, pace in self.items():
            expected_s += pace.tiles * cost.tile_s
            measured_s += max(pace.seconds, pace.tiles * TILE_S_MIN)
        return expected_s / measured_s if measured_s else 0.0
