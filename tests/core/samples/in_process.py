"""A whole run in one thread, tile by tile in node order: what the cluster must equal to the byte."""

from __future__ import annotations

import time
from collections.abc import Callable

from xip_core.graph.plan import Plan
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.tile import Columns, Maker, TileValue


class InProcessData:
    """TileData over blobs and the outputs so far."""

    def __init__(self, blob: Callable[[str], bytes]) -> None:
        self._blob = blob
        self._outputs: dict[tuple[int, int], Columns] = {}
        self._memo: dict[tuple[object, ...], object] = {}

    def blob(self, digest: str) -> bytes:
        return self._blob(digest)

    def output(self, node_id: int, tile: int) -> Columns:
        return self._outputs[node_id, tile]

    def keep(self, node_id: int, tile: int, output: Columns) -> None:
        self._outputs[node_id, tile] = output

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]


class RunOutcome:
    """Every tile's value, and seconds by node name."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, int], TileValue] = {}
        self.seconds: dict[str, float] = {}


def run_plan(plan: Plan, blob: Callable[[str], bytes], last_tile_first: bool = False) -> RunOutcome:
    """Evaluate every tile of *plan*, node by node; within a node from the first tile or from the last."""
    data, outcome = InProcessData(blob), RunOutcome()
    for node in plan.nodes:
        begin = time.perf_counter()
        for tile in range(node.tile_count)[:: -1 if last_tile_first else 1]:
            value = evaluate_tile(plan, node.node_id, tile, data, lambda: False)
            data.keep(node.node_id, tile, value.output)
            outcome.values[node.node_id, tile] = value
        outcome.seconds[node.name] = time.perf_counter() - begin
    return outcome
